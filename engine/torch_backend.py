"""The operations in plain torch: for CPUs without the native kernels. CUDA borrows the element-wise ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.backend import LEAK, Modulation, Packed

_ROWS = 256  # rows of one matrix product: always as many, so that a row's sum is always formed the same way
_COLUMNS = 32  # and at least as many outputs: the products of narrower ones depend on a row's place
_VALUES = 1 << 18  # of a picture worked on at a time on a CPU, so that what lies between stays in its caches


class TorchBackend:
    """Eager torch, in one type.

    Sums of half-precision products are float32, but torch rounds a convolution's once before the bias and
    `add` can be added. The picture itself, stored as float32, is never rounded.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    @property
    def name(self) -> str:
        return "torch"

    def pack(self, weight: Tensor, bias: Tensor | None, *, careful: bool = False) -> Packed:
        del careful  # these are direct convolutions
        fout, fin, kernel = weight.shape[:3]
        data = (
            weight.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last),
            None if bias is None else bias.to(self.device, torch.float32),
        )
        return Packed(fin, fout, kernel, data)

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        for image in range(out.shape[0]):
            for rows in _strips(out[image]):
                part = x[image, _halved(rows) if doubled else rows]
                value = _modulated(part, modulation, image, rows, doubled=doubled)
                out[image, rows] = F.leaky_relu(value, LEAK) if activate else value

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
        weight = weight.to(out.dtype)
        # Where nothing is rounded on the way, the convolution adds the bias for nothing.
        inside, rest = (bias, None) if out.dtype == torch.float32 else (None, bias)
        for image in range(x.shape[0]):  # alone: a library that splits work by batch could round differently
            part = x[image : image + 1].to(out.dtype).permute(0, 3, 1, 2)
            part = F.leaky_relu(part, LEAK) if leak else part
            y = F.conv2d(part, weight, inside, padding=weights.kernel // 2)
            other = None if add is None else add[image]
            finish(y[0].permute(1, 2, 0), rest, other, doubled=add_doubled, out=out[image])

    def pack_places(self, weight: Tensor, bias: Tensor) -> Packed:
        fout, fin, kernel = weight.shape[:3]
        in_a_row = weight.permute(0, 2, 3, 1).reshape(fout, -1)
        short = -fout % _COLUMNS
        data = (
            F.pad(in_a_row, (0, 0, 0, short)).to(self.device, self.dtype),
            F.pad(bias, (0, short)).to(self.device, self.dtype),
        )
        return Packed(fin, fout, kernel, data)

    def tabulate(self, inputs: Tensor, windows: Tensor, weights: Packed, *, out: Tensor) -> None:
        weight, bias = weights.data
        for first in range(0, windows.shape[0], _ROWS):
            rows = inputs[windows[first : first + _ROWS]].flatten(1)
            short = _ROWS - rows.shape[0]
            whole = F.pad(rows, (0, 0, 0, short)) if short else rows
            out[first : first + _ROWS] = F.linear(whole, weight, bias)[: rows.shape[0], : weights.fout]


def finish(y: Tensor, bias: Tensor | None, add: Tensor | None, *, doubled: bool, out: Tensor) -> None:
    """out = y + bias + add, rounded once: y and out (h, w, C), bias float32 (C,), add as large or half as
    large (`doubled`). `out` may be `add` unless doubled."""
    for rows in _strips(out):
        total = y[rows].float() if bias is None else y[rows] + bias
        if add is not None:
            other = add[_halved(rows) if doubled else rows]
            total = total + (nearest_doubled(other, *total.shape[:2]) if doubled else other)
        out[rows] = total


def _strips(picture: Tensor) -> Iterator[slice]:
    """The rows of a picture (h, w, C), an even number at a time; all at once on a GPU."""
    height, width, channels = picture.shape
    rows = max(2, _VALUES // (width * channels) & ~1) if picture.device.type == "cpu" else height
    return (slice(top, min(height, top + rows)) for top in range(0, height, rows))


def _halved(rows: slice) -> slice:
    """The rows that become these when they are doubled."""
    return slice(rows.start // 2, (rows.stop + 1) // 2)


def nearest_doubled(x: Tensor, height: int, width: int) -> Tensor:
    """Nearest ×2 of (…, h, w, C), cut to height × width."""
    return x.repeat_interleave(2, -3).repeat_interleave(2, -2)[..., :height, :width, :]


def _modulated(x: Tensor, modulation: Modulation, image: int, rows: slice, *, doubled: bool) -> Tensor:
    """Some rows of one image, float32 (h, w, C)."""
    index = modulation.index[image, rows]
    value = x.float()
    if doubled:
        value = nearest_doubled(value, index.shape[0], index.shape[1])
    if modulation.noise is not None and modulation.strength is not None:
        noise = modulation.noise[min(image, modulation.noise.shape[0] - 1), rows]
        value = value + noise @ modulation.strength.T
    pre = modulation.pre[min(image, modulation.pre.shape[0] - 1)]
    value = torch.addcmul(pre[1], value, pre[0])
    scale, shift = modulation.table[index].float().chunk(2, dim=-1)
    value = torch.addcmul(shift, value, scale)
    if modulation.post is None:
        return value
    number = image if modulation.blend is None else modulation.blend[image, rows]
    post = modulation.post[number]
    return torch.addcmul(post[..., 1, :], value, post[..., 0, :])
