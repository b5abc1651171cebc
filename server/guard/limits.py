"""How much one client may ask for. Pure policy: takes the time and names, does no I/O.

A *bucket* per client holds as many requests as may come at once, and fills again at the rate that is
allowed for long. A client who has been quiet until its bucket is full again is forgotten, since a new one
would be the same; nobody else ever is. So nobody's count can be reset by sending from many addresses, and
when as many clients as are remembered are all busy, further ones share one bucket until some fall quiet.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

MOST_CLIENTS: Final = 16_384
"""Remembered at once: some 4 MB."""
_RETRY_SOON: Final = 1.0


class OverLimitError(Exception):
    """The client has had its share. `retry_after` is in seconds; `which` is rate, working or sockets."""

    def __init__(self, which: str, retry_after: float) -> None:
        super().__init__(f"over its share of {which}; again in {retry_after:.1f} s")
        self.which = which
        self.retry_after = retry_after


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Limiter:
    """Counts what clients do. 0 means no limit. Times are in seconds of one monotonic clock.

    Args:
        rate: requests a second.
        burst: requests at once, after a quiet time.
        working: requests under way that cost work.
        sockets: live sockets.
        most_clients: remembered at once.
    """

    def __init__(
        self, rate: float, burst: int, working: int, sockets: int, most_clients: int = MOST_CLIENTS
    ) -> None:
        self._rate = rate
        self._burst = max(1, burst)
        self._most_working = working
        self._most_sockets = sockets
        self._most_clients = most_clients
        # In the order of their last request, so that those who are full again stand in front.
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._others = _Bucket(self._burst, 0.0)
        # Bounded by the connections there are.
        self._working: Counter[str] = Counter()
        self._sockets: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, client: str, now: float) -> None:
        """Count one request. Raises OverLimitError; a refused request is not counted."""
        if not self._rate:
            return
        bucket = self._bucket(client, now)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        if bucket.left < 1:
            raise OverLimitError("rate", (1 - bucket.left) / self._rate)
        bucket.left -= 1

    def _bucket(self, client: str, now: float) -> _Bucket:
        found = self._buckets.get(client)
        if found is None:
            self._forget_quiet(now)
            if len(self._buckets) >= self._most_clients:
                return self._others
            found = self._buckets[client] = _Bucket(self._burst, now)
        self._buckets.move_to_end(client)
        return found

    def _forget_quiet(self, now: float) -> None:
        full_after = self._burst / self._rate
        while self._buckets:
            client, bucket = next(iter(self._buckets.items()))
            if bucket.at + full_after > now:
                return
            del self._buckets[client]

    @contextmanager
    def working(self, client: str) -> Generator[None]:
        """One piece of work under way. Raises OverLimitError."""
        with _counted(self._working, client, self._most_working, "working"):
            yield

    @contextmanager
    def socket(self, client: str) -> Generator[None]:
        """One live socket. Raises OverLimitError."""
        with _counted(self._sockets, client, self._most_sockets, "sockets"):
            yield


@contextmanager
def _counted(counts: Counter[str], client: str, most: int, which: str) -> Generator[None]:
    if most and counts[client] >= most:
        raise OverLimitError(which, _RETRY_SOON)
    counts[client] += 1
    try:
        yield
    finally:
        counts[client] -= 1
        if not counts[client]:
            del counts[client]
