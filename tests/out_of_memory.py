"""Memory that runs out at the n-th place where some is taken: torch's operations, numpy's functions in the
engine, and pieces of working memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine import canvas, modulation, patterns, regions

MODULES = (canvas, modulation, patterns, regions)


class Shortage:
    """Counts what is taken; from the `first` on, `times` in a row find nothing."""

    def __init__(self, first: int, times: int = 1) -> None:
        self.first, self.times = first, times
        self.taken = self.refused = 0

    def take(self, error: Callable[[], Exception]) -> None:
        self.taken += 1
        if self.first <= self.taken and self.refused < self.times:
            self.refused += 1
            raise error()


class _Torch(TorchDispatchMode):
    def __init__(self, shortage: Shortage) -> None:
        super().__init__()
        self.shortage = shortage

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # The words of torch's own allocators, on a GPU and on a CPU.
        if self.shortage.taken % 2:
            self.shortage.take(lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
        else:
            self.shortage.take(lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"))
        return func(*args, **(kwargs or {}))


class _Numpy:
    """numpy, whose functions take memory."""

    def __init__(self, shortage: Shortage) -> None:
        self._shortage = shortage

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        if isinstance(found, type | np.ufunc) or not callable(found):
            return found

        def taking(*args: Any, **options: Any) -> Any:
            self._shortage.take(lambda: MemoryError("Unable to allocate 1. GiB"))
            return found(*args, **options)

        return taking


@contextmanager
def short_of_memory(first: int, times: int = 1) -> Iterator[Shortage]:
    """Within, what is taken is counted, and the `first` time and the `times` − 1 after it fail."""
    shortage = Shortage(first, times)
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            patch.setattr(module, "np", _Numpy(shortage))
        with _Torch(shortage):
            yield shortage
