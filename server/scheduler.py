"""Whose turn it is at the device. Pure policy: takes the time and data, does no I/O, renders nothing.

Two kinds of customers share one device:

- a *painter* has a mailbox of one slot, where the newest revision wins, and at most two frames that its page
  has not yet acknowledged, which it can do only once they are on their way. While its hand moves, its frames
  may be previews; once the hand has rested, it is owed an exact one of the newest revision;
- *requests* (REST) are a bounded number while their bodies are read; then they take one of fewer places and
  wait in line, each client's in a line of its own. So slow uploads keep nobody from the device.

Painters come first: somebody waits for each of their pictures with a brush in the hand. Requests get what
painters leave, and never less than a fifth of the time while they wait. Within either kind the device's time
is shared by deficit round robin (scheduling/rounds.py), over painters and over clients.

The device is used by one turn at a time, or by one *batch*: work of one kind that waits together shares one
use. Who is next decides of which kind, the others join in the order of the round, as long as the batch stays
in time for whoever in it is the most pressed. Nobody waits for a batch to fill. Where pictures are painted by
several machines, several uses are under way at once, and never two of one painter.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from server.scheduling.costs import Costs
from server.scheduling.load import Level, Load
from server.scheduling.mailbox import MAX_UNACKNOWLEDGED, Mailbox, Work
from server.scheduling.rounds import Rounds

__all__ = ["MAX_UNACKNOWLEDGED", "REST_SECONDS", "Level", "QueueFullError", "Scheduler", "Turn"]

REST_SECONDS: Final = 0.12
"""A hand that has changed nothing for so long rests. Longer than between two moves of a slow stroke, and
short enough to wait for."""
MOVING_SECONDS: Final = 1.0
"""A hand that has changed something in so long counts as one that moves."""
REQUESTS_SHARE: Final = 0.2
"""Of the device's time, for requests that wait while painters do."""
LIVE_WITHIN: Final = 0.1
"""Seconds in which a painter should have its picture, and a request its own: they bound batches."""
REQUEST_WITHIN: Final = 10.0
_MOST_OWED: Final = 1.0  # seconds of their share that requests can save up
_FIRST_GUESS: Final = 1.0  # seconds a request takes, before anything was measured
_ROUND_HOLDS: Final = 0.05  # seconds
_SMALLER: Final = 4.0  # times as dear as a live picture at half the size


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
    small: bool = False
    """A preview of the picture at half its size."""


class _Queued(NamedTuple):
    """A request in its client's line."""

    request: str
    since: float
    key: Hashable | None


class _Seat(NamedTuple):
    """A seat whose turn comes, and what it waits with."""

    rounds: Rounds
    name: str
    work: Work


class _Charged(NamedTuple):
    """A turn that runs, the seconds that its seat was charged, and when its picture should be there."""

    turn: Turn
    seat: _Seat
    price: float
    due: float
    settled: bool
    """Whether what it really takes makes a difference."""


