"""The painter's door for models of the published families: instances, styles by region and pixel, sizes; what
cannot be done is said and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from engine import MAX_REGIONS, EngineError, Painter, paints_styles_by_region
from engine.model import Style
from engine.regions import StylePlane
from models.noise import style_from_seed
from tests.engine.painting import (
    backend_names,
    blocky,
    decibels,
    engine_of,
    family,
    painter_of,
    plain,
    raw_of,
)

BACKEND = backend_names("fp32")[-1]
BY_REGION = ["oasis", "built-in"]
Act = Callable[[Painter], None]


def painter(name: str, height: int = 40, width: int = 60) -> Painter:
    model = engine_of(family(name), BACKEND)
    return painter_of(model, blocky(height, width, family(name).generator.label_channels))


def styled(one: Painter, codes: Sequence[Sequence[float]], where: StylePlane) -> None:
    """Give regions styles: `where` says which of the codes, the first of which is the painter's own."""
    one.set_style(codes[0])
    one.set_regions(codes[1:])
    one.set_style_plane(where)


def unchanged(one: Painter, act: Act, *words: str) -> None:
    """The act is refused in these words, and then nothing is different."""
    before, labels, plane = one.render(), one.labels, one.style_plane
    style, regions = one.style, one.regions
    with pytest.raises(EngineError) as caught:
        act(one)
    assert all(word in str(caught.value) for word in words)
    assert caught.value.next
    assert one.style == style
    assert one.regions == regions
    assert np.array_equal(one.labels, labels)
    assert np.array_equal(one.style_plane, plane)
    assert np.array_equal(one.render(), before)


# Instances


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((60, 40), np.uint16),
        np.zeros((40, 60), np.uint8),
        np.zeros((40, 60), np.int64),
        np.zeros((40, 60, 1), np.uint16),
        np.zeros(2400, np.uint16),
    ],
    ids=lambda wrong: f"{wrong.dtype} {wrong.shape}",
)
def test_an_instance_map_of_another_kind(wrong: np.ndarray) -> None:
    one = painter("edges")
    one.set_instances(blocky(40, 60).astype(np.uint16))
    unchanged(one, lambda p: p.set_instances(wrong), str(wrong.dtype), "uint16 (40, 60)")


@pytest.mark.parametrize("name", ["normal", "vae", "oasis", "built-in"])
def test_a_model_that_reads_no_instances(name: str) -> None:
    one = painter(name)
    unchanged(one, lambda p: p.set_instances(np.zeros((40, 60), np.uint16)), "reads none")
    one.set_instances(None)  # is what it is anyway


def test_an_instance_map_is_copied() -> None:
    one = painter("edges")
    instances = blocky(40, 60, seed=3).astype(np.uint16)
    one.set_instances(instances)
    before = one.render()
    instances[:] = 0
    assert np.array_equal(one.render(), before)


def test_instances_of_one_class_are_told_apart() -> None:
    one = painter("edges")
    one.set_map(np.ones((40, 60), np.uint8))
    flat = one.render()
    halves = np.zeros((40, 60), np.uint16)
    halves[:, 30:] = 65535
    one.set_instances(halves)
    assert not np.array_equal(one.render(), flat)
    one.set_instances(np.full((40, 60), 9, np.uint16))
    assert np.array_equal(one.render(), flat)


# Sizes


@pytest.mark.parametrize(("width", "height"), [(97, 64), (96, 65), (1000, 1000)])
def test_a_canvas_that_no_style_code_can_start(width: int, height: int) -> None:
    model = engine_of(family("vae"), BACKEND)
    with pytest.raises(EngineError, match=rf"{width}×{height}.*96×64"):
        Painter(model, width, height)


@pytest.mark.parametrize(("width", "height"), [(96, 64), (1, 1), (50, 64)])
def test_a_smaller_canvas_is_a_corner_of_the_only_one(width: int, height: int) -> None:
    model = engine_of(family("vae"), BACKEND)
    labels = blocky(height, width)
    whole = np.pad(labels, ((0, 64 - height), (0, 96 - width)), mode="edge")
    expected = painter_of(model, whole).render()[:height, :width]
    assert np.array_equal(painter_of(model, labels).render(), expected)


