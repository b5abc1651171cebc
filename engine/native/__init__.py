"""The engine's operations in C++, compiled for this processor on first use. See kernels.cpp.

`supported(dtype)` says whether they can be had here, and `NativeBackend(dtype)` is the backend. Where they
cannot, the engine computes with torch.
"""

from engine.native.backend import NativeBackend, supported
from engine.native.build import load

__all__ = ["NativeBackend", "load", "supported"]
