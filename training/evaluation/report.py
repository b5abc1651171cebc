"""The report: one HTML file that holds everything, pictures included, and asks nothing of any host."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from models.labels import LabelSet
from training.evaluation.document import Document
from training.evaluation.gathering import Gathered
from training.evaluation.looking import Looks
from training.evaluation.measures import neighbours
from training.evaluation.table import ARROWS, NONE, by_class_rows, written
from training.sheet import colored

_NEIGHBOURS = 6  # shown of each model


@dataclass(frozen=True)
class Shown:
    """A picture in the report: a data URI, and what stands under it."""

    uri: str
    caption: str


@dataclass(frozen=True)
class Row:
    """Pictures that belong to one map."""

    title: str
    pictures: list[Shown]


@dataclass(frozen=True)
class Pairing:
    """A picture, its nearest training picture, and how far apart they are."""

    left: Shown
    right: Shown
    distance: str


@dataclass(frozen=True)
class Wall:
    """The pairings of one set of pictures, nearest first."""

    title: str
    pairings: list[Pairing]


@dataclass(frozen=True)
class Album:
    """All pictures of the report."""

    sheet: list[Row]
    painted: list[Row]
    walls: list[Wall]


def album(gathered: Gathered, labels: LabelSet, first: int) -> Album:
    """Contact sheets of the first pictures, never chosen; and the nearest neighbours of every model, which
    are."""
    sheet = [
        Row(
            pair.name,
            [
                Shown(_png(colored(pair.labels, labels)), "label map"),
                Shown(_uri(gathered.real.shown[number]), "real picture"),
                *_of_subjects(gathered, number),
            ],
        )
        for number, pair in enumerate(gathered.pairs[:first])
    ]
    painted = [
        Row(
            f"painted map {number}",
            [
                Shown(_png(colored(map_, labels)), "painted map"),
                *(
                    Shown(_uri(subject.painted.shown[number]), subject.column)
                    for subject in gathered.subjects
                    if subject.painted
                ),
            ],
        )
        for number, map_ in enumerate(gathered.painted[:first])
    ]
    return Album(sheet, painted, _walls(gathered) if gathered.known.pooled else [])


def _of_subjects(gathered: Gathered, number: int) -> list[Shown]:
    shown: list[Shown] = []
    for subject in gathered.subjects:
        own = f"{subject.column}, own style" if subject.drawn else subject.column
        shown.append(Shown(_uri(subject.main.shown[number]), own))
        if subject.drawn:
            shown.append(Shown(_uri(subject.drawn.shown[number]), f"{subject.column}, seed {number}"))
    return shown


def _walls(gathered: Gathered) -> list[Wall]:
    sets = [("Real pictures", gathered.real), *((one.column, one.main) for one in gathered.subjects)]
    walls: list[Wall] = []
    for title, looks in sets:
        found = neighbours(gathered, looks)
        walls += [
            Wall(
                f"{title}, by the judge's features", _pairings(gathered, looks, *found.by_features, digits=3)
            ),
            Wall(f"{title}, by pixels", _pairings(gathered, looks, *found.by_pixels, digits=1)),
        ]
    return walls


def _pairings(
    gathered: Gathered, looks: Looks, numbers: np.ndarray, distances: np.ndarray, digits: int
) -> list[Pairing]:
    return [
        Pairing(
            Shown(_uri(looks.shown[i]), gathered.pairs[i].name),
            Shown(_uri(gathered.known.shown[numbers[i]]), gathered.known_names[numbers[i]]),
            f"{distances[i]:.{digits}f}",
        )
        for i in np.argsort(distances, kind="stable")[:_NEIGHBOURS].tolist()
    ]


def _uri(data: bytes, kind: str = "jpeg") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _png(picture: np.ndarray) -> str:
    file = io.BytesIO()
    image = Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(file, "PNG")
    return _uri(file.getvalue(), "png")


def render(document: Document, pictures: Album) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["arrow"] = lambda better: ARROWS[better]
    environment.globals["written"] = written
    environment.globals["nothing"] = NONE
    environment.globals["by_class"] = by_class_rows
    return environment.get_template("report.html").render(
        document=document, album=pictures, columns=[model.column for model in document.models]
    )
