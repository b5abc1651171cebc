"""From the fields of a request to the render request that they ask for: REST's and the command line's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from engine import MAX_SEED
from models.spec import ModelSpec
from server.errors import Problem
from server.limits import Limits
from server.maps import Instances, Map, resize_nearest
from server.rendering import Patch, RenderRequest
from server.schemas import GenerateRequest


def render_request(
    spec: ModelSpec, fields: GenerateRequest, labels: Map, limits: Limits, instances: Instances | None = None
) -> RenderRequest:
    """Paint this map, at the size asked for, with the seed asked for or a random one. Raises Problem.

    `instances`, uint16 of the map's shape, is resized with it.
    """
    width, height = _size(fields, labels)
    limits.check(width, height, spec.largest)
    return RenderRequest(
        model=spec.id,
        width=width,
        height=height,
        seed=fields.seed if fields.seed is not None else secrets.randbelow(MAX_SEED + 1),
        style=_code(spec, fields.style),
        changes=(Patch(0, 0, resize_nearest(labels, width, height)),),
        instances=None if instances is None else resize_nearest(instances, width, height),
    )


def _code(spec: ModelSpec, style: Sequence[float] | str | None) -> tuple[float, ...] | None:
    """A style code as it was sent, or by its name; its length and values are for the engine to check."""
    if not isinstance(style, str):
        return None if style is None else tuple(style)
    named = spec.style_called(style)
    if named is None:
        raise _unknown_style(spec, style)
    return named.code


def _unknown_style(spec: ModelSpec, style: str) -> Problem:
    known = [style.id for style in spec.styles]
    return Problem(
        422,
        "unknown-style",
        "Unknown style",
        f"Model {spec.id!r} has no style called {style!r}. "
        + (f"There are: {', '.join(known)}." if known else "None of its styles has a name."),
        f"{'Name one of these, or send' if known else 'Send'} a style code as a list of numbers, or a seed.",
        extra={"styles": known},
    )


def _size(fields: GenerateRequest, labels: Map) -> tuple[int, int]:
    """The picture's width and height; one that is not given follows from the map's shape."""
    map_height, map_width = labels.shape
    match fields.width, fields.height:
        case None, None:
            return map_width, map_height
        case None, int(height):
            return max(1, round(map_width * height / map_height)), height
        case int(width), None:
            return width, max(1, round(map_height * width / map_width))
        case int(width), int(height):
            return width, height
