"""The library: which models there are, which one is meant, and what happens to files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine import EngineError, Library, UnknownModel
from engine import device as devices
from engine.device import choose
from tests.tiny import write_tiny_model


def test_models_are_found_by_id_and_the_first_is_the_default(library: Library) -> None:
    assert [spec.id for spec in library.specs()] == ["first", "second"]
    assert library.default_id == "first"
    assert library.spec().id == "first"
    assert library.spec("second").id == "second"
    assert library.parameters("second") > 1000
    library.warm_up()
    assert "CPU" in library.device_name


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
