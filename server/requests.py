"""From the fields of a request to the render request that they ask for, and from its result to the file:
REST's and the command line's."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from engine import MAX_SEED, paints_styles_by_region
from models.spec import ModelSpec
from server.codecs import encode_map, encode_numbers, encode_picture, enlarged
from server.errors import Problem
from server.limits import Limits
from server.maps import Instances, Map, fitting, resize_nearest
from server.protocol import PictureFormat
from server.provenance import generated
from server.rendering import Patch, Rendered, RenderRequest, StylePatch
from server.schemas import GenerateRequest
from server.styles import check_numbers, no_styles_by_region


@dataclass(frozen=True, slots=True)
class Order:
    """A picture that was asked for: what to paint, and what to hand out."""

    spec: ModelSpec
    fields: GenerateRequest
    request: RenderRequest
    labels: Map
    """The map at the picture's size; where the model paints none as large, less of it is painted."""
    style_map: Map | None

    @property
    def size(self) -> tuple[int, int]:
        """The picture's (width, height)."""
        height, width = self.labels.shape
        return width, height


def order_of(
    spec: ModelSpec,
    fields: GenerateRequest,
    labels: Map,
    limits: Limits,
    instances: Instances | None = None,
    style_map: Map | None = None,
) -> Order:
    """This map as a picture, of the size asked for, with the seed asked for or a random one. Raises Problem.

    `instances`, uint16 of the map's shape, and `style_map`, uint8 of any, are resized with it.
    """
    size = _size(fields, labels)
    limits.check(*size)
    regions = _regions(spec, fields, style_map)
    labels = resize_nearest(labels, *size)
    numbers = None if style_map is None else resize_nearest(style_map, *size)
    things = None if instances is None else resize_nearest(instances, *size)
    width, height = fitting(*size, spec.largest)
    request = RenderRequest(
        spec=spec,
        model=spec.id,
        width=width,
        height=height,
        seed=fields.seed if fields.seed is not None else secrets.randbelow(MAX_SEED + 1),
        style=None if fields.style is None else style_code(spec, fields.style),
        regions=regions,
        changes=(Patch(0, 0, resize_nearest(labels, width, height)),),
        style_changes=() if numbers is None else (StylePatch(0, 0, resize_nearest(numbers, width, height)),),
        instances=None if things is None else resize_nearest(things, width, height),
    )
    return Order(spec, fields, request, labels, numbers)


def picture_file(order: Order, rendered: Rendered, format: PictureFormat, quality: int) -> bytes:
    """The file of an order's picture: enlarged where it was painted smaller, with what it says of itself."""
    fields, request = order.fields, order.request
    embedded = fields.embed_map and format == "png"
    metadata = generated(
        order.spec,
        request.seed,
        rendered.style,
        request.style,
        styles=request.regions,
        map=encode_map(order.labels, order.spec.labels) if embedded else None,
        style_map=encode_numbers(order.style_map) if embedded and order.style_map is not None else None,
    )
    picture = enlarged(rendered.picture, *order.size)
    return encode_picture(picture, format, quality, lossless=fields.lossless, metadata=metadata)


def check_format(fields: GenerateRequest, format: PictureFormat) -> None:
    """Raise Problem if the fields ask of this format what it cannot do."""
    if fields.lossless and format == "jpeg":
        raise _wrong_format("lossless", "a JPEG is never without loss", "Name the format webp or png.")
    if fields.embed_map and format != "png":
        raise _wrong_format(
            "embed_map", f"a file of the format {format} holds no map", "Name the format png."
        )


def _wrong_format(field: str, why: str, next_step: str) -> Problem:
    return Problem(422, "invalid-value", "A value does not fit", f"{field}: {why}.", next_step)


def _regions(
    spec: ModelSpec, fields: GenerateRequest, style_map: Map | None
) -> tuple[tuple[float, ...], ...]:
    if not fields.styles and style_map is None:
        return ()
    if not paints_styles_by_region(spec):
        raise no_styles_by_region(spec)
    if style_map is None:
        raise Problem(
            422,
            "no-style-map",
            "Styles without a place",
            "The field styles was sent, and no style_map that says where each of them is.",
            "Send style_map as well, or one style for the whole picture as style.",
        )
    check_numbers(style_map, len(fields.styles))
    return tuple(style_code(spec, style) for style in fields.styles)


def style_code(spec: ModelSpec, style: Sequence[float] | str) -> tuple[float, ...]:
    """A style code as it was sent, or by its name; its length and values are for the engine to check."""
    if not isinstance(style, str):
        return tuple(style)
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
    """The picture's width and height as they were asked for; one that is not follows from the map's shape."""
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
