"""The project file (docs/sharing.md), read strictly and written anew.

`rewrite(data)` gives a file that is ours in every byte: what a stranger sent is parsed, checked against
itself and the limits, and then forgotten. Equal files give equal ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from engine import MAX_SEED, MAX_STYLE
from models.labels import MAX_LABELS, LabelError, LabelSet
from models.spec import MAX_STYLE_DIM
from server.errors import Problem, from_validation
from server.json_text import parse_json
from server.limits import Limits
from server.provenance import PictureMetadata
from server.schemas import StyleName
from server.sharing.archive import Archive, broken, too_large, write_archive
from server.sharing.pictures import (
    check_labels,
    check_numbers,
    decode_plane,
    encode_plane,
    grey_palette,
    rewrite_photo,
)

MEDIA_TYPE: Final = "application/x-scenebrush+zip"
DOCUMENT: Final = "project.json"
MOST_LAYERS: Final = 32
MOST_REGIONS: Final = 15
_LARGEST_NUMBER: Final = 2.0**53
_LARGEST_DOCUMENT: Final = 1024 * 1024
_LARGEST_THUMBNAIL: Final = 1024 * 1024  # pixels


class _Entry(BaseModel):
    # Strict: 7, not "7". What is not named here is dropped.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())


def _numbers(values: list[Any], largest: float = _LARGEST_NUMBER) -> list[Any]:
    """Looked through as a whole: thousands of wrong values are one error, not thousands."""
    if not all(type(value) in (int, float) and -largest <= value <= largest for value in values):
        raise ValueError("expected numbers alone, none of them too large")
    return values


def _code(values: list[Any]) -> list[Any]:
    return _numbers(values, MAX_STYLE)


# Strict otherwise, but JSON has lists alone.
_Row = Field(strict=False)

Text = Annotated[str, Field(max_length=200)]
Byte = Annotated[int, Field(ge=0, le=255)]
Side = Annotated[int, Field(ge=1, le=65535)]
Finite = Annotated[float, Field(ge=-_LARGEST_NUMBER, le=_LARGEST_NUMBER, allow_inf_nan=False)]
Numbers = Annotated[list[Any], Field(max_length=MAX_STYLE_DIM), AfterValidator(_numbers)]
Code = Annotated[list[Any], Field(min_length=1, max_length=MAX_STYLE_DIM), AfterValidator(_code)]
Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
Fact = bool | Whole | Finite | Text | None | Numbers
Time = Annotated[str, Field(max_length=40)] | Whole | None


class ProjectLabel(_Entry):
    """One class of the painting's label set."""

    id: Annotated[int, Field(ge=0, lt=MAX_LABELS)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    color: Annotated[tuple[Byte, Byte, Byte], _Row]
    group: Annotated[str, Field(max_length=100)] = ""
    concepts: Annotated[tuple[Text, ...], _Row, Field(max_length=32)] = ()


class ProjectLabelSet(_Entry):
    """The label set that the painting's ids are of."""

    hash: Annotated[str, Field(max_length=64)] | None = None
    name: Text
    ignore: Whole | None = None
    labels: Annotated[tuple[ProjectLabel, ...], _Row, Field(min_length=1, max_length=MAX_LABELS)]


class ProjectModel(_Entry):
    """The model that painted it."""

    id: Text
    name: Text


class ProjectLight(_Entry):
    """The light of the whole painting."""

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]
    style: StyleName | None = None
    code: Code | None = None


class ProjectRegion(_Entry):
    """The light of a part."""

    title: Text | None = None
    style: StyleName | None = None
    code: Code


class ProjectLayer(_Entry):
    """One layer of labels, in a file of its own."""

    name: Text
    visible: bool
    locked: bool
    file: Text


class ProjectDocument(_Entry):
    """project.json."""

    format: Literal["scenebrush-project"]
    version: Annotated[int, Field(ge=1, le=1)]  # not Literal[1], which true would be
    app: Text = ""
    title: Text
    width: Side
    height: Side
    label_set: ProjectLabelSet
    model: ProjectModel | None = None
    light: ProjectLight
    regions: Annotated[tuple[ProjectRegion, ...], _Row, Field(max_length=MOST_REGIONS)]
    layers: Annotated[tuple[ProjectLayer, ...], _Row, Field(min_length=1, max_length=MOST_LAYERS)]
    style_plane: Literal["styles.png"] | None = None
    edit_plane: Literal["edits.png"] | None = None
    source: Literal["source.png", "source.jpg", "source.webp"] | None = None
    source_map: Literal["source-map.png"] | None = None
    photo: Literal["photo.png"] | None = None
    photo_of: Annotated[dict[Text, Fact], Field(max_length=32)] | None = None
    thumbnail: Literal["thumbnail.png"] | None = None
    created: Time = None
    updated: Time = None


@dataclass(frozen=True, slots=True)
class ProjectLimits:
    """How large a project may be: its painting, each of its photos, and all of its files together."""

    canvas: Limits
    max_photo_pixels: int
    max_bytes: int


