"""What a PNG of ours says of its own making, read back from its text. Files come from anywhere: nothing in it
is believed before it is checked."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final, cast

from engine import MAX_SEED, MAX_STYLE
from models.labels import LabelError, LabelSet
from models.spec import MAX_STYLE_DIM
from server.codecs import decode_map
from server.errors import Problem
from server.json_text import parse_json
from server.maps import Map
from server.provenance import PICTURE_FORMAT, PICTURE_VERSION

_MOST_TEXT: Final = 32 << 20
_LONGEST_ID: Final = 200


@dataclass(frozen=True, slots=True)
class Embedded:
    """How a picture was made: whole or edited, by which model, from which seed and style code, and its map
    with the label set that it is in, where the file holds one."""

    whole: bool
    model: str
    seed: int | None
    style: tuple[float, ...]
    by_region: bool
    map: Map | None
    labels: LabelSet | None


def read_embedded(text: str | None, max_pixels: int) -> Embedded | None:
    """From a PNG's text `scenebrush`; None if there is none that this version understands."""
    said = _document(text)
    if said is None:
        return None
    model, seed, style = said.get("model"), said.get("seed"), said.get("style")
    if not isinstance(model, str) or len(model) > _LONGEST_ID:
        return None
    labels = _labels(said.get("label_set"))
    return Embedded(
        whole=said.get("origin") == "generated",
        model=model,
        seed=seed if type(seed) is int and 0 <= seed <= MAX_SEED else None,
        style=_style(style),
        by_region=bool(said.get("styles")),
        map=_map(said.get("map"), labels, max_pixels),
        labels=labels,
    )


def _document(text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > _MOST_TEXT:
        return None
    try:
        said: object = parse_json(text)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    document = cast("dict[str, Any]", said)
    known = document.get("format") == PICTURE_FORMAT and document.get("version") == PICTURE_VERSION
    return document if known else None


def _style(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or len(cast("list[object]", value)) > MAX_STYLE_DIM:
        return ()
    numbers = cast("list[object]", value)
    code = [
        float(number)
        for number in numbers
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) <= MAX_STYLE
    ]
    return tuple(code) if len(code) == len(numbers) else ()


def _labels(value: object) -> LabelSet | None:
    if not isinstance(value, dict):
        return None
    try:
        return LabelSet.from_json(cast("dict[str, Any]", value))
    except (LabelError, AttributeError):
        return None


def _map(value: object, labels: LabelSet | None, max_pixels: int) -> Map | None:
    if not isinstance(value, str) or labels is None:
        return None
    try:
        return decode_map(base64.b64decode(value, validate=True), labels, max_pixels)
    except (Problem, binascii.Error, ValueError):
        return None  # a map that is no use is as good as none
