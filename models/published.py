"""The published generators: SPADE (Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive
Normalization") and OASIS (Schönfeld et al. 2021, "You Only Need Adversarial Supervision for Semantic Image
Synthesis").

Submodules carry the names that public checkpoints use, spectral norm folded into plain weights, so that an
importer renames next to nothing. One-hot channel k is label id k, in both.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.spade import (
    LEAK,
    SpadeBlock,
    SpadeNorm,
    instance_edges,
    one_hot,
    resize_labels,
    statistics_of,
)

Upsampling = Literal["normal", "more", "most"]
Statistics = Literal["batch", "instance"]
STATISTICS: tuple[Statistics, ...] = ("batch", "instance")
UPSAMPLINGS: tuple[Upsampling, ...] = ("normal", "more", "most")

# SPADE's blocks: name, channels in and out in units of half the width, and who doubles before it.
_ALWAYS, _MORE, _MOST = frozenset(UPSAMPLINGS), frozenset({"more", "most"}), frozenset({"most"})
_SPADE_BLOCKS: tuple[tuple[str, int, int, frozenset[str]], ...] = (
    ("head_0", 32, 32, frozenset()),
    ("G_middle_0", 32, 32, _ALWAYS),
    ("G_middle_1", 32, 32, _MORE),
    ("up_0", 32, 16, _ALWAYS),
    ("up_1", 16, 8, _ALWAYS),
    ("up_2", 8, 4, _ALWAYS),
    ("up_3", 4, 2, _ALWAYS),
    ("up_4", 2, 1, _MOST),  # exists in `most` only
)
_OASIS_WIDTHS = (16, 16, 16, 8, 4, 2, 1)


class Stage(NamedTuple):
    """One block of the trunk. `doubled`: a nearest ×2 upsampling stands before it."""

    block: SpadeBlock
    doubled: bool


class PublishedGenerator(nn.Module):
    """What SPADE and OASIS share: a start layer, residual blocks, and a last convolution.

    label_channels: N, classes including "don't care". instance_edges: whether an edge channel follows them.
    style_dim: D of the style code, 0 without one. start_grid: (h, w) of the only start grid that it can
    paint from, or None for any.
    """

    label_channels: int
    instance_edges: bool
    style_dim: int
    start_grid: tuple[int, int] | None
    fc: nn.Conv2d | nn.Linear
    conv_img: nn.Conv2d

    @property
    def stages(self) -> list[Stage]:
        """The blocks in order."""
        raise NotImplementedError

    @property
    def stride(self) -> int:
        """Pixels per cell of the start grid; sides of a map are multiples of it."""
        return 2 ** sum(stage.doubled for stage in self.stages)

    def grids(self, height: int, width: int) -> list[tuple[int, int]]:
        """(h, w) at which each stage's block works, for an H×W picture."""
        h, w = height // self.stride, width // self.stride
        grids: list[tuple[int, int]] = []
        for stage in self.stages:
            h, w = (2 * h, 2 * w) if stage.doubled else (h, w)
            grids.append((h, w))
        return grids

    def code_from_normal(self, normal: Tensor) -> Tensor:
        """Standard normal draws (…, D) → style codes (…, D): the published prior is the standard normal."""
        return normal

    def _check_size(self, height: int, width: int) -> None:
        if height % self.stride or width % self.stride or not height or not width:
            raise ValueError(
                f"a {width}×{height} map: both sides must be positive multiples of {self.stride}"
            )
        if self.start_grid is None:
            return
        only_height, only_width = (self.stride * cells for cells in self.start_grid)
        if (height, width) != (only_height, only_width):
            raise ValueError(
                f"a {width}×{height} map: this model paints {only_width}×{only_height} pixels only"
            )

    def _check_style(self, style: Tensor | None) -> None:
        found = 0 if style is None else style.shape[1]
        if found != self.style_dim:
            raise ValueError(f"a style code of {found} values: this model has {self.style_dim}")

    def _paint(self, x: Tensor, condition: Callable[[int, int], Tensor]) -> Tensor:
        """The trunk: start activation (B, C, h, w), and the blocks' input map for a size → (B, 3, H, W)."""
        for block, doubled in self.stages:
            x = F.interpolate(x, scale_factor=2, mode="nearest") if doubled else x
            x = block(x, condition(x.shape[2], x.shape[3]))
        return torch.tanh(self.conv_img(F.leaky_relu(x, LEAK)).float())


