"""A client of the live protocol that is correct but for a fault here and there, for live.py."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.spec import ModelSpec
from server import protocol
from tests.fuzzing.desk import SPECS
from tests.fuzzing.mutation import spoilt
from tests.server.fuzz import mutated

TEXT, BINARY, TAKE, LOST = range(4)
LARGEST_STEP = (1 << 14) - 1
MOST_STEPS = 64
Step = tuple[int, bytes]


def steps(data: bytes) -> list[Step]:
    """Any bytes as steps, the last one cut short where they end."""
    found, at = list[Step](), 0
    while at + 2 <= len(data) and len(found) < MOST_STEPS:
        (word,) = struct.unpack_from("<H", data, at)
        length = word & LARGEST_STEP
        found.append((word >> 14, data[at + 2 : at + 2 + length]))
        at += 2 + length
    return found


def packed(row: list[Step]) -> bytes:
    """The inverse of `steps`."""
    return b"".join(
        struct.pack("<H", kind << 14 | len(step[:LARGEST_STEP])) + step[:LARGEST_STEP] for kind, step in row
    )


@dataclass
class Client:
    """A correct client, and what it knows."""

    rng: random.Random
    epoch: int = 0
    revision: int = 0
    spec: ModelSpec = field(default_factory=lambda: SPECS["fake"])
    size: tuple[int, int] = (1, 1)
    regions: int = 0

    def open(self) -> bytes:
        rng = self.rng
        self.epoch += rng.randrange(1, 3)
        self.spec = rng.choice(list(SPECS.values()))
        self.size = rng.choice([(1, 1), (3, 2), (13, 7), (16, 17), (64, 32), (33, 47)])
        self.regions = rng.randrange(3) if self.spec.architecture == "styled-spade" else 0
        return _json(
            {
                "type": "open",
                "epoch": self.epoch,
                "width": self.size[0],
                "height": self.size[1],
                "model": self.spec.id,
                "label_set": self.spec.labels.hash,
                "seed": rng.randrange(2**32),
                "style": self._code(),
                "regions": [self._code() or [0.0] * self.spec.style_dim for _ in range(self.regions)],
                "format": rng.choice(["jpeg", "png", "webp"]),
                "quality": rng.choice(["exact", "live"]),
            }
        )

    def style(self) -> bytes:
        if self.spec.architecture == "styled-spade":
            self.regions = self.rng.randrange(4)
        self.revision += 1
        return _json(
            {
                "type": "style",
                "epoch": self.epoch,
                "revision": self.revision,
                "seed": self.rng.randrange(2**32),
                "style": self._code(),
                "regions": [self._code() or [1.0] * self.spec.style_dim for _ in range(self.regions)],
                "more": self.rng.random() < 0.2,
            }
        )

    def cells(self, kind: int) -> bytes:
        rng, (width, height) = self.rng, self.size
        self.revision = rng.randrange(1, 100) if kind == protocol.WHOLE else self.revision + 1
        whole, styles = kind in (protocol.WHOLE, protocol.WHOLE_STYLES), kind >= protocol.STYLE_PATCH
        x, y = (0, 0) if whole else (rng.randrange(width), rng.randrange(height))
        shape = (
            (height, width) if whole else (rng.randrange(1, height - y + 1), rng.randrange(1, width - x + 1))
        )
        values = list(range(self.regions + 1)) if styles else list(self.spec.labels.by_id)
        cells = np.full(shape, rng.choice(values), np.uint8)
        if rng.random() < 0.5:
            cells[rng.randrange(shape[0]) :, : rng.randrange(1, shape[1] + 1)] = rng.choice(values)
        if rng.random() < 0.05:
            cells[-1, -1] = rng.randrange(256)
        encode = protocol.encode_styles if styles else protocol.encode_labels
        return encode(self.epoch, self.revision, x, y, cells, whole=whole, more=rng.random() < 0.2)

    def step(self) -> Step:
        """What a client may do with an open document."""
        rng = self.rng
        deeds: list[Callable[[], Step]] = [
            *[lambda: (BINARY, self.cells(protocol.PATCH))] * 4,
            *[lambda: (BINARY, self.cells(protocol.STYLE_PATCH))] * 2,
            lambda: (BINARY, self.cells(protocol.WHOLE_STYLES)),
            lambda: (BINARY, self.cells(protocol.WHOLE)),
            lambda: (TEXT, self.style()),
            lambda: (TEXT, _json({"type": "ack", "epoch": self.epoch, "frame": rng.randrange(1, 9)})),
            lambda: (TEXT, _json({"type": "ping", "t": rng.random()})),
            *[lambda: (TAKE, b"x" * rng.randrange(4))] * 3,
            lambda: (LOST, b"x" * rng.randrange(8)),
        ]
        return rng.choice(deeds)()

    def _code(self) -> list[float] | None:
        length = self.spec.style_dim
        return self.rng.choice([None, [0.5] * length, [-100.0] * length])


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def make(rng: random.Random) -> bytes:
    """A conversation of a correct client, with a fault in one step, in some, or in none."""
    client = Client(rng)
    row = [(TEXT, client.open()), (BINARY, client.cells(protocol.WHOLE))]
    row += [client.step() for _ in range(rng.randrange(12))]
    if rng.random() < 0.2:
        row += [(TEXT, client.open()), (BINARY, client.cells(protocol.WHOLE)), client.step(), (TAKE, b"xx")]
    for _ in range(min(len(row), rng.choice([0, 1, 1, 1, 2, 4]))):
        at = rng.randrange(len(row))
        row[at : at + 1] = _faulty(rng, *row[at])
    return packed([*row, (TAKE, b""), (TAKE, b"xx")])


def _faulty(rng: random.Random, kind: int, data: bytes) -> list[Step]:
    match rng.randrange(7):
        case 0 | 1:
            return [(kind, data)] * rng.choice([0, 2])  # a gap, or the same twice
        case 2:
            return [(rng.randrange(4), data)]
        case 3 if kind == TEXT:
            return [(kind, _spoilt_text(rng, data))]
        case 4 if kind == BINARY and len(data) >= protocol.CELLS_HEADER:
            return [(kind, _other_header(rng, data))]
        case 5 if kind == BINARY and len(data) > protocol.CELLS_HEADER + 2:
            return [(kind, _other_runs(rng, data))]
        case _:
            return [(kind, mutated(rng, data))]


def _spoilt_text(rng: random.Random, data: bytes) -> bytes:
    try:
        return _json(spoilt(rng, json.loads(data), rng.choice([1, 1, 2])))
    except ValueError:
        return mutated(rng, data)  # it was spoilt before


def _other_header(rng: random.Random, data: bytes) -> bytes:
    """One field of the header is another number."""
    fields = list(struct.unpack_from("<BBHIIHHHH", data))
    at = rng.randrange(len(fields))
    largest = (255, 255, 65535, 2**32 - 1, 2**32 - 1, 65535, 65535, 65535, 65535)[at]
    fields[at] = rng.choice([0, 1, 2, 3, 4, 5, fields[at] + 1, fields[at] - 1, largest]) % (largest + 1)
    return struct.pack("<BBHIIHHHH", *fields) + data[protocol.CELLS_HEADER :]


def _other_runs(rng: random.Random, data: bytes) -> bytes:
    """The same cells in runs of other lengths, or nearly: one of length 0, one in two, one too long."""
    header, payload = data[: protocol.CELLS_HEADER], data[protocol.CELLS_HEADER :]
    runs = (
        [[value, length] for value, length in struct.iter_unpack("<BH", payload[: len(payload) // 3 * 3])]
        if header[1]
        else [[value, 1] for value in payload]
    )
    at = rng.randrange(len(runs))
    value, length = runs[at]
    runs[at : at + 1] = rng.choice(
        [
            [[value, length], [value, 0]],
            [[value, length // 2], [value, length - length // 2]],
            [[value, length + 1]],
            [[value, 65535], [value, length]],
        ]
    )
    packed_runs = b"".join(struct.pack("<BH", value, min(length, 65535)) for value, length in runs)
    return header[:1] + b"\x01" + header[2:] + packed_runs
