"""Live previews: near the edit nearly the exact frame, far from it untouched, never in the way of the exact
one."""

from __future__ import annotations

import numpy as np
import pytest

from engine import Library, Painter
from engine.backend import Backend
from engine.backends import backend_for
from engine.device import choose
from engine.model import Model
from engine.modulation import TableCache
from models.checkpoint import LoadedModel
from tests.engine import published

SIDE = 256
PLENTY = 64 << 20


@pytest.fixture(scope="module", params=["fp32", "auto"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return backend_for(choose("cpu", request.param))[0]


@pytest.fixture(scope="module")
def spade() -> LoadedModel:
    return published.spade(width=8, hidden=32)


def painter_of(
    loaded: LoadedModel, backend: Backend, session_bytes: int = PLENTY, side: int = SIDE
) -> Painter:
    painter = Painter(Model(loaded, backend, TableCache(PLENTY)), side, side, session_bytes)
    painter.set_map(published.random_labels(side, side, cell=24).numpy())
    return painter


def dab(painter: Painter, x: int, y: int, label: int, side: int = 24) -> None:
    painter.apply(x, y, np.full((side, side), label, np.uint8))


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize(("x", "y"), [(100, 90), (0, 0), (232, 150), (13, 201)])
def test_near_the_edit_the_preview_is_nearly_exact(
    spade: LoadedModel, backend: Backend, x: int, y: int
) -> None:
    painter = painter_of(spade, backend)
    before = painter.render("live")
    assert painter.exact
    dab(painter, x, y, 7)
    preview = painter.render("live")
    assert not painter.exact
    exact = painter.render()
    assert painter.exact
    near = slice(max(0, y - 32), y + 56), slice(max(0, x - 32), x + 56)
    assert psnr(preview[near], exact[near]) >= 35
    assert psnr(preview[near], exact[near]) > psnr(before[near], exact[near])
    far = np.ones((SIDE, SIDE), bool)
    far[max(0, y - 34) : y + 58, max(0, x - 34) : x + 58] = False
    assert np.array_equal(preview[far], before[far])


def test_the_exact_frame_knows_nothing_of_previews(spade: LoadedModel, backend: Backend) -> None:
    painter = painter_of(spade, backend)
    painter.render("live")
    for i in range(5):
        dab(painter, 20 + 30 * i, 100, i)
        painter.render("live")
        assert not painter.exact
    exact = painter.render()
    other = painter_of(spade, backend, session_bytes=0)
    other.set_map(painter.labels)
    assert np.array_equal(exact, other.render())
    dab(painter, 60, 60, 3)
    after_exact = painter.render("live")
    dab(other, 60, 60, 3)
    near = slice(28, 116), slice(28, 116)
    assert psnr(after_exact[near], other.render()[near]) >= 35, "it starts from the exact frame"


def test_strokes_add_up(spade: LoadedModel, backend: Backend) -> None:
    painter = painter_of(spade, backend)
    painter.render("live")
    for i in range(12):
        dab(painter, 40 + 12 * i, 80 + 5 * i, 5)
        preview = painter.render("live")
    assert not painter.exact
    last = slice(80 + 55 - 32, 80 + 55 + 56), slice(40 + 132 - 32, 40 + 132 + 56)
    exact = painter.render()
    assert psnr(preview[last], exact[last]) > 26, "where the hand is"
    assert psnr(preview, exact) > 17, "along the whole stroke"


def test_two_changes_between_previews_are_both_painted(spade: LoadedModel, backend: Backend) -> None:
    painter = painter_of(spade, backend)
    painter.render("live")
    dab(painter, 30, 40, 5)
    dab(painter, 60, 70, 6)
    preview = painter.render("live")
    assert not painter.exact
    assert psnr(preview[10:120, 10:110], painter.render()[10:120, 10:110]) >= 35


def test_what_changes_everything_is_painted_exactly(spade: LoadedModel, backend: Backend) -> None:
    painter = painter_of(spade, backend)
    painter.render("live")
    painter.render("live")
    assert painter.exact, "nothing changed"
    dab(painter, 0, 0, 3, side=240)
    painter.render("live")
    assert painter.exact, "most of the map changed"


def test_a_new_light_is_painted_exactly() -> None:
    painter = Library.builtin(device="cpu").painter(None, 128, 128)
    painter.render("live")
    painter.apply(50, 50, np.full((10, 10), 4, np.uint8))
    painter.render("live")
    assert not painter.exact
    for change in (lambda: painter.set_style(4), lambda: painter.set_noise(5)):
        change()
        painter.apply(50, 50, np.full((10, 10), 5, np.uint8))
        painter.render("live")
        assert painter.exact
        painter.apply(50, 50, np.full((10, 10), 4, np.uint8))
        painter.render("live")
        assert not painter.exact


@pytest.mark.parametrize("case", ["no memory", "instance statistics", "style from pixel to pixel"])
def test_where_there_is_no_preview_every_frame_is_exact(backend: Backend, case: str) -> None:
    if case == "no memory":
        painter = painter_of(published.spade(), backend, session_bytes=1000, side=64)
    elif case == "instance statistics":
        painter = painter_of(published.spade(statistics="instance"), backend, side=64)
    else:
        painter = painter_of(published.oasis(), backend, side=64)
        painter.set_style_field(np.random.default_rng(0).normal(size=(6, 64, 64)).astype(np.float32))
    painter.render("live")
    dab(painter, 20, 20, 3, side=4)
    painter.render("live")
    assert painter.exact


def test_painting_together_in_between_costs_one_exact_frame(spade: LoadedModel, backend: Backend) -> None:
    model = Model(spade, backend, TableCache(PLENTY))
    one, other = (Painter(model, 64, 64, PLENTY) for _ in range(2))
    one.render("live")
    dab(one, 20, 20, 3, side=8)
    Painter.render_together([one, other])
    dab(one, 40, 40, 4, side=8)
    picture = one.render("live")
    assert one.exact
    assert np.array_equal(picture, one.render())


def test_windows_of_all_sizes_need_no_more_memory_than_a_frame(spade: LoadedModel, backend: Backend) -> None:
    model = Model(spade, backend, TableCache(PLENTY))
    painter = Painter(model, SIDE, SIDE, PLENTY)
    painter.render("live")
    whole, random = model.workspace.nbytes, np.random.default_rng(0)
    for _ in range(60):
        x, y = random.integers(0, SIDE - 60, 2)
        width, height = random.integers(1, 60, 2)
        painter.apply(int(x), int(y), np.full((height, width), random.integers(0, 9), np.uint8))
        painter.render("live")
        assert not painter.exact
        assert model.workspace.nbytes <= 1.5 * whole
    painter.render()
    assert model.workspace.nbytes <= 1.5 * whole


class Stumbles:
    """A backend whose k-th operation fails."""

    def __init__(self, backend: Backend, after: int) -> None:
        self._backend, self._left = backend, after

    def __getattr__(self, name: str) -> object:
        operation = getattr(self._backend, name)
        if name not in {"modulate", "convolve", "tabulate"}:
            return operation

        def stumbling(*args: object, **options: object) -> None:
            self._left -= 1
            if self._left == 0:
                raise RuntimeError("no more")
            operation(*args, **options)

        return stumbling


@pytest.mark.parametrize("quality", ["exact", "live"])
@pytest.mark.parametrize("after", [1, 2, 5, 9, 14, 20, 30, 45])
def test_a_frame_that_fails_leaves_nothing_half_done(
    spade: LoadedModel, backend: Backend, quality: str, after: int
) -> None:
    stumbling = Stumbles(backend, 10**9)
    model = Model(spade, stumbling, TableCache(PLENTY))  # type: ignore[arg-type]
    painter = Painter(model, 64, 64, PLENTY)
    painter.set_map(published.random_labels(64, 64).numpy())
    painter.render("live")
    dab(painter, 20, 20, 3, side=5)
    stumbling._left = after
    failed = False
    try:
        painter.render(quality)  # type: ignore[arg-type]
    except RuntimeError:
        failed = True
    assert failed or after > 14
    stumbling._left = 10**9
    dab(painter, 40, 40, 4, side=5)
    picture = painter.render("live")
    fresh = Painter(Model(spade, backend, TableCache(PLENTY)), 64, 64)
    fresh.set_map(painter.labels)
    expected = fresh.render()
    assert painter.exact or not failed, "a preview cannot build on what failed"
    assert not painter.exact or np.array_equal(picture, expected)
    assert np.array_equal(painter.render(), expected)