def rewrite(data: bytes, limits: ProjectLimits) -> bytes:
    """The project as a file of our own. Raises Problem that names what is wrong with it."""
    archive = Archive(data, limits.max_bytes)
    document = _document(archive.read(DOCUMENT, _LARGEST_DOCUMENT))
    limits.canvas.check(document.width, document.height)
    if (document.source is None) != (document.source_map is None):
        raise broken(f"{DOCUMENT}: source and source_map come together.")
    labels = _labels(document.label_set)
    files = {DOCUMENT: _json(document)}
    left = limits.max_bytes - len(files[DOCUMENT])
    for name, content in _files(archive, document, labels, limits):
        left -= len(content)
        if left < 0:
            raise too_large(f"Its files have more than {limits.max_bytes} bytes.")
        files[name] = content
    return write_archive(files, DOCUMENT)


def _document(text: bytes) -> ProjectDocument:
    try:
        return ProjectDocument.model_validate(parse_json(text))
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)
        if any(one["loc"] in (("format",), ("version",)) for one in wrong):
            raise _other_version() from None
        raise broken(f"{DOCUMENT}: {from_validation(wrong).detail}") from None
    except ValueError as error:
        raise broken(f"{DOCUMENT}: {error}.") from None


def _other_version() -> Problem:
    return Problem(
        422,
        "project-version",
        "Not a project file of this version",
        f"{DOCUMENT} does not say that it is a scenebrush-project of version 1.",
        "Save the painting anew in this server's studio, and share that.",
    )


def _labels(entry: ProjectLabelSet) -> LabelSet:
    try:
        labels = LabelSet.from_json(entry.model_dump())
    except LabelError as error:
        raise broken(f"{DOCUMENT}: {str(error)[:200]}.") from None
    if entry.hash not in (None, labels.hash):
        raise broken(f"{DOCUMENT}: the label set's hash is not that of its ids and names.")
    return labels


def _json(document: ProjectDocument) -> bytes:
    """project.json anew, what was in it and known, with the layers' files in their order."""
    said: dict[str, Any] = document.model_dump(mode="json", exclude_unset=True)
    for number, layer in enumerate(said["layers"]):
        layer["file"] = _layer_file(number)
    return json.dumps(said, ensure_ascii=False, indent=1).encode()


def _layer_file(number: int) -> str:
    return f"layers/{number}.png"


def _files(
    archive: Archive, document: ProjectDocument, labels: LabelSet, limits: ProjectLimits
) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file but project.json, one after the other, so that one is held at a time."""
    yield from _planes(archive, document, labels)
    if document.source is not None:
        kind = _KINDS[document.source]
        content = archive.read(document.source)
        yield document.source, rewrite_photo(document.source, content, kind, limits.max_photo_pixels)
    if document.photo is not None:
        content, said = archive.read(document.photo), _metadata(document)
        yield document.photo, rewrite_photo(document.photo, content, "png", limits.max_photo_pixels, said)
    if document.thumbnail is not None:
        content = archive.read(document.thumbnail)
        yield document.thumbnail, rewrite_photo(document.thumbnail, content, "png", _LARGEST_THUMBNAIL)


_KINDS: Final[dict[str, Literal["png", "jpeg", "webp"]]] = {
    "source.png": "png",
    "source.jpg": "jpeg",
    "source.webp": "webp",
}


def _planes(archive: Archive, document: ProjectDocument, labels: LabelSet) -> Iterator[tuple[str, bytes]]:
    """Everything that has the painting's size and holds numbers."""
    shape, palette = (document.height, document.width), labels.palette()
    for number, layer in enumerate(document.layers):
        plane = decode_plane(layer.file, archive.read(layer.file), shape)
        check_labels(layer.file, plane, labels, clear=number > 0)
        yield _layer_file(number), encode_plane(plane, palette, clear=number > 0)
    if document.style_plane is not None:
        plane = decode_plane(document.style_plane, archive.read(document.style_plane), shape)
        check_numbers(document.style_plane, plane, len(document.regions))
        yield document.style_plane, encode_plane(plane, grey_palette())
    if document.edit_plane is not None:
        plane = decode_plane(document.edit_plane, archive.read(document.edit_plane), shape)
        check_numbers(document.edit_plane, plane, 1)
        yield document.edit_plane, encode_plane(plane, grey_palette())
    if document.source_map is not None:
        plane = decode_plane(document.source_map, archive.read(document.source_map), shape)
        check_labels(document.source_map, plane, labels, clear=False)
        yield document.source_map, encode_plane(plane, palette)


def _metadata(document: ProjectDocument) -> PictureMetadata:
    """What the stored render goes on saying of itself."""
    said, light = document.photo_of or {}, document.light
    model, seed = said.get("model"), said.get("seed")
    return PictureMetadata(
        "generated" if document.source is None else "edited",
        model if isinstance(model, str) else "",
        seed=seed if type(seed) is int else light.seed,
        style=tuple(light.code or ()),
        style_id=light.style,
    )
