"""What is measured of one live painter, and each of its frames as a trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from server.metrics import Metrics
from server.rendering import Rendered, RenderRequest
from server.scheduler import Turn
from server.tracing import Tracer


class _Span(NamedTuple):
    began: float
    ended: float


@dataclass(slots=True)
class _Frame:
    """A picture on its way. `received`: the oldest change that it is the first to show, if there is one."""

    received: _Span | None
    painted: float = 0.0
    encoded: _Span | None = None


class LiveWatch:
    """Told by a painter of what happens, in order, on the event loop.

    Args:
        painter, request_id: of the painter and its socket, for traces.
    """

    def __init__(
        self,
        painter: str,
        request_id: str,
        metrics: Metrics,
        tracer: Tracer,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._names = {"scenebrush.painter": painter, "scenebrush.request_id": request_id}
        self._metrics = metrics
        self._tracer = tracer
        self._clock = clock
        self._arrived = 0.0
        self._oldest: _Span | None = None
        self._frames: dict[tuple[int, str], _Frame] = {}

    def received(self, message: str | bytes) -> None:
        """A message came, whole."""
        self._arrived = self._clock()
        self._metrics.live_bytes.labels("in").inc(len(message))

    @contextmanager
    def decoding(self) -> Generator[None]:
        """Within, a patch is read and put into the document."""
        with self._metrics.decode_seconds.labels("patch").time():
            yield

    def changed(self) -> None:
        """The message was a change that will be painted."""
        if self._oldest is None:
            self._oldest = _Span(self._arrived, self._clock())

    def start_over(self) -> None:
        """The document is over, and with it all of its frames."""
        self._oldest = None
        self._frames.clear()

    def taken(self, request: RenderRequest | None) -> None:
        """The device takes the newest revision."""
        if request is not None:
            self._frames[_key(request)] = _Frame(self._oldest)
            self._oldest = None

    def failed(self, request: RenderRequest) -> None:
        """It was not painted: its change waits for another try."""
        frame = self._frames.pop(_key(request), None)
        if frame is not None and frame.received is not None:
            self._oldest = frame.received

    def painted(self, request: RenderRequest) -> None:
        """Its picture is there."""
        frame = self._frames.get(_key(request))
        if frame is not None:
            frame.painted = self._clock()

    @contextmanager
    def encoding(self, request: RenderRequest, format: str) -> Generator[None]:
        """Within, the picture is packed."""
        began = self._clock()
        yield
        span = _Span(began, self._clock())
        self._metrics.encode_seconds.labels(format, "live").observe(span.ended - span.began)
        frame = self._frames.get(_key(request))
        if frame is not None:
            frame.encoded = span

    def sent(self, request: RenderRequest, result: Rendered, turn: Turn, message: str | bytes) -> None:
        """The frame's message has been handed to the socket."""
        now, quality = self._clock(), "exact" if result.exact else "live"
        self.said(message)
        self._metrics.frames.labels(quality).inc()
        frame = self._frames.pop(_key(request), None)
        if frame is None:
            return
        if frame.received is not None:
            self._metrics.stroke_seconds.labels(quality).observe(now - frame.received.began)
        self._trace(request, result, turn, frame, now)

    def said(self, message: str | bytes) -> None:
        """A message went out."""
        self._metrics.live_bytes.labels("out").inc(len(message))

    def _trace(self, request: RenderRequest, result: Rendered, turn: Turn, frame: _Frame, now: float) -> None:
        rendering = frame.painted - result.seconds
        queued = rendering - turn.waited
        trace = self._tracer.begin(
            "live frame", min(queued, frame.received.began) if frame.received else queued, **self._names
        )
        if frame.received is not None:
            trace.step("receive", *frame.received)
        trace.step("queue", queued, rendering)
        trace.step("render", rendering, frame.painted, model=request.model)
        if frame.encoded is not None:
            trace.step("encode", *frame.encoded)
            trace.step("send", frame.encoded.ended, now)
        height, width = result.picture.shape[:2]
        trace.end(now, revision=request.revision, exact=result.exact, width=width, height=height)


def _key(request: RenderRequest) -> tuple[int, str]:
    """Of one document, a revision is painted once in each quality, or again after a failure."""
    return request.revision, request.quality
