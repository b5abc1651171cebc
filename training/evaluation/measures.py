"""The figures: what is measured of what was seen, and what each is held against.

The protocol in words is docs/evaluation.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.labels import LabelSet
from training.evaluation import inception as inception_scores
from training.evaluation.artefacts import GRID, MORE
from training.evaluation.colour import ciede2000
from training.evaluation.document import Measure, Reference, Section
from training.evaluation.features import nearest, pairwise_distances
from training.evaluation.gathering import Gathered, Subject
from training.evaluation.looking import Looks, mirrored, pairwise_colours
from training.evaluation.similarity import psnr, ssim
from training.evaluation.statistics import Bootstrap, Figure, mmd2

NEAR = 0.05  # share of real pictures that count as very near to a training picture


def sections(gathered: Gathered, labels: LabelSet, bootstrap: Bootstrap) -> list[Section]:
    """The table, in the order in which it is read."""
    found = [
        _following(gathered, labels, bootstrap),
        _lifelike(gathered, bootstrap),
        _reconstruction(gathered, bootstrap),
        _artefacts(gathered, labels, bootstrap),
        _variety(gathered, bootstrap),
    ]
    if gathered.known.pooled:
        found.append(_memory(gathered, bootstrap))
    if gathered.painted:
        found.append(_crude(gathered, labels, bootstrap))
    return found


def _per_column(gathered: Gathered, figure: Callable[[Subject], Figure | None]) -> dict[str, Figure | None]:
    return {subject.column: figure(subject) for subject in gathered.subjects}


_READ = {
    "miou": ("mIoU", "Mean intersection over union of the judge's reading and the map."),
    "accuracy": ("pixel accuracy", "Share of pixels that the judge reads as the map has them."),
    "strict_miou": (
        "mIoU, unlabelled as errors",
        "The same, and whatever is read on unlabelled pixels is wrong.",
    ),
    "strict_accuracy": ("pixel accuracy, unlabelled as errors", "The same, of all pixels."),
}


def _following(gathered: Gathered, labels: LabelSet, bootstrap: Bootstrap) -> Section:
    real = gathered.real.reading(labels, bootstrap)
    read = {subject.column: subject.main.reading(labels, bootstrap) for subject in gathered.subjects}
    measures = [
        Measure(
            key=key,
            title=title,
            better="higher",
            about=about,
            references=[Reference(what="real pictures", figure=getattr(real, key))],
            values={column: getattr(one, key) for column, one in read.items()},
            detail={"real": real.by_class} | {column: one.by_class for column, one in read.items()}
            if key == "miou"
            else {},
        )
        for key, (title, about) in _READ.items()
    ]
    drawn = {
        s.column: s.drawn.reading(labels, bootstrap).miou if s.drawn else None for s in gathered.subjects
    }
    if any(drawn.values()):
        measures.append(
            Measure(
                key="miou_seeded",
                title="mIoU, styles from seeds",
                better="higher",
                about="The same of pictures that know nothing of the photo.",
                references=[Reference(what="real pictures", figure=real.miou)],
                values=drawn,
            )
        )
    return Section(
        title="Does it show what the map says?",
        note="The judge's own mistakes are in the reference. A model that makes every class look like its "
        "clearest example can be read better than photos: higher than the reference is no praise.",
        measures=measures,
    )


def _lifelike(gathered: Gathered, bootstrap: Bootstrap) -> Section:
    space, real = gathered.space, gathered.space.of(gathered.real.features())
    n = len(real)
    references = [
        Reference(what="one half of the real pictures against the other", figure=_halves(real, bootstrap))
    ]
    if len(gathered.known) >= n:
        known = space.of(np.stack(gathered.known.pooled[:n]))
        references.append(
            Reference(what="as many training pictures", figure=_thousandfold(mmd2(real, known, bootstrap)))
        )

    def distance(looks: Looks | None) -> Figure | None:
        return looks and _thousandfold(mmd2(real, space.of(looks.features()), bootstrap))

    measures = [
        Measure(
            key="judge_mmd2",
            title="judge distance × 1000",
            better="lower",
            digits=1,
            about="Squared maximum mean discrepancy (unbiased, polynomial kernel) of the judge's features, "
            "generated against real pictures. To be compared under this judge only; no FID.",
            references=references,
            values=_per_column(gathered, lambda subject: distance(subject.main)),
        )
    ]
    unequal = ""
    if any(subject.drawn for subject in gathered.subjects):
        if not all(subject.drawn for subject in gathered.subjects):
            unequal = (
                " A model with a style encoder knows each photo's style: hold one without it against the "
                '"styles from seeds" of it.'
            )
        measures.append(
            Measure(
                key="judge_mmd2_seeded",
                title="judge distance × 1000, styles from seeds",
                better="lower",
                digits=1,
                about="The same of pictures that know nothing of the photo.",
                references=references,
                values=_per_column(gathered, lambda subject: distance(subject.drawn)),
            )
        )
    return Section(
        title="Does it look like the real pictures?",
        note=f"From {n} pictures; where an interval holds 0, so many do not tell the two sets apart."
        + unequal,
        measures=measures + _inception(gathered),
    )


def _thousandfold(figure: Figure) -> Figure:
    parts = {name: value * 1000 for name, value in figure.model_dump().items() if value is not None}
    return Figure(**parts)


def _halves(features: np.ndarray, bootstrap: Bootstrap) -> Figure:
    half = len(features) // 2
    return _thousandfold(mmd2(features[: 2 * half : 2], features[1 : 2 * half : 2], bootstrap))


_INCEPTION = {
    "fid": ("FID", "lower", 1.0, "Frechet distance of Inception features; biased upward with few pictures."),
    "kid": ("KID × 1000", "lower", 1000.0, "Kernel distance of Inception features, over all pairs."),
    "inception_score": ("IS", "higher", 1.0, "Inception score, one split; says little of landscapes."),
}


def _inception(gathered: Gathered) -> list[Measure]:
    """FID, KID and IS, where the real network was at hand."""
    if not gathered.real.inception:
        return []
    real = gathered.real.inception_features()
    enough = len(gathered.known.inception) == len(gathered.real)
    known = inception_scores.scores(real, gathered.known.inception_features()) if enough else None
    seeded = any(subject.drawn for subject in gathered.subjects)

    def scored(which: Callable[[Subject], Looks | None]) -> dict[str, inception_scores.Scores | None]:
        looks = {subject.column: which(subject) for subject in gathered.subjects}
        return {
            column: one and inception_scores.scores(real, one.inception_features())
            for column, one in looks.items()
        }

    return [
        *_inception_rows(scored(lambda subject: subject.main), known, "", ""),
        *(
            _inception_rows(scored(lambda subject: subject.drawn), known, "_seeded", ", styles from seeds")
            if seeded
            else []
        ),
    ]


def _inception_rows(
    found: dict[str, inception_scores.Scores | None],
    known: inception_scores.Scores | None,
    suffix: str,
    kind: str,
) -> list[Measure]:
    """A row for each of `_INCEPTION`, its key and title with a suffix."""

    def figure(scores: inception_scores.Scores, key: str) -> Figure:
        return Figure(value=getattr(scores, key) * _INCEPTION[key][2])

    return [
        Measure(
            key=key + suffix,
            title=title + kind,
            better="lower" if better == "lower" else "higher",
            digits=1,
            about=about,
            references=[Reference(what="as many training pictures", figure=figure(known, key))]
            if known
            else [],
            values={column: scores and figure(scores, key) for column, scores in found.items()},
        )
        for key, (title, better, _, about) in _INCEPTION.items()
    ]


def _reconstruction(gathered: Gathered, bootstrap: Bootstrap) -> Section:
    space, real = gathered.space, gathered.real
    coordinates, colours = space.of(real.features()), np.stack(real.colours)
    chance = _of_another_photo(gathered)

    def features(subject: Subject) -> Figure:
        apart = np.linalg.norm(space.of(subject.main.features()) - coordinates, axis=1)
        return bootstrap.each(apart)

    def colour(subject: Subject) -> Figure:
        return bootstrap.each(ciede2000(np.stack(subject.main.colours), colours), np.median)

    other = "another photo, the next one"
    return Section(
        title="Does the style encoder bring the photo back?",
        note="Each map in its own photo's style. A model without style encoder knows nothing of the photo.",
        measures=[
            Measure(
                key="ssim",
                title="SSIM",
                better="higher",
                about="Structural similarity to the photo, of luma.",
                references=[Reference(what=other, figure=bootstrap.each(chance[:, 0]))],
                values=_per_column(gathered, lambda subject: bootstrap.each(subject.likeness[:, 0])),
            ),
            Measure(
                key="psnr",
                title="PSNR",
                unit="dB",
                better="higher",
                digits=1,
                about="Peak signal-to-noise ratio to the photo.",
                references=[Reference(what=other, figure=bootstrap.each(chance[:, 1]))],
                values=_per_column(gathered, lambda subject: bootstrap.each(subject.likeness[:, 1])),
            ),
            Measure(
                key="feature_distance",
                title="feature distance",
                better="lower",
                about="Distance to the photo in the judge's features, in standard deviations.",
                references=[
                    Reference(
                        what=other,
                        figure=bootstrap.each(
                            np.linalg.norm(coordinates - np.roll(coordinates, -1, axis=0), axis=1)
                        ),
                    )
                ],
                values=_per_column(gathered, features),
            ),
            Measure(
                key="style_ciede2000",
                title="mean colour, CIEDE2000",
                better="lower",
                digits=2,
                about="Difference of the mean colours of picture and photo; median over pictures.",
                references=[
                    Reference(
                        what=other,
                        figure=bootstrap.each(ciede2000(colours, np.roll(colours, -1, axis=0)), np.median),
                    )
                ],
                values=_per_column(gathered, colour),
            ),
        ],
    )


def _of_another_photo(gathered: Gathered) -> np.ndarray:
    """SSIM and PSNR of each photo and the next one, on the part that both sizes have: (n, 2)."""
    pairs, found = gathered.pairs, list[tuple[float, float]]()
    one = pairs[0].image
    for number in range(1, len(pairs) + 1):
        other = pairs[number % len(pairs)].image
        window = np.s_[: min(one.shape[0], other.shape[0]), : min(one.shape[1], other.shape[1])]
        found.append((ssim(one[window], other[window]), psnr(one[window], other[window])))
        one = other
    return np.array(found)


_TRACES = {
    "nyquist": ("peak at 2 pixels", "Power at the shortest wavelength, over its neighbourhood's."),
    "grid": (f"peak at {GRID} pixels", f"Power at a period of {GRID} pixels, over its neighbourhood's."),
    "edges": (
        f"edges every {GRID} pixels",
        f"The same of differences from pixel to pixel: {GRID}-pixel steps.",
    ),
    "weave": ("weave", "Finest detail (2 to 4 pixels) along rows and columns, over that along diagonals."),
}
_REPEATS = "Highest off-centre peak of the autocorrelation inside large regions, mean over regions."


def _artefacts(gathered: Gathered, labels: LabelSet, bootstrap: Bootstrap) -> Section:
    traces = [
        Measure(
            key=f"trace_{name}",
            title=title,
            better="as real",
            digits=2,
            about=f"{about} At most 1.5 times the real pictures' is wanted.",
            references=[Reference(what="real pictures", figure=gathered.real.trace(name, bootstrap))],
            values=_per_column(gathered, lambda subject, name=name: subject.main.trace(name, bootstrap)),
        )
        for name, (title, about) in _TRACES.items()
    ]
    real = gathered.real.repetition(bootstrap)
    if real is None:
        return Section(title="Does it leave traces?", measures=traces)
    repetition = Measure(
        key="repetition",
        title="repetition inside regions",
        better="as real",
        about=f"{_REPEATS} At most the real pictures' and 0.1 is wanted.",
        references=[Reference(what="real pictures, the same regions", figure=real)],
        values=_per_column(gathered, lambda subject: subject.main.repetition(bootstrap)),
        detail={"real": gathered.real.repetition_by_class(labels)}
        | {s.column: s.main.repetition_by_class(labels) for s in gathered.subjects},
    )
    further = Measure(
        key="repetition_beyond",
        title="regions that repeat more",
        better="lower",
        about=f"Share of large regions whose peak is more than {MORE} above the real picture's.",
        values=_per_column(gathered, lambda s: s.main.repetition_beyond(gathered.real, bootstrap)),
    )
    return Section(title="Does it leave traces?", measures=[*traces, repetition, further])


def _variety(gathered: Gathered, bootstrap: Bootstrap) -> Section:
    space = gathered.space

    def apart(features: np.ndarray) -> float:
        return float(np.median(pairwise_distances(space.of(features))))

    def over_maps(values: list[float]) -> Figure | None:
        return bootstrap.each(np.array(values), np.median) if values else None

    maps = len(gathered.subjects[0].diversity)
    photos = "real photos, of different maps"
    return Section(
        title="Do seeds differ, and only in what they may?",
        note=f"The first {maps} maps, each under several seeds: medians over pairs of seeds, then over maps. "
        "Light and weather should differ, what stands where should not.",
        measures=[
            Measure(
                key="diversity_ciede2000",
                title="mean colours apart, CIEDE2000",
                better="higher",
                digits=2,
                about="Difference of the mean colours of two seeds' pictures.",
                references=[
                    Reference(
                        what=photos,
                        figure=Figure(value=float(np.median(pairwise_colours(gathered.real.colours)))),
                    )
                ],
                values=_per_column(gathered, lambda s: over_maps([one.colour for one in s.diversity])),
            ),
            Measure(
                key="diversity_features",
                title="features apart",
                better="higher",
                about="Distance of two seeds' pictures in the judge's features, in standard deviations.",
                references=[Reference(what=photos, figure=Figure(value=apart(gathered.real.features())))],
                values=_per_column(
                    gathered, lambda s: over_maps([apart(one.features) for one in s.diversity])
                ),
            ),
            Measure(
                key="diversity_agreement",
                title="judge's maps agree, mIoU",
                better="higher",
                about="Mean IoU of what the judge reads in two seeds' pictures.",
                values=_per_column(gathered, lambda s: over_maps([one.agreement for one in s.diversity])),
            ),
        ],
    )


@dataclass(frozen=True)
class Neighbours:
    """Nearest training pictures of a set: numbers and distances (n,), by features and by pixels.

    By pixels they may be mirrored, as training mirrors them; features hardly tell.
    """

    by_features: tuple[np.ndarray, np.ndarray]
    by_pixels: tuple[np.ndarray, np.ndarray]


def neighbours(gathered: Gathered, looks: Looks) -> Neighbours:
    """Of each picture, the nearest training picture in the judge's features, and in thumbnails' pixels."""
    space, known = gathered.space, gathered.known
    return Neighbours(
        nearest(space.of(looks.features()), space.of(known.features())),
        _nearest_either_way(np.stack(looks.thumbnails), np.stack(known.thumbnails)),
    )


def _nearest_either_way(thumbnails: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, of thumbnails as they are or mirrored, whichever is nearer."""
    (numbers, distances), (other, turned) = nearest(thumbnails, known), nearest(mirrored(thumbnails), known)
    return np.where(turned < distances, other, numbers), np.minimum(distances, turned)


