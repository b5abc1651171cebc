"""Crude maps: what each operation does, and the fixed set of hand-painted ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.labels import load_label_set
from training import crude
from training.crude import Operation
from training.data import read_pairs
from training.scenes import SCENES, hand_painted


def disc(side: int, radius: float) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    return (x * x + y * y < radius * radius).astype(np.uint8)


def borders(labels: np.ndarray) -> int:
    """Neighbours that differ."""
    return int((labels[1:] != labels[:-1]).sum() + (labels[:, 1:] != labels[:, :-1]).sum())


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 36), st.integers(1, 36), st.integers(1, 255), st.integers(1, 6)
)
@pytest.mark.parametrize("operation", [*crude.OPERATIONS, crude.simplified])
def test_any_map_stays_a_map(
    operation: Operation, seed: int, height: int, width: int, classes: int, coarse: int
) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, classes, (-(-height // coarse), -(-width // coarse))).astype(np.uint8)
    labels = cells.repeat(coarse, 0).repeat(coarse, 1)[:height, :width]
    before = labels.copy()
    one, same = (operation(labels, np.random.default_rng(seed)) for _ in range(2))
    assert np.array_equal(one, same)
    assert np.array_equal(labels, before)
    assert one.dtype == np.uint8
    assert one.shape == labels.shape
    assert set(np.unique(one)) <= set(np.unique(labels))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 24), st.integers(1, 4))
def test_regions_are_the_connected_ones(seed: int, height: int, width: int, classes: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.uint8)
    found = crude.regions(labels)
    flooded = np.full(labels.shape, -1)
    for start in np.ndindex(*labels.shape):
        if flooded[start] >= 0:
            continue
        number, stack = int(flooded.max()) + 1, [start]
        while stack:
            y, x = stack.pop()
            if 0 <= y < height and 0 <= x < width and flooded[y, x] < 0 and labels[y, x] == labels[start]:
                flooded[y, x] = number
                stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    same = {(int(a), int(b)) for a, b in zip(found.number.ravel(), flooded.ravel(), strict=True)}
    assert len(same) == flooded.max() + 1 == len(found.size)
    assert np.array_equal(found.size, np.bincount(found.number.ravel()))
    assert np.array_equal(found.label[found.number], labels)
    for region in range(len(found.size)):
        assert (found.runs_of(region)[:, 3] - found.runs_of(region)[:, 2] + 1).sum() == found.size[region]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20), st.integers(1, 4))
def test_outlines_enclose_their_regions(seed: int, height: int, width: int, classes: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, (height, width)).astype(np.uint8)
    found = crude.regions(labels)
    lines = crude.outlines_of(labels)
    assert len(lines) == len(found.size)
    for label, points in lines:
        steps = np.abs(np.diff(np.concatenate([points, points[:1]]), axis=0)).sum(1)
        assert (steps == 1).all()  # one pixel side after the other, and closed
        assert label in labels
        assert points.min() >= 0
        assert (points.max(0) <= (width, height)).all()


def test_smoothing_keeps_regions_and_drops_details() -> None:
    labels = np.ones((40, 40), np.uint8)
    labels[:, 20:] = 5
    labels[10, 10] = 9
    smooth = crude.smoothed(labels, 2)
    assert set(np.unique(smooth)) == {1, 5}
    assert (smooth[:, :16] == 1).all()
    assert (smooth[:, 24:] == 5).all()


def test_merging_gives_small_regions_to_the_neighbour_they_touch_most() -> None:
    labels = np.ones((20, 20), np.uint8)
    labels[12:] = 2
    labels[10:12, 4:8] = 7  # above 2 and inside 1, which it touches more
    labels[15:18, 15:18] = 8
    merged = crude.merged(labels, 9)
    assert (merged[10:12, 4:8] == 1).all()
    assert (merged[15:18, 15:18] == 8).all()  # as large as what stays
    assert set(np.unique(crude.merged(labels, 10))) == {1, 2}
    assert np.array_equal(crude.merged(labels, 1), labels)


def test_polygons_have_few_corners() -> None:
    round_one = disc(96, 36)
    angular = crude.polygons(round_one, 6)
    assert 0.75 * round_one.sum() < angular.sum() < 1.1 * round_one.sum()
    corners = [len(crude._few_corners(line, 6)[1]) for line in crude.outlines_of(round_one)]
    assert max(corners) <= 8
    square = np.zeros((40, 40), np.uint8)
    square[10:30, 8:32] = 3
    assert np.abs(crude.polygons(square, 2).astype(int) - square).sum() <= 3 * 90  # its border at most


def test_a_square_becomes_an_ellipse_of_its_size() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[35:65, 40:60] = 3
    ball = crude.rounded(labels, 1.0, 0.0, np.random.default_rng(0))
    assert int(ball.sum()) == pytest.approx(int(labels.sum()), rel=0.15)
    assert not ball[35, 40]  # its corner is gone
    assert ball[50, 50] == 3


def test_a_hull_closes_bays() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[30:60, 30:36] = labels[54:60, 30:60] = 4
    closed = crude.hulls(labels, 1.0, np.random.default_rng(0), directions=24)
    assert closed[50, 42] == 4
    assert closed.sum() > labels.sum()


def test_a_horizon_becomes_a_line() -> None:
    rng = np.random.default_rng(1)
    profile = np.cumsum(rng.integers(-1, 2, 100)) * 0.5 + 50
    labels = np.where(np.arange(100)[:, None] > profile, 8, 1).astype(np.uint8)
    labels[20:70, 40:44] = 11  # a tree before it stays
    straight = crude.straightened(labels, 1, 1, np.random.default_rng(0))
    assert (straight[20:70, 40:44] == 11).all()
    heights = (straight == 1).sum(0)[np.r_[:40, 44:100]]
    assert np.abs(np.diff(heights, 2)).max() <= 1  # a ruler's steps
    assert borders(straight) < borders(labels)


def test_a_brush_covers_what_it_paints() -> None:
    labels = np.where(disc(96, 30), 5, 1).astype(np.uint8)
    painted = crude.brushed(labels, 8, 0.9, np.random.default_rng(0))
    assert ((painted == 5) & (labels == 5)).sum() > 0.85 * (labels == 5).sum()
    assert not np.array_equal(painted, labels)


def test_training_maps_lose_detail_and_stay_the_same_scene(source: Path) -> None:
    pairs = read_pairs(source, limit=12)
    before = after = 0
    for number, pair in enumerate(pairs):
        simple = crude.simplified(pair.labels, np.random.default_rng(number))
        before, after = before + borders(pair.labels), after + borders(simple)
        assert (simple == pair.labels).mean() > 0.6  # still the same scene
    assert after < 0.85 * before


def test_hand_painted_scenes_are_maps_of_the_built_in_set() -> None:
    labels = load_label_set("landscape17")
    maps = [hand_painted(number, 128) for number in range(len(SCENES))]
    assert len(maps) == 32
    for painted in maps:
        assert painted.dtype == np.uint8
        assert painted.shape == (128, 128)
        assert len(np.unique(painted)) >= 2
        assert set(np.unique(painted)) <= labels.by_id.keys() - {labels.ignore}
    everything = np.bincount(np.concatenate([painted.ravel() for painted in maps]), minlength=17)
    assert (everything[1:] > 0).all()  # every class is painted somewhere
    assert len({painted.tobytes() for painted in maps}) == 32
    with pytest.raises(ValueError, match="0 to 31"):
        hand_painted(32)


def test_a_scene_is_the_same_at_any_side() -> None:
    for number in (0, 9, 22):
        small, large = hand_painted(number, 128), hand_painted(number, 512)
        assert (small == large[2::4, 2::4]).mean() > 0.97
        assert np.array_equal(large, hand_painted(number, 512))


def test_they_are_written_as_palette_files(tmp_path: Path) -> None:
    paths = crude.write_hand_painted(tmp_path / "maps", 64)
    assert [path.name for path in paths[:2]] == ["00-mountain-lake.png", "01-beach.png"]
    with Image.open(paths[3]) as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.asarray(picture), hand_painted(3, 64))
        assert bytes(picture.getpalette() or [])[:51] == load_label_set("landscape17").palette()[:51]
