"""Style encoders: a photo's light, season and weather as a distribution over style codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from models.spade import LEAK, InstanceNorm

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
            x = F.leaky_relu(layer(x), LEAK)
        mean, log_variance = self.head(x.float().mean((2, 3))).chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 8)


class SpadeEncoder(nn.Module):
    """The encoder of the published SPADE models with a VAE (Park et al. 2019, sec. 3 and fig. 14).

    Submodules carry the names of the public checkpoints, spectral norm folded.

    Args:
        width: channels of the first layer; the widest have eight times as many.
        style_dim: D of a style code.
        convolution: builds the convolutions: under spectral norm in training, plain in a model.
    """

    SIZE = 256  # pictures are brought to this size first; six halvings leave 4×4

    def __init__(self, width: int, style_dim: int, convolution: Callable[..., nn.Module] = nn.Conv2d) -> None:
        super().__init__()
        widths = [3, *(factor * width for factor in (1, 2, 4, 8, 8, 8))]
        for level, (fin, fout) in enumerate(pairwise(widths), start=1):
            layer = convolution(fin, fout, 3, stride=2, padding=1, bias=False)
            self.add_module(f"layer{level}", nn.Sequential(layer, InstanceNorm(fout)))
        self.fc_mu = nn.Linear(8 * width * 16, style_dim)
        self.fc_var = nn.Linear(8 * width * 16, style_dim)

    def forward(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """photo (B, 3, H, W) in [−1, 1] → mean and log variance, (B, D) each, float32."""
        x = F.interpolate(photo, size=(self.SIZE, self.SIZE), mode="bilinear", align_corners=False)
        for level in range(1, 7):
            x = F.leaky_relu(getattr(self, f"layer{level}")(x), LEAK)
        x = x.flatten(1)
        return self.fc_mu(x), self.fc_var(x)


Encoder = StyleEncoder | SpadeEncoder
