"""What a load run comes down to: percentiles, fairness, slopes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_WARM_UP: Final = 0.1
"""Of a run; what the server keeps grows meanwhile, by design."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of some seconds; all None when there were none."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    longest: float | None


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Linear between neighbours, as numpy has them."""
    if not len(seconds):
        return Percentiles(0, None, None, None, None)
    p50, p95, p99 = (float(value) for value in np.percentile(seconds, [50, 95, 99]))
    return Percentiles(len(seconds), p50, p95, p99, float(max(seconds)))


def jain(shares: Sequence[float]) -> float | None:
    """Fairness, (Σx)² / (n Σx²) (Jain, Chiu & Hawe 1984): 1 when all have the same, 1/n when one has
    everything; None when nobody has anything."""
    squares = sum(share * share for share in shares)
    return None if not squares else sum(shares) ** 2 / (len(shares) * squares)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of the server over a run, in MiB. `warm` is after the first tenth; `slope` that of a
    line fitted from there on by least squares, in MiB an hour, None with too few samples; `cpu` the cores it
    used."""

    start: float
    warm: float
    end: float
    largest: float
    slope: float | None
    cpu: float


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment: seconds since the run began, MiB resident, seconds of CPU used so far."""

    time: float
    mib: float
    cpu: float


def memory(samples: Sequence[Sample]) -> Memory | None:
    """Of samples in the order of time; None without any."""
    if not samples:
        return None
    first, last = samples[0], samples[-1]
    warm_at = first.time + _WARM_UP * (last.time - first.time)
    warm = [sample for sample in samples if sample.time >= warm_at]
    passed = last.time - first.time
    return Memory(
        start=first.mib,
        warm=warm[0].mib,
        end=last.mib,
        largest=max(sample.mib for sample in samples),
        slope=slope_per_hour([one.time for one in warm], [one.mib for one in warm]),
        cpu=(last.cpu - first.cpu) / passed if passed else 0.0,
    )


def slope_per_hour(seconds: Sequence[float], values: Sequence[float]) -> float | None:
    """Least squares; None for less than three samples, or all at one time."""
    times = np.asarray(seconds, np.float64) / 3600
    if len(times) < 3 or not (spread := np.square(times - times.mean()).sum()):
        return None
    return float(((times - times.mean()) * (np.asarray(values) - np.mean(values))).sum() / spread)
