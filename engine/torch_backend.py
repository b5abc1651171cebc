"""The three operations in plain torch: for CUDA, and for CPUs without the native kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.backend import LEAK, Modulation, Packed

_ROWS = 256  # rows of one matrix product: always as many, so that a row's sum is always formed the same way
_COLUMNS = 32  # and at least as many outputs: the products of narrower ones depend on a row's place
_PIXELS = 1 << 14  # pixels modulated at a time on a CPU, so that what lies between stays in its caches


class TorchBackend:
    """Eager torch on one device, in one type."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    @property
    def name(self) -> str:
        return "torch"

    def pack(self, weight: Tensor, bias: Tensor | None, *, careful: bool = False) -> Packed:
        del careful  # these are direct convolutions
        fout, fin, kernel = weight.shape[:3]
        bias = torch.zeros(fout) if bias is None else bias
        data = (
            weight.to(self.device, self.dtype).contiguous(memory_format=torch.channels_last),
            bias.to(self.device, self.dtype),
        )
        return Packed(fin, fout, kernel, data)

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        batch, height, width = out.shape[:3]
        rows = height if self.device.type != "cpu" else max(2, _PIXELS // width & ~1)
        for image in range(batch):
            for top in range(0, height, rows):
                bottom = min(height, top + rows)
                part = x[image, top // 2 : (bottom + 1) // 2] if doubled else x[image, top:bottom]
                value = _modulated(part, modulation, image, slice(top, bottom), doubled=doubled)
                out[image, top:bottom] = F.leaky_relu(value, LEAK) if activate else value

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
        weight, bias = weights.data
        # One image at a time on a CPU: a library that splits work by batch could round differently.
        alone = [slice(i, i + 1) for i in range(x.shape[0])]
        for one in alone if self.device.type == "cpu" else [slice(None)]:
            part = x[one].permute(0, 3, 1, 2)
            part = F.leaky_relu(part, LEAK) if leak else part
            y = F.conv2d(part, weight, bias, padding=weights.kernel // 2).permute(0, 2, 3, 1)
            if add is not None:
                y = y + (nearest_doubled(add[one], y.shape[1], y.shape[2]) if add_doubled else add[one])
            out[one] = y

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
    return torch.addcmul(modulation.post[image, 1], value, modulation.post[image, 0])
