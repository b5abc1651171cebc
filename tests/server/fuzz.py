"""Fuzzes a real server process: bodies to /generate, frames to /live. Most are invalid, valid ones are ≤ 64².

    python -m tests.server.fuzz --bodies 10000 --frames 10000               (the built-in model)
    python -m tests.server.fuzz --bodies 10000 --frames 10000 --model tiny  (the tests' model)
    python -m tests.server.fuzz --bodies 10000 --frames 10000 --model fake  (the tests' engine)

Prints the answers by status, the growth of the process after the first tenth, its open files and sessions,
and whether it still paints. Every input follows from its number, so that one can be sent again.
"""
# ruff: noqa: T201 - a script that prints its report

import argparse
import base64
import contextlib
import io
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from models.labels import load_label_set
from server import protocol
from tests.tiny import write_tiny_model

ROOT = Path(__file__).parents[2]
LABELS = load_label_set("landscape17")
IDS = [label.id for label in LABELS.labels]
PALETTE = np.frombuffer(LABELS.palette(), np.uint8).reshape(256, 3)
CLIENTS = 4
STYLES: list[list[float]] = [
    [value] * length for length in (4, 8, 64) for value in (0.0, 0.5, 100.0, 101.0, -1e30, 1e300)
]
"""Codes for the fake, the tiny and the built-in model, of which half go too far."""
REGIONS: list[list[list[float]]] = [
    [[value] * length for value in (0.5, -1.0, 3.0)[:count]] for length in (4, 8, 64) for count in (1, 2, 3)
]
"""Codes of regions, for one of these models each."""


# -- Bodies ----------------------------------------------------------------------------------------------


@dataclass
class Body:
    """One request to /generate."""

    headers: dict[str, str]
    content: bytes
    chunked: bool = False
    hang_up: bool = False
    """Send a part of it, and close the connection."""


def body(number: int) -> Body:
    """The number's body."""
    rng = random.Random(number)
    make = rng.choice([_form, _form, _form, _broken_form, _json, _broken_json, _noise])
    made = make(rng)
    made.chunked = rng.random() < 0.1
    made.hang_up = rng.random() < 0.05
    if rng.random() < 0.3:
        made.headers["Accept"] = rng.choice(
            ["image/png", "application/json", "*/*;q=0", "text/html", "image/*;q=x", ",;=,", "a" * 5000]
        )
    return made


def _form(rng: random.Random) -> Body:
    fields = _fields(rng)
    parts = [("mask", rng.choice(['; filename="m.png"', '; filename="ü\\".png"', ""]), _mask(rng))]
    if rng.random() < 0.3:
        fields["model"] = rng.choice(["things", "things", ""])  # the fake engine's, which reads instances
        extra = rng.choice(['; filename="i.png"', '; filename="i.png"', '; filename=""', ""])
        parts.append(("instances", extra, _instances(rng, parts[0][2])))
    if rng.random() < 0.15:
        extra = rng.choice(['; filename="s.png"', '; filename="s.png"', '; filename=""', ""])
        parts.append(("style_map", extra, _style_map(rng)))
    parts += [(name, "", str(value).encode("utf-8", "surrogatepass")) for name, value in fields.items()]
    rng.shuffle(parts)
    return _multipart(parts, "b0undary")


def _multipart(parts: list[tuple[str, str, bytes]], boundary: str) -> Body:
    content = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, extra, data in parts
    )
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return Body(headers, content + f"--{boundary}--\r\n".encode())


def _broken_form(rng: random.Random) -> Body:
    made = _form(rng)
    made.content = mutated(rng, made.content)
    made.headers["Content-Type"] = rng.choice(
        [
            made.headers["Content-Type"],
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="b0undary"; charset=utf-16',
            "multipart/form-data; boundary=other",
            "multipart/form-data; boundary=" + "x" * 3000,
            "application/x-www-form-urlencoded",
        ]
    )
    return made


def _json(rng: random.Random) -> Body:
    mask = _mask(rng)
    fields = {**_fields(rng), "mask": base64.b64encode(mask).decode()}
    if rng.random() < 0.3:
        fields["instances"] = base64.b64encode(_instances(rng, mask)).decode()
    if rng.random() < 0.15:
        fields["style_map"] = base64.b64encode(_style_map(rng)).decode()
        fields["styles"] = rng.choice([*REGIONS, ["noon"], ["noon", [0.0]], [None], [[[]]], {}, 7])
    return Body({"Content-Type": "application/json"}, json.dumps(fields).encode())


