"""One picture's worth of work, as data, and the device side that does it.

A RenderRequest holds everything that a picture depends on. Renderer runs in the device worker's thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import structlog

from engine import Library, OutOfMemory, Painter
from engine.room import ran_out
from models.spec import ModelSpec
from server.maps import Instances, Map, Pixels
from server.protocol import Quality

log = structlog.get_logger(__name__)

BatchKey = tuple[str, int, int]


def batch_key(model: str, stride: int, width: int, height: int) -> BatchKey:
    """Pictures of one model that fill the same grid inside the network can be painted together."""
    return model, -(-width // stride), -(-height // stride)


@dataclass(frozen=True, slots=True)
class Patch:
    """New class ids, uint8 (height, width), for the rectangle whose corner is (x, y)."""

    x: int
    y: int
    labels: Map


@dataclass(frozen=True, slots=True)
class StylePatch:
    """New style numbers, uint8 (height, width), likewise: 0 for the own style, k for the k-th region's."""

    x: int
    y: int
    numbers: Map


@dataclass(frozen=True, slots=True)
class Document:
    """Which live document a request belongs to; its painter is kept between requests."""

    painter: str
    epoch: int
    small: bool = False
    """Its pictures at half their size, which are painted from a painter of their own and never exact."""


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
    regions: tuple[tuple[float, ...], ...] = ()
    """The style codes that pixels choose among."""
    style_changes: tuple[StylePatch, ...] = ()
    """At first every pixel has the style number 0."""
    fresh: bool = True
    """Begin with a new painter: the changes are the whole map."""
    document: Document | None = None
    revision: int = 0
    quality: Quality = "exact"
    spec: ModelSpec | None = None
    """The model's, as it was when the request was made: its weights paint it, whatever has come since."""
    instances: Instances | None = None
    """Which thing each pixel belongs to, uint16 (height, width), for models that read it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A picture, uint8 RGB (height, width, 3), its style code, the seconds that it and those painted together
    with it took, and whether it is the whole picture rather than a preview."""

    picture: npt.NDArray[np.uint8]
    style: tuple[float, ...]
    seconds: float
    exact: bool = True


class PainterLostError(RuntimeError):
    """The document's painter is gone; its next request must be a fresh one."""


@dataclass(slots=True)
class _Kept:
    """A live document's painter, and the seed and style codes that it has."""

    epoch: int
    painter: Painter
    style: tuple[int, tuple[float, ...] | None] | None = None
    regions: tuple[tuple[float, ...], ...] = ()


def out_of_memory(error: Exception) -> OutOfMemory:
    """What is said where there was no memory, even after all that can be made again had been let go."""
    if isinstance(error, OutOfMemory):
        return error
    return OutOfMemory(
        "the picture", f"there is not enough memory for it ({error})", "Ask for a smaller one."
    )


class _Painted(NamedTuple):
    """The picture that a painter has just painted, the style that it has, and whether it is the whole
    picture."""

    picture: Pixels
    style: tuple[float, ...]
    exact: bool


