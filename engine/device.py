"""Which device and which precision to compute with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import EngineError

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Compute:
    """Where and how exactly networks run."""

    device: torch.device
    precision: Precision

    @property
    def dtype(self) -> torch.dtype:
        """Type of the trunk's activations and convolution weights; statistics and style stay float32."""
        return DTYPES[self.precision]

    @property
    def name(self) -> str:
        """The device for people: "NVIDIA …" or "CPU (2 threads)"."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"CPU ({torch.get_num_threads()} threads)"


def choose(device: str = "auto", precision: str = "auto") -> Compute:
    """Resolve "auto": CUDA where there is one; half precision only where the hardware multiplies it natively.

    Raises:
        EngineError: a device or a precision that does not exist here.
    """
    chosen = _device(device)
    if precision == "auto":
        return Compute(chosen, _native_precision(chosen))
    if precision not in get_args(Precision):
        raise EngineError(
            f"precision {precision!r}", "unknown", f"Use auto, {', '.join(get_args(Precision))}."
        )
    if precision == "fp16" and chosen.type == "cpu":
        raise EngineError("precision 'fp16'", "CPUs do not multiply it natively", "Use bf16, fp32 or auto.")
    return Compute(chosen, cast("Precision", precision))


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"device {name!r}", "unknown", "Use auto, cpu, cuda or cuda:N.") from error
    if device.type not in {"cpu", "cuda"}:
        raise EngineError(f"device {name!r}", "not supported", "Use auto, cpu, cuda or cuda:N.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"device {name!r}", f"torch sees {torch.cuda.device_count()} CUDA devices", "Use auto or cpu."
        )
    return device


def _native_precision(device: torch.device) -> Precision:
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return "bf16" if cpu_flags() & {"avx512_bf16", "amx_bf16"} else "fp32"


class DeviceMemory(NamedTuple):
    """Bytes of a GPU's memory: in use by tensors, and held by torch, which keeps what was freed."""

    allocated: int
    reserved: int


def memory_of(device: torch.device) -> DeviceMemory | None:
    """What torch holds of a device's memory; None on a CPU, where the process's own memory is all there
    is."""
    if device.type != "cuda":
        return None
    return DeviceMemory(torch.cuda.memory_allocated(device), torch.cuda.memory_reserved(device))


def touch(device: torch.device) -> None:
    """Have the device answer once. On a GPU this makes its context, which takes a second or so."""
    torch.ones(1, device=device).item()


def upload(numbers: NDArray[np.int32], device: torch.device) -> Tensor:
    """Pattern numbers on a device. The host does not wait: what a GPU copies lies in pinned memory of its
    own.

    On a CPU the tensor shares the array's memory.
    """
    here = torch.from_numpy(numbers)
    if device.type != "cuda":
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)


def cpu_flags() -> frozenset[str]:
    """The processor's features as Linux lists them, on x86 ("flags") or ARM; empty where it does not say."""
    return frozenset(next(iter(_cpu_info("flags", "Features")), "").split())


def cpu_parts() -> frozenset[str]:
    """ARM's numbers for the design of its cores, which may differ; empty elsewhere."""
    return frozenset(_cpu_info("CPU part"))


def _cpu_info(*names: str) -> list[str]:
    """What Linux says under these names, core by core."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return []
    entries = (line.partition(":") for line in lines)
    return [value.strip() for name, _, value in entries if name.strip() in names]