@pytest.mark.parametrize("name", ["normal", "more", "oasis", "edges", "kernel 5"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 5), (64, 70)])
def test_any_size_is_painted_by_extending_the_edge(name: str, width: int, height: int) -> None:
    model = engine_of(family(name), BACKEND)
    labels, stride = blocky(height, width), model.network.stride
    whole = np.pad(labels, ((0, -height % stride), (0, -width % stride)), mode="edge")
    expected = painter_of(model, whole).render()[:height, :width]
    assert np.array_equal(painter_of(model, labels).render(), expected)


@pytest.mark.parametrize("name", ["normal", "vae", "oasis"])
def test_no_canvas_is_empty(name: str) -> None:
    model = engine_of(family(name), BACKEND)
    for size in ((0, 5), (5, 0), (-1, 5)):
        with pytest.raises(EngineError, match="at least 1"):
            Painter(model, *size)


# Styles


@pytest.mark.parametrize("name", ["vae", "oasis"])
def test_a_seed_is_a_draw_of_the_prior(name: str) -> None:
    one = painter(name)
    one.set_style(11)
    expected = style_from_seed(11, one.spec.style_dim)
    assert np.allclose(one.style, expected.numpy())
    by_seed = one.render()
    one.set_style(12)
    assert not np.array_equal(one.render(), by_seed)
    one.set_style(expected.tolist())
    assert np.array_equal(one.render(), by_seed)


@pytest.mark.parametrize("name", ["normal", "edges"])
def test_a_model_without_style(name: str) -> None:
    one = painter(name)
    before = one.render()
    assert one.style == ()
    one.set_style(5)
    one.set_style([])
    assert np.array_equal(one.render(), before)
    unchanged(one, lambda p: p.set_style([0.0]), "1 values", "0")


def test_styles_by_region_and_by_pixel_are_the_same_picture() -> None:
    one = painter("oasis", 64, 96)
    torch.manual_seed(0)
    codes = torch.randn(3, one.spec.style_dim)
    where = blocky(64, 96, 3, seed=8, cell=20)
    styled(one, codes.tolist(), where)
    regions = raw_of(one)
    field = codes[torch.from_numpy(where).long()].permute(2, 0, 1).contiguous()
    reference = plain(family("oasis"), one.labels, Style(codes[0], per_pixel=field))
    assert (regions - reference).abs().max() <= 1e-4
    one.set_style_field(field.numpy())
    assert (raw_of(one) - reference).abs().max() <= 1e-4
    one.set_style(codes[0].tolist())
    assert torch.equal(raw_of(one), regions), (
        "a style takes the field's place, and regions are what they were"
    )
    alone = painter("oasis", 64, 96)
    alone.set_style(codes[1].tolist())
    one.set_style(codes[1].tolist())
    one.set_regions([codes[1].tolist()] * 2)
    assert decibels(raw_of(one), raw_of(alone)) > 100
    one.set_style_plane(np.zeros_like(where))
    assert np.array_equal(one.render(), alone.render()), "nothing is left of regions and fields"


def test_a_style_takes_the_place_of_a_field() -> None:
    one, alone = painter("oasis"), painter("oasis")
    alone.set_style(5)
    expected = alone.render()
    field = np.random.default_rng(0).normal(size=(6, 40, 60)).astype(np.float32)
    for code in (alone.style, 5):
        one.set_style_field(field)
        assert np.allclose(one.style, field.mean((1, 2)), atol=1e-5)
        assert not np.array_equal(one.render(), expected)
        one.set_noise(5)
        one.set_style(code)
        assert np.array_equal(one.render(), expected)


@pytest.mark.parametrize("name", BY_REGION)
def test_patches_and_regions_of_styles_in_any_order(name: str) -> None:
    one, other = painter(name, 50, 70), painter(name, 50, 70)
    codes = torch.randn(4, one.spec.style_dim, generator=torch.Generator().manual_seed(0)).tolist()
    where = blocky(50, 70, 4, seed=2, cell=16)
    patch = np.full((20, 30), 3, np.uint8)
    styled(one, codes, where)
    one.render()
    one.apply(5, 7, patch)
    other.apply(5, 7, patch)
    other.render()
    other.set_regions(codes[1:])
    other.render()
    for y in range(0, 50, 10):
        other.apply_style_plane(0, y, where[y : y + 10])
        other.render()
    other.set_style(codes[0])
    assert np.array_equal(one.render(), other.render())


