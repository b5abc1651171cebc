"""What `scenebrush bench-load` does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from server.loadtool import report
from server.loadtool.errors import LoadError
from server.loadtool.results import demands_of
from server.loadtool.run import Plan, run
from server.loadtool.target import Target

_IN_FILES: Final = 120
"""Columns of the tables where nobody has a terminal."""


def bench_load(
    target: Target, plan: Plan, *, pid: int | None = None, json_file: Path | None = None, demand: str = ""
) -> bool:
    """Load the server, print tables, write the JSON; whether every stage met every demand. Raises
    LoadError."""
    demands = demands_of(demand)
    console = Console(highlight=False, markup=False)
    console = console if console.is_terminal else Console(highlight=False, markup=False, width=_IN_FILES)
    results = asyncio.run(run(target, plan, pid=pid, say=lambda text: typer.echo(text, err=True)))
    report.show(console, results)
    if json_file is not None:
        json_file.write_text(json.dumps([stage.as_json() for stage in results], indent=1), encoding="utf-8")
    failures = [
        failure for stage in results for one in demands if (failure := one.failure(stage)) is not None
    ]
    for failure in failures:
        typer.secho(failure, fg="red", err=True)
    return not failures


def stages_of(painters: int, curve: str | None) -> tuple[int, ...]:
    """`--curve 1,2,4`, or else one stage. Raises LoadError."""
    if curve is None:
        return (painters,)
    try:
        return tuple(int(part) for part in curve.split(","))
    except ValueError:
        raise LoadError(f"curve {curve!r}", "it is no list of numbers", "Try --curve 1,2,4,8.") from None
