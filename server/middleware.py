"""What every request passes through, as plain ASGI: ids, logs, headers, hosts and origins, body limits."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server import tracing
from server.errors import Problem, internal
from server.metrics import Metrics
from server.tracing import NOTHING, Trace, Tracer

log = structlog.get_logger(__name__)

REQUEST_ID: Final = "scenebrush.request_id"
_REQUEST_ID_SHAPE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": API_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""Set on every answer unless the route has set its own."""
_HSTS: Final = "max-age=31536000"


class RootPath:
    """Lets the app live under a path of a reverse proxy, whether or not the proxy takes that path off."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            path = scope["path"]
            whole = path if path.startswith(f"{self._root_path}/") else self._root_path + path
            scope = {**scope, "root_path": self._root_path, "path": whole}
        await self._app(scope, receive, send)


class RequestContext:
    """Outermost: gives every request an id, measures, traces and logs it, and turns what nobody caught into a
    500."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracer: Tracer, *, hsts: bool = False) -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer
        self._hsts = hsts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope[REQUEST_ID] = _request_id(scope)
        with structlog.contextvars.bound_contextvars(request_id=scope[REQUEST_ID]):
            if scope["type"] == "http":
                await self._http(scope, receive, send)
            else:
                await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 0
        trace = self._trace(scope, started)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope[REQUEST_ID])
                if self._hsts and scope["scheme"] == "https":
                    MutableHeaders(scope=message)["Strict-Transport-Security"] = _HSTS
            await send(message)

        named = {"trace_id": trace.id} if trace.id else {}
        with structlog.contextvars.bound_contextvars(**named), tracing.following(trace):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if status:
                    raise  # half an answer is out: only closing the connection says that it is not whole
                await internal().response(scope[REQUEST_ID])(scope, receive, send_with_headers)
            finally:
                self._record(scope, status, started, trace)

    def _trace(self, scope: Scope, started: float) -> Trace:
        if _mount_of(scope) in _MOUNTS or _local_path(scope) in _QUIET_ROUTES:
            return NOTHING  # what asks every few seconds, and the page's files
        method = _method(scope)
        return self._tracer.begin(
            method,
            started,
            traceparent=Headers(scope=scope).get("traceparent", ""),
            **{"http.request.method": method, "scenebrush.request_id": scope[REQUEST_ID]},
        )

    def _record(self, scope: Scope, status: int, started: float, trace: Trace) -> None:
        route, method, ended = _route_of(scope), _method(scope), time.perf_counter()
        seconds = ended - started
        trace.end(
            ended,
            name=f"{method} {route}",
            failed=status >= 500 or not status,
            **{"http.route": route, "http.response.status_code": status},
        )
        self._metrics.requests.labels(route, method, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        quiet = route in _QUIET_ROUTES
        (log.debug if quiet else log.info)(
            "request",
            method=method,
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
            client=client_kind(scope),
        )


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_MOUNTS: Final = ("/assets/", "/docs/files/")
_QUIET_ROUTES: Final = frozenset({"/healthz", "/readyz", "/metrics", *_MOUNTS})


def _route_of(scope: Scope) -> str:
    """The route's pattern, the mount's path, or "unmatched": few values, whatever is asked for."""
    return str(getattr(scope.get("route"), "path", _mount_of(scope)))


def _mount_of(scope: Scope) -> str:
    path = _local_path(scope)
    return next((mount for mount in _MOUNTS if path.startswith(mount)), "unmatched")


def _local_path(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def client_kind(scope: Scope) -> str:
    """How the client is known, "token" or "address", for the log: which one it is stays out of it."""
    return str(scope.get("scenebrush.client", "address")).partition(":")[0]


def _request_id(scope: Scope) -> str:
    """The proxy's X-Request-ID where it is a plain word, else a new one."""
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _REQUEST_ID_SHAPE.fullmatch(given) else secrets.token_hex(8)


def _add_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-ID"] = request_id
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)


class HostGuard:
    """Answers only to the server's own names, so that a page elsewhere cannot reach it by a name of its own
    (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or "*" in self._hosts or self._is_ours(scope):
            await self._app(scope, receive, send)
            return
        await _refuse(_wrong_host(), scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        return host_name(Headers(scope=scope).get("host", "")) in self._hosts


def host_name(host: str) -> str:
    """The name in a Host header, without its port and an IPv6 address's brackets; "" if it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _wrong_host() -> Problem:
    return Problem(
        421,
        "wrong-host",
        "Not a name of this server",
        "The Host header names another server.",
        "Use one of the server's names, or add this one to SCENEBRUSH_ALLOWED_HOSTS.",
    )


class OriginGuard:
    """Lets no page of another site use the device: requests that cost something must come from our own
    origin, from an allowed one, or from no page at all. Sockets are judged by their route, which says why."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        harmless = scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS")
        if harmless or is_own_origin(Headers(scope=scope), self._allowed):
            await self._app(scope, receive, send)
            return
        await _refuse(_wrong_origin(), scope, receive, send)


def is_own_origin(headers: Headers, allowed: Collection[str]) -> bool:
    """Whether the Origin header is absent (no page sent this), names the Host asked, or is an allowed one."""
    origin = headers.get("origin")
    if origin is None:
        return True
    if origin.lower() in allowed:
        return True
    scheme, _, netloc = origin.lower().partition("://")
    return scheme in ("http", "https") and netloc == headers.get("host", "").lower()


def _wrong_origin() -> Problem:
    return Problem(
        403,
        "wrong-origin",
        "A page of another origin",
        "The Origin header names another site, whose pages may not use this server.",
        "Add the site to SCENEBRUSH_ALLOWED_ORIGINS if it should; reverse proxies must leave Host unchanged.",
    )


class BodyLimit:
    """Bounds a body's size and the time it takes to arrive, whether or not Content-Length tells the truth."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            await _refuse(self._too_large(), scope, receive, send)
            return
        await self._app(scope, self._limited(receive), send)

    def _limited(self, receive: Receive) -> Receive:
        received, complete = 0, False
        deadline = asyncio.get_running_loop().time() + self._timeout

        async def receive_within_limits() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()  # what comes now is the disconnect
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise self._too_slow() from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > self._max_bytes:
                raise self._too_large()
            return message

        return receive_within_limits

    def _too_large(self) -> Problem:
        return Problem(
            413,
            "body-too-large",
            "The body is too large",
            f"This server takes bodies of at most {self._max_bytes} bytes.",
            "Send a smaller file; a map is small as PNG, a photo as JPEG. Whoever runs this server can raise "
            "SCENEBRUSH_MAX_BODY_BYTES.",
            headers={"Connection": "close"},
        )

    def _too_slow(self) -> Problem:
        return Problem(
            408,
            "body-too-slow",
            "The body took too long",
            f"It had not arrived whole after {self._timeout:g} s.",
            "Send it again.",
            headers={"Connection": "close"},
        )


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with the problem; refuse a socket's handshake."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": problem.title})
        return
    await problem.response(scope.get(REQUEST_ID, ""))(scope, receive, send)
