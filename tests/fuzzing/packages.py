"""Project files of strangers: zips, what they claim, and every file in them.

An input is the zip. What is accepted must be ours in every byte: read once more it gives itself, and it is no
larger than may be.
"""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from functools import cache
from typing import Any

from server.errors import Problem
from server.sharing.archive import MOST_ENTRIES
from server.sharing.project import rewrite
from tests.fuzzing import pictures
from tests.fuzzing.harness import ACCEPTED, Target
from tests.fuzzing.mutation import spoilt
from tests.server.fuzz import mutated
from tests.server.sharing import projects
from tests.server.sharing.projects import LIMITS, Files


def judge(data: bytes) -> str:
    """Rewrite it, and rewrite that."""
    try:
        ours = rewrite(data, LIMITS)
    except Problem as problem:
        return pictures.refusal(problem)
    assert len(ours) <= LIMITS.max_bytes + 64 * MOST_ENTRIES
    again = rewrite(ours, LIMITS)
    # A lossy photo loses a little more each time; everything else is settled after the first.
    assert _settled(again) == _settled(ours), "a project that is ours is written anew as another"
    return ACCEPTED


def _settled(data: bytes) -> Files:
    files = projects.unzipped(data)
    return {name: content for name, content in files.items() if name not in ("source.jpg", "source.webp")}


def make(rng: random.Random) -> bytes:
    """A project with a fault in its zip, its document, one of its files, or nowhere."""
    files = dict(rng.choice([_whole, _small])())
    match rng.randrange(8):
        case 0:
            return zipped(rng, files)
        case 1 | 2 | 3:
            document = spoilt(rng, json.loads(files["project.json"]), rng.choice([1, 1, 2, 4]))
            files["project.json"] = json.dumps(document).encode()
        case 4 | 5:
            name = rng.choice(list(files))
            files[name] = rng.choice([mutated(rng, files[name]), pictures.make(rng)[2:]])
        case 6:
            return _strange_zip(rng, files)
        case _:
            return mutated(rng, zipped(rng, files))
    return zipped(rng, files)


@cache
def _whole() -> Files:
    return projects.files()


@cache
def _small() -> Files:
    """Quick to read: one layer and nothing else."""
    plain: dict[str, Any] = dict.fromkeys(
        ("style_plane", "edit_plane", "source", "source_map", "photo", "photo_of", "thumbnail")
    )
    document = projects.document(**plain)
    document["layers"] = document["layers"][:1]
    return {
        "project.json": json.dumps(document).encode(),
        "layers/0.png": projects.files()["layers/0.png"],
    }


def zipped(rng: random.Random, files: Files) -> bytes:
    return projects.zipped(files, rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


def _strange_zip(rng: random.Random, files: Files) -> bytes:
    """Names that lead elsewhere, links, other kinds of packing, claims that are false."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            if rng.random() < 0.3:
                entry.filename = rng.choice(
                    ["../x", "/etc/x", "a\\b", name.upper(), "layers/", "x" * 200, "é"]
                )
            entry.compress_type = rng.choice([0, 8, 8, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
            entry.external_attr = rng.choice([0, 0o100644, 0o120777, 0o40755, 0o60644]) << 16
            entry.extra = rng.choice([b"", b"\x01\x00\x10\x00" + rng.randbytes(16), rng.randbytes(9)])
            archive.writestr(entry, content)
    data = bytearray(out.getvalue())
    for _ in range(rng.randrange(3)):
        _claim(rng, data)
    return bytes(data)


def _claim(rng: random.Random, data: bytearray) -> None:
    """One number of a header says something else."""
    mark, places = rng.choice(
        [
            (b"PK\x03\x04", (6, 8, 14, 18, 22, 26, 28)),
            (b"PK\x01\x02", (8, 10, 16, 20, 24, 28, 30, 32, 42)),
            (b"PK\x05\x06", (4, 6, 8, 10, 12, 16, 20)),
        ]
    )
    starts = [at for at in range(len(data) - 4) if data[at : at + 4] == mark]
    if starts:
        at = rng.choice(starts) + rng.choice(places)
        number = rng.choice([0, 1, 2, 255, 65535, 2**32 - 1, rng.randrange(2**32)])
        data[at : at + 4] = struct.pack("<I", number)[: len(data[at : at + 4])]


TARGET = Target("archives", make, judge)
