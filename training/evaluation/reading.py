"""What the judge reads in pictures, held against their maps: mIoU and pixel accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.labels import LabelSet
from training.evaluation.statistics import Bootstrap, Figure

RARE = 0.002  # classes with a smaller share of the labelled pixels are left out of the mean, and named


@dataclass(frozen=True)
class Reading:
    """Scores in 0…1.

    miou, accuracy: pixels without a label do not count. strict_miou, strict_accuracy: whatever is read there
    is an error. by_class: IoU by class name, of the classes that the mean is over; left_out: the others that
    the label set has.
    """

    miou: Figure
    accuracy: Figure
    strict_miou: Figure
    strict_accuracy: Figure
    by_class: dict[str, float]
    left_out: list[str]


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by (true class, found class): int64 (classes, classes)."""
    pairs = truth.astype(np.int64).ravel() * classes + found.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def reading(matrices: Sequence[np.ndarray], labels: LabelSet, bootstrap: Bootstrap) -> Reading:
    """Scores of pictures' confusion matrices, one a picture, added up (Long et al. 2015, sec. 5)."""
    stack = np.stack(matrices)
    names = {label.id: label.name for label in labels.labels if label.id != labels.ignore}
    total = stack.sum(0)
    kept = _frequent(total, names, labels.ignore)
    counts = bootstrap.counts(len(stack))
    scores = _scores(total[None], kept, labels.ignore)
    flat = stack.reshape(len(stack), -1).astype(np.float64)
    resampled = np.concatenate(
        [
            _scores((row @ flat).reshape(1, *total.shape), kept, labels.ignore)
            for row in np.array_split(counts, len(counts))
        ]
    )
    figures = [bootstrap.of(scores[0, i], resampled[:, i]) for i in range(4)]
    iou = _iou(total[None], labels.ignore, strict=False)[0]
    return Reading(
        *figures,
        by_class={names[number]: round(float(iou[number]), 4) for number in kept},
        left_out=[names[number] for number in names if number not in kept],
    )


def _frequent(matrix: np.ndarray, names: dict[int, str], ignore: int | None) -> list[int]:
    truth = matrix.sum(1)
    labelled = truth.sum() - (0 if ignore is None else truth[ignore])
    return [number for number in names if labelled and truth[number] / labelled >= RARE]


def _iou(matrices: np.ndarray, ignore: int | None, strict: bool) -> np.ndarray:
    """(n, C, C) → intersection over union (n, C); NaN for a class that is neither there nor read."""
    found = matrices.sum(1)
    if ignore is not None and not strict:
        found = found - matrices[:, ignore]
    hits, truth = np.diagonal(matrices, axis1=1, axis2=2), matrices.sum(2)
    union = truth + found - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def _scores(matrices: np.ndarray, kept: Sequence[int], ignore: int | None) -> np.ndarray:
    """(n, C, C) → mIoU, accuracy, and both with unlabelled pixels as errors: (n, 4)."""
    hits, truth = np.diagonal(matrices, axis1=1, axis2=2).astype(np.float64), matrices.sum(2)
    everything = np.maximum(truth.sum(1), 1)
    unlabelled = 0 if ignore is None else truth[:, ignore]
    right = hits.sum(1) - (0 if ignore is None else hits[:, ignore])
    mean = [_mean_of_some(_iou(matrices, ignore, strict)[:, kept]) for strict in (False, True)]
    labelled = np.maximum(truth.sum(1) - unlabelled, 1)
    return np.stack([mean[0], right / labelled, mean[1], right / everything], axis=1)


def _mean_of_some(iou: np.ndarray) -> np.ndarray:
    """Means of the rows of (n, k) without their NaN, for a resample need not hold every class: (n,)."""
    known = ~np.isnan(iou)
    return np.where(known, iou, 0).sum(1) / np.maximum(known.sum(1), 1)


def agreement(one: np.ndarray, other: np.ndarray, classes: int) -> float:
    """How far two of the judge's maps agree, both (h, w): mean IoU of the classes that hold at least `RARE`
    of the pixels of either."""
    matrix = confusion(one, other, classes)
    hits, first, second = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    kept = np.maximum(first, second) >= max(RARE * one.size, 1)
    return float(np.mean(hits[kept] / (first + second - hits)[kept]))
