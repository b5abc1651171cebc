"""What a live session should hold, in a way that is too plain to be wrong."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np

from models.spec import ModelSpec
from server import protocol
from server.limits import Limits
from server.rendering import RenderRequest
from tests.server.fake_engine import FakeLibrary, fake_spec

LIMITS = Limits(64, 2048)


def _models() -> FakeLibrary:
    library = FakeLibrary()
    # It paints at most 48 × 32: the device gets a map smaller than the canvas.
    library.add(fake_spec("small", options={"start_grid": [4, 6]}, architecture="styled-spade"))
    # It has a second view of most canvases, at half their size.
    library.add(replace(fake_spec("halved", architecture="styled-spade"), native_size=8))
    return library


MODELS = _models()
SPECS = {name: MODELS.spec(name) for name in ("fake", "city", "things", "small", "halved")}


@dataclass
class Device:
    """The device's copy of a document."""

    size: tuple[int, int]
    labels: np.ndarray
    styles: np.ndarray

    def apply(self, request: RenderRequest) -> None:
        for patch in request.changes:
            height, width = patch.labels.shape
            self.labels[patch.y : patch.y + height, patch.x : patch.x + width] = patch.labels
        for numbers in request.style_changes:
            height, width = numbers.numbers.shape
            self.styles[numbers.y : numbers.y + height, numbers.x : numbers.x + width] = numbers.numbers


@dataclass
class Paper:
    """What a document should be."""

    epoch: int
    spec: ModelSpec
    labels: np.ndarray
    styles: np.ndarray
    regions: int
    revision: int | None = None
    held: bool = False
    devices: dict[bool, Device] = field(default_factory=dict)
    """What the device has of it at its own size, and at half of it."""

    @property
    def by_region(self) -> bool:
        return self.spec.architecture == "styled-spade"

    def put(self, header: protocol.CellsHeader, cells: np.ndarray) -> str:
        """Apply cells; says what the session should answer."""
        if header.kind != protocol.WHOLE:
            if self.revision is None:
                return "ignored"
            if header.revision != self.revision + 1:
                self.revision = None
                return "resync"
        rows = slice(header.y, header.y + header.height)
        columns = slice(header.x, header.x + header.width)
        if header.styles:
            good = self.by_region and int(cells.max()) <= self.regions
            if good:
                self.styles[rows, columns] = cells
        else:
            good = all(number in self.spec.labels.by_id for number in set(cells.ravel().tolist()))
            if not good:
                self.revision = None
                return "error"
            self.labels[rows, columns] = cells
            if header.whole:
                self.styles[:] = 0
        self.revision, self.held = header.revision, header.more
        return "" if good else "error"

    def light(self, message: protocol.Style) -> str:
        """Change the style; says what the session should answer."""
        good = _is_code(message.style, self.spec) and all(
            _is_code(code, self.spec) for code in message.regions
        )
        good = good and (self.by_region or not message.regions)
        expected = self.revision is not None and message.revision == self.revision + 1
        if not good and not expected:
            return "error"
        if good:
            self.regions = len(message.regions)
        if self.revision is None:
            return "ignored"
        if not expected:
            self.revision = None
            return "resync"
        self.revision, self.held = message.revision, message.more
        return "" if good else "error"


@dataclass
class Desk:
    """The documents of one connection, as they should be."""

    epoch: int | None = None
    paper: Paper | None = None

    def open(self, message: protocol.Open) -> str:
        if self.epoch is not None and message.epoch <= self.epoch:
            return "error"
        self.epoch, self.paper = message.epoch, None
        spec = SPECS.get(message.model or "fake")
        if spec is None or message.label_set != spec.labels.hash:
            return "error"
        width, height = message.width, message.height
        if max(width, height) > LIMITS.max_side or width * height > LIMITS.max_pixels:
            return "error"
        by_region = spec.architecture == "styled-spade"
        if not _is_code(message.style, spec):
            return "error"
        if by_region and not all(_is_code(code, spec) for code in message.regions):
            return "error"
        planes = (np.zeros((height, width), np.uint8) for _ in range(2))
        self.paper = Paper(message.epoch, spec, *planes, len(message.regions) if by_region else 0)
        return "ready" if by_region or not message.regions else "ready error"


def _is_code(style: list[float] | None, spec: ModelSpec) -> bool:
    return style is None or (len(style) == spec.style_dim and all(abs(value) <= 100 for value in style))


def plain_cells(data: bytes, paper: Paper) -> np.ndarray | None:
    """The cells of a message, read once more in the plainest way; None if they cannot be."""
    _, encoding, _, _, _, x, y, width, height = struct.unpack_from("<BBHIIHHHH", data)
    payload = data[20:]
    if not width or not height or x + width > paper.labels.shape[1] or y + height > paper.labels.shape[0]:
        return None
    if data[0] in (protocol.WHOLE, protocol.WHOLE_STYLES) and (height, width) != paper.labels.shape:
        return None
    if encoding == 0:
        cells = payload
    else:
        runs = [struct.unpack_from("<BH", payload, at) for at in range(0, len(payload) // 3 * 3, 3)]
        if not runs or len(payload) % 3 or any(not length for _, length in runs):
            return None
        if sum(length for _, length in runs) != width * height:
            return None
        cells = b"".join(bytes([value]) * length for value, length in runs)
    return np.frombuffer(cells, np.uint8).reshape(height, width) if len(cells) == width * height else None
