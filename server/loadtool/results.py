"""A run's results: of each painter, of each stage, and what was demanded of them. Pure."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from server.loadtool.errors import LoadError
from server.loadtool.page import Journal
from server.loadtool.rest import RestJournal
from server.loadtool.stats import Memory, Percentiles, Sample, jain, memory, percentiles


@dataclass(frozen=True, slots=True)
class PainterResult:
    """One painter's stage."""

    frames: int
    exact: int
    smaller: int
    frames_per_s: float
    patches: int
    device_s: float
    stroke_to_frame: Percentiles
    longest_wait_s: float
    reconnects: int
    resyncs: int
    errors: dict[str, int]
    refusals: dict[str, int]


@dataclass(frozen=True, slots=True)
class RestResult:
    """The REST clients' stage."""

    clients: int
    answered: Percentiles
    refusals: dict[str, int]
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class StageResult:
    """So many painters for so long."""

    painters: int
    seconds: float
    frames_per_s: float
    kib_per_s: float
    """Of pictures."""
    stroke_to_frame: Percentiles
    longest_wait_s: float
    fairness: float | None
    """Jain's index over the painters' frames."""
    device_fairness: float | None
    """The same over the device's time for them."""
    fewest_frames: int
    smaller: int
    reconnects: int
    resyncs: int
    errors: dict[str, int]
    refusals: dict[str, int]
    load_levels: dict[str, int]
    rest: RestResult | None
    memory: Memory | None
    each: tuple[PainterResult, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def painter_result(journal: Journal, seconds: float) -> PainterResult:
    return PainterResult(
        frames=journal.frames,
        exact=journal.exact,
        smaller=journal.smaller,
        frames_per_s=journal.frames / seconds,
        patches=journal.patches,
        device_s=journal.device,
        stroke_to_frame=percentiles(journal.latencies),
        longest_wait_s=journal.longest_wait,
        reconnects=journal.reconnects,
        resyncs=journal.resyncs,
        errors=dict(journal.errors),
        refusals=dict(journal.refusals),
    )


def stage_result(
    journals: Sequence[Journal],
    seconds: float,
    *,
    rest: tuple[int, RestJournal] | None = None,
    samples: Sequence[Sample] = (),
) -> StageResult:
    """Put a stage's journals together.

    Args:
        journals: one for each painter, at least one.
        seconds: how long the stage was.
        rest: number of REST clients and their journal.
        samples: of the server's process.
    """
    frames = [journal.frames for journal in journals]
    return StageResult(
        painters=len(journals),
        seconds=seconds,
        frames_per_s=sum(frames) / seconds,
        kib_per_s=sum(journal.bytes for journal in journals) / 1024 / seconds,
        stroke_to_frame=percentiles([one for journal in journals for one in journal.latencies]),
        longest_wait_s=max(journal.longest_wait for journal in journals),
        fairness=jain(frames),
        device_fairness=jain([journal.device for journal in journals]),
        fewest_frames=min(frames),
        smaller=sum(journal.smaller for journal in journals),
        reconnects=sum(journal.reconnects for journal in journals),
        resyncs=sum(journal.resyncs for journal in journals),
        errors=_together([journal.errors for journal in journals]),
        refusals=_together([journal.refusals for journal in journals]),
        load_levels=_together([journal.levels for journal in journals]),
        rest=None if rest is None else _rest_result(*rest),
        memory=memory(samples),
        each=tuple(painter_result(journal, seconds) for journal in journals),
    )


def _rest_result(clients: int, journal: RestJournal) -> RestResult:
    return RestResult(clients, percentiles(journal.latencies), dict(journal.refusals), dict(journal.errors))


def _together(counters: Sequence[Counter[str]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return dict(total)


# What was demanded

Figure = Callable[[StageResult], float | None]
FIGURES: Final[dict[str, Figure]] = {
    "errors": lambda stage: (
        sum(stage.errors.values()) + (sum(stage.rest.errors.values()) if stage.rest else 0)
    ),
    "refusals": lambda stage: sum(stage.refusals.values()),
    "reconnects": lambda stage: stage.reconnects,
    "resyncs": lambda stage: stage.resyncs,
    "jain": lambda stage: stage.fairness,
    "device_jain": lambda stage: stage.device_fairness,
    "fps": lambda stage: stage.frames_per_s,
    "p50": lambda stage: stage.stroke_to_frame.p50,
    "p95": lambda stage: stage.stroke_to_frame.p95,
    "p99": lambda stage: stage.stroke_to_frame.p99,
    "wait": lambda stage: stage.longest_wait_s,
    "smaller": lambda stage: stage.smaller,
    "rest_p95": lambda stage: stage.rest.answered.p95 if stage.rest else None,
    "rest_refusals": lambda stage: sum(stage.rest.refusals.values()) if stage.rest else None,
    "rss": lambda stage: stage.memory.largest if stage.memory else None,
    "rss_slope": lambda stage: stage.memory.slope if stage.memory else None,
}
"""Times in seconds, memory in MiB and MiB an hour."""
_COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_DEMAND: Final = re.compile(r"(?P<name>[a-z0-9_]+)\s*(?P<how><=|>=|=|<|>)\s*(?P<value>\S+)")


@dataclass(frozen=True, slots=True)
class Demand:
    """A condition that every stage must meet."""

    text: str
    figure: Figure
    holds: Callable[[float], bool]

    def failure(self, stage: StageResult) -> str | None:
        """What to say when the stage does not meet it. A figure that was not measured meets nothing."""
        found = self.figure(stage)
        if found is not None and self.holds(found):
            return None
        measured = "nothing was measured" if found is None else f"it was {found:.4g}"
        return f"{stage.painters} painters: {self.text} was demanded, {measured}"


def demands_of(text: str) -> tuple[Demand, ...]:
    """Read `errors=0,jain>=0.95,every=frames`. Raises LoadError."""
    return tuple(_demand(part.strip()) for part in text.split(",") if part.strip())


def _demand(text: str) -> Demand:
    if text == "every=frames":
        return Demand(text, lambda stage: stage.fewest_frames, lambda frames: frames > 0)
    found = _DEMAND.fullmatch(text)
    if found is None or found["name"] not in FIGURES:
        names = ", ".join(FIGURES)
        raise LoadError(
            f"demand {text!r}",
            "it is not a figure, =, <=, >=, < or >, and a number",
            f"Figures are {names}; every=frames too.",
        )
    try:
        value = float(found["value"])
    except ValueError:
        raise LoadError(f"demand {text!r}", f"{found['value']!r} is no number", "Give one.") from None
    compare = _COMPARISONS[found["how"]]
    return Demand(text, FIGURES[found["name"]], lambda measured: compare(measured, value))
