"""One live painter's document: epochs, revisions, gaps. A state machine without I/O, clock or device.

The client's map is the truth. The session keeps a copy up to date, says when something is missing, and hands
out render requests that hold what changed since the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine import MAX_STYLE, EngineError, paint_alike, paints_styles_by_region
from models.spec import ModelSpec
from server import protocol
from server.errors import Problem, model_changed, problem_of
from server.limits import Limits
from server.maps import Map, Sampling, check_ids, fitting
from server.protocol import CellsHeader, Open, PictureFormat, Quality, Style
from server.rendering import BatchKey, Document, Patch, RenderRequest, StylePatch, batch_key
from server.styles import check_numbers, no_styles_by_region, none_beyond


class Models(Protocol):
    """Where a session looks models up (engine.Library has it)."""

    def spec(self, model_id: str | None, /) -> ModelSpec: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message leads to: texts to send, and whether there is something new to render."""

    replies: tuple[str, ...] = ()
    render: bool = False
    opened: bool = False
    """Another document took the place of the one before: its frames and its painter are gone."""


_NOTHING = Outcome()


Rect = tuple[int, int, int, int]
"""Left, top, right, bottom."""


class _Plane:
    """One byte for each pixel of a document."""

    def __init__(self, width: int, height: int) -> None:
        self.cells: Map = np.zeros((height, width), np.uint8)

    def put(self, x: int, y: int, cells: Map) -> Rect:
        height, width = cells.shape
        self.cells[y : y + height, x : x + width] = cells
        return x, y, x + width, y + height


class _Unseen:
    """What of a plane the device has not seen yet, as one rectangle."""

    def __init__(self) -> None:
        self._rect: Rect | None = None

    def add(self, rect: Rect) -> None:
        if self._rect is None:
            self._rect = rect
            return
        left, top, right, bottom = rect
        x0, y0, x1, y1 = self._rect
        self._rect = (min(left, x0), min(top, y0), max(right, x1), max(bottom, y1))

    def take(self) -> Rect | None:
        """It, once."""
        rect, self._rect = self._rect, None
        return rect


class _View:
    """The document at one size at which the device paints it: what the device has not seen at that size."""

    def __init__(self, width: int, height: int, paints: tuple[int, int]) -> None:
        self.paints = paints
        self.labels, self.styles = _Unseen(), _Unseen()
        self.fresh = True
        """The device has no painter for this view yet, or lost it."""
        self._sampling = Sampling(width, height, *paints)

    def take(self, unseen: _Unseen, cells: Map, *, whole: bool) -> tuple[int, int, Map] | None:
        """All of a plane, or what changed since the last call: (x, y, cells) at the view's size, a copy that
        later strokes leave alone; None if that is nothing."""
        rect = unseen.take()
        if whole:
            rect = (0, 0, self._sampling.width, self._sampling.height)
        return None if rect is None else self._sampling.take(cells, *rect)


