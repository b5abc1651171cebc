"""Live sockets that are open, and how the guard ends one from outside its route."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import structlog
from starlette.types import Message, Send

from server import protocol
from server.guard.tokens import Token

log = structlog.get_logger(__name__)

_SECONDS_TO_END: Final = 5.0  # a peer that does not read is the connection's own business (connections.py)


class OpenSocket:
    """One socket under a client's name. `send` goes in the place of the server's own."""

    def __init__(self, client: str, token: Token | None, opened: float, send: Send) -> None:
        self.client = client
        self.token = token
        self.opened = opened
        self._send = send
        self._accepted = False
        self._ended = False

    async def send(self, message: Message) -> None:
        """Pass a message on; after the end, into nothing."""
        if self._ended:
            return
        if message["type"] == "websocket.accept":
            self._accepted = True
        elif message["type"] == "websocket.close":
            self._ended = True
        try:
            await self._send(message)
        except RuntimeError:
            if not self._ended:  # else the end came while this one waited for its turn
                raise

    async def end(self, code: int, reason: str, bye: str | None = None) -> bool:
        """Say bye, if that is to be said, and close. The route hears that its client is gone. False if it
        was not to be ended: it has not begun, or is over."""
        if self._ended or not self._accepted:
            return False
        self._ended = True
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                if bye is not None:
                    await self._send({"type": "websocket.send", "text": bye})
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except Exception as error:  # the page went first, or does not read
            log.debug("a socket was not told of its end", error=type(error).__name__)
        return True


class OpenSockets:
    """All of an app's. Use within one event loop."""

    def __init__(self) -> None:
        self._open: set[OpenSocket] = set()

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def keep(self, socket: OpenSocket) -> Generator[None]:
        """Know of it as long as it is open."""
        self._open.add(socket)
        try:
            yield
        finally:
            self._open.discard(socket)

    def those(self, which: Callable[[OpenSocket], bool]) -> list[OpenSocket]:
        """The sockets for which that holds."""
        return [socket for socket in self._open if which(socket)]


def bye(reason: str, retry_after: float) -> str:
    """The live protocol's word for: not now, come back."""
    return protocol.bye(reason=reason, retry_after=retry_after)
