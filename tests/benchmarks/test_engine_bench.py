"""`make bench-engine` runs, at a size where its times mean nothing and its form everything."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks import engine as engine_bench
from benchmarks import maps
from benchmarks.engine import Crowd
from benchmarks.public_models import Plain, ade_oasis, calibrate, coco_spade, trunk_macs
from benchmarks.report import TARGETS, Errors, Target
from benchmarks.subjects import MemoryLibrary, painter_of
from engine.patterns import distinct_windows
from models.noise import style_from_seed
from models.published import SpadeGenerator
from server.scheduling.rounds import Rounds

ROOT = Path(__file__).parents[2]
KEYS = {"case", "model", "baseline", "baseline_s", "engine_s", "ratio", "max_abs", "mean_abs", "psnr_db"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    path = tmp_path_factory.mktemp("results") / "engine.json"
    options = [
        "--width",
        "2",
        "--size",
        "64",
        "--rounds",
        "1",
        "--seconds",
        "0",
        "--only",
        "warm,cold,live,fp32,matmul,styles,regions",
    ]
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "engine",
        "--device",
        "cpu",
        *options,
        "--output",
        str(path),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return json.loads(path.read_text())


def test_rows_have_what_a_reader_of_the_json_expects(rows: list[dict[str, object]]) -> None:
    assert all(row.keys() >= KEYS for row in rows)
    cases = {row["case"] for row in rows}
    assert {"exact, warm", "exact, cold", "dab, live preview", "exact fp32, warm", "12 regions"} <= cases
    assert "built-in, 3 regions, 64²" in cases
    assert all(row["met"] is None for row in rows), "no target is judged at a reduced size"


def test_ratios_are_baseline_over_engine(rows: list[dict[str, object]]) -> None:
    measured = [row for row in rows if row["ratio"] is not None]
    assert {row["baseline"] for row in measured} >= {"public", "best plain"}
    for row in measured:
        assert row["ratio"] == pytest.approx(row["baseline_s"] / row["engine_s"])  # type: ignore[operator]


def test_fp32_pictures_agree_with_the_plain_network(rows: list[dict[str, object]]) -> None:
    found = [row["max_abs"] for row in rows if row["case"] == "exact fp32, warm"]
    assert found
    assert max(found) < 1e-3  # type: ignore[type-var]


def crowd_of(count: int, batch: int) -> tuple[Crowd, list[int]]:
    """Painters whose pictures take no time, and how many were painted at each use of the device."""
    library = MemoryLibrary("cpu", "fp32")
    painters = [painter_of(library, None, np.zeros((32, 32), np.uint8)) for _ in range(count)]
    together: list[int] = []
    library.render_many = lambda painters: together.append(len(painters))  # type: ignore[method-assign]
    return Crowd(library, painters, batch), together


@pytest.fixture
def _steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The policy shares time: turns are equal only where they take equally long, as on no real machine."""
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) * 1e-4)
    monkeypatch.setattr(engine_bench, "time", clock)


@pytest.mark.parametrize(("count", "batch"), [(1, 1), (5, 1), (5, 2)])
@pytest.mark.usefixtures("_steady_clock")
def test_painters_are_timed_under_the_servers_policy(count: int, batch: int) -> None:
    crowd, together = crowd_of(count, batch)
    assert crowd.paint(0.05) >= 0.05
    frames = list(crowd.frames.values())
    assert len(frames) == count
    assert set(together) == {batch}
    assert sum(together) == sum(frames) == len(crowd.waits)
    assert 3 <= min(frames) <= max(frames) <= 1.2 * min(frames) + 1  # nobody knows at first what a turn takes


@pytest.mark.usefixtures("_steady_clock")
def test_an_unfair_policy_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    fair = Rounds.take

    def favouring(rounds: Rounds, waiting: dict[str, float]) -> str | None:
        return fair(rounds, {"0": waiting["0"]} if next(uses) % 2 and "0" in waiting else waiting)

    uses = itertools.count()
    monkeypatch.setattr(Rounds, "take", favouring)
    crowd, _ = crowd_of(5, 1)
    crowd.paint(0)
    assert min(crowd.frames.values()) / max(crowd.frames.values()) < 0.5


@pytest.mark.parametrize("make", [coco_spade, ade_oasis])
def test_calibrated_models_show_their_errors(make: object) -> None:
    """Each norm's output has variance near 1, the picture has contrast, the layout is the published one."""
    loaded = make(2)  # type: ignore[operator]
    several = [maps.regions(64, 12, loaded.spec.labels, seed).astype(np.int64) for seed in range(4)]
    calibrate(loaded.generator, torch.from_numpy(np.stack(several)))
    plain = Plain(loaded.generator, torch.device("cpu"), torch.float32, channels_last=False)
    variances: list[float] = []

    def look(layer: nn.Module, _: object, out: Tensor) -> None:
        assert out.is_contiguous()
        if isinstance(layer, nn.BatchNorm2d):
            variances.append(float(out.var()))

    for layer in plain.generator.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            layer.register_forward_hook(look)
    labels = torch.from_numpy(maps.regions(64, 12, loaded.spec.labels, 1))
    picture = plain.painting(labels, style_from_seed(1, loaded.spec.style_dim))()
    assert picture.std() >= 0.3
    assert 0.2 < min(variances) <= max(variances) < 5


def test_the_published_network_has_the_published_size() -> None:
    with torch.device("meta"):
        generator = SpadeGenerator(183, instance_edges=True)
    assert sum(value.numel() for value in generator.parameters()) == pytest.approx(97.5e6, rel=1e-3)
    assert trunk_macs(generator, 256, 256) == pytest.approx(42.1e9, rel=1e-2)


def test_maps() -> None:
    labels = coco_spade(1).spec.labels
    smooth = maps.regions(256, 12, labels)
    assert smooth.dtype == np.uint8
    assert np.unique(smooth).size == 12
    assert 4000 < distinct_windows(smooth.astype(np.int32)) < 8000
    assert np.unique(maps.noise(256, labels)).size == 182
    names = {labels.by_id[int(id_)].name for id_ in np.unique(maps.painted(256, labels))}
    assert {"clouds", "tree"} & names


def test_a_dab_changes_a_disc_and_its_neighbourhood_is_a_square() -> None:
    brush, labels = maps.Brush(8, seed=3), np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 5
    for _ in range(20):
        x, y, patch = brush.dab(labels)
        assert (patch != labels[y : y + 8, x : x + 8])[4, 4]
    changed = np.zeros((20, 20), bool)
    changed[3, 10] = True
    grown = maps.near(changed, 5)
    assert grown[:9, 5:16].all()
    assert grown.sum() == 9 * 11


def test_targets_are_judged_by_all_that_was_promised() -> None:
    target = TARGETS["exact fp32, warm"]["public"]
    assert target.met(8, Errors(1e-4, 1e-6, 120)) is True
    assert target.met(8, Errors(1e-4, 1e-4, 120)) is False
    assert target.met(6, Errors(1e-4, 1e-6, 120)) is False
    assert Target().met(3, Errors()) is None
