"""Whose turn it is at the device. Pure policy: takes the time and data, does no I/O, renders nothing.

Two kinds of customers share one device:

- a *painter* has a mailbox of one slot, where the newest revision wins, and at most two frames that its page
  has not yet acknowledged, which it can do only once they are on their way. While its hand moves, its frames
  may be previews; once the hand has rested, it is owed an exact one of the newest revision;
- *requests* (REST) are a bounded number while their bodies are read; then they take one of fewer places and
  wait in one queue, first come, first served. So slow uploads keep nobody from the device.

Turns go round robin over the painters and the queue, the whole queue counting as one painter: neither many
requests nor many painters can starve the other kind. The device is used by one turn at a time, or by one
*batch*: work of one kind that waits together shares one use. Who is next decides of which kind, the others
join in the order of the round, and nobody who is left out waits for more than that one use.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

MAX_UNACKNOWLEDGED: Final = 2
REST_SECONDS: Final = 0.12
"""A hand that has changed nothing for so long rests. Longer than between two moves of a slow stroke, and
short enough to wait for."""
_REQUESTS: Final = ""  # the queue's seat in the round; painters' keys are never empty
_FIRST_GUESS: Final = 1.0  # seconds a turn takes, before one was measured
_SMOOTHING: Final = 0.2


class QueueFullError(Exception):
    """No place left. `retry_after` estimates the seconds until the queue has moved on; `uploads`: it is only
    that too many bodies are read at once."""

    def __init__(self, retry_after: float, *, uploads: bool = False) -> None:
        super().__init__(f"the queue is full; try again in {retry_after:.1f} s")
        self.retry_after = retry_after
        self.uploads = uploads


@dataclass(frozen=True, slots=True)
class Turn:
    """A picture to paint. `painter` is the painter's key, or None for the request `request`."""

    painter: str | None
    request: str | None
    waited: float
    """Seconds since the request was queued, the painter's slot was filled, or its exact picture was due."""
    exact: bool = True
    """The whole picture; otherwise a preview will do."""


class _Work(NamedTuple):
    """What a seat waits with."""

    key: Hashable | None
    exact: bool

    def joins(self, other: _Work) -> bool:
        """Whether the two can be painted together."""
        return self.key is not None and self == other


@dataclass(slots=True)
class _Mailbox:
    filled_at: float | None = None
    changed_at: float = 0.0
    key: Hashable | None = None
    live: bool = True
    owed: bool = False
    """The newest frame was a preview, or a turn failed, and no exact one has been begun since."""
    failed: bool = False
    """An exact turn has failed, and nothing has changed or been painted since."""
    numbered: int = 0
    sent: int = 0
    acknowledged: int = 0

    @property
    def open(self) -> bool:
        return self.numbered - self.acknowledged < MAX_UNACKNOWLEDGED

    def work(self, now: float, rest: float) -> _Work | None:
        """What would be painted now, if anything. After a rest the exact picture comes at once."""
        rested = now >= self.changed_at + rest
        if not self.open or (self.filled_at is None and not (self.owed and rested)):
            return None
        return _Work(self.key, rested or not self.live)


class _Queued(NamedTuple):
    """A request in the queue."""

    request: str
    since: float
    key: Hashable | None


