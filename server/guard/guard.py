"""Who may come in and how often: what the gate asks for every request, and what runs beside the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope, Send

from server.clients import address_client
from server.errors import Problem
from server.guard.limits import Limiter, OverLimitError
from server.guard.sockets import OpenSocket, OpenSockets, bye
from server.guard.store import TokenStore, tokens_path, unreadable
from server.guard.tokens import PREFIX, Token
from server.metrics import Metrics
from server.protocol import Close
from server.settings import Settings

log = structlog.get_logger(__name__)

COOKIE: Final = "scenebrush_token"
TOKEN: Final = "scenebrush.token"  # noqa: S105  a key of the scope
_LOOK_EVERY: Final = 1.0  # seconds; how soon a revoked token's sockets close
_HOUR: Final = 3600.0
_UNLIMITED: Final = ("/healthz", "/readyz")
_ASSETS: Final = "/assets/"
_PUBLIC: Final = ("/", "/healthz", "/readyz", "/session")
_PUBLIC_FOLDERS: Final = (_ASSETS, "/s/")
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
_NO_WORK: Final = ("/session",)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who came: a client's name, the token that was recognised, and whether one was offered at all."""

    client: str
    token: Token | None
    offered: bool


class Guard:
    """One app's. Use within one event loop; `keep` runs beside the server until it ends.

    Args:
        tokens: what is known of tokens; None where none is asked for.
        limiter: how much a client may ask for.
        live_seconds: how long a live socket may be open; 0 for ever.
        metrics: where refusals are counted.
        clock: seconds.
    """

    def __init__(
        self,
        tokens: TokenStore | None,
        limiter: Limiter,
        live_seconds: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = tokens
        self.sockets = OpenSockets()
        self._limiter = limiter
        self._live_seconds = live_seconds
        self._metrics = metrics
        self._clock = clock

    @property
    def required(self) -> bool:
        """Whether a token is asked for."""
        return self.tokens is not None

    def visitor(self, scope: Scope) -> Visitor:
        """Who sent this. A token that cannot be looked up is none: `admit` says why."""
        given = _given(Headers(scope=scope)) if self.tokens is not None else None
        token = None
        if given is not None and self.tokens is not None:
            try:
                token = self.tokens.find(given)
            except Problem:
                token = None
        client = address_client(scope) if token is None else f"token:{token.id}"
        return Visitor(client, token, given is not None)

    def admit(self, scope: Scope, visitor: Visitor) -> None:
        """Let a request or a socket in. Raises Problem: 429, 401, or 503 while nobody can be let in."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path not in _UNLIMITED and not path.startswith(_ASSETS):
            with self._counted_refusals():
                self._limiter.take(visitor.client, self._clock())
        if self.tokens is None or visitor.token is not None or _is_public(scope, path):
            return
        self.tokens.look()
        if self.tokens.broken:
            raise unreadable()
        self._metrics.refused.labels("token").inc()
        raise token_unknown() if visitor.offered else token_needed()

    @contextmanager
    def working(self, scope: Scope, visitor: Visitor) -> Generator[None]:
        """Count a request that costs work while it is under way. Raises Problem, 429."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if scope["method"] in _SAFE_METHODS or path in _NO_WORK:
            yield
            return
        with self._counted_refusals(), self._limiter.working(visitor.client):
            yield

    @contextmanager
    def socket(self, visitor: Visitor, socket: OpenSocket) -> Generator[None]:
        """Count a socket and know of it while it is open. Raises Problem, 429."""
        with self._counted_refusals(), self._limiter.socket(visitor.client), self.sockets.keep(socket):
            yield

    @contextmanager
    def _counted_refusals(self) -> Generator[None]:
        try:
            yield
        except OverLimitError as error:
            self._metrics.refused.labels(error.which).inc()
            raise too_many(error) from None

    def new_socket(self, visitor: Visitor, send: Send) -> OpenSocket:
        """A socket of this visitor's, opened now."""
        return OpenSocket(visitor.client, visitor.token, self._clock(), send)

    def count_closed(self, code: int) -> None:
        """A socket was closed with this code."""
        self._metrics.closed.labels(str(code)).inc()

    async def keep(self) -> None:
        """End sockets whose token or time is over, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            try:
                await self.look()
            except Exception:
                log.exception("the guard stumbled, and goes on")

    async def look(self) -> None:
        """End those whose token or time is over now."""
        over = self.sockets.those(self._token_is_over)
        if self.tokens is not None and self.tokens.broken:
            problem = unreadable()
            retry_after = float(problem.headers["Retry-After"])
            await self._end(over, Close.TOO_MANY, problem.title, bye(problem.detail, retry_after))
        else:
            await self._end(over, Close.TOKEN, "the token is not known any more")
        if self._live_seconds:
            oldest = self._clock() - self._live_seconds
            said = bye("This connection has been open as long as one may be.", 1.0)
            await self._end(
                self.sockets.those(lambda socket: socket.opened <= oldest),
                Close.GOING_AWAY,
                "open long",
                said,
            )

    def _token_is_over(self, socket: OpenSocket) -> bool:
        return self.tokens is not None and socket.token is not None and not self.tokens.holds(socket.token)

    async def _end(self, sockets: list[OpenSocket], code: int, reason: str, said: str | None = None) -> None:
        ended = await asyncio.gather(*(socket.end(code, reason, said) for socket in sockets))
        if any(ended):
            self._metrics.closed.labels(str(code)).inc(sum(ended))
            log.info("live ended by the guard", code=code, reason=reason, sockets=sum(ended))


def _is_public(scope: Scope, path: str) -> bool:
    """What a browser needs before anybody has signed in: the page, its files and the way in."""
    if scope["type"] != "http":
        return False
    if path == "/session":
        return True
    return scope["method"] in ("GET", "HEAD") and (path in _PUBLIC or path.startswith(_PUBLIC_FOLDERS))


def _given(headers: Headers) -> str | None:
    """The token that came along, in a header or in the browser's cookie; never in the address. A Bearer value
    of another kind is somebody else's, such as the token that deletes a shared painting."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip().startswith(PREFIX):
        return value.strip()
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def open_guard(settings: Settings, metrics: Metrics) -> Guard:
    """A guard as the settings want it. Raises Problem where tokens are asked for and have no place."""
    if "*" in settings.trusted_proxies:
        log.warning(
            "every peer is believed to be a proxy, so anybody can claim any address",
            setting="SCENEBRUSH_TRUSTED_PROXIES",
        )
    limiter = Limiter(
        settings.client_rate, settings.client_burst, settings.client_requests, settings.client_sockets
    )
    tokens = None
    if settings.require_token:
        tokens = TokenStore(tokens_path(settings))
        tokens.look()  # what is wrong with it is said at the start
    return Guard(tokens, limiter, settings.live_hours * _HOUR, metrics)


def token_needed() -> Problem:
    """Nothing that could be a token came."""
    return _token_problem(
        "token-needed",
        "A token is needed",
        "This server answers to those who have a token, and none came with the request.",
    )


def token_unknown() -> Problem:
    """What came is no token, or one that does not hold any more: which of them is nobody's business."""
    return _token_problem(
        "token-unknown",
        "The token is not known",
        "It was never given out, has been taken back, or its time is over.",
    )


def _token_problem(code: str, title: str, detail: str) -> Problem:
    return Problem(
        401,
        code,
        title,
        detail,
        "Send the header Authorization: Bearer with a token that whoever runs this server gave you, or sign "
        "in on the page.",
        headers={"WWW-Authenticate": "Bearer"},
    )


_SHARES: Final = {
    "rate": "requests in so short a time",
    "working": "requests at once",
    "sockets": "live connections",
}


def too_many(error: OverLimitError) -> Problem:
    """A client has had its share."""
    return Problem(
        429,
        "too-many-requests",
        "Too many requests",
        f"This server takes no more {_SHARES[error.which]} from one client.",
        "Wait as many seconds as Retry-After says, and ask for less at once.",
        headers={"Retry-After": str(max(1, round(error.retry_after + 0.5)))},
    )
