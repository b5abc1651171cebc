"""The trunk's operations by the compiled kernels: a Backend for CPUs."""

from __future__ import annotations

import ctypes
import threading
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.backend import LEAK, Modulation, Packed
from engine.device import cpu_flags

from .build import load

_DTYPES = (torch.float32, torch.bfloat16)


class _Convolution(ctypes.Structure):
    """`struct Convolution` of kernels.cpp."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("images", "height", "width", "fin", "fout", "threads")),
        *((name, ctypes.c_int32) for name in ("tile", "half", "single_out", "add_doubled")),
        ("slope", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("x", "weights", "add", "out", "scratch")),
    )


class _Tabulation(ctypes.Structure):
    """`struct Tabulation` of kernels.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "windows")),
        *((name, ctypes.c_int32) for name in ("fin", "fout", "places", "threads", "half")),
        *((name, ctypes.c_void_p) for name in ("index", "inputs", "weights", "out", "scratch")),
    )


class _Modulation(ctypes.Structure):
    """`struct Modulation` of kernels.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "height", "width", "channels")),
        *((name, ctypes.c_int32) for name in ("threads", "half", "doubled", "noises")),
        *((name, ctypes.c_int32) for name in ("noise_per_image", "pre_per_image")),
        ("slope", ctypes.c_float),
        *(
            (name, ctypes.c_void_p)
            for name in ("index", "blend", "x", "table", "pre", "post", "noise", "strength", "out")
        ),
    )


def supported(dtype: torch.dtype) -> tuple[bool, str]:
    """Whether the kernels serve this type well here, and if not, why; if so, what slows them or "".

    The first call may compile.
    """
    library, note = load()
    if library is None:
        return False, note
    if dtype not in _DTYPES:
        return False, f"no kernels for {dtype}"
    if dtype == torch.bfloat16 and not library.scenebrush_multiplies_half():
        return False, "this processor, or its compiler, has no AVX512-BF16"
    if dtype == torch.bfloat16 and "amx_bf16" in cpu_flags():
        return False, "torch is faster with this processor's AMX"
    return True, note


class NativeBackend:
    """Runs on the CPU, with as many threads as torch has.

    Scratch memory is kept from call to call and grows to what the largest convolution needed: some 10 MB, or
    2 MB a thread where that is more. Calls from several threads take turns.

    Args:
        dtype: float32, or bfloat16 where `supported`.

    Raises:
        ValueError: not supported here.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        fine, reason = supported(dtype)
        library, _ = load()
        if not fine or library is None:
            raise ValueError(f"native kernels for {dtype}: {reason}")
        for name in ("packed", "scratch", "tabulation"):
            getattr(library, f"scenebrush_{name}_bytes").restype = ctypes.c_int64
        self._library, self._dtype, self._half = library, dtype, dtype == torch.bfloat16
        self._scratch = torch.empty(0, dtype=torch.uint8)
        self._lock = threading.Lock()  # of the scratch memory

    @property
    def name(self) -> str:
        lanes = int(self._library.scenebrush_lanes())
        return f"native ({32 * lanes}-bit vectors, {'bf16' if self._half else 'fp32'})"

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def scratch_bytes(self) -> int:
        """Memory kept between calls."""
        return self._scratch.numel()

    def pack(self, weight: Tensor, bias: Tensor | None, *, careful: bool = False) -> Packed:
        """Weights float32 (O, I, k, k), k 1 or 3, and bias (O,), transformed and in the kernels' order."""
        fout, fin, kernel = weight.shape[:3]
        if kernel not in {1, 3}:
            raise ValueError(f"a {kernel}×{kernel} kernel; it must be 1×1 or 3×3")
        weight = _checked("weight", weight, (fout, fin, kernel, kernel), torch.float32)
        if bias is not None:
            _checked("bias", bias, (fout,), torch.float32)
        half = int(self._half)
        tile = 1 if kernel == 1 else self._tile(fin, fout, careful)
        data = self._memory(int(self._library.scenebrush_packed_bytes(half, tile, fin, fout)))
        threads = torch.get_num_threads()
        self._library.scenebrush_pack(threads, half, tile, fin, fout, _at(weight), _at(bias), _at(data))
        return Packed(fin, fout, kernel, (tile, data))

    def pack_places(self, weight: Tensor, bias: Tensor) -> Packed:
        """Weights float32 (O, I, k, k) and bias (O,): a 1×1 convolution's for each place, one after the
        other."""
        fout, fin, kernel = weight.shape[:3]
        _checked("bias", bias, (fout,), torch.float32)
        half, threads = int(self._half), torch.get_num_threads()
        size = int(self._library.scenebrush_packed_bytes(half, 1, fin, fout))
        data = self._memory(kernel**2 * size)
        for place in range(kernel**2):
            part = weight[:, :, place // kernel, place % kernel].contiguous()
            offset = _at(bias if place == 0 else None)
            at = _at(data[place * size :])
            self._library.scenebrush_pack(threads, half, 1, fin, fout, _at(part), offset, at)
        return Packed(fin, fout, kernel, data)

    def _tile(self, fin: int, fout: int, careful: bool) -> int:
        """Outputs along a Winograd tile's side.

        Tiles of 4 need 9/16 of the products of tiles of 2, but four times the memory of plain weights, which
        the deepest layers, small as their pictures are, would wait for; and they round more: bfloat16 keeps
        them for the layers near the picture, and not where care is asked for.
        """
        if careful and self._half:
            return 2
        return 4 if fin * fout <= (1 << 17 if self._half else 1 << 19) else 2

    def _memory(self, size: int) -> Tensor:
        memory = torch.empty(size, dtype=torch.uint8)
        self._library.scenebrush_use_large_pages(_at(memory), ctypes.c_int64(size))
        return memory

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        """See Backend. All contiguous; `index` and `blend` must stay below their tables' rows, which is not
        checked."""
        m = modulation
        images, height, width, channels = out.shape
        factors = (m.noise.shape[-1] if m.noise is not None else 0,)
        _checked("out", out, out.shape, self._dtype)
        _checked("x", x, (images, *_halved(height, width, doubled), channels), self._dtype)
        _checked("index", m.index, (images, height, width), torch.int32)
        _checked("table", m.table, (m.table.shape[0], 2 * channels), self._dtype)
        _checked("pre", m.pre, (_one_or(images, m.pre), 2, channels), torch.float32)
        if m.post is not None:
            _checked("post", m.post, (images if m.blend is None else len(m.post), 2, channels), torch.float32)
        if m.blend is not None:
            _checked("blend", m.blend, (images, height, width), torch.int32)
        if m.noise is not None and m.strength is not None:
            _checked("noise", m.noise, (_one_or(images, m.noise), height, width, *factors), torch.float32)
            _checked("strength", m.strength, (channels, *factors), torch.float32)
        elif m.noise is not None or m.strength is not None:
            raise ValueError("noise and strength come together")
        if out.numel() == 0:
            return
        if doubled and _overlap(x, out):
            raise ValueError("x doubled into itself")
        job = _Modulation(
            images=images, height=height, width=width, channels=channels,
            threads=torch.get_num_threads(), half=self._half, doubled=doubled,
            noises=factors[0], noise_per_image=m.noise is not None and m.noise.shape[0] > 1,
            pre_per_image=m.pre.shape[0] > 1, slope=LEAK if activate else 1.0,
            index=_at(m.index), blend=_at(m.blend), x=_at(x), table=_at(m.table), pre=_at(m.pre),
            post=_at(m.post), noise=_at(m.noise), strength=_at(m.strength), out=_at(out),
        )  # fmt: skip
        self._library.scenebrush_modulate(ctypes.byref(job))

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
        """See Backend. `add` has out's type; `out` must not be x."""
        images, height, width, fin = x.shape
        _checked("x", x, (images, height, width, weights.fin), self._dtype)
        single_out = out.dtype == torch.float32
        _checked("out", out, (images, height, width, weights.fout), out.dtype if single_out else self._dtype)
        if add is not None:
            shape = (images, *_halved(height, width, add_doubled), weights.fout)
            _checked("add", add, shape, out.dtype)
        if _overlap(x, out) or (add is not None and add_doubled and _overlap(add, out)):
            raise ValueError("convolved into its own input")
        if out.numel() == 0:
            return
        tile, data = cast("tuple[int, Tensor]", weights.data)
        job = _Convolution(
            images=images, height=height, width=width, fin=fin, fout=weights.fout,
            threads=torch.get_num_threads(), tile=tile, half=self._half,
            single_out=single_out, add_doubled=add is not None and add_doubled, slope=LEAK if leak else 1.0,
            x=_at(x), weights=_at(data), add=_at(add), out=_at(out),
        )  # fmt: skip
        with self._lock:
            self._reserve(int(self._library.scenebrush_scratch_bytes(ctypes.byref(job))))
            job.scratch = _at(self._scratch)
            self._library.scenebrush_convolve(ctypes.byref(job))

    def tabulate(self, inputs: Tensor, windows: Tensor, weights: Packed, *, out: Tensor) -> None:
        """See Backend. Scratch memory is m · k² · 256 bytes a thread; `windows` must stay below m,
        unchecked."""
        places = weights.kernel**2
        _checked("inputs", inputs, (inputs.shape[0], weights.fin), self._dtype)
        _checked("windows", windows, (windows.shape[0], places), torch.int32)
        _checked("out", out, (windows.shape[0], weights.fout), self._dtype)
        if out.numel() == 0:
            return
        if self._half and weights.fin % 2:
            inputs = F.pad(inputs, (0, 1))  # bfloat16 is multiplied in pairs
        job = _Tabulation(
            rows=windows.shape[0], windows=inputs.shape[0], fin=weights.fin, fout=weights.fout,
            places=places, threads=torch.get_num_threads(), half=self._half,
            index=_at(windows), inputs=_at(inputs), weights=_at(weights.data), out=_at(out),
        )  # fmt: skip
        with self._lock:
            self._reserve(int(self._library.scenebrush_tabulation_bytes(ctypes.byref(job))))
            job.scratch = _at(self._scratch)
            self._library.scenebrush_tabulate(ctypes.byref(job))

    def _reserve(self, size: int) -> None:
        if self._scratch.numel() < size:
            self._scratch = torch.empty(0, dtype=torch.uint8)  # the old one goes before the new one comes
            self._scratch = self._memory(size)


def _at(tensor: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def _checked(name: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor, which the kernels read and write by bare address."""
    if tuple(tensor.shape) != tuple(shape) or tensor.dtype != dtype:
        raise ValueError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}, must be {dtype} {tuple(shape)}")
    if not tensor.is_contiguous() or tensor.device.type != "cpu":
        raise ValueError(f"{name} must be contiguous and on the CPU")
    return tensor


def _halved(height: int, width: int, doubled: bool) -> tuple[int, int]:
    if not doubled:
        return height, width
    if height % 2 or width % 2:
        raise ValueError(f"nothing doubles to {height} × {width}")
    return height // 2, width // 2


def _one_or(images: int, tensor: Tensor) -> int:
    return 1 if tensor.shape[0] == 1 else images


def _overlap(a: Tensor, b: Tensor) -> bool:
    start, other = a.data_ptr(), b.data_ptr()
    return start < other + b.nbytes and other < start + a.nbytes
