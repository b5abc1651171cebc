"""After setup nothing needs a network: a server that is cut off serves the page, `/generate` and `/live`."""

import io
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from websockets.sync.client import connect

from tests import network
from tests.serving import Server, serve

SOMEWHERE_ELSE = "192.0.2.1"  # TEST-NET-1 of RFC 5737: nobody's address
LABELS = struct.Struct(
    "<BBHIIHHHH"
)  # docs/protocol.md: kind, encoding, 0, epoch, revision, x, y, width, height
FRAME = struct.Struct("<BBBBIIIHHIII")
SIDE = 64


@pytest.fixture(scope="module")
def server(isolation: network.Isolation, root: Path) -> Iterator[Server]:
    if isolation == "none":
        pytest.skip("--network leaves the network on")
    with serve(cwd=root) as running:
        yield running


def test_nothing_beyond_loopback_is_reached_by_this_process_or_its_children(
    isolation: network.Isolation,
) -> None:
    if isolation == "none":
        pytest.skip("--network leaves the network on")
    question = f"import tests.network as n; print(n.reaches({SOMEWHERE_ELSE!r}), n.reaches('127.0.0.1'))"
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "True"]
    assert not network.reaches(SOMEWHERE_ELSE)


def test_the_guard_refuses_what_the_namespace_would() -> None:
    program = (
        "import socket\n"
        f"for ask in (lambda: socket.create_connection(({SOMEWHERE_ELSE!r}, 9)),"
        " lambda: socket.getaddrinfo('somewhere.invalid', 80)):\n"
        "    try:\n"
        "        ask()\n"
        "    except OSError as error:\n"
        "        print(error.args[1])\n"
        "with socket.create_server(('127.0.0.1', 0)) as here:\n"
        "    socket.create_connection(here.getsockname()).close()\n"
        "    print('loopback works')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(network.GUARD)}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    first, second, third = ran.stdout.splitlines()
    assert "without a network" in first
    assert "without a network" in second
    assert third == "loopback works"


def test_page_and_everything_it_loads(server: Server) -> None:
    page = httpx.get(f"{server.url}/")
    assert page.status_code == 200
    sources = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", page.text)
    assert any(source.endswith(".js") for source in sources)
    assert any(source.endswith(".css") for source in sources)
    for source in sources:
        address = httpx.URL(f"{server.url}/").join(source)
        assert address.host == "127.0.0.1", f"the page loads {source} from elsewhere"
        assert httpx.get(address).status_code == 200, f"{source} is not there"


def test_docs_page_brings_its_own_files(server: Server) -> None:
    page = httpx.get(f"{server.url}/docs")
    assert page.status_code == 200
    sources = re.findall(r"""<(?:script|link)[^>]*(?:src|href)=["']([^"']+)["']""", page.text)
    assert sources
    for source in sources:
        address = httpx.URL(f"{server.url}/docs").join(source)
        assert address.host == "127.0.0.1", f"/docs loads {source} from elsewhere"
        assert httpx.get(address).status_code == 200, f"{source} is not there"


def test_generate(server: Server, root: Path) -> None:
    mask = (root / "examples" / "lake.png").read_bytes()
    answer = httpx.post(f"{server.url}/generate", files={"mask": ("lake.png", mask, "image/png")}, timeout=60)
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as photo:
        assert photo.format == "JPEG"
        assert photo.size == (256, 256)


def test_live(server: Server) -> None:
    (model,) = [model for model in httpx.get(f"{server.url}/models").json()["models"] if model["default"]]
    labels = model["label_set"]["labels"]
    sky = next(label["id"] for label in labels if label["name"] == "sky")
    opening = {
        "type": "open",
        "epoch": 1,
        "width": SIDE,
        "height": SIDE,
        "model": None,
        "label_set": model["label_set"]["hash"],
        "seed": 1,
        "style": None,
        "format": "jpeg",
    }
    address = server.url.replace("http://", "ws://") + "/live"
    with connect(address, subprotocols=["scenebrush.live.v2"], origin=server.url, proxy=None) as painter:
        painter.send(json.dumps(opening))
        assert json.loads(painter.recv(timeout=30))["type"] == "ready"
        painter.send(LABELS.pack(2, 0, 0, 1, 1, 0, 0, SIDE, SIDE) + bytes([sky]) * (SIDE * SIDE))
        message = painter.recv(timeout=60)
    assert isinstance(message, bytes), message
    kind, encoding, _flags, _, epoch, revision, _number, width, height, *_ = FRAME.unpack_from(message)
    assert (kind, encoding, epoch, revision, width, height) == (16, 1, 1, 1, SIDE, SIDE)
    with Image.open(io.BytesIO(message[FRAME.size :])) as photo:
        assert photo.size == (SIDE, SIDE)
