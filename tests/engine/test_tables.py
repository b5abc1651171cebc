"""Tables under a budget: what is forgotten, what is kept, and that no picture shows it."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from engine import Library, modulation, patterns
from engine.canvas import LabelMap
from engine.model import Model
from engine.modulation import LevelTables, TableCache
from tests.engine.painting import backend_names, blocky, engine_of, family, noise, painter_of
from tests.tiny import write_tiny_model

any_backend = pytest.mark.parametrize("backend", backend_names())
BACKEND = backend_names("fp32")[-1]


def cache_of(model: Model) -> TableCache:
    return model._cache


def tables_of(model: Model) -> list[LevelTables]:
    return list(cache_of(model)._all())


def strokes(height: int, width: int, steps: int) -> list[LabelMap]:
    """Maps that grow busier by a dab each."""
    rng = np.random.default_rng(0)
    labels = blocky(height, width, cell=16)
    maps: list[LabelMap] = []
    for step in range(steps):
        y, x = rng.integers(0, (height - 8, width - 8))
        labels = labels.copy()
        labels[y : y + 8, x : x + 8] = step % 9
        maps.append(labels)
    return maps


def test_large_tables_are_forgotten_as_a_whole_and_the_pictures_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = family("built-in")
    roomy, tight = engine_of(loaded, "torch fp32"), engine_of(loaded, "torch fp32", 40 << 10)
    monkeypatch.setattr(modulation, "MOST_KEPT", 0)
    for seed in range(4):
        labels = blocky(64, 64, 17, seed)
        one, other = painter_of(roomy, labels), painter_of(tight, labels)
        assert np.array_equal(one.render(), other.render())
        assert cache_of(tight).nbytes == 0
        assert np.array_equal(one.render(), other.render())


def test_many_painters_have_room_for_the_tables_that_they_use(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    library = Library([tmp_path], device="cpu", precision="fp32", cache_mb=1)
    assert library._cache.budget == 1 << 20
    library.make_room(40)
    assert library._cache.budget == 40 << 20
    library.make_room(0)
    assert library._cache.budget == 1 << 20  # never less than it was made with


@any_backend
@pytest.mark.parametrize("budget", [0, 4 << 10, 300 << 10])
@pytest.mark.parametrize("name", ["normal", "edges", "oasis", "built-in"])
def test_a_tiny_budget_shows_in_no_picture(backend: str, budget: int, name: str) -> None:
    loaded = family(name)
    roomy, tight = engine_of(loaded, backend), engine_of(loaded, backend, budget)
    one, other = (painter_of(model, blocky(64, 64, cell=16)) for model in (roomy, tight))
    for labels in strokes(64, 64, 6):
        one.set_map(labels)
        other.set_map(labels)
        assert np.array_equal(one.render(), other.render())
        cache_of(tight).trim()
        assert cache_of(tight).nbytes <= budget
    assert cache_of(roomy).nbytes > budget


def test_what_was_used_last_is_kept_longest() -> None:
    model = engine_of(family("normal"), BACKEND)
    old, new = painter_of(model, noise(32, 32, seed=1)), painter_of(model, noise(32, 32, seed=2))
    old.render()
    for _ in range(4):
        new.render()
    only = engine_of(family("normal"), BACKEND)
    painter_of(only, new.labels).render()
    cache_of(model).budget = cache_of(only).nbytes * 5 // 4
    assert cache_of(model).nbytes > cache_of(model).budget
    new.render()
    assert cache_of(model).nbytes <= cache_of(model).budget
    before = [tables.computed for tables in tables_of(model)]
    assert before == [tables.computed for tables in tables_of(only)]
    new.render()
    assert [tables.computed for tables in tables_of(model)] == before, "nothing had to be computed again"


def test_forgetting_nothing_renumbers_nothing() -> None:
    model = engine_of(family("normal"), BACKEND)
    painter_of(model, blocky(64, 64)).render()
    tables = tables_of(model)
    before = [each.nbytes for each in tables]
    for each in tables:
        each.forget(cache_of(model).frame)
        each.forget(cache_of(model).frame - 63)
    assert [each.generation for each in tables] == [0] * len(tables)
    assert [each.nbytes for each in tables] == before


def test_kept_rows_are_the_rows_that_were_there() -> None:
    model = engine_of(family("normal"), BACKEND)
    first, second = painter_of(model, blocky(64, 64, seed=1)), painter_of(model, noise(64, 64, seed=2))
    second.render()
    first.render()
    tables = tables_of(model)[-1]
    level = first._canvas.levels[-1]
    assert level.index is not None
    numbers = level.index.clone().long()
    rows = {norm: tables.table(norm)[numbers].clone() for norm in tables.norms}
    tables.forget(cache_of(model).frame)
    assert tables.vocabulary.count < 2000
    level.prepare(tables, cache_of(model).frame)
    assert not np.array_equal(level.index.numpy(), numbers.numpy()), "they have new numbers"
    for norm, before in rows.items():
        assert np.array_equal(tables.table(norm)[level.index.long()].float(), before.float())


@any_backend
def test_painters_that_take_turns_survive_every_generation(backend: str) -> None:
    model = engine_of(family("edges"), backend, budget=0)
    maps = [blocky(64, 64, seed=seed) for seed in range(3)]
    alone = [painter_of(engine_of(family("edges"), backend), labels).render() for labels in maps]
    painters = [painter_of(model, labels) for labels in maps]
    for turn in range(9):
        assert np.array_equal(painters[turn % 3].render(), alone[turn % 3])
        if turn == 5:
            cache_of(model).budget = 1 << 30
    assert len({id(each) for each in tables_of(model)}) == len(model.network.factors)


def test_tables_of_other_styles_are_dropped_whole() -> None:
    """Where labels and style are read together, every new style needs new tables."""
    model = engine_of(family("oasis"), BACKEND)
    painter = painter_of(model, blocky(64, 64))
    painter.render()
    once = cache_of(model).nbytes
    cache_of(model).budget = 3 * once
    for seed in range(12):
        painter.set_style(seed)
        painter.render()
        cache_of(model).trim()
        assert cache_of(model).nbytes <= 3 * once
    assert len(cache_of(model)._sets) <= 3


# Numbers of 21 bits run out


@pytest.fixture
def few_numbers(monkeypatch: pytest.MonkeyPatch) -> int:
    """Numbers of 13 bits: what takes a million windows takes four thousand."""
    monkeypatch.setattr(patterns, "_BITS", 13)
    for module in (patterns, modulation):
        if hasattr(module, "MOST_NUMBERS"):
            monkeypatch.setattr(module, "MOST_NUMBERS", 1 << 13)
    return 1 << 13


def highest(model: Model) -> int:
    return max(each.count for tables in tables_of(model) for each in tables.vocabulary._interners)


@any_backend
@pytest.mark.parametrize("name", ["normal", "built-in"])
def test_no_map_uses_up_the_numbers(few_numbers: int, backend: str, name: str) -> None:
    """Noise without end, by patches and by maps, beside a painter whose picture must stay as it is."""
    loaded = family(name)
    model = engine_of(loaded, backend)
    classes = loaded.generator.label_channels
    calm = painter_of(model, blocky(64, 64, classes, cell=16))
    before = calm.render()
    crafted = painter_of(model, np.ones((128, 128), np.uint8))
    crafted.render()
    seeds = count()
    for _ in range(3):
        crafted.apply(0, 0, noise(128, 128, classes, next(seeds)))
        crafted.render()
        assert highest(model) <= few_numbers
        crafted.set_map(np.ones((128, 128), np.uint8))
        crafted.render()
        for y in range(0, 128, 32):
            crafted.apply(0, y, noise(32, 32, classes, next(seeds)))
            crafted.render()
            assert highest(model) <= few_numbers
        assert np.array_equal(calm.render(), before)
    last = crafted.labels
    assert np.array_equal(crafted.render(), painter_of(engine_of(loaded, backend), last).render())


@any_backend
def test_no_batch_uses_up_the_numbers(few_numbers: int, backend: str) -> None:
    loaded = family("normal")
    model = engine_of(loaded, backend)
    maps = [np.ones((96, 96), np.uint8) for _ in range(10)]
    for seed, labels in enumerate(maps):
        labels[:24, :36] = noise(24, 36, 9, seed)
    alone = [painter_of(engine_of(loaded, backend), labels).render() for labels in maps]
    painters = [painter_of(model, labels) for labels in maps]
    canvases, styles = [one._canvas for one in painters], [one._style for one in painters]
    for members in (range(10), range(9, -1, -1), range(2)):
        pictures = model.paint_many([canvases[i] for i in members], [styles[i] for i in members])
        assert highest(model) <= few_numbers
        assert all(np.array_equal(picture, alone[i]) for i, picture in zip(members, pictures, strict=True))


def test_a_full_vocabulary_starts_again(few_numbers: int) -> None:
    model = engine_of(family("normal"), BACKEND)
    painter = painter_of(model, blocky(64, 64))
    for seed in range(12):
        labels = np.ones((64, 64), np.uint8)
        labels[:22, :22] = noise(22, 22, 9, seed)
        painter.set_map(labels)
        painter.render()
        assert highest(model) <= few_numbers
    assert any(tables.generation for tables in tables_of(model))


# In a library


def test_a_librarys_tables_stay_under_its_budget(tmp_path: Path) -> None:
    for number in range(2):
        write_tiny_model(tmp_path, f"model-{number}", seed=number)
    library = Library([tmp_path], device="cpu", precision="fp32", cache_mb=1)
    painters = [library.painter(f"model-{i % 2}", 128, 128) for i in range(6)]
    for seed, painter in enumerate(painters):
        painter.set_map(noise(128, 128, 17, seed))
        painter.render()
        assert library.cached_bytes <= 1 << 20


@any_backend
def test_rows_are_counted_as_found_or_computed(backend: str) -> None:
    model = engine_of(family("normal"), backend)
    rows = cache_of(model).rows
    labels = blocky(64, 64, cell=16)
    painter_of(model, labels).render()
    there = sum(tables.computed for tables in tables_of(model))
    assert (rows.found, rows.computed) == (0, there)
    other = painter_of(model, labels)
    other.render()
    assert (rows.found, rows.computed) == (there, there)
    other.render()  # nothing has changed: nothing is asked for
    assert (rows.found, rows.computed) == (there, there)
    other.apply(20, 20, np.full((3, 3), 8, np.uint8))
    other.render()
    new = sum(tables.computed for tables in tables_of(model)) - there
    assert rows.computed == there + new > there
    other.apply(20, 20, labels[20:23, 20:23])
    other.render()
    assert rows.computed == there + new
    assert there < rows.found < 2 * there  # only what lies around the dab was looked up
    cache_of(model).budget = 0
    cache_of(model).trim()
    assert rows.computed == there + new, "the count goes on when tables are forgotten"
