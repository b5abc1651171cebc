"""A picture and a region in, the picture with another region out."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from server import edits
from server.clients import client_of
from server.codecs import MEDIA_TYPES
from server.connection import unless_gone
from server.device import ReadLabels, ReadStyle
from server.edits import STYLE_SIDE, EditLimits, Finished, Job, Painting, Restoring
from server.errors import CLIENT_CLOSED_REQUEST
from server.maps import Map
from server.negotiation import Answer, choose_answer
from server.photos import check_format, encode_photo
from server.schemas import problem_responses
from server.schemas_editing import IMAGE, MAP, NEW_MAP, REGION, SOURCE, Box, Edited, EditRequest, Painted
from server.segmenting import READING_SIDE, in_labels
from server.services import Services, ServicesOf
from server.steps import decoding, encoding
from server.uploads import Upload, read_upload, request_body
from server.worker import Place

router = APIRouter(tags=["edit"])

_FILES: Final = {"image": IMAGE, "region": REGION, "map": MAP, "new_map": NEW_MAP, "source": SOURCE}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "relabel": {
        "summary": "The region becomes sea",
        "value": {"image": "iVBORw0KGgo…", "region": "iVBORw0KGgo…", "action": "relabel", "label": "sea"},
    },
    "resample": {
        "summary": "The same things, painted once more",
        "value": {"image": "iVBORw0KGgo…", "region": "iVBORw0KGgo…", "action": "resample", "seed": 7},
    },
    "restore": {
        "summary": "The region as the photo had it",
        "value": {
            "image": "iVBORw0KGgo…",
            "region": "iVBORw0KGgo…",
            "source": "/9j/4AAQSkZJRg…",
            "action": "restore",
        },
    },
}

_PICTURE: Final = {
    "description": "The picture, of the size of the one sent, or JSON that holds it.",
    "content": {
        **{media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()},
        "application/json": {"schema": Edited.model_json_schema()},
    },
    "headers": {
        "X-Exact": {
            "schema": {"type": "boolean"},
            "description": "Whether every pixel outside the region equals the picture sent: not in a JPEG.",
        },
        "X-Seed": {
            "schema": {"type": "integer"},
            "description": "The seed that the region was painted with.",
        },
        "X-Model": {"schema": {"type": "string"}, "description": "The model that painted it."},
        "X-Segmenter": {"schema": {"type": "string"}, "description": "Who read the labels, if anybody did."},
        "Server-Timing": {"schema": {"type": "string"}, "description": "Milliseconds per step."},
    },
}


class _Clock:
    """Seconds by step."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}
        self._last = time.perf_counter()

    def step(self, name: str) -> None:
        """What has passed since the last step was `name`."""
        now = time.perf_counter()
        self.steps[name] = self.steps.get(name, 0.0) + now - self._last
        self._last = now

    @property
    def header(self) -> str:
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in self.steps.items())


@router.post(
    "/edit",
    summary="Change a region of a picture, and nothing else",
    response_class=Response,
    openapi_extra=request_body(EditRequest, _FILES, ["image"], _EXAMPLES),
    responses={200: _PICTURE, **problem_responses(400, 403, 404, 406, 408, 413, 415, 422, 501, 503)},
)
async def edit(request: Request, services: ServicesOf) -> Response:
    """Relabel the region, paint it once more, or restore it from a source photo. Outside the region the
    answer equals the picture sent, pixel by pixel, alpha and 16 bits included, except in a JPEG; inside, the
    edit fades in.
    """
    files = [name for name in _FILES if name != "image"]
    services.darkroom.check()  # before a body is read for nothing
    with services.worker.upload():
        body = await read_upload(request, EditRequest, ["image"], files)
    with services.worker.place(client_of(request.scope)) as place:
        answer = choose_answer(body.fields.format, request.headers.get("accept", ""), "png")
        response = await unless_gone(request, _edit(services, place, body, answer))
    return response if response is not None else Response(status_code=CLIENT_CLOSED_REQUEST)


