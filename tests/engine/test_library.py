"""The library: which models there are, which one is meant, and what happens to files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine import EngineError, Library, Painter, UnknownModel
from engine import device as devices
from engine.device import choose
from engine.model import Picture
from engine.painter import Quality
from models.checkpoint import CheckpointError
from models.importing import import_model, write_model
from tests.public_checkpoints import spade_state
from tests.tiny import write_tiny_model


def test_models_are_found_by_id_and_the_first_is_the_default(library: Library) -> None:
    assert [spec.id for spec in library.specs()] == ["first", "second"]
    assert library.default_id == "first"
    assert library.spec().id == "first"
    assert library.spec("second").id == "second"
    assert library.parameters("second") > 1000
    library.warm_up()
    assert "CPU" in library.device_name


def test_warming_up_says_what_it_waits_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library([folder], device="cpu")
    weights = "model first: weights are loaded"
    picture = "model first: kernels are ready, a first picture is painted"
    assert library.awaits == ("the device answers", weights, picture)
    seen: list[tuple[str, ...]] = []
    paint = Painter.render

    def render(painter: Painter, quality: Quality = "exact") -> Picture:
        seen.append(library.awaits)
        return paint(painter, quality)

    monkeypatch.setattr(Painter, "render", render)
    library.warm_up()
    assert seen == [(picture,)]
    assert library.awaits == ()


def test_a_model_that_does_not_load_is_what_is_waited_for(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "first")
    library = Library([tmp_path], device="cpu")
    library.path().write_bytes(b"gone")
    with pytest.raises(CheckpointError):
        library.warm_up()
    assert library.awaits[0] == "model first: weights are loaded"


def test_a_cpu_has_no_memory_of_its_own(library: Library) -> None:
    assert library.device_memory is None


def test_the_default_can_be_named(folder: Path) -> None:
    assert Library([folder], default="second").spec().id == "second"
    with pytest.raises(UnknownModel, match=r"third.*first, second"):
        Library([folder], default="third")


def test_an_unknown_model_is_named_with_those_there_are(library: Library) -> None:
    with pytest.raises(UnknownModel, match=r"'x'.*first, second"):
        library.painter("x", 8, 8)


def test_broken_files_are_reported_and_passed_over(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "good")
    (tmp_path / "bad.safetensors").write_bytes(b"no model")
    (tmp_path / "twin.safetensors").write_bytes((tmp_path / "good.safetensors").read_bytes())
    library = Library([tmp_path, tmp_path / "nowhere"])
    assert [spec.id for spec in library.specs()] == ["good"]
    assert len(library.problems) == 2
    assert "bad.safetensors" in library.problems[0]
    assert "already found" in library.problems[1]


def test_files_of_torch_are_told_to_be_imported(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "good")
    (tmp_path / "latest_net_G.pth").write_bytes(b"PK")
    (problem,) = Library([tmp_path]).problems
    assert "latest_net_G.pth" in problem
    assert "scenebrush import" in problem


def test_the_built_in_model_is_the_default_beside_others(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin = tmp_path / "builtin"
    builtin.mkdir()
    write_tiny_model(builtin, "plain", seed=3)
    (builtin / "broken.safetensors").write_bytes(b"no model")
    monkeypatch.setattr("engine.library.BUILTIN", builtin)
    assert Library.builtin(extra_directory=folder).default_id == "plain"
    assert Library.builtin(extra_directory=folder, default="second").default_id == "second"
    assert Library.builtin().default_id == "plain"
    own = tmp_path / "own"
    own.mkdir()
    write_tiny_model(own, "another", seed=4)
    file = write_tiny_model(own, "plain", seed=5)
    library = Library.builtin(extra_directory=own)
    assert library.default_id == "plain"
    assert library.path() == file, "a model of that id in one's own folder takes its place"


def test_a_model_of_one_size_is_warmed_up_at_it(tmp_path: Path) -> None:
    torch.save(
        spade_state(ngf=1, hidden=2, label_nc=35, dont_care=False, z_dim=3, start_grid=(4, 8)),
        tmp_path / "city.pth",
    )
    write_model(import_model(tmp_path / "city.pth", "city"), tmp_path / "city.safetensors")
    library = Library([tmp_path], device="cpu")
    spec = library.spec()
    assert spec.native == spec.largest == (512, 256)
    library.warm_up()
    with pytest.raises(EngineError, match="512×256"):
        library.painter(None, 512, 512)
    assert library.painter(None, 100, 60).render().shape == (60, 100, 3)


def test_no_model_is_an_error_that_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=str(tmp_path)):
        Library([tmp_path])


def test_earlier_folders_win(tmp_path: Path, folder: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    write_tiny_model(own, "first", seed=5)
    library = Library([own, folder])
    assert [spec.id for spec in library.specs()] == ["first", "second"]
    assert any("already found" in problem for problem in library.problems)


@pytest.mark.parametrize(
    ("device", "precision", "words"),
    [
        ("tpu", "auto", "tpu"),
        ("cuda:99", "auto", "CUDA devices"),
        ("cpu", "int4", "int4"),
        ("cpu", "fp16", "fp16"),
    ],
)
def test_devices_and_precisions_that_do_not_exist(device: str, precision: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        choose(device, precision)


@pytest.mark.parametrize(
    ("flags", "expected"), [({"avx2"}, "fp32"), ({"avx512_bf16"}, "bf16"), ({"amx_bf16"}, "bf16")]
)
def test_half_precision_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], expected: str
) -> None:
    monkeypatch.setattr(devices, "cpu_flags", lambda: frozenset(flags))
    assert choose("cpu").precision == expected
    assert choose("cpu", "fp32").dtype == torch.float32
