"""A label map in, a photo out."""

from __future__ import annotations

import base64
import time

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from models.spec import ModelSpec
from server.clients import client_of
from server.codecs import MEDIA_TYPES, decode_instances, decode_map
from server.connection import unless_gone
from server.errors import CLIENT_CLOSED_REQUEST, Problem
from server.negotiation import Answer, choose_answer
from server.rendering import Rendered
from server.requests import Order, check_format, order_of, picture_file
from server.schemas import INSTANCES, STYLE_MAP, Generated, GenerateRequest, problem_responses
from server.services import Services, ServicesOf, reads_instances
from server.steps import decoding, encoding
from server.styles import decode_style_map
from server.uploads import Upload, read_upload, request_body
from server.worker import Place

router = APIRouter(tags=["paint"])

_FILES = {
    "mask": "The label map: PNG or lossless WebP.",
    "instances": INSTANCES,
    "style_map": STYLE_MAP,
}


# Two pixels wide and high, as PNG: sky over mountain; the first style over the picture's own.
_MAP = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGNkZGBhYgAAACEACaNcg/IAAAAASUVORK5CYII="
_WHERE = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGNkZGBgYAAAABEAAzzXnssAAAAASUVORK5CYII="
_EXAMPLES = {
    "a map": {
        "summary": "A picture of a map",
        "value": {"mask": _MAP, "width": 256, "height": 256, "seed": 7, "style": "golden-hour"},
    },
    "styles by region": {
        "summary": "Evening above and noon below, as WebP without loss",
        "value": {
            "mask": _MAP,
            "width": 256,
            "height": 256,
            "seed": 7,
            "style": "noon",
            "styles": ["golden-hour"],
            "style_map": _WHERE,
            "format": "webp",
            "lossless": True,
        },
    },
    "a picture to paint on": {
        "summary": "A PNG that holds its label map",
        "value": {"mask": _MAP, "width": 256, "height": 256, "seed": 7, "format": "png", "embed_map": True},
    },
}


_PICTURE = {
    "description": "The picture, or JSON that holds it.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
        "application/json": {"schema": Generated.model_json_schema()},
    },
    "headers": {
        "X-Seed": {"schema": {"type": "integer"}, "description": "The seed that it was painted with."},
        "X-Model": {"schema": {"type": "string"}, "description": "The model that painted it."},
        "X-Painted-Size": {
            "schema": {"type": "string"},
            "description": "Width and height that the model painted, such as 256x256; the rest was enlarged.",
        },
        "Server-Timing": {"schema": {"type": "string"}, "description": "Milliseconds per step."},
    },
}


@router.post(
    "/generate",
    summary="Paint a photo from a label map",
    response_class=Response,
    openapi_extra=request_body(GenerateRequest, _FILES, ("mask",), _EXAMPLES),
    responses={200: _PICTURE, **problem_responses(400, 403, 404, 406, 408, 413, 415, 422, 503)},
)
async def generate(request: Request, services: ServicesOf) -> Response:
    """The map's values are class ids of the model's label set (8-bit palette or greyscale), or RGB in the
    set's colours. Equal map, seed, style and model give the same picture.
    """
    with services.worker.upload():
        body = await read_upload(request, GenerateRequest, (), tuple(_FILES))
        if "mask" not in body.files:
            raise _no_mask()
    with services.worker.place(client_of(request.scope)) as place:
        answer = choose_answer(body.fields.format, request.headers.get("accept", ""))
        check_format(body.fields, answer.format)
        work = _paint(services, place, body, answer)
        response = await unless_gone(request, work)
    return response if response is not None else Response(status_code=CLIENT_CLOSED_REQUEST)


async def _paint(services: Services, place: Place, body: Upload[GenerateRequest], answer: Answer) -> Response:
    started, fields = time.perf_counter(), body.fields
    spec = services.library.spec(fields.model)
    with decoding(services.metrics, "map"):
        order = await services.in_codec_pool(_order, services, spec, body)
    decoded = time.perf_counter()
    rendered, waited = await services.worker.render(place, order.request)
    painted = time.perf_counter()
    quality = fields.quality if fields.quality is not None else services.settings.jpeg_quality
    with encoding(services.metrics, answer.format):
        picture = await services.in_codec_pool(picture_file, order, rendered, answer.format, quality)
    steps = {
        "decode": decoded - started,
        "queue": waited,
        "render": rendered.seconds,
        "encode": time.perf_counter() - painted,
    }
    response = _respond(order, rendered, picture, answer)
    response.headers["X-Seed"] = str(order.request.seed)
    response.headers["X-Model"] = spec.id
    response.headers["X-Painted-Size"] = f"{order.request.width}x{order.request.height}"
    response.headers["Server-Timing"] = ", ".join(f"{k};dur={v * 1000:.1f}" for k, v in steps.items())
    response.headers["Vary"] = "Accept"
    return response


def _order(services: Services, spec: ModelSpec, body: Upload[GenerateRequest]) -> Order:
    """Decode the files. Raises Problem."""
    most = services.settings.max_map_pixels
    labels = decode_map(body.files["mask"], spec.labels, most)
    instances = style_map = None
    if "instances" in body.files:
        if not reads_instances(spec):
            raise _reads_no_instances(spec)
        instances = decode_instances(body.files["instances"], labels.shape)
    if "style_map" in body.files:
        style_map = decode_style_map(body.files["style_map"], most)
    return order_of(spec, body.fields, labels, services.limits, instances, style_map)


def _no_mask() -> Problem:
    return Problem(
        422,
        "no-mask",
        "No mask",
        "The body has no file in a field named mask.",
        "Send the label map as a file: curl -F mask=@lake.png … In JSON, send it in base64.",
    )


def _reads_no_instances(spec: ModelSpec) -> Problem:
    return Problem(
        422,
        "no-instance-edges",
        "The model reads no instance map",
        f"Model {spec.id!r} does not look at which thing a pixel belongs to.",
        "Leave the field instances out, or name a model whose instance_edges in /models is true.",
    )


def _respond(order: Order, rendered: Rendered, picture: bytes, answer: Answer) -> Response:
    media, request = MEDIA_TYPES[answer.format], order.request
    if not answer.as_json:
        return Response(picture, media_type=media)
    width, height = order.size
    generated = Generated(
        image=base64.b64encode(picture).decode(),
        format=answer.format,
        media_type=media,
        width=width,
        height=height,
        painted_width=request.width,
        painted_height=request.height,
        seed=request.seed,
        model=request.model,
        style=list(rendered.style),
        styles=[list(code) for code in request.regions],
    )
    return JSONResponse(generated.model_dump())
