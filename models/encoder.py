"""The style encoder: a photo's light, season and weather as a distribution over style codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ENCODER_SIZE = 128  # pictures are brought to this size first: style is global


class StyleEncoder(nn.Module):
    """Photo → mean and log variance of a normal over style codes (the VAE of Park et al. 2019, sec. 3,
    pooled).

    Args:
        widths: channels of the stride-2 layers.
        style_dim: D of a style code.
    """

    def __init__(self, widths: Sequence[int], style_dim: int) -> None:
        super().__init__()
        fins = (3, *widths[:-1])
        self.layers = nn.Sequential()
        # No norms: they would take the picture's brightness and contrast away.
        for fin, fout in zip(fins, widths, strict=True):
            layer = nn.Conv2d(fin, fout, 3, stride=2, padding=1)
            nn.init.kaiming_normal_(layer.weight, a=0.2)
            self.layers.append(layer)
        self.head = nn.Linear(widths[-1], 2 * style_dim)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """photo (B, 3, H, W) in [−1, 1] → mean and log variance, (B, D) each, float32."""
        x = F.interpolate(
            photo, size=(ENCODER_SIZE, ENCODER_SIZE), mode="bilinear", antialias=True, align_corners=False
        )
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        mean, log_variance = self.head(x.float().mean((2, 3))).chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 8)


def sample_code(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The reparameterisation trick (Kingma & Welling 2014): a differentiable draw, (B, D)."""
    return mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
