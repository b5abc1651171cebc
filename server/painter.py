"""One live painter: a session, a seat at the device, and a socket to send to."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from engine import EngineError
from server import protocol
from server.codecs import encode_picture
from server.errors import Problem, internal, problem_of
from server.live_watch import LiveWatch
from server.protocol import Ack, Close, MalformedError, Open, Ping, Style
from server.rendering import BatchKey, PainterLostError, Rendered, RenderRequest
from server.scheduler import Level, Turn
from server.services import Services
from server.session import Outcome, Session, error_message

log = structlog.get_logger(__name__)

_MOST_WAITING = 4
"""Most messages that wait to be sent, by which a failure is still said."""


class Socket(Protocol):
    """What a painter needs of a socket."""

    async def send_text(self, data: str) -> None: ...
    async def send_bytes(self, data: bytes) -> None: ...
    async def close(self, code: int = 1000, reason: str | None = None) -> None: ...


class LivePainter:
    """Takes a client's messages in order, and sends it frames in order, from two tasks of one event loop."""

    def __init__(self, services: Services, socket: Socket, request_id: str = "") -> None:
        self.key = secrets.token_hex(8)
        # What the device says comes outside the socket's task, where nobody's ids are bound to log lines.
        self._log = log.bind(painter=self.key, request_id=request_id)
        self._watch = LiveWatch(self.key, request_id, services.metrics, services.tracer)
        self._services = services
        self._socket = socket
        self._session = Session(self.key, services.library, services.limits)
        # Bounded: two frames of the open document that are unacknowledged, since what was not sent cannot be
        # acknowledged, and a few failures.
        self._outbox: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._leaving = False
        self._load: tuple[Level, int] = (Level.NORMAL, 0)
        self._load_waits = False

    # What the client says

    async def receive(self, message: str | bytes) -> bool:
        """Handle a message; whether it keeps the seat: a document opened, or a change that will be painted.

        Raises MalformedError.
        """
        self._watch.received(message)
        if isinstance(message, bytes):
            with self._watch.decoding():
                outcome = self._session.put(message)
            await self._carry_out(outcome)
            return outcome.render
        return await self._control(protocol.parse_text(message))

    async def _control(self, message: protocol.Control) -> bool:
        match message:
            case Open():
                outcome = self._session.open(message)
                await self._carry_out(outcome)
                return outcome.opened and self._session.is_current(message.epoch)
            case Style():
                outcome = self._session.style(message)
                await self._carry_out(outcome)
                return outcome.render
            case Ack():
                self._acknowledge(message)
            case Ping():
                await self._say(protocol.pong(message.t))
        return False

    async def model_changed(self) -> None:
        """The server's models may be others now."""
        await self._carry_out(self._session.model_changed())

    async def _carry_out(self, outcome: Outcome) -> None:
        if outcome.opened:
            self._services.worker.start_over(self)
            self._drop_outbox()
            self._watch.start_over()
        for reply in outcome.replies:
            await self._say(reply)
        if outcome.opened and self._services.worker.level is not Level.NORMAL:
            self.load_changed(self._services.worker.level, self._services.worker.scheduler.painters)
        if outcome.render:
            self._watch.changed()
            self._services.worker.offer(self)

    def _drop_outbox(self) -> None:
        """What waits to be sent is about a document that is over."""
        while not self._outbox.empty():
            self._outbox.get_nowait()
        self._load_waits = False

    def _acknowledge(self, message: Ack) -> None:
        if not self._session.is_current(message.epoch):
            return
        if not self._services.worker.acknowledge(self, message.frame):
            raise MalformedError(f"frame {message.frame} was acknowledged, and has not been sent")

    # What the device says (worker.Customer)

    @property
    def batch_key(self) -> BatchKey | None:
        return self._session.batch_key

    @property
    def small_key(self) -> BatchKey | None:
        return self._session.small_key

    @property
    def live(self) -> bool:
        return self._session.live

    def take(self, *, exact: bool, small: bool = False) -> RenderRequest | None:
        request = self._session.take(exact=exact, small=small)
        self._watch.taken(request)
        return request

    def load_changed(self, level: Level, painters: int) -> None:
        if level is not Level.SMALLER:
            self._session.drop_small()
        self._load = (level, painters)
        if not self._load_waits:  # a page that does not read finds the newest level, and no others
            self._load_waits = True
            self._outbox.put_nowait(self._say_load)

    async def _say_load(self) -> None:
        self._load_waits = False
        level, painters = self._load
        if level is Level.SMALLER and self.small_key is None:
            level = Level.SLOWER  # its canvas is too little to be painted smaller
        await self._say(protocol.load(level=level.word, painters=painters))

    def rendered(self, request: RenderRequest, result: Rendered, turn: Turn) -> None:
        if not self._is_current(request):
            return  # another document has been opened: nobody would look at this frame
        self._watch.painted(request)
        number = self._services.worker.number_frame(self, exact=result.exact)
        self._outbox.put_nowait(lambda: self._send_frame(request, result, turn, number))

    def failed(self, request: RenderRequest, error: BaseException) -> None:
        if request.document is None or not self._is_current(request):
            return
        self._watch.failed(request)
        self._session.lost(request.document)
        if isinstance(error, PainterLostError):
            self._services.worker.offer(self)
            return
        if not isinstance(error, EngineError):
            self._log.error("live render failed", exc_info=error)
        if self._services.worker.repeat(self, exact=request.quality == "exact"):
            return
        if self.waiting >= _MOST_WAITING:
            return  # the page does not read: it has failures enough to find
        problem = problem_of(error) if isinstance(error, Exception) else internal()
        self._outbox.put_nowait(lambda: self._send_problem(request, problem))

    def _is_current(self, request: RenderRequest) -> bool:
        return request.document is not None and self._session.is_current(request.document.epoch)

    # What goes out

    @property
    def waiting(self) -> int:
        """Messages from the device that wait to be sent."""
        return self._outbox.qsize()

    async def send_all(self) -> None:
        """Send frames as they come, in order, until cancelled."""
        while True:
            send = await self._outbox.get()
            await send()

    async def _send_frame(self, request: RenderRequest, result: Rendered, turn: Turn, number: int) -> None:
        services = self._services
        if self._leaving or not self._is_current(request):
            return
        with self._watch.encoding(request, self._session.format):
            picture = await services.in_codec_pool(
                encode_picture,
                result.picture,
                self._session.format,
                services.settings.jpeg_quality,
                fast=True,
            )
        if self._leaving or not self._is_current(request):
            return
        frame = self._session.frame(
            request, number, picture, exact=result.exact, waited=turn.waited, seconds=result.seconds
        )
        services.worker.sent(self, number)
        await self._socket.send_bytes(frame)
        self._watch.sent(request, result, turn, frame)

    async def _send_problem(self, request: RenderRequest, problem: Problem) -> None:
        epoch = request.document.epoch if request.document is not None else 0
        await self._say(error_message(epoch, problem, revision=request.revision))

    async def _say(self, text: str) -> None:
        if not self._leaving:
            await self._socket.send_text(text)
            self._watch.said(text)

    async def say_bye(self, reason: str, retry_after: float) -> None:
        """Tell the page why it has to go and in how many seconds to come back, and close."""
        self._leaving = True
        try:
            await self._socket.send_text(protocol.bye(reason=reason, retry_after=retry_after))
            await self._socket.close(Close.GOING_AWAY, "going away")
        except Exception as error:  # the page went first
            self._log.debug("bye was not sent", error=type(error).__name__)
