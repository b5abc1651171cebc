"""Models of the built-in family and of pix2pix, small enough to paint in milliseconds, with weights from a
seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from models.checkpoint import save
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.labels import load_label_set
from models.pix2pix import Pix2PixGenerator
from models.spec import ModelSpec

STYLE_DIM = 8


def tiny_spec(model_id: str = "tiny") -> ModelSpec:
    return ModelSpec(
        id=model_id,
        name="Tiny",
        architecture="styled-spade",
        labels=load_label_set("landscape17"),
        native_size=32,
        stride=4,
        style_dim=STYLE_DIM,
        licence="Apache-2.0",
        provenance={"data": "none: weights from a seed"},
        options={"widths": [12, 8, 8], "hidden": 6, "noise_channels": 2, "encoder_widths": [4, 8]},
    )


def tiny_networks(seed: int = 0) -> tuple[StyledSpadeGenerator, StyleEncoder]:
    """Networks that fit `tiny_spec`, with lively colours, so that a wrong pixel shows."""
    torch.manual_seed(seed)
    generator = StyledSpadeGenerator(17, [12, 8, 8], 6, STYLE_DIM, 2)
    for parameter in generator.parameters():
        parameter.data.mul_(1.5)
    return generator.eval(), StyleEncoder([4, 8], STYLE_DIM).eval()


def write_tiny_model(folder: Path, model_id: str = "tiny", seed: int = 0) -> Path:
    """Write `{model_id}.safetensors` into a folder and return its path."""
    path = folder / f"{model_id}.safetensors"
    save(path, tiny_spec(model_id), *tiny_networks(seed))
    return path


def pix2pix_spec(model_id: str = "plain") -> ModelSpec:
    return replace(
        tiny_spec(model_id),
        name="Plain",
        architecture="pix2pix",
        stride=16,
        style_dim=0,
        options={"width": 4, "depth": 4},
    )


def write_tiny_pix2pix(folder: Path, model_id: str = "plain", seed: int = 0) -> Path:
    """Write a pix2pix model with statistics of its own and lively colours; returns its path."""
    torch.manual_seed(seed)
    generator = Pix2PixGenerator(17, 4, 4)
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            module.running_mean = torch.randn(module.num_features) * 0.2
            module.running_var = torch.rand(module.num_features) + 0.5
    path = folder / f"{model_id}.safetensors"
    save(path, pix2pix_spec(model_id), generator.eval(), None)
    return path
