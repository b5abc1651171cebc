"""The gate: every request and every socket passes it, says who it is, and is let in or turned away."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from server.clients import CLIENT
from server.errors import Problem
from server.guard.guard import TOKEN, Guard, Visitor
from server.guard.sockets import bye
from server.middleware import REQUEST_ID
from server.protocol import SUBPROTOCOL, Close


class Gate:
    """Puts the client's name and its token into the scope, and turns away whom the guard does not admit."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        visitor = self._guard.visitor(scope)
        scope[CLIENT], scope[TOKEN] = visitor.client, visitor.token
        if scope["type"] == "http":
            await self._request(visitor, scope, receive, send)
        else:
            await self._socket(visitor, scope, receive, send)

    async def _request(self, visitor: Visitor, scope: Scope, receive: Receive, send: Send) -> None:
        admitted = False
        try:
            self._guard.admit(scope, visitor)
            with self._guard.working(scope, visitor):
                admitted = True
                await self._app(scope, receive, send)
        except Problem as problem:
            if admitted:
                raise
            await problem.response(scope.get(REQUEST_ID, ""))(scope, receive, send)

    async def _socket(self, visitor: Visitor, scope: Scope, receive: Receive, send: Send) -> None:
        socket = self._guard.new_socket(visitor, send)
        admitted = False
        try:
            self._guard.admit(scope, visitor)
            with self._guard.socket(visitor, socket):
                admitted = True
                await self._app(scope, receive, socket.send)
        except Problem as problem:
            if admitted:
                raise
            code = _close_code(problem)
            self._guard.count_closed(code)
            await _turn_away(problem, code, scope, receive, send)


def _close_code(problem: Problem) -> int:
    return {401: Close.TOKEN, 429: Close.TOO_MANY_SOCKETS}.get(problem.status, Close.TOO_MANY)


async def _turn_away(problem: Problem, code: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Accept first and refuse after: a page cannot read a refused handshake's status."""
    await receive()
    offered = SUBPROTOCOL in scope.get("subprotocols", [])
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
    if "Retry-After" in problem.headers:
        said = bye(problem.detail, float(problem.headers["Retry-After"]))
        await send({"type": "websocket.send", "text": said})
    await send({"type": "websocket.close", "code": code, "reason": problem.title})
