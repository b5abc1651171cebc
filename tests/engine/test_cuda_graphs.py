"""Recorded frames: the same bytes as without, whatever moves, and bounded. On a CPU a tape stands for the
graph: it repeats the operations that it saw on the very tensors that it saw."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import Painter, graphs
from engine.backend import Backend, Modulation, Packed
from engine.graphs import RecordedTrunk, frames_of
from engine.model import Model
from engine.modulation import TableCache
from engine.torch_backend import TorchBackend
from models.checkpoint import LoadedModel
from tests.engine.painting import CPU, blocky, engine_of, family, noise, painter_of

PAINTED = ["normal", "oasis", "built-in", "vae"]  # not instance statistics: the tape does not see those


class Tape(TorchBackend):
    """A backend that can record what it is asked, and a recorder."""

    def __init__(self) -> None:
        super().__init__(CPU, torch.float32)
        self.calls: list[Callable[[], None]] | None = None
        self.recorded = self.replayed = 0

    def modulate(self, x: Tensor, modulation: Modulation, **options: Any) -> None:
        self._do(lambda: super(Tape, self).modulate(x, modulation, **options))

    def convolve(self, x: Tensor, weights: Packed, **options: Any) -> None:
        self._do(lambda: super(Tape, self).convolve(x, weights, **options))

    def _do(self, call: Callable[[], None]) -> None:
        if self.calls is None:
            call()
        else:
            self.calls.append(call)  # as a graph's: recorded, not run

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        self.calls, self.recorded = [], self.recorded + 1
        result, calls = work(), self.calls
        self.calls = None

        def replay() -> None:
            self.replayed += 1
            for call in calls:
                call()

        return replay, result


class Broken(Tape):
    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        raise RuntimeError("this driver records nothing")


def recording(loaded: LoadedModel, tape: Tape) -> Model:
    model = Model(loaded, tape, TableCache(256 << 20))
    model.frames = RecordedTrunk(model.network, tape, model.trunk, tape)
    return model


def labels_for(model: Model, seed: int = 0, cells: int = 2) -> np.ndarray:
    grid, stride = model.network.start_grid or (cells, cells + 1), model.network.stride
    return blocky(grid[0] * stride, grid[1] * stride, len(model.spec.labels.labels), seed)


def frames(model: Model) -> RecordedTrunk:
    assert isinstance(model.frames, RecordedTrunk)
    return model.frames


@pytest.mark.parametrize("name", ["built-in", "oasis"])
def test_styles_by_region_come_and_go(name: str) -> None:
    """Those of the built-in family are painted without a recording, and what is recorded stays good."""
    tape = Tape()
    model, plain = recording(family(name), tape), engine_of(family(name), "torch fp32")
    labels = labels_for(model)
    one, other = (painter_of(where, labels) for where in (model, plain))
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(2, model.spec.style_dim, generator=generator).tolist()
    planes = [np.zeros_like(labels), blocky(*labels.shape, 3, 1, cell=5), blocky(*labels.shape, 3, 2, cell=3)]
    for painter in (one, other):
        painter.set_regions(codes)
    replayed: list[tuple[int, int]] = []
    for turn in (0, 0, 0, 1, 1, 1, 2, 2, 0, 1, 0):
        for painter in (one, other):
            painter.set_style_plane(planes[turn])
        before = tape.replayed
        assert np.array_equal(one.render(), other.render())
        if turn == 0 or name == "built-in":
            replayed.append((turn, tape.replayed - before))
    assert replayed[2] == (0, 1)
    if name == "built-in":
        assert all(count == 0 for turn, count in replayed if turn)
        assert replayed[-1] == (0, 1)


@pytest.mark.parametrize("name", PAINTED)
def test_recorded_frames_are_the_same_bytes(name: str) -> None:
    """Maps and styles by turns: tables grow, inputs change, replayed frames follow."""
    tape = Tape()
    model, plain = recording(family(name), tape), engine_of(family(name), "torch fp32")
    maps = [labels_for(model, seed) for seed in range(3)]
    for turn in (0, 0, 0, 1, 1, 2, 0, 1, 2, 2, 0):
        for style in (3, 4):
            one, other = (painter_of(where, maps[turn], style) for where in (model, plain))
            assert np.array_equal(one.render(), other.render())
    assert tape.recorded
    assert tape.replayed > tape.recorded


def test_a_frame_is_recorded_when_it_comes_again_and_anew_when_tables_have_moved() -> None:
    tape = Tape()
    model = recording(family("built-in"), tape)
    painter = painter_of(model, labels_for(model))
    counts: list[tuple[int, int]] = []

    def paint() -> tuple[int, int]:
        painter.render()
        return tape.recorded, tape.replayed

    counts = [paint() for _ in range(3)]
    assert counts == [(0, 0), (1, 1), (1, 2)]
    painter.set_style(5)
    assert paint() == (1, 3), "a style moves nothing"
    for tables in model._cache._all():
        tables.forget(model._cache.frame + 1)  # all rows go: the next ones lie elsewhere, and are the same
    before = painter.render()
    assert (tape.recorded, tape.replayed) == (1, 3), "painted without a recording"
    assert np.array_equal(painter.render(), before)
    assert (tape.recorded, tape.replayed) == (2, 4)


def test_a_longer_table_in_the_same_place_is_another() -> None:
    """What was recorded reads the rows that there were: torch's gathering refuses others."""
    tape = Tape()
    model = recording(family("built-in"), tape)
    painter = painter_of(model, labels_for(model))
    expected = painter.render()
    roomy: list[tuple[Any, int, Tensor]] = []
    for tables in model._cache._all():
        for i, rows in enumerate(tables._rows):
            room = torch.cat([rows, rows])
            roomy.append((tables, i, room))
            tables._rows[i] = room[: rows.shape[0]]
    painter.render()
    painter.render()
    assert (tape.recorded, tape.replayed) == (1, 1)
    for tables, i, room in roomy:
        tables._rows[i] = room
    assert np.array_equal(painter.render(), expected)
    assert (tape.recorded, tape.replayed) == (1, 1), "painted without a recording"


