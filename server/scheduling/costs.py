"""What work is thought to cost the device, learnt from what it did cost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

FIRST_GUESS: Final = 0.05
"""Seconds of work of a kind that was never measured, while nothing else was either."""
_SMOOTHING: Final = 0.2
_MOST_KINDS: Final = 256


class Costs:
    """Seconds for a picture, by the kind of work. Forgets the kinds that were not met for longest."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()
        self._mean: float | None = None

    def of(self, kind: Hashable) -> float:
        """The seconds that a picture of this kind is thought to take."""
        known = self._seconds.get(kind)
        return known if known is not None else self.mean

    def known(self, kind: Hashable) -> float | None:
        """As `of`, or None where that kind was never measured."""
        return self._seconds.get(kind)

    @property
    def mean(self) -> float:
        """Seconds of a picture of any kind."""
        return FIRST_GUESS if self._mean is None else self._mean

    @property
    def measured(self) -> bool:
        """Whether anything was."""
        return self._mean is not None

    def learn(self, kind: Hashable, seconds: float) -> None:
        """A picture of this kind took that long: its share, where it was painted with others."""
        self._seconds[kind] = _smoothed(self._seconds.get(kind), seconds)
        self._seconds.move_to_end(kind)
        self._mean = _smoothed(self._mean, seconds)
        if len(self._seconds) > _MOST_KINDS:
            self._seconds.popitem(last=False)


def _smoothed(before: float | None, seconds: float) -> float:
    return seconds if before is None else before + _SMOOTHING * (seconds - before)
