"""A painter with the page's rules (server/loadtool/page.py): its map is the truth, its line comes back."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from models.labels import load_label_set
from server.loadtool.hand import Rect
from server.loadtool.page import Page
from server.loadtool.painter import Painter
from server.protocol import Frame

LANDSCAPE = load_label_set("landscape17")
SKY, MOUNTAIN, GRASS = 1, 3, 8
PATIENCE = 60.0
"""Seconds that a test waits for what must come. Nothing is timed by it: machines are shared."""


async def until(
    condition: Callable[[], Any], what: Callable[[], str] | str, *, within: float = PATIENCE
) -> None:
    """Poll until the condition holds; `what` is said when it never does."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            said = what if isinstance(what, str) else what()
            raise AssertionError(f"in vain for {within:.0f} s: {said}")
        await asyncio.sleep(0.02)


class FaultPainter:
    """Use as an async context: it joins, and leaves at the end.

    Args:
        live: address of the socket.
        seed: of noise and light.
        size: side of the canvas.
    """

    def __init__(self, live: str, *, seed: int = 1, size: int = 64) -> None:
        labels = np.full((size, size), SKY, np.uint8)
        labels[size // 3 :] = MOUNTAIN
        labels[2 * size // 3 :] = GRASS
        self.page = Page(labels, LANDSCAPE.hash, seed)
        self.frames: list[Frame] = []
        self.painter = Painter(live, self.page, seed=seed, on_frame=self.frames.append)

    async def __aenter__(self) -> Self:
        self._line = asyncio.create_task(self.painter.keep_line())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line.cancel()
        await asyncio.gather(self._line, return_exceptions=True)

    async def paint(self, label: int, rect: Rect = Rect(8, 4, 16, 12)) -> None:  # noqa: B008 frozen
        """A rectangle on its own map, by default in the sky, sent if there is a line."""
        self.page.labels[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] = label
        self.page.mark(rect, time.perf_counter())
        await self.painter.flush()

    @property
    def settled(self) -> bool:
        """Whether the exact picture of its newest map has come."""
        if self.page.owed or not self.frames:
            return False
        last = self.frames[-1]
        newest = (last.epoch, last.revision) == (self.page.epoch, self.page.revision)
        return newest and last.exact

    async def picture(self) -> bytes:
        """The exact picture of its newest map, once it has come."""
        await until(lambda: self.settled, lambda: f"a picture; met {self.page.journal.errors}")
        return self.frames[-1].picture

    async def keep_painting(self, pause: float = 0.05) -> None:
        """Until cancelled: a change, its frame, a pause."""
        for count in range(1_000_000):
            await self.paint((SKY, MOUNTAIN, GRASS)[count % 3])
            await until(lambda: not self.page.owed, "a frame for a painter who does nothing wrong")
            await asyncio.sleep(pause)