def _broken_json(rng: random.Random) -> Body:
    content = rng.choice(
        [
            lambda: mutated(rng, _json(rng).content),
            lambda: b"[" * rng.randrange(1, 20000),
            lambda: b'{"a":' * rng.randrange(1, 5000),
            lambda: json.dumps({"mask": rng.choice([1, None, [], {}, "é", "A" * 999])}).encode(),
            lambda: b'{"mask":"","seed":' + b"9" * rng.randrange(1, 5000) + b"}",
            lambda: b'{"mask":"\\ud800"}',
            lambda: rng.randbytes(rng.randrange(200)),
        ]
    )()
    return Body({"Content-Type": "application/json"}, content)


def _noise(rng: random.Random) -> Body:
    kind = rng.choice(["", "text/plain", "image/png", "application/octet-stream", "/", "é", "a" * 900])
    headers = {"Content-Type": kind} if kind.isascii() else {}
    return Body(headers, rng.randbytes(rng.randrange(2000)))


def _fields(rng: random.Random) -> dict[str, Any]:
    strange: list[Any] = [
        "",
        "x",
        -1,
        2**32,
        1e308,
        "NaN",
        "٣",
        "0x10",
        " 7 ",
        "1" * 400,
        "\x00",
        "\ud800",
        True,
    ]
    choices: dict[str, list[Any]] = {
        "seed": [0, 1, 2**32 - 1, *strange],
        "width": [16, 33, 64, *strange],
        "height": [16, 47, 64, *strange],
        "format": ["jpeg", "png", "webp", "jpg", "gif", *strange],
        "quality": [1, 50, 100, 0, 101, *strange],
        "model": ["", "things", "none", "../../etc/passwd", *strange],
        "style": [
            *map(json.dumps, STYLES),
            "noon",
            " noon",
            "[]",
            "[1e999]",
            "{}",
            "null",
            "[[[]]]",
            "[" * 3000,
            *strange,
        ],
        "styles": [
            *map(json.dumps, REGIONS),
            '["noon"]',
            '["noon", "golden-hour"]',
            "[" * 3000,
            "[" + "1," * 80_000,
            *strange,
        ],
        "lossless": ["true", "false", *strange],
        "embed_map": ["true", "false", *strange],
        "other": strange,
    }
    names = rng.sample(list(choices), rng.choice([0, 0, 0, 0, 0, 1, 1, 2, 4]))
    return {name: rng.choice(choices[name][: rng.choice([2, 3, 99])]) for name in names}


def _mask(rng: random.Random) -> bytes:
    return rng.choice([*[_valid_mask] * 4, _damaged_mask, _damaged_mask, _hostile_png, _wrong_mask])(rng)


def _valid_mask(rng: random.Random) -> bytes:
    ids = _ids(rng, rng.randrange(1, 65), rng.randrange(1, 65))
    kind = rng.choice(["palette", "grey", "rgb", "webp"])
    image = Image.fromarray(PALETTE[ids] if kind in ("rgb", "webp") else ids)
    if kind == "palette":
        image.putpalette(LABELS.palette())
    return _saved(image, "WEBP" if kind == "webp" else "PNG", lossless=True)


def _style_map(rng: random.Random) -> bytes:
    """A file for the field style_map: few numbers, now and then too great ones, or any other file."""
    if rng.random() < 0.3:
        return _mask(rng)
    numbers = _numbers(rng, rng.randrange(1, 65), rng.randrange(1, 65), rng.choice([1, 1, 2, 3, 255]))
    return _saved(Image.fromarray(numbers), "PNG")


def _numbers(rng: random.Random, width: int, height: int, most: int) -> np.ndarray:
    """Style numbers up to `most`, with few borders or many."""
    values = np.frombuffer(rng.randbytes(width * height), np.uint8).astype(int).reshape(height, width)
    if rng.random() < 0.5:
        values[:] = values[0, 0]
    return (values % (most + 1)).astype(np.uint8)


