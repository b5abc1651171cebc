"""What a checkpoint is: everything about a model that its tensors do not say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, cast

from models.labels import LabelError, LabelSet

FORMAT = "scenebrush.model.v1"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MAX_SIDE = 8192
MAX_GRID = 256  # cells of a start grid, either way
MAX_STYLE_DIM = 4096  # numbers in a style code
MAX_STYLE = 100.0  # largest magnitude of one of them
MAX_NAMED_STYLES = 64  # styles with a name
_LONGEST_TITLE = 60
Choice = TypeVar("Choice", bound=str)


class SpecError(ValueError):
    """A spec that describes no model: says which entry is wrong and what it should be."""


@dataclass(frozen=True)
class NamedStyle:
    """A style code that a model offers by name, such as a training picture's in that light.

    id: short name used in requests, as a model's. title: for people. code: as long as the model's style_dim,
    each number within ±`MAX_STYLE`.
    """

    id: str
    title: str
    code: tuple[float, ...]

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise SpecError(
                f"style id {self.id[:80]!r}: expected lower case letters, digits, '.', '_' or '-', at most 64"
            )
        if not 1 <= len(self.title.strip()) <= len(self.title) <= _LONGEST_TITLE:
            raise SpecError(f"style {self.id!r}: expected a title of 1…{_LONGEST_TITLE} letters")
        if not self.title.isprintable():
            raise SpecError(f"style {self.id!r}: its title holds signs that cannot be shown")
        if not all(abs(value) <= MAX_STYLE for value in self.code):  # also false for NaN
            raise SpecError(
                f"style {self.id!r}: its code holds values that are not finite or beyond ±{MAX_STYLE:g}"
            )

    @staticmethod
    def from_json(raw: object) -> NamedStyle:
        """From one entry of a spec's `styles`; raises SpecError."""
        if not isinstance(raw, dict):
            raise SpecError("entry 'styles' holds something that is no style")
        entry = cast("dict[str, object]", raw)
        style_id, title, code = entry.get("id"), entry.get("title"), entry.get("code")
        if not isinstance(style_id, str) or not isinstance(title, str):
            raise SpecError("entry 'styles' holds a style whose id or title is missing or no text")
        if not isinstance(code, list) or len(cast("list[object]", code)) > MAX_STYLE_DIM:
            raise SpecError(
                f"style {style_id[:80]!r}: its code is no list of at most {MAX_STYLE_DIM} numbers"
            )
        return NamedStyle(
            style_id, title, tuple(_number(style_id, value) for value in cast("list[object]", code))
        )


