"""Painting with the plain networks, whatever the architecture; contact sheets, and the command that draws
one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine import Library
from models.checkpoint import load
from models.encoder import Encoder, SpadeEncoder
from models.generator import Generator
from models.labels import load_label_set
from models.pix2pix import Pix2PixGenerator
from models.published import OasisGenerator, SpadeGenerator
from tests.tiny import STYLE_DIM, tiny_networks, write_tiny_model
from training import sheet
from training.data import read_pairs
from training.scenes import hand_painted

LABELS = load_label_set("landscape17")


def networks(kind: str) -> sheet.Networks:
    torch.manual_seed(1)
    made: dict[str, tuple[Generator, Encoder | None]] = {
        "styled": tiny_networks(),
        "oasis": (OasisGenerator(17, 1, style_dim=4, hidden=4), None),
        "spade": (SpadeGenerator(17, 2, hidden=4), None),
        "vae": (SpadeGenerator(17, 2, hidden=4, style_dim=4, start_grid=(2, 3)), SpadeEncoder(2, 4)),
        "pix2pix": (Pix2PixGenerator(17, width=4, depth=4), None),
    }
    generator, encoder = made[kind]
    if kind == "pix2pix":  # its initial weights are so small that everything is grey
        for parameter in generator.parameters():
            parameter.data.mul_(5)
    return sheet.Networks(generator.eval(), encoder)


def a_map(height: int, width: int) -> np.ndarray:
    labels = np.full((height, width), 1, np.uint8)
    labels[height // 2 :] = 8
    labels[height // 3 :, width // 2 :] = 13
    return labels


@pytest.mark.parametrize("kind", ["styled", "oasis", "spade", "vae", "pix2pix"])
def test_every_architecture_paints_any_size_and_obeys_its_seed(kind: str) -> None:
    model, labels = networks(kind), a_map(50, 70)
    first = sheet.paint(model, labels, None, 1)
    assert first.shape == (50, 70, 3)
    assert first.dtype == np.uint8
    assert first.std() > 1, "something is to be seen"
    assert np.array_equal(first, sheet.paint(model, labels, None, 1))
    differs = not np.array_equal(first, sheet.paint(model, labels, None, 2))
    assert differs is (kind in {"styled", "oasis", "vae"}) is sheet.is_random(model.generator)


@pytest.mark.parametrize("kind", ["styled", "oasis", "vae"])
def test_a_code_decides_on_the_style(kind: str) -> None:
    model, labels = networks(kind), a_map(64, 64)
    size = model.generator.style_dim
    one, other = (sheet.paint(model, labels, torch.full((size,), value), 1) for value in (-2.0, 2.0))
    assert not np.array_equal(one, other)


def test_a_map_is_extended_by_its_edge_and_nothing_else() -> None:
    model, labels = networks("spade"), a_map(64, 64)
    wider = np.pad(labels, ((0, 0), (0, 32)), mode="edge")
    assert np.array_equal(sheet.paint(model, wider[:, :80]), sheet.paint(model, wider)[:, :80])


def test_a_map_that_is_too_large_for_a_fixed_start_is_refused() -> None:
    with pytest.raises(ValueError, match="80×80 map: this model paints 96×64"):
        sheet.paint(networks("vae"), a_map(80, 80))


def test_plain_pictures_are_the_engines(tmp_path: Path) -> None:
    model = load(write_tiny_model(tmp_path))
    labels, code = a_map(50, 70), torch.linspace(-1, 1, STYLE_DIM)
    painter = Library([tmp_path], device="cpu", precision="fp32").painter(None, 70, 50)
    painter.set_map(labels)
    painter.set_style(code.tolist())
    painter.set_noise(5)
    assert np.abs(painter.render().astype(int) - sheet.paint(model, labels, code, 5)).max() <= 1
    painter.set_style(9)
    assert np.abs(painter.render().astype(int) - sheet.paint(model, labels, None, 9)).max() <= 1


@pytest.mark.parametrize(("kind", "columns"), [("styled", 5), ("oasis", 4), ("pix2pix", 3)])
def test_a_sheet_shows_what_the_model_has(source: Path, kind: str, columns: int) -> None:
    """Map, photo, own style where there is an encoder, seeds where they matter."""
    pairs = read_pairs(source, limit=3)
    drawn = sheet.contact_sheet(networks(kind), pairs, LABELS, seeds=(1, 2), across=2)
    assert drawn.shape == (2 * 256, 2 * columns * 256, 3)
    assert np.array_equal(drawn[:256, :256], sheet.colored(pairs[0].labels, LABELS))
    assert np.array_equal(drawn[:256, 256:512], pairs[0].image)
    assert not drawn[256:, columns * 256 :].any(), "a cell without a picture is black"


def test_painted_maps_have_a_sheet_of_their_own() -> None:
    model = networks("styled")
    drawn = sheet.painted_sheet(model, LABELS, side=32, across=8)
    assert drawn.shape == (4 * 32, 8 * 2 * 32, 3)
    third = drawn[:32, 4 * 32 : 6 * 32]
    assert np.array_equal(third[:, :32], sheet.colored(hand_painted(2, 32), LABELS))
    assert np.array_equal(third[:, 32:], sheet.paint(model, hand_painted(2, 32), None, 2))
    with pytest.raises(ValueError, match="coco182"):
        sheet.painted_sheet(model, load_label_set("coco182"))


def test_the_command_draws(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, out = write_tiny_model(tmp_path), tmp_path / "sheet.png"
    arguments = [str(model), str(source), str(out), "--split", "test", "--count", "3", "--across", "2"]
    monkeypatch.setattr(sys, "argv", ["sheet", *arguments])
    sheet.main()
    with Image.open(out) as picture:
        assert picture.size == (2 * 5 * 256, 2 * 256)


def test_the_command_takes_maps_of_another_set_and_unlabelled_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sky and grass of COCO, and 255: what the files say that they mean is drawn."""
    coco = load_label_set("coco182")
    data, out = tmp_path / "data", tmp_path / "sheet.png"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    labels = np.full((32, 32), coco.by_name["sky-other"].id, np.uint8)
    labels[16:] = coco.by_name["grass"].id
    labels[:4] = 255
    Image.new("RGB", (32, 32)).save(data / "images" / "2.png")
    Image.fromarray(labels).save(data / "labels" / "2.png")
    (data / "labels.toml").write_text('set = "coco182"\n')
    words = [str(write_tiny_model(tmp_path)), str(data), str(out), "--split", "train", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", ["sheet", *words, "--across", "1"])
    sheet.main()
    with Image.open(out) as picture:
        drawn = np.asarray(picture)[:, :32]
    expected = np.full((32, 32), LABELS.by_name["sky"].id, np.uint8)
    expected[16:] = LABELS.by_name["grass"].id
    expected[:4] = LABELS.by_name["unlabeled"].id
    assert np.array_equal(drawn, sheet.colored(expected, LABELS))
