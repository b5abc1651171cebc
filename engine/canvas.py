"""What one picture depends on, and what is kept of it to paint the next one fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.device import upload
from engine.modulation import NOTED_EVERY, LevelTables, most_windows, row_bytes
from engine.patterns import REACH, Cells, Numbers, at_most_distinct, cells_of, distinct_windows
from models.spade import instance_edges

LabelMap = NDArray[np.uint8]
InstanceMap = NDArray[np.uint16]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Rect:
    """Rows top … bottom−1, columns left … right−1."""

    top: int
    left: int
    bottom: int
    right: int

    def __bool__(self) -> bool:
        return self.top < self.bottom and self.left < self.right

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, by: int, height: int, width: int) -> Rect:
        """With a margin, cut to a height × width plane."""
        return Rect(
            max(0, self.top - by),
            max(0, self.left - by),
            min(height, self.bottom + by),
            min(width, self.right + by),
        )

    def union(self, other: Rect | None) -> Rect:
        if other is None:
            return self
        return Rect(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def sampled(self, factor: int) -> Rect:
        """Which cells of a grid that takes every factor-th pixel lie inside."""
        return Rect(*(-(-side // factor) for side in (self.top, self.left, self.bottom, self.right)))


class Level:
    """One resolution of a canvas: its cells, and which row of the tables each takes."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells  # a view of the canvas's
        self.index: Tensor | None = None  # int32 (1, h, w) on the device; None where windows are too many
        self._numbers: Numbers | None = None
        self._tables: LevelTables | None = None
        self._generation = -1
        self._at_most = 0  # distinct windows, counted generously
        self._noted = 0  # the last frame in which the tables were told of every row
        self._dirty: Rect | None = self._whole

    @property
    def _whole(self) -> Rect:
        return Rect(0, 0, *self.cells.shape)

    @property
    def nbytes(self) -> int:
        """Of the numbers, whether or not they are there at the moment."""
        return 4 * self.cells.size

    def mark(self, rect: Rect) -> None:
        """These cells have changed."""
        if rect:
            self._dirty = rect.union(self._dirty)

    def prepare(self, tables: LevelTables, frame: int) -> None:
        """Bring the index up to date, and the tables with it, whatever the tables held before."""
        if self._tables is not tables or self._generation != tables.generation:
            self.index = None
            self._tables, self._generation, self._numbers = tables, tables.generation, None
            self._dirty = self._whole
        if self._dirty is not None:
            self._renumber(tables, self._dirty, frame)
            self._dirty = None
        elif frame - self._noted >= NOTED_EVERY:
            self.note(frame)

    def note(self, frame: int) -> None:
        """Tell the tables of every row that a frame takes."""
        tables = self._tables
        if self._numbers is not None and tables is not None and tables.generation == self._generation:
            tables.use(self._numbers, frame)
            self._noted = frame

    def _renumber(self, tables: LevelTables, dirty: Rect, frame: int) -> None:
        height, width = self.cells.shape
        most = most_windows(height * width, row_bytes(tables.norms, tables.dtype))
        # Shared numbers must not run out: a large piece is counted before it is numbered, and tables that
        # others of a batch have filled are left alone. (This canvas is then painted alone, with fresh ones.)
        large = self._numbers is None or dirty.area > most
        if tables.vocabulary.full or (large and not self._few(most)):
            self._numbers = self.index = None
            return
        rect = self._whole if self._numbers is None else dirty.grown(REACH, height, width)
        new = tables.numbers(_around(self.cells, rect))
        if self._numbers is None:
            numbers, self._at_most = new, 0
        else:
            numbers = self._numbers
            numbers[rect.slices] = new
        self._at_most += tables.distinct(new)
        if self._at_most > most:
            self._at_most = tables.distinct(numbers)
            if self._at_most > most:
                self._numbers = self.index = None
                return
        tables.use(new, frame)
        if rect == self._whole:
            self._noted = frame
        self._numbers = numbers
        self.index = upload(numbers, tables.device).unsqueeze(0)

    def _few(self, most: int) -> bool:
        return at_most_distinct(self.cells) <= most or distinct_windows(self.cells, most) <= most


