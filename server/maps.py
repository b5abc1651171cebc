"""Label maps against a label set: which ids and colours belong, and the same map at another size.

A map is uint8 (height, width), each value a class id. Nothing here knows files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.labels import Label, LabelSet
from server.errors import Problem

Map = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_NAMED_AT_MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Unknown:
    """An id or colour that the label set does not have."""

    said: str
    pixels: int
    nearest: Label

    def sentence(self) -> str:
        pixels = "1 pixel" if self.pixels == 1 else f"{self.pixels} pixels"
        return f"{self.said} ({pixels}, nearest label {self.nearest.name!r}, id {self.nearest.id})"

    def entry(self) -> dict[str, Any]:
        nearest = {"id": self.nearest.id, "name": self.nearest.name}
        return {"value": self.said, "pixels": self.pixels, "nearest": nearest}


def check_ids(ids: Map, labels: LabelSet, palette: bytes | None = None) -> None:
    """Raise Problem if the map holds ids that the label set does not have, naming them, their counts and the
    nearest labels: by the colour that `palette` (RGB triples) shows for the id, else by number."""
    counts = np.bincount(ids.reshape(-1), minlength=256)
    unknown = [
        Unknown(f"id {number}", int(counts[number]), _nearest_to_id(number, labels, palette))
        for number in np.flatnonzero(counts).tolist()
        if number not in labels.by_id
    ]
    if unknown:
        raise _problem("unknown-label", "id", unknown, labels)


def ids_of_colours(pixels: Pixels, labels: LabelSet) -> Map:
    """Class ids of RGB pixels (H, W, 3) in exactly the label set's colours; of equal colours the first wins.

    Raises Problem, naming the colours that the label set does not have.
    """
    channels = pixels.astype(np.uint32)
    packed = channels[:, :, 0] << 16 | channels[:, :, 1] << 8 | channels[:, :, 2]
    colours, positions, counts = np.unique(packed, return_inverse=True, return_counts=True)
    known: dict[int, int] = {}
    for label in labels.labels:
        red, green, blue = label.color
        known.setdefault(red << 16 | green << 8 | blue, label.id)
    ids = [known.get(colour, -1) for colour in colours.tolist()]
    if -1 in ids:
        strange = {c: n for c, n, i in zip(colours.tolist(), counts.tolist(), ids, strict=True) if i < 0}
        raise _problem("unknown-colour", "colour", _unknown_colours(strange, labels), labels)
    return np.array(ids, np.uint8)[positions].reshape(packed.shape)


def _unknown_colours(counts: dict[int, int], labels: LabelSet) -> list[Unknown]:
    # A smoothed map has thousands of colours: the nearest label is sought only for those that are named.
    frequent = sorted(counts, key=lambda colour: -counts[colour])
    rest = [Unknown("", counts[colour], labels.labels[0]) for colour in frequent[_NAMED_AT_MOST:]]
    named = [
        Unknown(f"#{colour:06x}", counts[colour], _nearest_to_colour(_unpack(colour), labels))
        for colour in frequent[:_NAMED_AT_MOST]
    ]
    return named + rest


def _unpack(colour: int) -> Colour:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _nearest_to_id(number: int, labels: LabelSet, palette: bytes | None) -> Label:
    if palette is not None and len(palette) >= 3 * number + 3:
        red, green, blue = palette[3 * number : 3 * number + 3]
        return _nearest_to_colour((red, green, blue), labels)
    return min(labels.labels, key=lambda label: abs(label.id - number))


def _nearest_to_colour(colour: Colour, labels: LabelSet) -> Label:
    def distance(label: Label) -> int:
        return sum((a - b) ** 2 for a, b in zip(label.color, colour, strict=True))

    return min(labels.labels, key=distance)


def _problem(code: str, thing: str, unknown: list[Unknown], labels: LabelSet) -> Problem:
    named = sorted(unknown, key=lambda one: -one.pixels)[:_NAMED_AT_MOST]
    more = f" and {len(unknown) - len(named)} more" if len(unknown) > len(named) else ""
    said = "; ".join(one.sentence() for one in named)
    return Problem(
        422,
        code,
        f"Unknown {thing}{'' if len(unknown) == 1 else 's'} in the map",
        f"The label set {labels.name!r} does not have {said}{more}.",
        "Use the labels that GET /models lists. Smoothing and resampling make values in between: save the "
        "map without them.",
        extra={"unknown": [one.entry() for one in named], "unknown_count": len(unknown)},
    )


def resize_nearest(labels: Map, width: int, height: int) -> Map:
    """The map at another size: each new pixel takes the id at its centre; ids are never mixed."""
    if labels.shape == (height, width):
        return labels
    rows = _centres(labels.shape[0], height)
    columns = _centres(labels.shape[1], width)
    return np.ascontiguousarray(labels[rows[:, None], columns[None, :]])


def _centres(old: int, new: int) -> npt.NDArray[np.int64]:
    return (2 * np.arange(new, dtype=np.int64) + 1) * old // (2 * new)
