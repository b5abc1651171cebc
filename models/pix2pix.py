"""The baseline: pix2pix (Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial
Networks").

A U-Net paints the one-hot map, a 70×70 PatchGAN that sees the map beside the picture judges it (sec. 3 and
app. 6.1). Written from the paper; where we differ, the classes say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.spade import LEAK, one_hot

SHALLOWEST, DEEPEST = 2, 9  # halvings of a U-Net
DROPPED = 3  # layers of the decoder that drop out, counted from the bottleneck
KEPT = 0.5  # of their values


class Pix2PixGenerator(nn.Module):
    """Label map → picture: C64-C128-C256-C512-… down to the bottleneck, CD512-… up, with skips between.

    Every layer is a 4×4 convolution of stride 2, batch norm and (Leaky)ReLU. No batch norm stands on the
    first layer (paper), nor at the bottleneck: there a batch of one pixel would be normalised to nothing (the
    paper's errata). The only noise is dropout in the first layers up, given from outside as masks; without
    masks nothing is dropped.

    We serve without masks and with running batch statistics, so that equal maps give equal pictures; the
    paper drops out at test time too, and normalises with the test batch's own statistics.

    Args:
        label_channels: N, channels of the one-hot map.
        width: channels of the first layer; the deepest have eight times as many. The paper has 64.
        depth: layers down, and as many up; sides of a map are multiples of 2 ** depth. The paper has 8.

    Raises:
        ValueError: a depth out of range.
    """

    def __init__(self, label_channels: int, width: int = 64, depth: int = 8) -> None:
        super().__init__()
        if not SHALLOWEST <= depth <= DEEPEST:
            raise ValueError(f"a depth of {depth}: expected {SHALLOWEST}…{DEEPEST}")
        self.label_channels, self.width, self.depth = label_channels, width, depth
        self.stride = 2**depth
        self.style_dim, self.instance_edges = 0, False
        self.start_grid: tuple[int, int] | None = None
        widths = [width * min(2**level, 8) for level in range(depth)]
        self.down = nn.ModuleList(
            _down(fin, fout, normalise=0 < level < depth - 1)
            for level, (fin, fout) in enumerate(pairwise([label_channels, *widths]))
        )
        self._rising = widths[::-1]
        # Every layer up but the first reads a skip, as wide as what comes from below, beside it.
        self.up = nn.ModuleList(
            _up(fin if level == 0 else 2 * fin, fout)
            for level, (fin, fout) in enumerate(pairwise(self._rising))
        )
        self.conv_img = nn.ConvTranspose2d(2 * widths[0], 3, 4, stride=2, padding=1)
        initialise(self)

    def dropout_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(C, h, w) of each layer that drops out, for an H×W picture."""
        return [
            (channels, height >> self.depth - step, width >> self.depth - step)
            for step, channels in enumerate(self._rising[1 : 1 + DROPPED], start=1)
        ]

    def code_from_normal(self, normal: Tensor) -> Tensor:
        """Draws of no numbers → a style code of none: the model has no style."""
        return normal

    def forward(self, labels: Tensor, kept: Sequence[Tensor] | None = None) -> Tensor:
        """Paint.

        Args:
            labels: integer (B, H, W), ids 0 … N−1; H and W multiples of `stride`.
            kept: bool (B, C, h, w) for each of `dropout_shapes`, which values stay; None drops nothing.

        Returns:
            (B, 3, H, W) in [−1, 1], RGB, float32.

        Raises:
            ValueError: another size.
        """
        height, width = labels.shape[-2:]
        if height % self.stride or width % self.stride or not height or not width:
            raise ValueError(
                f"a {width}×{height} map: both sides must be positive multiples of {self.stride}"
            )
        x = one_hot(labels, self.label_channels, self.conv_img.weight.dtype)
        skips: list[Tensor] = []
        for layer in self.down:
            x = layer(x)
            skips.append(x)
        skips.pop()  # the bottleneck is where the way up begins
        for number, layer in enumerate(self.up):
            x = layer(x)
            if kept is not None and number < DROPPED:
                x = x * (kept[number] / KEPT).to(x.dtype)
            x = torch.cat([F.relu(x), skips.pop()], dim=1)
        return torch.tanh(self.conv_img(x).float())


class PatchDiscriminator(nn.Module):
    """The 70×70 PatchGAN (app. 6.1.2), C64-C128-C256-C512: real or generated, for every patch of 70×70
    pixels.

    It reads the picture and, beside it, the one-hot map. Its sigmoid is left to the loss.

    Args:
        label_channels: N, channels of the one-hot map.
        width: channels of the first layer; the paper has 64.
    """

    SMALLEST = 24  # pixels a side: smaller pictures leave no patch

    def __init__(self, label_channels: int, width: int = 64) -> None:
        super().__init__()
        self.label_channels = label_channels
        fins = [3 + label_channels, width, 2 * width, 4 * width]
        fouts = [width, 2 * width, 4 * width, 8 * width]
        self.layers = nn.ModuleList(
            _down(fin, fout, normalise=level > 0, stride=1 if level == 3 else 2)
            for level, (fin, fout) in enumerate(zip(fins, fouts, strict=True))
        )
        self.head = nn.Conv2d(fouts[-1], 1, 4, padding=1)
        initialise(self)

    def forward(self, picture: Tensor, labels: Tensor) -> Tensor:
        """picture (B, 3, H, W) in [−1, 1], labels integer (B, H, W) → logits of "real", float32 (B, 1, h, w)
        with h = H/8 − 2 and w = W/8 − 2."""
        x = torch.cat([picture, one_hot(labels, self.label_channels, picture.dtype)], dim=1)
        for layer in self.layers:
            x = layer(x)
        return self.head(x).float()


def _down(fin: int, fout: int, *, normalise: bool, stride: int = 2) -> nn.Sequential:
    """Convolution, batch norm where wanted, LeakyReLU."""
    convolution = nn.Conv2d(fin, fout, 4, stride=stride, padding=1, bias=not normalise)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(fout) if normalise else nn.Identity(), nn.LeakyReLU(LEAK)
    )


def _up(fin: int, fout: int) -> nn.Sequential:
    """Transposed convolution and batch norm; dropout and ReLU follow in `forward`."""
    return nn.Sequential(
        nn.ConvTranspose2d(fin, fout, 4, stride=2, padding=1, bias=False), nn.BatchNorm2d(fout)
    )


def initialise(network: nn.Module) -> None:
    """Convolution weights from a normal of deviation 0.02 (app. 6.2); biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
