"""The built-in generator's training forward by label patterns.

γ and β of a SPADE norm read only the labels in a 5×5 window, so they are computed once for each distinct
window of a batch (`engine.patterns`) and looked up for each pixel; on the way back a window's gradients are
summed over its pixels. What remains of a norm (noise, batch statistics, modulation, style, LeakyReLU) is one
operation, `StyledNorm`, whose C++ kernels (styled_norm.cpp) keep nothing but its input and its output.

It computes what `StyledSpadeGenerator.forward` does, up to rounding. benchmarks/training.py measures both.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.native.build import load
from engine.patterns import OUTSIDE, REACH, Vocabulary
from models.generator import StyledSpadeGenerator
from models.spade import LEAK, StyledSpadeBlock, StyledSpadeNorm, StyleField, one_hot, resize_labels
from training.distributed import global_sum, world

SOURCE = Path(__file__).with_name("styled_norm.cpp")
Forward = Callable[[Tensor, StyleField, Sequence[Tensor]], Tensor]


def fastest(generator: StyledSpadeGenerator) -> tuple[Forward, str]:
    """The faster way to train a generator here: by patterns on a CPU with a compiler, else its own forward.

    Returns:
        Called as the generator is; and why it is not by patterns, or "".
    """
    device = next(generator.parameters()).device
    if device.type != "cpu":  # styled_norm.cpp is for CPUs
        return generator, f"plain forward on {device.type}"
    library, reason = load(SOURCE)
    if library is None:
        return generator, f"plain forward: {reason}"
    return PatternedSpade(generator), ""


@dataclass(frozen=True)
class Windows:
    """The distinct windows of a batch at one resolution.

    cells: int64 (P₃, 9), the cells of each 3×3 window, 0 outside the map, else class id + 1.
    nine: int64 (P₅, 9), the 3×3 windows in each 5×5 window; one that is centred outside has cells of 0.
    index: int32 (B, h, w), which 5×5 window each pixel has.
    """

    cells: Tensor
    nine: Tensor
    index: Tensor


def windows_of(labels: Tensor) -> Windows:
    """Number the windows of label maps, integer (B, h, w) on the CPU, in the order in which they occur."""
    cells = F.pad(labels.to(torch.int32) + 1, (REACH,) * 4, value=OUTSIDE).numpy()
    vocabulary = Vocabulary()
    # A vocabulary's numbers depend on its random hash; a sum over windows must not.
    index, five = _in_order(vocabulary.numbers(cells), vocabulary.count)
    nine, three = _in_order(vocabulary.nine_windows(five), vocabulary.count_of_3)
    return Windows(
        torch.from_numpy(vocabulary.nine_cells(three).astype(np.int64)),
        torch.from_numpy(nine.astype(np.int64)),
        torch.from_numpy(index),
    )


def _in_order(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers below `count`, int32, renamed 0, 1 … as they first occur; and each new one's old number."""
    flat = numbers.ravel()
    first = np.full(count, flat.size)
    first[flat[::-1]] = np.arange(flat.size)[::-1]
    old = np.argsort(first, kind="stable")[: int((first < flat.size).sum())].astype(np.int32)
    new = np.empty(count, np.int32)
    new[old] = np.arange(len(old), dtype=np.int32)
    return new[numbers], old


def table_of(norm: StyledSpadeNorm, windows: Windows) -> Tensor:
    """A norm's γ and β for each distinct window: (P₅, 2·C), differentiable in the norm's weights.

    The hidden layer of a one-hot map is a sum of nine rows of its weights, one for each cell of the window.
    """
    shared, head = norm.mlp_shared[0], norm.mlp_gamma_beta
    by_place = shared.weight.permute(2, 3, 1, 0).flatten(0, 1)  # (9, N, hidden)
    rows = F.pad(by_place, (0, 0, 1, 0)).flatten(0, 1)  # cell 0, outside, adds nothing
    places = torch.arange(9) * (by_place.shape[1] + 1)
    hidden = F.relu(F.embedding_bag(windows.cells + places, rows, mode="sum") + shared.bias)
    # A window that is centred outside is the zero padding of the second convolution.
    inside = (windows.cells[:, 4] != OUTSIDE).unsqueeze(1)
    hidden = torch.where(inside, hidden, 0)
    weight = head.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (9 · hidden, 2 · C)
    return F.embedding(windows.nine, hidden).flatten(1) @ weight + head.bias