def _memory(gathered: Gathered, bootstrap: Bootstrap) -> Section:
    real = neighbours(gathered, gathered.real)
    found = {subject.column: neighbours(gathered, subject.main) for subject in gathered.subjects}
    measures: list[Measure] = []
    for kind, unit, digits in (("features", "", 3), ("pixels", "grey levels", 1)):
        distances: dict[str, np.ndarray] = {
            column: getattr(one, f"by_{kind}")[1] for column, one in found.items()
        }
        known: np.ndarray = getattr(real, f"by_{kind}")[1]
        near = float(np.quantile(known, NEAR))
        measures += [
            Measure(
                key=f"nearest_{kind}",
                title=f"nearest training picture, by {kind}",
                unit=unit,
                better="as real",
                digits=digits,
                about=f"Distance of each picture to the nearest training picture, by {kind}; median.",
                references=[Reference(what="real pictures", figure=bootstrap.each(known, np.median))],
                values={column: bootstrap.each(one, np.median) for column, one in distances.items()},
            ),
            Measure(
                key=f"very_near_{kind}",
                title=f"very near, by {kind}",
                better="as real",
                about=f"Share of pictures nearer to a training picture than all but {NEAR:.0%} of real ones.",
                references=[Reference(what="real pictures", figure=bootstrap.each(known < near))],
                values={column: bootstrap.each(one < near) for column, one in distances.items()},
            ),
        ]
    return Section(
        title="Does it repeat training pictures?",
        note=f"Against {len(gathered.known)} training pictures. A model that had learned some by heart would "
        "be nearer to them than unseen real pictures are.",
        measures=measures,
    )


