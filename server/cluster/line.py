"""Whose work a replica does next. Pure policy: takes the time and data, does no I/O.

Seats are painters, and for requests the ingresses that they came to. The device's time is shared among them
by deficit round robin, as at an ingress (server/scheduling): so no ingress's painters wait for another's.
Work of equal key that waits together is done together, in one *use* of the device, at most one piece of a
painter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from server.scheduling.costs import Costs
from server.scheduling.rounds import Rounds


@dataclass(frozen=True, slots=True)
class Ticket:
    """A piece of work in line: its number, its seat, whether that is a painter's, and what it can be done
    together with; None goes alone."""

    number: int
    seat: str
    painter: bool
    key: Hashable | None


class Line:
    """The policy's state. Times are in seconds of one monotonic clock.

    Args:
        batch: most pieces of work in one use of the device.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._rounds = Rounds()
        self._costs = Costs()
        self._waiting: dict[str, deque[Ticket]] = {}
        self._running: dict[Ticket, float] = {}
        self._started = 0.0

    def add(self, ticket: Ticket) -> None:
        """A piece of work waits from now on."""
        if ticket.seat not in self._waiting:
            self._waiting[ticket.seat] = deque()
            self._rounds.join(ticket.seat)
        self._waiting[ticket.seat].append(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Nobody wants it any more. What is being done is done to its end."""
        if ticket in self._waiting.get(ticket.seat, ()):
            self._waiting[ticket.seat].remove(ticket)

    def leave(self, seat: str) -> None:
        """A painter is gone. A seat with work that waits stays."""
        if not self._waiting.get(seat, True):
            del self._waiting[seat]
            self._rounds.leave(seat)

    def next(self, now: float) -> tuple[Ticket, ...]:
        """Begin to use the device: the work to do together; none while it is busy or nothing waits."""
        if self._running:
            return ()
        heads = {seat: self._costs.of(line[0].key) for seat, line in self._waiting.items() if line}
        first = self._rounds.take(heads)
        if first is None:
            return ()
        taken = [self._waiting[first].popleft()]
        thought = heads[first]
        for seat in (first, *self._rounds):
            self._join_in(seat, taken, thought)
        self._running, self._started = dict.fromkeys(taken, thought), now
        return tuple(taken)

    def _join_in(self, seat: str, taken: list[Ticket], thought: float) -> None:
        line, key = self._waiting[seat], taken[0].key
        while line and key is not None and line[0].key == key and len(taken) < self._batch:
            if line[0].painter and line[0].seat in {one.seat for one in taken}:
                return
            taken.append(line.popleft())
            self._rounds.join_in(seat, thought)

    def finish(self, now: float) -> None:
        """The device is free again."""
        share = (now - self._started) / len(self._running)
        for ticket, thought in self._running.items():
            self._rounds.settle(ticket.seat, thought, share)
        self._costs.learn(next(iter(self._running)).key, share)
        self._running = {}

    @property
    def queued(self) -> int:
        """Pieces of work that wait."""
        return sum(map(len, self._waiting.values()))

    @property
    def seats(self) -> int:
        return len(self._waiting)
