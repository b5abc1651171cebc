"""The live socket (docs/protocol.md): who may connect, for how long, and how a connection ends."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from server import protocol
from server.errors import Problem
from server.middleware import REQUEST_ID, client_kind, is_own_origin
from server.painter import LivePainter
from server.protocol import SUBPROTOCOL, Close, MalformedError
from server.services import Services, ServicesOf
from server.session import error_message

log = structlog.get_logger(__name__)
router = APIRouter()

_SECONDS_TO_OPEN: Final = 10.0
"""A connection that opens no document in this time takes a seat for nothing."""


class ConnectionOverError(Exception):
    """Close the socket with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@router.websocket("/live")
async def live(socket: WebSocket, services: ServicesOf) -> None:
    """One painter's connection, from handshake to close."""
    painter = LivePainter(services, socket, socket.scope.get(REQUEST_ID, ""))
    with structlog.contextvars.bound_contextvars(painter=painter.key, client=client_kind(socket.scope)):
        try:
            await _shake_hands(socket, services)
            await _seat(socket, services, painter)
            await _serve(socket, services, painter)
        except ConnectionOverError as over:
            services.metrics.closed.labels(str(over.code)).inc()
            log.info("live closed", code=over.code, reason=over.reason)
            await _close(socket, over.code, over.reason)
        except WebSocketDisconnect as gone:
            log.info("live left", code=gone.code)


async def _shake_hands(socket: WebSocket, services: Services) -> None:
    """Accept first and refuse after: a page cannot read a refused handshake's status."""
    offered = SUBPROTOCOL in socket.scope.get("subprotocols", [])
    await socket.accept(SUBPROTOCOL if offered else None)
    if not is_own_origin(socket.headers, services.settings.origins):
        raise ConnectionOverError(Close.ORIGIN, "origin not allowed")
    if not offered:
        raise ConnectionOverError(Close.SUBPROTOCOL, "no common subprotocol; reload the page")


async def _seat(socket: WebSocket, services: Services, painter: LivePainter) -> None:
    try:
        services.worker.join(painter)
    except Problem as problem:
        services.metrics.refuse_by(problem.counted_as)
        retry_after = float(problem.headers["Retry-After"])
        await socket.send_text(protocol.bye(reason=problem.detail, retry_after=retry_after))
        raise ConnectionOverError(Close.TOO_MANY, problem.title) from None


async def _serve(socket: WebSocket, services: Services, painter: LivePainter) -> None:
    services.painters.add(painter)
    sender = asyncio.create_task(painter.send_all())
    reader = asyncio.create_task(_read(socket, services, painter))
    log.info("live joined", painters=len(services.painters))
    try:
        await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
        await (reader if reader.done() else sender)
    except MalformedError as error:
        problem = _malformed(error)
        await socket.send_text(error_message(0, problem, fatal=True))
        raise ConnectionOverError(Close.MALFORMED, problem.title) from None
    finally:
        services.painters.discard(painter)
        services.worker.leave(painter)
        for task in (sender, reader):
            task.cancel()
        await asyncio.gather(sender, reader, return_exceptions=True)


async def _read(socket: WebSocket, services: Services, painter: LivePainter) -> None:
    """Take messages until the client goes or nothing has been painted for too long."""
    loop, idle_timeout = asyncio.get_running_loop(), services.settings.idle_timeout
    deadline = loop.time() + min(_SECONDS_TO_OPEN, idle_timeout)
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                message = await _next(socket)
                _check_size(message, services.settings.max_message_bytes)
        except TimeoutError:
            raise ConnectionOverError(Close.IDLE, "idle too long") from None
        if await painter.receive(message):
            deadline = loop.time() + idle_timeout
        await asyncio.sleep(0)  # messages that have come already are taken without a pause: let others in


def _check_size(message: str | bytes, most: int) -> None:
    """Our own server refuses larger ones before they are here; Ray Serve's proxies let them through."""
    if len(message) > most:
        raise ConnectionOverError(Close.TOO_BIG, "message too big")


async def _next(socket: WebSocket) -> str | bytes:
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event["code"], event.get("reason"))
    text = event.get("text")
    return text if text is not None else event["bytes"]


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    try:
        await socket.close(code, reason)
    except (RuntimeError, WebSocketDisconnect):
        log.debug("live was closed already", code=code)


def _malformed(error: MalformedError) -> Problem:
    return Problem(
        400,
        "malformed",
        "Malformed message",
        f"The server could not read what was sent: {error.what}.",
        "Reload the page; if it happens again, page and server are of different versions.",
    )
