"""The engine's picture is the plain network's: every family, every backend, with tables and without."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from engine import modulation
from engine.canvas import LabelMap
from engine.model import Style
from models.checkpoint import LoadedModel
from models.spade import instance_edges
from tests.engine import published
from tests.engine.painting import (
    FAMILIES,
    PRECISIONS,
    backend_names,
    blocky,
    decibels,
    engine_of,
    family,
    noise,
    painter_of,
    plain,
    raw,
    raw_of,
)

EXACT = 1e-4  # largest difference in [−1, 1], fp32; measured: 5e-5
HALF = 40.0  # dB, bf16; measured: 41 and more

any_backend = pytest.mark.parametrize("backend", backend_names())
exact_backend = pytest.mark.parametrize("backend", backend_names("fp32"))


def close(picture: Tensor, reference: Tensor, precision: str = "fp32") -> None:
    if precision == "fp32":
        assert (picture - reference).abs().max() <= EXACT
    else:
        assert decibels(picture, reference) >= HALF


def some_map(loaded: LoadedModel, kind: str, seed: int = 0) -> LabelMap:
    """A map of about 2 × 3 start cells, or of the only size there is."""
    generator = loaded.generator
    cells = generator.start_grid or ((1, 2) if generator.stride > 32 else (2, 3))
    height, width = (generator.stride * side for side in cells)
    draw = noise if kind == "noise" else blocky
    return draw(height, width, generator.label_channels, seed)


def without_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every map takes the plain path."""
    monkeypatch.setattr(modulation, "FEW_WINDOWS", 0)
    monkeypatch.setattr(modulation, "LARGEST_TABLE", 0)


@any_backend
@pytest.mark.parametrize("kind", ["blocky", "noise", "plain path"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(monkeypatch: pytest.MonkeyPatch, name: str, kind: str, backend: str) -> None:
    if kind == "plain path":
        without_tables(monkeypatch)
    loaded = family(name)
    painter = painter_of(engine_of(loaded, backend), some_map(loaded, kind))
    reference = plain(loaded, painter.labels, painter._style)
    assert reference.std() > 0.1, "an error could not be seen"
    close(raw_of(painter), reference, backend.split()[1])


@st.composite
def spades(draw: st.DrawFn) -> dict[str, Any]:
    """SPADE models of all options."""
    upsampling = draw(st.sampled_from(["normal", "normal", "more", "most"]))
    options: dict[str, Any] = {
        "seed": draw(st.integers(0, 99)),
        "width": 2 if upsampling == "most" else draw(st.integers(1, 6)),
        "classes": draw(st.integers(2, 12)),
        "upsampling": upsampling,
        "instance_edges": draw(st.booleans()),
        "statistics": draw(st.sampled_from(["batch", "instance"])),
        "kernel": draw(st.sampled_from([1, 3, 3, 3, 5])),
        "hidden": draw(st.integers(1, 40)),
    }
    if draw(st.booleans()):
        options |= {"style_dim": draw(st.integers(1, 9)), "start_grid": (draw(st.integers(1, 2)), 2)}
    return options


oases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 99),
        "width": st.integers(1, 6),
        "classes": st.integers(2, 12),
        "style_dim": st.integers(1, 9),
        "hidden": st.integers(1, 40),
        "kernel": st.sampled_from([1, 3, 3, 5]),
        "statistics": st.sampled_from(["batch", "instance"]),
    }
)