class Scheduler:
    """The policy's state. Every time is in seconds of one monotonic clock.

    Args:
        places: requests that may wait for the device.
        uploads: requests whose bodies may be read at once.
        batch: most pictures in one use of the device.
        uses: uses of the device that may be under way at once.
        rest: seconds without a change after which a painter is owed an exact picture.
    """

    def __init__(
        self, places: int, uploads: int, *, batch: int = 1, uses: int = 1, rest: float = REST_SECONDS
    ) -> None:
        self._places = places
        self._max_uploads = uploads
        self._batch = batch
        self._uses = uses
        self._shortest_rest = rest
        self._uploads = 0
        self._admitted: set[str] = set()
        self._lines: dict[str, deque[_Queued]] = {}
        self._line_of: dict[str, str] = {}
        self._painters: dict[str, Mailbox] = {}
        self._painters_round, self._clients_round = Rounds(), Rounds()
        self._owed_to_requests = 0.0
        self._running: dict[tuple[Turn, ...], tuple[Sequence[_Charged], float]] = {}
        self._costs = Costs()
        self._load = Load()
        self._round = (-math.inf, 0.0)
        self.superseded = 0
        """Revisions that no picture shows, since a newer one came before their turn."""

    # Painters

    def join(self, painter: str) -> None:
        self._painters[painter] = Mailbox()
        self._painters_round.join(painter)

    def leave(self, painter: str) -> None:
        """Give up the painter's seat; a turn of its that runs will still finish."""
        self._painters.pop(painter, None)
        self._painters_round.leave(painter)

    def offer(
        self,
        painter: str,
        now: float,
        *,
        key: Hashable | None = None,
        small_key: Hashable | None = None,
        live: bool = True,
    ) -> None:
        """The painter has a newer revision. A full slot keeps its time: waiting is not reset.

        Pictures of equal `key` can be painted together; None goes alone. `live`: previews will do meanwhile.
        `small_key`: the key of previews at half the size; None where they would not be cheaper.
        """
        mailbox = self._painters[painter]
        if mailbox.filled_at is None:
            mailbox.filled_at = now
        else:
            self.superseded += 1
        mailbox.changed_at, mailbox.key, mailbox.small_key = now, key, small_key
        mailbox.live, mailbox.failed = live, False

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

    def enqueue(self, request: str, now: float, *, key: Hashable | None = None, client: str = "") -> None:
        """An admitted request waits from now on, in its client's line; `key` as for `offer`."""
        if client not in self._lines:
            self._lines[client] = deque()
            self._clients_round.join(client)
        self._lines[client].append(_Queued(request, now, key))
        self._line_of[request] = client

    def release(self, request: str) -> None:
        """Give the place back; a request that still waits leaves its line."""
        self._admitted.discard(request)
        client = self._line_of.pop(request, None)
        if client is not None and client in self._lines:
            self._lines[client] = deque(one for one in self._lines[client] if one.request != request)
            self._tidy(client)

    def _tidy(self, client: str) -> None:
        """A client with nothing in line has no seat: clients come and go, and are not to be remembered."""
        if not self._lines[client]:
            del self._lines[client]
            self._clients_round.leave(client)

    # The device

    def next(self, now: float) -> tuple[Turn, ...]:
        """Begin to use the device: the turns to take together; none when it is busy or nobody waits."""
        if len(self._running) >= self._uses:
            return ()
        first = self._first(now)
        if first is None:
            return ()
        shared, use = first.work, [self._begin(first, now)]
        for seat in self._joiners(shared, now):
            if len(use) == self._batch or not self._in_time(use, now):
                break
            seat.rounds.join_in(seat.name, self._price(seat))
            use.append(self._begin(seat, now))
        turns = tuple(one.turn for one in use)
        self._running[turns] = (use, now)
        return turns

    def wake_at(self, now: float) -> float | None:
        """When somebody's rest is over, if nothing else happens before; None if nobody rests."""
        if len(self._running) >= self._uses:
            return None  # whoever ends a use looks again
        rest = self._rest(now)
        rests = [
            mailbox.changed_at + rest
            for mailbox in self._painters.values()
            if mailbox.owed and mailbox.open and mailbox.filled_at is None
        ]
        return max(now, min(rests)) if rests else None

    def finish(self, now: float, turns: tuple[Turn, ...] | None = None) -> None:
        """A use of the device is over: that of these turns, or the only one."""
        use, started = self._end(turns)
        seconds = (now - started) / len(use)
        for one in use:
            self._costs.learn(one.seat.work.kind, seconds)
            if one.settled:
                one.seat.rounds.settle(one.seat.name, one.price, seconds)
        self._share_out(use, now - started)

    def skip(self, turns: tuple[Turn, ...] | None = None) -> None:
        """Turns that run came to nothing: they are no measure of turns, and cost nobody anything."""
        for one in self._end(turns)[0]:
            one.seat.rounds.settle(one.seat.name, one.price, 0.0)

    def retry_after(self) -> float:
        """Seconds until about half the places are free again, painters taking their turns; at least 1."""
        each = self._costs.mean if self._costs.measured else _FIRST_GUESS
        share = REQUESTS_SHARE if self._painters else 1.0
        return max(1.0, (len(self._admitted) + 1) / 2 * each / share)

    @property
    def queued(self) -> int:
        return sum(len(line) for line in self._lines.values())

    @property
    def painters(self) -> int:
        return len(self._painters)

    @property
    def idle(self) -> bool:
        """No turn runs and no request is under way; painters may be there."""
        return not self._running and not self._admitted

    # The load

    @property
    def level(self) -> Level:
        """What is done about the load."""
        return self._load.level

    def observe_load(self, now: float) -> bool:
        """Take note of how many hands move; whether the level has changed. To be called now and then."""
        return self._load.observe(self.round_seconds(now), now)

    def round_seconds(self, now: float) -> float:
        """What one live picture of each painter whose hand moves would take, at full size. Counted anew some
        times a second: it is asked for with every change."""
        counted_at, seconds = self._round
        if not 0 <= now - counted_at < _ROUND_HOLDS:
            moving = [
                mailbox
                for mailbox in self._painters.values()
                if mailbox.live and now - mailbox.changed_at <= MOVING_SECONDS
            ]
            # One hand alone waits for nobody, however slow its first, cold pictures are.
            seconds = sum(map(self._full_cost, moving)) / self._uses if len(moving) > 1 else 0.0
            self._round = (now, seconds)
        return seconds

    def _full_cost(self, mailbox: Mailbox) -> float:
        known = self._costs.known(Work(mailbox.key, exact=False).kind)
        small = self._costs.known(Work(mailbox.small_key, exact=False, small=True).kind)
        if known is not None:
            return known
        return small * _SMALLER if small is not None else self._costs.mean

    def _rest(self, now: float) -> float:
        if self._load.level is Level.NORMAL:
            return self._shortest_rest
        return self._load.rest(self._shortest_rest, self.round_seconds(now))

    # Whose turn

    def _first(self, now: float) -> _Seat | None:
        """Who opens the use of the device, and is charged for it."""
        painters, clients = self._waiting_painters(now), self._waiting_clients()
        thought = {client: self._costs.of(work.kind) for client, work in clients.items()}
        if clients and (not painters or self._owed_to_requests >= min(thought.values())):
            client = self._clients_round.take(thought)
            return _Seat(self._clients_round, client, clients[client]) if client is not None else None
        prices = {
            name: self._price(_Seat(self._painters_round, name, work)) for name, work in painters.items()
        }
        painter = self._painters_round.take(prices)
        return _Seat(self._painters_round, painter, painters[painter]) if painter is not None else None

    def _joiners(self, shared: Work, now: float) -> Iterator[_Seat]:
        """Who else can be painted with that work: painters first, then the heads of the clients' lines, one
        of each line after the other. Each is to be begun before the next one is asked for."""
        if shared.key is None:
            return
        for painter, work in self._in_order(self._painters_round, self._waiting_painters(now)):
            if work.joins(shared):
                yield _Seat(self._painters_round, painter, work)
        found = True
        while found:
            found = False
            for client, work in self._in_order(self._clients_round, self._waiting_clients()):
                if work.joins(shared):
                    found = True
                    yield _Seat(self._clients_round, client, work)

    @staticmethod
    def _in_order(rounds: Rounds, waiting: dict[str, Work]) -> list[tuple[str, Work]]:
        return [(seat, waiting[seat]) for seat in rounds if seat in waiting]

    def _waiting_painters(self, now: float) -> dict[str, Work]:
        rest, smaller = self._rest(now), self._load.level is Level.SMALLER
        found = ((name, box.work(now, rest, smaller=smaller)) for name, box in self._painters.items())
        return {name: work for name, work in found if work is not None}

    def _waiting_clients(self) -> dict[str, Work]:
        return {client: Work(line[0].key, exact=True) for client, line in self._lines.items() if line}

    def _in_time(self, use: Sequence[_Charged], now: float) -> bool:
        """Whether one more picture keeps the batch in time for everybody in it. Who is late already is served
        best by a full batch, and so is everybody while nobody knows how long it takes."""
        each = self._costs.known(use[0].seat.work.kind)
        due = min(one.due for one in use)
        return each is None or now + each * (len(use) + 1) <= due or due <= now + each

    def _price(self, seat: _Seat) -> float:
        """The seconds that a seat is charged when its turn begins: what such a turn is thought to take. The
        exact picture after a live one's rest is charged as one of those: everybody has one for each pause,
        and the next stroke is not to wait for it."""
        work = seat.work
        of_a_hand = seat.rounds is self._painters_round and self._painters[seat.name].live
        return self._costs.of(Work(work.key, exact=False).kind if of_a_hand else work.kind)

    def _begin(self, seat: _Seat, now: float) -> _Charged:
        """Take what a seat waits with."""
        price = self._price(seat)
        if seat.rounds is self._clients_round:
            line = self._lines[seat.name]
            queued = line.popleft()
            turn = Turn(None, queued.request, now - queued.since)
            return _Charged(turn, seat, price, queued.since + REQUEST_WITHIN, settled=True)
        mailbox = self._painters[seat.name]
        since = mailbox.since(self._rest(now))
        mailbox.filled_at, mailbox.busy = None, True
        mailbox.owed = mailbox.owed and not seat.work.exact
        turn = Turn(seat.name, None, now - since, seat.work.exact, seat.work.small)
        settled = not (turn.exact and mailbox.live)
        return _Charged(turn, seat, price, since + LIVE_WITHIN, settled)

    def _end(self, turns: tuple[Turn, ...] | None) -> tuple[Sequence[_Charged], float]:
        """Forget a use that runs, and let its painters have turns again."""
        if turns is None and len(self._running) == 1:
            turns = next(iter(self._running))
        if turns is None or turns not in self._running:
            raise RuntimeError("no such turn is running")
        use, started = self._running.pop(turns)
        for one in use:
            mailbox = self._painters.get(one.turn.painter or "")
            if mailbox is not None:
                mailbox.busy = False
        return use, started

    def _share_out(self, use: Sequence[_Charged], seconds: float) -> None:
        """What painters took while requests waited is owed to those, and what they took is paid off."""
        if use[0].seat.rounds is self._clients_round:
            self._owed_to_requests = max(0.0, self._owed_to_requests - seconds)
        elif any(self._lines.values()):
            owed = self._owed_to_requests + seconds * REQUESTS_SHARE / (1 - REQUESTS_SHARE)
            self._owed_to_requests = min(_MOST_OWED, owed)
        else:
            self._owed_to_requests = 0.0
