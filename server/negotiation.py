"""Which answer a request asks for: `format`, else the Accept header, else the route's favourite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from server.codecs import MEDIA_TYPES
from server.errors import Problem
from server.protocol import PictureFormat

_JSON: Final = "application/json"
_OFFERS: Final = (*MEDIA_TYPES.values(), _JSON)
_FORMATS: Final[dict[str, PictureFormat]] = {media: name for name, media in MEDIA_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Answer:
    """The picture's format, and whether it is wrapped in JSON."""

    format: PictureFormat
    as_json: bool


def choose_answer(format: PictureFormat | None, accept: str, favourite: PictureFormat = "jpeg") -> Answer:
    """`favourite` is the format among those that Accept takes as gladly.

    Raises Problem 406 if nothing that Accept takes is on offer.
    """
    ranges = _parse(accept or "*/*")
    # A format named in the request settles the picture; Accept still says whether JSON is wanted around it.
    offers = (MEDIA_TYPES[favourite], *_OFFERS) if format is None else (MEDIA_TYPES[format], _JSON)
    best = max(offers, key=lambda media: _quality(media, ranges))
    if _quality(best, ranges) <= 0 and format is None:
        raise _not_acceptable()
    if best == _JSON and _quality(best, ranges) > 0:
        return Answer(format or favourite, as_json=True)
    return Answer(format or _FORMATS[best], as_json=False)


def _parse(accept: str) -> list[tuple[str, float]]:
    """Media ranges and their qualities (RFC 9110, 12.5.1); what cannot be read is passed over."""
    ranges: list[tuple[str, float]] = []
    for part in accept.split(",")[:50]:
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        try:
            ranges.append((media, min(1.0, max(0.0, float(quality)))))
        except ValueError:
            continue
    return ranges


def _quality(media: str, ranges: list[tuple[str, float]]) -> float:
    """The quality of the most specific range that fits."""
    group = media.partition("/")[0]
    for wanted in (media, f"{group}/*", "*/*"):
        fitting = [quality for name, quality in ranges if name == wanted]
        if fitting:
            return max(fitting)
    return 0.0


def _not_acceptable() -> Problem:
    return Problem(
        406,
        "not-acceptable",
        "None of these media types",
        f"The Accept header takes none of {', '.join(_OFFERS)}.",
        "Accept one of them, or name a format in the request.",
    )
