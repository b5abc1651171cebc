"""From the fields of a request to the render request that they ask for: REST's and the command line's."""

from __future__ import annotations

import secrets

from engine import MAX_SEED
from models.spec import ModelSpec
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
        style=None if fields.style is None else tuple(fields.style),
        changes=(Patch(0, 0, resize_nearest(labels, width, height)),),
        instances=None if instances is None else resize_nearest(instances, width, height),
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
