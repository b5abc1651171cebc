"""Generators: label map + style + noise → picture. The built-in family; the published ones stand in
published.py, the baseline without SPADE in pix2pix.py.

What every `Generator` has: label_channels, instance_edges, stride, style_dim, start_grid, conv_img and
code_from_normal; a `ModulatedGenerator` also fc, stages and grids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.noise import noise_field
from models.pix2pix import Pix2PixGenerator
from models.published import OasisGenerator, SpadeGenerator
from models.spade import LEAK, StyledSpadeBlock, StyledSpadeNorm, StyleField, one_hot, resize_labels

FEATHER = 16  # pixels over which one style gives way to the next


class StyledStage(NamedTuple):
    """One block of the trunk. `doubled`: a nearest ×2 upsampling stands before it."""

    block: StyledSpadeBlock
    doubled: bool


class StyledSpadeGenerator(nn.Module):
    """The built-in family: SPADE blocks (Park et al. 2019) with a style code after, and noise before, every
    norm.

    Fully convolutional: any height and width that are multiples of `stride`. The trunk starts on a grid of
    (H / stride, W / stride) and doubles before every block but the first.

    Args:
        label_channels: N, channels of the one-hot map.
        widths: channels of each block's output, from the start grid to full size; stride = 2 ** (len(widths)
        − 1).
        hidden: width of the label layer inside each norm.
        style_dim: D of a style code.
        noise_channels: independent noise fields per resolution (< 16).
    """

    def __init__(
        self, label_channels: int, widths: Sequence[int], hidden: int, style_dim: int, noise_channels: int
    ) -> None:
        super().__init__()
        self.label_channels, self.noise_channels, self.style_dim = label_channels, noise_channels, style_dim
        self.stride = 2 ** (len(widths) - 1)
        self.instance_edges: bool = False
        self.start_grid: tuple[int, int] | None = None

        def norm(channels: int) -> StyledSpadeNorm:
            return StyledSpadeNorm(channels, label_channels, hidden, style_dim)

        self.fc = nn.Conv2d(label_channels, widths[0], 3, padding=1)
        fins = (widths[0], *widths[:-1])
        self.blocks = nn.ModuleList(
            StyledSpadeBlock(fin, fout, norm, noise_channels) for fin, fout in zip(fins, widths, strict=True)
        )
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.style_map = nn.Sequential(
            nn.Linear(style_dim, style_dim),
            nn.LeakyReLU(LEAK),
            nn.Linear(style_dim, style_dim),
            nn.LeakyReLU(LEAK),
        )
        # Codes of real pictures are never quite standard normal; a seed's code goes through their mean and
        # covariance.
        self.prior_mean: Tensor
        self.prior_scale: Tensor
        # (torch.eye on the meta device would import torch's compiler.)
        self.register_buffer("prior_mean", torch.zeros(style_dim))
        self.register_buffer("prior_scale", torch.zeros(style_dim, style_dim).fill_diagonal_(1))

    @property
    def stages(self) -> list[StyledStage]:
        """The blocks in order."""
        blocks = (block for block in self.blocks if isinstance(block, StyledSpadeBlock))
        return [StyledStage(block, level > 0) for level, block in enumerate(blocks)]

    def code_from_normal(self, normal: Tensor) -> Tensor:
        """Standard normal draws (…, D) → style codes (…, D) distributed like those of real pictures."""
        return self.prior_mean + normal @ self.prior_scale.T

    def grids(self, height: int, width: int) -> list[tuple[int, int]]:
        """(h, w) of every resolution for an H×W picture, start grid first."""
        return [(height * 2**i // self.stride, width * 2**i // self.stride) for i in range(len(self.blocks))]

    def noise(self, seed: int, height: int, width: int) -> list[Tensor]:
        """The seed's noise field at every resolution of an H×W picture: float32 (1, noise_channels, h, w)
        each."""
        return [
            noise_field(seed, level, self.noise_channels, h, w, self.prior_mean.device)
            for level, (h, w) in enumerate(self.grids(height, width))
        ]

    def forward(self, labels: Tensor, style: StyleField, noise: Sequence[Tensor]) -> Tensor:
        """Paint.

        Args:
            labels: integer (B, H, W), ids 0 … N−1; H and W multiples of `stride`.
            style: codes (B, K, D) and their weights.
            noise: one (B or 1, noise_channels, h, w) per resolution, see `noise`.

        Returns:
            (B, 3, H, W) in [−1, 1], RGB.

        Raises:
            ValueError: H or W is not a positive multiple of `stride`.
        """
        height, width = labels.shape[-2:]
        if height % self.stride or width % self.stride or not height or not width:
            raise ValueError(
                f"a {width}×{height} map: both sides must be positive multiples of {self.stride}"
            )
        style = StyleField(self.style_map(style.codes), style.weights)
        dtype = self.fc.weight.dtype
        grids = self.grids(height, width)
        x = self.fc(one_hot(resize_labels(labels, *grids[0]), self.label_channels, dtype))
        for level, (block, (h, w), field) in enumerate(zip(self.blocks, grids, noise, strict=True)):
            onehot = one_hot(resize_labels(labels, h, w), self.label_channels, dtype)
            x = F.interpolate(x, scale_factor=2, mode="nearest") if level else x
            x = block(x, onehot, style, field.to(dtype))
        return torch.tanh(self.conv_img(F.leaky_relu(x, LEAK)).float())


ModulatedGenerator = StyledSpadeGenerator | SpadeGenerator | OasisGenerator
Generator = ModulatedGenerator | Pix2PixGenerator


def feathered(style_map: Tensor, count: int) -> Tensor:
    """Style ids → weights that blend over `FEATHER` pixels at borders.

    Args:
        style_map: integer (B, H, W), values 0 … count−1.

    Returns:
        float32 (B, count, H, W), summing to 1 at every pixel.
    """
    weights = one_hot(style_map, count)
    padded = F.pad(weights, (FEATHER // 2,) * 4, mode="replicate")
    return F.avg_pool2d(padded, FEATHER + 1, stride=1)