class _Canvas:
    """The server's copy of one document."""

    def __init__(self, message: Open, spec: ModelSpec) -> None:
        self.epoch = message.epoch
        self.spec = spec
        self.width, self.height = message.width, message.height
        self.paints = fitting(message.width, message.height, spec.largest)
        self.half = half_of(self.paints, spec)
        self.format: PictureFormat = message.format
        self.quality: Quality = message.quality
        self.seed = message.seed
        self.style = _code(message.style)
        self.regions = _codes(message.regions) if paints_styles_by_region(spec) else ()
        self._labels = _Plane(message.width, message.height)
        self._styles = _Plane(message.width, message.height)
        self._views = {False: _View(self.width, self.height, self.paints)}
        self.revision: int | None = None
        """The newest revision, or None while the whole map is awaited."""
        self.held = False
        """More is to come before anything is painted."""

    def view(self, *, small: bool) -> _View:
        """The document at its own size, or at half of it, which the device sees only when asked for."""
        if small and small not in self._views:
            self._views[small] = _View(self.width, self.height, self.half or self.paints)
        return self._views[small]

    def drop_small(self) -> None:
        """The device has forgotten the document at half its size."""
        self._views.pop(True, None)

    def lost(self, *, small: bool) -> None:
        """The device lost its painter of that view."""
        if small in self._views:
            self._views[small].fresh = True

    def put_labels(self, x: int, y: int, ids: Map) -> None:
        rect = self._labels.put(x, y, ids)
        for view in self._views.values():
            view.labels.add(rect)

    def put_styles(self, x: int, y: int, numbers: Map) -> None:
        rect = self._styles.put(x, y, numbers)
        for view in self._views.values():
            view.styles.add(rect)

    def clear_styles(self) -> None:
        if self._styles.cells.any():
            self._styles.cells[:] = 0
            self._mark_styles()

    def _mark_styles(self) -> None:
        for view in self._views.values():
            view.styles.add((0, 0, self.width, self.height))

    def set_light(self, message: Style) -> None:
        regions = _codes(message.regions)
        before, after = len(self.regions), len(regions)
        # Numbers beyond the regions are painted in the document's own light: which those are has changed.
        if before != after and self._styles.cells.max() > min(before, after):
            self._mark_styles()
        self.seed, self.style, self.regions = message.seed, _code(message.style), regions

    def take_changes(self, view: _View) -> tuple[Patch, ...]:
        """The labels that changed since the last call for that view."""
        taken = view.take(view.labels, self._labels.cells, whole=view.fresh)
        return () if taken is None else (Patch(*taken),)

    def take_style_changes(self, view: _View) -> tuple[StylePatch, ...]:
        """The style numbers that changed since the last call, none of them beyond the regions."""
        if view.fresh and not self._styles.cells.any():
            return ()
        taken = view.take(view.styles, self._styles.cells, whole=view.fresh)
        if taken is None:
            return ()
        x, y, numbers = taken
        return (StylePatch(x, y, none_beyond(numbers, len(self.regions))),)


def half_of(paints: tuple[int, int], spec: ModelSpec) -> tuple[int, int] | None:
    """Half of a picture's width and height; None where that is less than the model was trained at, below
    which it paints neither well nor much faster."""
    width, height = paints[0] // 2, paints[1] // 2
    return (width, height) if min(width, height) >= min(spec.native) else None


