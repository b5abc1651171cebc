"""Segmenters: sizes in and out, what FCN-8s adds up, and their checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import interpolate

from models.checkpoint import (
    SPEC_KEY,
    CheckpointError,
    load,
    load_segmenter,
    parameter_count,
    read_spec,
    save,
    save_segmenter,
    segmenter_spec,
)
from models.labels import load_label_set
from models.pix2pix import Pix2PixGenerator
from models.segmenter import FCN, Segmenter, UNet
from models.spec import ModelSpec
from tests.tiny import tiny_spec, write_tiny_model

LABELS = load_label_set("landscape17")


def unet() -> UNet:
    torch.manual_seed(0)
    return UNet(17, [4, 8, 8]).eval()


def fcn() -> FCN:
    torch.manual_seed(0)
    return FCN(17, [4, 4, 8, 8, 8], [1, 1, 2, 1, 1], 12).eval()


BUILDERS = {"unet-segmenter": unet, "fcn-segmenter": fcn}


def spec_of(network: Segmenter, model_id: str = "judge") -> ModelSpec:
    return segmenter_spec(
        network,
        LABELS,
        model_id=model_id,
        name="Judge",
        native_size=64,
        licence="Apache-2.0",
        provenance={"data": "none: weights from a seed"},
    )


def written(folder: Path, network: Segmenter, dtype: torch.dtype = torch.float16) -> Path:
    path = folder / "judge.safetensors"
    save_segmenter(path, spec_of(network), network, dtype)
    return path


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (65, 47), (200, 33)])
def test_scores_stand_at_half_the_size(kind: str, height: int, width: int) -> None:
    network = BUILDERS[kind]()
    picture = torch.randn(2, 3, height, width)
    scores, stages = network.features(picture)
    assert scores.shape == (2, 17, height // 2, width // 2)
    assert stages[0].shape[-2:] == (height // 2, width // 2)
    torch.testing.assert_close(network(picture), scores, rtol=0, atol=0)


def test_fcn_adds_the_scores_of_three_stages() -> None:
    """Long et al. 2015, fig. 3: ((stage 5 doubled + stage 4) doubled + stage 3), then enlarged."""
    network = fcn()
    scores, stages = network.features(torch.randn(1, 3, 64, 96))
    sizes = [tuple(stage.shape[-2:]) for stage in stages]
    assert sizes == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3), (2, 3)]

    def doubled(x: torch.Tensor, times: int = 2) -> torch.Tensor:
        return interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)

    first, fourth, third = (
        torch.einsum("bchw,oc->bohw", stage, layer.weight[:, :, 0, 0]) + layer.bias.view(1, -1, 1, 1)
        for stage, layer in (
            (stages[5], network.score),
            (stages[3], network.score_4),
            (stages[2], network.score_3),
        )
    )
    expected = doubled(doubled(doubled(first) + fourth) + third, 4)
    torch.testing.assert_close(scores, expected)


def test_an_fcn_has_five_stages() -> None:
    with pytest.raises(ValueError, match="expected 5"):
        FCN(17, [4, 4, 8, 8], [1, 1, 1, 1, 1], 8)


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_segmenter_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    network = BUILDERS[kind]()
    path = written(tmp_path, network, torch.float32)
    loaded = load_segmenter(path)
    assert loaded.spec == spec_of(network) == read_spec(path)
    assert loaded.spec.architecture == kind
    assert loaded.network.stride == loaded.spec.stride
    assert not loaded.network.training
    picture = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(loaded.network(picture), network(picture), rtol=0, atol=0)
    assert parameter_count(path) == sum(value.numel() for value in network.state_dict().values())


def test_convolutions_are_halved(tmp_path: Path) -> None:
    path = written(tmp_path, fcn())
    halved = {name for name, value in load_file(path).items() if value.dtype == torch.float16}
    assert "segmenter.score.weight" in halved
    assert all(name.endswith(".weight") and load_file(path)[name].ndim == 4 for name in halved)
    picture = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(load_segmenter(path).network(picture), fcn()(picture), atol=0.02, rtol=0.02)


def test_painters_and_segmenters_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"a segmenter \(unet-segmenter\)") as caught:
        load(written(tmp_path, unet()))
    assert "to paint" in caught.value.next
    with pytest.raises(CheckpointError, match=r"paints \(styled-spade\), no segmenter"):
        load_segmenter(write_tiny_model(tmp_path))


def rewritten(path: Path, **changes: Any) -> Path:
    """The file with other entries in its spec."""
    document = json.loads(read_spec(path).to_json()) | changes
    save_file(load_file(path), path, metadata={SPEC_KEY: json.dumps(document)})
    return path


FCN_OPTIONS: dict[str, Any] = {"widths": [4, 4, 8, 8, 8], "layers": [1, 1, 2, 1, 1], "top": 12}


@pytest.mark.parametrize(
    ("kind", "changes", "word"),
    [
        ("unet-segmenter", {"options": {}}, "widths"),
        ("unet-segmenter", {"options": {"widths": [4, 8, 10**9]}}, "widths"),
        ("unet-segmenter", {"options": {"widths": [4096] * 9}, "stride": 512}, "tensor"),
        ("unet-segmenter", {"stride": 4}, "stride"),
        ("unet-segmenter", {"style_dim": 8}, "style_dim"),
        ("unet-segmenter", {"architecture": "fcn-segmenter"}, "layers"),
        ("fcn-segmenter", {"options": FCN_OPTIONS | {"layers": [1, 1, 1, 1]}}, "expected 5"),
        ("fcn-segmenter", {"options": FCN_OPTIONS | {"layers": [10**6] * 5}}, "layers"),
        ("fcn-segmenter", {"options": FCN_OPTIONS | {"top": 0}}, "top"),
        ("fcn-segmenter", {"options": FCN_OPTIONS | {"top": 4096, "widths": [4096] * 5}}, "tensor"),
        ("fcn-segmenter", {"architecture": "unet-segmenter"}, "tensor"),
    ],
)
def test_a_wrong_spec_is_a_clear_error(tmp_path: Path, kind: str, changes: dict[str, Any], word: str) -> None:
    path = rewritten(written(tmp_path, BUILDERS[kind]()), **changes)
    with pytest.raises(CheckpointError, match=word):
        load_segmenter(path)


def pix2pix_file(folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / "baseline.safetensors"
    spec = replace(
        tiny_spec("baseline"),
        architecture="pix2pix",
        stride=8,
        style_dim=0,
        options={"width": 4, "depth": 3},
    )
    save(path, spec, Pix2PixGenerator(17, 4, 3), None)
    return path


def test_a_pix2pix_model_comes_back_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = Pix2PixGenerator(17, 4, 3).eval()
    model = load(pix2pix_file(tmp_path))
    assert isinstance(model.generator, Pix2PixGenerator)
    assert model.encoder is None
    assert (model.generator.stride, model.generator.style_dim) == (8, 0)
    labels = torch.randint(0, 17, (1, 16, 24))
    torch.testing.assert_close(model.generator(labels), generator(labels), atol=2e-3, rtol=2e-3)
    halved = {
        name
        for name, value in load_file(tmp_path / "baseline.safetensors").items()
        if value.dtype == torch.float16
    }
    assert {"generator.down.0.0.weight", "generator.up.0.0.weight", "generator.conv_img.weight"} <= halved


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"options": {"width": 4}}, "depth"),
        ({"options": {"width": 4, "depth": 10}}, "depth"),
        ({"options": {"width": 10**6, "depth": 3}}, "width"),
        ({"options": {"width": 1024, "depth": 9}, "stride": 512}, "tensor"),
        ({"stride": 16}, "stride"),
        ({"style_dim": 8}, "style_dim"),
    ],
)
def test_a_wrong_pix2pix_spec_is_a_clear_error(tmp_path: Path, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(CheckpointError, match=word):
        load(rewritten(pix2pix_file(tmp_path), **changes))
