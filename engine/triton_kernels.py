# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
# pyright: reportMissingImports=false
# ruff: noqa: N803
# Triton's language is not typed, a pointer and a number are the same thing to a checker; its constants are in
# capitals by custom.
"""The element-wise passes of the trunk as Triton kernels: each reads its tensors once and writes once.

Imported only where CUDA paints: importing Triton takes a while and needs it installed.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from engine.backend import LEAK, Modulation

_LEAK = tl.constexpr(LEAK)
_TILE = 2048  # elements of one program: 16 for each of its 128 threads
_CHANNELS = 128  # most channels of a tile


def modulate(x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor) -> None:
    """`Backend.modulate` in one pass, all arithmetic in float32."""
    batch, height, width, channels = out.shape
    pixels, noise, strength = height * width, modulation.noise, modulation.strength
    noises = strength.shape[1] if noise is not None and strength is not None else 0
    tile_pixels, tile_channels = _tile(channels)
    grid = (triton.cdiv(pixels, tile_pixels), triton.cdiv(channels, tile_channels), batch)
    blend = modulation.blend
    with torch.cuda.device_of(x):
        _modulate[grid](
            x,
            out,
            modulation.index,
            blend,
            modulation.table,
            modulation.pre,
            modulation.post,
            noise if noises else None,
            strength if noises else None,
            x.stride(0),
            out.stride(0),
            modulation.index.stride(0),
            blend.stride(0) if blend is not None else 0,
            modulation.pre.stride(0) if modulation.pre.shape[0] > 1 else 0,
            noise.stride(0) if noise is not None and noise.shape[0] > 1 else 0,
            pixels,
            width,
            x.shape[2],
            channels,
            NOISES=noises,
            STYLED=modulation.post is not None,
            BLENDED=blend is not None,
            DOUBLED=doubled,
            ACTIVATE=activate,
            PIXELS=tile_pixels,
            CHANNELS=tile_channels,
            enable_fp_fusion=True,
        )


def finish(y: Tensor, bias: Tensor | None, add: Tensor | None, *, doubled: bool, out: Tensor) -> None:
    """out = y + bias + add, in float32, rounded once.

    Args:
        y, out: (h, w, C), contiguous. bias: float32 (C,).
        add: (h, w, C), which may be `out`, or with `doubled` (⌈h/2⌉, ⌈w/2⌉, C), doubled (nearest) as it is
            read.
    """
    height, width, channels = y.shape
    tile_pixels, tile_channels = _tile(channels)
    grid = (triton.cdiv(height * width, tile_pixels), triton.cdiv(channels, tile_channels))
    with torch.cuda.device_of(y):
        _finish[grid](
            y,
            bias,
            add,
            out,
            height * width,
            width,
            width if add is None else add.shape[1],
            channels,
            BIASED=bias is not None,
            ADDED=add is not None,
            DOUBLED=doubled,
            PIXELS=tile_pixels,
            CHANNELS=tile_channels,
            enable_fp_fusion=True,
        )


def _tile(channels: int) -> tuple[int, int]:
    """Pixels and channels of one program's tile."""
    wide = min(_CHANNELS, triton.next_power_of_2(channels))
    return _TILE // wide, wide


@triton.jit
def _source(pixel, width, source_width, DOUBLED: tl.constexpr):
    """Where a pixel is read from: the same place, or the one that it doubles."""
    if DOUBLED:
        pixel = pixel // width // 2 * source_width + pixel % width // 2
    return pixel.to(tl.int64)


# Sizes of maps are not specialised: nothing may be compiled anew while somebody paints.
@triton.jit(
    do_not_specialize=["index_image", "blend_image", "noise_image", "pixels", "width", "source_width"]
)
def _modulate(
    x,
    out,
    index,
    blend,
    table,
    pre,
    post,
    noise,
    strength,
    x_image,
    out_image,
    index_image,
    blend_image,
    pre_image,
    noise_image,
    pixels,
    width,
    source_width,
    channels,
    NOISES: tl.constexpr,
    STYLED: tl.constexpr,
    BLENDED: tl.constexpr,
    DOUBLED: tl.constexpr,
    ACTIVATE: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """One tile of PIXELS × CHANNELS of one image; see `Modulation` for the formula.

    `…_image`: elements from one image of a batch to the next, 0 where all share one.
    """
    image = tl.program_id(2).to(tl.int64)
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    on_map, of_pixel = p < pixels, c < channels
    inside = on_map[:, None] & of_pixel[None, :]

    rows = x + image * x_image + _source(p, width, source_width, DOUBLED) * channels
    v = tl.load(rows[:, None] + c[None, :], mask=inside, other=0.0).to(tl.float32)
    if NOISES > 0:
        total = tl.zeros([PIXELS, CHANNELS], tl.float32)
        for j in tl.static_range(NOISES):
            field = tl.load(noise + image * noise_image + p * NOISES + j, mask=on_map, other=0.0)
            total += field[:, None] * tl.load(strength + c * NOISES + j, mask=of_pixel, other=0.0)[None, :]
        v += total
    statistics = pre + image * pre_image + c
    v = v * tl.load(statistics, mask=of_pixel, other=0.0)[None, :]
    v = v + tl.load(statistics + channels, mask=of_pixel, other=0.0)[None, :]

    # A large vocabulary's table has more elements than 32 bits count.
    number = tl.load(index + image * index_image + p, mask=on_map, other=0).to(tl.int64)
    scale = (table + number * 2 * channels)[:, None] + c[None, :]
    v = v * tl.load(scale, mask=inside, other=0.0).to(tl.float32)
    v = v + tl.load(scale + channels, mask=inside, other=0.0).to(tl.float32)
    if BLENDED:
        mixed = tl.load(blend + image * blend_image + p, mask=on_map, other=0).to(tl.int64)
        style = (post + mixed * 2 * channels)[:, None] + c[None, :]
        v = v * tl.load(style, mask=inside, other=0.0)
        v = v + tl.load(style + channels, mask=inside, other=0.0)
    elif STYLED:
        style = post + image * 2 * channels + c
        v = v * tl.load(style, mask=of_pixel, other=0.0)[None, :]
        v = v + tl.load(style + channels, mask=of_pixel, other=0.0)[None, :]
    if ACTIVATE:
        v = tl.where(v > 0, v, v * _LEAK)
    target = (out + image * out_image + p.to(tl.int64) * channels)[:, None] + c[None, :]
    tl.store(target, v.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["pixels", "width", "source_width"])
def _finish(
    y,
    bias,
    add,
    out,
    pixels,
    width,
    source_width,
    channels,
    BIASED: tl.constexpr,
    ADDED: tl.constexpr,
    DOUBLED: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """One tile of PIXELS × CHANNELS of out = y + bias + add."""
    p = tl.program_id(0) * PIXELS + tl.arange(0, PIXELS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    of_pixel = c < channels
    inside = (p < pixels)[:, None] & of_pixel[None, :]
    place = (p.to(tl.int64) * channels)[:, None] + c[None, :]
    v = tl.load(y + place, mask=inside, other=0.0).to(tl.float32)
    if BIASED:
        v += tl.load(bias + c, mask=of_pixel, other=0.0)[None, :]
    if ADDED:
        rows = add + _source(p, width, source_width, DOUBLED) * channels
        v += tl.load(rows[:, None] + c[None, :], mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, v.to(out.dtype.element_ty), mask=inside)
