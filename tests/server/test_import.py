"""`scenebrush import` as a person meets it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from models.checkpoint import load, read_spec
from models.labels import load_label_set
from server import cli
from tests.public_checkpoints import encoder_state, oasis_state, spade_state

TINY: dict[str, Any] = {"ngf": 1, "hidden": 2}


def call(*words: object) -> Any:
    return CliRunner().invoke(cli.app, ["import", *map(str, words)])


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    path = tmp_path / "latest_net_G.pth"
    torch.save(spade_state(**TINY), path, _use_new_zipfile_serialization=False)
    return path


def test_a_published_model_needs_no_options(tmp_path: Path, coco: Path) -> None:
    out = tmp_path / "My COCO.safetensors"
    result = call(coco, "-o", out)
    assert result.exit_code == 0, result.output
    for said in ("SPADE COCO-Stuff", "183 labels", "256×256", "CC BY-NC-SA 4.0", "--model my-coco"):
        assert said in result.stderr
    assert load(out).spec.id == "my-coco"
    inspected = CliRunner().invoke(cli.app, ["inspect", str(out), "--json"])
    assert json.loads(inspected.stdout)["provenance"]["imported from"] == "latest_net_G.pth"
    shown = CliRunner().invoke(cli.app, ["inspect", str(out)])
    assert shown.exit_code == 0
    assert "CC BY-NC-SA 4.0" in shown.stdout


def test_every_option_reaches_the_model(tmp_path: Path) -> None:
    state = spade_state(label_nc=17, instance=True, z_dim=3, start_grid=(2, 4), **TINY)
    torch.save(state, tmp_path / "G.pth")
    torch.save(encoder_state(nef=1, z_dim=3), tmp_path / "E.pth")
    out = tmp_path / "ours.safetensors"
    result = call(
        tmp_path / "G.pth", "-o", out, "--encoder", tmp_path / "E.pth", "--id", "own", "--name", "Our own",
        "--licence", "Apache-2.0", "--labels", "landscape17", "--dont-care", "--instance",
        "--upsampling", "more", "--size", "256", "--aspect", "2",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    model = load(out)
    spec = model.spec
    assert (spec.id, spec.name, spec.licence, spec.stride) == ("own", "Our own", "Apache-2.0", 64)
    assert spec.labels.by_id[1].name == "sky"
    assert spec.options["start_grid"] == [2, 4]
    assert spec.provenance["encoder from"] == "E.pth"
    assert model.encoder is not None


def test_labels_come_as_a_number_a_set_or_a_file(tmp_path: Path) -> None:
    torch.save(oasis_state(semantic_nc=18, z_dim=5, **TINY), tmp_path / "best_EMA.pth")
    (tmp_path / "own.json").write_text(json.dumps(load_label_set("landscape17").to_json()))
    for labels, name in (
        ("17", "label 0"),
        ("landscape17", "unlabeled"),
        (tmp_path / "own.json", "unlabeled"),
    ):
        out = tmp_path / "model.safetensors"
        options = ["--labels", labels, "--z-dim", "5", "--size", "256", "--force"]
        result = call(tmp_path / "best_EMA.pth", "-o", out, *options)
        assert result.exit_code == 0, result.output
        assert read_spec(out).labels.by_id[1].name == name


def test_a_file_is_written_over_only_with_force(tmp_path: Path, coco: Path) -> None:
    out = tmp_path / "model.safetensors"
    out.write_bytes(b"precious")
    result = call(coco, "-o", out)
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert out.read_bytes() == b"precious"
    assert call(coco, "-o", out, "--force").exit_code == 0
    assert read_spec(out).id == "model"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{tmp}/none.pth", "-o", "{tmp}/o.safetensors"], "no such file"),
        (["{coco}", "-o", "{tmp}/o.pth"], "Give it that ending"),
        (["{coco}", "-o", "{tmp}/none/o.safetensors"], "no such folder"),
        (["{coco}", "-o", "{tmp}/o.safetensors", "--labels", "many"], "landscape17"),
        (["{coco}", "-o", "{tmp}/o.safetensors", "--labels", "{tmp}/none.json"], "none.json"),
        (["{coco}", "-o", "{tmp}/o.safetensors", "--upsampling", "less"], "normal, more, most"),
        (["{coco}", "-o", "{tmp}/o.safetensors", "--labels", "99"], "184 input channels"),
        (["{coco}", "-o", "{tmp}/o.safetensors", "--no-instance"], "--labels 183 --dont-care --no-instance"),
        (["{coco}", "-o", "{tmp}/o.safetensors", "--id", "No Id"], "lower case"),
        (["{text}", "-o", "{tmp}/o.safetensors"], "torch cannot read it"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, coco: Path, words: list[str], said: str) -> None:
    text = tmp_path / "text.pth"
    text.write_text("hello")
    result = call(*(word.format(tmp=tmp_path, coco=coco, text=text) for word in words))
    assert result.exit_code == 1, result.output
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert not (tmp_path / "o.safetensors").exists()
