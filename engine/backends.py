"""Which backend computes on a device."""

from __future__ import annotations

from engine import native
from engine.backend import Backend
from engine.cuda import CudaBackend, passes_for
from engine.device import Compute
from engine.torch_backend import TorchBackend


def backend_for(compute: Compute) -> tuple[Backend, str]:
    """The fastest backend there is, and, where that is not the best one for such a device, why not.

    May compile the CPU kernels, seconds on the first start. Never changes afterwards: equal requests give
    equal bytes.
    """
    if compute.device.type == "cuda":
        passes, reason = passes_for(compute.device, compute.dtype)
        return CudaBackend(compute.device, compute.dtype, passes), reason
    fine, note = native.supported(compute.dtype)
    if fine:
        return native.NativeBackend(compute.dtype), note
    return TorchBackend(compute.device, compute.dtype), f"plain torch paints, which is slower: {note}"
