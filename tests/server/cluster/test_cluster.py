"""A real cluster on this machine: two model replicas behind Ray Serve's own proxy, asked over HTTP."""

import contextlib
import io
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from models.labels import load_label_set
from server import protocol
from server.cluster.placing import Candidate, Route, place
from tests.server.conftest import image_file, palette_png
from tests.server.photographs import write_tiny_segmenter
from tests.serving import CHECKOUT_COMMAND, Server, serve
from tests.tiny import write_tiny_model

LANDSCAPE = load_label_set("landscape17")
SIZE = 32
SKY = np.full((SIZE, SIZE), 1, np.uint8)
WITHIN = 60.0  # seconds; everything that happens takes a fraction of it on a quiet machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two replicas and an ingress; two models and a segmenter."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder)
    write_tiny_model(folder, "other", seed=1)
    write_tiny_segmenter(folder)
    settings = {
        "SCENEBRUSH_MODELS_DIR": str(folder),
        "SCENEBRUSH_DEFAULT_MODEL": "tiny",
        "SCENEBRUSH_DEVICE": "cpu",
        "SCENEBRUSH_PRECISION": "fp32",
        "SCENEBRUSH_THREADS": "1",
        "SCENEBRUSH_RAY_REPLICAS": "2",
        "SCENEBRUSH_RAY_CPUS": "0.5",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),  # else one is written into the home folder
    }
    command = (*CHECKOUT_COMMAND, "--ray")
    with serve(command, cwd=Path.cwd(), settings=settings, within=4 * WITHIN) as server:
        yield server
        if server.process.poll() is None:
            server.stop()


class Page:
    """A page of the studio, as far as its socket goes: it keeps the map, and acknowledges what it shows."""

    def __init__(self, socket: ClientConnection, labels: np.ndarray) -> None:
        self.socket = socket
        self.revision = 0
        self.labels = labels.copy()
        self.session = ""

    def open(self, model: str = "tiny") -> None:
        document = {"epoch": 1, "width": SIZE, "height": SIZE, "label_set": LANDSCAPE.hash, "seed": 1}
        self.say(type="open", model=model, style=None, format="png", quality="exact", **document)
        self.session = self.hear("ready")["session"]
        self.revision += 1
        self.socket.send(protocol.encode_labels(1, self.revision, 0, 0, self.labels, whole=True))

    def paint_alone(self, label: int, x: int, y: int) -> None:
        self.labels[y : y + 4, x : x + 4] = label

    def paint(self, label: int, x: int, y: int) -> None:
        self.paint_alone(label, x, y)
        self.revision += 1
        self.socket.send(protocol.encode_labels(1, self.revision, x, y, self.labels[y : y + 4, x : x + 4]))

    def newest(self) -> np.ndarray:
        """The picture of the newest revision. Whatever the socket says on the way is an error."""
        shown = 0
        while shown < self.revision:
            data = self.socket.recv(WITHIN)
            assert isinstance(data, bytes), data
            frame = protocol.decode_frame(data)
            assert frame.revision >= shown, "a frame of an older revision came after a newer one"
            shown = frame.revision
            self.say(type="ack", epoch=1, frame=frame.frame)
        assert frame.exact
        return pixels(frame.picture)

    def wait_until_closed(self) -> int:
        """The code that it was closed with; 1006 if nobody said one."""
        try:
            while True:
                self.socket.recv(WITHIN)
        except ConnectionClosed as over:
            return over.rcvd.code if over.rcvd is not None else 1006

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hear(self, kind: str) -> dict[str, Any]:
        while True:
            data = self.socket.recv(WITHIN)
            message = json.loads(data) if isinstance(data, str) else {}
            if message.get("type") == kind:
                return message
            assert message.get("type") == "load", data


@contextlib.contextmanager
def page(server: Server, labels: np.ndarray = SKY, model: str = "tiny") -> Iterator[Page]:
    address = server.url.replace("http", "ws") + "/live"
    ours = [Subprotocol(protocol.SUBPROTOCOL)]
    with connect(address, subprotocols=ours, compression=None, proxy=None) as socket:
        one = Page(socket, labels)
        one.open(model)
        yield one


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def generate(server: Server, labels: np.ndarray, **fields: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/generate",
        files={"mask": ("map.png", palette_png(labels), "image/png")},
        data={"format": "png", "seed": "1", **fields},
        timeout=WITHIN,
    )


def generated(server: Server, labels: np.ndarray, **fields: str) -> np.ndarray:
    answer = generate(server, labels, **fields)
    assert answer.status_code == 200, answer.text
    return pixels(answer.content)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def replicas(server: Server) -> dict[str, psutil.Process]:
    """The running model replicas by their ids in the cluster, as they have said in the log."""
    said = re.findall(r'"replica": "(\w+)", "pid": (\d+)', server.log.decode())
    return {name: psutil.Process(int(pid)) for name, pid in said if psutil.pid_exists(int(pid))}