@exact_backend
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    options=st.one_of(spades(), oases),
    sides=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    cell=st.sampled_from([1, 3, 8, 30]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_architecture_size_and_map(
    backend: str, options: dict[str, Any], sides: tuple[float, float], cell: int, seed: int
) -> None:
    loaded = published.spade(**options) if "upsampling" in options else published.oasis(**options)
    generator = loaded.generator
    most = generator.start_grid or ((1, 2) if generator.stride > 32 else (3, 3))
    height, width = (
        1 + int(part * (cells * generator.stride - 1)) for part, cells in zip(sides, most, strict=True)
    )
    labels = blocky(height, width, generator.label_channels, seed, cell)
    painter = painter_of(engine_of(loaded, backend), labels, seed)
    padded = painter._canvas.padded
    extended = np.pad(labels, ((0, padded[0] - height), (0, padded[1] - width)), mode="edge")
    picture, reference = raw_of(painter), plain(loaded, extended, painter._style)
    if (picture - reference).abs().max() > EXACT:
        # Instance norm of pixels that are nearly alike magnifies every rounding, the plain network's too:
        # then the engine must be about as near to the truth.
        precise = LoadedModel(loaded.spec, deepcopy(loaded.generator).double(), None)
        truth = plain(precise, extended, painter._style)
        assert (picture - truth).abs().max() <= 10 * (reference - truth).abs().max()


# What stands beside the labels


@any_backend
@pytest.mark.parametrize("path", ["tables", "plain path"])
def test_instances_make_edges(monkeypatch: pytest.MonkeyPatch, backend: str, path: str) -> None:
    if path == "plain path":
        without_tables(monkeypatch)
    loaded = family("edges")
    labels = blocky(50, 70)
    instances = np.random.default_rng(0).integers(0, 3, (7, 9), dtype=np.uint16).repeat(8, 0).repeat(8, 1)
    instances = instances[:50, :70] * 1000
    painter = painter_of(engine_of(loaded, backend), labels)
    own = raw_of(painter)
    around = ((0, 64 - 50), (0, 96 - 70))
    extended = np.pad(labels, around, mode="edge")
    precision = backend.split()[1]
    close(own, plain(loaded, extended, painter._style), precision)
    painter.set_instances(instances)
    ids = torch.from_numpy(np.pad(instances, around, mode="edge").astype(np.int32))
    given_edges = plain(loaded, extended, painter._style, instance_edges(ids[None])[0])
    close(raw_of(painter), given_edges, precision)
    assert (given_edges - own).abs().max() > 0.1, "the edges have no say"
    painter.set_instances(None)
    assert torch.equal(raw_of(painter), own)


@any_backend
@pytest.mark.parametrize("path", ["tables", "plain path"])
@pytest.mark.parametrize("name", ["oasis", "oasis, instance statistics"])
def test_a_z_for_each_region_or_each_pixel(
    monkeypatch: pytest.MonkeyPatch, name: str, backend: str, path: str
) -> None:
    if path == "plain path":
        without_tables(monkeypatch)
    loaded = family(name)
    model = engine_of(loaded, backend)
    height, width = 64, 96
    labels = blocky(height, width)
    which = torch.from_numpy(blocky(height, width, 3, seed=5, cell=20)).int()
    torch.manual_seed(0)
    codes = torch.randn(3, model.spec.style_dim)
    per_pixel = codes[which.long()].permute(2, 0, 1).contiguous()
    reference = plain(loaded, labels, Style(codes[0], per_pixel=per_pixel))
    canvas = model.canvas(width, height)
    canvas.put(0, 0, labels)
    precision = backend.split()[1]
    close(raw(model, canvas, Style(codes[0], per_pixel=per_pixel)), reference, precision)
    canvas.put_styles(0, 0, which.numpy().astype(np.uint8))
    regions = Style(codes[0], regions=tuple(codes[1:]))
    close(raw(model, canvas, regions), reference, precision)
    close(raw(model, canvas, Style(codes[0], per_pixel=per_pixel)), reference, precision)
    noisy = torch.randn(model.spec.style_dim, height, width)
    canvas.put_styles(0, 0, np.zeros((height, width), np.uint8))
    close(
        raw(model, canvas, Style(codes[0], per_pixel=noisy)),
        plain(loaded, labels, Style(codes[0], per_pixel=noisy)),
        precision,
    )
    close(raw(model, canvas, Style(codes[1])), plain(loaded, labels, Style(codes[1])), precision)


@exact_backend
def test_wide_tables_and_many_strips(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """Tables filled in several chunks, and a plain path of many strips, give what one of each gives."""
    loaded = family("normal")
    labels = noise(96, 64)
    reference = plain(loaded, labels, Style(torch.zeros(0)))
    whole = raw_of(painter_of(engine_of(loaded, backend), labels))
    close(whole, reference)
    monkeypatch.setattr(modulation, "_MOST_INPUTS", 60)
    assert torch.equal(raw_of(painter_of(engine_of(loaded, backend), labels)), whole)
    without_tables(monkeypatch)
    one_strip = raw_of(painter_of(engine_of(loaded, backend), labels))
    monkeypatch.setattr(modulation, "_STRIP", 1)
    many_strips = raw_of(painter_of(engine_of(loaded, backend), labels))
    close(one_strip, reference)
    close(many_strips, reference)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bytes_are_rounded_to_the_nearest(precision: str) -> None:
    painter = painter_of(engine_of(family("normal"), f"torch {precision}"), blocky(64, 64))
    values = (raw_of(painter).double() + 1) * 127.5
    assert np.abs(painter.render() - values.numpy()).max() <= 0.5 + 1e-4


def test_models_stay_as_they_are() -> None:
    """The reference is not changed by being made fast."""
    loaded = published.spade()
    before = {name: value.clone() for name, value in loaded.generator.state_dict().items()}
    for backend in backend_names():
        painter_of(engine_of(loaded, backend), blocky(32, 32)).render()
    assert all(torch.equal(value, before[name]) for name, value in loaded.generator.state_dict().items())
