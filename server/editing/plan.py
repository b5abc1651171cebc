"""Where to paint: the crop of a picture around a region, and the size at which a model paints it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Region = npt.NDArray[np.bool_]

_MARGIN: Final = 0.5
"""Surroundings on each side, in parts of the region's longer side: what a model needs to see of the scene."""
_LEAST_MARGIN: Final = 0.125  # of the model's native side
_LARGEST: Final = 2
"""Pictures are painted at most so many times the model's native size: textures keep their size in pixels, so
much larger ones hold things that are too small."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def rows(self) -> slice:
        return slice(self.y, self.y + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.x, self.x + self.width)


@dataclass(frozen=True, slots=True)
class Canvas:
    """What a model paints: its native sides, its stride, and the largest picture (width, height)."""

    native: tuple[int, int]
    stride: int
    largest: tuple[int, int]
    most_pixels: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The rectangle of the picture that is painted anew, and the width and height at which that happens."""

    box: Box
    width: int
    height: int

    @property
    def scale(self) -> float:
        """Painted pixels for each of the picture's."""
        return self.width / self.box.width


def bounding_box(region: Region) -> Box | None:
    """The smallest rectangle that holds the region; None if it is empty."""
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if not rows.size:
        return None
    x, y = int(columns[0]), int(rows[0])
    return Box(x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y)


def plan_crop(size: tuple[int, int], around: Box, canvas: Canvas, *, whole: bool = False) -> Plan:
    """Which part of a picture of `size` (width, height) to paint, and how large.

    A picture that the model paints whole at its own size is painted so: always when it is small, else when
    `whole` asks for it and the limits allow it. Of larger ones, the region with its surroundings is.
    """
    picture = Box(0, 0, *size)
    if (whole or max(size) <= _LARGEST * max(canvas.native)) and _fits(size, canvas):
        box = picture
        at_least = min(canvas.native) / max(size)
        return _sized(box, max(1.0, at_least) if not whole else 1.0, canvas)
    box = _with_margin(around, picture, canvas)
    return _sized(box, _LARGEST * max(canvas.native) / max(box.width, box.height), canvas)


def _fits(size: tuple[int, int], canvas: Canvas) -> bool:
    return (
        size[0] <= canvas.largest[0]
        and size[1] <= canvas.largest[1]
        and size[0] * size[1] <= canvas.most_pixels
    )


def _with_margin(around: Box, picture: Box, canvas: Canvas) -> Box:
    """The region's box grown by its surroundings, within the picture, and never smaller than the model's
    native size where the picture has as much."""
    margin = max(_MARGIN * max(around.width, around.height), _LEAST_MARGIN * max(canvas.native))
    x, width = _grown(around.x, around.width, margin, canvas.native[0], picture.width)
    y, height = _grown(around.y, around.height, margin, canvas.native[1], picture.height)
    return Box(x, y, width, height)


def _grown(start: int, length: int, margin: float, least: int, room: int) -> tuple[int, int]:
    wanted = min(room, max(math.ceil(length + 2 * margin), least))
    first = round(start + length / 2 - wanted / 2)
    return min(max(0, first), room - wanted), wanted


def _sized(box: Box, scale: float, canvas: Canvas) -> Plan:
    """The box at `scale`, or smaller where a limit asks for it. Enlarged or reduced crops get sides that are
    multiples of the stride where they are long enough for that to hardly change their shape."""
    scale = min(
        scale,
        canvas.largest[0] / box.width,
        canvas.largest[1] / box.height,
        math.sqrt(canvas.most_pixels / (box.width * box.height)),
    )
    if scale == 1:
        return Plan(box, box.width, box.height)
    return Plan(
        box,
        _side(box.width * scale, canvas.stride),
        _side(box.height * scale, canvas.stride),
    )


def _side(length: float, stride: int) -> int:
    """Down to a multiple of the stride, unless more than a sixteenth were lost."""
    whole = int(length) // stride * stride
    return whole if whole and length - whole <= length / 16 else max(1, int(length))
