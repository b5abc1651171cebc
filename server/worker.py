"""Between the event loop and the device: hands it work in the scheduler's order, and tells what came of it.

Everything here happens on the event loop, so the scheduler needs no lock.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import structlog

from models.spec import ModelSpec
from server import tracing
from server.device import About, Call, Device, Result, Work
from server.errors import Problem
from server.memory import low_memory
from server.rendering import BatchKey, Rendered, RenderRequest, batch_key
from server.scheduler import Level, QueueFullError, Scheduler, Turn

log = structlog.get_logger(__name__)

WATCHDOG_SECONDS: Final = 120.0
_LOOKS_AGAIN: Final = 0.5
"""Seconds between looks at the load while it is high: it ends without anything happening."""


class Specs(Protocol):
    """Where models are looked up (engine.Library has it)."""

    def spec(self, model_id: str | None, /) -> ModelSpec: ...


class Customer(Protocol):
    """A live painter, as the worker sees it. All calls come on the event loop."""

    @property
    def key(self) -> str: ...

    @property
    def batch_key(self) -> BatchKey | None:
        """What its picture can be painted together with (rendering.batch_key); None while nothing is open."""
        ...

    @property
    def small_key(self) -> BatchKey | None:
        """Likewise of its live pictures at half the size; None where they are not painted so."""
        ...

    @property
    def live(self) -> bool:
        """Whether previews will do while its hand moves."""
        ...

    def take(self, *, exact: bool, small: bool = False) -> RenderRequest | None:
        """The newest revision, or None if there is nothing to render after all."""

    def load_changed(self, level: Level, painters: int) -> None:
        """The house is fuller or emptier than before; smaller pictures are over below Level.SMALLER."""

    def rendered(self, request: RenderRequest, result: Rendered, turn: Turn) -> None:
        """Its request was painted."""

    def failed(self, request: RenderRequest, error: BaseException) -> None:
        """Its request was not painted."""


Observer = Callable[[RenderRequest, Rendered, Turn], None]
Job = tuple[Turn, Work]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A request's place in the queue, and whose it is."""

    key: str
    client: str


@dataclass(slots=True)
class _Waiting:
    work: Work
    result: asyncio.Future[tuple[Any, float]]


