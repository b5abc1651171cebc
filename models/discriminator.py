"""Discriminators: per pixel and class (Schönfeld et al. 2021, "You Only Need Adversarial Supervision…",
sec. 3.1) and per patch at several scales (Wang et al. 2018, "High-Resolution Image Synthesis…", sec. 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.segmenter import UNet
from models.spade import LEAK, InstanceNorm
from models.spectral import spectral_convolution

FAKE = 0  # channel 0 means "generated"; class id k stands in channel k + 1


class SegmentationDiscriminator(UNet):
    """A U-Net under spectral norm that names, per pixel, the class of a real picture or says "generated".

    Args:
        label_channels: N, channels of the one-hot map; the output has N + 1.
        widths: channels of the stages going down.
    """

    def __init__(self, label_channels: int, widths: Sequence[int]) -> None:
        def wrap(convolution: nn.Conv2d) -> nn.Module:
            return spectral_norm(convolution)

        super().__init__(label_channels + 1, widths, wrap=wrap, normalise=False)


class PatchDiscriminator(nn.Module):
    """One scale: 4×4 convolutions with LeakyReLU, each score the judgement of one patch (Isola et al. 2017,
    sec. 3.2.2).

    All layers but the last two halve the size; all but the first and the last are instance-normalised.

    Args:
        channels: of the input: picture and what it is judged by, a one-hot map for example.
        width: channels of the first layer; they double up to eight times that.
        layers: before the one that gives the scores; 4 sees patches of 70 pixels.
        convolution: builds the convolutions; under spectral norm as in SPADE (Park et al. 2019, app. A).
    """

    def __init__(
        self,
        channels: int,
        width: int = 64,
        layers: int = 4,
        convolution: Callable[..., nn.Module] = spectral_convolution,
    ) -> None:
        super().__init__()
        widths = [channels, *(width * min(2**level, 8) for level in range(layers))]
        self.layers = nn.ModuleList()
        for level, (fin, fout) in enumerate(pairwise(widths)):
            stride = 1 if level == layers - 1 else 2
            norm = InstanceNorm(fout) if level else nn.Identity()
            body = convolution(fin, fout, 4, stride=stride, padding=2, bias=not level)
            self.layers.append(nn.Sequential(body, norm, nn.LeakyReLU(LEAK)))
        self.head = convolution(widths[-1], 1, 4, padding=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """x (B, channels, H, W) → every layer's activation, the scores (B, 1, h, w) last."""
        activations: list[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            activations.append(x)
        return [*activations, self.head(x)]


class MultiScaleDiscriminator(nn.Module):
    """The same kind of discriminator on a picture and on the picture halved, each with weights of its own
    (Wang et al. 2018, sec. 3.2).

    Args:
        channels, width, layers, convolution: see `PatchDiscriminator`.
        scales: how many; 2 in SPADE, 3 in pix2pixHD.
    """

    def __init__(
        self,
        channels: int,
        width: int = 64,
        layers: int = 4,
        scales: int = 2,
        convolution: Callable[..., nn.Module] = spectral_convolution,
    ) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            PatchDiscriminator(channels, width, layers, convolution) for _ in range(scales)
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """x (B, channels, H, W) → per scale, the finest first, what `PatchDiscriminator` returns."""
        found: list[list[Tensor]] = []
        for scale in self.scales:
            found.append(scale(x))
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return found


class _Residual(nn.Module):
    """Two 3×3 convolutions beside a 1×1 one, at one size; LeakyReLU before each of the two, but not before
    the very first, which reads a picture."""

    def __init__(self, fin: int, fout: int, *, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.conv_0 = spectral_convolution(fin, fout, 3, padding=1)
        self.conv_1 = spectral_convolution(fout, fout, 3, padding=1)
        self.conv_s = spectral_convolution(fin, fout, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, fin, h, w) → (B, fout, h, w)."""
        y = self.conv_0(x if self.first else F.leaky_relu(x, LEAK))
        return self.conv_s(x) + self.conv_1(F.leaky_relu(y, LEAK))


class OasisDiscriminator(nn.Module):
    """The OASIS discriminator: a U-Net of six residual blocks down and six up under spectral norm that names,
    per pixel of the picture, the class of a real one or says "generated" (Schönfeld et al. 2021, sec. 3.1).

    Going down, a block is followed by averaging 2×2; going up, nearest upsampling stands before it, and the
    block of the same size on the way down beside what it reads.

    Args:
        label_channels: N, channels of the one-hot map; the output has N + 1.
        width: channels of the last block; the widest have eight times as many. 64 is the published size.
    """

    DOWN = (2, 2, 4, 4, 8, 8)  # channels of the blocks, in units of the width
    UP = (8, 4, 4, 2, 2, 1)
    STRIDE = 2 ** len(DOWN)

    def __init__(self, label_channels: int, width: int = 64) -> None:
        super().__init__()
        down, up = ([factor * width for factor in factors] for factors in (self.DOWN, self.UP))
        skips = [0, *down[-2::-1]]
        self.down = nn.ModuleList(
            _Residual(fin, fout, first=level == 0) for level, (fin, fout) in enumerate(pairwise([3, *down]))
        )
        self.up = nn.ModuleList(
            _Residual(fin + skip, fout)
            for (fin, fout), skip in zip(pairwise([down[-1], *up]), skips, strict=True)
        )
        self.head = nn.Conv2d(up[-1], label_channels + 1, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """picture (B, 3, H, W) in [−1, 1], sides multiples of 64 → scores (B, N + 1, H, W)."""
        x, skips = picture, list[Tensor]()
        for block in self.down:
            x = F.avg_pool2d(block(x), 2)
            skips.append(x)
        skips.pop()
        for level, block in enumerate(self.up):
            if level:
                x = torch.cat([x, skips.pop()], dim=1)
            x = block(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.head(x)