def _crude(gathered: Gathered, labels: LabelSet, bootstrap: Bootstrap) -> Section:
    real = gathered.real

    def of(figure: Callable[[Looks], Figure | None]) -> dict[str, Figure | None]:
        return _per_column(gathered, lambda subject: subject.painted and figure(subject.painted))

    traces = [
        Measure(
            key=f"painted_trace_{name}",
            title=title,
            better="as real",
            digits=2,
            about=about,
            references=[Reference(what="real pictures, of other maps", figure=real.trace(name, bootstrap))],
            values=of(lambda looks, name=name: looks.trace(name, bootstrap)),
        )
        for name, (title, about) in _TRACES.items()
    ]
    repetition = real.repetition(bootstrap)
    return Section(
        title="And on maps painted by hand?",
        note=f"{len(gathered.painted)} crude maps, which no photo belongs to; styles from seeds.",
        measures=[
            Measure(
                key="painted_miou",
                title="mIoU",
                better="higher",
                about="Mean IoU of the judge's reading and the painted map.",
                references=[
                    Reference(
                        what="real pictures, of other maps", figure=real.reading(labels, bootstrap).miou
                    )
                ],
                values=of(lambda looks: looks.reading(labels, bootstrap).miou),
            ),
            *traces,
            Measure(
                key="painted_repetition",
                title="repetition inside regions",
                better="as real",
                about=_REPEATS,
                references=[Reference(what="real pictures, other regions", figure=repetition)]
                if repetition
                else [],
                values=of(lambda looks: looks.repetition(bootstrap)),
            ),
        ],
    )
