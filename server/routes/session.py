"""Signing in from a browser: a token goes in, and stays in a cookie that no script can read."""

from __future__ import annotations

import time
from typing import Annotated, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from server.errors import Problem
from server.guard.guard import COOKIE, TOKEN, token_unknown
from server.guard.tokens import Token
from server.json_text import parse_json
from server.schemas import problem_responses
from server.services import ServicesOf
from server.settings import Settings
from server.uploads import unreadable

router = APIRouter(tags=["session"])

_MOST_BYTES: Final = 4096
_MOST_SECONDS: Final = 90 * 24 * 60 * 60
"""A browser forgets the cookie after so long at the latest."""


class SignIn(BaseModel):
    """A token as it was given out."""

    model_config = ConfigDict(strict=True)

    token: Annotated[str, Field(max_length=200)]


class SessionInfo(BaseModel):
    """Whether a token is asked for, whether one came along, and whose it is."""

    required: bool
    signed_in: bool
    name: str | None


@router.get("/session", summary="Is a token asked for, and is one there?")
async def session(request: Request, services: ServicesOf) -> SessionInfo:
    """Answers without a token too, so that a page knows whether to ask for one."""
    token: Token | None = request.scope.get(TOKEN)
    return SessionInfo(
        required=services.guard.required,
        signed_in=token is not None,
        name=None if token is None else token.name,
    )


@router.post(
    "/session",
    status_code=204,
    summary="Sign in with a token",
    response_class=Response,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": SignIn.model_json_schema()}},
        }
    },
    responses=problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
)
async def sign_in(request: Request, services: ServicesOf) -> Response:
    """Keeps the token in a cookie for this server alone. Programs send it as a header instead."""
    tokens = services.guard.tokens
    if tokens is None:
        raise _not_asked_for()
    given = SignIn.model_validate(await _content(request)).token.strip()
    token = tokens.find(given)
    if token is None:
        raise token_unknown()
    left = _MOST_SECONDS if token.expires is None else min(_MOST_SECONDS, token.expires - int(time.time()))
    answer = Response(status_code=204)
    _set_cookie(answer, request, services.settings, given, left)
    return answer


@router.delete("/session", status_code=204, summary="Sign out", response_class=Response)
async def sign_out(request: Request, services: ServicesOf) -> Response:
    """Takes the cookie back. The token itself holds until whoever runs the server revokes it."""
    answer = Response(status_code=204)
    _set_cookie(answer, request, services.settings, "", 0)
    return answer


def _set_cookie(answer: Response, request: Request, settings: Settings, value: str, max_age: int) -> None:
    answer.set_cookie(
        COOKIE,
        value,
        max_age=max_age,
        path=settings.root_path or "/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


async def _content(request: Request) -> object:
    """The body, read within bounds: anybody may send one. Raises Problem."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem(
            415,
            "unsupported-body",
            "Not a body that is understood",
            f"The body is {media[:64] or 'of no stated type'!r}.",
            "Send application/json.",
            headers={"Accept": "application/json"},
        )
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise Problem(
                413,
                "body-too-large",
                "The body is too large",
                f"A token takes less than {_MOST_BYTES} bytes.",
                "Send the token alone.",
            )
    try:
        return parse_json(bytes(body))
    except ValueError:
        raise unreadable("JSON body", "It is not JSON.") from None


def _not_asked_for() -> Problem:
    return Problem(
        404,
        "no-tokens",
        "No token is asked for",
        "This server lets everybody in.",
        "Go on without one.",
    )