class DeviceWorker:
    """Has render requests and calls carried out, in the scheduler's order. Use within one event loop.

    Args:
        device: what paints.
        models: where their specs are.
        places, uploads, batch: see Scheduler.
        max_painters: live painters that may be there at once.
        observe: is told of every picture.
        watchdog: seconds that one use of the device may take. After them the device counts as wedged: nothing
            more is taken, and `on_wedged` is called, once.
        clock: seconds.
    """

    def __init__(
        self,
        device: Device,
        models: Specs,
        *,
        places: int,
        uploads: int,
        max_painters: int,
        batch: int = 1,
        observe: Observer | None = None,
        watchdog: float = WATCHDOG_SECONDS,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.scheduler = Scheduler(places, uploads, batch=batch, uses=device.uses)
        self._device = device
        self._models = models
        self._max_painters = max_painters
        self._observe = observe
        self._watchdog = watchdog
        self._clock = clock
        self._numbers = itertools.count(1)
        self._requests: dict[str, _Waiting] = {}
        self._customers: dict[str, Customer] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self.on_wedged: Callable[[], None] | None = None
        self.ready = False
        self.draining = False
        self.broken = False
        self.wedged = False
        self.short_of_memory = False
        self._telling = False

    # Life

    async def start(self) -> None:
        """Make the device ready; then work is taken."""
        await self._device.start()
        self.ready = True
        self._pump()

    def fail(self) -> None:
        """The model did not load: refuse what waits, and all that comes."""
        self.broken = True
        self._refuse_waiting(out_of_order)

    async def stop(self) -> None:
        """Finish what runs and end the device's work; what still waits is refused."""
        self.ready = False
        self._set_alarm()
        self._refuse_waiting(going_away)
        await self._device.stop()

    def _refuse_waiting(self, problem: Callable[[], Problem]) -> None:
        for waiting in self._requests.values():
            if not waiting.result.done():
                waiting.result.set_exception(problem())

    # Requests

    @contextmanager
    def upload(self) -> Generator[None]:
        """Let one request in, whose body is read meanwhile.

        Raises Problem (503 with Retry-After) when too many are read, no place is left, or the server is going
        away.
        """
        self._check_open()
        try:
            self.scheduler.begin_upload()
        except QueueFullError as error:
            raise busy(error.retry_after, uploads=error.uploads) from None
        try:
            yield
        finally:
            self.scheduler.end_upload()

    @contextmanager
    def place(self, client: str) -> Generator[Place]:
        """A place in the queue for one request whose body has been read, given back at the end. Each client's
        requests wait in a line of their own.

        Raises Problem (503 with Retry-After) when all are taken.
        """
        key = f"request {next(self._numbers)}"
        try:
            self.scheduler.admit(key)
        except QueueFullError as error:
            raise busy(error.retry_after) from None
        try:
            yield Place(key, client)
        finally:
            self.scheduler.release(key)

    async def render(self, place: Place, request: RenderRequest) -> tuple[Rendered, float]:
        """Paint once: the result, and the seconds it waited for the device.

        Cancelling the caller takes the request out of the queue. Raises Problem when the model did not load.
        """
        return await self._turn(place, request)

    async def call(self, place: Place, work: Call[T]) -> tuple[T, float]:
        """Have other work done on the device, in turn with pictures and alone: its result, and the seconds
        waited.

        Cancelling and errors as for `render`. A place waits with one thing at a time.
        """
        return await self._turn(place, work)

    async def _turn(self, place: Place, work: Work) -> tuple[Any, float]:
        self._check_whole()  # it may have broken while the request's body was read
        waiting = _Waiting(work, asyncio.get_running_loop().create_future())
        self._requests[place.key] = waiting
        key = self._key_of(work) if isinstance(work, RenderRequest) else None
        self.scheduler.enqueue(place.key, self._clock(), key=key, client=place.client)
        try:
            queued = self._clock()
            self._pump()
            result, waited = await waiting.result
            _trace_turn(queued, waited, self._clock())
            return result, waited
        finally:
            del self._requests[place.key]

    def _key_of(self, request: RenderRequest) -> BatchKey:
        stride = self._models.spec(request.model).stride
        return batch_key(request.model, stride, request.width, request.height)

    # Painters

    def join(self, customer: Customer) -> None:
        """Give a live painter a seat. Raises Problem when all are taken."""
        self._check_open()
        if self.scheduler.painters >= self._max_painters:
            raise Problem(
                503,
                "too-many-painters",
                "Too many painters",
                f"All {self._max_painters} seats for live painting are taken.",
                "Try again later.",
                headers={"Retry-After": "10"},
            )
        self._customers[customer.key] = customer
        self.scheduler.join(customer.key)

    def leave(self, customer: Customer) -> None:
        """Take the seat back and drop the painter."""
        self._customers.pop(customer.key, None)
        self.scheduler.leave(customer.key)
        self._forget(customer)

    def start_over(self, customer: Customer) -> None:
        """The painter's document is over: drop its painter, its turn, and the frames not acknowledged."""
        self.scheduler.start_over(customer.key)
        self._forget(customer)

    def number_frame(self, customer: Customer, *, exact: bool) -> int:
        """The number of the frame that was painted; it is unacknowledged from now on. If it is not exact, one
        that is will follow."""
        return self.scheduler.number_frame(customer.key, exact=exact)

    def repeat(self, customer: Customer, *, exact: bool) -> bool:
        """The painter's turn failed, an exact one or not: whether an exact picture will be tried after it."""
        return self.scheduler.failed(customer.key, self._clock(), exact=exact)

    def sent(self, customer: Customer, frame: int) -> None:
        """The frame is on its way, so that it can be acknowledged."""
        self.scheduler.sent(customer.key, frame)

    def _forget(self, customer: Customer) -> None:
        self._device.forget(customer.key)

    def offer(self, customer: Customer) -> None:
        """The painter has a newer revision."""
        self.scheduler.offer(
            customer.key,
            self._clock(),
            key=customer.batch_key,
            small_key=customer.small_key,
            live=customer.live,
        )
        self._pump()

    def acknowledge(self, customer: Customer, frame: int) -> bool:
        """The painter's page has shown that frame. False if it was not sent."""
        known = self.scheduler.acknowledge(customer.key, frame)
        self._pump()
        return known

    def _check_open(self) -> None:
        self._check_whole()
        if self.draining:
            raise going_away()
        if self.short_of_memory:
            raise low_memory()

    def _check_whole(self) -> None:
        if self.broken:
            raise out_of_order()
        if self.wedged:
            raise wedged()

    @property
    def documents(self) -> int:
        """Live documents that the device keeps a painter for."""
        return self._device.documents

    @property
    def about(self) -> About | None:
        """What paints; None while it cannot be reached."""
        return self._device.about

    # The load

    @property
    def level(self) -> Level:
        """What is done about the load."""
        return self.scheduler.level

    def _observe_load(self) -> None:
        if not self.scheduler.observe_load(self._clock()):
            return
        level, painters = self.scheduler.level, self.scheduler.painters
        log.info("load changed", level=level.word, painters=painters)
        for customer in list(self._customers.values()):
            if level is not Level.SMALLER:
                self._device.forget(customer.key, small=True)
            customer.load_changed(level, painters)

    # The device

    async def between(self, work: Callable[[], T]) -> T:
        """Run something on the device's thread between two uses of it."""
        return await self._device.between(work)

    def _pump(self) -> None:
        """Use the device as far as it is free and somebody waits for it."""
        if self._telling:
            return  # the results of one use come before the next one begins
        while self.ready and not self.wedged and (turns := self.scheduler.next(self._clock())):
            jobs = [(turn, work) for turn in turns if (work := self._work_of(turn)) is not None]
            if jobs:
                self._submit(turns, jobs)
            else:
                self.scheduler.skip(turns)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """Come back when a painter that now rests has rested, and while the load is high."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        now = self._clock()
        due = self.scheduler.wake_at(now)
        if self.level is not Level.NORMAL:
            due = min(due if due is not None else now + _LOOKS_AGAIN, now + _LOOKS_AGAIN)
        if self.ready and not self.wedged and due is not None:
            self._alarm = asyncio.get_running_loop().call_later(due - now, self._woken)

    def _woken(self) -> None:
        self._observe_load()
        self._pump()

    def _submit(self, turns: tuple[Turn, ...], jobs: Sequence[Job]) -> None:
        loop = asyncio.get_running_loop()
        dog = loop.call_later(self._watchdog, self._bark)
        done = self._device.submit([work for _, work in jobs])
        finished = partial(self._finished, turns, jobs, dog)
        done.add_done_callback(partial(loop.call_soon_threadsafe, finished))

    def _bark(self) -> None:
        """A use of the device has not ended in time, and nothing can end it from outside."""
        if self.wedged:
            return
        self.wedged = True
        log.error("the device does not answer", seconds=self._watchdog)
        self._refuse_waiting(wedged)
        if self.on_wedged is not None:
            self.on_wedged()

    def _work_of(self, turn: Turn) -> Work | None:
        if turn.painter is not None:
            return self._customers[turn.painter].take(exact=turn.exact, small=turn.small)
        waiting = self._requests.get(turn.request or "")
        return waiting.work if waiting is not None else None

    def _finished(
        self,
        turns: tuple[Turn, ...],
        jobs: Sequence[Job],
        dog: asyncio.TimerHandle,
        done: Future[Sequence[Result]],
    ) -> None:
        dog.cancel()
        self.scheduler.finish(self._clock(), turns)
        if done.cancelled():
            return
        error = done.exception()
        results: Sequence[Result] = done.result() if error is None else [error] * len(jobs)
        self._telling = True
        try:
            for (turn, work), result in zip(jobs, results, strict=True):
                self._tell(turn, work, result)
        finally:
            self._telling = False
        self._observe_load()
        self._pump()

    def _tell(self, turn: Turn, work: Work, result: Result) -> None:
        request = work if isinstance(work, RenderRequest) else None
        if self._observe is not None and request is not None and isinstance(result, Rendered):
            self._observe(request, result, turn)
        if turn.painter is not None and request is not None:
            self._tell_customer(turn, request, result)
        else:
            self._tell_caller(turn, result)

    def _tell_customer(self, turn: Turn, request: RenderRequest, result: Result) -> None:
        customer = self._customers.get(turn.painter or "")
        if customer is None:
            return  # it left while its picture was painted
        if isinstance(result, Rendered):
            customer.rendered(request, result, turn)
        elif isinstance(result, BaseException):
            customer.failed(request, result)

    def _tell_caller(self, turn: Turn, result: Result) -> None:
        waiting = self._requests.get(turn.request or "")
        if waiting is None or waiting.result.done():
            return  # it gave up while its picture was painted
        if isinstance(result, BaseException):
            waiting.result.set_exception(result)
        else:
            waiting.result.set_result((result, turn.waited))


def _trace_turn(queued: float, waited: float, ended: float) -> None:
    trace = tracing.current()
    trace.step("queue", queued, queued + waited)
    trace.step("render", queued + waited, ended)


def busy(retry_after: float, *, uploads: bool = False) -> Problem:
    seconds = max(1, round(retry_after))
    return Problem(
        503,
        "busy",
        "The server is busy",
        "As many requests are under way as may be.",
        f"Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
        extra={"retry_after": seconds},
        counted_as="too-many-uploads" if uploads else "",
    )


def going_away() -> Problem:
    return Problem(
        503,
        "going-away",
        "The server is going away",
        "It has been told to stop and takes no more work.",
        "Try again in a few seconds; another one may have taken its place.",
        headers={"Retry-After": "5"},
        extra={"retry_after": 5},
    )


def out_of_order() -> Problem:
    return Problem(
        503,
        "out-of-order",
        "The server cannot paint",
        "Its model did not load; the log says why.",
        "Tell whoever runs this server.",
        headers={"Retry-After": "60"},
    )


def wedged() -> Problem:
    return Problem(
        503,
        "device-wedged",
        "The server's device does not answer",
        "A picture has not been painted in the time that any picture may take, so no other one can be.",
        "Try again in a minute; the server restarts.",
        headers={"Retry-After": "60"},
    )
