"""Memory that runs out anywhere: what can be made again is let go, and the picture is the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine.library
from engine import Library, OutOfMemory
from engine.canvas import Canvas
from engine.model import Model
from server.errors import problem_of
from server.rendering import Document, PainterLostError, Patch, Rendered, Renderer, RenderRequest, StylePatch
from tests.out_of_memory import short_of_memory
from tests.tiny import STYLE_DIM, write_tiny_model, write_tiny_pix2pix

SIDE = 32


@pytest.fixture(autouse=True)
def _without_collecting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which takes longer than all the rest."""
    monkeypatch.setattr("engine.room.gc.collect", lambda: 0)


EVER = 10**9
EVERY_PLACE = False  # minutes; else all of the first places, and then fewer and fewer of them
CODE = tuple(0.3 * (k % 3 - 1) for k in range(STYLE_DIM))


@pytest.fixture
def library(tmp_path: Path) -> Library:
    write_tiny_model(tmp_path)
    write_tiny_pix2pix(tmp_path)
    return Library([tmp_path], default="tiny", device="cpu", precision="fp32", threads=1)


def labels(kind: int) -> np.ndarray:
    ids = np.full((SIDE, SIDE), 1 + kind, np.uint8)
    ids[SIDE // 2 :] = 4 + kind
    ids[8:20, 6 + kind : 14] = 9
    return ids


def whole(kind: int, painter: str = "a", *, styled: bool = True) -> RenderRequest:
    """All of a document's map."""
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    numbers[:, SIDE // 2 :] = 1
    return RenderRequest(
        model="tiny",
        width=SIDE,
        height=SIDE,
        seed=kind,
        style=None,
        changes=(Patch(0, 0, labels(kind)),),
        regions=(CODE,) if styled else (),
        style_changes=(StylePatch(0, 0, numbers),) if styled else (),
        document=Document(painter, 1),
        quality="live",
    )


def stroke(request: RenderRequest, revision: int = 1) -> RenderRequest:
    """A dab, which changes the light of a part too."""
    return replace(
        request,
        fresh=False,
        revision=revision,
        changes=(Patch(3, 5, np.full((6, 7), 8, np.uint8)),),
        style_changes=(StylePatch(2, 2, np.ones((4, 4), np.uint8)),) if request.regions else (),
        seed=request.seed + 1,
        quality="exact",
    )


def after(request: RenderRequest) -> RenderRequest:
    """What the document is after its stroke, as a document of nobody."""
    map_ = request.changes[0].labels.copy()
    map_[5:11, 3:10] = 8
    styles = ()
    if request.regions:
        numbers = request.style_changes[0].numbers.copy()
        numbers[2:6, 2:6] = 1
        styles = (StylePatch(0, 0, numbers),)
    return replace(
        request,
        changes=(Patch(0, 0, map_),),
        style_changes=styles,
        document=None,
        seed=request.seed + 1,
        quality="exact",
    )


def painted(result: Rendered | Exception) -> np.ndarray:
    assert isinstance(result, Rendered), result
    return result.picture


@pytest.mark.parametrize("styled", [True, False])
def test_the_picture_is_the_same_wherever_memory_runs_out(library: Library, *, styled: bool) -> None:
    renderer, other = Renderer(library), replace(whole(3, "b"), quality="exact")
    first = whole(0, styled=styled)
    expected = renderer.render(after(first)).picture
    of_other = renderer.render(replace(other, document=None)).picture
    lost, first_refused, refused = 0, 1, True
    while refused:
        renderer.render(first)
        renderer.render(other)
        sheds = library.shed_count
        with short_of_memory(first_refused) as shortage:
            (result,) = renderer.render_many([stroke(first)])
        refused = shortage.refused > 0
        assert library.shed_count == sheds + refused, "let go once, and only then"
        if isinstance(result, PainterLostError):
            lost += 1
            result = renderer.render(replace(after(first), document=first.document))
        assert np.array_equal(painted(result), expected), f"refused the {first_refused}th time"
        again = renderer.render(replace(stroke(first), changes=(), style_changes=()))
        assert np.array_equal(again.picture, expected), "nothing of it stays behind"
        kept = renderer.render(replace(other, fresh=False, changes=(), style_changes=()))
        assert np.array_equal(kept.picture, of_other), "the others go on"
        first_refused += 1 if EVERY_PLACE else max(1, first_refused // 8)
    assert first_refused > 100
    assert lost > 0, "setting up takes memory too"


def test_reading_a_model_finds_no_memory_at_first(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    request = replace(whole(0), document=None, quality="exact")
    expected = Renderer(library).render(request).picture
    assert library.unload("tiny")
    read, tries = engine.library.load, iter([True, False])

    def reading(path: Path) -> object:
        if next(tries):
            raise MemoryError("Unable to allocate 1. GiB")
        return read(path)

    monkeypatch.setattr("engine.library.load", reading)
    assert np.array_equal(Renderer(library).render(request).picture, expected)


@pytest.mark.parametrize("model", ["tiny", "plain"])
def test_a_new_painter_finds_no_memory_at_first(library: Library, model: str) -> None:
    request = replace(whole(0, styled=False), model=model, document=None, quality="exact")
    expected = Renderer(library).render(request).picture
    refused, first_refused = True, 1
    while refused:
        with short_of_memory(first_refused) as shortage:
            picture = Renderer(library).render(request).picture
        refused = shortage.refused > 0
        assert np.array_equal(picture, expected)
        first_refused += max(1, first_refused // 3)


def test_one_that_finds_no_memory_at_all_fails_alone(library: Library) -> None:
    renderer, first, other = Renderer(library), whole(0), whole(3, "b")
    expected = renderer.render(after(first)).picture
    renderer.render(first)
    of_other = renderer.render(other).picture
    for first_refused in (1, 20, 60, 150):
        with short_of_memory(first_refused, times=EVER):
            (result,) = renderer.render_many([replace(first, document=None)])
        assert isinstance(result, OutOfMemory)
        problem = problem_of(result)
        assert (problem.status, problem.code) == (503, "out-of-memory")
        assert problem.headers["Retry-After"]
        assert np.array_equal(renderer.render(after(first)).picture, expected)
        kept = replace(other, fresh=False, changes=(), style_changes=(), quality="exact")
        assert np.array_equal(renderer.render(kept).picture, of_other)


def test_a_live_painter_that_failed_is_begun_anew(library: Library) -> None:
    renderer, first = Renderer(library), whole(0)
    renderer.render(first)
    with short_of_memory(40, times=EVER):
        (result,) = renderer.render_many([stroke(first)])
    assert isinstance(result, OutOfMemory | PainterLostError)
    with pytest.raises(PainterLostError):
        renderer.render(stroke(first, 2))
    assert renderer.kept == 0


def test_a_batch_without_room_is_painted_one_by_one(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = Renderer(library)
    requests = [replace(whole(kind, styled=False), document=None, quality="exact") for kind in range(3)]
    expected = [renderer.render(request).picture for request in requests]
    paint = Model._paint

    def paint_one(model: Model, canvases: Sequence[Canvas], *rest: Any) -> Any:
        if len(canvases) > 1:
            raise MemoryError("no room for several")
        return paint(model, canvases, *rest)

    monkeypatch.setattr(Model, "_paint", paint_one)
    sheds = library.shed_count
    results = renderer.render_many(requests)
    assert library.shed_count > sheds
    for result, picture in zip(results, expected, strict=True):
        assert np.array_equal(painted(result), picture)


def test_what_is_let_go_is_counted_and_gone(library: Library) -> None:
    renderer = Renderer(library)
    renderer.render(whole(0))
    renderer.render(replace(whole(0), fresh=False, changes=(), style_changes=()))
    assert library.cached_bytes > 0
    freed = library.shed()
    assert freed > library.shed_bytes - freed >= 0
    assert library.cached_bytes == 0
    assert library.shed() == 0, "nothing is left"
