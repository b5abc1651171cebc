"""Engines around models that no file holds: every family, on every CPU backend, and the picture before it is
rounded to bytes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from engine import Painter
from engine.backend import Backend
from engine.canvas import Canvas, LabelMap
from engine.model import Model, Style
from engine.modulation import TableCache
from engine.native import NativeBackend, supported
from engine.torch_backend import TorchBackend
from models.checkpoint import LoadedModel
from models.generator import StyledSpadeGenerator
from models.published import OasisGenerator
from models.spade import StyleField
from tests.engine import published
from tests.tiny import tiny_networks, tiny_spec

CPU = torch.device("cpu")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def styled() -> LoadedModel:
    """The built-in family."""
    generator, encoder = tiny_networks()
    return LoadedModel(tiny_spec(), generator.requires_grad_(False), encoder)


# One of every kind. Small: a picture takes milliseconds.
FAMILIES: dict[str, Callable[[], LoadedModel]] = {
    "normal": published.spade,
    "more": lambda: published.spade(upsampling="more"),
    "most": lambda: published.spade(upsampling="most", width=2),
    "vae": lambda: published.spade(style_dim=5, start_grid=(2, 3)),
    "instance statistics": lambda: published.spade(statistics="instance"),
    "edges": lambda: published.spade(instance_edges=True),
    "kernel 1": lambda: published.spade(kernel=1),
    "kernel 5": lambda: published.spade(kernel=5),
    "oasis": published.oasis,
    "oasis, instance statistics": lambda: published.oasis(statistics="instance"),
    "built-in": styled,
}


@cache
def family(name: str) -> LoadedModel:
    """Built once."""
    return FAMILIES[name]()


def backend_names(*precisions: str) -> list[str]:
    """The CPU backends there are, in these precisions: "torch fp32" …"""
    return [
        f"{kind} {precision}"
        for precision in precisions or PRECISIONS
        for kind in ("torch", "native")
        if kind == "torch" or supported(PRECISIONS[precision])[0]
    ]


@cache
def backend_of(name: str) -> Backend:
    kind, precision = name.split()
    dtype = PRECISIONS[precision]
    return NativeBackend(dtype) if kind == "native" else TorchBackend(CPU, dtype)


def engine_of(loaded: LoadedModel, backend: str, budget: int = 256 << 20) -> Model:
    """A model with tables of its own."""
    return Model(loaded, backend_of(backend), TableCache(budget))


def painter_of(model: Model, labels: LabelMap, seed: int = 3) -> Painter:
    """A new painter that has been given a map and a seed."""
    painter = Painter(model, labels.shape[1], labels.shape[0])
    painter.set_style(seed)
    painter.set_map(labels)
    return painter


def blocky(
    height: int, width: int, classes: int = published.CLASSES, seed: int = 0, cell: int = 8
) -> LabelMap:
    """A map of square regions."""
    return published.random_labels(height, width, classes, seed, cell).numpy()


def noise(height: int, width: int, classes: int = published.CLASSES, seed: int = 0) -> LabelMap:
    """The worst map: every pixel at random."""
    return blocky(height, width, classes, seed, cell=1)


def raw(model: Model, canvas: Canvas, style: Style) -> Tensor:
    """What the engine paints, before it becomes bytes: float32 (H, W, 3) in [−1, 1]."""
    seen: list[Tensor] = []
    last_convolution = model.trunk.picture

    def spy(x: Tensor) -> Tensor:
        values = last_convolution(x)
        seen.append(torch.tanh(values))
        return values

    model.trunk.picture = spy  # type: ignore[method-assign]
    try:
        model.paint(canvas, style)
    finally:
        del model.trunk.picture
    return seen[-1][0]


def raw_of(painter: Painter) -> Tensor:
    return raw(painter._model, painter._canvas, painter._style)


def plain(loaded: LoadedModel, labels: LabelMap, style: Style, edges: Tensor | None = None) -> Tensor:
    """The plain network's picture of a map, which it must be able to take as it is: float32 (H, W, 3).

    edges: bool (H, W), for models that read them; None takes the borders of labels.
    """
    ids = torch.from_numpy(labels).long()[None]
    generator = loaded.generator
    with torch.no_grad():
        if isinstance(generator, StyledSpadeGenerator):
            field = StyleField(style.code.view(1, 1, -1))
            picture = generator(ids, field, generator.noise(style.seed, *labels.shape))
        elif isinstance(generator, OasisGenerator):
            picture = generator(ids, (style.code if style.per_pixel is None else style.per_pixel)[None])
        else:
            code = style.code[None] if generator.style_dim else None
            picture = generator(ids, None if edges is None else edges[None], code)
    return picture[0].permute(1, 2, 0)


def decibels(picture: Tensor, reference: Tensor) -> float:
    """Peak signal-to-noise ratio of pictures in [−1, 1]."""
    return float(10 * torch.log10(4 / (picture - reference).square().mean()))
