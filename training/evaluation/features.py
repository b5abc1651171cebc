"""The judge: a segmenter trained on real pairs, and the space in which pictures are compared through its
eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.labels import LabelSet
from models.segmenter import Segmenter
from training.data import to_float

_AT_ONCE = 256  # rows that are compared with all others in one product
LEAST_SPREAD = 0.1  # of a stage's median spread: what varies less would be blown up beyond meaning


@dataclass(frozen=True)
class Seen:
    """What the judge makes of a picture.

    found: uint8 (h, w), the class it reads at each of its own pixels. pooled: float64 (D,), see `pooled`.
    """

    found: np.ndarray
    pooled: np.ndarray


def pooled(stages: Sequence[Tensor]) -> np.ndarray:
    """Activations (1, C, h, w) of each stage → the spatial mean and standard deviation of every channel, one
    stage after the other: float64 (Σ 2·C,). Where something stands in the picture is lost; what kinds of
    thing it holds, and how unevenly, is kept."""
    parts: list[Tensor] = []
    for stage in stages:
        flat = stage[0].flatten(1).double()
        parts += [flat.mean(1), flat.std(1, correction=0)]
    return torch.cat(parts).cpu().numpy()


class Judge:
    """Reads pictures, one at a time, in float32.

    Args:
        network: in evaluation mode; any segmenter that gives `features`.
        labels: the set that its classes, and the maps it is held against, are in.
    """

    def __init__(self, network: Segmenter, labels: LabelSet, device: torch.device | str = "cpu") -> None:
        self.network, self.labels, self.device = network.to(device).eval(), labels, torch.device(device)
        self.stage_sizes: list[int] = []  # features of each stage, known once a picture was read

    @property
    def stride(self) -> int:
        """Sides of pictures must be multiples of it."""
        return self.network.stride

    @torch.inference_mode()
    def read(self, picture: np.ndarray) -> Seen:
        """picture uint8 (H, W, 3), its sides multiples of `stride`."""
        scores, stages = self.network.features(to_float(picture).unsqueeze(0).to(self.device))
        self.stage_sizes = [2 * stage.shape[1] for stage in stages]
        return Seen(scores[0].argmax(0).byte().cpu().numpy(), pooled(stages))


class FeatureSpace:
    """Pooled features, in units of how far real pictures spread.

    Every feature is centred on the real pictures' mean and divided by their standard deviation, or by
    `LEAST_SPREAD` of its stage's median one where that is more; then every stage is weighted by the number of
    its features, so that x·y is the mean over stages of the mean product of a stage's features. A real
    picture's x·x is about 1, and a distance is in standard deviations.

    Args:
        real: pooled features of the real pictures, float64 (n, D).
        stage_sizes: how many of the D features each stage has.
    """

    def __init__(self, real: np.ndarray, stage_sizes: Sequence[int]) -> None:
        self._mean = real.mean(0)
        spread, weights, start = real.std(0), np.zeros(real.shape[1]), 0
        for size in stage_sizes:
            stage = slice(start, start + size)
            floor = LEAST_SPREAD * float(np.median(spread[stage]))
            spread[stage] = np.maximum(spread[stage], floor)
            weights[stage] = 1 / np.sqrt(size * len(stage_sizes))
            start += size
        # Where even the median of a stage never varies, there is no unit to measure in.
        self._factor = np.where(spread > 1e-8, weights / np.maximum(spread, 1e-8), 0.0)

    def of(self, features: np.ndarray) -> np.ndarray:
        """Pooled features (…, D) → coordinates (…, D)."""
        return (features - self._mean) * self._factor


def pairwise_distances(coordinates: np.ndarray) -> np.ndarray:
    """Euclidean distances between every two of n rows (n, D): (n (n − 1) / 2,). Row by row, for the
    differences of all pairs at once would be n/2 times the rows."""
    rows = [np.linalg.norm(coordinates[i + 1 :] - row, axis=1) for i, row in enumerate(coordinates)]
    return np.concatenate(rows)


def nearest(queries: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each row of queries (n, D), the nearest row of `known` (m, D): its number int64 (n,), and the
    Euclidean distance (n,).

    They are found by |k|² − 2 q·k, a matrix product, for sets of ten thousands; the distance is that of the
    rows themselves.
    """
    squares = np.einsum("md,md->m", known, known)
    parts = np.array_split(queries, range(_AT_ONCE, len(queries), _AT_ONCE))
    numbers = np.concatenate([(squares - 2 * (part @ known.T)).argmin(1) for part in parts])
    return numbers, np.linalg.norm(queries - known[numbers], axis=1)
