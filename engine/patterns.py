"""Label patterns: what a SPADE norm sees of a label map, numbered.

γ and β at a pixel depend on nothing but the cells in the 5×5 window around it: a 3×3 convolution after a 3×3
convolution, zero padding outside. A painted map holds few distinct windows, so a norm is a table with one row
per distinct window (`engine.modulation`), and this module says which row each pixel takes.

A window is numbered exactly, never by a hash alone, in four steps of three neighbours each: three cells in a
row → three of those rows, a 3×3 window → three 3×3 windows side by side → three of those, the 5×5 window.
Each step packs three numbers of 21 bits into one key of 63 and gives every distinct key the next number.
"""

from __future__ import annotations

import secrets

import numpy as np
from numpy.typing import NDArray

OUTSIDE = 0  # the cell beyond the map's edge
EDGE = 256  # added to a cell that holds an instance edge
STYLE = 512  # times the style's number, added to a cell
_BITS = 21
MOST_NUMBERS = 1 << _BITS
REACH = 2  # pixels from a window's centre to its edge
_COUNTED = 1 << 16  # windows at a time when they are only counted

Cells = NDArray[np.int32]
Keys = NDArray[np.int64]
Numbers = NDArray[np.int32]


def cells_of(
    labels: NDArray[np.uint8], edges: NDArray[np.bool_] | None, styles: NDArray[np.uint8] | None
) -> Cells:
    """What a pixel shows to a norm, as one number: class id + 1, instance edge and style number.

    Args:
        labels: uint8 (H, W). edges: bool (H, W) or None. styles: uint8 (H, W) or None.

    Returns:
        int32 (H, W), below 2²¹ and never OUTSIDE.
    """
    cells = labels.astype(np.int32) + 1
    if edges is not None:
        cells += EDGE * edges
    if styles is not None:
        cells += STYLE * styles.astype(np.int32)
    return cells


def class_of(cells: Cells) -> Cells:
    """Row of a cell in a table of classes: 0 outside, else class id + 1."""
    return cells % EDGE


class Interner:
    """Numbers distinct keys 0, 1, 2 …; a key keeps its number.

    An open-addressing hash table in arrays, so that a whole map is looked up at once. Its hash is seeded at
    random: nobody can draw a map whose keys all collide.
    """

    def __init__(self) -> None:
        self.count = 0
        self._keys: Keys = np.zeros(256, np.int64)
        self._slots: Numbers = np.full(1024, -1, np.int32)
        self._factor = np.uint64(secrets.randbits(64) | 1)

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes + self._slots.nbytes

    def key(self, numbers: Numbers | Keys) -> Keys:
        """The inverse: numbers, any shape → their keys."""
        return self._keys[numbers]

    def numbers(self, keys: Keys) -> Numbers:
        """Number keys, any shape, none negative; new ones take the next numbers."""
        flat = keys.ravel()
        result = np.empty(flat.size, np.int32)
        open_ = np.arange(flat.size)
        slots = self._hash(flat, self._slots.size)
        while open_.size:
            wanted, found = flat[open_], self._slots[slots]
            hit = (found >= 0) & (self._keys[found] == wanted)
            result[open_[hit]] = found[hit]
            missed = ~hit
            open_, slots, wanted, free = open_[missed], slots[missed], wanted[missed], found[missed] < 0
            if not free.any():
                slots = (slots + 1) & (self._slots.size - 1)
            elif self._claim(slots[free], wanted[free]):
                slots = self._hash(wanted, self._slots.size)
            else:
                slots = np.where(free, slots, (slots + 1) & (self._slots.size - 1))
        return result.reshape(keys.shape)

    def _claim(self, slots: NDArray[np.int64], keys: Keys) -> bool:
        """Give one key per free slot a number; the others find it there, or go on. Whether slots have
        moved."""
        self._slots[slots] = -2 - np.arange(slots.size, dtype=np.int32)  # of several, the last one stays
        winners = np.flatnonzero(self._slots[slots] == -2 - np.arange(slots.size, dtype=np.int32))
        first, self.count = self.count, self.count + winners.size
        if self.count > self._keys.size:
            self._keys = np.resize(self._keys, max(2 * self._keys.size, self.count))
        self._keys[first : self.count] = keys[winners]
        self._slots[slots[winners]] = np.arange(first, self.count, dtype=np.int32)
        if 2 * self.count <= self._slots.size:
            return False
        self._grow()
        return True

    def _grow(self) -> None:
        larger = np.full(1 << int(4 * self.count - 1).bit_length(), -1, np.int32)
        numbers = np.arange(self.count, dtype=np.int32)
        slots = self._hash(self._keys[: self.count], larger.size)
        while numbers.size:
            free = larger[slots] < 0
            larger[slots[free]] = numbers[free]
            left = larger[slots] != numbers
            numbers, slots = numbers[left], (slots[left] + 1) & (larger.size - 1)
        self._slots = larger

    def _hash(self, keys: Keys, size: int) -> NDArray[np.int64]:
        """Where to begin to look in a table of so many slots, a power of two."""
        mixed = keys.view(np.uint64) * self._factor
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        return (mixed >> np.uint64(65 - size.bit_length())).astype(np.int64)


