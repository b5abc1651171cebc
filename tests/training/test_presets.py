"""Styles by name: which training pictures a rule admits, whose code is taken, what the model then carries."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from models.checkpoint import load, read_spec, save
from tests.tiny import tiny_networks, tiny_spec, write_tiny_model
from training import presets
from training.data import Pair
from training.presets import PRESETS, PresetError, add_presets, choose
from training.sheet import own_style

NOON = {"light": "noon", "sun_el": 55.0, "weather": "fair", "season": "summer", "snowy": False}
LABELS = np.ones((32, 32), np.uint8)


def pair(name: str, shade: int = 0, **meta: Any) -> Pair:
    """A picture of one grey, and what its line says."""
    return Pair(name, np.full((32, 32, 3), shade, np.uint8), LABELS, NOON | meta)


def named(**meta: Any) -> set[str]:
    return {preset.id for preset in PRESETS if preset.matches(NOON | meta)}


@pytest.mark.parametrize(
    ("meta", "ids"),
    [
        ({}, {"noon"}),
        ({"sun_el": 47.9}, set()),
        ({"light": "day", "sun_el": 20}, {"morning"}),
        ({"light": "day", "sun_el": 35.0}, set()),
        ({"light": "golden", "sun_el": 8.0}, {"golden-hour"}),
        ({"light": "golden", "sun_el": 8.0, "season": "autumn"}, {"autumn"}),
        ({"light": "sunset", "sun_el": 3.0}, {"sunset"}),
        ({"light": "sunset", "sun_el": 3.0, "weather": "overcast"}, set()),
        ({"light": "dusk", "sun_el": -1.0, "weather": "broken"}, {"dusk"}),
        ({"weather": "overcast"}, {"overcast"}),
        ({"weather": "hazy"}, {"haze"}),
        ({"light": "day", "sun_el": 20.0, "season": "winter", "snowy": True}, {"winter-light"}),
        ({"light": "day", "sun_el": 20.0, "season": "winter"}, set()),
        ({"sun_el": "55"}, set()),
        ({"sun_el": True, "light": 7}, set()),
        ({"weather": "hazy", "snowy": 0}, set()),
        ({"weather": None}, set()),
    ],
)
def test_the_rules(meta: dict[str, Any], ids: set[str]) -> None:
    assert named(**meta) == ids


def test_a_picture_without_metadata_has_no_name_and_ids_are_unique() -> None:
    assert not any(preset.matches({}) for preset in PRESETS)
    assert max(Counter(preset.id for preset in PRESETS).values()) == 1


def test_the_documents_table_is_this_one(root: Path) -> None:
    page = (root / "docs" / "styles.md").read_text(encoding="utf-8")
    rows = [f"| `{preset.id}` | {preset.title} | {preset.rule} |" for preset in PRESETS]
    assert "\n".join(["| --- | --- | --- |", *rows, ""]) in page


def test_the_code_is_that_of_the_picture_nearest_to_the_mean() -> None:
    _, encoder = tiny_networks()
    pairs = [pair("1", 0), pair("2", 118), pair("3", 255), pair("4", 130, light="dusk")]
    chosen, missing = choose(encoder, pairs)
    assert [(one.preset.id, one.pair.name, one.candidates) for one in chosen] == [
        ("noon", "2", 3),
        ("dusk", "4", 1),
    ]
    assert [preset.id for preset in missing] == [
        preset.id for preset in PRESETS if preset.id not in ("noon", "dusk")
    ]
    codes = torch.stack([own_style(encoder, one.image) for one in pairs[:3]])
    torch.testing.assert_close(torch.tensor(chosen[0].code), codes[1], atol=1e-5, rtol=0)
    mean = codes.mean(0)
    nearest = (codes[1] - mean).norm()
    assert chosen[0].distance == pytest.approx(nearest.item(), abs=1e-5)
    assert nearest == (codes - mean).norm(dim=1).min()
    assert chosen[1].distance == 0
    # What a picture is encoded with, and in which company it is chosen, changes nothing.
    again, _ = choose(encoder, [pair("9", 30, light="sunset", sun_el=3.0), *pairs])
    assert [one.code for one in again if one.preset.id == "noon"] == [chosen[0].code]


def write_source(folder: Path, pairs: list[Pair]) -> Path:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    lines = []
    for one in pairs:
        Image.fromarray(one.image).save(folder / "images" / f"{one.name}.png")
        Image.fromarray(one.labels).save(folder / "labels" / f"{one.name}.png")
        words = {
            key: f'"{value}"' if isinstance(value, str) else str(value).lower()
            for key, value in one.meta.items()
        }
        lines.append(
            "{" + ", ".join(f'"{key}": {value}' for key, value in {"seed": one.name, **words}.items()) + "}"
        )
    (folder / "meta.jsonl").write_text("\n".join(lines))
    return folder


def test_a_model_gets_the_styles_of_training_pictures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 20 is for the test and 21 for validation: both would be nearer to the mean of all.
    source = write_source(
        tmp_path / "data",
        [pair("20", 120), pair("21", 125), pair("22", 10), pair("23", 250, weather="overcast")],
    )
    path, out, sheet = write_tiny_model(tmp_path), tmp_path / "named.safetensors", tmp_path / "sheet.png"
    monkeypatch.setattr(sys, "argv", ["presets", str(path), str(source), str(out), "--report", str(sheet)])
    presets.main()
    said = capsys.readouterr().out
    assert "noon          picture 22, nearest to the mean of 1" in said
    assert "dusk          left out: no training picture has light dusk" in said
    spec = read_spec(out)
    assert [(style.id, style.title) for style in spec.styles] == [("noon", "Noon"), ("overcast", "Overcast")]
    assert spec.provenance["styles"]["overcast"]["picture"] == "23"
    assert spec.provenance["data"] == tiny_spec().provenance["data"]
    before, after = load_file(path), load_file(out)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert value.dtype == after[key].dtype
        assert torch.equal(value, after[key]), key
    # A row for the maps, and one for each style: its picture, and the one validation map in that style.
    with Image.open(sheet) as picture:
        assert picture.size == (2 * 32, 3 * 32)
        pixels = np.asarray(picture)
    assert (pixels[32:64, :32] == 10).all()
    assert not np.array_equal(pixels[32:64, 32:], pixels[64:, 32:]), "styles look different"
    # Done again onto itself, the file stays as it is.
    written = out.read_bytes()
    add_presets(out, source, out)
    assert out.read_bytes() == written


def test_float32_weights_stay_float32(tmp_path: Path) -> None:
    path, out = tmp_path / "fine.safetensors", tmp_path / "out.safetensors"
    save(path, tiny_spec(), *tiny_networks(), torch.float32)
    source = write_source(tmp_path / "data", [pair("22", 10)])
    add_presets(path, source, out)
    for key, value in load_file(path).items():
        assert torch.equal(value, load_file(out)[key]), key
    assert len(load(out).spec.styles) == 1


def test_what_cannot_be_named_is_said_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.safetensors"
    path = write_tiny_model(tmp_path)
    bare = write_source(tmp_path / "bare", [replace(pair("22"), meta={})])
    with pytest.raises(PresetError, match=r"light, sun_el, weather, season and snowy"):
        add_presets(path, bare, out)
    with pytest.raises(PresetError, match="no style encoder"):
        choose(None, [pair("22")])
    monkeypatch.setattr(sys, "argv", ["presets", str(path), str(tmp_path / "none"), str(out)])
    with pytest.raises(SystemExit, match="error: no folder at"):
        presets.main()
    assert not out.exists()
