"""What one painter waits with: a slot where the newest revision wins, and the exact picture that is owed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_UNACKNOWLEDGED: Final = 2


class Work(NamedTuple):
    """What a seat waits with."""

    key: Hashable | None
    exact: bool
    small: bool = False
    """A live picture smaller than the canvas."""

    @property
    def kind(self) -> Hashable:
        """What its cost is remembered by."""
        return self.key, self.exact

    def joins(self, other: Work) -> bool:
        """Whether the two can be painted together."""
        return self.key is not None and self == other


@dataclass(slots=True)
class Mailbox:
    """One painter's slot, debts and frames. Times are in seconds of the scheduler's clock."""

    filled_at: float | None = None
    changed_at: float = -1e9
    key: Hashable | None = None
    small_key: Hashable | None = None
    """The key of its live pictures while they are painted smaller; None where that would not help."""
    live: bool = True
    busy: bool = False
    """A turn of its runs: another one has to wait for it."""
    owed: bool = False
    """The newest frame was a preview, or a turn failed, and no exact one has been begun since."""
    failed: bool = False
    """An exact turn has failed, and nothing has changed or been painted since."""
    numbered: int = 0
    sent: int = 0
    acknowledged: int = 0

    @property
    def open(self) -> bool:
        """Whether a turn may begin."""
        return not self.busy and self.numbered - self.acknowledged < MAX_UNACKNOWLEDGED

    def work(self, now: float, rest: float, *, smaller: bool = False) -> Work | None:
        """What would be painted now, if anything. After a rest the exact picture comes at once."""
        rested = now >= self.changed_at + rest
        if not self.open or (self.filled_at is None and not (self.owed and rested)):
            return None
        exact = rested or not self.live
        if smaller and not exact and self.small_key is not None:
            return Work(self.small_key, exact=False, small=True)
        return Work(self.key, exact)

    def since(self, rest: float) -> float:
        """When what waits began to wait."""
        return self.filled_at if self.filled_at is not None else self.changed_at + rest
