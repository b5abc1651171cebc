"""Where an edit is painted, how it is mixed in, and that nothing outside its region moves."""

import math

import cv2
import numpy as np
import pytest

from server.editing.blend import BLENDS
from server.editing.compose import Mixing, put_in, restored
from server.editing.plan import Box, Canvas, Plan, bounding_box, plan_crop
from server.editing.regions import distances, fitting_feather, ramp
from server.editing.seam import measure
from tests.server.photographs import KINDS, blob, samples

CANVAS = Canvas((256, 256), 32, (2048, 2048), 1 << 20)


# Where


def test_small_pictures_are_painted_whole_at_their_own_size() -> None:
    for size in ((256, 256), (512, 384), (300, 500)):
        assert plan_crop(size, Box(10, 10, 20, 20), CANVAS) == Plan(Box(0, 0, *size), *size)


def test_tiny_pictures_are_painted_at_the_models_size() -> None:
    plan = plan_crop((64, 48), Box(3, 3, 9, 9), CANVAS)
    assert plan.box == Box(0, 0, 64, 48)
    assert (plan.width, plan.height) == (256, 192)


def test_big_pictures_are_painted_in_a_crop_around_the_region() -> None:
    around = Box(2000, 1500, 600, 300)
    plan = plan_crop((4000, 3000), around, CANVAS)
    assert plan.box == Box(1700, 1200, 1200, 900)
    assert (plan.width, plan.height) == (512, 384)
    assert plan.scale == pytest.approx(512 / 1200)


def test_crops_stay_inside_and_hold_the_region() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        width, height = (int(side) for side in random.integers(600, 5000, 2))
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        around = Box(x, y, int(random.integers(1, width - x + 1)), int(random.integers(1, height - y + 1)))
        plan = plan_crop((width, height), around, CANVAS)
        box = plan.box
        assert 0 <= box.x <= around.x
        assert 0 <= box.y <= around.y
        assert around.x + around.width <= box.x + box.width <= width
        assert around.y + around.height <= box.y + box.height <= height
        assert max(plan.width, plan.height) <= 512
        # Its shape is kept, but for less than a sixteenth.
        stretch = (plan.width / box.width) / (plan.height / box.height)
        assert 0.93 < stretch < 1.08


def test_a_pin_prick_in_a_big_picture_is_painted_with_its_surroundings() -> None:
    plan = plan_crop((4000, 3000), Box(2000, 10, 2, 2), CANVAS)
    assert (plan.box.width, plan.box.height) == (256, 256)
    assert plan.box.y == 0


def test_limits_hold_for_pictures_of_our_own_too() -> None:
    own = plan_crop((1024, 1024), Box(1, 1, 5, 5), CANVAS, whole=True)
    assert own == Plan(Box(0, 0, 1024, 1024), 1024, 1024)
    too_large = plan_crop((2000, 1000), Box(1, 1, 5, 5), CANVAS, whole=True)
    assert too_large.width * too_large.height <= CANVAS.most_pixels
    fixed = Canvas((256, 128), 64, (256, 128), 1 << 20)
    plan = plan_crop((512, 512), Box(0, 0, 512, 512), fixed)
    assert plan.width <= 256
    assert plan.height <= 128


def test_the_box_of_a_region() -> None:
    region = np.zeros((9, 12), bool)
    assert bounding_box(region) is None
    region[2:5, 7] = True
    region[4, 3] = True
    assert bounding_box(region) == Box(3, 2, 5, 3)


# The feather


def test_the_feather_lies_inside_and_ends() -> None:
    region = blob(1, 60, 50)
    distance = distances(region)
    alpha = ramp(distance, 6)
    assert (alpha[~region] == 0).all()
    assert (alpha[region] > 0).all()
    assert (alpha[distance > 7] == 1).all()
    assert ((alpha[region] < 1) == (distance[region] < 7)).all()
    assert np.array_equal(ramp(distance, 0) == 1, region)
    assert fitting_feather(distance, 1000) == pytest.approx(distance.max() / 2)


def test_the_pictures_own_edge_is_no_border() -> None:
    region = np.zeros((20, 30), bool)
    region[:, :15] = True
    assert (distances(region)[:, 0] == 15).all()
    assert (ramp(distances(np.ones((4, 5), bool)), 8) == 1).all()


