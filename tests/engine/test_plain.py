"""A pix2pix checkpoint behind the painter's door: it paints what the plain network paints, by every way, and
what it does not have is said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import EngineError, Library, Painter
from models.checkpoint import LoadedModel, load, save, save_segmenter, segmenter_spec
from models.pix2pix import Pix2PixGenerator
from models.segmenter import UNet
from tests.engine.painting import blocky, decibels, noise
from tests.tiny import pix2pix_spec, write_tiny_model, write_tiny_pix2pix

WIDTH, HEIGHT, STRIDE = 60, 40, 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    write_tiny_model(folder, "first")
    write_tiny_pix2pix(folder, "plain")
    return folder


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def library(folder: Path, request: pytest.FixtureRequest) -> Library:
    return Library([folder], device="cpu", precision=request.param)


def painter(library: Library, labels: np.ndarray) -> Painter:
    one = library.painter("plain", labels.shape[1], labels.shape[0])
    one.set_map(labels)
    return one


def reference(loaded: LoadedModel, labels: np.ndarray) -> np.ndarray:
    """The plain network's picture of a map, extended by its edge to the stride, as float (H, W, 3)."""
    assert isinstance(loaded.generator, Pix2PixGenerator)
    height, width = labels.shape
    padded = np.pad(labels, ((0, -height % STRIDE), (0, -width % STRIDE)), mode="edge")
    with torch.no_grad():
        picture = loaded.generator(torch.from_numpy(padded.astype(np.int64))[None])
    return picture[0, :, :height, :width].permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    "labels",
    [blocky(HEIGHT, WIDTH, 17), noise(64, 48, 17), blocky(1, 1, 17), blocky(300, 20, 17)],
    ids=["blocky", "noise", "a pixel", "tall"],
)
def test_it_paints_what_the_network_paints(library: Library, folder: Path, labels: np.ndarray) -> None:
    picture = painter(library, labels).render()
    assert picture.shape == (*labels.shape, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 5 or labels.size == 1
    expected = reference(load(folder / "plain.safetensors"), labels)
    if library.precision == "fp32":
        rounded = np.rint((expected + 1) * 127.5)
        assert np.abs(picture - rounded).max() <= 1
    else:
        found = torch.from_numpy(picture / 127.5 - 1)
        assert decibels(found, torch.from_numpy(expected)) > 35


def test_equal_maps_give_equal_bytes_however_they_came(library: Library) -> None:
    labels = blocky(HEIGHT, WIDTH, 17)
    straight = painter(library, labels)
    first = straight.render()
    patched = painter(library, blocky(HEIGHT, WIDTH, 17, seed=1))
    patched.render("live")
    for top in range(0, HEIGHT, 8):
        patched.apply(0, top, labels[top : top + 8])
    np.testing.assert_array_equal(patched.render("live"), first)
    assert patched.exact, "there are no previews: a live picture is the exact one"
    assert not patched.previews
    other = painter(library, noise(HEIGHT, WIDTH, 17))
    together = library.render_many([other, patched, straight])
    np.testing.assert_array_equal(together[1], first)
    np.testing.assert_array_equal(together[2], first)
    np.testing.assert_array_equal(together[0], other.render())


def test_seeds_and_noise_change_nothing(library: Library) -> None:
    one = painter(library, blocky(HEIGHT, WIDTH, 17))
    first = one.render()
    one.set_style(77)
    one.set_noise(5)
    one.set_style([])
    np.testing.assert_array_equal(one.render(), first)
    assert one.style == ()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda one: one.set_style([1.0]), "the model has 0 values"),
        (lambda one: one.set_instances(np.zeros((HEIGHT, WIDTH), np.uint16)), "reads none"),
        (lambda one: one.set_regions([[]]), "one style at a time"),
        (lambda one: one.set_style_field(np.zeros((0, HEIGHT, WIDTH), np.float32)), "for each pixel"),
        (lambda one: one.set_map(np.full((HEIGHT, WIDTH), 17, np.uint8)), "class id 17"),
        (lambda one: one.set_style(-1), "seed -1"),
    ],
)
def test_what_it_does_not_have_is_said(library: Library, act: Callable[[Painter], None], words: str) -> None:
    one = painter(library, blocky(HEIGHT, WIDTH, 17))
    before = one.render()
    with pytest.raises(EngineError, match=words):
        act(one)
    np.testing.assert_array_equal(one.render(), before)


def test_sizes_and_photos_are_refused_clearly(library: Library) -> None:
    with pytest.raises(EngineError, match="at least 1"):
        library.painter("plain", 0, 8)
    with pytest.raises(EngineError, match="no style encoder"):
        library.style_of(np.zeros((8, 8, 3), np.uint8), "plain")


def test_models_of_both_kinds_stand_side_by_side(library: Library) -> None:
    assert [spec.id for spec in library.specs()] == ["first", "plain"]
    assert library.spec("plain").stride == STRIDE
    labels = blocky(HEIGHT, WIDTH, 17)
    alone = painter(library, labels).render()
    styled = library.painter("first", WIDTH, HEIGHT)
    styled.set_map(labels)
    mixed = library.render_many([painter(library, labels), styled])
    np.testing.assert_array_equal(mixed[0], alone)
    np.testing.assert_array_equal(mixed[1], styled.render())


@pytest.mark.parametrize("depth", [2, 6])
def test_any_depth(tmp_path: Path, depth: int) -> None:
    torch.manual_seed(1)
    spec = replace(pix2pix_spec("other"), stride=2**depth, options={"width": 3, "depth": depth})
    save(tmp_path / "other.safetensors", spec, Pix2PixGenerator(17, 3, depth), None)
    library = Library([tmp_path], device="cpu", precision="fp32")
    library.warm_up()
    labels = blocky(64, 128, 17)
    one = library.painter(None, 128, 64)
    one.set_map(labels)
    with torch.no_grad():
        ids = torch.from_numpy(labels.astype(np.int64))[None]
        expected = load(library.path()).generator(ids)[0].permute(1, 2, 0).numpy()  # type: ignore[call-arg]
    assert np.abs(one.render() - np.rint((expected + 1) * 127.5)).max() <= 1


def test_a_segmenter_is_neither_a_model_nor_a_problem(tmp_path: Path, folder: Path) -> None:
    network = UNet(17, [4, 8])
    spec = segmenter_spec(
        network,
        pix2pix_spec().labels,
        model_id="a-judge",
        name="Judge",
        native_size=32,
        licence="CC0-1.0",
        provenance={},
    )
    save_segmenter(tmp_path / "a-judge.safetensors", spec, network)
    with pytest.raises(EngineError, match="no model"):
        Library([tmp_path])
    library = Library([tmp_path, folder])
    assert [one.id for one in library.specs()] == ["first", "plain"]
    assert library.problems == [note for note in library.problems if "plain torch" in note]
