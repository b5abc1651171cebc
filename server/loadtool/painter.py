"""One painter over a real socket: the page's line, which comes back by itself, and a hand that paints."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from server.loadtool.hand import Move
from server.loadtool.page import REFUSALS, Page
from server.protocol import SUBPROTOCOL, Close, Frame, decode_frame

_LARGEST_FRAME: Final = 64 * 1024 * 1024
_WATCH_EVERY: Final = 1.0  # seconds
_NO_ANSWER: Final = 1006  # the close code of a line that ended without one
_TO_CONNECT: Final = 10.0  # seconds
_REFUSED: Final = frozenset({429, 503})


class Painter:
    """Keeps a page's line up, and paints.

    Args:
        address: of the live socket, ws://…
        page: the document, and what is measured.
        headers: of the handshake.
        seed: of the back-off's chance.
        on_frame: is told of every frame of the open document.
        clock: seconds.
    """

    def __init__(
        self,
        address: str,
        page: Page,
        *,
        headers: dict[str, str] | None = None,
        seed: int = 0,
        on_frame: Callable[[Frame], None] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.page = page
        self.stopped: int | None = None
        """The close code after which it does not come back."""
        self.lines = 0
        """Connections that it has had."""
        self._address = address
        self._headers = headers
        self._random = random.Random(seed)  # noqa: S311 a back-off is no secret
        self._on_frame = on_frame
        self._clock = clock
        self._socket: ClientConnection | None = None
        self._stroke = asyncio.Event()

    async def keep_line(self) -> None:
        """Connect, and again whenever the line ends, until cancelled or told for good."""
        while True:
            code = await self._line()
            wait = self.page.closed(code, self._random.random())
            if wait is None:
                self.stopped = code
                return
            if code == Close.IDLE:
                self._stroke.clear()
                await self._stroke.wait()
            else:
                await asyncio.sleep(wait)

    async def draw(self, moves: Iterator[Move]) -> None:
        """Paint until cancelled, whether or not there is a line. A late move is made up for, not dropped."""
        due = self._clock()
        for move in moves:
            due += move.seconds
            await asyncio.sleep(max(0.0, due - self._clock()))
            due = max(due, self._clock() - 1.0)  # after a longer stall it goes on from there
            self.page.paint(move, self._clock())
            self._stroke.set()
            await self.flush()

    async def flush(self) -> None:
        """Send what waits, if there is a line."""
        socket = self._socket
        if socket is not None and (message := self.page.flush(self._clock())) is not None:
            await _say(socket, message)

    async def _line(self) -> int:
        """One connection from handshake to close; its close code."""
        try:
            async with connect(
                self._address,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                additional_headers=self._headers,
                compression=None,
                max_size=_LARGEST_FRAME,
                open_timeout=_TO_CONNECT,
                close_timeout=1,
                ping_interval=None,  # as a browser: it answers pings and sends none
                proxy=None,
            ) as socket:
                code = await self._serve(socket)
        except (OSError, InvalidHandshake) as error:
            self._count_failure(error)
            return _NO_ANSWER
        if code != Close.IDLE:
            counter = self.page.journal.refusals if code in REFUSALS else self.page.journal.errors
            counter[f"closed {code}"] += 1
        return code

    async def _serve(self, socket: ClientConnection) -> int:
        self.lines += 1
        self.page.journal.reconnects += self.lines > 1
        watch = asyncio.create_task(self._watch(socket))
        try:
            await _say(socket, self.page.opening(self._clock()))
            self._socket = socket
            while True:
                await self._take(socket, await socket.recv())
        except ConnectionClosed:
            return socket.close_code or _NO_ANSWER
        except asyncio.CancelledError:
            await socket.close(Close.GOING_AWAY)  # as a page that is left
            raise
        finally:
            self._socket = None
            watch.cancel()

    async def _take(self, socket: ClientConnection, message: str | bytes) -> None:
        if isinstance(message, str):
            self.page.told(message, self._clock())
            await self.flush()
            return
        frame = decode_frame(message)
        acknowledgement = self.page.show(frame, self._clock())
        if acknowledgement is not None:
            if self._on_frame is not None:
                self._on_frame(frame)
            await _say(socket, acknowledgement)

    async def _watch(self, socket: ClientConnection) -> None:
        """Notice a line that is dead without having said so."""
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            try:
                ping = self.page.watch(self._clock())
            except TimeoutError:
                self.page.journal.errors["hung up"] += 1
                socket.transport.abort()
                return
            if ping is not None:
                await _say(socket, ping)

    def _count_failure(self, error: Exception) -> None:
        journal = self.page.journal
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            (journal.refusals if status in _REFUSED else journal.errors)[f"handshake {status}"] += 1
        else:
            journal.errors[type(error).__name__] += 1


async def _say(socket: ClientConnection, message: str | bytes) -> None:
    """Send, if anybody still listens. If not, the reader notices once it has read what was said before, and
    the whole map follows on the next line."""
    with suppress(ConnectionClosed):
        await socket.send(message)
