"""Bodies that bring files: multipart with real files, or JSON with the files in base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from engine import MAX_REGIONS
from server import tracing
from server.errors import Problem
from server.json_text import TooManyValuesError, parse_json

Fields = TypeVar("Fields", bound=BaseModel)

_MAX_FIELDS: Final = 24
_MAX_FIELD_BYTES: Final = MAX_REGIONS * 128 * 1024  # the longest style codes in decimal digits
_MAX_NAME: Final = 64


class _MemoryParser(MultiPartParser):
    """Keeps files in memory, whose bodies are bounded, so that a read-only root works."""

    spool_max_size = 2**40


@dataclass(frozen=True, slots=True)
class Upload(Generic[Fields]):
    """A request's fields, and the bytes of the files that came with it, by name."""

    fields: Fields
    files: Mapping[str, bytes]


async def read_upload(
    request: Request, fields: type[Fields], required: Sequence[str], optional: Sequence[str] = ()
) -> Upload[Fields]:
    """Read and check a body with these files. Raises Problem or pydantic's ValidationError."""
    with tracing.step("upload"):
        return await _read(request, fields, required, optional)


async def _read(
    request: Request, fields: type[Fields], required: Sequence[str], optional: Sequence[str]
) -> Upload[Fields]:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    names = (*required, *optional)
    if media == "multipart/form-data":
        values, files = await _read_multipart(request, names)
    elif media == "application/json":
        values, files = _read_json(await request.body(), names)
    else:
        raise Problem(
            415,
            "unsupported-body",
            "Not a body that is understood",
            f"The body is {media or 'of no stated type'!r}.",
            f"Send multipart/form-data with a file field named {names[0]}, or application/json with the "
            "files in base64.",
            headers={"Accept": "multipart/form-data, application/json"},
        )
    for name in required:
        if name not in files:
            raise missing_file(name)
    return Upload(fields.model_validate(values), files)


def missing_file(name: str) -> Problem:
    """What to say when a file is needed that was not sent."""
    return Problem(
        422,
        "no-file",
        f"No {name}",
        f"The body has no file in a field named {name}.",
        f"Send it as a file: curl -F {name}=@file.png … In JSON, send it in base64.",
    )


async def _read_multipart(request: Request, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    parser = _MemoryParser(
        request.headers,
        request.stream(),
        max_files=len(names),
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise unreadable("multipart body", error.message) from None
    try:
        return _form_values(form, names), await _form_files(form, names)
    finally:
        await form.close()


def _form_values(form: FormData, names: Sequence[str]) -> dict[str, Any]:
    """The text fields; an empty one counts as not sent, as a web form sends it. One that begins as a JSON
    array is read as one."""
    items = form.multi_items()
    _check_names([name for name, _ in items])
    values: dict[str, Any] = {}
    for name, value in items:
        if name in names or value == "":
            continue
        if not isinstance(value, str):
            raise _misfit(
                name, "it is a file, and no file goes by that name", f"Files are: {', '.join(names)}."
            )
        values[name] = _array(name, value) if value.lstrip().startswith("[") else value
    return values


async def _form_files(form: FormData, names: Sequence[str]) -> dict[str, bytes]:
    """A file that nobody chose, which a web form sends empty and without a name, was not sent."""
    files: dict[str, bytes] = {}
    for name in names:
        value = form.get(name)
        if isinstance(value, UploadFile):
            if value.filename or value.size:
                files[name] = await value.read()
        elif value:
            raise _misfit(name, "it is text, not a file", f"Send a file: curl -F {name}=@file.png …")
    return files


def _array(name: str, text: str) -> object:
    try:
        return parse_json(text)
    except TooManyValuesError:
        raise _too_many_values() from None
    except ValueError:
        next_step = "Send a style code as numbers in brackets, [0.1, -1.2, …], and several in brackets again."
        raise _misfit(name, "it is not a JSON array", next_step) from None


def _misfit(name: str, why: str, next_step: str) -> Problem:
    return Problem(422, "invalid-value", "A value does not fit", f"{name[:_MAX_NAME]}: {why}.", next_step)


def _read_json(body: bytes, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    try:
        content = parse_json(body)
    except TooManyValuesError:
        raise _too_many_values() from None
    except ValueError:
        raise unreadable("JSON body", "It is not JSON.") from None
    if not isinstance(content, dict):
        raise unreadable("JSON body", "It is not an object with fields.")
    values = cast("dict[str, Any]", content)
    _check_names(list(values))
    files = {name: _decoded(name, values.pop(name)) for name in names if values.get(name) is not None}
    return {name: value for name, value in values.items() if name not in names}, files


def _decoded(name: str, text: object) -> bytes:
    try:
        if not isinstance(text, str):
            raise TypeError
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise unreadable(name, "It is not base64.") from None


def _too_many_values() -> Problem:
    return unreadable("JSON", "It holds more values than any request needs.")


def _check_names(names: Sequence[str]) -> None:
    """Refuse too many fields, long names and repeated ones before each becomes an error of its own."""
    if len(names) > _MAX_FIELDS:
        raise unreadable("body", f"It has {len(names)} fields; the most that is read is {_MAX_FIELDS}.")
    if any(len(name) > _MAX_NAME for name in names):
        raise unreadable("body", f"It has a field whose name is longer than {_MAX_NAME} characters.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise unreadable("body", f"The field {twice!r} comes twice.")


def unreadable(what: str, why: str) -> Problem:
    """A body that cannot be taken apart."""
    return Problem(
        400, "unreadable-body", f"The {what} cannot be read", why, "Check how the request is put together."
    )


def file_field(text: str) -> dict[str, str]:
    """OpenAPI's words for a file in a form."""
    return {"type": "string", "format": "binary", "description": text}


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI's words for that or null, with what is said about it where it was."""
    said = {name: schema[name] for name in ("title", "description", "examples") if name in schema}
    kind = {name: value for name, value in schema.items() if name not in said}
    return {**said, "anyOf": [kind, {"type": "null"}]}


def request_body(
    fields: type[BaseModel],
    files: Mapping[str, str],
    required: Sequence[str],
    examples: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """OpenAPI's words for a body with these files (name: what it is), in both forms."""
    form, plain = fields.model_json_schema(), fields.model_json_schema()
    form["properties"] = {**{name: file_field(text) for name, text in files.items()}, **form["properties"]}
    base64_files = {
        name: {"type": "string", "format": "byte", "description": f"{text} The file in base64."}
        for name, text in files.items()
    }
    plain["properties"] = {**base64_files, **plain["properties"]}
    # null is as good as not sent, which a form has no way to say.
    unset = {name for name, field in fields.model_fields.items() if field.default is None}
    for name in unset | (files.keys() - set(required)):
        plain["properties"][name] = _or_null(plain["properties"][name])
    for schema in (form, plain):
        schema["required"] = [*required, *schema.get("required", ())]
    arrays = [name for name, field in form["properties"].items() if field.get("type") == "array"]
    # Else a form sends an array as as many fields of one name, which are refused.
    encoding = {name: {"contentType": "application/json"} for name in arrays}
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": form, "encoding": encoding},
        "application/json": {"schema": plain},
    }
    if examples:
        content["application/json"]["examples"] = examples
    return {"requestBody": {"required": True, "content": content}}
