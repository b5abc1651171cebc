"""Memory that runs out: how that is told, and what is done about it.

Most of what the engine keeps can be made again: tables, previews, noise, working memory, recordings. So when
something finds no memory, all of that is let go and the same thing is tried once more.
"""

from __future__ import annotations

import ctypes
import gc
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch

from engine.errors import OutOfMemory

_SAID = (  # by torch and its libraries, in plain RuntimeErrors
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "_STATUS_ALLOC_FAILED",
)
_LOG = logging.getLogger(__name__)
T = TypeVar("T")


def ran_out(error: BaseException | None) -> bool:
    """Whether an error, or one that it hides, says that there was no memory left, on host or device."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID):
            return True
        error = error.__cause__ or error.__context__
    return False


def with_room(work: Callable[[], T], shed: Callable[[], int]) -> T:
    """Do some work; if memory runs out, let go of what can be made again, and do it once more.

    Args:
        work: may be stopped anywhere and begun again.
        shed: lets go, and says of how many bytes.

    Raises:
        OutOfMemory: there was too little even then.
    """
    done, result, why = _tried(work)
    if done:
        return result
    # Not while the error is handled: its traceback holds what the work had taken.
    freed = shed()
    _LOG.warning("memory ran out, %d MiB were let go: %s", freed >> 20, why)
    done, result, why = _tried(work)
    if done:
        return result
    raise OutOfMemory("the picture", f"there is not enough memory for it ({why})", "Ask for a smaller one.")


def _tried(work: Callable[[], T]) -> tuple[bool, Any, str]:
    """Whether there was room, the result, and what was said if not."""
    try:
        return True, work(), ""
    except Exception as error:
        if not ran_out(error):
            raise
        return False, None, str(error).partition("\n")[0] or type(error).__name__


def give_back(device: torch.device) -> None:
    """Give memory that nothing holds any more back to the system, for others, and for larger pieces."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's, which keeps what was freed for the next allocation; other libraries have none."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