def _code(style: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if style is None else tuple(style)


def _codes(regions: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(code) for code in regions)


class Session:
    """The document of one connection. Messages go in, outcomes come out; MalformedError means: close."""

    def __init__(self, key: str, models: Models, limits: Limits) -> None:
        self.key = key
        self._models = models
        self._limits = limits
        self._canvas: _Canvas | None = None
        self._epoch: int | None = None

    # What the client says

    def open(self, message: Open) -> Outcome:
        """Begin a document. Whether or not that works, the one before is over."""
        if self._epoch is not None and message.epoch <= self._epoch:
            return Outcome((error_message(message.epoch, _old_epoch(message.epoch, self._epoch)),))
        self._epoch, self._canvas = message.epoch, None
        try:
            spec = self._checked_spec(message)
        except (Problem, EngineError) as error:
            return Outcome((error_message(message.epoch, problem_of(error)),), opened=True)
        self._canvas = _Canvas(message, spec)
        ready = protocol.ready(
            epoch=message.epoch,
            session=self.key,
            model=spec.id,
            label_set=spec.labels.hash,
            width=message.width,
            height=message.height,
            paints_width=self._canvas.paints[0],
            paints_height=self._canvas.paints[1],
        )
        if message.regions and not paints_styles_by_region(spec):
            return Outcome((ready, error_message(message.epoch, no_styles_by_region(spec))), opened=True)
        return Outcome((ready,), opened=True)

    def put(self, data: bytes) -> Outcome:
        """A patch of labels or of style numbers, or all of them."""
        header = protocol.parse_cells_header(data)
        canvas = self._canvas
        if canvas is None or header.epoch != canvas.epoch:
            return _NOTHING
        cells = protocol.read_cells(header, data, canvas.width, canvas.height)
        starts_anew = header.kind == protocol.WHOLE
        if not starts_anew and (refusal := self._refuse(canvas, header.revision)):
            return refusal
        return _put_styles(canvas, header, cells) if header.styles else _put_labels(canvas, header, cells)

    def style(self, message: Style) -> Outcome:
        """Another seed, style code or styles of regions. The newest are kept even across a gap: a whole map
        does not carry them."""
        canvas = self._canvas
        if canvas is None or message.epoch != canvas.epoch:
            return _NOTHING
        try:
            _check_style(message.style, canvas.spec)
            _check_regions(message.regions, canvas.spec)
        except Problem as problem:
            if canvas.revision is not None and message.revision == canvas.revision + 1:
                return _count(canvas, message, refused=problem)
            return Outcome((error_message(canvas.epoch, problem),))
        canvas.set_light(message)
        return self._refuse(canvas, message.revision) or _count(canvas, message)

    def model_changed(self) -> Outcome:
        """The models may be others now: the document goes on with its model's new weights, or is over if they
        paint by other rules."""
        canvas = self._canvas
        if canvas is None:
            return _NOTHING
        try:
            spec = self._models.spec(canvas.spec.id)
            if spec is canvas.spec:
                return _NOTHING
            if not paint_alike(spec, canvas.spec):
                raise model_changed(
                    f"Model {spec.id!r} has another label set, other sizes or other styles now."
                )
        except (Problem, EngineError) as error:
            self._canvas = None
            gone = error if isinstance(error, Problem) else model_changed(f"{problem_of(error).detail}")
            return Outcome((error_message(canvas.epoch, gone),), opened=True)
        canvas.spec = spec
        canvas.lost(small=False)
        canvas.lost(small=True)
        return Outcome(render=canvas.revision is not None and not canvas.held)

    def is_current(self, epoch: int) -> bool:
        """Whether that epoch's document is the open one."""
        return self._canvas is not None and self._canvas.epoch == epoch

    # What the device asks

    @property
    def batch_key(self) -> BatchKey | None:
        """What the document can be painted together with; None while nothing is open."""
        canvas = self._canvas
        if canvas is None:
            return None
        return batch_key(canvas.spec.id, canvas.spec.stride, *canvas.paints)

    @property
    def small_key(self) -> BatchKey | None:
        """Likewise of its pictures at half the size; None where there are none."""
        canvas = self._canvas
        if canvas is None or canvas.half is None:
            return None
        return batch_key(canvas.spec.id, canvas.spec.stride, *canvas.half)

    @property
    def live(self) -> bool:
        """Whether the client takes previews."""
        return self._canvas is not None and self._canvas.quality == "live"

    def take(self, *, exact: bool = True, small: bool = False) -> RenderRequest | None:
        """The newest revision as a render request, at half its size or whole; None if there is none to render
        (any more)."""
        canvas = self._canvas
        if canvas is None or canvas.revision is None or canvas.held:
            return None
        view = canvas.view(small=small)
        changes, style_changes = canvas.take_changes(view), canvas.take_style_changes(view)
        fresh, view.fresh = view.fresh, False
        width, height = view.paints
        return RenderRequest(
            spec=canvas.spec,
            model=canvas.spec.id,
            width=width,
            height=height,
            seed=canvas.seed,
            style=canvas.style,
            regions=canvas.regions,
            changes=changes,
            style_changes=style_changes,
            fresh=fresh,
            document=Document(self.key, canvas.epoch, small),
            revision=canvas.revision,
            quality="exact" if exact else canvas.quality,
        )

    def lost(self, document: Document) -> None:
        """The device failed on that document: its next request will be a fresh one."""
        if self._canvas is not None and self._canvas.epoch == document.epoch:
            self._canvas.lost(small=document.small)

    def drop_small(self) -> None:
        """The device has forgotten the document at half its size."""
        if self._canvas is not None:
            self._canvas.drop_small()

    def frame(
        self,
        request: RenderRequest,
        number: int,
        picture: bytes,
        *,
        exact: bool,
        waited: float,
        seconds: float,
    ) -> bytes:
        """The message for a rendered request, as things stand now."""
        canvas = self._canvas
        if canvas is None:
            raise RuntimeError("no document is open")
        return protocol.encode_frame(
            protocol.Frame(
                format=canvas.format,
                exact=exact,
                newest=request.revision == canvas.revision,
                epoch=canvas.epoch,
                revision=request.revision,
                frame=number,
                width=request.width,
                height=request.height,
                waited_us=round(waited * 1e6),
                render_us=round(seconds * 1e6),
                label_set=canvas.spec.labels.hash[:8],
                picture=picture,
            )
        )

    @property
    def format(self) -> PictureFormat:
        return self._canvas.format if self._canvas is not None else "jpeg"

    # Checks

    def _checked_spec(self, message: Open) -> ModelSpec:
        spec = self._models.spec(message.model)
        self._limits.check(message.width, message.height)
        if message.label_set != spec.labels.hash:
            raise Problem(
                409,
                "wrong-label-set",
                "The map is in another label set",
                f"The map's ids are of the label set {message.label_set}; model {spec.id!r} has "
                f"{spec.labels.name!r}, {spec.labels.hash}.",
                "Fetch /models again and convert the map to the model's labels.",
            )
        _check_style(message.style, spec)
        if paints_styles_by_region(spec):
            _check_regions(message.regions, spec)
        return spec

    def _refuse(self, canvas: _Canvas, revision: int) -> Outcome | None:
        """None if the revision is the one expected. A gap is said once; then a whole map is awaited."""
        if canvas.revision is None:
            return _NOTHING
        expected = canvas.revision + 1
        if revision == expected:
            return None
        canvas.revision = None
        reason = f"revision {expected} was expected and {revision} came"
        return Outcome((protocol.resync(epoch=canvas.epoch, expected=expected, got=revision, reason=reason),))


def _put_labels(canvas: _Canvas, header: CellsHeader, ids: Map) -> Outcome:
    try:
        check_ids(ids, canvas.spec.labels)
    except Problem as problem:
        # Asking for the whole map would bring the same ids again: the client has to mend it first.
        canvas.revision = None
        return Outcome((error_message(canvas.epoch, problem),))
    canvas.put_labels(header.x, header.y, ids)
    if header.whole:
        canvas.clear_styles()
    return _count(canvas, header)


def _put_styles(canvas: _Canvas, header: CellsHeader, numbers: Map) -> Outcome:
    try:
        if not paints_styles_by_region(canvas.spec):
            raise no_styles_by_region(canvas.spec)
        check_numbers(numbers, len(canvas.regions))
    except Problem as problem:
        return _count(canvas, header, refused=problem)
    canvas.put_styles(header.x, header.y, numbers)
    return _count(canvas, header)


def _count(canvas: _Canvas, change: CellsHeader | Style, *, refused: Problem | None = None) -> Outcome:
    """The change is the newest revision, also if it was refused, so that what follows is no gap."""
    news = refused is None or canvas.held
    canvas.revision, canvas.held = change.revision, change.more
    replies = () if refused is None else (error_message(canvas.epoch, refused),)
    return Outcome(replies, render=news and not change.more)


def _check_style(style: Sequence[float] | None, spec: ModelSpec) -> None:
    if style is None:
        return
    if len(style) != spec.style_dim:
        raise Problem(
            422,
            "wrong-style",
            "The style code has the wrong length",
            f"It has {len(style)} numbers; model {spec.id!r} takes {spec.style_dim}.",
            "Send as many numbers as style_dim in /models says, or none for a style drawn from the seed.",
        )
    if any(abs(value) > MAX_STYLE for value in style):
        raise Problem(
            422,
            "wrong-style",
            "The style code goes too far",
            f"It holds values beyond ±{MAX_STYLE:g}.",
            "Send smaller ones.",
        )


def _check_regions(regions: Sequence[Sequence[float]], spec: ModelSpec) -> None:
    if regions and not paints_styles_by_region(spec):
        raise no_styles_by_region(spec)
    for code in regions:
        _check_style(code, spec)


def _old_epoch(epoch: int, newest: int) -> Problem:
    return Problem(
        409,
        "old-epoch",
        "An epoch that is over",
        f"Epoch {epoch} was to be opened, and {newest} has been.",
        "Open each document with a greater epoch than the one before.",
    )


def error_message(epoch: int, problem: Problem, *, fatal: bool = False, revision: int | None = None) -> str:
    """A problem as the live protocol says it; `revision`: see protocol.error."""
    return protocol.error(
        epoch=epoch,
        code=problem.code,
        title=problem.title,
        detail=problem.detail,
        next_step=problem.next_step,
        fatal=fatal,
        revision=revision,
    )