class Scheduler:
    """The policy's state. Every time is in seconds of one monotonic clock.

    Args:
        places: requests that may wait for the device.
        uploads: requests whose bodies may be read at once.
        batch: most pictures in one use of the device.
        rest: seconds without a change after which a painter is owed an exact picture.
    """

    def __init__(self, places: int, uploads: int, *, batch: int = 1, rest: float = REST_SECONDS) -> None:
        self._places = places
        self._max_uploads = uploads
        self._batch = batch
        self._rest = rest
        self._uploads = 0
        self._admitted: set[str] = set()
        self._queue: deque[_Queued] = deque()
        self._painters: dict[str, _Mailbox] = {}
        # Seats in the order of their last turn, the longest unserved first.
        self._round: OrderedDict[str, None] = OrderedDict({_REQUESTS: None})
        self._running: tuple[int, float] | None = None
        self._turn_seconds = _FIRST_GUESS
        self.superseded = 0
        """Revisions that no picture shows, since a newer one came before their turn."""

    # Painters

    def join(self, painter: str) -> None:
        self._painters[painter] = _Mailbox()
        self._round[painter] = None

    def leave(self, painter: str) -> None:
        """Give up the painter's seat; a turn of its that runs will still finish."""
        self._painters.pop(painter, None)
        self._round.pop(painter, None)

    def offer(self, painter: str, now: float, *, key: Hashable | None = None, live: bool = True) -> None:
        """The painter has a newer revision. A full slot keeps its time: waiting is not reset.

        Pictures of equal `key` can be painted together; None goes alone. `live`: previews will do meanwhile.
        """
        mailbox = self._painters[painter]
        if mailbox.filled_at is None:
            mailbox.filled_at = now
        else:
            self.superseded += 1
        mailbox.changed_at, mailbox.key, mailbox.live, mailbox.failed = now, key, live, False

    def number_frame(self, painter: str, *, exact: bool = True) -> int:
        """The next frame's number, from 1; the frame counts as unacknowledged from now on. After one that
        is not exact, an exact one is owed."""
        mailbox = self._painters[painter]
        mailbox.numbered += 1
        mailbox.owed, mailbox.failed = not exact, False
        return mailbox.numbered

    def failed(self, painter: str, now: float, *, exact: bool) -> bool:
        """A turn of the painter came to nothing. Whether another follows: after a preview the exact picture,
        when the hand has rested, and that one a second time, one more rest later."""
        mailbox = self._painters[painter]
        if mailbox.filled_at is not None:
            return True
        again = not (exact and mailbox.failed)
        mailbox.owed, mailbox.failed = again, exact and again
        if again and exact:
            mailbox.changed_at = now
        return again

    def sent(self, painter: str, frame: int) -> None:
        """Frame `frame` is on its way: from now on it can be acknowledged."""
        self._painters[painter].sent = frame

    def acknowledge(self, painter: str, frame: int) -> bool:
        """Frame `frame` and all before it were shown. False if that frame was not sent."""
        mailbox = self._painters[painter]
        if frame > mailbox.sent:
            return False
        mailbox.acknowledged = max(mailbox.acknowledged, frame)
        return True

    def start_over(self, painter: str) -> None:
        """The painter's document is over: nothing of it waits, and its frames need no acknowledgement."""
        mailbox = self._painters[painter]
        mailbox.filled_at, mailbox.owed, mailbox.failed = None, False, False
        mailbox.acknowledged = mailbox.numbered

    # Requests

    def begin_upload(self) -> None:
        """A request's body is about to be read. Raises QueueFullError, also when no place is left for it."""
        self._check_places()
        if self._uploads >= self._max_uploads:
            raise QueueFullError(self.retry_after(), uploads=True)
        self._uploads += 1

    def end_upload(self) -> None:
        """The body has been read, or will not be."""
        self._uploads -= 1

    def admit(self, request: str) -> None:
        """Take a place. Raises QueueFullError."""
        self._check_places()
        self._admitted.add(request)

    def _check_places(self) -> None:
        if len(self._admitted) >= self._places:
            raise QueueFullError(self.retry_after())

    def enqueue(self, request: str, now: float, *, key: Hashable | None = None) -> None:
        """An admitted request waits for the device from now on; `key` as for `offer`."""
        self._queue.append(_Queued(request, now, key))

    def release(self, request: str) -> None:
        """Give the place back; a request that still waits leaves the queue."""
        self._admitted.discard(request)
        self._queue = deque(entry for entry in self._queue if entry.request != request)

    # The device

    def next(self, now: float) -> tuple[Turn, ...]:
        """Begin to use the device: the turns to take together; none when it is busy or nobody waits."""
        if self._running is not None:
            return ()
        turns: list[Turn] = []
        shared: _Work | None = None
        # The queue has one seat in the round; the room that all seats leave is its as well.
        for seat in (*self._round, *[_REQUESTS] * len(self._queue)):
            work = self._work(seat, now)
            if work is None or (shared is not None and not work.joins(shared)):
                continue
            shared = shared or work
            turns.append(self._take(seat, work, now))
            self._round.move_to_end(seat)
            if len(turns) == self._batch:
                break
        if turns:
            self._running = (len(turns), now)
        return tuple(turns)

    def wake_at(self, now: float) -> float | None:
        """When somebody's rest is over, if nothing else happens before; None if nobody rests."""
        rests = [
            mailbox.changed_at + self._rest
            for mailbox in self._painters.values()
            if mailbox.owed and mailbox.open and mailbox.filled_at is None
        ]
        return max(now, min(rests)) if rests and self._running is None else None

    def finish(self, now: float) -> None:
        """The device is free again."""
        if self._running is None:
            raise RuntimeError("no turn is running")
        turns, started = self._running
        self._running = None
        self._turn_seconds += _SMOOTHING * ((now - started) / turns - self._turn_seconds)

    def skip(self) -> None:
        """The turns that run came to nothing; they do not count as a measure of turns."""
        self._running = None

    def retry_after(self) -> float:
        """Seconds until about half the places are free again, all painters taking their turns; at least 1."""
        turns = (len(self._admitted) + 1) / 2 * len(self._round)
        return max(1.0, turns * self._turn_seconds)

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def painters(self) -> int:
        return len(self._painters)

    @property
    def idle(self) -> bool:
        """No turn runs and no request is under way; painters may be there."""
        return self._running is None and not self._admitted

    def _work(self, seat: str, now: float) -> _Work | None:
        if seat != _REQUESTS:
            return self._painters[seat].work(now, self._rest)
        return _Work(self._queue[0].key, exact=True) if self._queue else None

    def _take(self, seat: str, work: _Work, now: float) -> Turn:
        if seat == _REQUESTS:
            queued = self._queue.popleft()
            return Turn(None, queued.request, now - queued.since)
        mailbox = self._painters[seat]
        since = mailbox.filled_at if mailbox.filled_at is not None else mailbox.changed_at + self._rest
        mailbox.filled_at = None
        mailbox.owed = mailbox.owed and not work.exact
        return Turn(seat, None, now - since, work.exact)