async def _edit(services: Services, place: Place, body: Upload[EditRequest], answer: Answer) -> Response:
    clock, settings = _Clock(), services.settings
    limits = EditLimits(settings.max_photo_pixels, settings.max_map_pixels, services.limits)
    async with services.darkroom.seat():
        with decoding(services.metrics, "photo"):
            job = await services.darkroom.run(
                edits.prepare, body.fields, body.files, services.library, limits
            )
        check_format(job.photo, answer.format)
        clock.step("decode")
        finished, segmenter, style = await _carried_out(services, place, job, answer, clock)
        quality = body.fields.quality if body.fields.quality is not None else settings.jpeg_quality
        with encoding(services.metrics, answer.format):
            file = await services.darkroom.run(
                encode_photo, finished.photo, answer.format, quality, finished.metadata
            )
        clock.step("encode")
    return _response(job, finished, file, answer, _headers(job, segmenter, answer, clock), style)


async def _carried_out(
    services: Services, place: Place, job: Job, answer: Answer, clock: _Clock
) -> tuple[Finished, str | None, tuple[float, ...]]:
    """The edited photo, who read its labels, and the style code that it was painted in."""
    if isinstance(job, Restoring):
        finished = await services.darkroom.run(edits.restore, job)
        clock.step("blend")
        return finished, None, ()
    seen, segmenter = await _seen(services, place, job)
    own = await _own_style(services, place, job)
    clock.step("read")
    wanted = await services.darkroom.run(edits.requests, job, seen, own)
    painted = [(await services.worker.render(place, one))[0] for one in wanted]
    clock.step("render")
    pictures, style = [one.picture for one in painted], painted[0].style
    embed = answer.format == "png"
    finished = await services.darkroom.run(edits.finish, job, pictures, style, embed=embed)
    clock.step("blend")
    return finished, segmenter, style


async def _seen(services: Services, place: Place, job: Painting) -> tuple[Map | None, str | None]:
    """The labels of the part that is painted, in the model's set, and who read them, if anybody had to."""
    if not job.reads_labels:
        return None, None
    info = services.segmenters.find(job.fields.segmenter)
    photo = await services.darkroom.run(job.crop, READING_SIDE)
    labels, _ = await services.worker.call(place, ReadLabels(photo, info))
    return in_labels(labels, info.labels, job.spec.labels).map, info.id


async def _own_style(services: Services, place: Place, job: Painting) -> tuple[float, ...] | None:
    if not job.reads_style:
        return job.own
    photo = await services.darkroom.run(job.photo.rgb, STYLE_SIDE)
    style, _ = await services.worker.call(place, ReadStyle(photo, job.spec))
    return style


def _headers(job: Job, segmenter: str | None, answer: Answer, clock: _Clock) -> dict[str, str]:
    return {
        "X-Exact": "false" if answer.format == "jpeg" else "true",
        "X-Model": job.spec.id,
        "Server-Timing": clock.header,
        "Vary": "Accept",
        **({"X-Seed": str(job.seed)} if isinstance(job, Painting) else {}),
        **({"X-Segmenter": segmenter} if segmenter is not None else {}),
    }


def _response(
    job: Job,
    finished: Finished,
    file: bytes,
    answer: Answer,
    headers: Mapping[str, str],
    style: tuple[float, ...],
) -> Response:
    media = MEDIA_TYPES[answer.format]
    if not answer.as_json:
        return Response(file, media_type=media, headers=dict(headers))
    edited = Edited(
        image=base64.b64encode(file).decode(),
        format=answer.format,
        media_type=media,
        width=finished.photo.width,
        height=finished.photo.height,
        exact=answer.format != "jpeg",
        action=job.fields.action,
        model=job.spec.id,
        seed=job.seed if isinstance(job, Painting) else None,
        style=list(style),
        blend="feather" if isinstance(job, Restoring) else job.fields.blend,
        feather=finished.feather,
        region_pixels=int(job.region.sum()),
        painted=_painted(job) if isinstance(job, Painting) else None,
        segmenter=headers.get("X-Segmenter"),
    )
    return JSONResponse(edited.model_dump(), headers=dict(headers))


def _painted(job: Painting) -> Painted:
    box = job.plan.box
    whole = Box(x=box.x, y=box.y, width=box.width, height=box.height)
    return Painted(box=whole, width=job.plan.width, height=job.plan.height)
