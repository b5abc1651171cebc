"""The replicas of a cluster as one device, seen from an ingress: sends each piece of work to the replica that
its painter is pinned to, and bears with replicas that come and go. Knows nothing of Ray."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import structlog

from server.cluster.placing import Route
from server.cluster.wire import Answer, Facts, Refusal, error_of
from server.device import About, ReadStyle, Result, Work
from server.errors import Problem
from server.rendering import PainterLostError, RenderRequest

log = structlog.get_logger(__name__)

T = TypeVar("T")

_ASK_EVERY: Final = 2.0
_TRIES: Final = 3
"""A request whose replica dies goes to another one. What kills three is not tried on a fourth."""


class ReplicaGoneError(Exception):
    """The replica died, or cannot be reached any more, with work under way."""


class Kept(NamedTuple):
    """What a replica keeps of a live painter: its document, or that of its smaller pictures."""

    painter: str
    small: bool


class Replicas(Protocol):
    """The way to the replicas (deployments.py has it). Each call raises ReplicaGoneError."""

    async def do(self, route: Route, work: Work) -> Answer: ...
    async def forget(self, route: Route, small: bool) -> None: ...
    async def facts(self) -> Facts: ...


class ClusterDevice:
    """A Device (server/device.py) that takes many uses at once. Use within one event loop.

    Args:
        replicas: the way to them.
        uses: uses that may be under way at once.
        patience: seconds that work waits for a replica and its answer.
    """

    def __init__(self, replicas: Replicas, uses: int, patience: float) -> None:
        self.name = secrets.token_hex(4)
        self.uses = uses
        self._replicas = replicas
        self._patience = patience
        # A painter of a document, or of its smaller pictures: where it was painted last.
        self._homes: dict[Kept, str] = {}
        self._under_way: set[Kept] = set()
        self._over: set[Kept] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.facts: Facts | None = None
        """What a replica said last; None while none answers."""

    @property
    def homes(self) -> Counter[str]:
        """How many painters of this ingress each replica has."""
        return Counter(home for kept, home in self._homes.items() if not kept.small)

    # A device

    @property
    def documents(self) -> int:
        return len(self._homes)

    @property
    def about(self) -> About | None:
        return About(self.facts.device, self.facts.precision) if self.facts is not None else None

    async def start(self) -> None:
        """Wait until a replica answers."""
        while self.facts is None:
            await self._ask()
        self._beside(self._keep_asking())

    def submit(self, works: Sequence[Work]) -> Future[Sequence[Result]]:
        """Do these, each where it belongs; the results, in order, are there when all are done."""
        done: Future[Sequence[Result]] = Future()
        self._beside(self._do_all(works, done))
        return done

    def forget(self, painter: str, *, small: bool = False) -> None:
        """The painter's document, or its smaller pictures, are over."""
        for kept in (Kept(painter, small=True), *(() if small else (Kept(painter, small=False),))):
            home = self._homes.pop(kept, None)
            if home is not None:
                self._beside(self._let_go(kept, home))
            elif kept in self._under_way:
                self._over.add(kept)

    async def between(self, work: Callable[[], T]) -> T:
        """Nothing here is used by a replica: there is nothing to wait for."""
        return await asyncio.to_thread(work)

    async def stop(self) -> None:
        """Give up what is under way. Painters that are still kept expire at their replicas."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Work

    async def _do_all(self, works: Sequence[Work], done: Future[Sequence[Result]]) -> None:
        try:
            done.set_result(await asyncio.gather(*(self._do(work) for work in works)))
        finally:
            done.cancel()  # no news if there is a result

    async def _do(self, work: Work) -> Result:
        kept = _kept_of(work)
        try:
            async with asyncio.timeout(self._patience):
                return await self._done(work, kept)
        except TimeoutError:
            return _no_answer(self._patience)
        except ReplicaGoneError as gone:
            log.warning("a replica is gone", error=str(gone))
            # The session's map is whole: a painter begins anew elsewhere.
            return PainterLostError() if kept is not None else _no_answer(self._patience)
        except Exception as error:
            return error

    async def _done(self, work: Work, kept: Kept | None) -> Result:
        answer = await (self._tried(work) if kept is None else self._painted(work, kept))
        return error_of(answer.result) if isinstance(answer.result, Refusal) else answer.result

    async def _painted(self, work: Work, kept: Kept) -> Answer:
        # Only a painter whose last picture came has a home: any other one begins anew.
        home = self._homes.pop(kept, None)
        anew = isinstance(work, RenderRequest) and work.fresh
        self._under_way.add(kept)
        try:
            answer = await self._replicas.do(self._route(work, None if anew else home), work)
        finally:
            self._under_way.discard(kept)
            over = kept in self._over
            self._over.discard(kept)
        here = None if isinstance(answer.result, Refusal) else answer.replica
        if here is not None and not over:
            self._homes[kept] = here
        for left in {home, here} - {None, self._homes.get(kept)}:
            self._beside(self._let_go(kept, left))
        return answer

    async def _tried(self, work: Work) -> Answer:
        """Work without a painter is the same everywhere: where one replica dies, another one does it."""
        for _ in range(_TRIES - 1):
            try:
                return await self._replicas.do(self._route(work, None), work)
            except ReplicaGoneError as gone:
                log.warning("a replica is gone", error=str(gone))
        return await self._replicas.do(self._route(work, None), work)

    def _route(self, work: Work, home: str | None) -> Route:
        kept = _kept_of(work)
        painter = kept.painter if kept is not None else None
        return Route(painter, home, _model_of(work), ingress=self.name)

    async def _let_go(self, kept: Kept, home: str | None) -> None:
        route = Route(kept.painter, home, ingress=self.name, stay=True)
        try:
            async with asyncio.timeout(self._patience):
                await self._replicas.forget(route, kept.small)
        except (ReplicaGoneError, TimeoutError):
            log.debug("a painter went with its replica")

    # Whether there are replicas

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(_ASK_EVERY)
            await self._ask()

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._patience if self.facts is None else _ASK_EVERY):
                self.facts = await self._replicas.facts()
        except (ReplicaGoneError, TimeoutError) as error:
            if self.facts is not None:
                log.warning("no replica answers", error=type(error).__name__)
            self.facts = None


def _kept_of(work: Work) -> Kept | None:
    document = work.document if isinstance(work, RenderRequest) else None
    return Kept(document.painter, small=document.small) if document is not None else None


def _model_of(work: Work) -> str | None:
    if isinstance(work, ReadStyle):
        return work.model.id
    return work.model if isinstance(work, RenderRequest) else None


def _no_answer(seconds: float) -> Problem:
    return Problem(
        503,
        "no-replica",
        "No replica answers",
        f"None of the machines that paint has answered within {seconds:.0f} s.",
        "Try again in a few seconds; whoever runs this server looks at the cluster's state.",
        headers={"Retry-After": "5"},
        extra={"retry_after": 5},
    )
