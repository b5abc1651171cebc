"""The live protocol's messages (docs/protocol.md): bytes and text in, values out, and the other way round.

Pure: no sockets, no clock. The JavaScript twin is static/js/net/protocol.js; tests/data/protocol.json holds
vectors that both must agree on.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine import MAX_REGIONS
from models.spec import MAX_STYLE_DIM
from server.json_text import parse_json

SUBPROTOCOL: Final = "scenebrush.live.v2"
PictureFormat = Literal["jpeg", "webp", "png"]
Quality = Literal["exact", "live"]
"""Exact pictures only, or previews too while the hand moves."""
Cells = npt.NDArray[np.uint8]
U32_MAX: Final = 2**32 - 1
U16_MAX: Final = 2**16 - 1


class Close:
    """WebSocket close codes."""

    GOING_AWAY: Final = 1001
    TOO_BIG: Final = 1009
    TOO_MANY: Final = 1013
    MALFORMED: Final = 4400
    TOKEN: Final = 4401
    ORIGIN: Final = 4403
    SUBPROTOCOL: Final = 4406
    IDLE: Final = 4408
    TOO_MANY_SOCKETS: Final = 4429


class MalformedError(ValueError):
    """A message that no correct client sends. `what` is one sentence."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


# -- Client → server, text ------------------------------------------------------------------------


class _Message(BaseModel):
    # Strict: 7, not "7" or 7.0. Unknown fields are passed over, so that a later client may say more.
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


U32 = Annotated[int, Field(ge=0, le=U32_MAX)]
Side = Annotated[int, Field(ge=1, le=U16_MAX)]
# fail_fast: thousands of wrong numbers are one error, not thousands.
StyleCode = Annotated[
    list[Annotated[float, Field(allow_inf_nan=False)]], Field(max_length=MAX_STYLE_DIM, fail_fast=True)
]
Regions = Annotated[list[StyleCode], Field(max_length=MAX_REGIONS)]
"""Style codes by number: the first is style number 1. 0 is the document's own light."""


class Open(_Message):
    """Start a document: the server answers `ready` and waits for a whole map."""

    type: Literal["open"]
    epoch: U32
    width: Side
    height: Side
    model: Annotated[str, Field(max_length=200)] | None = None
    label_set: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    seed: U32
    style: StyleCode | None = None
    regions: Regions = []
    format: PictureFormat = "jpeg"
    quality: Quality = "live"


class Style(_Message):
    """Another seed, style code or styles of regions: a change like any other, so it carries a revision."""

    type: Literal["style"]
    epoch: U32
    revision: U32
    seed: U32
    style: StyleCode | None = None
    regions: Regions = []
    more: bool = False
    """Another change follows at once: nothing is painted before that."""


class Ack(_Message):
    """Frame `frame` and all before it have been shown."""

    type: Literal["ack"]
    epoch: U32
    frame: Annotated[int, Field(ge=1, le=U32_MAX)]


class Ping(_Message):
    """Answered by a pong with the same number."""

    type: Literal["ping"]
    t: Annotated[float, Field(allow_inf_nan=False)]


Control = Open | Style | Ack | Ping
_CONTROL: TypeAdapter[Control] = TypeAdapter(Annotated[Control, Field(discriminator="type")])


