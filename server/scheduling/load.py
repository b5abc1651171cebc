"""How full the house is, and what that means for live pictures.

The measure is the *round*: the seconds that one live picture of everybody whose hand moves would take, at
full size. It says how often each painter can have a picture, whatever is done about it; so doing something
about it does not change the measure, and the level does not swing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Level(IntEnum):
    """What is done about the load."""

    NORMAL = 0
    SLOWER = 1
    """Turns are fewer for everybody, and a hand rests longer before its exact picture."""
    SMALLER = 2
    """Live pictures of large canvases are painted at half their size as well; exact ones never are."""

    @property
    def word(self) -> str:
        return self.name.lower()


SLOWER_FROM: Final = 0.15
"""Seconds of a round: under seven pictures a second for each painter."""
SMALLER_FROM: Final = 0.4
_RELIEF: Final = 0.7  # of a threshold, below which the level goes down again
_RISES_AFTER: Final = 0.5  # seconds for which it must hold
_FALLS_AFTER: Final = 3.0
_LONGEST_REST: Final = 1.0


class Load:
    """The level, with hysteresis in size and time."""

    def __init__(self) -> None:
        self.level = Level.NORMAL
        self._since: float | None = None
        self._towards = Level.NORMAL

    def observe(self, round_seconds: float, now: float) -> bool:
        """Take note of the round as it is now; whether the level has changed."""
        wanted = self._wanted(round_seconds)
        if wanted == self.level:
            self._since = None
            return False
        if self._since is None or (wanted > self.level) != (self._towards > self.level):
            self._since = now
        self._towards = wanted
        patience = _RISES_AFTER if wanted > self.level else _FALLS_AFTER
        if now - self._since < patience:
            return False
        self.level, self._since = wanted, None
        return True

    def rest(self, shortest: float, round_seconds: float) -> float:
        """Seconds without a change after which a hand rests: on a full device a round, since a pause that is
        shorter than the time between two pictures is none."""
        if self.level is Level.NORMAL:
            return shortest
        return max(shortest, min(round_seconds, _LONGEST_REST))

    def _wanted(self, seconds: float) -> Level:
        up = _level(seconds)
        return up if up > self.level else max(up, _level(seconds / _RELIEF, at_most=self.level))


def _level(seconds: float, at_most: Level = Level.SMALLER) -> Level:
    reached = Level((seconds > SLOWER_FROM) + (seconds > SMALLER_FROM))
    return min(reached, at_most)
