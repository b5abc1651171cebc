"""Traces that generators leave and cameras do not: grids, and textures that repeat.

Every measure means little by itself, for real pictures have edges, waves and fields. It is taken of real
pictures too, in the same way, and the two are compared. Definitions in words: docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.labels import LabelSet
from training.crude import regions
from training.evaluation.colour import luma

GRID = 32  # pixels: a cell of the start grid
_GREY_LEVEL = 1 / 255
_ROUNDING = _GREY_LEVEL**2 / 12  # variance that 8 bits leave
_SECTOR = 10.0  # degrees to either side

# -- Spectra


@dataclass(frozen=True)
class Traces:
    """Ratios: how far the power at some frequencies stands out of others'. 1 is not at all.

    nyquist, grid: peaks of brightness at 2 and at `GRID` pixels, means of rows and columns. edges: the peak
    at `GRID` pixels of how much brightness changes from pixel to pixel; steps of random height from cell to
    cell have no power at the cells' period in `grid` (their spectrum is 0 there), and all of it here. weave:
    the finest detail along rows and columns, over that along diagonals.
    """

    nyquist: float
    grid: float
    edges: float
    weave: float


def spectral_traces(picture: np.ndarray) -> Traces:
    """See `Traces`.

    Args:
        picture: uint8 (H, W, 3). Its top left part whose sides are multiples of `GRID` is taken.

    Raises:
        ValueError: a side shorter than two grid cells, where no neighbourhood is left.
    """
    height, width = (side // GRID * GRID for side in picture.shape[:2])
    if min(height, width) < 2 * GRID:
        raise ValueError(
            f"a picture of {picture.shape[1]}×{picture.shape[0]}: spectra need {2 * GRID} a side"
        )
    y = luma(picture)[:height, :width]
    powers, changes = [_power(y), _power(y.T)], [_power(_changes(y)), _power(_changes(y.T))]
    return Traces(
        nyquist=float(np.mean([_nyquist(power) for power in powers])),
        grid=float(np.mean([_grid(power) for power in powers])),
        edges=float(np.mean([_grid(power) for power in changes])),
        weave=_weave(y),
    )


def _weave(y: np.ndarray) -> float:
    """Mean power in the highest octave, wavelengths of 2 to 4 pixels, within `_SECTOR` degrees of the axes
    over that within as much of the diagonals. Of the two axes the geometric mean is taken: streaks in one
    direction, such as tree trunks, are no weave."""
    height, width = y.shape
    window = np.hanning(height + 1)[:-1, None] * np.hanning(width + 1)[None, :-1]
    power = np.abs(np.fft.rfft2((y - y.mean()) * window)) ** 2 + _ROUNDING * (window**2).sum()
    rows, columns = np.abs(np.fft.fftfreq(height))[:, None], np.fft.rfftfreq(width)[None, :]
    radius, angle = np.hypot(rows, columns), np.degrees(np.arctan2(rows, columns))
    octave = (radius >= 1 / 4) & (radius < 1 / 2)

    def towards(degrees: float) -> float:
        return float(power[octave & (np.abs(angle - degrees) < _SECTOR)].mean())

    return float(np.sqrt(towards(0) * towards(90)) / towards(45))


def _changes(rows: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each column from the one before, over every `GRID` rows, (n, N) →
    (n / GRID, N); the first column, which has none before it, gets the others' mean."""
    changes = np.abs(np.diff(rows, axis=1)).reshape(-1, GRID, rows.shape[1] - 1).mean(1)
    return np.concatenate([changes.mean(1, keepdims=True), changes], axis=1)


def _power(rows: np.ndarray) -> np.ndarray:
    """Mean power spectrum of the rows of (n, N), each less its mean and under a Hann window: (N / 2 + 1,).

    The window confines a wave of a whole number of periods to its own bin and one on either side; what 8-bit
    rounding would put into every bin is added, so that a flat picture has no peaks rather than 0 / 0.
    """
    n = rows.shape[1]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    waves = np.fft.rfft((rows - rows.mean(1, keepdims=True)) * window, axis=1)
    return (np.abs(waves) ** 2).mean(0) + _ROUNDING * (window**2).sum()


