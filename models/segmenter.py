"""Segmenters, photo → label map: a small U-Net (Ronneberger et al. 2015) and an FCN-8s (Long et al. 2015).

Both give class scores at half the picture's size. With one class more, the U-Net is the discriminator's body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STAGES = 5  # of an FCN


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

        self.classes, self.stride = classes, 2 ** len(widths)
        self.options: Mapping[str, Any] = {"widths": list(widths)}
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


class FCN(nn.Module):
    """An FCN-8s (Long et al. 2015, sec. 4.2 and fig. 3) on a small backbone of its own.

    Five stages of 3×3 convolutions, each followed by a 2×2 maximum, as in VGG but with batch norm; then a
    wide 3×3 and a 1×1 convolution in place of VGG's fully connected layers. Class scores of stages 5, 4 and 3
    are added up, the coarser ones doubled each time. Doubling is bilinear and fixed (the paper starts there
    and learns it), and the sum is enlarged to half the picture's size, not to all of it.

    Args:
        classes: channels of the output.
        widths: channels of the five stages.
        layers: convolutions in each of the five stages.
        top: channels of the two convolutions after them.

    Raises:
        ValueError: not five stages.
    """

    def __init__(self, classes: int, widths: Sequence[int], layers: Sequence[int], top: int) -> None:
        super().__init__()
        if len(widths) != STAGES or len(layers) != STAGES:
            raise ValueError(f"{len(widths)} widths and {len(layers)} layers: expected {STAGES} of each")
        self.classes, self.stride = classes, 2**STAGES
        self.options: Mapping[str, Any] = {"widths": list(widths), "layers": list(layers), "top": top}
        self.stages = nn.ModuleList(
            nn.Sequential(*_stage(fin, fout, count))
            for (fin, fout), count in zip(pairwise([3, *widths]), layers, strict=True)
        )
        self.top = nn.Sequential(*_layer(widths[-1], top, 3), *_layer(top, top, 1))
        self.score = nn.Conv2d(top, classes, 1)
        self.score_4 = nn.Conv2d(widths[3], classes, 1)
        self.score_3 = nn.Conv2d(widths[2], classes, 1)

    def features(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """picture (B, 3, H, W) in [−1, 1] → scores (B, classes, ⌊H/2⌋, ⌊W/2⌋), and the activations of every
        stage, at ⌊H/2⌋ … ⌊H/32⌋, and of the top."""
        x, stages = picture, list[Tensor]()
        for stage in self.stages:
            x = stage(x)
            stages.append(x)
        stages.append(self.top(x))
        scores = self.score(stages[-1])
        scores = self.score_4(stages[3]) + _resized(scores, stages[3])
        scores = self.score_3(stages[2]) + _resized(scores, stages[2])
        return _resized(scores, stages[0]), stages

    def forward(self, picture: Tensor) -> Tensor:
        """picture (B, 3, H, W) in [−1, 1], sides of at least 32 → scores (B, classes, ⌊H/2⌋, ⌊W/2⌋)."""
        return self.features(picture)[0]


def _layer(fin: int, fout: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(fin, fout, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(fout), nn.ReLU()]


def _stage(fin: int, fout: int, count: int) -> list[nn.Module]:
    first, rest = _layer(fin, fout, 3), [part for _ in range(count - 1) for part in _layer(fout, fout, 3)]
    return [*first, *rest, nn.MaxPool2d(2)]


def _resized(scores: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(scores, size=like.shape[-2:], mode="bilinear", align_corners=False)


Segmenter = UNet | FCN
