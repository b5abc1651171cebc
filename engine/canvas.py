"""What one picture depends on, and what is kept of it to paint the next one fast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.device import upload
from engine.modulation import NOTED_EVERY, LevelTables, most_windows, row_bytes
from engine.patterns import REACH, Cells, Numbers, at_most_distinct, cells_of, distinct_windows
from engine.rect import Rect
from engine.regions import BlendLevel, Blends, StylePlane
from models.spade import instance_edges

LabelMap = NDArray[np.uint8]
InstanceMap = NDArray[np.uint16]
Scalar = TypeVar("Scalar", bound=np.generic)


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

    def let_go(self) -> int:
        """Forget the numbers, and the tables that they are rows of; how many bytes that was."""
        held = 0 if self._numbers is None else self._numbers.nbytes
        held += 0 if self.index is None or self.index.device.type == "cpu" else self.index.nbytes
        self.index = self._numbers = self._tables = None
        return held

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
        distinct = tables.distinct(new)
        self._at_most += distinct
        if self._at_most > most:
            self._at_most = tables.distinct(numbers)
            if self._at_most > most:
                self._numbers = self.index = None
                return
        tables.use(new, frame, distinct)
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
        blends: of styles, where they act after the labels; else a cell holds its style's number too.
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
        blends: Blends | None = None,
    ) -> None:
        self.width, self.height, self.padded = width, height, padded
        self.labels: LabelMap = np.full((height, width), label, np.uint8)
        self.instances: InstanceMap | None = None
        self.style_plane: StylePlane | None = None  # None where it would be all 0
        self.blends = blends
        self._has_edges = instance_edges
        self._cells: Cells = np.zeros(padded, np.int32)
        self.levels = [Level(self._cells[::factor, ::factor]) for factor in factors]
        self._factors = factors
        self._dirty: Rect | None = Rect(0, 0, height, width)
        self._restyled: Rect | None = None
        self.changed: Rect | None = None  # in pixels, since the caller last cleared it

    @property
    def nbytes(self) -> int:
        """What is kept between pictures."""
        styles = 0 if self.style_plane is None else self.style_plane.nbytes
        blends = 0 if self.blends is None else self.blends.nbytes
        levels = sum(level.nbytes for level in self.levels)
        return self.labels.nbytes + self._cells.nbytes + levels + styles + blends

    def keep_blends_within(self, most: int) -> None:
        """Forget the blends of styles if they take more bytes: the next picture makes them again."""
        if self.blends is not None and self.blends.nbytes > most:
            self.blends.clear()

    def let_go(self) -> int:
        """Forget what follows from the planes; how many bytes that was. Not while it is painted."""
        held = sum(level.let_go() for level in self.levels)
        if self.blends is not None:
            held += self.blends.nbytes
            self.blends.clear()
        return held

    @property
    def blend_levels(self) -> Sequence[BlendLevel]:
        """The blends of styles, by level, once refreshed; none where one style acts everywhere."""
        return () if self.blends is None else self.blends.levels

    def put(self, x: int, y: int, labels: LabelMap) -> None:
        """Replace a rectangle, which lies inside."""
        height, width = labels.shape
        x, y = int(x), int(y)
        self.labels[y : y + height, x : x + width] = labels
        self._dirty = Rect(y, x, y + height, x + width).union(self._dirty)

    def put_instances(self, instances: InstanceMap | None) -> None:
        self.instances = instances
        self._dirty = Rect(0, 0, self.height, self.width)

    def put_styles(self, x: int, y: int, numbers: StylePlane) -> None:
        """Say for a rectangle, which lies inside, which style each pixel takes."""
        if self.style_plane is None and not numbers.any():
            return
        height, width = numbers.shape
        plane = np.zeros_like(self.labels) if self.style_plane is None else self.style_plane
        plane[y : y + height, x : x + width] = numbers
        self.style_plane = plane if plane.any() else None
        rect = Rect(y, x, y + height, x + width)
        if self.blends is None:
            self._dirty = rect.union(self._dirty)
        else:
            self._restyled = rect.union(self._restyled)

    def refresh(self) -> None:
        """Bring the cells, and what the levels know of them, up to date; and the blends of styles."""
        if self._dirty is not None:
            rect = self._reached(self._dirty, int(self._has_edges))
            self._cells[rect.slices] = self._cells_in(rect)
            for level, factor in zip(self.levels, self._factors, strict=True):
                level.mark(rect.sampled(factor))
            self.changed, self._dirty = rect.union(self.changed), None
        if self.blends is not None:
            self._refresh_blends(self.blends)

    def _refresh_blends(self, blends: Blends) -> None:
        plane, rect = self.style_plane, Rect(0, 0, 0, 0)
        if self._restyled is not None:
            rect = self._reached(self._restyled, blends.reach)
        if plane is None:
            blends.clear()
        elif rect or not blends.levels:  # what was let go is made anew, and changes nothing that is seen
            blends.refresh(lambda part: self._piece(plane, part), rect)
        if rect:
            self.changed = rect.union(self.changed)
        self._restyled = None

    def _reached(self, rect: Rect, margin: int) -> Rect:
        """All that a rectangle of the map changes, so many pixels around it included."""
        height, width = self.padded
        # The last row and column stand for all that follow them.
        reached = Rect(
            rect.top,
            rect.left,
            height if rect.bottom == self.height else rect.bottom,
            width if rect.right == self.width else rect.right,
        )
        return reached.grown(margin, height, width)

    def _cells_in(self, rect: Rect) -> Cells:
        labels = self._piece(self.labels, rect)
        plane = self.style_plane if self.blends is None else None
        styles = None if plane is None else self._piece(plane, rect)
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
        """A rectangle of a plane, which goes on beyond its edges as it is there."""
        rows = np.arange(rect.top, rect.bottom).clip(0, self.height - 1)
        columns = np.arange(rect.left, rect.right).clip(0, self.width - 1)
        return plane[rows[:, None], columns[None, :]]
