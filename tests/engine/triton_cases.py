"""What `test_cuda` runs in a process of its own: the Triton kernels in Triton's interpreter, on CPU tensors,
or through Triton's compiler, which needs no GPU either."""

from __future__ import annotations

import importlib
import itertools
import sys
from typing import Any

import torch
from torch import Tensor

from engine.backend import Modulation
from engine.cuda import PlainPasses

CPU = torch.device("cpu")
SIZES = [(1, 1), (1, 7), (5, 3), (8, 8), (13, 11)]
CHANNELS = [1, 3, 24, 64, 130]
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
STYLES = ["none", "one", "several"]
# Compute capability, and the type that it would paint in.
TARGETS = [(75, "fp16"), (80, "bf16"), (90, "bf16"), (90, "fp32")]


def kernels() -> Any:
    """`engine.triton_kernels`, which not everyone who imports this can import."""
    return importlib.import_module("engine.triton_kernels")


def half(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def some_modulation(
    batch: int, size: tuple[int, int], channels: int, dtype: torch.dtype, *, alone: bool, style: str
) -> Modulation:
    """With noise and one style for each image or several, or without both; statistics and noise of each image
    alone or shared."""
    own = batch if alone else 1
    noises = 1 + channels % 8
    full, blended = style != "none", style == "several"
    return Modulation(
        torch.randint(0, 17, (batch, *size), dtype=torch.int32),
        torch.randn(17, 2 * channels).to(dtype),
        torch.randn(own, 2, channels),
        torch.randn(11 if blended else batch, 2, channels) if full else None,
        torch.randn(own, *size, noises) if full else None,
        torch.randn(channels, noises) if full else None,
        torch.randint(0, 11, (batch, *size), dtype=torch.int32) if blended else None,
    )


def close(one: Tensor, other: Tensor) -> None:
    """Equal but for the order of a sum and one rounding (the interpreter cuts bfloat16 off, GPUs round)."""
    error = 2e-5 if one.dtype == torch.float32 else 2 * torch.finfo(one.dtype).eps
    torch.testing.assert_close(one, other, rtol=error, atol=error)


def modulate(dtype: torch.dtype, size: tuple[int, int], channels: int, number: int) -> None:
    doubled, activate, alone = (bool(number & bit) for bit in (1, 2, 4))
    batch = 1 + number % 3
    modulation = some_modulation(batch, size, channels, dtype, alone=alone, style=STYLES[number // 8])
    x = torch.randn(batch, *(half(size) if doubled else size), channels).to(dtype)
    expected, out = (torch.empty(batch, *size, channels, dtype=dtype) for _ in range(2))
    PlainPasses(CPU, dtype).modulate(x, modulation, doubled=doubled, activate=activate, out=expected)
    kernels().modulate(x, modulation, doubled=doubled, activate=activate, out=out)
    close(out, expected)
    if not doubled:
        kernels().modulate(x, modulation, doubled=False, activate=activate, out=x)
        assert torch.equal(x, out), "in place"


def finish(dtype: torch.dtype, size: tuple[int, int], channels: int, number: int) -> None:
    biased, added, doubled = bool(number & 1), bool(number & 2), number & 6 == 6
    y, bias = torch.randn(*size, channels).to(dtype), torch.randn(channels) if biased else None
    add = torch.randn(*(half(size) if doubled else size), channels).to(dtype) if added else None
    expected, out = torch.empty_like(y), torch.empty_like(y)
    PlainPasses(CPU, dtype).finish(y, bias, add, doubled=doubled, out=expected)
    kernels().finish(y, bias, add, doubled=doubled, out=out)
    close(out, expected)
    if add is not None and not doubled:
        kernels().finish(y, bias, add, doubled=False, out=add)
        assert torch.equal(add, out), "into what is added"


def interpret() -> None:
    """Every combination of flags, sizes and channels by turns."""
    torch.manual_seed(0)
    sizes, channels = itertools.cycle(SIZES), itertools.cycle(CHANNELS)
    for dtype in DTYPES:
        for number in range(8 * len(STYLES)):
            modulate(dtype, next(sizes), next(channels), number)
            next(channels)
        for number in range(8):
            finish(dtype, next(sizes), next(channels), number)
    strips()


def strips() -> None:
    """Rows of a larger picture, as the engine hands them over where there are no tables."""
    x, out = torch.randn(1, 6, 5, 8), torch.zeros(1, 6, 5, 8)
    modulation = some_modulation(1, (2, 5), 8, torch.float32, alone=True, style="none")
    kernels().modulate(x[:, 2:4], modulation, doubled=False, activate=True, out=out[:, 2:4])
    expected = torch.empty(1, 2, 5, 8)
    PlainPasses(CPU, torch.float32).modulate(
        x[:, 2:4], modulation, doubled=False, activate=True, out=expected
    )
    close(out[:, 2:4], expected)
    assert not out[:, :2].any()
    assert not out[:, 4:].any()


def compile_all() -> None:
    """Machine code for several GPUs: what a name or a type that Triton does not take would stop."""
    import triton  # noqa: PLC0415 – this script is for processes that have it
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415
    from triton.compiler import ASTSource  # noqa: PLC0415

    def compile_one(kernel: object, capability: int, kind: str, constants: dict[str, object]) -> None:
        pointers = {"x": kind, "out": kind, "table": kind, "y": kind, "add": kind, "index": "i32"}
        pointers["blend"] = "i32"
        pointers |= dict.fromkeys(("pre", "post", "noise", "strength", "bias"), "fp32")
        names: list[str] = kernel.arg_names  # type: ignore[attr-defined]
        signature = {
            name: "constexpr" if name in constants else f"*{pointers[name]}" if name in pointers else "i32"
            for name in names
        }
        places = {(names.index(name),): value for name, value in constants.items()}
        source = ASTSource(kernel, signature, places)
        compiled = triton.compile(
            source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": True}
        )
        assert compiled.asm["cubin"]

    for capability, kind in TARGETS:
        tile = {"PIXELS": 32, "CHANNELS": 64}
        for style in STYLES:
            full, blended = style != "none", style == "several"
            nothing = {} if full else {"post": None, "noise": None, "strength": None}
            nothing |= {} if blended else {"blend": None}
            flags = {
                "NOISES": 2 * full,
                "STYLED": full,
                "DOUBLED": full,
                "ACTIVATE": full,
                "BLENDED": blended,
            }
            compile_one(kernels()._modulate, capability, kind, {**nothing, **flags, **tile})
        for full in (False, True):
            nothing = {} if full else {"bias": None, "add": None}
            flags = {"BIASED": full, "ADDED": full, "DOUBLED": full}
            compile_one(kernels()._finish, capability, kind, {**nothing, **flags, **tile})
    single = {
        "NOISES": 1,
        "STYLED": True,
        "BLENDED": False,
        "blend": None,
        "DOUBLED": True,
        "ACTIVATE": True,
        "PIXELS": 2048,
        "CHANNELS": 1,
    }
    compile_one(kernels()._modulate, 90, "bf16", {"channels": 1, "width": 1, **single})


if __name__ == "__main__":
    {"interpret": interpret, "compile": compile_all}[sys.argv[1]]()
