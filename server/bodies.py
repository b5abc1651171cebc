"""Reads the bodies of /generate: multipart with real files, or JSON with base64."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import TypeAdapter
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from models.spec import MAX_STYLE_DIM
from server.errors import Problem
from server.protocol import MAX_REGIONS
from server.schemas import GenerateJson, GenerateRequest

_FILES: Final = ("mask", "instances", "style_map")
_ARRAYS: Final = ("style", "styles")
_MAX_FIELDS: Final = 16
_MAX_FIELD_BYTES: Final = MAX_REGIONS * 128 * 1024  # the longest style codes in decimal digits
_MAX_NAME: Final = 64
_MAX_SEPARATORS: Final = (2 + MAX_REGIONS) * MAX_STYLE_DIM
"""Most commas, brackets and braces of a JSON body: base64 has none, and a style code one for each number."""
_PIECE: Final = 64 * 1024
_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)


class _MemoryParser(MultiPartParser):
    """Keeps files in memory, whose bodies are bounded, so that a read-only root works."""

    spool_max_size = 2**40


@dataclass(frozen=True, slots=True)
class GenerateBody:
    """The request's fields, and the bytes of its files."""

    fields: GenerateRequest
    mask: bytes
    instances: bytes | None = None
    style_map: bytes | None = None


async def read_generate(request: Request) -> GenerateBody:
    """Read and check the body. Raises Problem or pydantic's ValidationError."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == "multipart/form-data":
        return await _read_multipart(request)
    if media == "application/json":
        return _read_json(await request.body())
    raise Problem(
        415,
        "unsupported-body",
        "Not a body that is understood",
        f"The body is {media or 'of no stated type'!r}.",
        "Send multipart/form-data with a file field named mask, or application/json with the mask in base64.",
        headers={"Accept": "multipart/form-data, application/json"},
    )


async def _read_multipart(request: Request) -> GenerateBody:
    parser = _MemoryParser(
        request.headers,
        request.stream(),
        max_files=len(_FILES),
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _unreadable("multipart body", error.message) from None
    try:
        mask = await _mask_file(form)
        instances = await _file(form, "instances", "the instance map")
        style_map = await _file(form, "style_map", "the style map")
        return GenerateBody(GenerateRequest.model_validate(_fields(form)), mask, instances, style_map)
    finally:
        await form.close()


async def _mask_file(form: FormData) -> bytes:
    mask = form.get("mask")
    if not isinstance(mask, UploadFile):
        raise Problem(
            422,
            "no-mask",
            "No mask",
            "The body has no file in a field named mask.",
            "Send the label map as a file: curl -F mask=@lake.png …",
        )
    return await mask.read()


async def _file(form: FormData, name: str, what: str) -> bytes | None:
    """None if it was not sent; a web form sends a file that nobody chose as an empty one without a name."""
    file = form.get(name)
    if file is None:
        return None
    if not isinstance(file, UploadFile):
        raise Problem(
            422,
            "invalid-value",
            "A value does not fit",
            f"{name}: it is text, not a file.",
            f"Send {what} as a file: curl -F {name}=@{name}.png …",
        )
    return await file.read() if file.filename or file.size else None


def _fields(form: FormData) -> dict[str, Any]:
    """The text fields; an empty one counts as not sent, as a web form sends it."""
    fields: dict[str, Any] = {}
    files = [name for name, _ in form.multi_items() if name in _FILES]
    for name, value in form.multi_items():
        if name in fields or files.count(name) > 1:
            raise _unreadable("multipart body", f"The field {name[:_MAX_NAME]!r} comes twice.")
        if name not in _FILES and value != "":
            fields[name] = value
    _check_names(fields)
    for name in _ARRAYS:
        if isinstance(fields.get(name), str):
            fields[name] = _array(name, fields[name])
    return fields


def _array(name: str, text: str) -> object:
    """A JSON array, or the name that the text is."""
    if not text.lstrip().startswith("["):
        return text
    _check_size(text.encode("utf-8", "replace"))
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Problem(
            422,
            "invalid-value",
            "A value does not fit",
            f"{name}: it is not a JSON array.",
            "Send a style code as numbers in brackets: [0.1, -1.2, …]; several in brackets of their own.",
        ) from None


def _read_json(body: bytes) -> GenerateBody:
    _check_size(body)
    try:
        fields = _JSON.validate_json(body)
    except ValueError:
        raise _unreadable("JSON body", "It is not JSON.") from None
    if isinstance(fields, dict):
        _check_names(cast("dict[str, Any]", fields))
    content = GenerateJson.model_validate(fields)
    mask = _decoded("mask", content.mask)
    instances = None if content.instances is None else _decoded("instance map", content.instances)
    style_map = None if content.style_map is None else _decoded("style map", content.style_map)
    return GenerateBody(content, mask, instances, style_map)


def _decoded(what: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _unreadable(what, "It is not base64.") from None


def _check_size(body: bytes) -> None:
    """Refuse a body of so many values that parsing it would hold the event loop up: at most one more than it
    has commas and brackets. Counting stops early."""
    separators = 0
    for start in range(0, len(body), _PIECE):
        piece = body[start : start + _PIECE]
        separators += piece.count(b",") + piece.count(b"[") + piece.count(b"{")
        if separators > _MAX_SEPARATORS:
            raise _unreadable("JSON body", "It holds more values than any request needs.")


def _check_names(fields: Mapping[str, Any]) -> None:
    """Refuse too many fields and long names before each of them becomes an error of its own."""
    if len(fields) > _MAX_FIELDS:
        raise _unreadable("body", f"It has {len(fields)} fields; the most that is read is {_MAX_FIELDS}.")
    if any(len(name) > _MAX_NAME for name in fields):
        raise _unreadable("body", f"It has a field whose name is longer than {_MAX_NAME} characters.")


def _unreadable(what: str, why: str) -> Problem:
    return Problem(
        400, "unreadable-body", f"The {what} cannot be read", why, "Check how the request is put together."
    )
