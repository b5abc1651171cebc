"""The trunk's operations on a CUDA device: cuDNN and cuBLAS for the products, one fused pass for the rest.

Equal bytes for equal requests, whoever else paints at the same moment: products run on one image at a time,
on aligned memory, so that a library that chooses by shape or by alignment always chooses the same way.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.backend import LEAK, Modulation, Packed
from engine.torch_backend import TorchBackend, finish

_ROWS = 1024  # rows of one matrix product: always as many, so that a row's sum is always formed the same way
_ALIGNMENT = 256  # bytes; the most that cuBLAS and cuDNN look at when they choose a kernel


class Passes(Protocol):
    """The element-wise work between products: by `engine.triton_kernels`, or by plain torch."""

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        """`Backend.modulate`."""
        ...

    def finish(
        self, y: Tensor, bias: Tensor | None, add: Tensor | None, *, doubled: bool, out: Tensor
    ) -> None:
        """out = y + bias + add, rounded once: y and out (h, w, C), add as large or half as large
        (`doubled`)."""
        ...


class PlainPasses:
    """The passes in plain torch, several kernels each."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._torch = TorchBackend(device, dtype)

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        self._torch.modulate(x, modulation, doubled=doubled, activate=activate, out=out)

    def finish(
        self, y: Tensor, bias: Tensor | None, add: Tensor | None, *, doubled: bool, out: Tensor
    ) -> None:
        finish(y, bias, add, doubled=doubled, out=out)


def passes_for(device: torch.device, dtype: torch.dtype) -> tuple[Passes, str]:
    """The fused kernels where they compile and compute what plain torch does; else plain torch, and why."""
    plain = PlainPasses(device, dtype)
    try:
        fused = cast("Passes", importlib.import_module("engine.triton_kernels"))
        _compare(fused, plain, device, dtype)
    except Exception as error:  # an import, a compiler or a driver, in any way
        why = " ".join(str(error).split())[:200]
        return plain, f"plain torch modulates, which is slower: {type(error).__name__}: {why}"
    return fused, ""


def _compare(fused: Passes, plain: Passes, device: torch.device, dtype: torch.dtype) -> None:
    """Raises ArithmeticError where the two differ on a small example of everything."""
    channels, size = 24, (5, 7)
    numbers = torch.arange(6 * 2 * channels, device=device, dtype=torch.float32)
    x = torch.sin(numbers[: 12 * channels]).to(dtype).view(1, 3, 4, channels)
    modulation = Modulation(
        (torch.arange(size[0] * size[1], device=device, dtype=torch.int32) % 6).view(1, *size),
        torch.cos(numbers).to(dtype).view(6, 2 * channels),
        torch.sin(numbers[: 2 * channels] + 1).view(1, 2, channels),
        torch.cos(numbers[: 2 * channels] + 2).view(1, 2, channels),
        torch.sin(numbers[: 2 * 35] + 3).view(1, *size, 2),
        torch.cos(numbers[: 2 * channels] + 4).view(channels, 2),
    )
    several = replace(
        modulation,
        post=torch.sin(numbers[: 6 * channels] + 5).view(3, 2, channels),
        blend=(modulation.index % 3).to(torch.int32),
    )
    results: list[Tensor] = []
    for passes in (fused, plain):
        modulated, blended = (torch.empty(1, *size, channels, device=device, dtype=dtype) for _ in range(2))
        passes.modulate(x, modulation, doubled=True, activate=True, out=modulated)
        passes.modulate(modulated, several, doubled=False, activate=False, out=blended)
        finished = torch.empty_like(modulated)
        passes.finish(blended[0], modulation.pre[0, 0], x[0], doubled=True, out=finished[0])
        results.append(finished.float())
    error = max(1e-5, 4 * torch.finfo(dtype).eps)
    if not torch.allclose(*results, rtol=error, atol=error):
        raise ArithmeticError("the compiled kernels compute something else than torch")


class CudaBackend:
    """Convolutions in channels-last by cuDNN, 1×1 ones and tables by cuBLAS.

    Args:
        passes: what does the element-wise work, see `passes_for`.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype, passes: Passes) -> None:
        self.device, self.dtype, self._passes = device, dtype, passes

    @property
    def name(self) -> str:
        return "CUDA (plain modulation)" if isinstance(self._passes, PlainPasses) else "CUDA"

    def pack(self, weight: Tensor, bias: Tensor | None, *, careful: bool = False) -> Packed:
        del careful  # cuDNN is left to choose, and chooses by shape
        fout, fin, kernel = weight.shape[:3]
        data = (
            weight.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last),
            None if bias is None or not bias.any() else bias.to(self.device, torch.float32),
        )
        return Packed(fin, fout, kernel, data)

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        self._passes.modulate(x, modulation, doubled=doubled, activate=activate, out=out)

    def convolve(
        self,
        x: Tensor,
        weights: Packed,
        *,
        out: Tensor,
        add: Tensor | None = None,
        add_doubled: bool = False,
        leak: bool = False,
    ) -> None:
        weight, bias = cast("tuple[Tensor, Tensor | None]", weights.data)
        if out.dtype != self.dtype:  # the picture itself: few outputs, and no reason to round them to half
            weight = weight.to(out.dtype)
        for image in range(x.shape[0]):
            part = x[image].to(out.dtype)
            part = _aligned(F.leaky_relu(part, LEAK) if leak else part)
            if weights.kernel == 1 and bias is None and add is None and _is_aligned(out[image]):
                torch.mm(part.flatten(0, 1), weight.flatten(1).T, out=out[image].flatten(0, 1))
                continue
            y = _product(part, weight)
            other = None if add is None else add[image]
            self._passes.finish(y, bias, other, doubled=add_doubled, out=out[image])

    def pack_places(self, weight: Tensor, bias: Tensor) -> Packed:
        fout, fin, kernel = weight.shape[:3]
        in_a_row = weight.permute(0, 2, 3, 1).reshape(fout, -1).to(self.device, self.dtype)
        return Packed(fin, fout, kernel, (in_a_row, bias.to(self.device, torch.float32)))

    def tabulate(self, inputs: Tensor, windows: Tensor, weights: Packed, *, out: Tensor) -> None:
        weight, bias = cast("tuple[Tensor, Tensor]", weights.data)
        for first in range(0, windows.shape[0], _ROWS):
            part = inputs[windows[first : first + _ROWS]].flatten(1)
            short = _ROWS - part.shape[0]
            product = torch.mm(F.pad(part, (0, 0, 0, short)) if short else part, weight.T)
            rows, whole = out[first : first + _ROWS].unsqueeze(0), product[: part.shape[0]].unsqueeze(0)
            self._passes.finish(whole, bias, None, doubled=False, out=rows)  # rows as pixels of one line


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """A convolution of one image without its bias: (h, w, I) → (h, w, O)."""
    if weight.shape[2] == 1:
        return torch.mm(x.flatten(0, 1), weight.flatten(1).T).view(*x.shape[:2], -1)
    planes = x.unsqueeze(0).permute(0, 3, 1, 2)  # channels-last as it stands
    y = F.conv2d(planes, weight, padding=weight.shape[2] // 2)
    return y.permute(0, 2, 3, 1)[0].contiguous()


def _is_aligned(x: Tensor) -> bool:
    return x.data_ptr() % _ALIGNMENT == 0


def _aligned(x: Tensor) -> Tensor:
    """The same, on memory as aligned as the allocator's own."""
    return x if _is_aligned(x) else x.clone()
