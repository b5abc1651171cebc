"""The published generators, from a file of the public layout to a picture, against the formula written out
from that file's raw tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.checkpoint import load
from models.encoder import SpadeEncoder
from models.generator import Generator, StyledSpadeGenerator
from models.importing import import_model, write_model
from models.published import OasisGenerator, SpadeGenerator
from models.readings import ImportOptions
from models.spade import InstanceNorm, instance_edges, resize_labels
from tests import published_formula as formula
from tests.public_checkpoints import encoder_state, oasis_state, spade_state
from tests.tiny import tiny_networks

PARITY = 1e-5  # the largest difference allowed; pictures span −1 … 1
SMALL: dict[str, Any] = {"ngf": 4, "hidden": 8}


def blobs(height: int, width: int, classes: int, cell: int = 8, batch: int = 2) -> Tensor:
    """Random maps with regions of some pixels, int64 (B, H, W)."""
    coarse = torch.randint(0, classes, (batch, -(-height // cell), -(-width // cell)))
    return resize_labels(coarse.repeat_interleave(cell, 1).repeat_interleave(cell, 2), height, width)


def imported(folder: Path, state: dict[str, Tensor], *, legacy: bool = False, **said: Any) -> Generator:
    """Through a file of the public kind, the import, and a file of ours."""
    torch.save(state, folder / "G.pth", _use_new_zipfile_serialization=not legacy)
    write_model(import_model(folder / "G.pth", "model", ImportOptions(**said)), folder / "model.safetensors")
    return load(folder / "model.safetensors").generator


def assert_same(picture: Tensor, expected: Tensor) -> None:
    assert picture.shape == expected.shape
    assert expected.std() > 0.03, "a picture in which errors would show"
    assert expected.abs().mean() < 0.95, "not one that tanh saturates"
    assert float((picture - expected).abs().max()) <= PARITY


@pytest.mark.parametrize("most", [False, True])
@pytest.mark.parametrize("layout", [(9, True, True), (9, True, False), (9, False, True), (9, False, False)])
@torch.inference_mode()
def test_spade_in_every_layout_of_channels(
    tmp_path: Path, most: bool, layout: tuple[int, bool, bool]
) -> None:
    labels_count, dont_care, instance = layout
    said = {"labels": labels_count, "dont_care": dont_care, "instance": instance, "size": 256}
    state = spade_state(label_nc=labels_count, dont_care=dont_care, instance=instance, most=most, **SMALL)
    torch.manual_seed(1)
    labels = blobs(128, 128, labels_count + dont_care)
    edges = instance_edges(labels) if instance else None
    for upsampling in ("most",) if most else ("normal", "more"):
        (tmp_path / "model.safetensors").unlink(missing_ok=True)
        generator = imported(tmp_path, state, upsampling=upsampling, **said)
        assert isinstance(generator, SpadeGenerator)
        expected = formula.spade_picture(
            state, labels, channels=labels_count + dont_care, upsampling=upsampling, edges=edges
        )
        assert_same(generator(labels), expected)


@pytest.mark.parametrize("statistics", ["batch", "instance"])
@pytest.mark.parametrize("spectral", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@torch.inference_mode()
def test_spade_in_every_kind_of_file(
    tmp_path: Path, statistics: str, spectral: bool, legacy: bool, prefix: str
) -> None:
    state = spade_state(label_nc=5, instance=False, statistics=statistics, spectral=spectral, **SMALL)
    prefixed = {prefix + name: value for name, value in state.items()}
    said = {"labels": 5, "dont_care": True, "upsampling": "normal", "size": 256}
    generator = imported(tmp_path, prefixed, legacy=legacy, **said)
    labels = blobs(64, 96, 6)
    assert_same(generator(labels), formula.spade_picture(state, labels, channels=6))


@pytest.mark.parametrize("kernel", [1, 5])
@torch.inference_mode()
def test_spade_with_other_kernels(tmp_path: Path, kernel: int) -> None:
    state = spade_state(label_nc=5, dont_care=False, instance=False, kernel=kernel, **SMALL)
    generator = imported(tmp_path, state, labels=5, upsampling="normal", size=256)
    labels = blobs(32, 64, 5)
    assert_same(generator(labels), formula.spade_picture(state, labels, channels=5))


@pytest.mark.parametrize(
    ("channels", "upsampling", "size"),
    [(184, "normal", (96, 32)), (151, "normal", (32, 64)), (36, "more", (64, 128))],
)
@torch.inference_mode()
def test_published_spade_models(
    tmp_path: Path, channels: int, upsampling: str, size: tuple[int, int]
) -> None:
    layouts = {184: (182, True, True), 151: (150, True, False), 36: (35, False, True)}
    label_nc, dont_care, instance = layouts[channels]
    state = spade_state(label_nc=label_nc, dont_care=dont_care, instance=instance, **SMALL)
    generator = imported(tmp_path, state, legacy=True)
    assert isinstance(generator, SpadeGenerator)
    assert (generator.upsampling, generator.instance_edges) == (upsampling, instance)
    labels = blobs(*size, label_nc + dont_care)
    edges = instance_edges(labels) if instance else None
    expected = formula.spade_picture(
        state, labels, channels=label_nc + dont_care, upsampling=upsampling, edges=edges
    )
    assert_same(generator(labels), expected)


@torch.inference_mode()
def test_instances_of_the_caller(tmp_path: Path) -> None:
    state = spade_state(label_nc=3, dont_care=False, **SMALL)
    generator = imported(tmp_path, state, labels=3, instance=True, upsampling="normal", size=256)
    labels, edges = blobs(64, 64, 3), instance_edges(blobs(64, 64, 9))
    picture = generator(labels, edges)
    assert_same(picture, formula.spade_picture(state, labels, channels=3, edges=edges))
    assert (picture - generator(labels)).abs().max() > 1e-3


@pytest.mark.parametrize("most", [False, True])
@torch.inference_mode()
def test_spade_with_a_vae_and_its_encoder(tmp_path: Path, most: bool) -> None:
    state = spade_state(label_nc=5, instance=False, z_dim=7, start_grid=(1, 2), most=most, **SMALL)
    encoder = encoder_state(nef=2, z_dim=7)
    torch.save(state, tmp_path / "G.pth")
    torch.save(encoder, tmp_path / "E.pth", _use_new_zipfile_serialization=False)
    upsampling = "most" if most else "more"
    stride = formula.STRIDE[upsampling]
    options = ImportOptions(labels=5, dont_care=True, upsampling=upsampling, size=2 * stride, aspect=2.0)
    model = import_model(tmp_path / "G.pth", "model", options, encoder=tmp_path / "E.pth")
    write_model(model, tmp_path / "model.safetensors")
    model = load(tmp_path / "model.safetensors")
    assert isinstance(model.generator, SpadeGenerator)
    assert isinstance(model.encoder, SpadeEncoder)
    assert model.generator.start_grid == (1, 2)

    photo = torch.rand(2, 3, 80, 120) * 2 - 1
    for found, expected in zip(model.encoder(photo), formula.style(encoder, photo), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    labels, z = blobs(stride, 2 * stride, 6), torch.randn(2, 7)
    picture = model.generator(labels, style=z)
    assert_same(picture, formula.spade_picture(state, labels, channels=6, upsampling=upsampling, z=z))
    with pytest.raises(ValueError, match=f"paints {2 * stride}×{stride} pixels only"):
        model.generator(blobs(stride, stride, 6), style=z)


@pytest.mark.parametrize("z_dim", [64, 5])
@torch.inference_mode()
def test_oasis_with_z_per_picture_region_and_pixel(tmp_path: Path, z_dim: int) -> None:
    state = oasis_state(semantic_nc=7, z_dim=z_dim, **SMALL)
    generator = imported(tmp_path, state, labels=6, dont_care=True, size=256)
    assert isinstance(generator, OasisGenerator)
    assert generator.style_dim == z_dim
    labels, codes = blobs(64, 96, 7), torch.randn(7, z_dim)
    per_region = codes[labels].permute(0, 3, 1, 2)
    for z in (codes[:2], per_region, torch.randn(2, z_dim, 64, 96)):
        assert_same(generator(labels, z), formula.oasis_picture(state, labels, z, channels=7))


@pytest.mark.parametrize("classes", [151, 183, 35])
@torch.inference_mode()
def test_published_oasis_models(tmp_path: Path, classes: int) -> None:
    state = oasis_state(semantic_nc=classes, **SMALL)
    generator = imported(tmp_path, {f"module.{name}": value for name, value in state.items()}, legacy=True)
    labels, z = blobs(32, 96, classes), torch.randn(2, 64)
    assert_same(generator(labels, z), formula.oasis_picture(state, labels, z, channels=classes))


@torch.inference_mode()
def test_oasis_with_instance_statistics_and_plain_weights(tmp_path: Path) -> None:
    state = oasis_state(semantic_nc=7, z_dim=3, statistics="instance", spectral=False, **SMALL)
    generator = imported(tmp_path, state, labels=7, dont_care=False, size=256)
    labels, z = blobs(64, 64, 7), torch.randn(2, 3)
    assert_same(generator(labels, z), formula.oasis_picture(state, labels, z, channels=7))


@pytest.mark.parametrize(
    ("state", "count"),
    [
        (spade_state(ngf=2, hidden=4), 234),
        (spade_state(ngf=2, hidden=4, z_dim=4, start_grid=(4, 8)), 234),
        (spade_state(ngf=2, hidden=4, most=True), 272),
        (oasis_state(ngf=2, hidden=4), 208),
    ],
)
def test_the_writer_writes_the_public_layout(state: dict[str, Tensor], count: int) -> None:
    assert len(state) == count


def test_the_public_models_have_their_published_size() -> None:
    with torch.device("meta"):
        generator = SpadeGenerator(183, instance_edges=True)
    assert sum(parameter.numel() for parameter in generator.parameters()) == pytest.approx(97.5e6, rel=1e-3)
    assert generator.fc.weight.shape == (1024, 184, 3, 3)


def test_instance_edges_stand_on_both_sides_of_a_border() -> None:
    instances = torch.tensor([[[7, 7, 300], [7, 7, 7], [7, 7, 7]]])
    expected = torch.tensor([[[0, 1, 1], [0, 0, 1], [0, 0, 0]]]).bool()
    assert torch.equal(instance_edges(instances), expected)
    assert not instance_edges(torch.zeros(2, 1, 1, dtype=torch.int32)).any()


def test_every_generator_offers_what_the_engine_asks_for() -> None:
    networks: list[tuple[Generator, int, list[bool]]] = [
        (SpadeGenerator(3, 2, hidden=2), 32, [False, True, False, True, True, True, True]),
        (SpadeGenerator(3, 2, hidden=2, upsampling="more"), 64, [False] + [True] * 6),
        (SpadeGenerator(3, 2, hidden=2, upsampling="most"), 128, [False] + [True] * 7),
        (OasisGenerator(3, 2, hidden=2, style_dim=4), 32, [False] + [True] * 5),
        (tiny_networks()[0], 4, [False, True, True]),
    ]
    for generator, stride, doubled in networks:
        stages = generator.stages
        assert generator.stride == stride
        assert [stage.doubled for stage in stages] == doubled
        assert generator.grids(stride, 2 * stride)[0] == (1, 2)
        assert generator.grids(stride, 2 * stride)[-1] == (stride, 2 * stride)
        assert len(generator.grids(stride, stride)) == len(stages)
        assert isinstance(generator.fc, nn.Conv2d)
        assert generator.start_grid is None
        assert not generator.instance_edges
        assert generator.conv_img.in_channels == stages[-1].block.conv_1.out_channels
        if not isinstance(generator, StyledSpadeGenerator):
            normal = torch.randn(3, generator.style_dim)
            assert torch.equal(generator.code_from_normal(normal), normal)


def test_one_pixel_is_its_own_instance() -> None:
    """The smallest picture starts from a single cell, which torch's own instance norm refuses."""
    assert torch.equal(InstanceNorm(3)(torch.randn(2, 3, 1, 1)), torch.zeros(2, 3, 1, 1))
    picture = SpadeGenerator(3, 2, hidden=2, statistics="instance").eval()(blobs(32, 32, 3))
    assert picture.isfinite().all()


def test_a_generator_says_what_does_not_fit() -> None:
    plain = SpadeGenerator(3, 2, hidden=2)
    labels = blobs(32, 32, 3)
    for call, word in (
        (lambda: plain(blobs(32, 40, 3)), "multiples of 32"),
        (lambda: plain(labels, instance_edges(labels)), "no channel"),
        (lambda: plain(labels, style=torch.zeros(2, 4)), "4 values"),
        (lambda: OasisGenerator(3, 2, hidden=2, style_dim=4)(labels, torch.zeros(2, 5)), "5 values"),
        (lambda: OasisGenerator(3, 2, hidden=2, style_dim=4)(labels, torch.zeros(2, 4, 8, 8)), "the map has"),
        (lambda: SpadeGenerator(3, 2, style_dim=4), "come together"),
        (lambda: SpadeGenerator(3, 3, upsampling="most"), "halves"),
    ):
        with pytest.raises(ValueError, match=word):
            call()
