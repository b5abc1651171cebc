"""How like a photo its reconstruction is, pixel by pixel: PSNR and SSIM."""

from __future__ import annotations

import numpy as np

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
    x, y = luma(one), luma(other)
    mx, my, xx, yy, xy = _blurred(np.stack([x, y, x * x, y * y, x * y]))
    vx, vy, vxy = xx - mx * mx, yy - my * my, xy - mx * my
    likeness = (2 * mx * my + _C1) * (2 * vxy + _C2) / ((mx * mx + my * my + _C1) * (vx + vy + _C2))
    return float(likeness.mean())


def _blurred(planes: np.ndarray) -> np.ndarray:
    """Gaussian means of (n, H, W) where the window lies inside: (n, H − 10, W − 10)."""
    at = np.arange(_WINDOW) - _WINDOW // 2
    weights = np.exp(-(at**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    for axis in (1, 2):
        planes = np.lib.stride_tricks.sliding_window_view(planes, _WINDOW, axis) @ weights
    return planes
