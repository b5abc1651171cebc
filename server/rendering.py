"""One picture's worth of work, as data, and the device side that does it.

A RenderRequest holds everything that a picture depends on. Renderer runs in the device worker's thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine import Library, Painter
from server.maps import Map


@dataclass(frozen=True, slots=True)
class Patch:
    """New class ids, uint8 (height, width), for the rectangle whose corner is (x, y)."""

    x: int
    y: int
    labels: Map


@dataclass(frozen=True, slots=True)
class Document:
    """Which live document a request belongs to; its painter is kept between requests."""

    painter: str
    epoch: int


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """Everything that one picture depends on; for a kept document, what has changed since its last one."""

    model: str
    width: int
    height: int
    seed: int
    style: tuple[float, ...] | None
    changes: tuple[Patch, ...]
    """The first patch of a new document, or of a request without one, is the whole map."""
    fresh: bool = True
    """Begin with a new painter: the changes are the whole map."""
    document: Document | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture, uint8 RGB (height, width, 3), its style code, and the seconds it took."""

    picture: npt.NDArray[np.uint8]
    style: tuple[float, ...]
    seconds: float


class PainterLostError(RuntimeError):
    """The document's painter is gone; its next request must be a fresh one."""


@dataclass(slots=True)
class _Kept:
    """A live document's painter, and the seed and style code that it has."""

    epoch: int
    painter: Painter
    style: tuple[int, tuple[float, ...] | None] | None = None


class Renderer:
    """Owns the painters of the live documents. Not thread-safe."""

    def __init__(self, library: Library, clock: Callable[[], float] = time.perf_counter) -> None:
        self._library = library
        self._clock = clock
        self._kept: dict[str, _Kept] = {}

    def render(self, request: RenderRequest) -> Rendered:
        """Paint the request. Raises EngineError for what the engine refuses."""
        started = self._clock()
        kept = self._painter(request)
        try:
            _set_up(kept, request)
            picture = kept.painter.render()
        except BaseException:
            # Some of the changes may be in and others not: begin anew rather than guess.
            if request.document is not None:
                self.forget(request.document.painter)
            raise
        return Rendered(picture, tuple(kept.painter.style), self._clock() - started)

    def forget(self, painter: str) -> None:
        """Drop a live document's painter and what it keeps on the device."""
        self._kept.pop(painter, None)

    @property
    def kept(self) -> int:
        """How many painters are kept."""
        return len(self._kept)

    def _painter(self, request: RenderRequest) -> _Kept:
        document = request.document
        if document is not None and not request.fresh:
            kept = self._kept.get(document.painter)
            if kept is None or kept.epoch != document.epoch:
                raise PainterLostError
            return kept
        painter = self._library.painter(request.model, request.width, request.height)
        if document is None:
            return _Kept(0, painter)
        self._kept[document.painter] = kept = _Kept(document.epoch, painter)
        return kept


def _set_up(kept: _Kept, request: RenderRequest) -> None:
    painter = kept.painter
    for patch in request.changes:
        if patch.labels.shape == (request.height, request.width):
            painter.set_map(patch.labels)
        else:
            painter.apply(patch.x, patch.y, patch.labels)
    if kept.style != (request.seed, request.style):
        painter.set_style(request.seed)  # the seed's style code and its noise field
        if request.style is not None:
            painter.set_style(request.style)
        kept.style = (request.seed, request.style)
