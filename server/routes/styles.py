"""A photo in, the code of its light and season out."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from models.spec import ModelSpec
from server.clients import client_of
from server.connection import unless_gone
from server.device import ReadStyle
from server.edits import STYLE_SIDE
from server.errors import CLIENT_CLOSED_REQUEST, Problem
from server.maps import Pixels
from server.photos import decode_photo
from server.schemas import problem_responses
from server.schemas_editing import PHOTO, StyleOf, StylesRequest
from server.services import Services, ServicesOf
from server.steps import decoding
from server.styles import encodes_styles
from server.uploads import Upload, read_upload, request_body
from server.worker import Place

router = APIRouter(tags=["edit"])

_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "photo": {
        "summary": "A photo's light, for a model",
        "value": {"image": "/9j/4AAQSkZJRg…", "model": "landscape"},
    }
}


@router.post(
    "/styles",
    summary="Read a photo's style",
    response_model=StyleOf,
    openapi_extra=request_body(StylesRequest, {"image": PHOTO}, ["image"], _EXAMPLES),
    responses=problem_responses(400, 403, 404, 408, 413, 415, 422, 503),
)
async def styles(request: Request, services: ServicesOf) -> Response:
    """The style code by the model's encoder, which /generate, /edit and the live socket take as style."""
    services.darkroom.check()  # before a body is read for nothing
    with services.worker.upload():
        body = await read_upload(request, StylesRequest, ["image"])
    with services.worker.place(client_of(request.scope)) as place:
        found = await unless_gone(request, _style_of(services, place, body))
    return JSONResponse(found.model_dump()) if found else Response(status_code=CLIENT_CLOSED_REQUEST)


async def _style_of(services: Services, place: Place, body: Upload[StylesRequest]) -> StyleOf:
    spec = services.library.spec(body.fields.model)
    if not encodes_styles(spec):
        raise _no_encoder(spec)
    async with services.darkroom.seat():
        with decoding(services.metrics, "photo"):
            photo = await services.darkroom.run(_read, services, body.files["image"])
    code, _ = await services.worker.call(place, ReadStyle(photo, spec))
    return StyleOf(model=spec.id, style=list(code))


def _read(services: Services, data: bytes) -> Pixels:
    return decode_photo(data, services.settings.max_photo_pixels).rgb(STYLE_SIDE)


def _no_encoder(spec: ModelSpec) -> Problem:
    return Problem(
        422,
        "no-style-encoder",
        "The model reads no styles",
        f"The file of model {spec.id!r} holds no style encoder.",
        "Name a model whose encodes_styles in /models is true, or use a seed.",
    )
