"""A photo in, its label map out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from models.spec import ModelSpec
from server.clients import client_of
from server.codecs import encode_map
from server.connection import unless_gone
from server.device import ReadLabels
from server.errors import CLIENT_CLOSED_REQUEST
from server.maps import Map, Pixels, resize_nearest
from server.negotiation import choose_answer
from server.photos import decode_photo
from server.schemas import problem_responses
from server.schemas_editing import PHOTO, Converted, LabelRef, LabelShare, Segmented, SegmentRequest
from server.segmenting import READING_SIDE, Reader, Reading, in_labels, map_size, shares
from server.services import Services, ServicesOf
from server.steps import decoding, encoding
from server.uploads import Upload, read_upload, request_body
from server.worker import Place

router = APIRouter(tags=["edit"])

_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "photo": {
        "summary": "A map of at most 512 pixels a side",
        "value": {"image": "/9j/4AAQSkZJRg…", "model": "landscape", "max_side": 512},
    }
}
_MAP: Final = {
    "description": "The label map: a palette PNG in the model's labels, or JSON that holds it.",
    "content": {
        "image/png": {"schema": {"type": "string", "format": "binary"}},
        "application/json": {"schema": Segmented.model_json_schema()},
    },
    "headers": {
        "X-Model": {"schema": {"type": "string"}, "description": "The model whose labels the map has."},
        "X-Segmenter": {"schema": {"type": "string"}, "description": "Who read the photo."},
        "X-Label-Set": {"schema": {"type": "string"}, "description": "Hash of the map's label set."},
    },
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """A photo's size, and its map in the model's labels as it goes back."""

    width: int
    height: int
    map: Map
    file: bytes
    reading: Reading


@router.post(
    "/segment",
    summary="Read a photo's label map",
    response_class=Response,
    openapi_extra=request_body(SegmentRequest, {"image": PHOTO}, ["image"], _EXAMPLES),
    responses={200: _MAP, **problem_responses(400, 403, 404, 406, 408, 413, 415, 422, 501, 503)},
)
async def segment(request: Request, services: ServicesOf) -> Response:
    """What the segmenter sees, in the labels of the model, by meaning. The map has the photo's size unless
    max_side, or this server's limit on maps, asks for a smaller one.
    """
    services.darkroom.check()  # before a body is read for nothing
    with services.worker.upload():
        body = await read_upload(request, SegmentRequest, ["image"])
    with services.worker.place(client_of(request.scope)) as place:
        as_json = choose_answer("png", request.headers.get("accept", "")).as_json
        response = await unless_gone(request, _segment(services, place, body, as_json=as_json))
    return response if response is not None else Response(status_code=CLIENT_CLOSED_REQUEST)


async def _segment(
    services: Services, place: Place, body: Upload[SegmentRequest], *, as_json: bool
) -> Response:
    spec = services.library.spec(body.fields.model)
    info = services.segmenters.find(body.fields.segmenter)
    async with services.darkroom.seat():
        with decoding(services.metrics, "photo"):
            size, photo = await services.darkroom.run(_read, services, body.files["image"])
        labels, _ = await services.worker.call(place, ReadLabels(photo, info))
        with encoding(services.metrics, "png"):
            seen = await services.darkroom.run(_seen, services, body.fields, size, labels, info, spec)
    headers = {
        "X-Model": spec.id,
        "X-Segmenter": info.id,
        "X-Label-Set": spec.labels.hash,
        "Vary": "Accept",
    }
    if as_json:
        return JSONResponse(_segmented(seen, spec, info).model_dump(), headers=headers)
    return Response(seen.file, media_type="image/png", headers=headers)


def _read(services: Services, data: bytes) -> tuple[tuple[int, int], Pixels]:
    photo = decode_photo(data, services.settings.max_photo_pixels)
    return (photo.width, photo.height), photo.rgb(READING_SIDE)


def _seen(
    services: Services,
    fields: SegmentRequest,
    size: tuple[int, int],
    labels: Map,
    info: Reader,
    spec: ModelSpec,
) -> _Seen:
    reading = in_labels(labels, info.labels, spec.labels)
    width, height = map_size(size, fields.max_side, services.settings.max_map_pixels)
    resized = resize_nearest(reading.map, width, height)
    return _Seen(*size, resized, encode_map(resized, spec.labels), reading)


def _segmented(seen: _Seen, spec: ModelSpec, info: Reader) -> Segmented:
    return Segmented(
        map=base64.b64encode(seen.file).decode(),
        width=seen.map.shape[1],
        height=seen.map.shape[0],
        photo_width=seen.width,
        photo_height=seen.height,
        model=spec.id,
        label_set=spec.labels.hash,
        segmenter=info.id,
        shares=[
            LabelShare(id=label.id, name=label.name, share=share)
            for label, share in shares(seen.map, spec.labels)
        ],
        converted=[
            Converted(
                seen=LabelRef(id=one.source.id, name=one.source.name),
                became=LabelRef(id=one.target.id, name=one.target.name),
                exact=one.exact,
                share=one.share,
            )
            for one in seen.reading.conversions
        ],
    )
