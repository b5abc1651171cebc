"""Figures with the uncertainty that few pictures leave: bootstrap intervals, and an unbiased distance of two
sets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from pydantic import BaseModel, ConfigDict

LEVEL = 0.95  # of every interval


class Figure(BaseModel):
    """A value and its 95 % interval, where it has one."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    value: float
    low: float | None = None
    high: float | None = None


class Bootstrap:
    """Resamples of n pictures with replacement (Efron 1979); the same ones for every figure of one `n`.

    Args:
        resamples: how many; at least 200, below which the ends of an interval are mostly chance.
        seed: equal seeds give equal intervals.
    """

    LEAST = 200

    def __init__(self, resamples: int = 1_000, seed: int = 0) -> None:
        if resamples < self.LEAST:
            raise ValueError(f"{resamples} resamples: take {self.LEAST} or more")
        self.resamples, self.seed = resamples, seed

    def picks(self, n: int) -> np.ndarray:
        """Which pictures each resample holds: int64 (resamples, n)."""
        return np.random.default_rng(self.seed).integers(n, size=(self.resamples, n))

    def counts(self, n: int) -> np.ndarray:
        """How often each resample holds each picture: float64 (resamples, n)."""
        rows = np.arange(self.resamples)[:, None] * n
        flat = np.bincount((rows + self.picks(n)).ravel(), minlength=self.resamples * n)
        return flat.reshape(self.resamples, n).astype(np.float64)

    def of(self, value: float, resampled: np.ndarray) -> Figure:
        """A value and the percentile interval of what the resamples gave for it, (resamples,)."""
        low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Figure(value=float(value), low=float(low), high=float(high))

    def each(self, values: np.ndarray, statistic: Callable[..., np.ndarray] = np.mean) -> Figure:
        """The mean, or another statistic, of one value a picture: (n,)."""
        values = np.asarray(values, np.float64)
        return self.of(float(statistic(values)), statistic(values[self.picks(len(values))], axis=1))


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """k(x, y) = (x·y + 1)³ (Bińkowski et al. 2018, sec. 4.2; their 1/d is part of the features here).

    x (n, d), y (m, d) → (n, m)."""
    return (x @ y.T + 1) ** 3


def pair_terms(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """h(i, j) = k(xᵢ, xⱼ) + k(yᵢ, yⱼ) − k(xᵢ, yⱼ) − k(xⱼ, yᵢ) (Gretton et al. 2012, lemma 6): (n, n), 0 on
    the diagonal."""
    if x.shape != y.shape or len(x) < 2:
        raise ValueError(f"sets of {len(x)} and {len(y)}: expected equally many, two or more")
    across = polynomial_kernel(x, y)
    terms = polynomial_kernel(x, x) + polynomial_kernel(y, y) - across - across.T
    np.fill_diagonal(terms, 0)
    return terms


def mmd2(x: np.ndarray, y: np.ndarray, bootstrap: Bootstrap) -> Figure:
    """The squared maximum mean discrepancy of two sets of features, without bias: 0 on average where both
    come from one distribution, and then below 0 half of the time.

    Pictures are taken in pairs (xᵢ, yᵢ), and terms of a picture with its own partner are left out, so that it
    stays unbiased where yᵢ was painted from the map of xᵢ. In a resample, neither are the terms of a picture
    with its own copies counted: they would look like an agreement that is none.

    Args:
        x, y: float64 (n, d) each.
    """
    terms, n = pair_terms(x, y), len(x)
    counts = bootstrap.counts(n)
    sums, pairs = ((counts @ terms) * counts).sum(1), n * n - (counts**2).sum(1)
    held = pairs > 0  # a resample of copies of one picture has no pairs
    return bootstrap.of(terms.sum() / (n * (n - 1)), sums[held] / pairs[held])
