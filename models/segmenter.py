"""A small U-Net (Ronneberger et al. 2015): picture → class scores at half its size.

It is the photo → label map segmenter and, with one class more, the discriminator's body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UNet(nn.Module):
    """Stride-2 convolutions down, nearest upsampling and skips up; outputs stand at half the picture's size.

    Args:
        classes: channels of the output.
        widths: channels of the stages going down; the first has half the picture's size.
        wrap: applied to every convolution (spectral norm, say).
        normalise: batch norm after every inner convolution (segmenters want it, discriminators do not).
    """

    def __init__(
        self,
        classes: int,
        widths: Sequence[int],
        wrap: Callable[[nn.Conv2d], nn.Module] | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__()

        def layer(fin: int, fout: int, kernel: int, stride: int) -> nn.Sequential:
            convolution = nn.Conv2d(fin, fout, kernel, stride, padding=1, bias=not normalise)
            body = wrap(convolution) if wrap else convolution
            return nn.Sequential(
                body, nn.BatchNorm2d(fout) if normalise else nn.Identity(), nn.LeakyReLU(0.2)
            )

        self.stride = 2 ** len(widths)
        fins = (3, *widths[:-1])
        self.down = nn.ModuleList(layer(fin, fout, 4, 2) for fin, fout in zip(fins, widths, strict=True))
        rising = list(reversed(widths))
        self.up = nn.ModuleList(layer(deep + skip, skip, 3, 1) for deep, skip in pairwise(rising))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def features(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """picture (B, 3, H, W) in [−1, 1] → scores (B, classes, H/2, W/2) and every stage's activation, down
        then up."""
        x, stages = picture, list[Tensor]()
        for layer in self.down:
            x = layer(x)
            stages.append(x)
        skips = stages[-2::-1]
        for layer, skip in zip(self.up, skips, strict=True):
            x = layer(torch.cat([F.interpolate(x, size=skip.shape[-2:], mode="nearest"), skip], dim=1))
            stages.append(x)
        return self.head(x), stages

    def forward(self, picture: Tensor) -> Tensor:
        """picture (B, 3, H, W) in [−1, 1], sides of at least `stride` → scores (B, classes, H/2, W/2)."""
        return self.features(picture)[0]