class SpadeGenerator(PublishedGenerator):
    """The SPADE generator (sec. 3, figs. 4 and 11), 256 pixels and up.

    The map is one-hot, with one more channel of instance edges in some models. Without a VAE the trunk starts
    from the map and takes any size; with one it starts from the style code, on a fixed grid.

    Args:
        label_channels: N, classes including "don't care", without the edge channel.
        width: channels of the last block (half of it in `most`); the widest has 16 times as many.
        upsampling: "normal" doubles five times, "more" six, "most" seven.
        instance_edges: whether the last channel of the input is an instance edge map.
        style_dim: D of the VAE's style code; 0 for a model without VAE.
        start_grid: (h, w) of the start grid; needed with a VAE, None without.
        statistics: "batch" (running statistics at inference) or "instance".
        hidden: width of the label layer inside each norm.
        kernel: side of the norms' convolutions, odd.
        convolution: builds the blocks' own convolutions: under spectral norm in training, plain in a model.

    Raises:
        ValueError: a start grid without VAE or a VAE without, or an odd width for `most`.
    """

    def __init__(
        self,
        label_channels: int,
        width: int = 64,
        *,
        upsampling: Upsampling = "normal",
        instance_edges: bool = False,
        style_dim: int = 0,
        start_grid: tuple[int, int] | None = None,
        statistics: Statistics = "batch",
        hidden: int = 128,
        kernel: int = 3,
        convolution: Callable[..., nn.Module] = nn.Conv2d,
    ) -> None:
        super().__init__()
        if bool(style_dim) != (start_grid is not None):
            raise ValueError("a VAE's style code and a fixed start grid come together")
        if upsampling == "most" and width % 2:
            raise ValueError(f"a width of {width}: 'most' halves it")
        self.label_channels, self.instance_edges = label_channels, instance_edges
        self.style_dim, self.start_grid, self.upsampling = style_dim, start_grid, upsampling
        channels = label_channels + instance_edges

        def norm(features: int) -> SpadeNorm:
            return SpadeNorm(features, channels, hidden, statistics_of(statistics), kernel)

        if start_grid is None:
            self.fc = nn.Conv2d(channels, 16 * width, 3, padding=1)
        else:
            self.fc = nn.Linear(style_dim, 16 * width * start_grid[0] * start_grid[1])
        for name, fin, fout, _ in self._layout:
            self.add_module(name, SpadeBlock(fin * width // 2, fout * width // 2, norm, convolution))
        self.conv_img = nn.Conv2d(self._layout[-1][2] * width // 2, 3, 3, padding=1)

    @property
    def _layout(self) -> tuple[tuple[str, int, int, frozenset[str]], ...]:
        return _SPADE_BLOCKS if self.upsampling == "most" else _SPADE_BLOCKS[:-1]

    @property
    def stages(self) -> list[Stage]:
        return [
            Stage(getattr(self, name), self.upsampling in doubling) for name, _, _, doubling in self._layout
        ]

    def condition(self, labels: Tensor, edges: Tensor | None, height: int, width: int) -> Tensor:
        """What the norms read at one resolution: labels (B, H, W), edges bool (B, H, W) or None → the one-hot
        map and its edge channel, (B, N [+ 1], height, width)."""
        dtype = self.conv_img.weight.dtype
        onehot = one_hot(resize_labels(labels, height, width), self.label_channels, dtype)
        if edges is None:
            return onehot
        return torch.cat([onehot, resize_labels(edges, height, width).unsqueeze(1).to(dtype)], dim=1)

    def forward(self, labels: Tensor, edges: Tensor | None = None, style: Tensor | None = None) -> Tensor:
        """Paint.

        Args:
            labels: integer (B, H, W), ids 0 … N−1; H and W multiples of `stride`, and with a VAE exactly
                `stride` times the start grid.
            edges: bool (B, H, W), see `models.spade.instance_edges`; only for models with an edge channel,
                where None takes the borders between labels.
            style: float32 (B, D); only, and always, for models with a VAE.

        Returns:
            (B, 3, H, W) in [−1, 1], RGB, float32.

        Raises:
            ValueError: another size, or edges or a style that do not fit the model.
        """
        height, width = labels.shape[-2:]
        self._check_size(height, width)
        self._check_style(style)
        if edges is not None and not self.instance_edges:
            raise ValueError("instance edges: this model has no channel for them")
        if edges is None and self.instance_edges:
            edges = instance_edges(labels)

        def condition(h: int, w: int) -> Tensor:
            return self.condition(labels, edges, h, w)

        if style is None or self.start_grid is None:
            return self._paint(self.fc(condition(height // self.stride, width // self.stride)), condition)
        start = self.fc(style.to(self.fc.weight.dtype)).unflatten(1, (-1, *self.start_grid))
        return self._paint(start, condition)


class OasisGenerator(PublishedGenerator):
    """The OASIS generator (sec. 3.3): SPADE blocks that read a noise tensor beside the map, everywhere.

    Args:
        label_channels: N, classes including "don't care" (id 0).
        width: channels of the last block; the widest has 16 times as many.
        style_dim: D of the noise z, which stands before the one-hot map; 64 in the published models.
        statistics, hidden, kernel, convolution: as in `SpadeGenerator`.
    """

    def __init__(
        self,
        label_channels: int,
        width: int = 64,
        *,
        style_dim: int = 64,
        statistics: Statistics = "batch",
        hidden: int = 128,
        kernel: int = 3,
        convolution: Callable[..., nn.Module] = nn.Conv2d,
    ) -> None:
        super().__init__()
        self.label_channels, self.instance_edges = label_channels, False
        self.style_dim, self.start_grid = style_dim, None
        channels = style_dim + label_channels

        def norm(features: int) -> SpadeNorm:
            return SpadeNorm(features, channels, hidden, statistics_of(statistics), kernel)

        widths = [factor * width for factor in _OASIS_WIDTHS]
        self.fc = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.body = nn.ModuleList(SpadeBlock(fin, fout, norm, convolution) for fin, fout in pairwise(widths))
        self.conv_img = nn.Conv2d(widths[-1], 3, 3, padding=1)

    @property
    def stages(self) -> list[Stage]:
        # Published as "doubled after every block but the last".
        return [
            Stage(block, level > 0) for level, block in enumerate(self.body) if isinstance(block, SpadeBlock)
        ]

    def condition(self, labels: Tensor, style: Tensor, height: int, width: int) -> Tensor:
        """What the norms read at one resolution: labels (B, H, W), z (B, D) or (B, D, H, W) → (B, D + N,
        height, width), z first."""
        dtype = self.conv_img.weight.dtype
        onehot = one_hot(resize_labels(labels, height, width), self.label_channels, dtype)
        if style.ndim == 4:
            z = resize_labels(style, height, width)
        else:
            z = style[:, :, None, None].expand(-1, -1, height, width)
        return torch.cat([z.to(dtype), onehot], dim=1)

    def forward(self, labels: Tensor, style: Tensor) -> Tensor:
        """Paint.

        Args:
            labels: integer (B, H, W), ids 0 … N−1; H and W multiples of `stride`.
            style: z, float32 (B, D), or (B, D, H, W) where it differs from pixel to pixel: regions with a z
                of their own are pixels that share one. It is resized as the map is, to the nearest.

        Returns:
            (B, 3, H, W) in [−1, 1], RGB, float32.

        Raises:
            ValueError: another size, or a z that does not fit the model or the map.
        """
        height, width = labels.shape[-2:]
        self._check_size(height, width)
        self._check_style(style)
        if style.ndim == 4 and style.shape[-2:] != labels.shape[-2:]:
            raise ValueError(f"z for {tuple(style.shape[-2:])} pixels: the map has {(height, width)}")

        def condition(h: int, w: int) -> Tensor:
            return self.condition(labels, style, h, w)

        return self._paint(self.fc(condition(height // self.stride, width // self.stride)), condition)
