"""Label maps against a label set: which ids and colours belong, and the same map at another size.

A map is uint8 (height, width), each value a class id; an instance map is uint16 (height, width), one value
for all pixels of one thing. Nothing here knows files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from models.labels import Label, LabelSet
from server.errors import Problem

Map = npt.NDArray[np.uint8]
Instances = npt.NDArray[np.uint16]
Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Ids = TypeVar("Ids", np.uint8, np.uint16)

_NAMED_AT_MOST: Final = 5
_PIECE: Final = 1 << 16


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
    counts = np.zeros(256, np.int64)
    for piece in _pieces(ids.reshape(-1)):
        counts += np.bincount(piece, minlength=256)
    unknown = [
        Unknown(f"id {number}", int(counts[number]), _nearest_to_id(number, labels, palette))
        for number in np.flatnonzero(counts).tolist()
        if number not in labels.by_id
    ]
    if unknown:
        unknown.sort(key=lambda one: -one.pixels)
        raise _problem("unknown-label", "id", unknown[:_NAMED_AT_MOST], len(unknown), labels)


def ids_of_colours(pixels: Pixels, labels: LabelSet) -> Map:
    """Class ids of RGB pixels (H, W, 3) in exactly the label set's colours; of equal colours the first wins.

    Raises Problem, naming the colours that the label set does not have.
    """
    known: dict[int, int] = {}
    for label in labels.labels:
        red, green, blue = label.color
        known.setdefault(red << 16 | green << 8 | blue, label.id)
    colours = np.array(sorted(known), np.uint32)
    table = np.array([known[colour] for colour in colours.tolist()], np.uint8)
    ids = np.empty(pixels.shape[:2], np.uint8)
    flat, strange = ids.reshape(-1), list[npt.NDArray[np.uint32]]()
    for start, piece in zip(range(0, flat.size, _PIECE), _pieces(pixels.reshape(-1, 3)), strict=True):
        packed = _packed(piece)
        places = np.searchsorted(colours, packed).clip(max=colours.size - 1)
        flat[start : start + _PIECE] = table[places]
        strange.append(packed[colours[places] != packed])
    _refuse_colours(np.concatenate(strange), labels)
    return ids


def _pieces(values: Pixels) -> Iterator[Pixels]:
    """The array in pieces: counting and searching take many times the memory of what they are given."""
    return (values[start : start + _PIECE] for start in range(0, len(values), _PIECE))


def _packed(pixels: Pixels) -> npt.NDArray[np.uint32]:
    """RGB pixels (N, 3) as numbers 0xRRGGBB."""
    red, green, blue = pixels.astype(np.uint32).T
    return (red << np.uint32(16)) | (green << np.uint32(8)) | blue


def _refuse_colours(strange: npt.NDArray[np.uint32], labels: LabelSet) -> None:
    if not strange.size:
        return
    colours, counts = np.unique(strange, return_counts=True)
    frequent = np.argsort(-counts, kind="stable")[:_NAMED_AT_MOST].tolist()
    named = [
        Unknown(f"#{colours[i]:06x}", int(counts[i]), _nearest_to_colour(_unpack(int(colours[i])), labels))
        for i in frequent
    ]
    raise _problem("unknown-colour", "colour", named, colours.size, labels)


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


def _problem(code: str, thing: str, named: list[Unknown], count: int, labels: LabelSet) -> Problem:
    more = f" and {count - len(named)} more" if count > len(named) else ""
    said = "; ".join(one.sentence() for one in named)
    return Problem(
        422,
        code,
        f"Unknown {thing}{'' if count == 1 else 's'} in the map",
        f"The label set {labels.name!r} does not have {said}{more}.",
        "Use the labels that GET /models lists. Smoothing and resampling make values in between: save the "
        "map without them.",
        extra={"unknown": [one.entry() for one in named], "unknown_count": count},
    )


def resize_nearest(labels: npt.NDArray[Ids], width: int, height: int) -> npt.NDArray[Ids]:
    """The map at another size: each new pixel takes the id at its centre; ids are never mixed."""
    if labels.shape == (height, width):
        return labels
    rows = _centres(labels.shape[0], height)
    columns = _centres(labels.shape[1], width)
    return np.ascontiguousarray(labels[rows[:, None], columns[None, :]])


def fitting(width: int, height: int, largest: tuple[int, int] | None) -> tuple[int, int]:
    """The size (width, height) at which a model paints a picture of that size: as it is, or as large as its
    `largest` lets it, in the same shape."""
    if largest is None or (width <= largest[0] and height <= largest[1]):
        return width, height
    scale = min(largest[0] / width, largest[1] / height)
    return max(1, min(largest[0], round(width * scale))), max(1, min(largest[1], round(height * scale)))


class Sampling:
    """`resize_nearest` piece by piece: which pixels of a map of width × height a smaller one takes."""

    def __init__(self, width: int, height: int, new_width: int, new_height: int) -> None:
        self.width, self.height = width, height
        self._same = (width, height) == (new_width, new_height)
        self._columns = _centres(width, new_width)
        self._rows = _centres(height, new_height)

    def take(self, cells: Map, left: int, top: int, right: int, bottom: int) -> tuple[int, int, Map] | None:
        """The pixels of the smaller map that lie in this rectangle of the larger one, (height, width), as
        (x, y, copy); None if there are none."""
        if self._same:
            return left, top, cells[top:bottom, left:right].copy()
        (x, x_end), (y, y_end) = _within(self._columns, left, right), _within(self._rows, top, bottom)
        if x == x_end or y == y_end:
            return None
        return x, y, cells[self._rows[y:y_end, None], self._columns[None, x:x_end]]


def _within(centres: npt.NDArray[np.int64], start: int, end: int) -> tuple[int, int]:
    first, last = np.searchsorted(centres, (start, end)).tolist()
    return first, last


def _centres(old: int, new: int) -> npt.NDArray[np.int64]:
    return (2 * np.arange(new, dtype=np.int64) + 1) * old // (2 * new)
