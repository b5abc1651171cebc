"""Equal requests give equal bytes: however a map came about, whatever was painted before, and beside whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine import Painter, modulation, paints_styles_by_region, regions
from engine.model import Model
from models.checkpoint import LoadedModel
from tests.engine.painting import (
    FAMILIES,
    backend_names,
    backend_of,
    blocky,
    engine_of,
    family,
    noise,
    painter_of,
)

# Those that paint here, in either precision.
BACKENDS = [backend_names(precision)[-1] for precision in ("fp32", "bf16")]
ALL = backend_names()
# `most` is large, and nothing in it is not in `more`.
FAST = [name for name in FAMILIES if name != "most"]


@pytest.fixture
def crossing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables for so few windows that ordinary maps cross over to the plain path and back, and for so few
    blends of styles that ordinary planes are painted in coarser steps."""
    monkeypatch.setattr(regions, "LARGEST_BLENDS", 60 * 256)
    monkeypatch.setattr(modulation, "FEW_WINDOWS", 120)
    monkeypatch.setattr(modulation, "LARGEST_TABLE", 120 * 1024)


def size_of(model: Model) -> tuple[int, int]:
    """A canvas (h, w) that is not quite a whole number of start cells."""
    height, width = model.network.start_grid or (1, 2)
    return height * model.network.stride - 3, width * model.network.stride - 5


def styles_of(model: Model, count: int, seed: int) -> list[list[float]]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, model.spec.style_dim, generator=generator).tolist()


def instances_of(height: int, width: int, seed: int) -> NDArray[np.uint16]:
    return blocky(height, width, 3, seed, cell=10).astype(np.uint16) * 300


@st.composite
def rectangles(draw: st.DrawFn, height: int, width: int) -> tuple[int, int, int, int]:
    """x, y, w, h: tiny, at an edge, or the whole canvas."""
    kind = draw(st.sampled_from(["any", "any", "pixel", "edge", "whole"]))
    if kind == "whole":
        return 0, 0, width, height
    w, h = (1, 1) if kind == "pixel" else (draw(st.integers(1, width)), draw(st.integers(1, height)))
    x, y = draw(st.integers(0, width - w)), draw(st.integers(0, height - h))
    return (width - w, height - h, w, h) if kind == "edge" else (x, y, w, h)


@pytest.mark.parametrize(("name", "backend"), list(product(FAST, BACKENDS)))
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_patches_make_what_the_whole_map_makes(
    crossing: None, name: str, backend: str, data: st.DataObject
) -> None:
    loaded = family(name)
    model = engine_of(loaded, backend, budget=data.draw(st.sampled_from([0, 100_000, 1 << 28])))
    height, width = size_of(model)
    classes = loaded.generator.label_channels
    labels = blocky(height, width, classes, cell=30)
    painter = painter_of(model, labels)
    instances, plane = None, np.zeros((height, width), np.uint8)
    by_region = paints_styles_by_region(loaded.spec)
    for seed in range(data.draw(st.integers(1, 5))):
        x, y, w, h = data.draw(rectangles(height, width))
        cell = data.draw(st.sampled_from([1, 8, 500]))
        patch = blocky(h, w, classes, seed, cell)
        labels[y : y + h, x : x + w] = patch
        painter.apply(x, y, patch)
        if model.network.instance_edges and data.draw(st.booleans()):
            instances = instances_of(height, width, seed) if data.draw(st.booleans()) else None
            painter.set_instances(instances)
        if by_region and data.draw(st.booleans()):
            x, y, w, h = data.draw(rectangles(height, width))
            painter.set_regions(styles_of(model, 5, seed))
            plane[y : y + h, x : x + w] = blocky(h, w, 6, seed, data.draw(st.sampled_from([1, 8, 500])))
            painter.apply_style_plane(x, y, plane[y : y + h, x : x + w])
        if data.draw(st.booleans()):
            painter.render()
    if by_region:
        painter.set_regions(styles_of(model, 5, 0))
    assert np.array_equal(painter.labels, labels)
    assert np.array_equal(painter.style_plane, plane)
    fresh = painter_of(engine_of(loaded, backend), labels)
    fresh.set_instances(instances)
    fresh.set_regions(painter.regions)
    fresh.set_style_plane(plane)
    assert np.array_equal(painter.render(), fresh.render())