class Renderer:
    """Owns the painters of the live documents. Not thread-safe."""

    def __init__(self, library: Library, clock: Callable[[], float] = time.perf_counter) -> None:
        self._library = library
        self._clock = clock
        self._kept: dict[tuple[str, bool], _Kept] = {}

    def render(self, request: RenderRequest) -> Rendered:
        """Paint one request. Raises EngineError for what the engine refuses, PainterLostError."""
        (result,) = self.render_many([request])
        if isinstance(result, Exception):
            raise result
        return result

    def render_many(self, requests: Sequence[RenderRequest]) -> list[Rendered | Exception]:
        """Paint requests of one quality together. What fails is its own request's error and nobody else's."""
        started = self._clock()
        painters = [self._prepared(request) for request in requests]
        painted = iter(
            self._paint([one for one in painters if not isinstance(one, Exception)], requests[0].quality)
        )
        results = [one if isinstance(one, Exception) else next(painted) for one in painters]
        seconds = self._clock() - started
        return [self._result(*pair, seconds) for pair in zip(requests, results, strict=True)]

    def _prepared(self, request: RenderRequest) -> Painter | Exception:
        """Its painter, set up. Where memory runs out a new one is made once more; a kept one is given up, and
        comes again as a fresh one."""
        prepared = self._set_up(request)
        if not isinstance(prepared, Exception) or isinstance(prepared, OutOfMemory) or not ran_out(prepared):
            return prepared
        log.warning("memory ran out while a picture was set up", error=str(prepared))
        del prepared  # its traceback holds what it had taken
        self._drop(request)
        self._library.shed()
        if not request.fresh:
            return PainterLostError()
        prepared = self._set_up(request)
        return out_of_memory(prepared) if isinstance(prepared, Exception) and ran_out(prepared) else prepared

    def _set_up(self, request: RenderRequest) -> Painter | Exception:
        try:
            kept = self._painter(request)
            _set_up(kept, request)
        except Exception as error:
            return error
        return kept.painter

    def _paint(self, painters: Sequence[Painter], quality: Quality) -> list[_Painted | Exception]:
        """One result for each painter: painted together, or one by one if that fails."""
        if len(painters) > 1:
            try:
                pictures = self._library.render_many(painters, quality)
                return [_painted(*pair) for pair in zip(painters, pictures, strict=True)]
            except Exception as error:
                log.warning("a batch failed; painting one by one", pictures=len(painters), exc_info=error)
        return [self._alone(painter, quality) for painter in painters]

    def _alone(self, painter: Painter, quality: Quality) -> _Painted | Exception:
        try:
            return self._library.with_room(lambda: _painted(painter, painter.render(quality)))
        except Exception as error:
            return out_of_memory(error) if ran_out(error) else error

    def _result(
        self, request: RenderRequest, painted: _Painted | Exception, seconds: float
    ) -> Rendered | Exception:
        if isinstance(painted, _Painted):
            small = request.document is not None and request.document.small
            return Rendered(painted.picture, painted.style, seconds, painted.exact and not small)
        # Some of the changes may be in and others not: begin anew rather than guess.
        self._drop(request)
        return painted

    def _drop(self, request: RenderRequest) -> None:
        """The kept painter of that request's document, at that size, is no longer to be trusted."""
        if request.document is not None:
            self._kept.pop((request.document.painter, request.document.small), None)

    def forget(self, painter: str, *, small: bool = False) -> None:
        """Drop a live document's painters and what they keep on the device; with `small` only the one of its
        smaller pictures."""
        self._kept.pop((painter, True), None)
        if not small:
            self._kept.pop((painter, False), None)

    @property
    def kept(self) -> int:
        """How many painters are kept."""
        return len(self._kept)

    def _painter(self, request: RenderRequest) -> _Kept:
        document = request.document
        if document is not None and not request.fresh:
            kept = self._kept.get((document.painter, document.small))
            if kept is None or kept.epoch != document.epoch:
                raise PainterLostError
            return kept
        model = request.spec if request.spec is not None else request.model
        painter = self._library.painter(model, request.width, request.height)
        if document is None:
            return _Kept(0, painter)
        self._kept[document.painter, document.small] = kept = _Kept(document.epoch, painter)
        return kept


def _painted(painter: Painter, picture: Pixels) -> _Painted:
    return _Painted(picture, tuple(painter.style), painter.exact)


def _set_up(kept: _Kept, request: RenderRequest) -> None:
    painter = kept.painter
    for patch in request.changes:
        if patch.labels.shape == (request.height, request.width):
            painter.set_map(patch.labels)
        else:
            painter.apply(patch.x, patch.y, patch.labels)
    if request.instances is not None:
        painter.set_instances(request.instances)
    if kept.style != (request.seed, request.style):
        painter.set_style(request.seed)  # the seed's style code and its noise field
        if request.style is not None:
            painter.set_style(request.style)
        kept.style = (request.seed, request.style)
    _set_up_regions(kept, request)


def _set_up_regions(kept: _Kept, request: RenderRequest) -> None:
    """Style numbers always have a region: more regions come before the numbers, fewer after them."""
    more = len(request.regions) >= len(kept.regions)
    if more:
        _set_regions(kept, request)
    for patch in request.style_changes:
        if patch.numbers.shape == (request.height, request.width):
            kept.painter.set_style_plane(patch.numbers)
        else:
            kept.painter.apply_style_plane(patch.x, patch.y, patch.numbers)
    if not more:
        _set_regions(kept, request)


def _set_regions(kept: _Kept, request: RenderRequest) -> None:
    if kept.regions != request.regions:
        kept.painter.set_regions(request.regions)
        kept.regions = request.regions
