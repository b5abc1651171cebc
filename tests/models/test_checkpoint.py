"""Checkpoints: what is written comes back; what is wrong, cut short or hostile is a clear error."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.checkpoint import SPEC_KEY, CheckpointError, load, parameter_count, read_spec, save
from models.spec import ModelSpec, NamedStyle, SpecError
from tests.tiny import tiny_networks, tiny_spec, write_tiny_model


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    generator, encoder = tiny_networks()
    path = write_tiny_model(tmp_path)
    model = load(path)
    assert model.spec == tiny_spec() == read_spec(path)
    for network, loaded in ((generator, model.generator), (encoder, model.encoder)):
        for (name, value), found in zip(
            network.state_dict().items(), loaded.state_dict().values(), strict=True
        ):
            torch.testing.assert_close(found, value, atol=1e-3, rtol=1e-3, msg=name)
    assert not model.generator.training
    assert parameter_count(path) == sum(
        value.numel() for network in (generator, encoder) for value in network.state_dict().values()
    )


def test_only_convolution_weights_are_halved(tmp_path: Path) -> None:
    tensors = load_file(write_tiny_model(tmp_path))
    halved = {name for name, value in tensors.items() if value.dtype == torch.float16}
    assert "generator.blocks.0.conv_0.weight" in halved
    assert all(name.endswith(".weight") and tensors[name].ndim == 4 for name in halved)
    for name in (
        "generator.blocks.0.norm_0.style.weight",
        "generator.blocks.0.conv_0.bias",
        "generator.prior_scale",
    ):
        assert tensors[name].dtype == torch.float32


def test_a_file_appears_whole_and_readable_by_all(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o444 == 0o444


def test_numbers_that_json_does_not_have_stand_as_words(tmp_path: Path) -> None:
    """A recipe may bound something by inf, the mean of nothing is nan: the file is readable all the same."""
    provenance = {
        "recipe": {"run": {"collapse_above": float("inf")}},
        "iou": [0.5, float("nan")],
        "code": (1, None),
    }
    spec = replace(tiny_spec(), provenance=provenance)
    save(tmp_path / "mine.safetensors", spec, *tiny_networks())
    found = load(tmp_path / "mine.safetensors").spec.provenance
    assert found == {
        "recipe": {"run": {"collapse_above": "inf"}},
        "iou": [0.5, "nan"],
        "code": [1, None],
    }


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("models.checkpoint.save_file", full)
    with pytest.raises(OSError, match=r"mine\.safetensors could not be written: .*No space left on device"):
        save(tmp_path / "mine.safetensors", tiny_spec(), *tiny_networks())
    assert not list(tmp_path.iterdir())


def rewritten(path: Path, spec: str | None = None, **changes: Any) -> Path:
    """The file with another spec text or other tensors (None drops one)."""
    tensors = load_file(path)
    metadata = {SPEC_KEY: read_spec(path).to_json() if spec is None else spec}
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del tensors[key]
        else:
            tensors[key] = value
    save_file(tensors, path, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator__fc__bias": None}, ["generator.fc.bias", "missing"]),
        ({"generator__extra": torch.zeros(1)}, ["generator.extra", "unexpected"]),
        ({"generator__fc__bias": torch.zeros(5)}, ["generator.fc.bias", "[5]", "[12]"]),
        ({"generator__fc__bias": torch.full((12,), float("nan"))}, ["generator.fc.bias", "NaN"]),
        ({"generator__fc__bias": torch.zeros(12, dtype=torch.int64)}, ["generator.fc.bias", "int64"]),
        ({"generator__fc__bias": torch.zeros(12, dtype=torch.float64)}, ["F64"]),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path: Path, changes: dict[str, Any], words: list[str]) -> None:
    path = rewritten(write_tiny_model(tmp_path), **changes)
    with pytest.raises(CheckpointError) as caught:
        load(path)
    for word in [*words, str(path)]:
        assert word in str(caught.value)
    assert caught.value.what
    assert caught.value.why
    assert caught.value.next


def document(**changes: Any) -> str:
    return json.dumps(json.loads(tiny_spec().to_json()) | changes)


STYLE = {"id": "noon", "title": "Noon", "code": [0.5] * 8}


def test_named_styles_travel_with_the_model(tmp_path: Path) -> None:
    codes = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).tolist()
    styles = (
        NamedStyle("noon", "Noon", tuple(codes[0])),
        NamedStyle("golden-hour", "Gold…", tuple(codes[1])),
    )
    spec = replace(tiny_spec(), styles=styles)
    path = tmp_path / "named.safetensors"
    save(path, spec, *tiny_networks())
    assert load(path).spec == read_spec(path) == spec
    assert spec.style_called("golden-hour") == styles[1]
    assert spec.style_called("dusk") is None
    assert "styles" not in json.loads(tiny_spec().to_json()), "files without any stay as they were"
    with pytest.raises(SpecError, match="0"):
        replace(spec, style_dim=0)
    with pytest.raises(SpecError, match="not finite"):
        NamedStyle("noon", "Noon", (float("nan"),))


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("[" * 100_000, "not JSON"),
        (document(format="scenebrush.model.v9"), "format"),
        (document(architecture="dalle"), "architecture"),
        (document(stride="4"), "stride"),
        (document(stride=8), "stride"),
        (document(style_dim=True), "style_dim"),
        (document(style_dim=10**9), "style_dim"),
        (document(id="../../etc"), "id"),
        (document(labels={"name": "x", "labels": [{"id": 300, "name": "a"}]}), "labels"),
        (document(labels=[]), "labels"),
        (document(options={"widths": [12, 8, 10**9], "hidden": 6, "noise_channels": 2}), "widths"),
        (document(options={"widths": [], "hidden": 6, "noise_channels": 2}), "widths"),
        (document(options={}), "widths"),
        (document(style_dim=0), "style_dim"),
        (document(labels={"name": "x", "labels": [{"id": 0, "name": "a"}], "ignore": "x"}), "labels"),
        (document(provenance={"x": float("inf")}), "Infinity"),
        (document(name="\ud800"), "not JSON"),
        (document(styles={}), "'styles' is no list"),
        (document(styles=[STYLE] * 2), "'noon' comes twice"),
        (document(styles=[STYLE | {"id": f"s{i}"} for i in range(65)]), "at most 64"),
        (document(styles=["noon"]), "no style"),
        (document(styles=[{}]), "id or title"),
        (document(styles=[STYLE | {"id": "../noon"}]), "style id '../noon'"),
        (document(styles=[STYLE | {"id": 7}]), "id or title"),
        (document(styles=[STYLE | {"title": ""}]), "title of 1…60"),
        (document(styles=[STYLE | {"title": "x" * 61}]), "title of 1…60"),
        (document(styles=[STYLE | {"title": "a\x1b[2J"}]), "cannot be shown"),
        (document(styles=[STYLE | {"code": "00000000"}]), "no list"),
        (document(styles=[STYLE | {"code": [0.0] * 10_000}]), "no list"),
        (document(styles=[STYLE | {"code": [0.0] * 7}]), "7 numbers"),
        (document(styles=[STYLE | {"code": [0.0] * 7 + [True]}]), "no number"),
        (document(styles=[STYLE | {"code": [0.0] * 7 + ["1"]}]), "no number"),
        (document(styles=[STYLE | {"code": [0.0] * 7 + [-100.1]}]), "±100"),
        (document(styles=[STYLE | {"code": [0.0] * 7 + [10**400]}]), "±100"),
        (document(styles=[STYLE | {"code": [0.0] * 7 + [float("nan")]}]), "NaN"),
        (document(styles=[STYLE | {"code": [0.0] * 7 + [1.5]}]).replace("1.5", "1e999"), "±100"),
        (document(styles=[STYLE | {"code": []}]), "0 numbers"),
        (document(style_dim=8).replace('"style_dim": 8', '"style_dim": ' + "9" * 5000), "not JSON"),
    ],
)
def test_a_wrong_spec_is_a_clear_error(tmp_path: Path, spec: str, word: str) -> None:
    path = rewritten(write_tiny_model(tmp_path), spec)
    with pytest.raises(CheckpointError, match=word):
        load(path)


def test_huge_claims_take_no_memory(tmp_path: Path) -> None:
    """A small file that claims a giant network is refused by its shapes, before anything is allocated."""
    options = {"widths": [4096] * 9, "hidden": 1024, "noise_channels": 15, "encoder_widths": [4096] * 7}
    path = rewritten(write_tiny_model(tmp_path), document(options=options, stride=256))
    with pytest.raises(CheckpointError, match="tensor"):
        load(path)


def test_other_files_are_clear_errors(tmp_path: Path) -> None:
    cases = {
        "missing": None,
        "empty": b"",
        "text": b"hello" * 100,
        "cut": write_tiny_model(tmp_path).read_bytes()[:-9],
    }
    for name, data in cases.items():
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(CheckpointError, match=str(path)):
            read_spec(path)
    plain = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(1)}, plain)
    with pytest.raises(CheckpointError, match="without a Scenebrush spec"):
        read_spec(plain)
    with pytest.raises(CheckpointError):
        read_spec(tmp_path)  # a folder


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tiny_model(tmp_path_factory.mktemp("model")).read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_never_crash(tmp_path: Path, model_bytes: bytes, data: st.DataObject) -> None:
    header = int.from_bytes(model_bytes[:8], "little") + 8
    damaged = bytearray(model_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damaged)
    with suppress(CheckpointError):  # any other exception fails the test
        load(path)


def test_spec_bounds() -> None:
    with pytest.raises(SpecError, match="native_size"):
        replace(tiny_spec(), native_size=0)
    assert ModelSpec.from_json(tiny_spec().to_json()) == tiny_spec()


def test_saving_over_a_model_replaces_it(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path)
    save(path, replace(tiny_spec(), name="Second"), *tiny_networks(1))
    assert read_spec(path).name == "Second"


def test_loading_imports_no_compiler(tmp_path: Path) -> None:
    """On the meta device some torch functions bring a thousand modules with them: seconds of start-up."""
    path = write_tiny_model(tmp_path)
    program = (
        "import sys, pathlib; from models.checkpoint import load; "
        f"load(pathlib.Path({str(path)!r})); print('torch._dynamo' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
