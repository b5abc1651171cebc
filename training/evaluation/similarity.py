"""How like a photo its reconstruction is, pixel by pixel: PSNR and SSIM."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from training.evaluation.colour import luma

MOST_PSNR = 100.0  # dB: equal pictures would have infinitely many
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures uint8 (H, W, 3), over all channels: dB, at most
    `MOST_PSNR`."""
    error = np.mean((one.astype(np.float64) - other) ** 2) / 255**2
    return float(min(-10 * np.log10(max(error, 1e-20)), MOST_PSNR))


def ssim(one: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity of two pictures uint8 (H, W, 3), of at least 11 pixels a side: the mean over
    their luma, where the Gaussian window (11×11, σ 1.5) lies inside (Wang et al. 2004, eq. 13 and 17)."""
    x, y = (torch.from_numpy(luma(picture)) for picture in (one, other))
    at = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = torch.exp(-(at**2) / (2 * _SIGMA**2))
    weights = weights / weights.sum()
    kernel = (weights[:, None] * weights[None, :])[None, None]
    mx, my, xx, yy, xy = F.conv2d(torch.stack([x, y, x * x, y * y, x * y])[:, None], kernel)[:, 0]
    vx, vy, vxy = xx - mx * mx, yy - my * my, xy - mx * my
    likeness = (2 * mx * my + _C1) * (2 * vxy + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    return float(likeness.mean())