class _Norm(ctypes.Structure):
    """`struct Norm` of styled_norm.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "height", "width", "channels")),
        *((name, ctypes.c_int32) for name in ("half", "threads", "noises", "noise_images", "styles")),
        ("leak", ctypes.c_float),
        *(
            (name, ctypes.c_void_p)
            for name in (
                *("x", "dy", "y", "dx", "noise", "strength", "mean", "scale", "table", "index", "style"),
                *("weights", "sums", "dtable", "dstyle", "dstrength", "dmean"),
            )
        ),
    )


class StyledNorm(torch.autograd.Function):
    """Noise, batch norm, modulation by a table, style and LeakyReLU; the formula stands in styled_norm.cpp.

    Batch statistics are those of all processes; running ones follow as torch's do.

    Args:
        x: (B, C, h, w), float32 or bfloat16.
        noise: (B or 1, J, h, w); strength: (C, J), how much of each field is added.
        table: (P, 2·C), γ then β; index: int32 (B, h, w), each pixel's row.
        style: (B, K, 2·C), scale then shift; weights: (B, K, h, w), or None for K = 1.
        norm: parameter-free, in training or evaluation mode.

    Returns:
        (B, C, h, w), x's type; gradients go to x, strength, table and style.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        noise: Tensor,
        strength: Tensor,
        table: Tensor,
        style: Tensor,
        index: Tensor,
        weights: Tensor | None,
        norm: nn.BatchNorm2d,
    ) -> Tensor:
        if not x.shape[-2:] == noise.shape[-2:] == index.shape[-2:]:  # the kernels would read beside them
            sizes = [tuple(value.shape[-2:]) for value in (x, noise, index)]
            raise ValueError(f"activation, noise and windows are of different sizes: {sizes}")
        x = x.contiguous(memory_format=torch.channels_last)
        strengths = strength.float().t().contiguous()
        table, style, noise = (value.float().contiguous() for value in (table, style, noise))
        tensors: dict[str, Tensor | None] = {"x": x, "noise": noise, "strength": strengths, "table": table}
        weights = None if weights is None else weights.float().contiguous()
        tensors |= {"index": index.contiguous(), "style": style, "weights": weights}
        mean, scale = _statistics(norm, tensors, x)
        y = torch.empty_like(x)
        tensors |= {"mean": mean, "scale": scale}
        _run("paint", **tensors, y=y)
        ctx.save_for_backward(*tensors.values())
        ctx.names = tuple(tensors)
        ctx.training = norm.training
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors = dict(zip(ctx.names, ctx.saved_tensors, strict=True))
        x, table, style, strength = (tensors[name] for name in ("x", "table", "style", "strength"))
        dy = gradients[0].to(x.dtype).contiguous(memory_format=torch.channels_last)
        sums = torch.zeros(2, x.shape[1], dtype=torch.float64)
        dtable = torch.zeros_like(table)
        dstyle, dstrength = (torch.zeros_like(one, dtype=torch.float64) for one in (style, strength))
        _run("gather", **tensors, dy=dy, sums=sums, dtable=dtable, dstyle=dstyle)
        count = x.numel() // x.shape[1] * world()[1]
        dmean = (global_sum(sums) / count if ctx.training else torch.zeros_like(sums)).float()
        dx = torch.empty_like(x)
        _run("back", **tensors, dy=dy, dmean=dmean, dx=dx, dstrength=dstrength)
        return dx, None, dstrength.t().float(), dtable, dstyle.float(), None, None, None


def _statistics(norm: nn.BatchNorm2d, tensors: dict[str, Tensor | None], x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and 1 / √(variance + ε) of x with its noise, float32 (C,) each; running statistics follow, as in
    torch's batch norm."""
    if not norm.training:
        return norm.running_mean, torch.rsqrt(norm.running_var + norm.eps)
    sums = torch.zeros(2, x.shape[1], dtype=torch.float64)
    _run("measure", **tensors, sums=sums)
    count = x.numel() // x.shape[1] * world()[1]
    mean, square = (global_sum(sums) / count).unbind()
    variance = (square - mean.square()).clamp(min=0)
    norm.num_batches_tracked += 1
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.float(), share)
    norm.running_var.lerp_((variance * count / max(count - 1, 1)).float(), share)
    return mean.float(), torch.rsqrt(variance + norm.eps).float()


def _run(operation: str, **tensors: Tensor | None) -> None:
    """One of styled_norm.cpp's operations on tensors named as the fields of `struct Norm`."""
    library, reason = load(SOURCE)
    x, noise, style = tensors["x"], tensors["noise"], tensors["style"]
    if library is None or x is None or noise is None or style is None:
        raise RuntimeError(f"training by label patterns: {reason}")
    images, channels, height, width = x.shape
    job = _Norm(
        images=images,
        channels=channels,
        height=height,
        width=width,
        half=x.dtype == torch.bfloat16,
        threads=torch.get_num_threads(),
        noises=noise.shape[1],
        noise_images=noise.shape[0],
        styles=style.shape[1],
        leak=LEAK,
        **{name: tensor.data_ptr() for name, tensor in tensors.items() if tensor is not None},
    )
    getattr(library, f"scenebrush_norm_{operation}")(ctypes.byref(job))


class PatternedSpade:
    """A generator's forward by label patterns: call it as the generator."""

    def __init__(self, generator: StyledSpadeGenerator) -> None:
        self.generator = generator

    def __call__(self, labels: Tensor, style: StyleField, noise: Sequence[Tensor]) -> Tensor:
        """As `StyledSpadeGenerator.forward`."""
        generator = self.generator
        style = StyleField(generator.style_map(style.codes), style.weights)
        grids = generator.grids(*labels.shape[-2:])
        x = generator.fc(one_hot(resize_labels(labels, *grids[0]), generator.label_channels))
        for level, (block, (h, w), field) in enumerate(zip(generator.blocks, grids, noise, strict=True)):
            windows = windows_of(resize_labels(labels, h, w))
            x = F.interpolate(x, scale_factor=2, mode="nearest") if level else x
            x = _block(block, x, windows, style, field)
        return torch.tanh(generator.conv_img(F.leaky_relu(x, LEAK)).float())


def _block(block: StyledSpadeBlock, x: Tensor, windows: Windows, style: StyleField, noise: Tensor) -> Tensor:
    y = block.conv_0(_activated(block.norm_0, x, windows, style, noise, block.noise_0))
    y = block.conv_1(_activated(block.norm_1, y, windows, style, noise, block.noise_1))
    return block.conv_s(x) + y


def _activated(
    norm: StyledSpadeNorm, x: Tensor, windows: Windows, style: StyleField, noise: Tensor, strength: Tensor
) -> Tensor:
    weights = style.weights
    weights = None if weights is None else F.adaptive_avg_pool2d(weights, x.shape[2:])
    affine, table = norm.style(style.codes), table_of(norm, windows)
    strength = strength.flatten(1)
    return StyledNorm.apply(x, noise, strength, table, affine, windows.index, weights, norm.param_free_norm)
