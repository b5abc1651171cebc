"""Patterns against plain numpy: every window is numbered exactly, whatever was numbered before."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib.stride_tricks import sliding_window_view

from engine import patterns
from engine.patterns import (
    EDGE,
    OUTSIDE,
    REACH,
    STYLE,
    Cells,
    Interner,
    Numbers,
    Vocabulary,
    at_most_distinct,
    cells_of,
    class_of,
    distinct_windows,
)

SIDES = st.integers(1, 14)
# Few kinds of cell, so that windows repeat; some with an edge, some of another style, the largest there is.
KINDS = [1, 2, 255, EDGE + 1, EDGE + 255, STYLE * 4095 + EDGE + 255]


@st.composite
def maps(draw: st.DrawFn, kinds: int = len(KINDS)) -> Cells:
    """Cells (h, w): noise, stripes, or flat with specks."""
    shape = draw(SIDES), draw(SIDES)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    which = rng.integers(0, draw(st.integers(1, kinds)), shape)
    match draw(st.sampled_from(["noise", "rows", "columns", "specks"])):
        case "rows":
            which[:] = which[:, :1]
        case "columns":
            which[:] = which[:1]
        case "specks":
            which[rng.random(shape) < 0.9] = 0
    return np.array(KINDS, np.int32)[which]


def windows_of(cells: Cells) -> Cells:
    """Every 5×5 window, zeros outside: (h·w, 25)."""
    return sliding_window_view(np.pad(cells, REACH), (5, 5)).reshape(-1, 25)


def exact(cells: Cells) -> int:
    return len(np.unique(windows_of(cells), axis=0))


def same_partition(numbers: Numbers, windows: Cells) -> bool:
    """Whether two windows have one number if, and only if, they are equal."""
    _, truth = np.unique(windows, axis=0, return_inverse=True)
    pairs = np.unique(np.stack([numbers.ravel(), truth.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


# Interner


KEYS = st.one_of(st.integers(0, 9), st.integers(0, 2**63 - 1))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        hnp.arrays(np.int64, st.integers(0, 60), elements=KEYS),
        max_size=6,
    )
)
def test_an_interner_is_a_dictionary(batches: list[np.ndarray]) -> None:
    interner, known = Interner(), dict[int, int]()
    for keys in batches:
        for key, number in zip(keys.tolist(), interner.numbers(keys).tolist(), strict=True):
            assert known.setdefault(key, number) == number
    assert interner.count == len(known)
    assert sorted(known.values()) == list(range(len(known)))
    numbers = np.array(list(known.values()), np.int32)
    assert interner.key(numbers).tolist() == list(known)


def test_an_interner_grows_and_keeps_its_numbers() -> None:
    interner = Interner()
    keys = np.random.default_rng(0).permutation(100_000).astype(np.int64) * 0x1_0000_0001
    first = interner.numbers(keys[:1000])
    numbers = interner.numbers(keys.reshape(100, 1000))
    assert np.array_equal(numbers[:1].ravel()[:1000], first)
    assert np.array_equal(interner.key(numbers), keys.reshape(100, 1000))
    assert interner.count == keys.size
    assert interner.nbytes < 100 * keys.size
    assert np.array_equal(interner.numbers(np.repeat(keys, 3)), np.repeat(numbers.ravel(), 3))


def test_keys_that_all_collide_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interner, "_hash", lambda self, keys, size: np.full(keys.shape, size - 2))
    interner = Interner()
    keys = np.arange(700, dtype=np.int64)
    numbers = interner.numbers(np.repeat(keys, 2))
    assert np.array_equal(interner.key(numbers), np.repeat(keys, 2))
    assert interner.count == keys.size


def test_nobody_can_know_the_hash() -> None:
    keys = np.arange(64, dtype=np.int64)
    assert not np.array_equal(Interner()._hash(keys, 256), Interner()._hash(keys, 256))


# Vocabulary


@settings(max_examples=60, deadline=None)
@given(st.lists(maps(), min_size=1, max_size=3))
def test_windows_are_numbered_as_plain_comparison_has_it(several: list[Cells]) -> None:
    vocabulary = Vocabulary()
    numbers = [vocabulary.numbers(np.pad(cells, REACH)) for cells in several]
    assert all(number.shape == cells.shape for number, cells in zip(numbers, several, strict=True))
    windows = np.concatenate([windows_of(cells) for cells in several])
    together = np.concatenate([number.ravel() for number in numbers])
    assert same_partition(together, windows)
    assert together.min() > 0, "number 0 lies all outside"
    assert vocabulary.count == len(np.unique(windows, axis=0)) + 1


@settings(max_examples=60, deadline=None)
@given(maps(), st.data())
def test_a_piece_has_the_numbers_that_the_map_has_there(cells: Cells, data: st.DataObject) -> None:
    height, width = cells.shape
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    vocabulary = Vocabulary()
    padded = np.pad(cells, REACH)
    piece = vocabulary.numbers(padded[top : bottom + 2 * REACH, left : right + 2 * REACH])
    whole = vocabulary.numbers(padded)
    assert np.array_equal(piece, whole[top:bottom, left:right])
    assert same_partition(whole, windows_of(cells))


@settings(max_examples=40, deadline=None)
@given(maps())
def test_a_number_says_its_window(cells: Cells) -> None:
    vocabulary = Vocabulary()
    numbers = vocabulary.numbers(np.pad(cells, REACH)).ravel()
    windows = windows_of(cells).reshape(-1, 5, 5)
    assert np.array_equal(vocabulary.cells(numbers), windows)
    renumbered = Vocabulary().numbers(vocabulary.cells(numbers)).ravel()
    assert same_partition(renumbered, windows.reshape(-1, 25))
    hidden = vocabulary.nine_windows(numbers)
    around = sliding_window_view(windows, (3, 3), axis=(1, 2)).reshape(-1, 9, 9)
    inside = windows[:, 1:4, 1:4].reshape(-1, 9) != OUTSIDE
    assert np.array_equal(vocabulary.nine_cells(hidden[inside]), around[inside])
    assert not hidden[~inside].any(), "the hidden layer is padded with zeros"


def test_numbers_stay_when_others_come() -> None:
    rng = np.random.default_rng(0)
    vocabulary = Vocabulary()
    flat = np.pad(np.ones((9, 9), np.int32), REACH)
    before = vocabulary.numbers(flat)
    for _ in range(20):
        vocabulary.numbers(rng.integers(1, 200, (40, 40), dtype=np.int32))
    assert np.array_equal(vocabulary.numbers(flat), before)
    assert len(np.unique(before)) == 25
    assert vocabulary.nbytes > 4 * vocabulary.count


def test_maps_that_differ_far_away_differ_only_there() -> None:
    cells = np.ones((40, 40), np.int32)
    other = cells.copy()
    other[30, 33] = 2
    vocabulary = Vocabulary()
    one, two = (vocabulary.numbers(np.pad(each, REACH)) for each in (cells, other))
    where = np.argwhere(one != two)
    assert where.min(0).tolist() == [28, 31]
    assert where.max(0).tolist() == [32, 35]
    assert len(where) == 25


@pytest.mark.parametrize("place", range(25))
def test_every_cell_of_a_window_counts(place: int) -> None:
    window = np.full(25, 7, np.int32)
    window[place] = 8
    vocabulary = Vocabulary()
    numbers = [vocabulary.numbers(each.reshape(5, 5)).item() for each in (np.full(25, 7, np.int32), window)]
    assert numbers[0] != numbers[1]


def test_an_edge_and_a_style_make_another_cell() -> None:
    labels = np.array([[0, 254], [3, 3]], np.uint8)
    edges = np.array([[False, True], [True, False]])
    styles = np.array([[0, 255], [1, 0]], np.uint8)
    cells = cells_of(labels, edges, styles)
    assert cells.dtype == np.int32
    assert len(np.unique(cells)) == 4
    assert cells.min() > OUTSIDE
    assert cells.max() < patterns.MOST_NUMBERS
    assert np.array_equal(class_of(cells), labels + np.int32(1))
    assert class_of(np.int32([OUTSIDE])) == 0
    assert np.array_equal((cells & EDGE) != 0, edges)
    assert np.array_equal(cells // STYLE, styles)
    assert np.array_equal(cells_of(labels, None, None), labels.astype(np.int32) + 1)


# Counting


@settings(max_examples=100, deadline=None)
@given(maps(kinds=3))
def test_counting_is_exact_and_the_quick_bound_holds(cells: Cells) -> None:
    assert distinct_windows(cells) == exact(cells)
    assert at_most_distinct(cells) >= exact(cells)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 9), (4, 4), (5, 5), (3, 30), (64, 64)])
def test_a_flat_map_holds_one_window_for_each_way_to_stand_near_its_edge(shape: tuple[int, int]) -> None:
    cells = np.ones(shape, np.int32)
    expected = min(shape[0], 5) * min(shape[1], 5)
    assert distinct_windows(cells) == expected
    assert at_most_distinct(cells) == 25


def test_the_bound_is_useful() -> None:
    """A painted map is known to be simple without a count."""
    cells = np.ones((256, 256), np.int32)
    cells[100:, 60:] = 2
    assert distinct_windows(cells) < 100
    assert at_most_distinct(cells) < 2500


def test_numbers_of_21_bits_are_enough_for_what_a_cell_can_be() -> None:
    assert STYLE * 4095 + EDGE + 255 < patterns.MOST_NUMBERS
    assert all(low < high for low, high in pairwise([OUTSIDE, 255, EDGE, STYLE]))
    assert 3 * patterns._BITS <= 63