class Vocabulary:
    """The distinct windows met so far at one resolution of one model, numbered."""

    def __init__(self) -> None:
        self._rows_of_3, self._windows_of_3 = Interner(), Interner()
        self._rows_of_5, self._windows_of_5 = Interner(), Interner()
        self.numbers(np.zeros((5, 5), np.int32))  # what lies all outside is number 0 of every kind

    @property
    def count(self) -> int:
        """How many 5×5 windows there are."""
        return self._windows_of_5.count

    @property
    def count_of_3(self) -> int:
        """How many 3×3 windows there are."""
        return self._windows_of_3.count

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self._interners)

    @property
    def full(self) -> bool:
        """Whether it is time to start again: a few maps more could use up the numbers of 21 bits."""
        return max(one.count for one in self._interners) > MOST_NUMBERS // 2

    @property
    def _interners(self) -> tuple[Interner, ...]:
        return self._rows_of_3, self._windows_of_3, self._rows_of_5, self._windows_of_5

    def numbers(self, cells: Cells) -> Numbers:
        """Number every 5×5 window.

        Args:
            cells: int32 (…, h + 4, w + 4), OUTSIDE where there is no map.

        Returns:
            int32 (…, h, w).
        """
        windows = self._windows_of_3.numbers(_stacked(self._rows_of_3.numbers(_in_a_row(cells))))
        # The hidden layer's zero padding: what is centred outside counts as nothing, whatever it overlaps.
        windows[cells[..., 1:-1, 1:-1] == OUTSIDE] = 0
        return self._windows_of_5.numbers(_stacked(self._rows_of_5.numbers(_in_a_row(windows))))

    def nine_windows(self, numbers: Numbers) -> Numbers:
        """5×5 windows → the nine 3×3 windows in each, in raster order: int32 (n,) → (n, 9)."""
        return _apart(self._rows_of_5.key(_apart(self._windows_of_5.key(numbers)))).reshape(-1, 9)

    def nine_cells(self, numbers: Numbers) -> Cells:
        """3×3 windows → the nine cells of each, in raster order: int32 (n,) → (n, 9)."""
        return _apart(self._rows_of_3.key(_apart(self._windows_of_3.key(numbers)))).reshape(-1, 9)

    def cells(self, numbers: Numbers) -> Cells:
        """5×5 windows → their cells: int32 (n,) → (n, 5, 5), such that `numbers` gives the same windows
        again."""
        nine = self.nine_cells(self.nine_windows(numbers).ravel()).reshape(-1, 3, 3, 3, 3)
        # A cell in the outer ring is taken from the 3×3 window whose centre lies between it and the middle:
        # that window is centred inside the map if the cell is.
        which, where = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 1, 2])
        return nine[:, which[:, None], which[None, :], where[:, None], where[None, :]]


def _in_a_row(cells: Numbers) -> Keys:
    return _packed(cells[..., :-2], cells[..., 1:-1], cells[..., 2:])


def _stacked(rows: Numbers) -> Keys:
    return _packed(rows[..., :-2, :], rows[..., 1:-1, :], rows[..., 2:, :])


def _packed(first: Numbers, second: Numbers, third: Numbers) -> Keys:
    return first.astype(np.int64) | second.astype(np.int64) << _BITS | third.astype(np.int64) << 2 * _BITS


def _apart(keys: Keys) -> Numbers:
    """Keys (…) → the three numbers in each (…, 3)."""
    return (keys[..., None] >> np.array([0, _BITS, 2 * _BITS]) & (MOST_NUMBERS - 1)).astype(np.int32)


def distinct_windows(cells: Cells, most: int = MOST_NUMBERS // 2) -> int:
    """How many distinct 5×5 windows a map (h, w) holds, without remembering them. Beyond `most` it stops
    counting."""
    vocabulary, padded = Vocabulary(), np.pad(cells, REACH)
    rows = max(1, _COUNTED // cells.shape[1])
    for top in range(0, cells.shape[0], rows):
        vocabulary.numbers(padded[top : top + rows + 2 * REACH])
        if vocabulary.count > most + 1:
            break
    return vocabulary.count - 1  # what lies all outside is in no map


def at_most_distinct(cells: Cells) -> int:
    """A quick upper bound of `distinct_windows`: every window that holds two kinds of cell, and for each kind
    of cell one window for each way to stand near the map's edge."""
    across = _spread(_spread(cells[:, 1:] != cells[:, :-1], 2 * REACH, 1), 2 * REACH + 1, 0)
    down = _spread(_spread(cells[1:] != cells[:-1], 2 * REACH, 0), 2 * REACH + 1, 1)
    # A change between cells x and x + 1 is in the windows centred at x − 1 … x + 2, a row y in those at y − 2
    # … y + 2.
    mixed = across[REACH:-REACH, 1:-1] | down[1:-1, REACH:-REACH]
    return int(np.count_nonzero(mixed) + (2 * REACH + 1) ** 2 * np.count_nonzero(np.bincount(cells.ravel())))


def _spread(flags: NDArray[np.bool_], reach: int, axis: int) -> NDArray[np.bool_]:
    """Every flag, and the reach − 1 places after it: longer by reach − 1 along the axis."""
    flags = np.moveaxis(flags, axis, 0)
    spread = np.zeros((flags.shape[0] + reach - 1, *flags.shape[1:]), np.bool_)
    for i in range(reach):
        spread[i : i + flags.shape[0]] |= flags
    return np.moveaxis(spread, 0, axis)
