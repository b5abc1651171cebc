"""Which pictures are painted, and everything that is seen of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.data import Pair, centred
from training.evaluation.artefacts import GRID
from training.evaluation.features import FeatureSpace
from training.evaluation.looking import Looks, Observer, pairwise_colours
from training.evaluation.painting import Source
from training.evaluation.reading import agreement
from training.evaluation.similarity import psnr, ssim

Say = Callable[[str], None]
_SMALLEST = 2 * GRID  # pixels a side


class EvaluationError(ValueError):
    """An evaluation that cannot be done: says what is wrong and what to do."""


@dataclass(frozen=True)
class Plan:
    """What is painted beside the pictures themselves.

    diversity_maps: how many of the first maps are painted with `diversity_seeds` seeds each.
    """

    diversity_maps: int = 10
    diversity_seeds: int = 10


@dataclass
class Subject:
    """One model and what was seen of its pictures.

    main: of every map, in its photo's own style where the model has an encoder, else in the style of seed i
    for picture i. drawn: in the style of seed i, for models with an encoder. likeness: SSIM, PSNR and
    CIEDE2000 of mean colours, of `main` to the photos, (n, 3).
    diversity: see `_diversity`. painted: of crude maps.
    """

    column: str
    source: Source
    main: Looks
    likeness: np.ndarray
    drawn: Looks | None
    diversity: list[Diversity]
    painted: Looks | None


@dataclass(frozen=True)
class Diversity:
    """One map under several seeds. features: pooled, (seeds, D)."""

    colour: float
    agreement: float
    features: np.ndarray


@dataclass
class Gathered:
    """Everything that was seen. real: of `pairs`; known: of the training pictures `known_names`; painted: the
    crude maps, uint8 (H, W)."""

    pairs: Sequence[Pair]
    real: Looks
    known: Looks
    known_names: list[str]
    subjects: list[Subject]
    painted: list[np.ndarray]
    space: FeatureSpace


class CutPairs(Sequence[Pair]):
    """The middle of every picture, as large as it can be with sides that are multiples of `multiple`; cut
    when it is looked at, so that a large set need not lie in memory.

    Looking raises EvaluationError for a picture too small for that, or for the artefact measures; it is
    named.
    """

    def __init__(self, pairs: Sequence[Pair], multiple: int) -> None:
        self._pairs, self._multiple = pairs, multiple

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return CutPairs(self._pairs[index], self._multiple)
        return _cut(self._pairs[index], self._multiple)


def _cut(pair: Pair, multiple: int) -> Pair:
    (height, width), least = pair.labels.shape, max(multiple, _SMALLEST)
    if min(height, width) < least:
        raise EvaluationError(
            f"picture {pair.name} is {width}×{height}, and {least}×{least} is the least that these "
            "models and this judge can be evaluated on: leave it out"
        )
    return centred(pair, height // multiple * multiple, width // multiple * multiple)


def stride_of(sources: Sequence[Source], judge_stride: int) -> int:
    """What pictures' sides are cut to multiples of, so that every model and the judge take them whole."""
    return math.lcm(judge_stride, *(source.spec.stride for source in sources))


def gather(
    sources: Sequence[tuple[str, Source]],
    observer: Observer,
    pairs: Sequence[Pair],
    training: Sequence[Pair],
    painted: Sequence[np.ndarray],
    plan: Plan,
    say: Say,
) -> Gathered:
    """Paint and look.

    Args:
        sources: models by column.
        pairs: four or more, cut (see `CutPairs`).
        training: pictures that the models were trained on, cut to the judge's stride; may be none.
        painted: crude maps, uint8 (H, W); may be none.
    """
    if len(pairs) < 4:
        raise EvaluationError(f"{len(pairs)} pictures: an evaluation takes 4 or more")
    say(f"real pictures: {len(pairs)}")
    real = observer.look((pair.image, pair.labels) for pair in pairs)
    say(f"training pictures: {len(training)}")
    names: list[str] = []

    def training_pictures() -> Iterator[np.ndarray]:
        for pair in training:
            names.append(pair.name)
            yield pair.image

    known = observer.remember(training_pictures(), inception=len(pairs))
    space = FeatureSpace(real.features(), observer.judge.stage_sizes)
    subjects: list[Subject] = []
    for column, source in sources:
        say(f"{column}: {len(pairs)} maps")
        subjects.append(_subject(column, source, observer, pairs, painted, plan))
    return Gathered(pairs, real, known, names, subjects, list(painted), space)


def _subject(
    column: str,
    source: Source,
    observer: Observer,
    pairs: Sequence[Pair],
    painted: Sequence[np.ndarray],
    plan: Plan,
) -> Subject:
    likeness: list[tuple[float, float]] = []

    def own() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for seed, pair in enumerate(pairs):
            picture = source.paint(pair.labels, source.style_of(pair.image), seed)
            likeness.append((ssim(picture, pair.image), psnr(picture, pair.image)))
            yield picture, pair.labels

    def seeded(maps: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return ((source.paint(labels, None, seed), labels) for seed, labels in enumerate(maps))

    return Subject(
        column,
        source,
        main=observer.look(own()),
        likeness=np.array(likeness),
        drawn=observer.look(seeded([pair.labels for pair in pairs])) if source.has_encoder else None,
        diversity=[
            _diversity(source, observer, pair.labels, plan.diversity_seeds)
            for pair in pairs[: plan.diversity_maps]
        ],
        painted=observer.look(seeded(painted)) if painted else None,
    )


def _diversity(source: Source, observer: Observer, labels: np.ndarray, seeds: int) -> Diversity:
    """One map in the styles of seeds 1, 2, …: medians over all pairs of pictures."""
    looks = observer.glance((source.paint(labels, None, seed + 1) for seed in range(seeds)), keep_maps=True)
    agreements = [
        agreement(one, other, observer.judge.labels.channels)
        for i, one in enumerate(looks.found)
        for other in looks.found[i + 1 :]
    ]
    return Diversity(
        float(np.median(pairwise_colours(looks.colours))), float(np.median(agreements)), looks.features()
    )