WRONG_STYLES = {
    "plane's sides": (lambda p: p.set_style_plane(np.zeros((60, 40), np.uint8)), ["(60, 40)", "(40, 60)"]),
    "plane's type": (lambda p: p.set_style_plane(np.zeros((40, 60), int)), ["int64", "uint8"]),
    "no plane": (lambda p: p.set_style_plane([[0, 1], [0]]), ["the style plane"]),
    "number": (
        lambda p: p.set_style_plane(np.full((40, 60), 3, np.uint8)),
        ["style number 3 (2400 pixels)", "there are 2", "0…2"],
    ),
    "number in a patch": (
        lambda p: p.apply_style_plane(0, 0, np.full((1, 1), 255, np.uint8)),
        ["number 255"],
    ),
    "patch outside": (
        lambda p: p.apply_style_plane(59, 0, np.zeros((1, 2), np.uint8)),
        ["does not lie inside"],
    ),
    "no place": (lambda p: p.apply_style_plane(0.5, 0, np.zeros((1, 2), np.uint8)), ["whole number"]),
    "too many": (lambda p: p.set_regions([[0.0] * p.spec.style_dim] * 16), [f"at most {MAX_REGIONS}"]),
    "too few": (lambda p: p.set_regions([[0.0] * p.spec.style_dim]), ["style number 2", "there are 1"]),
    "none": (lambda p: p.set_regions([]), ["style number 2", "there are 0"]),
    "length": (lambda p: p.set_regions([[0.0] * p.spec.style_dim, [0.0] * 5]), ["5 values"]),
    "size": (lambda p: p.set_regions([[1e9] * p.spec.style_dim]), ["±100"]),
}


@pytest.mark.parametrize("wrong", WRONG_STYLES)
@pytest.mark.parametrize("name", BY_REGION)
def test_styles_that_cannot_be(name: str, wrong: str) -> None:
    one = painter(name)
    code = [0.5] * one.spec.style_dim
    styled(one, [code, code, [-0.5] * one.spec.style_dim], blocky(40, 60, 3))
    unchanged(one, WRONG_STYLES[wrong][0], *WRONG_STYLES[wrong][1])


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (np.zeros((5, 40, 60), np.float32), ["(5, 40, 60)", "(6, 40, 60)"]),
        (np.full((6, 40, 60), np.inf, np.float32), ["finite"]),
        (np.full((6, 40, 60), 101, np.float32), ["±100"]),
    ],
)
def test_fields_that_cannot_be(field: np.ndarray, words: list[str]) -> None:
    one = painter("oasis")
    styled(one, [[0.5] * 6, [-0.5] * 6], blocky(40, 60, 2))
    unchanged(one, lambda p: p.set_style_field(field), *words)


@pytest.mark.parametrize("name", ["normal", "vae", "edges"])
def test_models_with_one_style_at_a_time(name: str) -> None:
    one = painter(name)
    assert not paints_styles_by_region(one.spec)
    code = [0.0] * one.spec.style_dim
    unchanged(one, lambda p: p.set_regions([code]), "styles by region", "one style")
    unchanged(one, lambda p: p.set_style_plane(np.ones((40, 60), np.uint8)), "styles by region", "one style")
    before = one.render()
    one.set_regions([])  # is what it is anyway
    one.set_style_plane(np.zeros((40, 60), np.uint8))
    assert np.array_equal(one.render(), before)


@pytest.mark.parametrize("name", ["normal", "vae", "built-in"])
def test_models_without_a_style_for_each_pixel(name: str) -> None:
    one = painter(name)
    field = np.zeros((one.spec.style_dim, 40, 60), np.float32)
    unchanged(one, lambda p: p.set_style_field(field), "for each pixel")


@pytest.mark.parametrize("name", ["normal", "vae", "edges", "oasis"])
def test_a_wrong_patch_changes_nothing(name: str) -> None:
    one = painter(name)
    unchanged(one, lambda p: p.apply(59, 0, np.zeros((1, 2), np.uint8)), "does not lie inside")
    unchanged(one, lambda p: p.set_map(np.full((40, 60), 9, np.uint8)), "class id 9", "2400 pixels")
    one.apply(np.uint8(59), np.uint8(39), np.zeros((1, 1), np.uint8))  # any whole number is a place
    one.render()
