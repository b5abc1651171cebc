"""Styles by region in the built-in family: the feather, the numbered blends, and the picture they make."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from engine import MAX_REGIONS, Library, OutOfMemory, Painter, paints_styles_by_region, regions
from engine.model import Model
from engine.patterns import MOST_NUMBERS
from engine.rect import Rect
from engine.regions import STEPS, Blends, BlendVocabulary, StylePlane, apportioned, feathered, reach_of
from models.generator import FEATHER, StyledSpadeGenerator
from models.generator import feathered as feathered_in_training
from models.spade import StyleField
from tests.engine.painting import (
    FAMILIES,
    backend_names,
    blocky,
    decibels,
    engine_of,
    family,
    noise,
    painter_of,
    raw_of,
)

EXACT = 1e-4  # as in test_parity
FINE = 4096  # parts of a pixel's blend
any_backend = pytest.mark.parametrize("backend", backend_names())
planes = st.builds(
    lambda side, styles, cell, seed: blocky(*side, styles, seed, cell),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(1, MAX_REGIONS + 1),
    st.sampled_from([1, 5, 17]),
    st.integers(0, 999),
)


def codes_of(model: Model, count: int) -> list[list[float]]:
    generator = torch.Generator().manual_seed(1)
    return (3 * torch.randn(count, model.spec.style_dim, generator=generator)).tolist()


def in_regions(model: Model, labels: NDArray[np.uint8], plane: StylePlane) -> Painter:
    """A painter in as many styles as a plane names."""
    painter = painter_of(model, labels)
    painter.set_regions(codes_of(model, int(plane.max())))
    painter.set_style_plane(plane)
    return painter


def whole(plane: StylePlane, reach: int) -> tuple[Sequence[int], NDArray[np.int32]]:
    return feathered(np.pad(plane, reach, mode="edge"), reach)


# The feather


@settings(max_examples=40, deadline=None)
@given(planes, st.integers(0, 9))
def test_the_feather_is_what_it_says(plane: StylePlane, reach: int) -> None:
    styles, parts = whole(plane, reach)
    assert (parts.sum(0) == FINE).all()
    # The formula as it stands, with the nearest pixel found by looking at all of them.
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
    expected = np.zeros((len(styles), *plane.shape))
    for i, style in enumerate(styles):
        y, x = np.nonzero(plane == style)
        distance = np.sqrt((rows[..., None] - y) ** 2 + (columns[..., None] - x) ** 2).min(-1, initial=1e9)
        expected[i] = np.maximum(0, 0.5 - (distance - 0.5) / (2 * reach + 1))
        expected[i][plane == style] = 0
    for i, style in enumerate(styles):
        expected[i][plane == style] = 1 - expected.max(0)[plane == style]
    assert np.abs(parts / FINE - expected / expected.sum(0)).max() <= 1.5 / FINE


@settings(max_examples=40, deadline=None)
@given(planes, st.integers(0, 9))
def test_every_region_has_its_own_style_first(plane: StylePlane, reach: int) -> None:
    styles, parts = whole(plane, reach)
    own = parts[np.searchsorted(styles, plane), *np.indices(plane.shape)]
    others = parts - own * (plane == np.array(styles)[:, None, None])
    assert (own + 1 >= others.max(0)).all()
    if len(styles) == 2:
        assert (own > FINE // 2 - 1).all()


def test_a_straight_border_is_what_the_model_was_trained_with() -> None:
    plane = np.zeros((64, 80), np.uint8)
    plane[:, 33:] = 1
    _, parts = whole(plane, FEATHER // 2)
    weights = feathered_in_training(torch.from_numpy(plane)[None].long(), 2)[0].numpy()
    assert np.abs(parts / FINE - weights).max() <= 1 / FINE
    assert reach_of(256, 256) == reach_of(400, 256) == FEATHER // 2


def test_the_feather_grows_with_the_picture() -> None:
    assert [reach_of(side, 3000) for side in (1, 31, 32, 512, 1024, 3000)] == [0, 0, 1, 16, 32, 32]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.integers(0, 99), st.sampled_from([1, 4, 16, STEPS, FINE]))
def test_parts_add_up(styles: int, seed: int, steps: int) -> None:
    parts = np.random.default_rng(seed).integers(0, 4 << 20, (styles, 5, 6)).astype(np.int32)
    parts[-1] += 1
    found = apportioned(parts, steps)
    assert (found.sum(0) == steps).all()
    exact = steps * parts.astype(np.int64) / parts.sum(0, dtype=np.int64)
    assert np.abs(found - exact).max() < 1
    assert (found[parts == 0] == 0).all()
    assert np.array_equal(apportioned(found, steps), found)


# Blends


def test_a_blend_keeps_its_number_and_its_shares() -> None:
    vocabulary = BlendVocabulary()
    parts = apportioned(np.random.default_rng(0).integers(0, 9, (16, 30, 40)).astype(np.int32) + 1, STEPS)
    numbers = vocabulary.numbers(range(16), parts)
    few = vocabulary.numbers([3, 12], np.array([[[STEPS, 0]], [[0, STEPS]]]))
    assert np.array_equal(vocabulary.numbers(range(16), parts), numbers)
    assert np.array_equal(vocabulary.shares(16)[numbers].transpose(2, 0, 1) * STEPS, parts)
    assert np.array_equal(vocabulary.shares(16)[few[0]], np.eye(16)[[3, 12]])
    assert vocabulary.count == len(np.unique(parts.reshape(16, -1), axis=1).T) + 2 < MOST_NUMBERS
    assert np.array_equal(vocabulary.shares(4)[few[0, :1]], [[0, 0, 0, 1]]), "as many as are asked for"


def test_a_pure_blend_is_its_style_to_the_bit() -> None:
    model = engine_of(family("built-in"), "torch fp32")
    plane = blocky(64, 64, 3, cell=32)
    painter = in_regions(model, blocky(64, 64), plane)
    painter.render()
    levels, style = painter._canvas.blend_levels, painter._style
    for norm in model.network.norms:
        level, posts = levels[norm.level], style.posts[norm]
        rows = level.table(norm, posts)[level.index[0].long()]
        inside = torch.from_numpy(_cells_of_one_style(plane, 64 // rows.shape[0], reach_of(64, 64)))
        assert inside.any()
        assert torch.equal(rows[inside], posts[torch.from_numpy(plane).long()[_centres(rows)]][inside])


def _centres(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The pixel in the middle of every cell of a plane of 64 × 64."""
    factor = 64 // rows.shape[0]
    y, x = torch.meshgrid(
        *(torch.arange(side) * factor + factor // 2 for side in rows.shape[:2]), indexing="ij"
    )
    return y, x


def _cells_of_one_style(plane: StylePlane, factor: int, reach: int) -> NDArray[np.bool_]:
    """Whether all pixels of a cell, and all within reach of it, have one style."""
    around = np.pad(plane, reach, mode="edge")
    side = factor + 2 * reach
    pieces = np.lib.stride_tricks.sliding_window_view(around, (side, side))[::factor, ::factor]
    return (pieces == pieces[..., :1, :1]).all((2, 3))


# Pictures


class AsBlended(StyleField):
    """A style field whose weights are a canvas's blends at every resolution."""

    def __init__(self, codes: Tensor, levels: Sequence[regions.BlendLevel]) -> None:
        super().__init__(codes, torch.ones(1))  # of any size: what is resized is there
        for level in levels:
            shares = torch.from_numpy(level._vocabulary.shares(codes.shape[1]))[level.index[0].long()]
            self._resized[tuple(shares.shape[:2])] = shares.permute(2, 0, 1)[None]


def plain(painter: Painter, field: StyleField) -> Tensor:
    """The plain network's picture of a painter's map in a style field: float32 (H, W, 3)."""
    generator = family("built-in").generator
    assert isinstance(generator, StyledSpadeGenerator)
    labels = torch.from_numpy(painter.labels).long()[None]
    noises = generator.noise(painter._style.seed, *labels.shape[1:])
    with torch.no_grad():
        return generator(labels, field, noises)[0].permute(1, 2, 0)


@any_backend
@pytest.mark.parametrize("kind", ["blocky", "noise"])
@pytest.mark.parametrize("styles", [2, 5, 16])
def test_the_picture_is_the_plain_networks(
    monkeypatch: pytest.MonkeyPatch, styles: int, kind: str, backend: str
) -> None:
    draw = noise if kind == "noise" else blocky  # noise takes the plain path, strip by strip
    model = engine_of(family("built-in"), backend)
    plane = blocky(96, 128, styles, 4, cell=30)
    painter = in_regions(model, draw(96, 128, 17), plane)
    picture = raw_of(painter)
    codes = torch.stack(painter._style.codes)[None]
    found, parts = whole(plane, reach_of(128, 96))
    weights = torch.zeros(1, codes.shape[1], *plane.shape)
    weights[:, found] = torch.from_numpy(parts) / FINE
    exact = plain(painter, StyleField(codes, weights))
    single = plain(painter, StyleField(codes[:, :1]))
    levels = painter._canvas.blend_levels
    monkeypatch.setattr("models.generator.StyleField", lambda mapped, _: AsBlended(mapped, levels))
    as_blended = plain(painter, StyleField(codes))
    assert decibels(single, exact) < 32, "regions could not be seen"
    if backend.endswith("fp32"):
        assert (picture - as_blended).abs().max() <= EXACT
        assert decibels(picture, exact) >= 52, "blends are rounded to 1/64"
    else:
        assert decibels(picture, as_blended) >= 40
        assert decibels(picture, exact) >= 40


@any_backend
def test_a_plane_of_zeros_is_no_plane(backend: str) -> None:
    model = engine_of(family("built-in"), backend)
    labels, nothing = blocky(40, 60, 17), np.zeros((40, 60), np.uint8)
    expected = painter_of(model, labels).render()
    painter = in_regions(model, labels, nothing)
    assert np.array_equal(painter.render(), expected)
    painter.set_regions(codes_of(model, 3))
    assert np.array_equal(painter.render(), expected)
    painter.set_style_plane(blocky(40, 60, 4))
    assert not np.array_equal(painter.render(), expected)
    painter.set_style_plane(nothing)
    assert np.array_equal(painter.render(), expected)
    assert painter.style_plane.shape == (40, 60)
    assert not painter.style_plane.any()


@any_backend
def test_one_style_for_all_regions_is_nearly_that_style(backend: str) -> None:
    """Not to the bit: shares of one number do not add up to it exactly."""
    model = engine_of(family("built-in"), backend)
    labels = blocky(40, 60, 17)
    painter = painter_of(model, labels)
    expected = raw_of(painter)
    painter.set_regions([painter.style] * 3)
    painter.set_style_plane(blocky(40, 60, 4))
    assert decibels(raw_of(painter), expected) > (100 if backend.endswith("fp32") else 45)


@pytest.mark.parametrize(("width", "height"), [(66, 69), (1, 1), (35, 5), (33, 70)])
def test_any_size_is_painted_by_extending_the_edge(width: int, height: int) -> None:
    model = engine_of(family("built-in"), "torch fp32")
    labels, plane = blocky(height, width, 17), blocky(height, width, 4, 2, cell=9)
    around = ((0, -height % 4), (0, -width % 4))
    extended = [np.pad(one, around, mode="edge") for one in (labels, plane)]
    assert reach_of(width, height) == reach_of(*extended[0].shape), "or the feather is another"
    expected = in_regions(model, *extended).render()[:height, :width]
    assert np.array_equal(in_regions(model, labels, plane).render(), expected)


def test_codes_change_and_the_plane_stays() -> None:
    model = engine_of(family("built-in"), "torch fp32")
    labels, plane = blocky(40, 60, 17), blocky(40, 60, 3, 2, cell=20)
    painter = in_regions(model, labels, plane)
    painter.render()
    own, *others = codes_of(model, 6)[3:]
    painter.set_style(own)
    painter.set_regions(others)
    fresh = painter_of(model, labels)
    fresh.set_regions(others)
    fresh.set_style_plane(plane)
    fresh.set_style(own)
    assert np.array_equal(painter.render(), fresh.render())
    assert np.array_equal(painter.style_plane, plane)
    assert np.allclose(painter.regions, others)
    assert np.allclose(painter.style, own)
    before = painter.render()
    painter.set_regions([*others, others[0]])
    assert np.array_equal(painter.render(), before), "a style that nobody takes changes nothing"


def test_a_plane_is_copied_both_ways() -> None:
    model = engine_of(family("built-in"), "torch fp32")
    plane = blocky(40, 60, 3, 2, cell=20)
    painter = in_regions(model, blocky(40, 60, 17), plane)
    before = painter.render()
    painter.style_plane[:] = 0
    plane[:] = 0
    assert np.array_equal(painter.render(), before)


# Many blends


def few_blends(monkeypatch: pytest.MonkeyPatch, rows: int = 40) -> None:
    """Room for so few blends that ordinary planes have more: of the finest level, whose rows are smallest."""
    model = engine_of(family("built-in"), "torch fp32")
    row = min(sum(8 * norm.channels for norm in norms) for norms in model._norms_by_level)
    monkeypatch.setattr(regions, "LARGEST_BLENDS", rows * row)


def steps_of(painter: Painter) -> int:
    blends = painter._canvas.blends
    assert blends is not None
    return blends._steps


def test_a_plane_of_too_many_blends_is_painted_in_coarser_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    few_blends(monkeypatch, 200)
    model = engine_of(family("built-in"), "torch fp32")
    labels, simple = blocky(64, 64, 17), np.zeros((64, 64), np.uint8)
    simple[:, 40:] = 1
    painter = in_regions(model, labels, simple)
    painter.set_regions(codes_of(model, 15))
    before = painter.render()
    assert steps_of(painter) == STEPS
    busy = blocky(64, 64, 5, 3, cell=10)
    painter.set_style_plane(busy)
    painter.render()
    assert 1 < steps_of(painter) < STEPS
    painter.set_style_plane(noise(64, 64, 16))
    painter.render()
    assert steps_of(painter) == 1
    for level in painter._canvas.blend_levels:
        assert level.count <= 200
    painter.apply_style_plane(0, 0, simple)
    assert np.array_equal(painter.render(), before)
    assert steps_of(painter) == STEPS


def test_blends_of_former_planes_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    few_blends(monkeypatch, 100)
    model = engine_of(family("built-in"), "torch fp32")
    painter = in_regions(model, blocky(64, 64, 17), blocky(64, 64, 16))
    for turn in range(20):
        plane = np.zeros((64, 64), np.uint8)
        plane[turn : turn + 20, turn:40] = turn % 15 + 1
        painter.set_style_plane(plane)
        painter.render()
        assert steps_of(painter) == STEPS
        assert all(level.count <= 100 for level in painter._canvas.blend_levels)


@pytest.mark.parametrize("after", [1, 2, 3, 5, 6])
def test_a_failure_leaves_nothing_half_numbered(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    few_blends(monkeypatch)
    monkeypatch.setattr(regions, "_BAND", 64 * 16)
    model = engine_of(family("built-in"), "torch fp32")
    labels = blocky(64, 64, 17)
    painter = in_regions(model, labels, blocky(64, 64, 16, 5, cell=30))
    painter.render()
    calls = 0

    def stumbling(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= after:  # also when everything that can be made again was let go
            raise MemoryError("no more")
        return feathered(*args)  # type: ignore[arg-type]

    plane = blocky(64, 64, 16, 6, cell=8)
    painter.set_style_plane(plane)
    with monkeypatch.context() as patch:
        patch.setattr(regions, "feathered", stumbling)
        with pytest.raises(OutOfMemory):
            painter.render()
    painter.apply_style_plane(3, 4, plane[:9, :7])
    again = plane.copy()
    again[4:13, 3:10] = plane[:9, :7]
    expected = painter_of(model, labels)
    expected.set_regions(codes_of(model, 15))
    expected.set_style_plane(again)
    assert np.array_equal(painter.render(), expected.render())


def test_bands_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = blocky(64, 96, 4, 1, cell=20)

    def piece(rect: Rect) -> StylePlane:
        rows = np.arange(rect.top, rect.bottom).clip(0, 63)
        return plane[rows[:, None], np.arange(rect.left, rect.right).clip(0, 95)]

    shares: list[list[NDArray[np.float32]]] = []
    for band in (1, 1 << 17):
        monkeypatch.setattr(regions, "_BAND", band)
        blends = Blends((64, 96), 3, [16, 4, 1], [8, 8, 8], torch.device("cpu"))
        blends.refresh(piece, Rect(0, 0, 64, 96))
        shares.append([level._vocabulary.shares(4)[level.index[0].numpy()] for level in blends.levels])
    assert all(np.array_equal(one, other) for one, other in zip(*shares, strict=True))


# With others, and who can


@any_backend
def test_painters_with_and_without_regions_together(backend: str) -> None:
    def some_painters() -> list[Painter]:
        model = engine_of(family("built-in"), backend)
        painters = [painter_of(model, blocky(32, 48, 17, seed), seed) for seed in range(5)]
        for seed in (0, 2, 3):
            painters[seed].set_regions(codes_of(model, 3 + seed))
            painters[seed].set_style_plane(blocky(32, 48, 3 + seed, seed, cell=11))
        return painters

    alone = [painter.render() for painter in some_painters()]
    for members in ([0, 1, 2, 3, 4], [2, 0], [4, 3], [3, 2, 0, 1]):
        painters = some_painters()
        pictures = Painter.render_together([painters[i] for i in members])
        for i, picture in zip(members, pictures, strict=True):
            assert np.array_equal(picture, alone[i])


def test_painters_with_regions_share_one_forward() -> None:
    model = engine_of(family("built-in"), "torch fp32")
    painters = [in_regions(model, blocky(32, 32, 17, i), blocky(32, 32, 4, i, cell=12)) for i in range(3)]
    run, sizes = model.trunk.run, list[int]()
    model.trunk.run = lambda start, *rest: (sizes.append(start.shape[0]), run(start, *rest))[1]  # type: ignore[method-assign]
    Painter.render_together(painters)
    assert sizes == [3]


@pytest.mark.parametrize("name", FAMILIES)
def test_who_can_is_known_without_weights(name: str) -> None:
    can = name == "built-in" or name.startswith("oasis")
    assert paints_styles_by_region(family(name).spec) == can


@pytest.mark.parametrize(("x", "y"), [(100, 90), (0, 0), (210, 150)])
def test_a_live_dab_of_style_is_nearly_exact(x: int, y: int) -> None:
    library = Library.builtin(device="cpu")
    styles = {style.id: style.code for style in library.spec().styles}
    painter = library.painter(None, 256, 256)
    painter.set_style(styles["noon"])
    painter.set_regions([styles["sunset"]])
    painter.set_map(blocky(256, 256, 17, cell=60))
    before = painter.render("live")
    for number in (1, 0):
        painter.apply_style_plane(x, y, np.full((40, 40), number, np.uint8))
        preview = painter.render("live")
        assert not painter.exact
        exact = painter.render()
        reach = reach_of(256, 256)
        near = tuple(slice(max(0, side - reach), side + 40 + reach) for side in (y, x))
        error, change = (np.mean((one[near].astype(float) - exact[near]) ** 2) for one in (preview, before))
        assert error < 20
        assert number == 0 or change > 20 * error
        far = np.ones((256, 256), bool)
        margin = reach + 35
        far[max(0, y - margin) : y + 40 + margin, max(0, x - margin) : x + 40 + margin] = False
        assert np.array_equal(preview[far], before[far])
        before = painter.render("live")
    assert painter.exact, "nothing has changed since"


def test_numbers_of_any_style() -> None:
    """All sixteen, in one picture, at once and patch by patch."""
    model = engine_of(family("built-in"), "torch fp32")
    plane = np.arange(16, dtype=np.uint8).repeat(16).reshape(4, 64).repeat(16, 0)
    painter = in_regions(model, blocky(64, 64, 17), plane)
    piece_by_piece = in_regions(model, blocky(64, 64, 17), np.full((64, 64), 15, np.uint8))
    for x, y in product(range(0, 64, 16), repeat=2):
        piece_by_piece.apply_style_plane(x, y, plane[y : y + 16, x : x + 16])
        piece_by_piece.render()
    assert np.array_equal(painter.render(), piece_by_piece.render())
