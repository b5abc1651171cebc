"""Models that make room for others, and files that are replaced while painters paint."""

from __future__ import annotations

import gc
import os
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine import EngineError, Library, ModelChanged, Painter
from engine.canvas import LabelMap
from models.checkpoint import save
from models.labels import load_label_set
from tests.server.photographs import write_tiny_segmenter
from tests.tiny import tiny_networks, tiny_spec, write_tiny_model, write_tiny_pix2pix

SIDE = 32
NAMES = ("one", "two", "three", "four")


def opened(folder: Path, **options: int) -> Library:
    default = "one" if (folder / "one.safetensors").exists() else None
    return Library([folder], default, device="cpu", precision="fp32", threads=1, **options)


def labels(kind: int = 0) -> LabelMap:
    ids = np.full((SIDE, SIDE), 1 + kind, np.uint8)
    ids[SIDE // 2 :, 4:] = 8
    return ids


def picture(painter: Painter, kind: int = 0) -> np.ndarray:
    painter.set_map(labels(kind))
    return painter.render()


def refresh(library: Library) -> list[str]:
    update = library.look_again()
    library.adopt(update)
    return update.changed


def write_anew(folder: Path, model_id: str, seed: int) -> Path:
    """As one should: beside it, and then in its place."""
    aside = folder / "aside"
    aside.mkdir(exist_ok=True)
    path = write_tiny_model(aside, model_id, seed)
    return path.replace(folder / path.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        write_tiny_model(tmp_path, name, seed)
    return tmp_path


# -- Room


def test_what_was_not_used_for_longest_makes_room(folder: Path) -> None:
    library = opened(folder, max_models=2)
    painters = {name: library.painter(name, SIDE, SIDE) for name in ("one", "two")}
    pictures = {name: picture(painter) for name, painter in painters.items()}
    assert sorted(library.loaded) == ["one", "two"]
    painters["one"].render()
    library.painter("three", SIDE, SIDE)
    assert sorted(library.loaded) == ["one", "three"]
    assert np.array_equal(painters["two"].render(), pictures["two"]), "read again, and the same"
    assert sorted(library.loaded) == ["three", "two"]
    assert np.array_equal(painters["one"].render("live"), pictures["one"])


def test_a_model_that_went_takes_its_memory_along(folder: Path) -> None:
    library = opened(folder)
    painter = library.painter("two", SIDE, SIDE)
    before = picture(painter)
    painter.set_regions([[0.5] * 8])
    painter.set_style_plane(labels() // 8)
    styled = painter.render()
    content = weakref.ref(painter.place.take())
    assert library.cached_bytes > 0
    assert library.unload("two")
    assert not library.unload("two"), "it is gone already"
    gc.collect()
    assert content() is None
    assert library.cached_bytes == 0
    assert np.array_equal(painter.render(), styled)
    painter.set_style_plane(np.zeros((SIDE, SIDE), np.uint8))
    assert np.array_equal(painter.render(), before)


def test_segmenters_count_too(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "one")
    write_tiny_pix2pix(tmp_path)
    write_tiny_segmenter(tmp_path)
    library = opened(tmp_path, max_models=1)
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    seen = library.segment(photo)
    picture(library.painter("plain", SIDE, SIDE))
    assert library.loaded == ["plain"]
    assert np.array_equal(library.segment(photo), seen)
    assert library.loaded == ["reader"]


# -- Other files


def test_new_files_appear_and_removed_ones_go(folder: Path) -> None:
    library = opened(folder)
    (folder / "three.safetensors").unlink()
    write_tiny_model(folder, "five", 5)
    assert set(refresh(library)) == {"three", "five"}
    assert [spec.id for spec in library.specs()] == ["five", "four", "one", "two"]
    assert refresh(library) == [], "nothing has changed since"


def test_a_replaced_file_replaces_the_model(folder: Path) -> None:
    library = opened(folder)
    old = library.painter("two", SIDE, SIDE)
    before, spec = picture(old), library.spec("two")
    write_anew(folder, "two", 9)
    update = library.look_again()
    assert np.array_equal(picture(library.painter("two", SIDE, SIDE)), before), "nothing has changed yet"
    library.adopt(update)
    after = picture(library.painter("two", SIDE, SIDE))
    assert not np.array_equal(after, before)
    expected = opened(folder)
    assert np.array_equal(after, picture(expected.painter("two", SIDE, SIDE)))
    # Who had begun with the old weights ends with them, alone and in one batch with others.
    assert np.array_equal(old.render(), before)
    assert np.array_equal(picture(library.painter(spec, SIDE, SIDE)), before)
    new = library.painter("two", SIDE, SIDE)
    new.set_map(labels())
    both = library.render_many([old, new])
    assert np.array_equal(both[0], before)
    assert np.array_equal(both[1], after)


def test_old_weights_are_freed_when_nobody_uses_them(folder: Path) -> None:
    library = opened(folder)
    painter, spec = library.painter("two", SIDE, SIDE), library.spec("two")
    picture(painter)
    content = weakref.ref(painter.place.take())
    write_anew(folder, "two", 9)
    refresh(library)
    gc.collect()
    assert content() is not None
    del painter
    gc.collect()
    assert content() is not None, "a request still names them"
    del spec
    gc.collect()
    assert content() is None
    picture(library.painter("two", SIDE, SIDE))


@pytest.mark.parametrize("harm", ["header", "weights", "nothing"])
def test_of_a_broken_file_nothing_is_taken(folder: Path, harm: str) -> None:
    library = opened(folder)
    painter, path = library.painter("two", SIDE, SIDE), folder / "two.safetensors"
    before = picture(painter)
    whole = path.read_bytes()
    aside = folder / "two.part"
    if harm == "weights":
        generator, encoder = tiny_networks(1)
        next(generator.parameters()).data.fill_(float("nan"))
        save(aside, tiny_spec("two"), generator, encoder)
    else:
        aside.write_bytes(b"" if harm == "nothing" else b"\xff" * 200)
    aside.replace(path)
    assert refresh(library) == []
    assert any("two.safetensors" in problem for problem in library.problems)
    assert all(str(folder) not in problem for problem in library.file_problems)
    assert any("two" in problem for problem in library.file_problems)
    assert np.array_equal(painter.render(), before)
    assert np.array_equal(picture(library.painter("two", SIDE, SIDE)), before)
    assert not library.unload("two"), "it could not be read again"
    # Mended, it is taken up.
    path.write_bytes(whole)
    os.utime(path, ns=(1, 1))
    assert refresh(library) == ["two"]
    assert not library.file_problems
    assert np.array_equal(picture(library.painter("two", SIDE, SIDE)), before)


def test_without_memory_for_the_new_weights_the_old_ones_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = opened(folder)
    before = picture(library.painter("two", SIDE, SIDE))
    write_anew(folder, "two", 9)

    def full(_path: Path) -> object:
        raise MemoryError("Unable to allocate 1. GiB")

    with monkeypatch.context() as patch:
        patch.setattr("engine.library.load", full)
        assert refresh(library) == []
    assert "memory" in library.file_problems[0]
    assert np.array_equal(picture(library.painter("two", SIDE, SIDE)), before)
    assert refresh(library) == ["two"]


def test_the_default_model_stays(folder: Path) -> None:
    library = opened(folder)
    before = picture(library.painter(None, SIDE, SIDE))
    (folder / "one.safetensors").unlink()
    refresh(library)
    assert library.spec().id == "one"
    assert library.file_problems
    assert np.array_equal(picture(library.painter(None, SIDE, SIDE)), before)


def test_other_rules_are_said_to_whoever_kept_to_the_old_ones(folder: Path) -> None:
    library = opened(folder)
    spec = library.spec("two")  # never read: its weights are nowhere any more
    other = replace(tiny_spec("two"), labels=load_label_set("cityscapes35"))
    (folder / "two.safetensors").unlink()
    write_tiny_model(folder, "another", 3)
    refresh(library)
    with pytest.raises(ModelChanged):
        library.painter(spec, SIDE, SIDE)
    assert library.painter(library.spec("another"), SIDE, SIDE)
    with pytest.raises(EngineError):
        library.painter(other, SIDE, SIDE)


def test_a_file_of_another_kind_is_not_painted_by_painters_of_the_first(folder: Path) -> None:
    library = opened(folder)
    painter = library.painter("two", SIDE, SIDE)
    picture(painter)
    assert library.unload("two")
    write_tiny_pix2pix(folder, "two").replace(folder / "two.safetensors")
    with pytest.raises(ModelChanged):
        painter.render()
