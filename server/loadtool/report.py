"""A run's results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from server.loadtool.results import PainterResult, StageResult


def show(console: Console, results: Sequence[StageResult]) -> None:
    """All stages, and each painter of the last one."""
    console.print(_stages(results))
    for stage in results:
        for line in _remarks(stage):
            console.print(line, soft_wrap=True)
    console.print(_painters(results[-1]))


def _stages(results: Sequence[StageResult]) -> Table:
    table = Table(title="load: stroke to frame")
    for heading in ("painters", "s", "frames/s", "each", "p50", "p95", "p99", "longest wait"):
        table.add_column(heading, justify="right")
    for heading in ("fairness", "of device", "MiB/s"):
        table.add_column(heading, justify="right")
    for stage in results:
        times = stage.stroke_to_frame
        table.add_row(
            str(stage.painters),
            f"{stage.seconds:.0f}",
            f"{stage.frames_per_s:.1f}",
            f"{stage.frames_per_s / stage.painters:.2f}",
            *(_ms(seconds) for seconds in (times.p50, times.p95, times.p99, stage.longest_wait_s)),
            *("–" if index is None else f"{index:.3f}" for index in (stage.fairness, stage.device_fairness)),
            f"{stage.kib_per_s / 1024:.1f}",
        )
    return table


def _remarks(stage: StageResult) -> list[str]:
    lines: list[str] = []
    if stage.memory is not None:
        memory = stage.memory
        slope = "–" if memory.slope is None else f"{memory.slope:+.1f}"
        lines.append(
            f"resident {memory.start:.0f} MiB at first, {memory.warm:.0f} after the first tenth, "
            f"{memory.end:.0f} at the end, {memory.largest:.0f} at most, {slope} MiB an hour; "
            f"{memory.cpu:.2f} cores"
        )
    if stage.rest is not None:
        answered = stage.rest.answered
        lines.append(
            f"{stage.rest.clients} REST clients: {answered.count} pictures, p50 {_ms(answered.p50)}, p95 "
            f"{_ms(answered.p95)}, longest {_ms(answered.longest)}{_listed('refused', stage.rest.refusals)}"
            f"{_listed('errors', stage.rest.errors)}"
        )
    said = (
        _listed("errors", stage.errors)
        + _listed("refused", stage.refusals)
        + _listed("load", stage.load_levels)
        + _listed("lines", {"reconnects": stage.reconnects, "resyncs": stage.resyncs})
        + _listed("frames", {"smaller": stage.smaller})
    )
    return [f"{stage.painters} painters: {line}" for line in [*lines, said.removeprefix("; ")] if line]


def _painters(stage: StageResult) -> Table:
    table = Table(title=f"each of {stage.painters}")
    for heading in ("painter", "frames", "exact", "frames/s", "p50", "p95", "p99", "longest wait", "device"):
        table.add_column(heading, justify="right")
    for number, painter in enumerate(stage.each, 1):
        table.add_row(*_painter(number, painter))
    return table


def _painter(number: int, painter: PainterResult) -> list[str]:
    times = painter.stroke_to_frame
    return [
        str(number),
        str(painter.frames),
        str(painter.exact),
        f"{painter.frames_per_s:.2f}",
        *(_ms(seconds) for seconds in (times.p50, times.p95, times.p99, painter.longest_wait_s)),
        f"{painter.device_s:.1f} s",
    ]


def _listed(name: str, counts: Mapping[str, int]) -> str:
    found = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()) if count)
    return f"; {name}: {found}" if found else ""


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms"
