"""Small models of the published families, weights from a seed, statistics that fit them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import LoadedModel
from models.labels import Label, LabelSet
from models.published import OasisGenerator, SpadeGenerator
from models.spec import ModelSpec

CLASSES = 9


def label_set(count: int = CLASSES) -> LabelSet:
    return LabelSet("some", tuple(Label(i, f"label {i}", (i, 2 * i, 3 * i), "all") for i in range(count)))


def spade(seed: int = 0, width: int = 4, classes: int = CLASSES, **options: Any) -> LoadedModel:
    """A SPADE model of `SpadeGenerator`'s options."""
    torch.manual_seed(seed)
    generator = SpadeGenerator(classes, width, hidden=options.pop("hidden", 10), **options)
    return _loaded("spade", generator, classes)


def oasis(
    seed: int = 0, width: int = 4, classes: int = CLASSES, style_dim: int = 6, **options: Any
) -> LoadedModel:
    """An OASIS model of `OasisGenerator`'s options."""
    torch.manual_seed(seed)
    generator = OasisGenerator(
        classes, width, style_dim=style_dim, hidden=options.pop("hidden", 10), **options
    )
    return _loaded("oasis", generator, classes)


def _loaded(kind: str, generator: SpadeGenerator | OasisGenerator, classes: int) -> LoadedModel:
    generator.eval().requires_grad_(False)
    calibrate(generator, classes)
    spec = ModelSpec(
        kind, kind, kind, label_set(classes), 64, generator.stride, generator.style_dim, "Apache-2.0"
    )
    return LoadedModel(spec, generator, None)


def calibrate(generator: SpadeGenerator | OasisGenerator, classes: int, side: int = 4) -> None:
    """Give every batch norm the statistics of its input on a random map, so that its output has variance 1,
    and the last convolution weights that make a picture with contrast: errors can be seen then. (Few start
    cells are too few samples: the norms would blow up every other map.)"""

    def measure(norm: nn.Module, args: tuple[Tensor]) -> None:
        if (
            isinstance(norm, nn.BatchNorm2d)
            and norm.running_mean is not None
            and norm.running_var is not None
        ):
            norm.running_mean.copy_(args[0].mean((0, 2, 3)))
            norm.running_var.copy_(args[0].var((0, 2, 3)) + 1e-3)

    hooks = [
        module.register_forward_pre_hook(measure)
        for module in generator.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    height, width = (generator.stride * cells for cells in generator.start_grid or (side, side))
    images = 1 if generator.start_grid is None else 8
    labels = torch.stack(
        [random_labels(height, width, classes, seed) for seed in range(1, images + 1)]
    ).long()
    style = torch.randn(images, generator.style_dim) if generator.style_dim else None
    with torch.no_grad():
        if isinstance(generator, OasisGenerator):
            picture = generator(labels, style)
        else:
            picture = generator(labels, None, style)
        for hook in hooks:
            hook.remove()
        generator.conv_img.weight.mul_(0.5 / torch.atanh(picture.clamp(-0.999, 0.999)).std())


def random_labels(height: int, width: int, classes: int = CLASSES, seed: int = 0, cell: int = 8) -> Tensor:
    """A blocky random map, uint8 (height, width)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, classes, (height // cell + 1, width // cell + 1), generator=generator)
    return coarse.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[:height, :width].to(torch.uint8)


def plain(
    generator: SpadeGenerator | OasisGenerator,
    labels: Tensor,
    style: Tensor | None,
    edges: Tensor | None = None,
) -> Tensor:
    """The reference's picture, (1, 3, H, W)."""
    if isinstance(generator, OasisGenerator):
        if style is None:
            raise ValueError("OASIS needs a z")
        return generator(labels.long()[None], style)
    return generator(labels.long()[None], edges, style)