def test_only_a_few_recordings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A style of one's own has tables of its own where labels and style are read together."""
    monkeypatch.setattr(graphs, "_MOST_RECORDINGS", 2)
    tape = Tape()
    model = recording(family("oasis"), tape)
    labels = labels_for(model)
    for style in (1, 1, 2, 2, 1, 2):
        painter_of(model, labels, style).render()
    assert (tape.recorded, tape.replayed) == (2, 4)
    for style in (3, 3, 2, 1):
        painter_of(model, labels, style).render()
    assert (tape.recorded, tape.replayed) == (3, 6), "style 1's has gone"


def test_recorded_batches_and_previews_are_the_same_bytes() -> None:
    tape = Tape()
    model, plain = recording(family("built-in"), tape), engine_of(family("built-in"), "torch fp32")
    maps = [labels_for(model, seed) for seed in range(3)]
    for _ in range(3):
        pictures = [
            Painter.render_together([painter_of(where, one, seed) for seed, one in enumerate(maps)])
            for where in (model, plain)
        ]
        assert np.array_equal(*pictures)
    assert tape.replayed == 2
    pair = [Painter(where, 24, 16, session_bytes=64 << 20) for where in (model, plain)]
    for step in range(8):
        for painter in pair:
            painter.apply(step, step, np.full((3, 3), step, np.uint8))
        assert np.array_equal(*(painter.render("live" if step % 2 else "exact") for painter in pair))
    assert tape.replayed > 2


def test_what_cannot_be_recorded_is_painted_without(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape()
    model = recording(family("built-in"), tape)
    monkeypatch.setattr(graphs, "_MOST_PIXELS", 16 * 16)
    large = painter_of(model, blocky(32, 32))
    for _ in range(3):
        large.render()
    monkeypatch.undo()
    monkeypatch.setattr("engine.canvas.most_windows", lambda *_: 0)
    dense = painter_of(model, noise(16, 16))
    for _ in range(3):
        dense.render()
    assert (tape.recorded, frames(model).nbytes) == (0, 0)


def test_only_a_few_kinds_of_frames_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = Tape()
    model = recording(family("built-in"), tape)
    for side in range(8, 72, 8):
        painter_of(model, blocky(side, side)).render()
    assert len(frames(model)._frames) == 4
    most = frames(model).nbytes
    monkeypatch.setattr(graphs, "_MOST_BYTES", most // 2)
    painter_of(model, blocky(8, 8)).render()
    assert frames(model).nbytes <= most // 2
    monkeypatch.setattr(graphs, "_MOST_BYTES", 0)
    painter_of(model, blocky(8, 8)).render()
    assert len(frames(model)._frames) == 1, "the one just painted stays"


def test_where_recording_fails_frames_are_painted_without_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, plain = recording(family("normal"), Broken()), engine_of(family("normal"), "torch fp32")
    labels = labels_for(model)
    expected = painter_of(plain, labels).render()
    painter = painter_of(model, labels)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert np.array_equal(painter.render(), expected)
    assert [record.getMessage() for record in caplog.records] == [
        "frames are not recorded, which is slower: RuntimeError: this driver records nothing"
    ]
    assert frames(model).nbytes == 0


def test_a_cpu_records_nothing() -> None:
    model = engine_of(family("normal"), "torch fp32")
    backend: Backend = model.backend
    assert frames_of(model.network, backend, model.trunk) is model.trunk
    assert model.frames is model.trunk