@pytest.mark.parametrize(("name", "backend"), list(product(["normal", "edges", "oasis", "built-in"], ALL)))
def test_a_map_crosses_between_tables_and_the_plain_path(crossing: None, name: str, backend: str) -> None:
    loaded = family(name)
    model = engine_of(loaded, backend)
    height, width = 64, 64
    classes = loaded.generator.label_channels
    simple, busy = np.full((height, width), 1, np.uint8), noise(height, width, classes)
    painter = painter_of(model, simple)
    levels = painter._canvas.levels
    before = painter.render()
    assert all(level.index is not None for level in levels)
    for x in range(0, width, 16):
        painter.apply(x, 0, busy[:, x : x + 16])
        painter.render()
    assert levels[-1].index is None
    assert np.array_equal(painter.render(), painter_of(engine_of(loaded, backend), busy).render())
    painter.apply(0, 0, simple[:40])
    painter.render()
    painter.apply(0, 40, simple[40:])
    assert np.array_equal(painter.render(), before)
    assert all(level.index is not None for level in levels)


@pytest.mark.parametrize("backend", ALL)
def test_whatever_was_painted_before(crossing: None, backend: str) -> None:
    """Other maps, other styles, other painters, other models, tables forgotten in between: the same bytes."""
    names = ["normal", "oasis", "built-in", "edges", "instance statistics"]
    cache = modulation.TableCache(1 << 28)
    models: dict[str, Model] = {}
    for name in names:
        loaded = family(name)
        named = LoadedModel(replace(loaded.spec, id=name.replace(" ", "-")), loaded.generator, None)
        models[name] = Model(named, backend_of(backend), cache)  # one cache for all, as in a library
    alone = {
        (name, seed): painter_of(engine_of(family(name), backend), blocky(32, 64, 9, seed), seed).render()
        for name, seed in product(names, range(2))
    }
    rng = np.random.default_rng(0)
    painters = {key: painter_of(models[key[0]], blocky(32, 64, 9, key[1]), key[1]) for key in alone}
    for turn in range(30):
        key = list(alone)[rng.integers(len(alone))]
        if turn % 3 == 0:
            painter_of(models[key[0]], noise(32, 64, 9, turn), turn).render()
        cache.budget = int(rng.choice([0, 50_000, 1 << 28]))
        assert np.array_equal(painters[key].render(), alone[key])


# Painted together


def together(painters: Sequence[Painter]) -> list[NDArray[np.uint8]]:
    model = painters[0]._model
    return model.paint_many([one._canvas for one in painters], [one._style for one in painters])


@pytest.mark.parametrize(("name", "backend"), list(product(FAST, ALL)))
def test_painted_together_as_painted_alone(crossing: None, name: str, backend: str) -> None:
    loaded = family(name)
    model = engine_of(loaded, backend)
    height, width = size_of(model)
    classes = loaded.generator.label_channels
    maps = [
        np.full((height, width), 1, np.uint8),
        blocky(height, width, classes, 1, cell=30),
        blocky(height, width, classes, 2, cell=40),
        noise(height, width, classes),
    ]
    alone = [
        painter_of(engine_of(loaded, backend), labels, seed).render() for seed, labels in enumerate(maps)
    ]
    painters = [painter_of(model, labels, seed) for seed, labels in enumerate(maps)]
    for members in ([0], [0, 1], [0, 1, 2], [2, 1, 0], [0, 1, 2, 3], [3, 3 - 1]):
        pictures = together([painters[i] for i in members])
        for i, picture in zip(members, pictures, strict=True):
            assert np.array_equal(picture, alone[i])
    same_seed = [painter_of(model, labels, 7) for labels in maps]
    for one, picture in zip(same_seed, together(same_seed), strict=True):
        assert np.array_equal(picture, painter_of(engine_of(loaded, backend), one.labels, 7).render())


@pytest.mark.parametrize("backend", ALL)
def test_batches_of_ordinary_maps_share_one_forward(backend: str) -> None:
    """Without it a batch would be no faster than one after the other."""
    model = engine_of(family("normal"), backend)
    painters = [painter_of(model, blocky(32, 32, 9, seed), seed) for seed in range(3)]
    run, sizes = model.trunk.run, list[int]()
    model.trunk.run = lambda start, *rest: (sizes.append(start.shape[0]), run(start, *rest))[1]  # type: ignore[method-assign]
    together(painters)
    assert sizes == [3]
