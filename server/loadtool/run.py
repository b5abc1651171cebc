"""A load run: stages of so many painters, REST clients beside them, and an eye on the server's process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from server.loadtool.errors import LoadError
from server.loadtool.hand import first_map, moves, strokes
from server.loadtool.page import Journal, Page
from server.loadtool.painter import Painter
from server.loadtool.rest import RestClients, RestJournal
from server.loadtool.results import StageResult, stage_result
from server.loadtool.stats import Sample
from server.loadtool.target import Paintable, Process, Target, paintable

_SAMPLE_EVERY: Final = 1.0  # seconds
_TO_BEGIN: Final = 30.0
"""Seconds that newcomers get for their first frame, before the stage begins without it."""
_TO_SETTLE: Final = 10.0
"""Seconds that owed frames get after the last stroke."""
_POLL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Args:
        stages: numbers of painters, not falling: who has come stays.
        seconds: of each stage, from when all have come.
        ramp: seconds over which a stage's newcomers come.
        size: side of the canvases, in pixels.
        rest: REST clients.
        model: id, or None for the server's default.
        seed: of everything that the run draws.
        think: pauses between strokes, times those recorded.
    """

    stages: tuple[int, ...]
    seconds: float
    ramp: float = 5.0
    size: int = 256
    rest: int = 0
    model: str | None = None
    seed: int = 1
    think: float = 1.0

    def __post_init__(self) -> None:
        if not self.stages or min(self.stages) < 1 or list(self.stages) != sorted(self.stages):
            raise LoadError(
                "the numbers of painters", "they must be positive and not fall", "Try --curve 1,2,4,8."
            )
        if self.seconds <= 0 or self.ramp < 0 or self.rest < 0 or self.size < 1:
            raise LoadError("the plan", "a time, a size or a number is negative or 0", "See --help.")


async def run(
    target: Target, plan: Plan, *, pid: int | None = None, say: Callable[[str], None] = lambda _: None
) -> tuple[StageResult, ...]:
    """Load the server, and say what came of each stage.

    Args:
        pid: the server's process, if it runs here and its memory is to be watched.
        say: is told how the run goes on.

    Raises:
        LoadError: the server does not answer, or cannot do what the plan asks.
    """
    process = Process(pid) if pid is not None else None
    model = await asyncio.to_thread(paintable, target, plan.model)
    strokes(plan.size)  # rasterised before anyone waits for it
    return await _Run(target, plan, model, process, say).all_stages()


class _Run:
    def __init__(
        self,
        target: Target,
        plan: Plan,
        model: Paintable,
        process: Process | None,
        say: Callable[[str], None],
    ) -> None:
        self._target, self._plan, self._model = target, plan, model
        self._process, self._say = process, say
        self._began = time.perf_counter()
        self._samples: list[Sample] = []
        self._painters: list[Painter] = []
        self._hands: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []
        self._rest = RestClients(target, model, plan.size, plan.rest, plan.seed)

    async def all_stages(self) -> tuple[StageResult, ...]:
        results: list[StageResult] = []
        async with asyncio.TaskGroup() as group:
            self._others += [group.create_task(self._rest.run()), group.create_task(self._watch_process())]
            for place, number in enumerate(self._plan.stages, 1):
                await self._let_in(group, number - len(self._painters))
                results.append(await self._stage(last=place == len(self._plan.stages)))
            for task in (*self._hands, *self._others):
                task.cancel()
        return tuple(results)

    async def _let_in(self, group: asyncio.TaskGroup, newcomers: int) -> None:
        """Newcomers, one after the other, until each has seen a frame or waited long enough."""
        self._say(f"{newcomers} more painters come")
        fresh = [self._painter(len(self._painters) + number) for number in range(newcomers)]
        for painter in fresh:
            hand = moves(self._plan.size, self._model.label_ids, painter.page.seed, think=self._plan.think)
            self._others.append(group.create_task(painter.keep_line()))
            self._hands.append(group.create_task(painter.draw(hand)))
            self._painters.append(painter)
            await asyncio.sleep(self._plan.ramp / newcomers)
        await _until(lambda: all(one.page.journal.frames for one in fresh), _TO_BEGIN)

    def _painter(self, number: int) -> Painter:
        seed = self._plan.seed * 100_003 + number
        labels = first_map(self._plan.size, self._model.label_ids, seed)
        page = Page(labels, self._model.label_set, seed, model=self._model.model)
        return Painter(self._target.live, page, headers=dict(self._target.headers), seed=seed)

    async def _stage(self, *, last: bool) -> StageResult:
        """Measure for the plan's seconds; after the last stage hands rest, and owed frames may still come."""
        self._say(f"{len(self._painters)} painters for {self._plan.seconds:g} s")
        for painter in self._painters:
            painter.page.journal = painter.page.journal.measured_from_here()
        rest, began = RestJournal(), time.perf_counter()
        self._rest.journal = rest
        await asyncio.sleep(self._plan.seconds)
        if last:
            await self._settle()
        now = time.perf_counter()
        journals = [self._closed_journal(painter.page, now, last=last) for painter in self._painters]
        since = began - self._began
        return stage_result(
            journals,
            now - began,
            rest=(self._plan.rest, rest) if self._plan.rest else None,
            samples=[sample for sample in self._samples if sample.time >= since],
        )

    def _closed_journal(self, page: Page, now: float, *, last: bool) -> Journal:
        """The page's journal of the stage that is over; what comes until the next one goes into another."""
        journal, page.journal = page.journal, Journal(level=page.journal.level)
        journal.longest_wait = max(journal.longest_wait, page.owed_for(now))
        if last and page.owed:
            journal.errors["a frame is still owed"] += 1
        if not journal.frames:
            journal.errors["no frame at all"] += 1
        return journal

    async def _settle(self) -> None:
        for hand in self._hands:
            hand.cancel()
        await _until(lambda: not any(painter.page.owed for painter in self._painters), _TO_SETTLE)

    async def _watch_process(self) -> None:
        while self._process is not None:
            try:
                self._samples.append(self._process.sample(time.perf_counter() - self._began))
            except OSError:
                self._say("the server's process is gone")
                return
            await asyncio.sleep(_SAMPLE_EVERY)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Until it holds, or time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition() and loop.time() < deadline:  # noqa: ASYNC110 many painters' states, none an event
        await asyncio.sleep(_POLL)