def _around(cells: Cells, rect: Rect) -> Cells:
    """The cells of a rectangle and two more on each side, OUTSIDE beyond the map: (h + 4, w + 4)."""
    height, width = cells.shape
    inner = rect.grown(REACH, height, width)
    before = REACH - (rect.top - inner.top), REACH - (rect.left - inner.left)
    after = REACH - (inner.bottom - rect.bottom), REACH - (inner.right - rect.right)
    return np.pad(cells[inner.slices], ((before[0], after[0]), (before[1], after[1])))


class Canvas:
    """A label map, with its instances and its styles, padded to whole cells of the start grid by its own
    edge.

    Args:
        width, height: of the map. padded: (H, W) that is painted, at least as large.
        factors: pixels per cell of each level. instance_edges: whether the model reads those.
        label: the class that everything is at first.
    """

    def __init__(
        self,
        width: int,
        height: int,
        padded: tuple[int, int],
        factors: Sequence[int],
        *,
        instance_edges: bool,
        label: int,
    ) -> None:
        self.width, self.height, self.padded = width, height, padded
        self.labels: LabelMap = np.full((height, width), label, np.uint8)
        self.instances: InstanceMap | None = None
        self.style_map: Cells | None = None
        self._has_edges = instance_edges
        self._cells: Cells = np.zeros(padded, np.int32)
        self.levels = [Level(self._cells[::factor, ::factor]) for factor in factors]
        self._factors = factors
        self._dirty: Rect | None = Rect(0, 0, height, width)
        self.changed: Rect | None = None  # in pixels, since the caller last cleared it

    @property
    def nbytes(self) -> int:
        """What is kept between pictures."""
        return self.labels.nbytes + self._cells.nbytes + sum(level.nbytes for level in self.levels)

    def put(self, x: int, y: int, labels: LabelMap) -> None:
        """Replace a rectangle, which lies inside."""
        height, width = labels.shape
        x, y = int(x), int(y)
        self.labels[y : y + height, x : x + width] = labels
        self._dirty = Rect(y, x, y + height, x + width).union(self._dirty)

    def put_instances(self, instances: InstanceMap | None) -> None:
        self.instances = instances
        self._dirty = Rect(0, 0, self.height, self.width)

    def put_styles(self, style_map: Cells | None) -> None:
        """Which style code each pixel takes: int32 (h, w), or None for the first one everywhere."""
        self.style_map = style_map
        self._dirty = Rect(0, 0, self.height, self.width)

    def refresh(self) -> None:
        """Bring the cells, and what the levels know of them, up to date."""
        if self._dirty is None:
            return
        height, width = self.padded
        # The last row and column stand for all that follow them.
        reached = Rect(
            self._dirty.top,
            self._dirty.left,
            height if self._dirty.bottom == self.height else self._dirty.bottom,
            width if self._dirty.right == self.width else self._dirty.right,
        )
        rect = reached.grown(int(self._has_edges), height, width)
        self._cells[rect.slices] = self._cells_in(rect)
        for level, factor in zip(self.levels, self._factors, strict=True):
            level.mark(rect.sampled(factor))
        self.changed, self._dirty = rect.union(self.changed), None

    def _cells_in(self, rect: Rect) -> Cells:
        labels = self._piece(self.labels, rect)
        styles = None if self.style_map is None else self._piece(self.style_map, rect)
        if not self._has_edges:
            return cells_of(labels, None, styles)
        around = rect.grown(1, *self.padded)
        if self.instances is None:
            instances = self._piece(self.labels, around).astype(np.int32)
        else:
            instances = self._piece(self.instances, around).astype(np.int32)
        edges = instance_edges(torch.from_numpy(instances).unsqueeze(0))[0].numpy()
        inner = Rect(
            rect.top - around.top, rect.left - around.left, rect.bottom - around.top, rect.right - around.left
        )
        return cells_of(labels, edges[inner.slices], styles)

    def _piece(self, plane: NDArray[Scalar], rect: Rect) -> NDArray[Scalar]:
        rows = np.minimum(np.arange(rect.top, rect.bottom), self.height - 1)
        columns = np.minimum(np.arange(rect.left, rect.right), self.width - 1)
        return plane[rows[:, None], columns[None, :]]
