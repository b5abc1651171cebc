"""Ways to spoil what is valid: bytes, plain data, PNG files."""

from __future__ import annotations

import copy
import random
import struct
import zlib
from typing import Any

from tests.server.fuzz import mutated

STRANGE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 7, 255, 256, 65535, 65536, 2**31, 2**32, 2**63, 2**64, -(2**63), 10**40,
    1.5, -0.0, 1e308, -1e308, 1e-320, float("inf"), float("-inf"), float("nan"), "", "0", "7", "x", "é",
    "\x00", "\ud800", "x" * 300, "../x", "a/b", [], [0], [[]], [[[]]], [1] * 300, {}, {"": 0}, {"id": {}},
    "NaN", "٣",
)  # fmt: skip


def spoilt(rng: random.Random, document: Any, times: int = 1) -> Any:
    """Plain data with some places changed: another value, none, one twice, one more."""
    changed = copy.deepcopy(document)
    for _ in range(times):
        places = [place for place in _places(changed) if place[1] is not None]
        if not places:
            return rng.choice(STRANGE)
        _spoil(rng, *rng.choice(places))
    return changed


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in plain data; lists give at most their first places."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = (
            list(one) if isinstance(one, dict) else range(min(len(one), 8)) if isinstance(one, list) else ()
        )
        for key in keys:
            found.append((one, key))
            waiting.append(one[key])
    return found


def _spoil(rng: random.Random, container: Any, key: Any) -> None:
    match rng.randrange(8):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[rng.choice(["x", "type", "id", "labels", "é", ""])] = container[key]
        case 1:
            container.insert(key, copy.deepcopy(container[key]))
        case 2 if isinstance(container[key], int | float):
            container[key] += rng.choice([1, -1, 0.5, 2**31, -(10**6)])
        case 3 if isinstance(container[key], str):
            container[key] = mutated(rng, container[key].encode("utf-8", "replace")).decode(
                "utf-8", "replace"
            )
        case _:
            container[key] = copy.deepcopy(rng.choice(STRANGE))


def mended_png(data: bytes) -> bytes:
    """The PNG with the sums of its chunks put right, so that a spoilt byte gets past them."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return data
    out, offset = bytearray(data), 8
    while offset + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, offset)
        end = offset + 8 + length
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[offset + 4 : end]))
        offset = end + 4
    return bytes(out)
