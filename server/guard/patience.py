"""How long one request may take, from its head to the last byte of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import Problem
from server.middleware import REQUEST_ID

log = structlog.get_logger(__name__)

ABORT: Final = "scenebrush.abort"
"""In a scope: a call that drops the connection at once (connections.py)."""
_RETRY_AFTER: Final = "10"


class Patience:
    """Stops a request that takes too long: its work, and its answer if that has begun."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        limit = asyncio.timeout(self._seconds)
        try:
            async with limit:
                await self._app(scope, receive, watched)
        except TimeoutError:
            if not limit.expired():
                raise
            if begun:
                self._drop(scope)
                return
            await self._too_slow().response(scope.get(REQUEST_ID, ""))(scope, receive, send)

    def _drop(self, scope: Scope) -> None:
        """Half an answer is out: only the connection's end says that it is not whole."""
        log.warning("an answer took too long", path=scope["path"], seconds=self._seconds)
        abort: Callable[[], None] | None = scope.get(ABORT)
        if abort is None:
            raise RuntimeError("an answer took too long, and its connection cannot be dropped from here")
        abort()

    def _too_slow(self) -> Problem:
        return Problem(
            503,
            "too-slow",
            "It took too long",
            f"The request was not answered in {self._seconds:g} s, and was stopped.",
            "Send it again later, or ask for a smaller picture.",
            headers={"Retry-After": _RETRY_AFTER, "Connection": "close"},
        )
