"""The recorded strokes, and the hand that replays them: what it paints in each tick. Pure.

strokes.json holds mouse paths with their times, made by benchmarks/strokes.py. Their dabs are rasterised
once for a canvas size; each painter shifts them, takes other labels and begins elsewhere, as its seed says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

FILE: Final = Path(__file__).parent / "strokes.json"
TICK: Final = 1 / 30
"""Seconds: a painter sends at most one patch in each."""
_SHIFT: Final = 0.12
"""How far a painter's strokes lie from the recorded ones at most, in canvas sides."""

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Rect:
    """Pixels of the canvas, at least one."""

    x: int
    y: int
    width: int
    height: int

    def around(self, other: Rect) -> Rect:
        """The smallest that holds both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        right = max(self.x + self.width, other.x + other.width)
        bottom = max(self.y + self.height, other.y + other.height)
        return Rect(x, y, right - x, bottom - y)


@dataclass(frozen=True, slots=True)
class Dab:
    """What a brush covers in one tick: a mask, bool (height, width), at (x, y), which may leave the
    canvas."""

    x: int
    y: int
    mask: npt.NDArray[np.bool_]

    def put(self, labels: Labels, label: int, dx: int, dy: int) -> Rect | None:
        """Paint it on a map, moved by (dx, dy); the pixels it may have changed, None if it lies outside."""
        height, width = labels.shape
        x, y = self.x + dx, self.y + dy
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + self.mask.shape[1], width), min(y + self.mask.shape[0], height)
        if left >= right or top >= bottom:
            return None
        inside = self.mask[top - y : bottom - y, left - x : right - x]
        labels[top:bottom, left:right][inside] = label
        return Rect(left, top, right - left, bottom - top)


@dataclass(frozen=True, slots=True)
class Stroke:
    """One press of the button: the pause before it, in seconds, a label's place in its set, a dab per
    tick."""

    pause: float
    label: int
    dabs: tuple[Dab, ...]


@lru_cache(maxsize=4)
def strokes(size: int) -> tuple[Stroke, ...]:
    """The recorded strokes on a canvas of size × size."""
    document = json.loads(FILE.read_text(encoding="utf-8"))
    scale = size / document["units"]
    return tuple(_stroke(recorded, scale) for recorded in document["strokes"])


def _stroke(recorded: dict[str, Any], scale: float) -> Stroke:
    points = np.array(recorded["points"], np.float64) * (1e-3, scale, scale)
    radius = max(0.5, recorded["brush"] * scale / 2)
    ticks = np.floor(points[:, 0] / TICK).astype(int)
    dabs: list[Dab] = []
    for tick in range(int(ticks[-1]) + 1):
        (here,) = np.nonzero(ticks == tick)
        if here.size:  # with the last point of the tick before, so that the line has no gaps
            dabs.append(_dab(points[max(here[0] - 1, 0) : here[-1] + 1, 1:], radius))
    return Stroke(recorded["pause_ms"] / 1000, recorded["label"], tuple(dabs))


def _dab(points: npt.NDArray[np.float64], radius: float) -> Dab:
    """A round brush drawn through the points (n, 2): pixels whose centres are no farther than its radius."""
    low = np.floor(points.min(0) - radius).astype(int)
    high = np.ceil(points.max(0) + radius).astype(int)
    xs = np.arange(low[0], high[0]) + 0.5
    ys = np.arange(low[1], high[1]) + 0.5
    centres = np.stack(np.broadcast_arrays(xs[None, :], ys[:, None]), -1)  # (height, width, 2)
    mask = np.zeros(centres.shape[:2], np.bool_)
    for begin, end in zip(points, [*points[1:], points[-1]], strict=True):
        along = end - begin
        length = float(along @ along)
        place = np.clip((centres - begin) @ along / length, 0, 1) if length else np.zeros(mask.shape)
        away = centres - begin - place[..., None] * along
        mask |= np.square(away).sum(-1) <= radius**2
    return Dab(int(low[0]), int(low[1]), mask)


@dataclass(frozen=True, slots=True)
class Move:
    """What a hand does next: wait for `seconds`, then paint `dab` with `label`, moved by (dx, dy)."""

    seconds: float
    dab: Dab
    label: int
    dx: int
    dy: int


def moves(size: int, label_ids: Sequence[int], seed: int, *, think: float = 1.0) -> Iterator[Move]:
    """A painter's moves, without end.

    Args:
        size: side of the canvas.
        label_ids: ids that it may paint.
        seed: which painter it is.
        think: pauses between strokes are so many times as long as recorded.
    """
    rng = np.random.default_rng(seed)
    all_strokes = strokes(size)
    first, turn = int(rng.integers(len(all_strokes))), int(rng.integers(len(label_ids)))
    reach = int(_SHIFT * size)
    while True:
        for number in range(len(all_strokes)):
            stroke = all_strokes[(first + number) % len(all_strokes)]
            dx, dy = (int(rng.integers(-reach, reach + 1)) for _ in range(2))
            label = label_ids[(stroke.label + turn) % len(label_ids)]
            pause = stroke.pause * think * float(rng.uniform(0.7, 1.3))
            for place, dab in enumerate(stroke.dabs):
                yield Move(pause if place == 0 else TICK, dab, label, dx, dy)


def first_map(size: int, label_ids: Sequence[int], seed: int) -> Labels:
    """What a painter begins with: a few bands, uint8 (size, size)."""
    rng = np.random.default_rng(seed)
    bands = np.sort(rng.integers(0, size, 3))
    chosen = rng.choice(np.array(label_ids, np.uint8), 4)
    rows = chosen[np.searchsorted(bands, np.arange(size), "right")]
    return np.repeat(rows[:, None], size, 1)
