"""A label map in, a photo out."""

from __future__ import annotations

import base64
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from models.spec import ModelSpec
from server.bodies import GenerateBody, read_generate
from server.codecs import MEDIA_TYPES, decode_instances, decode_map, encode_picture
from server.connection import unless_gone
from server.errors import CLIENT_CLOSED_REQUEST, Problem
from server.negotiation import Answer, choose_answer
from server.provenance import generated
from server.rendering import Rendered, RenderRequest
from server.requests import render_request
from server.schemas import INSTANCES, Generated, GenerateJson, GenerateRequest, problem_responses
from server.services import Services, ServicesOf, reads_instances
from server.worker import Place

router = APIRouter(tags=["paint"])


def _request_body() -> dict[str, Any]:
    json_schema = GenerateJson.model_json_schema()
    form_schema = GenerateRequest.model_json_schema()
    mask = {"type": "string", "format": "binary", "description": "The label map: PNG or lossless WebP."}
    instances = {"type": "string", "format": "binary", "description": INSTANCES}
    form_schema["properties"] = {"mask": mask, "instances": instances, **form_schema["properties"]}
    form_schema["required"] = ["mask"]
    content = {
        "multipart/form-data": {"schema": form_schema},
        "application/json": {"schema": json_schema},
    }
    return {"requestBody": {"required": True, "content": content}}


_PICTURE = {
    "description": "The picture, or JSON that holds it.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
        "application/json": {"schema": Generated.model_json_schema()},
    },
    "headers": {
        "X-Seed": {"schema": {"type": "integer"}, "description": "The seed that it was painted with."},
        "X-Model": {"schema": {"type": "string"}, "description": "The model that painted it."},
        "Server-Timing": {"schema": {"type": "string"}, "description": "Milliseconds per step."},
    },
}


@router.post(
    "/generate",
    summary="Paint a photo from a label map",
    response_class=Response,
    openapi_extra=_request_body(),
    responses={200: _PICTURE, **problem_responses(400, 403, 404, 406, 408, 413, 415, 422, 503)},
)
async def generate(request: Request, services: ServicesOf) -> Response:
    """The map's values are class ids of the model's label set (8-bit palette or greyscale), or RGB in the
    set's colours. Equal map, seed, style and model give the same picture.
    """
    with services.worker.upload():
        body = await read_generate(request)
    with services.worker.place() as place:
        answer = choose_answer(body.fields.format, request.headers.get("accept", ""))
        work = _paint(services, place, body, answer)
        response = await unless_gone(request, work)
    return response if response is not None else Response(status_code=CLIENT_CLOSED_REQUEST)


async def _paint(services: Services, place: Place, body: GenerateBody, answer: Answer) -> Response:
    started, fields = time.perf_counter(), body.fields
    spec = services.library.spec(fields.model)
    request = await services.in_codec_pool(_request, services, spec, body)
    decoded = time.perf_counter()
    rendered, waited = await services.worker.render(place, request)
    encoding = time.perf_counter()
    quality = fields.quality if fields.quality is not None else services.settings.jpeg_quality
    metadata = generated(spec, request.seed, rendered.style, request.style)
    picture = await services.in_codec_pool(
        encode_picture, rendered.picture, answer.format, quality, metadata=metadata
    )
    steps = {
        "decode": decoded - started,
        "queue": waited,
        "render": rendered.seconds,
        "encode": time.perf_counter() - encoding,
    }
    response = _respond(request, rendered, picture, answer)
    response.headers["X-Seed"] = str(request.seed)
    response.headers["X-Model"] = spec.id
    response.headers["Server-Timing"] = ", ".join(f"{k};dur={v * 1000:.1f}" for k, v in steps.items())
    response.headers["Vary"] = "Accept"
    return response


def _request(services: Services, spec: ModelSpec, body: GenerateBody) -> RenderRequest:
    """Decode the files. Raises Problem."""
    labels = decode_map(body.mask, spec.labels, services.settings.max_map_pixels)
    instances = None
    if body.instances is not None:
        if not reads_instances(spec):
            raise _reads_no_instances(spec)
        instances = decode_instances(body.instances, labels.shape)
    return render_request(spec, body.fields, labels, services.limits, instances)


def _reads_no_instances(spec: ModelSpec) -> Problem:
    return Problem(
        422,
        "no-instance-edges",
        "The model reads no instance map",
        f"Model {spec.id!r} does not look at which thing a pixel belongs to.",
        "Leave the field instances out, or name a model whose instance_edges in /models is true.",
    )


def _respond(request: RenderRequest, rendered: Rendered, picture: bytes, answer: Answer) -> Response:
    media = MEDIA_TYPES[answer.format]
    if not answer.as_json:
        return Response(picture, media_type=media)
    generated = Generated(
        image=base64.b64encode(picture).decode(),
        format=answer.format,
        media_type=media,
        width=request.width,
        height=request.height,
        seed=request.seed,
        model=request.model,
        style=list(rendered.style),
    )
    return JSONResponse(generated.model_dump())