def parse_text(text: str) -> Control:
    """Read a control message. Raises MalformedError."""
    try:
        return _CONTROL.validate_python(parse_json(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedError(f"text message{f' at {where}' if where else ''}: {first['msg']}") from None
    except ValueError as error:
        raise MalformedError(f"text message: {error}") from None


# -- Client → server, binary: labels and style numbers --------------------------------------------

_CELLS = struct.Struct("<BBHIIHHHH")
CELLS_HEADER: Final = _CELLS.size
PATCH: Final = 1
WHOLE: Final = 2
STYLE_PATCH: Final = 3
WHOLE_STYLES: Final = 4
_KINDS: Final = (PATCH, WHOLE, STYLE_PATCH, WHOLE_STYLES)
_RAW: Final = 0
_RUNS: Final = 1
_MORE: Final = 1
_RUN = np.dtype([("value", "u1"), ("length", "<u2")])
_LONGEST_RUN: Final = U16_MAX


@dataclass(frozen=True, slots=True)
class CellsHeader:
    """What a message with cells of a plane, labels or style numbers, says about itself; its payload is still
    to be read."""

    kind: int
    encoding: int
    more: bool
    """Another change follows at once: nothing is painted before that."""
    epoch: int
    revision: int
    x: int
    y: int
    width: int
    height: int

    @property
    def styles(self) -> bool:
        """Whether the cells are style numbers; else they are class ids."""
        return self.kind in (STYLE_PATCH, WHOLE_STYLES)

    @property
    def whole(self) -> bool:
        """Whether they are all that the plane has."""
        return self.kind in (WHOLE, WHOLE_STYLES)


def parse_cells_header(data: bytes) -> CellsHeader:
    """The header of a binary message; another epoch's is ignored unread. Raises MalformedError."""
    if len(data) < CELLS_HEADER:
        raise MalformedError(f"a binary message of {len(data)} bytes is shorter than its header")
    kind, encoding, flags, epoch, revision, x, y, width, height = _CELLS.unpack_from(data)
    if kind not in _KINDS:
        raise MalformedError(f"unknown kind {kind} of binary message")
    if encoding not in (_RAW, _RUNS):
        raise MalformedError(f"unknown encoding {encoding} of a binary message")
    if flags & ~_MORE:
        raise MalformedError(f"the flags of a binary message are {flags}, of which only 1 is known")
    return CellsHeader(kind, encoding, bool(flags & _MORE), epoch, revision, x, y, width, height)


def read_cells(header: CellsHeader, data: bytes, canvas_width: int, canvas_height: int) -> Cells:
    """The class ids or style numbers of a message, uint8 (height, width). Raises MalformedError.

    The rectangle is checked against the canvas before anything is allocated, and the payload against the
    rectangle: a hostile message never grows past width × height bytes.
    """
    _check_rectangle(header, canvas_width, canvas_height)
    payload = memoryview(data)[CELLS_HEADER:]
    size = header.width * header.height
    cells = _read_raw(payload, size) if header.encoding == _RAW else _read_runs(payload, size)
    return cells.reshape(header.height, header.width)


def _check_rectangle(header: CellsHeader, canvas_width: int, canvas_height: int) -> None:
    x, y, width, height = header.x, header.y, header.width, header.height
    if width == 0 or height == 0:
        raise MalformedError("the rectangle of a binary message is empty")
    if x + width > canvas_width or y + height > canvas_height:
        raise MalformedError(
            f"rectangle {width}×{height} at ({x}, {y}) leaves the canvas of {canvas_width}×{canvas_height}"
        )
    if header.whole and (width, height) != (canvas_width, canvas_height):
        raise MalformedError(
            f"a whole plane of {width}×{height} on a canvas of {canvas_width}×{canvas_height}"
        )


def _read_raw(payload: memoryview, size: int) -> Cells:
    if len(payload) != size:
        raise MalformedError(f"a raw payload of {len(payload)} bytes for {size} pixels")
    return np.frombuffer(payload, np.uint8).copy()


def _read_runs(payload: memoryview, size: int) -> Cells:
    if len(payload) == 0 or len(payload) % _RUN.itemsize:
        raise MalformedError(f"{len(payload)} bytes of runs are not a whole number of triples")
    runs = np.frombuffer(payload, _RUN)
    lengths = runs["length"]
    if not lengths.all():
        raise MalformedError("a run of length 0")
    total = int(lengths.sum(dtype=np.int64))
    if total != size:
        raise MalformedError(f"runs of {total} pixels in all for {size} pixels")
    return np.repeat(runs["value"], lengths)


def encode_labels(
    epoch: int, revision: int, x: int, y: int, labels: Cells, *, whole: bool = False, more: bool = False
) -> bytes:
    """The message for a rectangle of class ids, uint8 (height, width), in the shorter encoding."""
    return _encode_cells(WHOLE if whole else PATCH, epoch, revision, x, y, labels, more)


def encode_styles(
    epoch: int, revision: int, x: int, y: int, numbers: Cells, *, whole: bool = False, more: bool = False
) -> bytes:
    """The message for a rectangle of style numbers, likewise."""
    return _encode_cells(WHOLE_STYLES if whole else STYLE_PATCH, epoch, revision, x, y, numbers, more)


def _encode_cells(kind: int, epoch: int, revision: int, x: int, y: int, cells: Cells, more: bool) -> bytes:
    height, width = cells.shape
    flat = np.ascontiguousarray(cells).reshape(-1)
    runs = _encode_runs(flat)
    encoding, payload = (_RUNS, runs) if len(runs) < flat.size else (_RAW, flat.tobytes())
    flags = _MORE if more else 0
    return _CELLS.pack(kind, encoding, flags, epoch, revision, x, y, width, height) + payload


def _encode_runs(flat: Cells) -> bytes:
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    lengths = np.diff(np.append(starts, flat.size))
    pieces = -(-lengths // _LONGEST_RUN)
    runs = np.empty(int(pieces.sum()), _RUN)
    runs["value"] = np.repeat(flat[starts], pieces)
    runs["length"] = _LONGEST_RUN
    last = np.cumsum(pieces) - 1
    runs["length"][last] = lengths - (pieces - 1) * _LONGEST_RUN
    return runs.tobytes()


# -- Server → client, binary: frames --------------------------------------------------------------

_FRAME = struct.Struct("<BBBBIIIHHII4s")
FRAME_HEADER: Final = _FRAME.size
_FRAME_KIND: Final = 16
_FORMATS: Final[dict[PictureFormat, int]] = {"jpeg": 1, "webp": 2, "png": 3}
_FORMAT_NAMES: Final[dict[int, PictureFormat]] = {number: name for name, number in _FORMATS.items()}
_EXACT: Final = 1
_NEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture on its way to the client, with what it shows and how long it took."""

    format: PictureFormat
    exact: bool
    newest: bool
    epoch: int
    revision: int
    frame: int
    width: int
    height: int
    waited_us: int
    render_us: int
    label_set: str
    """The first 8 hex digits of the label set's hash."""
    picture: bytes


def encode_frame(frame: Frame) -> bytes:
    """The binary message for a frame; times past 71 minutes stay at the counter's limit."""
    flags = _EXACT * frame.exact | _NEWEST * frame.newest
    header = _FRAME.pack(
        _FRAME_KIND,
        _FORMATS[frame.format],
        flags,
        0,
        frame.epoch,
        frame.revision,
        frame.frame,
        frame.width,
        frame.height,
        min(frame.waited_us, U32_MAX),
        min(frame.render_us, U32_MAX),
        bytes.fromhex(frame.label_set),
    )
    return header + frame.picture


def decode_frame(data: bytes) -> Frame:
    """Read a frame, as a client does. Raises MalformedError."""
    if len(data) <= FRAME_HEADER:
        raise MalformedError(f"a frame has {len(data)} bytes; its header alone has {FRAME_HEADER}")
    kind, number, flags, reserved, epoch, revision, count, width, height, waited, render, labels = (
        _FRAME.unpack_from(data)
    )
    if kind != _FRAME_KIND or number not in _FORMAT_NAMES or reserved:
        raise MalformedError(f"kind {kind}, format {number}, reserved {reserved} is no frame")
    return Frame(
        format=_FORMAT_NAMES[number],
        exact=bool(flags & _EXACT),
        newest=bool(flags & _NEWEST),
        epoch=epoch,
        revision=revision,
        frame=count,
        width=width,
        height=height,
        waited_us=waited,
        render_us=render,
        label_set=labels.hex(),
        picture=bytes(data[FRAME_HEADER:]),
    )


# -- Server → client, text ------------------------------------------------------------------------


def ready(
    *,
    epoch: int,
    session: str,
    model: str,
    label_set: str,
    width: int,
    height: int,
    paints_width: int,
    paints_height: int,
) -> str:
    """`paints_width`, `paints_height`: of its pictures; less where the model paints none as large."""
    return _text(
        {
            "type": "ready",
            "epoch": epoch,
            "session": session,
            "model": model,
            "label_set": label_set,
            "width": width,
            "height": height,
            "paints_width": paints_width,
            "paints_height": paints_height,
        }
    )


def resync(*, epoch: int, expected: int, got: int, reason: str) -> str:
    return _text({"type": "resync", "epoch": epoch, "expected": expected, "got": got, "reason": reason})


def error(
    *,
    epoch: int,
    code: str,
    title: str,
    detail: str,
    next_step: str,
    fatal: bool,
    revision: int | None = None,
) -> str:
    """`revision`: the newest one whose exact picture will not come, if that is what went wrong."""
    message: dict[str, object] = {
        "type": "error",
        "epoch": epoch,
        "code": code,
        "title": title,
        "detail": detail,
        "next": next_step,
        "fatal": fatal,
    }
    return _text(message if revision is None else message | {"revision": revision})


def pong(t: float) -> str:
    return _text({"type": "pong", "t": t})


def bye(*, reason: str, retry_after: float) -> str:
    return _text({"type": "bye", "reason": reason, "retry_after": retry_after})


def load(*, level: str, painters: int) -> str:
    """How full the house is: "normal", "slower" or "smaller", and how many paint."""
    return _text({"type": "load", "level": level, "painters": painters})


def _text(message: dict[str, object]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
