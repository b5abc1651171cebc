"""Patterns → (scale, shift): the tables of a model's norms, shared by its painters, kept across strokes.

The hidden layer of a norm is computed once for each distinct 3×3 window and γ, β once for each distinct 5×5
window, for any weights exactly what the two convolutions give. A map with too many distinct windows (noise)
is convolved instead, `DenseLevel`; which of the two depends on the map alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from torch import Tensor

from engine.backend import Backend, Modulation
from engine.device import upload
from engine.network import LabelConv, Norm
from engine.patterns import MOST_NUMBERS, Cells, Numbers, Vocabulary

FEW_WINDOWS = 8192  # always a table
LARGEST_TABLE = 96 << 20  # bytes of one map's rows at one resolution
NOTED_EVERY = 8  # frames: how often a map in use says so again of rows that it used before
_VOCABULARY = 64  # bytes that a window takes in the vocabulary
_MOST_INPUTS = 4096  # distinct 3×3 windows that rows are computed from at a time
_STRIP = 8 << 20  # bytes of modulation at a time where there is no table
MOST_KEPT = 64 << 20
"""Bytes of tables of which a part is worth keeping. What is kept is numbered anew, at some 150 MB a second,
between two frames that everybody waits for; what is computed again costs each painter a few hundredths of a
second, in its own next frame."""
_KEPT = 0.5  # of the budget, once it is exceeded: forgetting is work, and not for every frame


def most_windows(pixels: int, row_bytes: int) -> int:
    """The most distinct windows for which a resolution takes the table path."""
    return min(max(FEW_WINDOWS, pixels * 3 // 4), LARGEST_TABLE // row_bytes, MOST_NUMBERS // 8)


def row_bytes(norms: Sequence[Norm], dtype: torch.dtype) -> int:
    """What one 5×5 window costs at one resolution."""
    return sum(2 * norm.channels for norm in norms) * dtype.itemsize + _VOCABULARY


@dataclass
class RowCount:
    """Rows that maps asked for and that were there, and rows that had to be computed, since the start."""

    found: int = 0
    computed: int = 0


class LevelTables:
    """The rows of all norms at one resolution of one model: a row per distinct window met so far.

    Numbers are rows, until `forget` renumbers what it keeps and `generation` moves on.

    Args:
        norms: those at this resolution.
        codes: float32 (S, D), the style codes that cells name, where the hidden layer reads them (OASIS).
        count: where rows are counted, together with those of other tables.
    """

    def __init__(
        self, norms: Sequence[Norm], backend: Backend, codes: Tensor | None, count: RowCount | None = None
    ) -> None:
        self.norms, self._backend, self._count = norms, backend, count or RowCount()
        self.vocabulary, self.generation = Vocabulary(), 0
        self._styles = [norm.shared.style_rows(codes) for norm in norms]
        device, dtype = backend.device, backend.dtype
        self._rows = [torch.empty(0, 2 * norm.channels, device=device, dtype=dtype) for norm in self.norms]
        self._used = np.zeros(0, np.int64)  # the latest frame that took each row, −1 before it is computed

    @property
    def nbytes(self) -> int:
        """Everything that grows with the number of windows, and of style codes."""
        styles = sum(part.nbytes for part in self._styles if part is not None)
        return sum(part.nbytes for part in self._rows) + styles + self._used.nbytes + self.vocabulary.nbytes

    @property
    def last_used(self) -> int:
        """The latest frame that took a row from here, −1 if none did."""
        return int(self._used.max(initial=-1))

    @property
    def computed(self) -> int:
        """How many rows there are."""
        return int(np.count_nonzero(self._used >= 0))

    @property
    def device(self) -> torch.device:
        return self._backend.device

    @property
    def dtype(self) -> torch.dtype:
        return self._backend.dtype

    def uses(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For every row that was ever used, the latest frame that took it, and its share of the bytes."""
        frames = self._used[self._used >= 0]
        return frames, np.full(frames.size, self.nbytes // max(1, frames.size))

    def numbers(self, cells: Cells) -> Numbers:
        """Pattern numbers of a piece of a map: int32 (h + 4, w + 4), OUTSIDE around the map → (h, w)."""
        return self.vocabulary.numbers(cells)

    def distinct(self, numbers: Numbers) -> int:
        """How many distinct windows there are among some."""
        return int(np.count_nonzero(np.bincount(numbers.ravel(), minlength=1)))

    def use(self, numbers: Numbers, frame: int, distinct: int = 0) -> None:
        """Note that a frame takes these rows, and compute those that are new.

        `distinct`: how many windows there are among them, for the count of rows found; 0 for rows that were
        asked for before.
        """
        numbers, before = numbers.ravel(), self._count.computed
        if self._used.size < self.vocabulary.count:
            grown = np.full(_grown(self._used.size, self.vocabulary.count), -1)
            grown[: self._used.size] = self._used
            self._used = grown
        new = numbers[self._used[numbers] < 0]
        if new.size:
            self._compute(np.unique(new))
        self._used[numbers] = frame
        self._count.found += max(0, distinct - (self._count.computed - before))

    def table(self, norm: Norm) -> Tensor:
        """One norm's rows: (R, 2·C)."""
        return self._rows[self.norms.index(norm)]

    def forget(self, older_than: int) -> None:
        """Keep only rows that a frame from `older_than` on has used; everything is renumbered."""
        used = self._used[: self.vocabulary.count]
        kept = np.flatnonzero(used >= max(0, older_than)).astype(np.int32)
        if kept.size == np.count_nonzero(used >= 0) >= self.vocabulary.count - 1:
            return
        cells, used = self.vocabulary.cells(kept), used[kept]
        vocabulary = Vocabulary()
        renumbered = vocabulary.numbers(cells).reshape(-1)
        count = vocabulary.count if kept.size else 0
        rows = [part.new_empty(count, part.shape[1]) for part in self._rows]
        for mine, part in zip(rows, self._rows, strict=True):
            mine[self._on_device(renumbered)] = part[self._on_device(kept)]
        self.vocabulary, self.generation, self._rows = vocabulary, self.generation + 1, rows
        self._used = np.full(count, -1)
        self._used[renumbered] = used

    def let_go(self) -> int:
        """Forget everything for good, whatever state it is in; how many bytes that was. Takes no memory."""
        held = self.nbytes
        self.generation += 1
        self._rows.clear()
        del self.vocabulary, self._used
        return held

    def _compute(self, numbers: Numbers) -> None:
        """Compute the rows of distinct windows, in ascending order."""
        count = self.vocabulary.count
        self._rows = [with_room(part, count) for part in self._rows]
        nine = self.vocabulary.nine_windows(numbers)
        made_of = np.zeros(self.vocabulary.count_of_3, np.bool_)
        made_of[nine] = True
        inputs = np.flatnonzero(made_of).astype(np.int32)
        if inputs.size > _MOST_INPUTS and numbers.size > 1:
            self._compute(numbers[: numbers.size // 2])
            self._compute(numbers[numbers.size // 2 :])
            return
        windows = self._on_device((np.cumsum(made_of, dtype=np.int32) - 1)[nine])
        cells = self._on_device(self.vocabulary.nine_cells(inputs))
        first, last = int(numbers[0]), int(numbers[-1]) + 1
        in_a_row = last - first == numbers.size
        for norm, part, styles in zip(self.norms, self._rows, self._styles, strict=True):
            hidden = norm.shared.rows(cells, styles).relu_()
            if inputs[0] == 0:
                hidden[0] = 0  # the window that lies all outside: the hidden layer's zero padding
            rows = part[first:last] if in_a_row else part.new_empty(numbers.size, part.shape[1])
            self._backend.tabulate(hidden.to(self.dtype), windows, norm.head, out=rows)
            if not in_a_row:
                part[self._on_device(numbers)] = rows
        self._count.computed += numbers.size

    def _on_device(self, numbers: Numbers) -> Tensor:
        return upload(numbers, self._backend.device)


def with_room(part: Tensor, count: int) -> Tensor:
    """The same rows, the first dimension, with room for `count`."""
    if part.shape[0] >= count:
        return part
    roomy = part.new_empty(_grown(part.shape[0], count), *part.shape[1:])
    roomy[: part.shape[0]] = part
    return roomy


def _grown(size: int, wanted: int) -> int:
    """A little more than wanted, so that a stroke's few new rows seldom copy the rest."""
    return max(wanted, size + size // 4, 64)


class TableCache:
    """All tables of all models, under one budget.

    A frame's own rows are always kept while it is painted; what is more than the budget is forgotten, what
    has not been used for longest first.

    Args:
        budget: bytes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.frame = 0
        self.held = 0  # bytes after the last frame; for whoever asks from another thread
        self._sets: dict[tuple[Hashable, bytes], list[LevelTables]] = {}
        self._over: deque[Hashable] = deque()  # owners that are gone, from whatever thread
        self.rows = RowCount()  # likewise

    @property
    def nbytes(self) -> int:
        return sum(tables.nbytes for tables in self._all())

    def tables(
        self, owner: Hashable, norms: Sequence[Sequence[Norm]], backend: Backend, codes: Tensor | None
    ) -> list[LevelTables]:
        """One model's tables, by level; under each set of style codes others, where labels and style mix."""
        key = (owner, b"" if codes is None else codes.cpu().numpy().tobytes())
        if key not in self._sets:
            self._sets[key] = [LevelTables(level, backend, codes, self.rows) for level in norms]
        return self._sets[key]

    def begin_frame(self) -> int:
        """Its number."""
        self.tidy()
        for tables in self._all():
            if tables.vocabulary.full:
                tables.forget(self.frame + 1)
        self.frame += 1
        return self.frame

    def end_frame(self, note_rows: Callable[[], None]) -> None:
        """Meet the budget again, and note what is held.

        Args:
            note_rows: says of every row that the frame took that it did, see `NOTED_EVERY`.
        """
        if self.nbytes > self.budget:
            note_rows()
            self.trim()
        self.held = self.nbytes

    def drop(self, owner: Hashable) -> None:
        """A model is gone, and its tables with it: at the next `tidy`. From any thread."""
        self._over.append(owner)

    def tidy(self) -> None:
        """Forget the tables of models that are gone."""
        while self._over:
            self.forget(self._over.popleft())

    def forget(self, owner: Hashable) -> int:
        """Forget one model's tables, whatever state they are in; how many bytes that was.

        Canvases that still know some of them find that these have moved on.
        """
        keys = [key for key in self._sets if key[0] == owner]
        held = sum(tables.let_go() for key in keys for tables in self._sets.pop(key))
        self.held = self.nbytes
        return held

    def clear(self) -> int:
        """Forget everything, likewise."""
        return sum(self.forget(owner) for owner in {key[0] for key in self._sets})

    def trim(self) -> None:
        """Meet the budget: where it is exceeded, forget what has not been used for longest, down to half of
        it; or, where numbering the rest anew would hold everybody up for seconds, all of it."""
        if self.nbytes <= self.budget:
            return
        if self.nbytes > MOST_KEPT:
            self.clear()
            return
        since = self._frame_to_keep_from(int(_KEPT * self.budget))
        for key, levels in list(self._sets.items()):
            for tables in levels:
                tables.forget(since)
            if _last_used(levels) < 0:
                del self._sets[key]
        if self.nbytes > self.budget:  # what every table costs, however few its rows are
            self._sets.clear()

    def _frame_to_keep_from(self, most: int) -> int:
        """The earliest frame such that the rows used in it and later take at most so many bytes."""
        uses = [tables.uses() for tables in self._all()]
        frames, sizes = (np.concatenate(part) for part in zip(*uses, strict=True))
        per_frame = np.bincount(frames, weights=sizes, minlength=self.frame + 1)
        held = np.cumsum(per_frame[::-1])  # by the latest frames
        kept = int(np.searchsorted(held, most, side="right"))
        if not kept and held[0] <= self.budget:
            kept = 1  # one frame alone, which is likely to be painted again
        return self.frame + 1 - kept

    def _all(self) -> Iterable[LevelTables]:
        return [tables for sets in self._sets.values() for tables in sets]


def _last_used(levels: Iterable[LevelTables]) -> int:
    """The latest frame that took a row from any of them, −1 if none did."""
    return max(tables.last_used for tables in levels)


@dataclass(frozen=True)
class Extras:
    """What acts on a norm beside the labels, for a batch.

    posts: the style's scale and shift, float32 (B, 2, C), by norm.
    noises: each stage's noise field, float32 (1 or B, h, w, J).
    blends: empty; or, for pictures with styles by region, by level: int32 (B, h, w), which row of `posts`, of
    which there are then any number, acts at each cell.
    """

    posts: dict[Norm, Tensor] = field(default_factory=dict["Norm", Tensor])
    noises: Sequence[Tensor] = ()
    blends: Sequence[Tensor] = ()

    def modulation(self, norm: Norm, stage: int, index: Tensor, table: Tensor, x: Tensor) -> Modulation:
        noise = self.noises[stage] if norm.strength is not None else None
        pre = _instance_statistics(x) if norm.statistics is None else norm.statistics
        blend = self.blends[norm.level] if self.blends and norm.style is not None else None
        return Modulation(index, table, pre, self.posts.get(norm), noise, norm.strength, blend)


class Level(Protocol):
    """The modulation of a batch at one resolution."""

    @property
    def size(self) -> tuple[int, int]: ...

    def apply(
        self, norm: Norm, stage: int, x: Tensor, extras: Extras, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        """Normalise and modulate x (B, h, w, C), half as large if `doubled`, into out."""
        ...


@dataclass(frozen=True)
class TableLevel:
    """Rows of tables. index: int32 (B, h, w)."""

    backend: Backend
    tables: LevelTables
    index: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return self.index.shape[1], self.index.shape[2]

    def apply(
        self, norm: Norm, stage: int, x: Tensor, extras: Extras, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        modulation = extras.modulation(norm, stage, self.index, self.tables.table(norm), x)
        self.backend.modulate(x, modulation, doubled=doubled, activate=activate, out=out)


@dataclass(frozen=True)
class DenseLevel:
    """The norm's own convolutions over one map, strip by strip: where windows are too many for a table, or
    the hidden layer reads a style that differs from pixel to pixel.

    cells: int32 (h, w). codes: as in `LevelTables`. style: float32 (D, h, w), in place of codes, or None.
    """

    backend: Backend
    cells: Cells
    codes: Tensor | None = None
    style: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.cells.shape[0], self.cells.shape[1]

    def apply(
        self, norm: Norm, stage: int, x: Tensor, extras: Extras, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        height, width = self.size
        nothing = torch.empty(0, device=x.device)
        whole = extras.modulation(norm, stage, nothing, nothing, x)
        rows = max(2, _STRIP // (width * self._bytes_of_a_pixel(norm)) & ~1)
        styles = norm.shared.style_rows(self.codes)
        for top in range(0, height, rows):
            bottom = min(height, top + rows)
            table = self._strip(norm, styles, top, bottom)
            index = torch.arange(table.shape[0], device=x.device, dtype=torch.int32).view(
                1, bottom - top, width
            )
            noise, blend = (
                None if plane is None else plane[:, top:bottom].contiguous()
                for plane in (whole.noise, whole.blend)
            )
            self.backend.modulate(
                x[:, top // 2 : (bottom + 1) // 2] if doubled else x[:, top:bottom],
                Modulation(index, table, whole.pre, whole.post, noise, whole.strength, blend),
                doubled=doubled,
                activate=activate,
                out=out[:, top:bottom],
            )

    def _bytes_of_a_pixel(self, norm: Norm) -> int:
        """The largest of what is made of it on the way: table, hidden layer, cells of its window."""
        places, size = norm.shared.kernel**2, self.backend.dtype.itemsize
        unfolded = 0 if norm.head_conv is not None else 256 * places  # what `tabulate` may take, for a thread
        return max(2 * norm.channels * size, norm.shared.fout * (4 + size), 24 * places, unfolded)

    def _strip(self, norm: Norm, styles: Tensor | None, top: int, bottom: int) -> Tensor:
        """Scale and shift of rows top … bottom−1: ((bottom − top)·w, 2·C)."""
        reach, width = norm.shared.kernel // 2, self.size[1]
        hidden = self._hidden(norm, styles, top - reach, bottom + reach)
        if norm.head_conv is not None:
            table = hidden.new_empty(1, hidden.shape[1], width, 2 * norm.channels)
            self.backend.convolve(hidden, norm.head_conv, out=table)
            return table[0, reach : reach + bottom - top].reshape(-1, 2 * norm.channels)
        inputs = F.pad(hidden.flatten(0, 2), (0, 0, 1, 0))  # number 0: what lies at the left or right outside
        numbers = torch.arange(1, inputs.shape[0], dtype=torch.int32, device=inputs.device)
        windows = F.pad(numbers.view(-1, width), (reach, reach)).unfold(0, 2 * reach + 1, 1)
        windows = windows.unfold(1, 2 * reach + 1, 1).reshape(-1, (2 * reach + 1) ** 2).contiguous()
        table = hidden.new_empty((bottom - top) * width, 2 * norm.channels)
        self.backend.tabulate(inputs, windows, norm.head, out=table)
        return table

    def _hidden(self, norm: Norm, styles: Tensor | None, top: int, bottom: int) -> Tensor:
        """The hidden layer of rows top … bottom−1, zero where they lie outside the map: (1, rows, w,
        hidden)."""
        hidden = self.label_conv(norm.shared, styles, top, bottom).relu_()
        hidden[:, : max(0, -top)] = 0
        hidden[:, self.size[0] - top :] = 0
        return hidden.to(self.backend.dtype).contiguous()

    def label_conv(self, conv: LabelConv, styles: Tensor | None, top: int, bottom: int) -> Tensor:
        """A convolution over the map, rows top … bottom−1, which may lie outside: float32 (1, rows, w, O)."""
        reach, (height, width) = conv.kernel // 2, self.size
        first, last = max(0, top - reach), min(height, bottom + reach)
        around = (first - top + reach, bottom + reach - last)
        cells = np.pad(self.cells[first:last], (around, (reach, reach)))
        windows = sliding_window_view(cells, (conv.kernel, conv.kernel)).reshape(-1, conv.kernel**2).copy()
        rows = conv.rows(torch.from_numpy(windows).to(self.backend.device), styles)
        total = rows.view(1, bottom - top, width, -1)
        if self.style is not None and conv.style_weight is not None:
            style = self.style[:, first:last].to(total.device)
            style = F.pad(style, (reach, reach, *around)).unsqueeze(0)
            total = total + F.conv2d(style, conv.style_weight).permute(0, 2, 3, 1)
        return total


def _instance_statistics(x: Tensor) -> Tensor:
    """Each image's own 1/σ and −μ/σ (Ulyanov et al. 2016): (B, h, w, C) → float32 (B, 2, C)."""
    # One image at a time: how a device divides a sum may depend on how many there are.
    alone = [torch.var_mean(image.flatten(0, 1).float(), dim=0, correction=0) for image in x]
    variance, mean = (torch.stack(part) for part in zip(*alone, strict=True))
    scale = (variance + 1e-5).rsqrt()
    return torch.stack([scale, -mean * scale], dim=1)
