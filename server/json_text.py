"""JSON that strangers send, parsed within bounds.

Parsing holds Python's lock, and so the event loop up, in whichever thread it is done. pydantic gets what was
parsed and not the text: of a text it copies what it looks at once for every error.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from engine import MAX_REGIONS
from models.spec import MAX_STYLE_DIM

MOST_SEPARATORS: Final = (4 + MAX_REGIONS) * MAX_STYLE_DIM
"""Most commas, brackets and braces: those of the longest style codes of a picture and all its regions, one
for each number, and of a label set; base64 has none."""
_PIECE: Final = 64 * 1024
_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)


class TooManyValuesError(ValueError):
    """The text holds more values than anything that is read here."""


def parse_json(text: str | bytes) -> Any:
    """The plain data that a text says. Raises ValueError where it is no JSON, TooManyValuesError before it is
    parsed."""
    data = text.encode() if isinstance(text, str) else text
    _check_values(data)
    try:
        return _JSON.validate_json(data)
    except ValidationError as error:
        raise ValueError(error.errors(include_url=False, include_input=False)[0]["msg"]) from None


def _check_values(data: bytes) -> None:
    """There is at most one value more than there are commas and brackets. Counting stops early."""
    separators = 0
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        separators += piece.count(b",") + piece.count(b"[") + piece.count(b"{")
        if separators > MOST_SEPARATORS:
            raise TooManyValuesError("it holds more values than anything that is read here")