def _instances(rng: random.Random, mask: bytes) -> bytes:
    """A file for the field instances, of the mask's size if that can be read; often no instance map."""
    size = (17, 16)
    with contextlib.suppress(Exception), Image.open(io.BytesIO(mask), formats=["PNG"]) as image:
        if max(image.size) <= 64:
            size = image.size
    values = np.frombuffer(rng.randbytes(2 * size[0] * size[1]), np.uint16).reshape(size[::-1])
    good = _saved(Image.fromarray(values.astype(rng.choice([np.uint8, np.uint16]))), "PNG")
    return rng.choice([lambda: good, lambda: good, lambda: mutated(rng, good), lambda: _mask(rng)])()


def _ids(rng: random.Random, width: int, height: int) -> np.ndarray:
    ids = np.full((height, width), rng.choice(IDS), np.uint8)
    for _ in range(rng.randrange(4)):
        x, y = rng.randrange(width), rng.randrange(height)
        ids[y : y + rng.randrange(1, 33), x : x + rng.randrange(1, 33)] = rng.choice(IDS)
    return ids


def _saved(image: Image.Image, format_: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format_, **options)
    return out.getvalue()


def _damaged_mask(rng: random.Random) -> bytes:
    return mutated(rng, _valid_mask(rng))


def _wrong_mask(rng: random.Random) -> bytes:
    noise = np.frombuffer(rng.randbytes(24 * 24 * 4), np.uint8).reshape(24, 24, 4)
    image = Image.fromarray(noise[:, :, : rng.choice([3, 4])].copy())
    format_ = rng.choice(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO"])
    if format_ in ("JPEG", "GIF"):
        image = image.convert("RGB")
    return rng.choice([_saved(image, format_), rng.randbytes(rng.randrange(300)), b""])


def _hostile_png(rng: random.Random) -> bytes:
    """Headers that lie, chunks that grow, depths and kinds that do not exist."""
    sides = [0, 1, 16, 64, 5000, 60000, 2**31 - 1, 2**32 - 1]
    header = struct.pack(
        ">IIBBBBB",
        rng.choice(sides),
        rng.choice(sides),
        rng.choice([1, 2, 4, 8, 16, 3]),
        rng.choice([0, 2, 3, 4, 6, 7]),
        0,
        rng.choice([0, 1]),
        rng.choice([0, 1]),
    )
    bomb = packed_zeros(rng.choice([10, 1000, 3_000_000]))
    extras = [
        _chunk(b"zTXt", b"k\0\0" + bomb),
        _chunk(b"iCCP", b"k\0\0" + bomb),
        _chunk(b"eXIf", rng.randbytes(40)),
        _chunk(b"acTL", bytes(8)),
        _chunk(b"PLTE", rng.randbytes(rng.randrange(800))),
        _chunk(b"tRNS", rng.randbytes(rng.randrange(300))),
    ]
    chunks = [_chunk(b"IHDR", header), *rng.sample(extras, rng.randrange(3)), _chunk(b"IDAT", bomb)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


@cache
def packed_zeros(size: int) -> bytes:
    return zlib.compress(bytes(size))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def mutated(rng: random.Random, data: bytes) -> bytes:
    """The bytes with some flipped, cut, doubled or put in."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if not changed:
            return bytes(changed)
        at = rng.randrange(len(changed))
        match rng.randrange(5):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at:]
            case 3:
                del changed[at : at + rng.randrange(1, 20)]
            case _:
                changed[at:at] = rng.randbytes(rng.randrange(1, 20))
    return bytes(changed)


# -- Frames ----------------------------------------------------------------------------------------------


def frame(number: int, page: "Page") -> str | bytes:
    """The number's frame; a valid one follows from where the page stands."""
    rng = random.Random(number)
    make = rng.choice(
        [
            _valid_frame,
            _valid_frame,
            _valid_frame,
            _damaged_frame,
            _strange_labels,
            _strange_text,
            _noise_frame,
        ]
    )
    return make(rng, page)


@dataclass
class Page:
    """What a client knows of its connection."""

    epoch: int = 0
    revision: int = 0
    size: tuple[int, int] | None = None
    frames: int = 0
    regions: int = 0


def _valid_frame(rng: random.Random, page: Page) -> str | bytes:
    if page.size is None or rng.random() < 0.1:
        return _open(rng, page)
    if page.revision == 0:
        page.revision = rng.randrange(1, 1000)
        width, height = page.size
        ids, more = _ids(rng, width, height), rng.random() < 0.1
        return protocol.encode_labels(page.epoch, page.revision, 0, 0, ids, whole=True, more=more)
    if page.frames and rng.random() < 0.3:
        return json.dumps({"type": "ack", "epoch": page.epoch, "frame": page.frames})
    page.revision += 1
    if rng.random() < 0.2:
        style = {
            "type": "style",
            "epoch": page.epoch,
            "revision": page.revision,
            "seed": rng.randrange(2**32),
            "style": rng.choice([None, *STYLES]),
            "regions": _regions(rng, page),
            "more": rng.random() < 0.1,
        }
        return json.dumps(style)
    return _styles(rng, page) if rng.random() < 0.3 else _patch(rng, page)


def _regions(rng: random.Random, page: "Page") -> list[list[float]]:
    regions = rng.choice([[], [], [], *REGIONS])
    page.regions = len(regions)
    return regions


def _open(rng: random.Random, page: Page, *, plain: bool = False) -> str:
    page.epoch, page.revision = page.epoch + 1, 0
    page.size = (rng.randrange(1, 65), rng.randrange(1, 65))
    return json.dumps(
        {
            "type": "open",
            "epoch": page.epoch,
            "width": page.size[0],
            "height": page.size[1],
            "model": None,
            "label_set": LABELS.hash,
            "seed": rng.randrange(2**32),
            "style": None if plain or rng.random() < 0.9 else rng.choice(STYLES),
            "regions": [] if plain else _regions(rng, page),
            "format": rng.choice(["jpeg", "png", "webp"]),
        }
    )


def _patch(rng: random.Random, page: Page) -> bytes:
    width, height = page.size or (1, 1)
    x, y = rng.randrange(width), rng.randrange(height)
    patch = _ids(rng, rng.randrange(1, width - x + 1), rng.randrange(1, height - y + 1))
    return protocol.encode_labels(page.epoch, page.revision, x, y, patch, more=rng.random() < 0.1)


def _styles(rng: random.Random, page: Page) -> bytes:
    """Style numbers, most of which there are."""
    width, height = page.size or (1, 1)
    whole = rng.random() < 0.2
    x, y = (0, 0) if whole else (rng.randrange(width), rng.randrange(height))
    columns, rows = (
        (width, height) if whole else (rng.randrange(1, width - x + 1), rng.randrange(1, height - y + 1))
    )
    numbers = _numbers(rng, columns, rows, page.regions if rng.random() < 0.9 else 255)
    more = rng.random() < 0.1
    return protocol.encode_styles(page.epoch, page.revision, x, y, numbers, whole=whole, more=more)


def _damaged_frame(rng: random.Random, page: Page) -> str | bytes:
    data = _valid_frame(rng, page)
    if isinstance(data, bytes):
        return mutated(rng, data)
    return mutated(rng, data.encode()).decode("utf-8", "replace")


def _strange_labels(rng: random.Random, page: Page) -> bytes:
    """Headers whose every field may be wrong, with payloads that may be short, long or bombs."""
    sides = [0, 1, 7, 64, 65, 4096, 65535]
    header = struct.pack(
        "<BBHIIHHHH",
        rng.choice([1, 2, 3, 4, 0, 5, 16]),
        rng.choice([0, 1, 2]),
        rng.choice([0, 0, 0, 1, 2, 65535]),
        rng.choice([page.epoch, 0, 2**32 - 1]),
        rng.choice([page.revision + 1, 0, 2**32 - 1]),
        rng.choice([0, 1, 64]),
        rng.choice([0, 1, 64]),
        rng.choice(sides),
        rng.choice(sides),
    )
    runs = b"".join(struct.pack("<BH", rng.choice(IDS), 65535) for _ in range(rng.randrange(300)))
    return header + rng.choice([b"", runs, rng.randbytes(rng.randrange(300)), bytes(rng.randrange(5000))])


def _strange_text(rng: random.Random, page: Page) -> str:
    message = json.loads(_open(rng, page))
    name = rng.choice(list(message))
    message[name] = rng.choice([None, -1, 2**32, 1.5, "x", [], {}, True, "é" * 300, 10**30, [1] * 2000])
    return rng.choice([json.dumps(message), "{" * 2000, "", "null", '{"type":"ping","t":1e999}', "\x00"])


def _noise_frame(rng: random.Random, page: Page) -> bytes:
    return rng.randbytes(rng.randrange(60))


# -- A server and its figures ----------------------------------------------------------------------------


@dataclass
class Report:
    """What came of it."""

    bodies: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    growth_mib: float = 0.0
    files: tuple[int, int] = (0, 0)
    sessions: tuple[float, float] = (0.0, 0.0)
    documents: tuple[float, float] = (0.0, 0.0)
    seconds: float = 0.0


@contextlib.contextmanager
def server_process(model: str, more: Mapping[str, str] | None = None) -> Iterator[tuple[psutil.Process, str]]:
    """A server in a process of its own, ready, with `more` settings: (process, address)."""
    command = ["-c", "from server.cli import app; app()", "serve"]
    if model == "fake":
        command = ["-m", "tests.server.fake_server"]
    settings = {
        "SCENEBRUSH_PORT": "0",
        "SCENEBRUSH_MAX_SIDE": "64",  # valid pictures stay small, however a field scales them
        "SCENEBRUSH_LOG_FORMAT": "json",
        "SCENEBRUSH_MAX_BODY_BYTES": str(2**20),
        "SCENEBRUSH_BODY_TIMEOUT": "5",
    }
    with (
        tempfile.NamedTemporaryFile("w+", suffix=".log") as log,
        tempfile.TemporaryDirectory() as models,
    ):
        settings |= {"SCENEBRUSH_DATA_DIR": models} | dict(more or {})
        if model == "tiny":
            write_tiny_model(Path(models))
            settings |= {"SCENEBRUSH_MODELS_DIR": models, "SCENEBRUSH_DEFAULT_MODEL": "tiny"}
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
        )
        try:
            url = _wait_until_ready(process, Path(log.name))
            yield psutil.Process(process.pid), url
            said = Path(log.name).read_text()
            assert '"level": "error"' not in said, [line for line in said.splitlines() if "error" in line][:3]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        said = log.read_text()
        if (listening := re.search(r'"url": "(http://[^"]+)"', said)) and '"event": "ready"' in said:
            return listening[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def fuzz(*, bodies: int, frames: int, model: str) -> Report:
    """Send that many of each; a tenth of them come before the baseline is taken."""
    report, started = Report(), time.monotonic()
    with server_process(model) as (process, url):
        _send(report, url, range(bodies // 10), range(frames // 10))
        before = _figures(process, url)
        _send(report, url, range(bodies // 10, bodies), range(frames // 10, frames))
        after = _figures(process, url)
        _still_paints(url)
    report.growth_mib = (after["rss"] - before["rss"]) / 2**20
    report.files = (int(before["files"]), int(after["files"]))
    report.sessions = (before["painters"], after["painters"])
    report.documents = (before["documents"], after["documents"])
    report.seconds = time.monotonic() - started
    return report


def _send(report: Report, url: str, bodies: range, frames: range) -> None:
    shares: list[Callable[[], None]] = []
    for client in range(CLIENTS):
        shares.append(partial(_send_bodies, report, url, bodies[client::CLIENTS]))
        shares.append(partial(_send_frames, report, url, frames[client::CLIENTS]))
    with ThreadPoolExecutor(len(shares)) as pool:
        for done in [pool.submit(share) for share in shares]:
            done.result()


def _send_bodies(report: Report, url: str, numbers: range) -> None:
    with httpx.Client(timeout=60) as http:
        for number in numbers:
            made = body(number)
            if made.hang_up:
                _hang_up(url, made, random.Random(number))
                report.bodies["hung up"] += 1
                continue
            content: Any = iter([made.content]) if made.chunked else made.content
            try:
                response = http.post(f"{url}/generate", content=content, headers=made.headers)
            except (httpx.WriteError, httpx.RemoteProtocolError):
                report.bodies["connection closed"] += 1
                continue
            report.bodies[str(response.status_code)] += 1
            proper = response.status_code == 200 or "problem+json" in response.headers.get("content-type", "")
            if response.status_code >= 500 or not proper:
                report.faults.append(f"body {number}: {response.status_code} {response.text[:200]}")


def _hang_up(url: str, made: Body, rng: random.Random) -> None:
    """Announce the body, send a part of it, and go."""
    address = httpx.URL(url)
    headers = {"Host": address.netloc.decode(), **made.headers, "Content-Length": str(len(made.content) + 1)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((address.host, address.port or 80), 10) as connection:
        connection.sendall(f"POST /generate HTTP/1.1\r\n{lines}\r\n".encode())
        with contextlib.suppress(OSError):  # it may have been refused by now
            connection.sendall(made.content[: rng.randrange(len(made.content) + 1)])


def _send_frames(report: Report, url: str, numbers: range) -> None:
    waiting = list(reversed(numbers))
    while waiting:
        with _connected(url) as line, contextlib.suppress(ConnectionClosed):
            page = Page()
            if waiting[-1] % 4:  # most connections begin well, so that what follows meets an open document
                line.send(_open(random.Random(waiting[-1]), page, plain=True))
                line.send(_valid_frame(random.Random(1), page))
            if waiting[-1] % 4 == 1:  # … and some see their first picture, so that more can follow it
                _listen(line, page, report, patience=2.0)
            while waiting:
                line.send(frame(waiting[-1], page))
                waiting.pop()
                report.frames["sent"] += 1
                _listen(line, page, report)
        code = line.close_code or 0
        report.frames[f"closed {code}"] += 1
        if code not in (1000, 4400):
            report.faults.append(f"a socket was closed with {code} near frame {waiting[-1:] or 'the last'}")


def _connected(url: str) -> ClientConnection:
    return connect(
        url.replace("http", "ws") + "/live",
        subprotocols=[Subprotocol(protocol.SUBPROTOCOL)],
        compression=None,
        proxy=None,
        max_size=None,
    )


def _listen(line: ClientConnection, page: Page, report: Report, patience: float = 0.0) -> None:
    """Take what has come, without waiting long unless for a first picture: a fuzzer does not hold back."""
    with contextlib.suppress(TimeoutError):
        while True:
            message = line.recv(0.01 if page.frames else max(0.01, patience))
            if isinstance(message, bytes):
                page.frames = protocol.decode_frame(message).frame
                report.frames["pictures"] += 1
            else:
                said = json.loads(message)
                report.frames[said["type"]] += 1
                # The session checks what it takes: the engine refuses nothing that came this far.
                if said.get("code") in ("internal", "not-paintable"):
                    report.faults.append(f"a live document failed: {message[:300]}")


def _figures(process: psutil.Process, url: str) -> dict[str, float]:
    """Memory, open files and sessions, once what was under way has ended."""
    for _ in range(100):
        text = httpx.get(f"{url}/metrics").text
        gauges = {
            name: float(value)
            for name, value in re.findall(r"^scenebrush_(painters|documents) (\S+)$", text, re.M)
        }
        if not any(gauges.values()):
            break
        time.sleep(0.1)
    time.sleep(0.5)
    return {**gauges, "rss": process.memory_info().rss, "files": float(process.num_fds())}


def _still_paints(url: str) -> None:
    ids = np.full((64, 64), 1, np.uint8)
    response = httpx.post(f"{url}/generate", files={"mask": _saved(Image.fromarray(ids), "PNG")}, timeout=60)
    assert response.status_code == 200, response.text
    assert Image.open(io.BytesIO(response.content)).size == (64, 64)
    page = Page()
    with _connected(url) as line:
        line.send(_open(random.Random(0), page, plain=True))
        line.send(_valid_frame(random.Random(0), page))
        while isinstance(message := line.recv(60), str):
            pass
        assert protocol.decode_frame(message).picture


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--bodies", type=int, default=10_000)
    options.add_argument("--frames", type=int, default=10_000)
    options.add_argument("--model", choices=["built-in", "tiny", "fake"], default="built-in")
    report = fuzz(**vars(options.parse_args()))
    print(f"bodies     {dict(report.bodies.most_common())}")
    print(f"frames     {dict(report.frames.most_common())}")
    print(f"faults     {report.faults or 'none'}")
    print(f"growth     {report.growth_mib:.1f} MiB after the first tenth")
    print(f"open files {report.files[0]} before, {report.files[1]} after")
    print(f"sessions   {report.sessions[0]:g} before, {report.sessions[1]:g} after")
    print(f"documents  {report.documents[0]:g} before, {report.documents[1]:g} after")
    print(f"paints     yes; {report.seconds:.0f} s in all")


if __name__ == "__main__":
    main()
