"""uvicorn's connections within bounds: heads that do not come, readers that do not read, and how many at all.

uvicorn bounds neither the time nor the size of a request's head, and waits for ever until a peer has taken
what was written. Both are looked at twice a second (`look_at`), which needs no timer per connection.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Response

from server.errors import PROBLEM_TYPE, Problem
from server.guard.patience import ABORT
from server.middleware import SECURITY_HEADERS

log = structlog.get_logger(__name__)

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a head, and of all that frames a body: sizes of chunks, trailers."""
_MOST_PIPELINED: Final = 16
_MOST_FRAGMENTS: Final = 1024
_RESERVED_FILES: Final = 64  # descriptors for models, the database, logs and the like


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds and a number, as docs/settings.md has them."""

    head_timeout: float
    request_timeout: float
    send_timeout: float
    max_connections: int


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings, with bounds. `dropped` is told why whenever a connection is."""

    def __init__(self, app: Any, bounds: Bounds, dropped: Callable[[str], None], **options: Any) -> None:
        super().__init__(app, http=BoundedHttp, ws=BoundedSocket, **options)
        self.bounds = bounds
        self.dropped = dropped


class Watch:
    """What a connection waits for its peer to do, and since when. Pure: times come from outside."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._unread = 0
        self._stalled: float | None = None
        self.head: float | None = None
        """Since when the head of a request is awaited."""
        self.paused: float | None = None
        """Since when more is waiting to be sent than may."""
        self.closing: float | None = None
        """Since when it is closed, but for what was not taken yet."""

    def overdue(self, now: float, unread: int) -> str | None:
        """Why the connection must go, or None. `unread` is how many bytes wait to be taken."""
        if _older(self.head, now, self._bounds.head_timeout):
            return "head"
        if _older(self.closing, now, self._bounds.send_timeout):
            return "unread"
        if self.paused is None:
            self._stalled = None
            return None
        if self._stalled is None or unread < self._unread:
            self._stalled = now if self._stalled is not None else self.paused
        self._unread = unread
        if _older(self._stalled, now, self._bounds.send_timeout):
            return "unread"
        return "unread" if _older(self.paused, now, self._bounds.request_timeout) else None


def _older(since: float | None, now: float, seconds: float) -> bool:
    return since is not None and now - since >= seconds


class BoundedHttp(HttpToolsProtocol):
    """An HTTP/1.1 connection whose heads come in time and whose answers are taken."""

    def __init__(self, config: BoundedConfig, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self._bounds = config.bounds
        self._dropped = config.dropped
        self.watch = Watch(config.bounds)
        self._in_head = False
        self._overhead = 0
        self._allowance = MOST_HEAD_BYTES
        self._begun = False
        self._in_bodies = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._bounds.max_connections:
            self._refuse(_crowded())
            self._dropped("connections")
            return
        self.watch.head = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._begun, self._in_bodies = False, 0
        super().data_received(data)
        if self not in self.connections or self.transport.is_closing():
            return  # it is a live socket now, or over
        if not self._begun:
            self._overhead += len(data) - self._in_bodies
        if self._overhead > self._allowance or len(self.pipeline) > _MOST_PIPELINED:
            self._refuse(_head_too_large())
            self._dropped("head-size")
            return
        cycle = cast("RequestResponseCycle | None", self.cycle)
        idle = cycle is None or cycle.response_complete
        if self.watch.head is None and (self._in_head or idle):
            self.watch.head = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        # Bytes of the message before are in this chunk too: those of a new one count from the next.
        self._overhead, self._allowance, self._begun = 0, MOST_HEAD_BYTES, True
        cast("dict[str, Any]", self.scope)[ABORT] = self.transport.abort

    def on_headers_complete(self) -> None:
        self._in_head, self.watch.head = False, None
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._allowance += len(body) // 2  # what frames chunks of a sane size
        self._in_bodies += len(body)
        super().on_body(body)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.watch.paused = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.watch.paused = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(_unreadable())

    def _refuse(self, problem: Problem) -> None:
        self.transport.write(bare_answer(problem))
        self.transport.close()


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose messages come in few pieces and whose frames are taken."""

    def __init__(self, config: BoundedConfig, *arguments: Any, **options: Any) -> None:
        super().__init__(config, *arguments, **options)
        self.watch = Watch(config.bounds)
        plain = self.conn.reject

        def reject(status: int, text: str) -> Response:
            response = plain(status, text)
            for name, value in SECURITY_HEADERS.items():
                response.headers[name] = value
            return response

        self.conn.reject = reject

    def pause_writing(self) -> None:
        super().pause_writing()
        self.watch.paused = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.watch.paused = None

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= _MOST_FRAGMENTS:  # empty ones would count for nothing
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # answers for one that does not read would pile up


def look_at(connections: Iterable[object], now: float, dropped: Callable[[str], None]) -> None:
    """Drop every connection that is overdue."""
    for connection in list(connections):
        if not isinstance(connection, BoundedHttp | BoundedSocket):
            continue
        watch, transport = connection.watch, connection.transport
        if transport.is_closing() and watch.closing is None:
            watch.closing = now
        why = watch.overdue(now, transport.get_write_buffer_size())
        if why is not None:
            dropped(why)
            transport.abort()


def room_for(max_connections: int) -> int:
    """Raise the limit of open files to what so many connections need; how many there is room for."""
    needed = max_connections + _RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return max_connections
    fitting = max(1, soft - _RESERVED_FILES)
    log.warning("fewer connections than set: open files are limited", limit=soft, connections=fitting)
    return fitting


def bare_answer(problem: Problem) -> bytes:
    """An answer for where no request has come about: a problem with all headers, as bytes."""
    response = problem.response()
    headers = {
        **SECURITY_HEADERS,
        **problem.headers,
        "Content-Type": PROBLEM_TYPE,
        "Content-Length": str(len(response.body)),
        "Connection": "close",
    }
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
    lines += [f"{name.lower()}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + bytes(response.body)


def _unreadable() -> Problem:
    return Problem(
        400,
        "bad-request",
        "Not a request",
        "What came is no HTTP request.",
        "Check how the request is put together.",
    )


def _head_too_large() -> Problem:
    return Problem(
        431,
        "head-too-large",
        "The request's head is too large",
        f"Its lines and headers, or what frames its body, have more than {MOST_HEAD_BYTES} bytes.",
        "Send less in headers; send the body with Content-Length or in larger chunks.",
    )


def _crowded() -> Problem:
    return Problem(
        503,
        "busy",
        "The server is busy",
        "As many connections are open as may be.",
        "Try again in a moment.",
        headers={"Retry-After": "2"},
    )
