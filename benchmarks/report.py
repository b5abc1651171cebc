"""Rows of a measurement, what was aimed at, and how both are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

PUBLIC, BEST = "public", "best plain"


@dataclass(frozen=True)
class Errors:
    """How far a picture is from another, both in [−1, 1] (PSNR to a peak of 2, at most 200 dB)."""

    max_abs: float | None = None
    mean_abs: float | None = None
    psnr_db: float | None = None


@dataclass(frozen=True)
class Target:
    """What a case is to reach; None where nothing was promised."""

    ratio: float | None = None
    psnr_db: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None

    def __str__(self) -> str:
        parts = [f"≥ {self.ratio:g}×"] if self.ratio is not None else []
        parts += [f"≥ {self.psnr_db:g} dB"] if self.psnr_db is not None else []
        parts += [f"max ≤ {self.max_abs:g}"] if self.max_abs is not None else []
        parts += [f"mean ≤ {self.mean_abs:g}"] if self.mean_abs is not None else []
        return ", ".join(parts)

    def met(self, ratio: float | None, errors: Errors) -> bool | None:
        """Whether everything promised is there; None where nothing was promised or nothing is known."""
        pairs = (
            (ratio, self.ratio),
            (errors.psnr_db, self.psnr_db),
            (_negative(errors.max_abs), _negative(self.max_abs)),
            (_negative(errors.mean_abs), _negative(self.mean_abs)),
        )
        known = [found >= wanted for found, wanted in pairs if found is not None and wanted is not None]
        return all(known) if known else None


def _negative(value: float | None) -> float | None:
    return None if value is None else -value


# case: baseline: target, for 256² on two CPU cores
TARGETS: dict[str, dict[str, Target]] = {
    "exact, warm": {PUBLIC: Target(18, psnr_db=40), BEST: Target(4)},
    "exact, cold": {PUBLIC: Target(10), BEST: Target(2)},
    "dab, exact": {PUBLIC: Target(15), BEST: Target(3.5)},
    "dab, live preview": {PUBLIC: Target(40, psnr_db=35)},
    "exact fp32, warm": {PUBLIC: Target(7, max_abs=1e-3, mean_abs=1e-5)},
    "noise of 1 pixel": {BEST: Target(0.95)},
    "OASIS, exact, warm": {PUBLIC: Target(12)},
    "trunk": {"matrix product": Target(0.75)},
}


@dataclass(frozen=True)
class Row:
    """One case against one baseline. Seconds are medians; `ratio` is baseline ÷ engine; errors are against
    the plain network in fp32. What does not apply is None."""

    case: str
    model: str
    baseline: str | None = None
    baseline_s: float | None = None
    engine_s: float | None = None
    ratio: float | None = None
    max_abs: float | None = None
    mean_abs: float | None = None
    psnr_db: float | None = None
    target: str = ""
    met: bool | None = None
    details: dict[str, Any] = field(default_factory=dict)


def compared(
    case: str,
    model: str,
    baseline: str | None,
    baseline_s: float | None,
    engine_s: float | None,
    errors: Errors | None = None,
    *,
    judged: bool = True,
    **details: object,
) -> Row:
    """A row with its ratio and its target. `judged`: whether the target holds for this run."""
    errors = errors or Errors()
    ratio = baseline_s / engine_s if baseline_s and engine_s else None
    target = TARGETS.get(case, {}).get(baseline or "", Target())
    met = target.met(ratio, errors) if judged else None
    return Row(
        case, model, baseline, baseline_s, engine_s, ratio, **asdict(errors),
        target=str(target), met=met, details=details,
    )  # fmt: skip


def show(console: Console, title: str, rows: list[Row]) -> None:
    """Print everything as one table."""
    table = Table(title=title)
    for name in ("case", "model", "against"):
        table.add_column(name)
    for name in ("its time", "engine", "ratio", "max abs", "mean abs", "PSNR"):
        table.add_column(name, justify="right")
    for name in ("target", "met", "also"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row.case,
            row.model,
            row.baseline or "",
            _milliseconds(row.baseline_s),
            "n/a" if "n/a" in row.details else _milliseconds(row.engine_s),
            "" if row.ratio is None else f"{row.ratio:.2f}×",
            "" if row.max_abs is None else f"{row.max_abs:.1e}",
            "" if row.mean_abs is None else f"{row.mean_abs:.1e}",
            "" if row.psnr_db is None else f"{row.psnr_db:.1f} dB",
            row.target,
            "" if row.met is None else ("yes" if row.met else "NO"),
            ", ".join(f"{name} {_short(value)}" for name, value in row.details.items()),
        )
    console.print(table)


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:,.1f} ms"


def _short(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
