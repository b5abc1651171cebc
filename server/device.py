"""Where pictures are painted: what the worker needs of a device, and the one that is this process's own.

Work is data, so that it can be painted in another process as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from engine import Library
from models.spec import ModelSpec
from server.maps import Map, Pixels
from server.rendering import Renderer, RenderRequest
from server.segmenting import Reader, Segmenters

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Tools:
    """What calls work with, in the device's thread."""

    library: Library
    segmenters: Segmenters


class Call(Protocol[T_co]):
    """Other work for the device than painting."""

    def run(self, tools: Tools) -> T_co: ...


@dataclass(frozen=True, slots=True)
class ReadLabels:
    """Read a photo's labels: uint8 RGB (H, W, 3) → ids of the reader's own set, uint8 (H, W)."""

    photo: Pixels
    reader: Reader

    def run(self, tools: Tools) -> Map:
        return tools.segmenters.read(self.photo, self.reader)


@dataclass(frozen=True, slots=True)
class ReadStyle:
    """Read a photo's style code by a model's encoder: uint8 RGB (H, W, 3) → its numbers."""

    photo: Pixels
    model: ModelSpec

    def run(self, tools: Tools) -> tuple[float, ...]:
        return tools.library.style_of(self.photo, self.model)


Work = RenderRequest | Call[object]
Result = object
"""A Rendered for a picture, what a call returned, or the exception that stopped either."""


@dataclass(frozen=True, slots=True)
class About:
    """A device's name, and the arithmetic that it paints in."""

    name: str
    precision: str


class Device(Protocol):
    """Paints what it is given. Its methods are called on the event loop, and none of them waits."""

    @property
    def uses(self) -> int:
        """Uses that may be under way at once."""
        ...

    @property
    def documents(self) -> int:
        """Live documents that a painter is kept for."""
        ...

    @property
    def about(self) -> About | None:
        """What it is; None while it cannot be reached."""
        ...

    async def start(self) -> None:
        """Make ready: the default model is loaded and has painted once. Raises what keeps it from that."""
        ...

    def submit(self, works: Sequence[Work]) -> Future[Sequence[Result]]:
        """Paint requests together, or run one call; one result for each."""
        ...

    def forget(self, painter: str, *, small: bool = False) -> None:
        """Drop what is kept for a live painter, or only its smaller pictures."""
        ...

    async def between(self, work: Callable[[], T]) -> T:
        """Run something on the device's thread between two uses of it."""
        ...

    async def stop(self) -> None:
        """Finish what runs; what has not begun is dropped."""
        ...


class ThreadDevice:
    """The device of this process: one thread that owns the library and its painters.

    Args:
        library, segmenters: what it works with.
        painter_cache_mb: MiB of modulation tables that there is room for per live painter.
        clock: seconds.
    """

    uses = 1

    def __init__(
        self,
        library: Library,
        segmenters: Segmenters,
        painter_cache_mb: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._painter_cache_mb = painter_cache_mb
        self._tools = Tools(library, segmenters)
        self._renderer = Renderer(library, clock)
        self._thread = ThreadPoolExecutor(1, "device")

    @property
    def documents(self) -> int:
        return self._renderer.kept

    @property
    def about(self) -> About:
        return About(self._tools.library.device_name, self._tools.library.precision)

    async def start(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._tools.library.warm_up)

    def submit(self, works: Sequence[Work]) -> Future[Sequence[Result]]:
        return self._thread.submit(self._run, works)

    def forget(self, painter: str, *, small: bool = False) -> None:
        self._thread.submit(self._renderer.forget, painter, small=small)

    async def between(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def stop(self) -> None:
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    def _run(self, works: Sequence[Work]) -> Sequence[Result]:
        """In the device's thread: pictures together; a call, which has no key to share, alone."""
        requests = [work for work in works if isinstance(work, RenderRequest)]
        if requests:
            self._tools.library.make_room(self._painter_cache_mb * self._renderer.kept)
            return self._renderer.render_many(requests)
        return [work.run(self._tools) for work in works if not isinstance(work, RenderRequest)]
