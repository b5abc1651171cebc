"""What callers hand over, as arrays and whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import EngineError

Values = Sequence[float] | NDArray[np.floating[Any]] | Tensor


def array_of(given: object, what: str) -> NDArray[Any]:
    """A list, an array or a tensor as an array, of whatever shape and type it has.

    Args:
        what: it is, for the error.

    Raises:
        EngineError: it is no array, such as rows of different lengths.
    """
    try:
        return np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given)
    except (TypeError, ValueError) as error:
        raise EngineError(what, f"it cannot be read as an array ({error})", "Send an array.") from error


def are_within(values: NDArray[Any], most: float) -> bool:
    """Whether these are numbers, finite and from −most to most."""
    return values.dtype.kind in "iuf" and bool(
        -most <= values.min(initial=0) and values.max(initial=0) <= most  # false for NaN
    )


def whole_number(given: object, what: str) -> int:
    """An integer of any kind, NumPy's and torch's included, as Python's: it does not wrap around.

    Raises:
        EngineError: something else.
    """
    try:
        return index(given)  # type: ignore[arg-type]
    except TypeError:
        raise EngineError(f"{what} {given!r}", "it is not a whole number", "Send one.") from None
