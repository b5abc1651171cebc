"""Paintings shared by a link: a project in, a link out. Mounted only where SCENEBRUSH_SHARING says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from server.errors import Problem
from server.memory import low_memory
from server.routes.studio import render_page
from server.schemas import ShareMade, problem_responses
from server.services import ServicesOf
from server.sharing.archive import too_large
from server.sharing.database import ID_LENGTH
from server.sharing.project import MEDIA_TYPE
from server.sharing.service import Sharing

router = APIRouter(tags=["share"])
page_router = APIRouter()

_MEDIA_TYPES: Final = (MEDIA_TYPE, "application/zip", "application/octet-stream")
_UNLISTED: Final = {"X-Robots-Tag": "noindex"}
_FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}


def _sharing(services: ServicesOf) -> Sharing:
    if services.sharing is None:
        raise TypeError("the routes of shared paintings were mounted without them")
    return services.sharing


SharingOf = Annotated[Sharing, Depends(_sharing)]


@router.post(
    "/shares",
    status_code=201,
    summary="Share a painting by a link",
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _FILE}}},
    responses={
        201: {"headers": {"Location": {"schema": {"type": "string"}, "description": "Where its file is."}}},
        **problem_responses(400, 403, 408, 413, 415, 422, 503, 507),
    },
)
async def share(request: Request, response: Response, services: ServicesOf, sharing: SharingOf) -> ShareMade:
    """The body is a project file. It is read strictly and written anew: what is kept is its layers, lights
    and pictures, and nothing else that was in it. The token that deletes it is given out here alone.
    """
    if services.worker.short_of_memory:
        raise low_memory()
    with sharing.upload():
        added = await sharing.add(await _project(request, sharing.max_bytes))
    base = services.settings.root_path
    response.headers["Location"] = f"{base}/shares/{added.id}"
    expires = None if added.expires is None else datetime.fromtimestamp(added.expires, UTC)
    return ShareMade(
        id=added.id, url=f"{base}/s/{added.id}", delete_token=added.delete_token, expires=expires
    )


async def _project(request: Request, max_bytes: int) -> bytes:
    """The body. Raises Problem."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in _MEDIA_TYPES:
        raise Problem(
            415,
            "unsupported-body",
            "Not a body that is understood",
            f"The body is {media or 'of no stated type'!r}.",
            f"Send the project file itself as {MEDIA_TYPE}.",
            headers={"Accept": ", ".join(_MEDIA_TYPES)},
        )
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > max_bytes:
            raise too_large(f"It has more than {max_bytes} bytes.")
    return bytes(body)


@router.get(
    "/shares/{share_id}",
    summary="A shared painting's project file",
    response_class=Response,
    responses={
        200: {"description": "The project file.", "content": {MEDIA_TYPE: _FILE}},
        **problem_responses(404, 503),
    },
)
async def shared(share_id: str, sharing: SharingOf) -> Response:
    """As the server wrote it: equal to what was shared in what it shows, not in its bytes."""
    size = await sharing.find(share_id)
    headers = {
        **_UNLISTED,
        "Content-Length": str(size),
        "Content-Disposition": 'attachment; filename="shared.scenebrush"',
    }
    return StreamingResponse(sharing.read(share_id, size), 200, headers, MEDIA_TYPE)


@router.delete(
    "/shares/{share_id}",
    status_code=204,
    summary="Delete a shared painting",
    response_class=Response,
    responses=problem_responses(401, 403, 404, 503),
)
async def unshare(
    share_id: str, sharing: SharingOf, authorization: Annotated[str | None, Header()] = None
) -> Response:
    """With `Authorization: Bearer` and the token that was given out when it was shared."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(
            401,
            "no-delete-token",
            "A token is needed to delete it",
            "The request has no header Authorization: Bearer TOKEN.",
            "Send the delete_token that came with the link.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    await sharing.remove(share_id, token.strip())
    return Response(status_code=204)


@page_router.api_route("/s/{share_id}", methods=["GET", "HEAD"], include_in_schema=False)
async def page(share_id: str, request: Request, services: ServicesOf, sharing: SharingOf) -> HTMLResponse:
    """The studio, which opens that painting; when there is none it says so itself."""
    status = 200
    try:
        await sharing.find(share_id)
    except Problem as problem:
        status = problem.status
    answer = render_page(request, services, status, share_id[: 2 * ID_LENGTH])
    answer.headers.update(_UNLISTED)
    return answer
