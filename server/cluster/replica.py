"""A model replica: owns a library, a device and the painters that are pinned to it. Knows nothing of Ray."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from functools import partial

from engine import Library
from server.cluster.line import Line, Ticket
from server.cluster.placing import Route
from server.cluster.wire import Answer, Facts, refusal
from server.device import Device, Work
from server.memory import low_memory
from server.rendering import PainterLostError, RenderRequest, batch_key


class WedgedError(RuntimeError):
    """The device does not come back."""


class Replica:
    """Does the work of all ingresses, in turns. Use within one event loop, which never runs torch.

    Args:
        name: the replica's id in the cluster.
        library: where painters come from.
        device: paints with it.
        batch: most pictures painted together.
        painters: most painters kept; those that were not painted for longest make room.
        idle: seconds after which a painter that nobody asked for is dropped: its ingress is gone.
        watchdog: seconds that one use of the device may take; then the replica is of no more use.
        replicas: how many replicas are wanted at present.
        clock: seconds.
    """

    def __init__(
        self,
        name: str,
        library: Library,
        device: Device,
        *,
        batch: int,
        painters: int,
        idle: float,
        watchdog: float,
        replicas: Callable[[], int] = lambda: 1,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.name = name
        self._library = library
        self._device = device
        self._line = Line(batch)
        self._most_painters = painters
        self._idle = idle
        self._watchdog = watchdog
        self._replicas = replicas
        self._clock = clock
        self._numbers = itertools.count(1)
        self._waiting: dict[Ticket, tuple[Work, asyncio.Future[object]]] = {}
        self._painters: OrderedDict[str, float] = OrderedDict()  # by when they were last asked for
        self._busy_since: float | None = None
        self.short_of_memory = False
        """Whether new painters and requests are refused (server/memory.py)."""
        self._painted = self._uses = 0

    async def start(self) -> None:
        """Load and warm up the default model."""
        await self._device.start()

    async def stop(self) -> None:
        """Finish what runs and end the device's thread."""
        await self._device.stop()

    async def do(self, route: Route, work: Work) -> Answer:
        """Paint a picture, or run a call. What goes wrong is the answer's result, as a Refusal.

        Cancelling the caller takes the work out of the line.
        """
        try:
            return Answer(self.name, await self._done(route, work))
        except Exception as error:
            return Answer(self.name, refusal(error))

    def forget(self, route: Route, *, small: bool) -> None:
        """A live painter is over, or has moved to another replica; with `small` only its smaller pictures.
        One that is not here is no error."""
        painter = route.painter
        if painter is None or painter not in self._painters:
            return
        if small:
            self._device.forget(painter, small=True)
            return
        del self._painters[painter]
        self._drop(painter)

    def facts(self) -> Facts:
        """How it does."""
        return Facts(
            replica=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self._library.device_name,
            precision=self._library.precision,
            replicas=self._replicas(),
            models=tuple(self._library.loaded),
            painters=len(self._painters),
            queued=self._line.queued,
            painted=self._painted,
            uses=self._uses,
            cached_bytes=self._library.cached_bytes,
        )

    def check(self) -> None:
        """Raise WedgedError if the device has not come back for too long."""
        if self._busy_since is not None and self._clock() - self._busy_since > self._watchdog:
            raise WedgedError(f"the device has been busy with one use for more than {self._watchdog:.0f} s")

    # Painters

    def _welcome(self, route: Route, work: Work) -> None:
        """Note that a painter is here. Raises PainterLostError where it is not, or where it was elsewhere
        meanwhile: what is kept of it here then lacks what it painted there. Raises Problem for who is new
        while there is no memory."""
        painter = route.painter
        if self.short_of_memory and painter not in self._painters:
            raise low_memory()
        if painter is None:
            return
        if isinstance(work, RenderRequest) and not work.fresh and route.home != self.name:
            raise PainterLostError
        self._painters[painter] = self._clock()
        self._painters.move_to_end(painter)
        self._drop_idle()

    def _drop_idle(self) -> None:
        oldest = self._clock() - self._idle
        while self._painters:
            painter, seen = next(iter(self._painters.items()))
            if seen >= oldest and len(self._painters) <= self._most_painters:
                return
            del self._painters[painter]
            self._drop(painter)

    def _drop(self, painter: str) -> None:
        self._line.leave(painter)
        self._device.forget(painter)

    # The device

    async def _done(self, route: Route, work: Work) -> object:
        self._welcome(route, work)
        seat, painter = route.painter or route.ingress, route.painter is not None
        ticket = Ticket(next(self._numbers), seat, painter, self._key_of(work))
        result: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = work, result
        self._line.add(ticket)
        try:
            self._pump()
            return await result
        finally:
            del self._waiting[ticket]
            self._line.remove(ticket)

    def _key_of(self, work: Work) -> Hashable | None:
        """Pictures of one quality are painted together; calls run alone."""
        if not isinstance(work, RenderRequest):
            return None
        stride = self._library.spec(work.model).stride
        return batch_key(work.model, stride, work.width, work.height), work.quality

    def _pump(self) -> None:
        if tickets := self._line.next(self._clock()):
            self._busy_since = self._clock()
            loop = asyncio.get_running_loop()
            done = self._device.submit([self._waiting[ticket][0] for ticket in tickets])
            done.add_done_callback(partial(loop.call_soon_threadsafe, partial(self._finished, tickets)))

    def _finished(self, tickets: Sequence[Ticket], done: Future[Sequence[object]]) -> None:
        self._line.finish(self._clock())
        self._busy_since = None
        self._uses += 1
        error = None if done.cancelled() else done.exception()
        results = [error] * len(tickets) if error or done.cancelled() else done.result()
        for ticket, result in zip(tickets, results, strict=True):
            self._tell(ticket, result)
        self._pump()

    def _tell(self, ticket: Ticket, result: object) -> None:
        waiting = self._waiting.get(ticket)
        if waiting is None or waiting[1].done():
            return  # it gave up while its picture was painted
        if isinstance(result, BaseException):
            waiting[1].set_exception(result)
        else:
            self._painted += isinstance(waiting[0], RenderRequest)
            waiting[1].set_result(result)