def children(server: Server) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def home(names: list[str], painter: str) -> str:
    """Where a painter goes that comes to these replicas, none of them busy."""
    chosen = place([Candidate(name) for name in names], Route(painter))
    assert chosen is not None
    return chosen.id


def homes(server: Server) -> Counter[str]:
    """Painters by replica, as the ingress says."""
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    said = [line.split('"') for line in lines if line.startswith("scenebrush_replica_painters{")]
    return Counter({name: int(float(value.split()[-1])) for _, name, value in said})


@pytest.fixture
def scene() -> np.ndarray:
    labels = np.full((SIZE, SIZE), 1, np.uint8)
    labels[20:] = 8
    return labels


def test_both_replicas_paint_the_same(cluster: Server, scene: np.ndarray) -> None:
    ready = httpx.get(f"{cluster.url}/readyz").json()
    assert (ready["model"], ready["precision"]) == ("tiny", "fp32")
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda _: generate(cluster, scene), range(24)))
    assert {answer.status_code for answer in pictures} == {200}
    assert len({answer.content for answer in pictures}) == 1


def test_several_models_and_the_reading_of_photos(cluster: Server, scene: np.ndarray) -> None:
    tiny, other = generated(cluster, scene), generated(cluster, scene, model="other")
    assert (tiny != other).mean() > 0.5
    with page(cluster, scene, "other") as one:
        assert (one.newest() == other).all()
    photo = {"image": ("photo.png", image_file(tiny), "image/png")}
    read = httpx.post(f"{cluster.url}/segment", files=photo, timeout=WITHIN)
    assert read.status_code == 200, read.text
    style = httpx.post(f"{cluster.url}/styles", files=photo, timeout=WITHIN)
    assert style.status_code == 200, style.text
    assert len(style.json()["style"]) == 8


def test_what_a_replica_refuses_is_said_as_on_one_machine(cluster: Server, scene: np.ndarray) -> None:
    answer = generate(cluster, scene, model="none")
    assert answer.status_code == 404, cluster.said[-3000:]
    assert answer.json()["type"] == "urn:scenebrush:problem:unknown-model"
    answer = generate(cluster, scene, style="[1e9]")
    assert answer.status_code == 422
    assert answer.json()["next"]


def test_painters_spread_over_the_replicas_and_stay(cluster: Server) -> None:
    with contextlib.ExitStack() as stack:
        pages = [stack.enter_context(page(cluster)) for _ in range(8)]
        for one in pages:
            one.newest()
        names = list(replicas(cluster))
        assert len(names) == 2
        expected = Counter(home(names, one.session) for one in pages)
        assert homes(cluster) == expected
        for number, one in enumerate(pages):
            one.paint(8, number, 2 * number)
            assert (one.newest() == generated(cluster, one.labels)).all()
        assert homes(cluster) == expected
    wait_for(lambda: not homes(cluster))


def test_a_painter_survives_its_replica(cluster: Server) -> None:
    names = replicas(cluster)
    with page(cluster) as one, page(cluster) as another:
        for each in (one, another):
            each.newest()
            each.paint(3, 4, 4)
            each.newest()
        own = home(list(names), one.session)
        assert homes(cluster)[own] >= 1

        one.paint(8, 12, 12)  # under way while the replica dies
        names[own].kill()
        one.paint(9, 20, 20)
        another.paint(9, 8, 8)

        # The same socket, no error, and the whole map: what was acknowledged before, and what came meanwhile.
        assert (one.newest() == generated(cluster, one.labels)).all()
        assert (another.newest() == generated(cluster, another.labels)).all()
        assert own not in homes(cluster)
        assert httpx.get(f"{cluster.url}/readyz").status_code == 200
        wait_for(lambda: len(set(replicas(cluster)) - {own}) == 2)  # another one takes its place
        one.paint(3, 0, 28)
        assert (one.newest() == generated(cluster, one.labels)).all()


def test_a_page_comes_back_when_its_ingress_dies(cluster: Server) -> None:
    (ingress,) = (one for one in children(cluster) if ":Studio" in command(one))
    with page(cluster) as one:
        one.newest()
        ingress.kill()
        one.wait_until_closed()
    wait_for(lambda: httpx.get(f"{cluster.url}/readyz", timeout=WITHIN).status_code == 200)
    one.paint_alone(8, 4, 4)  # nobody hears it, but the page has it
    with page(cluster, one.labels) as again:
        assert (again.newest() == generated(cluster, one.labels)).all()


def test_a_message_that_is_too_large_closes_the_socket(cluster: Server) -> None:
    with page(cluster) as one:
        one.newest()
        one.socket.send(bytes(3 << 20))
        assert one.wait_until_closed() == protocol.Close.TOO_BIG


def test_it_leaves_in_order(cluster: Server) -> None:
    """The last test of this file: the cluster stops."""
    started = {process.pid for process in children(cluster)}
    with page(cluster) as one:
        one.newest()
        cluster.process.terminate()
        assert one.hear("bye")["retry_after"] > 0
        assert one.wait_until_closed() == protocol.Close.GOING_AWAY
    assert cluster.process.wait(WITHIN) == 0
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in started))
