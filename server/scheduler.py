"""Whose turn it is at the device. Pure policy: takes the time and data, does no I/O, renders nothing.

Two kinds of customers share one device:

- a *painter* has a mailbox of one slot, where the newest revision wins, and at most two frames that its page
  has not yet acknowledged, which it can do only once they are on their way;
- *requests* (REST) are a bounded number while their bodies are read; then they take one of fewer places and
  wait in one queue, first come, first served. So slow uploads keep nobody from the device.

Turns go round robin over the painters and the queue, the whole queue counting as one painter: neither many
requests nor many painters can starve the other kind. One turn runs at a time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

MAX_UNACKNOWLEDGED: Final = 2
_REQUESTS: Final = ""  # the queue's seat in the round; painters' keys are never empty
_FIRST_GUESS: Final = 1.0  # seconds a turn takes, before one was measured
_SMOOTHING: Final = 0.2


class QueueFullError(Exception):
    """No place left. `retry_after` estimates the seconds until the queue has moved on."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the queue is full; try again in {retry_after:.1f} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Turn:
    """One use of the device. `painter` is the painter's key, or None for the request `request`."""

    painter: str | None
    request: str | None
    waited: float
    """Seconds since the request was queued, or since the painter's slot was filled."""


@dataclass(slots=True)
class _Mailbox:
    filled_at: float | None = None
    numbered: int = 0
    sent: int = 0
    acknowledged: int = 0

    @property
    def ready(self) -> bool:
        return self.filled_at is not None and self.numbered - self.acknowledged < MAX_UNACKNOWLEDGED


class Scheduler:
    """The policy's state. Every time is in seconds of one monotonic clock."""

    def __init__(self, places: int, uploads: int) -> None:
        self._places = places
        self._max_uploads = uploads
        self._uploads = 0
        self._admitted: set[str] = set()
        self._queue: deque[tuple[str, float]] = deque()
        self._painters: dict[str, _Mailbox] = {}
        # Seats in the order of their last turn, the longest unserved first.
        self._round: OrderedDict[str, None] = OrderedDict({_REQUESTS: None})
        self._running: tuple[Turn, float] | None = None
        self._turn_seconds = _FIRST_GUESS

    # Painters

    def join(self, painter: str) -> None:
        self._painters[painter] = _Mailbox()
        self._round[painter] = None

    def leave(self, painter: str) -> None:
        """Give up the painter's seat; a turn of its that runs will still finish."""
        self._painters.pop(painter, None)
        self._round.pop(painter, None)

    def offer(self, painter: str, now: float) -> None:
        """The painter has a newer revision. A full slot keeps its time: waiting is not reset."""
        mailbox = self._painters[painter]
        if mailbox.filled_at is None:
            mailbox.filled_at = now

    def number_frame(self, painter: str) -> int:
        """The next frame's number, from 1; the frame counts as unacknowledged from now on."""
        mailbox = self._painters[painter]
        mailbox.numbered += 1
        return mailbox.numbered

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

    def forgive(self, painter: str) -> None:
        """Count every frame so far as acknowledged: they showed a document that is gone."""
        mailbox = self._painters[painter]
        mailbox.acknowledged = mailbox.numbered

    # Requests

    def begin_upload(self) -> None:
        """A request's body is about to be read. Raises QueueFullError, also when no place is left for it."""
        self._check_places()
        if self._uploads >= self._max_uploads:
            raise QueueFullError(self.retry_after())
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

    def enqueue(self, request: str, now: float) -> None:
        """An admitted request waits for the device from now on."""
        self._queue.append((request, now))

    def release(self, request: str) -> None:
        """Give the place back; a request that still waits leaves the queue."""
        self._admitted.discard(request)
        self._queue = deque(entry for entry in self._queue if entry[0] != request)

    # The device

    def next(self, now: float) -> Turn | None:
        """Start the next turn, or None when the device is busy or nobody waits."""
        if self._running is not None:
            return None
        seat = next((seat for seat in self._round if self._is_ready(seat)), None)
        if seat is None:
            return None
        self._round.move_to_end(seat)
        turn = self._take(seat, now)
        self._running = (turn, now)
        return turn

    def finish(self, now: float) -> None:
        """The running turn is over."""
        if self._running is None:
            raise RuntimeError("no turn is running")
        _, started = self._running
        self._running = None
        self._turn_seconds += _SMOOTHING * ((now - started) - self._turn_seconds)

    def skip(self) -> None:
        """The running turn came to nothing; it does not count as a measure of turns."""
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

    def _is_ready(self, seat: str) -> bool:
        return bool(self._queue) if seat == _REQUESTS else self._painters[seat].ready

    def _take(self, seat: str, now: float) -> Turn:
        if seat == _REQUESTS:
            request, since = self._queue.popleft()
            return Turn(None, request, now - since)
        mailbox = self._painters[seat]
        since = mailbox.filled_at if mailbox.filled_at is not None else now
        mailbox.filled_at = None
        return Turn(seat, None, now - since)