def _over_line(power: np.ndarray, peak: int, neighbours: np.ndarray) -> float:
    """Power at a bin over what its neighbours promise: a straight line through log power by log frequency
    (least squares), for spectra of pictures fall by a power of the frequency (Field 1987)."""
    x, y = np.log(neighbours), np.log(power[neighbours])
    slope, level = np.polyfit(x, y, 1)
    return float(power[peak] / np.exp(level + slope * np.log(peak)))


def _nyquist(power: np.ndarray) -> float:
    """Neighbours: the highest quarter of the frequencies, less the two bins into which a peak spreads."""
    last = len(power) - 1
    return _over_line(power, last, np.arange(last * 3 // 4, last - 1))


def _grid(power: np.ndarray) -> float:
    """Neighbours: an octave down and up, less the bins next to the peak and to its first harmonic."""
    peak = 2 * (len(power) - 1) // GRID
    around = np.arange(max(peak // 2, 1), max(2 * peak - 1, peak + 4))
    return _over_line(power, peak, around[np.abs(around - peak) > 1])


# -- Repetition inside regions

LEAST_PIXELS = 4_096  # of a region: smaller ones hold too few repeats to tell
_TREND = 65  # side of the window whose mean is taken away: brightness that changes over more is shading
MORE = 0.1  # of an autocorrelation: a difference that can be seen
_NEAREST, _FURTHEST = 6, 48  # lags in pixels
_LEAST_OVERLAP = 0.5  # of the region, where it lies over itself, shifted


@dataclass(frozen=True)
class Repetition:
    """The strongest repeat of a region: class id, pixels, and the autocorrelation there, 0 … 1."""

    label: int
    size: int
    value: float


def repetitions(picture: np.ndarray, labels: np.ndarray) -> list[Repetition]:
    """The strongest repeat inside every connected region of at least `LEAST_PIXELS` pixels of one class.

    Args:
        picture: uint8 (H, W, 3). labels: uint8 (H, W), what it shows.
    """
    y = luma(picture)
    return [
        Repetition(label, int(mask.sum()), strongest_repeat(y[window], mask))
        for label, window, mask in _large_regions(labels)
    ]


def _large_regions(labels: np.ndarray) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
    found = regions(labels)
    for region in np.flatnonzero(found.size >= LEAST_PIXELS):
        inside = found.number == region
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        yield int(found.label[region]), window, inside[window]


def strongest_repeat(y: np.ndarray, mask: np.ndarray) -> float:
    """The highest peak of a region's autocorrelation away from its centre.

    Peaks are local maxima (no lower than their eight neighbours), further from the centre than the first
    minimum of the autocorrelation's mean over all directions, and than `_NEAREST` pixels, and no further than
    `_FURTHEST`. A wave that returns after its period has 1, white noise a little over 0.

    Args:
        y: float64 (h, w), luma. mask: bool (h, w), which pixels belong to the region.

    Returns:
        0 … 1; 0 where there is no such peak, or where the texture is fainter than one grey level.
    """
    z = _detrended(y, mask)
    if np.sqrt((z[mask] ** 2).mean()) < _GREY_LEVEL:
        return 0.0
    correlation = _autocorrelation(z, mask)  # NaN where too little overlaps
    centre = _FURTHEST + 1
    offsets = np.arange(-centre, centre + 1)
    distance = np.hypot(offsets[:, None], offsets[None, :])
    known = np.nan_to_num(correlation, nan=-1.0)
    patches = np.lib.stride_tricks.sliding_window_view(known, (3, 3))
    peaks = np.zeros(known.shape, bool)
    peaks[1:-1, 1:-1] = known[1:-1, 1:-1] >= patches.max((2, 3))
    beyond = max(_NEAREST, _first_minimum(correlation, distance))
    wanted = peaks & (distance >= beyond) & (distance <= _FURTHEST) & ~np.isnan(correlation)
    return float(np.clip(known[wanted].max(initial=0.0), 0, 1))


def _detrended(y: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """y less the region's best quadratic surface, then less its mean over the part of the region that lies
    within `_TREND` // 2 pixels; 0 outside.

    The mean alone would leave a slope standing along the region's border, where it sees one side only.
    """
    rows, columns = (at - at.mean() for at in np.nonzero(mask))
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], axis=1)
    terms = terms / np.abs(terms).max(0).clip(1e-9)
    z = np.zeros(y.shape)
    z[mask] = y[mask] - terms @ np.linalg.lstsq(terms, y[mask], rcond=None)[0]
    total, count = (_box_sums(plane) for plane in (z, mask.astype(np.float64)))
    return np.where(mask, z - total / np.maximum(count, 1), 0.0)


def _box_sums(plane: np.ndarray) -> np.ndarray:
    """Sums over the `_TREND`² window around every pixel, by a summed-area table (Crow 1984)."""
    reach = _TREND // 2
    table = np.pad(np.pad(plane, reach).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return (
        table[_TREND:, _TREND:]
        - table[:-_TREND, _TREND:]
        - table[_TREND:, :-_TREND]
        + table[:-_TREND, :-_TREND]
    )


def _autocorrelation(z: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Normalised autocorrelation over the pixels that both the region and its shifted self hold (Padfield
    2012, "Masked Object Registration in the Fourier Domain"), for lags of up to `_FURTHEST` + 1 pixels either
    way: float64 (2 · (_FURTHEST + 1) + 1)², centre in the middle; NaN where less than `_LEAST_OVERLAP` of the
    region overlaps."""
    reach = _FURTHEST + 1
    shape = [_fast_length(side + reach) for side in z.shape]
    m = mask.astype(np.float64)
    f_z, f_zz, f_m = (np.fft.rfft2(plane, shape) for plane in (z, z * z, m))

    def at_lags(product: np.ndarray) -> np.ndarray:
        whole = np.fft.irfft2(product, shape)
        return np.roll(whole, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]

    overlap = at_lags(f_m.conj() * f_m)
    # Σ m(p) m(p+d) z(p)² and, the other way round, z(p+d)².
    first, second = at_lags(f_zz.conj() * f_m), at_lags(f_m.conj() * f_zz)
    size = np.sqrt(np.maximum(first, 0) * np.maximum(second, 0))
    enough = (overlap >= _LEAST_OVERLAP * m.sum()) & (size > 1e-12)
    return np.where(enough, at_lags(f_z.conj() * f_z) / np.where(enough, size, 1), np.nan)


def _fast_length(least: int) -> int:
    """The next even number from `least` on without prime factors over 5, of at least twice the lags."""
    number = max(least, 2 * (_FURTHEST + 1) + 1)
    while True:
        rest = number
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1 and number % 2 == 0:
            return number
        number += 1


def _first_minimum(correlation: np.ndarray, distance: np.ndarray) -> int:
    """The lag in pixels at which the mean over all directions first stops falling; `_FURTHEST` if it never
    does."""
    ring = np.rint(distance).astype(int)
    known = ~np.isnan(correlation)
    counts = np.bincount(ring[known], minlength=_FURTHEST + 2)
    sums = np.bincount(ring[known], correlation[known], minlength=_FURTHEST + 2)
    profile = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)[: _FURTHEST + 2]
    rising = np.flatnonzero(profile[2:] >= profile[1:-1])
    return int(rising[0]) + 1 if len(rising) else _FURTHEST


def beyond(found: list[Repetition], real: list[Repetition]) -> np.ndarray:
    """Which regions repeat by more than `MORE` than the same regions of the real picture do: bool (n,)."""
    return np.array([one.value > other.value + MORE for one, other in zip(found, real, strict=True)], bool)


def by_class(found: list[Repetition], labels: LabelSet) -> dict[str, float]:
    """Mean value of the regions of each class, by name."""
    values: dict[int, list[float]] = {}
    for one in found:
        values.setdefault(one.label, []).append(one.value)
    return {labels.by_id[label].name: round(float(np.mean(values[label])), 4) for label in sorted(values)}