# Mixing


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outside_moves_and_something_inside_does(kind: str, depth: int, blend: str) -> None:
    source = samples(3, 70, 50, KINDS[kind], depth)
    kept = source.copy()
    region = blob(4, 70, 50)
    for plan in (
        Plan(Box(0, 0, 70, 50), 70, 50),
        Plan(Box(0, 0, 70, 50), 35, 25),
        Plan(Box(0, 0, 70, 50), 140, 100),
    ):
        painted = samples(5, plan.width, plan.height)
        result, _ = put_in(source, painted, region, plan, Mixing(blend, 3))  # type: ignore[arg-type]
        assert result.dtype == source.dtype
        assert np.array_equal(result[~region], source[~region])
        colours = 3 if source.shape[2] >= 3 else 1
        assert np.array_equal(result[..., colours:], source[..., colours:])
        assert (result[region] != source[region]).any()
        assert np.array_equal(source, kept)


@pytest.mark.parametrize("blend", BLENDS)
def test_a_crop_is_put_where_it_belongs(blend: str) -> None:
    """A painting that shows the source itself changes next to nothing, wherever it lies."""
    source = cv2.GaussianBlur(samples(6, 300, 200), (0, 0), 4)
    region = np.zeros((200, 300), bool)
    region[90:150, 130:220] = True
    box = Box(101, 61, 160, 120)
    whole = source[box.rows, box.columns]
    for scale in (1, 0.5):
        size = int(box.width * scale), int(box.height * scale)
        painted = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
        result, _ = put_in(source, painted, region, Plan(box, *size), Mixing(blend))  # type: ignore[arg-type]
        assert np.abs(result.astype(int) - source.astype(int)).max() <= (2 if scale == 1 else 6)


def test_deep_in_the_region_stands_the_painting() -> None:
    source, painted = samples(7, 80, 80), samples(8, 80, 80)
    region = np.zeros((80, 80), bool)
    region[10:70, 10:70] = True
    plan = Plan(Box(0, 0, 80, 80), 80, 80)
    result, feather = put_in(source, painted, region, plan, Mixing("feather", 4, match=False))
    deep = distances(region) > feather + 1
    assert np.array_equal(result[deep], painted[deep])
    hard, _ = put_in(source, painted, region, plan, Mixing("feather", 0, match=False))
    assert np.array_equal(hard[region], painted[region])


def test_a_difference_in_light_is_taken_off() -> None:
    """The same scene, darker and bluer: what is put in must not show it."""
    source = cv2.GaussianBlur(samples(9, 128, 128), (0, 0), 2)
    painted = np.clip(source * 0.7 + np.array([5, 10, 60]), 0, 255).astype(np.uint8)
    region = blob(10, 128, 128)
    plan = Plan(Box(0, 0, 128, 128), 128, 128)
    plain, _ = put_in(source, painted, region, plan, Mixing("feather", 6, match=False))
    matched, _ = put_in(source, painted, region, plan, Mixing("feather", 6))
    off = [np.abs(one[region].astype(int) - source[region]).mean() for one in (plain, matched)]
    assert off[0] > 15
    assert off[1] < 0.25 * off[0]


def test_a_light_that_was_asked_for_stays() -> None:
    """Colours are matched by the painting in the picture's own light, not by the one that is put in."""
    source = cv2.GaussianBlur(samples(11, 128, 128), (0, 0), 2)
    golden = np.clip(source.astype(float) + np.array([60, 20, -50]), 0, 255).astype(np.uint8)
    region = blob(12, 128, 128)
    plan = Plan(Box(0, 0, 128, 128), 128, 128)
    kept, _ = put_in(source, golden, region, plan, Mixing("feather", 3), reference=source)
    lost, _ = put_in(source, golden, region, plan, Mixing("feather", 3))
    deep = distances(region) > 4
    warmth = [(one[deep].astype(int) - source[deep]).mean(0) for one in (kept, lost)]
    assert warmth[0][0] > 40
    assert warmth[0][2] < -30
    assert abs(warmth[1][0]) < 20


def test_what_is_white_stays_white_whatever_lies_around() -> None:
    """The model's grass is less yellow than the picture's: no reason to lay yellow snow on it."""
    texture = samples(31, 128, 128, 1).astype(float) / 255 * 30
    source = (texture + np.array([120, 150, 60])).astype(np.uint8)
    painted = (texture + np.array([110, 140, 90])).astype(np.uint8)
    region = np.zeros((128, 128), bool)
    region[40:90, 30:100] = True
    plan = Plan(Box(0, 0, 128, 128), 128, 128)
    deep = distances(region) > 10
    grass, _ = put_in(source, painted, region, plan, Mixing())
    assert np.abs((grass[deep].astype(float) - source[deep]).mean(0)).max() < 8
    painted[region] = (texture + 190).astype(np.uint8)[region]
    snow, _ = put_in(source, painted, region, plan, Mixing())
    colour = snow[deep].mean(0)
    assert colour.max() - colour.min() < 3


