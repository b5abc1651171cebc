"""Everything that is measured of a set of pictures, one picture at a time; of the pictures themselves only
small copies are kept."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.labels import LabelSet
from models.spade import resize_labels
from training.evaluation.artefacts import Repetition, Traces, beyond, by_class, repetitions, spectral_traces
from training.evaluation.colour import ciede2000, mean_colour
from training.evaluation.features import Judge
from training.evaluation.inception import Inception
from training.evaluation.reading import Reading, confusion, reading
from training.evaluation.statistics import Bootstrap, Figure

THUMBNAIL = 32  # side of the copies that pixels are compared by
_SHOWN = 512  # longest side of the copies that a report shows


def jpeg(picture: np.ndarray, longest: int = _SHOWN) -> bytes:
    """uint8 (H, W, 3) → a JPEG of at most `longest` pixels a side."""
    image, file = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((longest, longest))
    image.save(file, "JPEG", quality=88)
    return file.getvalue()


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) → its area means on a grid of `THUMBNAIL`², so scaled that the Euclidean distance of
    two is the root mean square difference in grey levels (0…255): float32 (3 · THUMBNAIL²,)."""
    small = Image.fromarray(picture).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    values = np.asarray(small, np.float32).ravel()
    return values / np.float32(np.sqrt(values.size))


def mirrored(thumbnails: np.ndarray) -> np.ndarray:
    """The thumbnails of the same pictures, left and right exchanged: (n, 3 · THUMBNAIL²)."""
    return thumbnails.reshape(-1, THUMBNAIL, THUMBNAIL, 3)[:, :, ::-1].reshape(thumbnails.shape)


@dataclass
class Looks:
    """What was seen in a set of pictures, in their order.

    Most lists hold one entry a picture; `thumbnails` and `shown` too.
    """

    sizes: list[str] = field(default_factory=list)
    pooled: list[np.ndarray] = field(default_factory=list)
    confusions: list[np.ndarray] = field(default_factory=list)
    found: list[np.ndarray] = field(default_factory=list)
    colours: list[np.ndarray] = field(default_factory=list)
    traces: list[Traces] = field(default_factory=list)
    repeats: list[list[Repetition]] = field(default_factory=list)
    thumbnails: list[np.ndarray] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    inception: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.pooled)

    def features(self) -> np.ndarray:
        return np.stack(self.pooled)

    def reading(self, labels: LabelSet, bootstrap: Bootstrap) -> Reading:
        return reading(self.confusions, labels, bootstrap)

    def trace(self, name: str, bootstrap: Bootstrap) -> Figure:
        """The mean over pictures of one of `Traces`."""
        return bootstrap.each(np.array([getattr(traces, name) for traces in self.traces]))

    def repetition(self, bootstrap: Bootstrap) -> Figure | None:
        """The mean over all large regions of all pictures; None where there is none."""
        return over_regions([np.array([one.value for one in found]) for found in self.repeats], bootstrap)

    def repetition_beyond(self, real: Looks, bootstrap: Bootstrap) -> Figure | None:
        """The share of large regions that repeat clearly more than the real picture's; None without any."""
        pairs = zip(self.repeats, real.repeats, strict=True)
        return over_regions([beyond(found, other) for found, other in pairs], bootstrap)

    def repetition_by_class(self, labels: LabelSet) -> dict[str, float]:
        return by_class([one for found in self.repeats for one in found], labels)

    def inception_features(self) -> tuple[Tensor, Tensor]:
        features, logits = zip(*self.inception, strict=True)
        return torch.stack(features), torch.stack(logits)


def over_regions(values: Sequence[np.ndarray], bootstrap: Bootstrap) -> Figure | None:
    """The mean over all regions of all pictures, given one array a picture; pictures are resampled, with all
    their regions. None where there is none."""
    sums = np.array([found.sum() for found in values], np.float64)
    sizes = np.array([len(found) for found in values], np.float64)
    if not sizes.sum():
        return None
    counts = bootstrap.counts(len(sizes))
    regions = counts @ sizes
    kept = regions > 0  # a resample of pictures without large regions says nothing
    return bootstrap.of(sums.sum() / sizes.sum(), (counts @ sums)[kept] / regions[kept])


class Observer:
    """Looks at pictures.

    Args:
        judge: reads them.
        inception: also takes its features, if given.
    """

    def __init__(self, judge: Judge, inception: Inception | None = None) -> None:
        self.judge, self.inception = judge, inception

    def look(self, pictures: Iterable[tuple[np.ndarray, np.ndarray]]) -> Looks:
        """Everything, of pictures uint8 (H, W, 3) and what they should show, uint8 (H, W)."""
        looks = Looks()
        for picture, labels in pictures:
            found = self._glance(looks, picture)
            truth = resize_labels(torch.from_numpy(labels.astype(np.int64)), *found.shape).numpy()
            looks.confusions.append(confusion(truth, found, self.judge.labels.channels))
            looks.traces.append(spectral_traces(picture))
            looks.repeats.append(repetitions(picture, labels))
            looks.thumbnails.append(thumbnail(picture))
            looks.shown.append(jpeg(picture))
            if self.inception is not None:
                looks.inception.append(self.inception(picture))
        return looks

    def glance(self, pictures: Iterable[np.ndarray], keep_maps: bool = False) -> Looks:
        """Features and mean colours alone, and the judge's maps where they are wanted."""
        looks = Looks()
        for picture in pictures:
            found = self._glance(looks, picture)
            if keep_maps:
                looks.found.append(found)
        return looks

    def remember(self, pictures: Iterable[np.ndarray], inception: int = 0) -> Looks:
        """Features, thumbnails and small copies of many pictures; Inception features of the first so many."""
        looks = Looks()
        for number, picture in enumerate(pictures):
            self._glance(looks, picture)
            looks.thumbnails.append(thumbnail(picture))
            looks.shown.append(jpeg(picture, 128))
            if self.inception is not None and number < inception:
                looks.inception.append(self.inception(picture))
        return looks

    def _glance(self, looks: Looks, picture: np.ndarray) -> np.ndarray:
        seen = self.judge.read(picture)
        looks.sizes.append(f"{picture.shape[1]}×{picture.shape[0]}")
        looks.pooled.append(seen.pooled)
        looks.colours.append(mean_colour(picture))
        return seen.found


def pairwise_colours(colours: Sequence[np.ndarray]) -> np.ndarray:
    """CIEDE2000 between every two of n mean colours: (n (n − 1) / 2,)."""
    stack = np.stack(colours)
    return np.concatenate([ciede2000(colour, stack[i + 1 :]) for i, colour in enumerate(stack)])
