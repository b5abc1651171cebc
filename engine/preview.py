"""Live preview: after an edit, the trunk is recomputed only near it.

An edit's exact influence reaches far, through every convolution, but it fades fast. So each block is computed
in a window around the edit, from activations kept of the frame before, and everything beyond stays as it was.
The exact frame follows when the hand rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backend import Backend
from engine.modulation import Extras, Level, TableLevel
from engine.network import Network, Stage
from engine.rect import Rect
from engine.trunk import Trunk, to_bytes

Picture = NDArray[np.uint8]
# How far beyond the edit each resolution is recomputed, in its own cells, by pixels per cell; chosen by
# measuring what the preview then misses (docs/benchmarks.md: "live").
_MARGINS = {1: 33, 2: 17, 4: 9, 8: 6, 16: 4}
_COARSE_MARGIN = 2
_BLOCK_REACH = 2  # cells from a block's output to what its two convolutions read
_MOST = 0.6  # of a frame's pixels, beyond which the exact frame costs hardly more


class Preview:
    """The activations of one painter's last frame.

    Args:
        size: (H, W) of the padded canvas.
    """

    def __init__(self, network: Network, backend: Backend, size: tuple[int, int]) -> None:
        self._network = network
        self.outputs = [
            torch.zeros(1, *(side // network.factors[stage.level] for side in size), stage.conv_1.fout,
                        device=backend.device, dtype=backend.dtype)
            for stage in network.stages
        ]  # fmt: skip
        self._picture: Picture = np.zeros((*size, 3), np.uint8)

    @staticmethod
    def needs(network: Network, backend: Backend, size: tuple[int, int]) -> int:
        """Bytes that a preview of this size would keep."""
        cells = (size[0] * size[1] // network.factors[s.level] ** 2 * s.conv_1.fout for s in network.stages)
        return sum(cells) * backend.dtype.itemsize + size[0] * size[1] * 3

    @staticmethod
    def possible(network: Network) -> bool:
        """Not where a norm takes its statistics from the whole frame."""
        return all(norm.statistics is not None for norm in network.norms)

    @property
    def nbytes(self) -> int:
        return sum(output.nbytes for output in self.outputs) + self._picture.nbytes

    def begin(self, picture: Picture) -> None:
        """An exact frame has been painted, into `outputs`: its picture."""
        self._picture[:] = picture

    @property
    def picture(self) -> Picture:
        """The last picture, uint8 (H, W, 3)."""
        return self._picture

    def covers(self, changed: Rect) -> bool:
        """Whether recomputing a window is worth while for this change."""
        height, width = self._picture.shape[:2]
        window = changed.grown(_MARGINS[1], height, width)
        return (window.bottom - window.top) * (window.right - window.left) <= _MOST * height * width

    def update(
        self, trunk: Trunk, start: Tensor, levels: Sequence[Level], extras: Extras, changed: Rect
    ) -> None:
        """Recompute near a change.

        Args:
            changed: in pixels. levels: all of them tables.
        """
        x = start
        for stage in self._network.stages:
            level = levels[stage.level]
            if not isinstance(level, TableLevel):
                raise TypeError("a preview needs tables")
            self._update_stage(trunk, stage, x, level, extras, changed)
            x = self.outputs[stage.number]
        height, width = self._picture.shape[:2]
        fresh = self._window(changed, 1, height, width).grown(1, height, width)
        around = fresh.grown(1, height, width)
        pixels = to_bytes(trunk.picture(_cut(x, around)))[0].numpy()
        self._picture[fresh.slices] = pixels[_within(fresh, around).slices]

    def _update_stage(
        self, trunk: Trunk, stage: Stage, x: Tensor, level: TableLevel, extras: Extras, changed: Rect
    ) -> None:
        height, width = level.size
        window = self._window(changed, self._network.factors[stage.level], height, width)
        around = window.grown(_BLOCK_REACH, height, width)
        if stage.doubled:
            around = Rect(around.top & ~1, around.left & ~1, around.bottom + 1 & ~1, around.right + 1 & ~1)
        source = around.sampled(2) if stage.doubled else around
        part = replace(level, index=_cut(level.index, around))
        noises = [
            _cut(field, around) if i == stage.number else field for i, field in enumerate(extras.noises)
        ]
        blends = [_cut(one, around) if i == stage.level else one for i, one in enumerate(extras.blends)]
        y = trunk.block(stage, _cut(x, source), part, Extras(extras.posts, noises, blends))
        self.outputs[stage.number][(slice(None), *window.slices)] = y[
            (slice(None), *_within(window, around).slices)
        ]
        trunk.workspace.give(y)

    @staticmethod
    def _window(changed: Rect, factor: int, height: int, width: int) -> Rect:
        """The cells of one resolution that are recomputed."""
        touched = Rect(
            changed.top // factor,
            changed.left // factor,
            -(-changed.bottom // factor),
            -(-changed.right // factor),
        )
        return touched.grown(_MARGINS.get(factor, _COARSE_MARGIN), height, width)


def _cut(plane: Tensor, rect: Rect) -> Tensor:
    """A rectangle of (B, h, w, …), contiguous."""
    return plane[(slice(None), *rect.slices)].contiguous()


def _within(rect: Rect, around: Rect) -> Rect:
    """A rectangle in the coordinates of one that holds it."""
    return Rect(
        rect.top - around.top, rect.left - around.left, rect.bottom - around.top, rect.right - around.left
    )