@pytest.mark.parametrize(("light", "dark"), [(0.75, 0.6), (0.6, 0.75)])
def test_white_is_not_blown_out_and_black_is_no_fog(light: float, dark: float) -> None:
    """The model's grass is darker, or lighter, than the picture's: near white and black little moves."""
    texture = samples(31, 128, 128, 1).astype(float) / 255 * 8
    source, grass = (np.repeat(texture + 255 * shade, 3, 2).astype(np.uint8) for shade in (light, dark))
    region = np.zeros((128, 128), bool)
    region[40:90, 30:100] = True
    plan = Plan(Box(0, 0, 128, 128), 128, 128)
    deep = distances(region) > 10
    for shade in (0.02, 0.95):
        painted = np.where(region[..., None], texture + 255 * shade, grass).astype(np.uint8)
        result, _ = put_in(source, painted, region, plan, Mixing())
        assert np.abs(result[deep].astype(float) - painted[deep]).mean() < 255 * 0.15 / 2
    same, _ = put_in(source, grass, region, plan, Mixing())
    assert np.abs(same[deep].astype(float) - source[deep]).mean() < 4


def test_a_region_without_surroundings_is_painted_all_the_same() -> None:
    source, painted = samples(13, 40, 30), samples(14, 40, 30)
    plan = Plan(Box(0, 0, 40, 30), 40, 30)
    for blend in BLENDS:
        result, _ = put_in(source, painted, np.ones((30, 40), bool), plan, Mixing(blend))
        assert np.abs(result.astype(int) - painted).mean() < 3


def test_restoring_gives_the_original_back() -> None:
    original, edited = samples(15, 60, 40, 4, 16), samples(16, 60, 40, 4, 16)
    region = blob(17, 60, 40)
    hard, _ = restored(edited, original[..., :3], region, 0)
    assert np.array_equal(hard[region][:, :3], original[region][:, :3])
    assert np.array_equal(hard[~region], edited[~region])
    assert np.array_equal(hard[..., 3], edited[..., 3])
    soft, feather = restored(edited, original[..., :3], region, None)
    deep = distances(region) > feather + 1
    assert np.array_equal(soft[deep][:, :3], original[deep][:, :3])
    assert not np.array_equal(soft[region], hard[region])


# The seam


@pytest.mark.parametrize("blend", BLENDS)
def test_a_seam_does_not_show_where_a_hard_edge_does(blend: str) -> None:
    """The same kind of texture in another light: the median gradient across the border."""
    source = samples(18, 160, 160)
    painted = np.clip(samples(19, 160, 160).astype(int) // 2 + 90, 0, 255).astype(np.uint8)
    region = blob(20, 160, 160)
    plan = Plan(Box(0, 0, 160, 160), 160, 160)
    hard, _ = put_in(source, painted, region, plan, Mixing("feather", 0, match=False))
    soft, feather = put_in(source, painted, region, plan, Mixing(blend))  # type: ignore[arg-type]
    assert measure(soft, region, feather).ratio <= 1.5
    assert measure(soft, region, feather).ratio < measure(hard, region, 0).ratio


def test_the_measure_sees_a_seam() -> None:
    flat = np.full((60, 60, 3), 100, np.uint8)
    region = np.zeros((60, 60), bool)
    region[20:40, 20:40] = True
    assert measure(flat, region, 3).ratio == 0
    flat[region] = 140
    seam = measure(flat, region, 3)
    assert seam.border == pytest.approx(20, abs=1)
    assert seam.interior == 0
    assert seam.ratio > 50
    x = np.arange(60)
    slope = np.broadcast_to((2 * x)[None, :, None], (60, 60, 3)).astype(np.uint8)
    assert measure(slope, region, 3).interior == pytest.approx(2)
    assert measure(slope, region, 3).border == pytest.approx(2)
    assert math.isclose(measure(slope, region, 3).ratio, 1, rel_tol=0.01)


def test_a_thin_stroke_shows_beside_a_broad_one() -> None:
    source, painted = np.full((160, 160, 3), 60, np.uint8), np.full((160, 160, 3), 60, np.uint8)
    thin, broad = np.zeros((160, 160), bool), np.zeros((160, 160), bool)
    thin[20:26, 20:140], broad[60:140, 20:140] = True, True
    painted[thin | broad] = 180
    plan = Plan(Box(0, 0, 160, 160), 160, 160)
    alone, _ = put_in(source, painted, thin, plan, Mixing(match=False))
    beside, _ = put_in(source, painted, thin | broad, plan, Mixing(match=False))
    assert alone[22:24, 40:120].mean() > 140
    assert beside[22:24, 40:120].mean() > 140
    border = beside[60:80, 80, 0].astype(int)
    assert (np.diff(border) >= 0).all(), "a broad one fades in as wide as before"
    assert border[0] < 70
    assert border[9] > 110
