"""Where photos are held decoded: a few at once, in threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, ParamSpec, TypeVar

from server.worker import busy

_SECONDS: Final = 2.0
"""About what a request with a photo takes, for those that are told to come back."""

P = ParamSpec("P")
T = TypeVar("T")


class Darkroom:
    """Large photos fill the memory and take seconds to pack. So few requests hold one at a time, while the
    others wait with their files as they came; and the pool that packs live frames waits for none of them.

    Args:
        seats: photos, with what is made of them, that may be there at once.
        most: requests that may be there at once, those that wait included. All of them hold places in the
            device's queue, and must leave some to requests that are painted at once.
    """

    def __init__(self, seats: int, most: int) -> None:
        self._seats = asyncio.Semaphore(seats)
        self._number = seats
        self._most = most
        self.there = 0
        self._pool = ThreadPoolExecutor(seats, "photo")

    def check(self) -> None:
        """Raise Problem (503 with Retry-After) when no more may come in."""
        if self.there >= self._most:
            raise busy(self.there / self._number * _SECONDS)

    @asynccontextmanager
    async def seat(self) -> AsyncGenerator[None]:
        """Wait for a seat, first come, first served, and give it back at the end. Raises as `check` does."""
        self.check()
        self.there += 1
        try:
            async with self._seats:
                yield
        finally:
            self.there -= 1

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do work on a photo off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """End the threads; what waits for them is dropped."""
        self._pool.shutdown(cancel_futures=True)
