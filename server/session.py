"""One live painter's document: epochs, revisions, gaps. A state machine without I/O, clock or device.

The client's map is the truth. The session keeps a copy up to date, says when something is missing, and hands
out render requests that hold what changed since the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine import MAX_STYLE, EngineError
from models.labels import LabelSet
from server import protocol
from server.errors import Problem, problem_of
from server.limits import Limits
from server.maps import Map, check_ids
from server.protocol import LabelsHeader, Open, PictureFormat, Quality, Style
from server.rendering import BatchKey, Document, Patch, RenderRequest, batch_key


class Spec(Protocol):
    """What a session needs to know of a model (models.spec.ModelSpec has it)."""

    @property
    def id(self) -> str: ...
    @property
    def labels(self) -> LabelSet: ...
    @property
    def stride(self) -> int: ...
    @property
    def style_dim(self) -> int: ...
    @property
    def largest(self) -> tuple[int, int] | None: ...


class Models(Protocol):
    """Where a session looks models up (engine.Library has it)."""

    def spec(self, model_id: str | None, /) -> Spec: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message leads to: texts to send, and whether there is something new to render."""

    replies: tuple[str, ...] = ()
    render: bool = False
    opened: bool = False
    """Another document took the place of the one before: its frames and its painter are gone."""


_NOTHING = Outcome()


class _Canvas:
    """The server's copy of one document."""

    def __init__(self, message: Open, spec: Spec) -> None:
        self.epoch = message.epoch
        self.width = message.width
        self.height = message.height
        self.spec = spec
        self.format: PictureFormat = message.format
        self.quality: Quality = message.quality
        self.seed = message.seed
        self.style = _code(message.style)
        self.labels: Map = np.zeros((message.height, message.width), np.uint8)
        self.revision: int | None = None
        """The newest revision, or None while the whole map is awaited."""
        self.fresh = True
        """The device has no painter for this document yet, or lost it."""
        self._dirty: tuple[int, int, int, int] | None = None

    def put(self, header: LabelsHeader, labels: Map) -> None:
        left, top = header.x, header.y
        right, bottom = left + header.width, top + header.height
        self.labels[top:bottom, left:right] = labels
        if self._dirty is not None:
            x0, y0, x1, y1 = self._dirty
            left, top, right, bottom = min(left, x0), min(top, y0), max(right, x1), max(bottom, y1)
        self._dirty = (left, top, right, bottom)
        self.revision = header.revision

    def take_changes(self) -> tuple[Patch, ...]:
        """What changed since the last call, as copies that later strokes leave alone."""
        dirty, self._dirty = self._dirty, None
        if self.fresh:
            return (Patch(0, 0, self.labels.copy()),)
        if dirty is None:
            return ()
        left, top, right, bottom = dirty
        return (Patch(left, top, self.labels[top:bottom, left:right].copy()),)


def _code(style: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if style is None else tuple(style)


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
        )
        return Outcome((ready,), opened=True)

    def labels(self, data: bytes) -> Outcome:
        """A patch or a whole map."""
        header = protocol.parse_labels_header(data)
        canvas = self._canvas
        if canvas is None or header.epoch != canvas.epoch:
            return _NOTHING
        ids = protocol.read_labels(header, data, canvas.width, canvas.height)
        if not header.whole and (refusal := self._refuse(canvas, header.revision)):
            return refusal
        try:
            check_ids(ids, canvas.spec.labels)
        except Problem as problem:
            # Asking for the whole map would bring the same ids again: the client has to mend it first.
            canvas.revision = None
            return Outcome((error_message(canvas.epoch, problem),))
        canvas.put(header, ids)
        return Outcome(render=True)

    def style(self, message: Style) -> Outcome:
        """Another seed or style code. The newest is kept even across a gap: a whole map does not carry it."""
        canvas = self._canvas
        if canvas is None or message.epoch != canvas.epoch:
            return _NOTHING
        try:
            _check_style(message.style, canvas.spec)
        except Problem as problem:
            # The change is refused but counted, so that strokes go on.
            if canvas.revision is not None and message.revision == canvas.revision + 1:
                canvas.revision = message.revision
            return Outcome((error_message(canvas.epoch, problem),))
        canvas.seed, canvas.style = message.seed, _code(message.style)
        if refusal := self._refuse(canvas, message.revision):
            return refusal
        canvas.revision = message.revision
        return Outcome(render=True)

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
        return batch_key(canvas.spec.id, canvas.spec.stride, canvas.width, canvas.height)

    @property
    def live(self) -> bool:
        """Whether the client takes previews."""
        return self._canvas is not None and self._canvas.quality == "live"

    def take(self, *, exact: bool = True) -> RenderRequest | None:
        """The newest revision as a render request, or None if there is none to render (any more)."""
        canvas = self._canvas
        if canvas is None or canvas.revision is None:
            return None
        changes = canvas.take_changes()
        fresh, canvas.fresh = canvas.fresh, False
        return RenderRequest(
            model=canvas.spec.id,
            width=canvas.width,
            height=canvas.height,
            seed=canvas.seed,
            style=canvas.style,
            changes=changes,
            fresh=fresh,
            document=Document(self.key, canvas.epoch),
            revision=canvas.revision,
            quality="exact" if exact else canvas.quality,
        )

    def lost(self, epoch: int) -> None:
        """The device failed on that epoch's document: its next request will be a fresh one."""
        if self._canvas is not None and self._canvas.epoch == epoch:
            self._canvas.fresh = True

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

    def _checked_spec(self, message: Open) -> Spec:
        spec = self._models.spec(message.model)
        self._limits.check(message.width, message.height, spec.largest)
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


def _check_style(style: Sequence[float] | None, spec: Spec) -> None:
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