def _number(style_id: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MAX_STYLE:
        raise SpecError(f"style {style_id[:80]!r}: its code holds what is no number within ±{MAX_STYLE:g}")
    return float(value)


@dataclass(frozen=True)
class ModelSpec:
    """A model's description; travels as JSON in the header of its checkpoint.

    id: short name used in URLs (lower case letters, digits, `. _ -`). name: for people.
    architecture: a key of `models.checkpoint.ARCHITECTURES`; options: its arguments.
    labels: the label set that the model was trained on. native_size: side of the training pictures in pixels,
    their width if they were no squares; `native` is both sides.
    stride: sides of a map must be multiples of it. style_dim: length of a style code, 0 if the model has
    none.
    licence: SPDX expression or plain words; provenance: data, steps, figures – shown, never interpreted.
    styles: the style codes that have a name, in the order in which they are offered.
    """

    id: str
    name: str
    architecture: str
    labels: LabelSet
    native_size: int
    stride: int
    style_dim: int
    licence: str
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    styles: tuple[NamedStyle, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise SpecError(
                f"id {self.id[:80]!r}: expected lower case letters, digits, '.', '_' or '-', at most 64"
            )
        _within("native_size", self.native_size, 1, _MAX_SIDE)
        _within("stride", self.stride, 1, 1024)
        _within("style_dim", self.style_dim, 0, MAX_STYLE_DIM)
        for side in self.native:
            _within("native size", side, 1, _MAX_SIDE)
        self._check_styles()

    def _check_styles(self) -> None:
        if len(self.styles) > MAX_NAMED_STYLES:
            raise SpecError(
                f"entry 'styles' holds {len(self.styles)} styles, expected at most {MAX_NAMED_STYLES}"
            )
        seen: set[str] = set()
        for style in self.styles:
            if len(style.code) != self.style_dim or not self.style_dim:
                raise SpecError(
                    f"style {style.id!r}: its code has {len(style.code)} numbers, "
                    f"but entry 'style_dim' is {self.style_dim}"
                )
            if style.id in seen:
                raise SpecError(f"style {style.id!r} comes twice")
            seen.add(style.id)

    @property
    def native(self) -> tuple[int, int]:
        """(width, height) of the training pictures, in pixels: the size to begin with."""
        return self.largest or self._grid("native_grid") or (self.native_size, self.native_size)

    @property
    def largest(self) -> tuple[int, int] | None:
        """(width, height) of the largest picture that the model paints, in pixels; None if it sets no limit.
        A VAE's start grid is fixed: smaller pictures are cut out of its own size."""
        return self._grid("start_grid") if self.style_dim else None

    def _grid(self, name: str) -> tuple[int, int] | None:
        """(width, height) in pixels of a grid (rows, columns) among the options; raises SpecError."""
        if name not in self.options:
            return None
        grid = ints_option(self.options, name, 1, MAX_GRID, longest=2)
        if len(grid) != 2:
            raise SpecError(f"option {name!r} holds one number, expected height and width")
        return grid[1] * self.stride, grid[0] * self.stride

    def style_called(self, style_id: str) -> NamedStyle | None:
        """The named style of that id, or None."""
        return next((style for style in self.styles if style.id == style_id), None)

    def to_json(self) -> str:
        document = {name: getattr(self, name) for name in _PLAIN} | {
            "format": FORMAT,
            "labels": self.labels.to_json(),
            "provenance": _finite(self.provenance),
        }
        if self.styles:
            document["styles"] = [asdict(style) for style in self.styles]
        return json.dumps(document, ensure_ascii=False, sort_keys=True, allow_nan=False)

    @staticmethod
    def from_json(text: str) -> ModelSpec:
        """The inverse of `to_json`.

        Raises:
            SpecError: not JSON, another format, or an entry missing or of the wrong kind.
        """
        try:
            raw: object = json.loads(text, parse_constant=_no_constant)
            json.dumps(raw, ensure_ascii=False).encode()  # half a surrogate pair could never be shown again
        except (ValueError, RecursionError) as error:
            raise SpecError(f"the spec is not JSON: {error}") from error
        if not isinstance(raw, dict):
            raise SpecError("the spec is not a JSON object")
        document = cast("dict[str, Any]", raw)
        if document.get("format") != FORMAT:
            raise SpecError(f"format {str(document.get('format'))[:60]!r}: this version reads {FORMAT!r}")
        for name, kind in _PLAIN.items():
            if not isinstance(document.get(name), kind) or isinstance(document.get(name), bool):
                raise SpecError(f"entry {name!r} is missing or not of type {kind.__name__}")
        try:
            labels = LabelSet.from_json(document["labels"])
        except (LabelError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(f"entry 'labels': {error}") from error
        return ModelSpec(labels=labels, styles=_styles(document), **{name: document[name] for name in _PLAIN})


def _styles(document: Mapping[str, Any]) -> tuple[NamedStyle, ...]:
    """A spec's named styles; files from before there were any have no such entry."""
    raw: object = document.get("styles", [])
    if not isinstance(raw, list) or len(cast("list[object]", raw)) > MAX_NAMED_STYLES:
        raise SpecError(f"entry 'styles' is no list of at most {MAX_NAMED_STYLES} styles")
    return tuple(NamedStyle.from_json(entry) for entry in cast("list[object]", raw))


_PLAIN: Mapping[str, type] = {
    "id": str,
    "name": str,
    "architecture": str,
    "native_size": int,
    "stride": int,
    "style_dim": int,
    "licence": str,
    "provenance": dict,
    "options": dict,
}


def _finite(value: object) -> object:
    """Plain data, with the numbers that JSON does not have (a bound of inf, the mean of nothing) as words."""
    if isinstance(value, Mapping):
        return {name: _finite(entry) for name, entry in cast("Mapping[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in cast("list[object]", value)]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise SpecError(f"entry {name!r} is {value}, expected {low}…{high}")


def int_option(options: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """A whole number from a spec's options, within bounds; raises SpecError."""
    value = options.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise SpecError(f"option {name!r} is missing or not a whole number")
    _within(f"options.{name}", value, low, high)
    return value


def ints_option(options: Mapping[str, Any], name: str, low: int, high: int, longest: int) -> tuple[int, ...]:
    """A list of whole numbers from a spec's options, within bounds; raises SpecError."""
    raw = options.get(name)
    if not isinstance(raw, list | tuple) or not 1 <= len(cast("list[object]", raw)) <= longest:
        raise SpecError(f"option {name!r} is missing or not a list of 1…{longest} whole numbers")
    entries = cast("list[object]", raw)
    return tuple(
        int_option({f"{name}[{i}]": entry}, f"{name}[{i}]", low, high) for i, entry in enumerate(entries)
    )


def bool_option(options: Mapping[str, Any], name: str) -> bool:
    """Yes or no from a spec's options; raises SpecError."""
    value = options.get(name)
    if not isinstance(value, bool):
        raise SpecError(f"option {name!r} is missing or neither true nor false")
    return value


def choice_option(options: Mapping[str, Any], name: str, choices: Sequence[Choice]) -> Choice:
    """One of some words from a spec's options; raises SpecError."""
    for choice in choices:
        if options.get(name) == choice:
            return choice
    raise SpecError(f"option {name!r} is {str(options.get(name))[:60]!r}, expected one of {list(choices)}")
