"""The recorded strokes, and who replays them."""

import itertools
import json

import numpy as np
import pytest

from benchmarks import strokes as generator
from server.loadtool import hand
from server.loadtool.hand import TICK, Dab, Rect, first_map, moves, strokes


def test_the_file_is_what_the_generator_makes() -> None:
    assert json.loads(hand.FILE.read_text(encoding="utf-8")) == generator.recording()


def test_strokes_are_like_a_persons() -> None:
    recorded = strokes(256)
    drawn = [len(stroke.dabs) * TICK for stroke in recorded]
    assert len(recorded) >= 20
    assert min(drawn) < 0.5  # a dab
    assert 2.5 < max(drawn) < 8  # a contour that takes its time
    assert 0.1 <= min(stroke.pause for stroke in recorded) < 1 < max(stroke.pause for stroke in recorded) <= 4
    areas = [dab.mask.sum() for stroke in recorded for dab in stroke.dabs]
    assert min(areas) > 20
    assert max(areas) < 256 * 256 / 8


def test_a_dab_is_round_and_its_line_has_no_gaps() -> None:
    dab = hand._dab(np.array([[10.0, 10.0], [30.0, 10.0]]), 4)
    assert (dab.x, dab.y, dab.mask.shape) == (6, 6, (8, 28))
    assert dab.mask[3:5].all()
    assert not dab.mask[0, 0]
    assert not dab.mask[-1, -1]


def test_what_leaves_the_canvas_is_cut_off() -> None:
    labels = np.zeros((8, 8), np.uint8)
    dab = Dab(0, 0, np.ones((4, 6), np.bool_))
    assert dab.put(labels, 3, -2, 6) == Rect(0, 6, 4, 2)
    assert (labels == 3).sum() == 8
    assert (labels[6:, :4] == 3).all()
    assert dab.put(labels, 3, 8, 0) is None
    assert Rect(0, 6, 4, 2).around(Rect(6, 0, 1, 1)) == Rect(0, 0, 7, 8)


def test_painters_differ_and_each_is_always_the_same() -> None:
    def some(seed: int) -> list[tuple[float, int, int, int]]:
        taken = itertools.islice(moves(64, [1, 2, 3], seed), 200)
        return [(move.seconds, move.label, move.dx, move.dy) for move in taken]

    assert some(1) == some(1)
    assert some(1) != some(2)
    assert {label for _, label, _, _ in some(1)} <= {1, 2, 3}
    assert (first_map(64, [4, 5, 6], 1) == first_map(64, [4, 5, 6], 1)).all()


def test_without_thought_there_are_no_pauses() -> None:
    seconds = [move.seconds for move in itertools.islice(moves(64, [1], 1, think=0), 300)]
    assert max(seconds) == pytest.approx(TICK)
