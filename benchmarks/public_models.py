"""Models of the published sizes with weights from a seed, and the plain networks they are measured against.

Weights alone say nothing about speed, but an error shows only where a picture has contrast and depends on its
labels: `calibrate` sees to both.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from unittest.mock import patch

import torch
from torch import Tensor, nn

from models.checkpoint import LoadedModel
from models.generator import Generator, StyledSpadeGenerator
from models.labels import Label, LabelSet, load_label_set
from models.noise import style_from_seed
from models.published import OasisGenerator, SpadeGenerator
from models.spade import SpadeNorm, StyleField, instance_edges
from models.spec import ModelSpec

WIDTH = 64  # channels of the last block, as published
_MODULATION = 0.3  # standard deviation of γ and β
_CONTRAST = 0.75  # standard deviation of the picture before its tanh


def coco_spade(width: int = WIDTH) -> LoadedModel:
    """SPADE as published for COCO-Stuff: 184 input channels, instance edges, 97.5 M parameters at 64."""
    labels = _with_dont_care("coco182", at=182)
    torch.manual_seed(0)
    generator = SpadeGenerator(labels.channels, width, instance_edges=True)
    return _loaded("coco-spade", "spade", generator, labels)


def ade_oasis(width: int = WIDTH) -> LoadedModel:
    """OASIS as published for ADE20K: 151 classes behind a z of 64."""
    labels = _with_dont_care("ade150", at=0)
    torch.manual_seed(0)
    generator = OasisGenerator(labels.channels, width, style_dim=64)
    return _loaded("ade-oasis", "oasis", generator, labels)


def _with_dont_care(name: str, at: int) -> LabelSet:
    """A published set as its models read it: "don't care" is a class of its own, last (SPADE) or first."""
    base, shift = load_label_set(name), int(at == 0)
    labels = [Label(one.id + shift, one.name, one.color, one.group) for one in base.labels]
    return LabelSet(name, (*labels, Label(at, "don't care", (0, 0, 0), "other")), at)


def _loaded(
    id_: str, architecture: str, generator: SpadeGenerator | OasisGenerator, labels: LabelSet
) -> LoadedModel:
    generator.eval().requires_grad_(False)
    spec = ModelSpec(id_, id_, architecture, labels, 256, generator.stride, generator.style_dim, "Apache-2.0")
    return LoadedModel(spec, generator, None)


@torch.inference_mode()
def calibrate(generator: SpadeGenerator | OasisGenerator, labels: Tensor) -> None:
    """Make a network with random weights behave as a trained one on integer maps (B, H, W), each with a z.

    Every batch norm gets the statistics of its input, so that its output has variance 1; the hidden layers,
    γ, β and the start get a spread at which labels matter; the picture gets contrast.
    """
    if isinstance(generator, OasisGenerator):  # 64 numbers of z would drown the one of the label
        for norm in (module for module in generator.modules() if isinstance(module, SpadeNorm)):
            norm.mlp_shared[0].weight[:, generator.style_dim :] *= generator.style_dim**0.5
    spread: dict[nn.Module, float] = {generator.fc: 1, generator.conv_img: _CONTRAST}
    for norm in (module for module in generator.modules() if isinstance(module, SpadeNorm)):
        spread |= {norm.mlp_shared[0]: 1, norm.mlp_gamma: _MODULATION, norm.mlp_beta: _MODULATION}

    def measure(norm: nn.Module, args: tuple[Tensor]) -> None:
        norm.running_mean.copy_(args[0].mean((0, 2, 3)))
        norm.running_var.copy_(args[0].var((0, 2, 3)) + 1e-5)

    def rescale(conv: nn.Module, _: object, out: Tensor) -> Tensor:
        factor = spread[conv] / out.std().clamp_min(1e-6)
        conv.weight.mul_(factor)
        conv.bias.mul_(factor)
        return out * factor

    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    hooks += [conv.register_forward_hook(rescale) for conv in spread]
    if isinstance(generator, OasisGenerator):
        codes = [style_from_seed(seed, generator.style_dim) for seed in range(labels.shape[0])]
        generator(labels, torch.stack(codes))
    else:
        generator(labels)
    for hook in hooks:
        hook.remove()


def trunk_macs(generator: Generator, height: int, width: int) -> int:
    """Multiply-adds of the convolutions that do not read labels, as published, for an H×W picture."""
    total = 0
    for (block, _), (h, w) in zip(generator.stages, generator.grids(height, width), strict=True):
        convs = (block.conv_0, block.conv_1, getattr(block, "conv_s", None))
        total += sum(h * w * conv.weight.numel() for conv in convs if isinstance(conv, nn.Conv2d))
    return total + height * width * generator.conv_img.weight.numel()


def _forward(generator: Generator, labels: Tensor, code: Tensor, noise: list[Tensor]) -> Tensor:
    """Paint: integer labels (1, H, W), style code (D,) → (1, 3, H, W)."""
    if isinstance(generator, StyledSpadeGenerator):
        return generator(labels, StyleField(code.view(1, 1, -1)), noise)
    if isinstance(generator, OasisGenerator):
        return generator(labels, code.unsqueeze(0))
    edges = instance_edges(labels) if generator.instance_edges else None
    return generator(labels, edges, code.unsqueeze(0) if generator.style_dim else None)


class Plain:
    """A bare generator, painting as it stands in `models`.

    Args:
        generator: float32, on the CPU; left as it is.
        device, dtype: where and how to compute.
        channels_last: whether weights and activations lie channels-last, or planar, as published.
    """

    def __init__(
        self, generator: Generator, device: torch.device, dtype: torch.dtype, *, channels_last: bool
    ) -> None:
        self._device, self._dtype, self._planar = device, dtype, not channels_last
        if (device.type, dtype, channels_last) != ("cpu", torch.float32, False):
            layout = torch.channels_last if channels_last else torch.preserve_format
            generator = copy.deepcopy(generator).to(device, dtype, memory_format=layout)
        self.generator = generator
        self.precision = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]

    def painting(
        self, labels: Tensor, code: Tensor, seed: int = 0, cuda_fp32: str = "tf32"
    ) -> Callable[[], Tensor]:
        """A call that paints uint8 labels (H, W) in a style: float32 (H, W, 3) in [−1, 1], on the CPU. The
        noise field is made beforehand: the engine keeps it, too.

        cuda_fp32: "tf32", torch's default for planar fp32 convolutions on CUDA, or "ieee" for a reference.
        """
        noise: list[Tensor] = []
        if isinstance(self.generator, StyledSpadeGenerator):
            noise = [one.to(self._dtype) for one in self.generator.noise(seed, *labels.shape)]

        @torch.inference_mode()
        def paint() -> Tensor:
            with _published(self._device, cuda_fp32) if self._planar else nullcontext():
                ids = labels.to(self._device).long().unsqueeze(0)
                picture = _forward(self.generator, ids, code.to(self._device, self._dtype), noise)
                return picture[0].permute(1, 2, 0).float().cpu()

        return paint


def best_plain(
    generator: Generator, device: torch.device, half: torch.dtype | None, labels: Tensor, code: Tensor
) -> Plain:
    """The faster of half precision (where the hardware has it) and fp32, channels-last, measured here."""
    found: list[tuple[float, Plain]] = []
    for dtype in (torch.float32, half) if half is not None else (torch.float32,):
        plain = Plain(generator, device, dtype, channels_last=True)
        paint = plain.painting(labels, code)
        paint()
        start = time.perf_counter()
        paint()
        found.append((time.perf_counter() - start, plain))
    return min(found, key=lambda pair: pair[0])[1]


@contextmanager
def _published(device: torch.device, cuda_fp32: str) -> Iterator[None]:
    """Inside, one-hot maps lie plane by plane, as the published programs make them."""
    conv = torch.backends.cudnn.conv
    before = conv.fp32_precision if device.type == "cuda" else ""
    if before:
        conv.fp32_precision = cuda_fp32
    try:
        with (
            patch("models.published.one_hot", planar_one_hot),
            patch("models.generator.one_hot", planar_one_hot),
        ):
            yield
    finally:
        if before:
            conv.fp32_precision = before


def planar_one_hot(labels: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """`models.spade.one_hot` with contiguous planes: integer (B, H, W) → (B, channels, H, W)."""
    shape = labels.shape[0], channels, *labels.shape[1:]
    return torch.zeros(shape, dtype=dtype, device=labels.device).scatter_(1, labels.unsqueeze(1), 1)
