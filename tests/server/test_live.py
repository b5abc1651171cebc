"""The live socket over a real uvicorn server: every turn that a connection can take."""

import asyncio
import contextlib
import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from server import protocol
from server.routes import live
from server.scheduler import Level
from server.settings import Settings
from tests.server.conftest import LANDSCAPE, Served, palette_png, run, served
from tests.server.fake_engine import FakeLibrary

SIZE = 32


class Page:
    """A page of the studio, as far as its socket goes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.socket = connection
        self.epoch = 0
        self.revision = 0

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hear(self, kind: str, timeout: float = 5) -> dict[str, Any]:
        data = self.socket.recv(timeout)
        assert isinstance(data, str), protocol.decode_frame(data)
        message = json.loads(data)
        assert message["type"] == kind, message
        return message

    def frame(self, *, ack: bool = True, timeout: float = 5) -> protocol.Frame:
        data = self.socket.recv(timeout)
        assert isinstance(data, bytes), data
        frame = protocol.decode_frame(data)
        if ack:
            self.ack(frame.frame)
        return frame

    def ack(self, frame: int) -> None:
        self.say(type="ack", epoch=self.epoch, frame=frame)

    def open(self, **changes: Any) -> dict[str, Any]:
        self.epoch += 1
        fields = {
            "epoch": self.epoch,
            "width": SIZE,
            "height": SIZE,
            "model": None,
            "label_set": LANDSCAPE.hash,
            "seed": 1,
            "style": None,
            "format": "png",
        }
        self.say(type="open", **{**fields, **changes})
        return self.hear("ready")

    def whole(self, value: int = 1, size: int = SIZE) -> None:
        self.revision += 1
        ids = np.full((size, size), value, np.uint8)
        self.socket.send(protocol.encode_labels(self.epoch, self.revision, 0, 0, ids, whole=True))

    def patch(self, value: int = 3, x: int = 4, y: int = 4, *, more: bool = False) -> None:
        self.revision += 1
        ids = np.full((4, 4), value, np.uint8)
        self.socket.send(protocol.encode_labels(self.epoch, self.revision, x, y, ids, more=more))

    def styles(self, value: int = 1, x: int = 4, y: int = 4) -> None:
        self.revision += 1
        numbers = np.full((4, 4), value, np.uint8)
        self.socket.send(protocol.encode_styles(self.epoch, self.revision, x, y, numbers))

    def closed(self, timeout: float = 5) -> int:
        """Read to the end; the close code."""
        try:
            while True:
                self.socket.recv(timeout)
        except ConnectionClosed as over:
            return over.rcvd.code if over.rcvd is not None else 1006


@contextlib.contextmanager
def page(server: Served, **options: Any) -> Iterator[Page]:
    ours = {"subprotocols": [Subprotocol(protocol.SUBPROTOCOL)], "compression": None, "proxy": None}
    with connect(server.live, **{**ours, **options}) as connection:
        yield Page(connection)


@pytest.fixture
def server(library: FakeLibrary) -> Iterator[Served]:
    with served(library) as running:
        yield running


@pytest.fixture
def painter(server: Served) -> Iterator[Page]:
    """A page whose document is open and painted once."""
    with page(server) as one:
        one.open()
        one.whole()
        one.frame()
        yield one


@pytest.fixture
def patient(server: Served, library: FakeLibrary) -> None:
    """Previews, and a rest that no busy machine mistakes for one."""
    server.services.worker.scheduler._shortest_rest = 0.4
    library.previews = True


def wait_for(condition: Any, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_a_document_from_open_to_frame(server: Served) -> None:
    with page(server) as one:
        assert one.socket.subprotocol == protocol.SUBPROTOCOL
        ready = one.open()
        assert (ready["model"], ready["width"], ready["label_set"]) == ("fake", SIZE, LANDSCAPE.hash)
        one.whole()
        frame = one.frame()
        assert (frame.epoch, frame.revision, frame.frame) == (1, 1, 1)
        assert (frame.width, frame.height, frame.format) == (SIZE, SIZE, "png")
        assert frame.exact
        assert frame.newest
        assert frame.label_set == LANDSCAPE.hash[:8]
        assert frame.picture.startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "magic"), [("jpeg", b"\xff\xd8"), ("webp", b"RIFF"), ("png", b"\x89PNG")])
def test_formats(server: Served, name: str, magic: bytes) -> None:
    with page(server) as one:
        one.open(format=name)
        one.whole()
        frame = one.frame()
        assert frame.format == name
        assert frame.picture.startswith(magic)


def test_undo_brings_the_picture_back_to_the_byte(painter: Page) -> None:
    painter.patch(value=3)
    painted = painter.frame()
    painter.patch(value=8, x=6)
    other = painter.frame()
    painter.revision += 1
    undone = np.full((4, 6), 3, np.uint8)
    undone[:, 4:] = 1
    painter.socket.send(protocol.encode_labels(painter.epoch, painter.revision, 4, 4, undone))
    again = painter.frame()
    assert other.picture != painted.picture
    assert again.picture == painted.picture


def test_a_patch_reaches_the_device_as_a_patch(painter: Page, library: FakeLibrary) -> None:
    library.calls.clear()
    painter.patch(x=10, y=12)
    painter.frame()
    assert library.calls == [("apply", (10, 12, 4, 4))]


def test_a_patch_of_styles_reaches_the_device_as_a_patch(server: Served, library: FakeLibrary) -> None:
    with page(server) as one:
        one.open(regions=[[1, 0, 0, 0], [2, 0, 0, 0]])
        one.whole()
        one.frame()
        library.calls.clear()
        one.styles(value=2, x=10, y=12)
        styled = one.frame()
        assert library.calls == [("apply_style_plane", (10, 12, 4, 4))]
        one.say(type="style", epoch=1, revision=3, seed=1, regions=[[1, 0, 0, 0], [-2, 0, 0, 0]])
        one.revision = 3
        assert one.frame().picture != styled.picture
        assert library.calls[1:] == [("set_regions", (2,))]
        one.say(type="style", epoch=1, revision=4, seed=1, regions=[])
        one.frame()
        # Numbers that have no region any more are gone before the regions are.
        assert library.calls[2:] == [("set_style_plane", (SIZE, SIZE)), ("set_regions", (0,))]


def test_a_batch_is_painted_once(painter: Page, library: FakeLibrary) -> None:
    rendered = library.rendered
    for x in (0, 8, 16):
        painter.patch(x=x, more=True)
        painter.say(type="ping", t=x)
        painter.hear("pong")  # the server had all the time that it could want
    assert library.rendered == rendered
    painter.patch(x=24)
    assert painter.frame().revision == painter.revision
    assert library.rendered == rendered + 1


def test_what_is_due_waits_for_the_end_of_a_batch(painter: Page, patient: None, library: FakeLibrary) -> None:
    painter.patch(value=3)
    assert not painter.frame().exact  # an exact one is owed
    painter.patch(value=8, more=True)
    with pytest.raises(TimeoutError):
        painter.socket.recv(0.6)
    painter.patch(value=8, x=12)
    frame = painter.frame()
    assert frame.revision == painter.revision
    while not frame.exact:
        frame = painter.frame()
    assert frame.revision == painter.revision


def test_renders_are_superseded_and_patches_are_not(painter: Page, library: FakeLibrary) -> None:
    library.gate.clear()
    rendered = library.rendered
    painter.patch(value=3, x=0)
    wait_for(lambda: len(library.calls) > 1)  # revision 2 has started
    for x in (4, 8, 12, 16):
        painter.patch(value=3, x=x)
    painter.say(type="ping", t=1)
    painter.hear("pong")
    library.gate.set()
    started, newest = painter.frame(), painter.frame()
    assert (started.revision, started.newest) == (2, False)
    assert (newest.revision, newest.newest) == (6, True)
    assert library.rendered == rendered + 2
    assert library.calls[-1] == ("apply", (4, 4, 16, 4))


def test_at_most_two_frames_are_unacknowledged(painter: Page, library: FakeLibrary) -> None:
    for _ in range(2):
        painter.patch()
        painter.frame(ack=False)
    rendered = library.rendered
    painter.patch(value=8)
    painter.patch(value=9)
    with pytest.raises(TimeoutError):
        painter.socket.recv(0.2)
    assert library.rendered == rendered
    painter.ack(2)
    assert painter.frame(ack=False).revision == 5
    painter.ack(4)
    painter.patch()
    assert painter.frame().revision == 6


def test_a_preview_is_followed_by_the_exact_picture_by_itself(
    painter: Page, patient: None, library: FakeLibrary
) -> None:
    for value in (3, 8):
        painter.patch(value=value)
        preview = painter.frame()
        assert (preview.revision, preview.exact, preview.newest) == (painter.revision, False, True)
    exact = painter.frame()
    assert (exact.revision, exact.exact, exact.newest) == (painter.revision, True, True)
    assert exact.picture != preview.picture
    assert library.qualities[-3:] == ["live", "live", "exact"]
    with pytest.raises(TimeoutError):
        painter.socket.recv(0.6)  # nothing follows an exact one


def test_nothing_follows_a_live_picture_that_is_exact(painter: Page, library: FakeLibrary) -> None:
    painter.patch()
    assert painter.frame().exact
    with pytest.raises(TimeoutError):
        painter.socket.recv(0.3)
    assert library.qualities[-1] == "live"


def test_a_hand_that_goes_on_is_shown_previews_only(painter: Page, patient: None) -> None:
    started, frames = time.monotonic(), []
    while time.monotonic() < started + 0.8:
        painter.patch(value=3 + len(frames) % 2)
        frames.append(painter.frame())
    assert not any(frame.exact for frame in frames[:-1])
    last = painter.frame()
    assert (last.revision, last.exact) == (painter.revision, True)


def test_the_exact_picture_waits_for_acknowledgements(painter: Page, patient: None) -> None:
    for value in (3, 8):
        painter.patch(value=value)
        painter.frame(ack=False)
    with pytest.raises(TimeoutError):
        painter.socket.recv(0.6)
    painter.ack(3)
    exact = painter.frame()
    assert (exact.frame, exact.revision, exact.exact) == (4, 3, True)


def test_opening_another_document_ends_what_the_old_one_was_owed(painter: Page, patient: None) -> None:
    painter.patch()
    assert not painter.frame().exact
    painter.open()
    with pytest.raises(TimeoutError):
        painter.socket.recv(0.6)
    painter.revision = 0
    painter.whole()
    assert painter.frame().exact


def test_a_client_may_take_exact_pictures_only(server: Served, library: FakeLibrary) -> None:
    library.previews = True
    with page(server) as one:
        one.open(quality="exact")
        one.whole()
        one.frame()
        for _ in range(3):
            one.patch()
            assert one.frame().exact
        assert set(library.qualities) == {"exact"}


def test_undo_brings_the_exact_picture_back_to_the_byte_through_previews(
    painter: Page, patient: None
) -> None:
    pictures = []
    for value in (3, 8, 3):
        painter.patch(value=value)
        assert not painter.frame().exact
        pictures.append(painter.frame())
    assert [picture.exact for picture in pictures] == [True] * 3
    assert pictures[0].picture == pictures[2].picture != pictures[1].picture


def test_a_model_without_style_is_painted(server: Served, library: FakeLibrary) -> None:
    with page(server) as one:
        labels = library.spec("things").labels.hash
        one.open(model="things", label_set=labels, style=[])
        one.whole(value=100)
        first = one.frame()
        one.revision += 1
        one.say(type="style", epoch=1, revision=one.revision, seed=3, style=None)
        assert one.frame().picture != first.picture  # the seed still sets the noise


def test_a_gap_is_said_once_and_mended_by_the_whole_map(painter: Page) -> None:
    painter.revision += 1
    painter.patch()
    message = painter.hear("resync")
    assert (message["epoch"], message["expected"], message["got"]) == (1, 2, 3)
    painter.patch()
    painter.patch()
    painter.say(type="ping", t=0.5)
    assert painter.hear("pong")["t"] == 0.5  # no second resync, no frame
    painter.whole(value=8)
    assert painter.frame().revision == painter.revision


def test_another_epoch_is_ignored(painter: Page) -> None:
    ids = np.full((4, 4), 8, np.uint8)
    painter.socket.send(protocol.encode_labels(99, 2, 0, 0, ids))
    painter.say(type="style", epoch=99, revision=2, seed=4)
    painter.say(type="ack", epoch=99, frame=1000)
    painter.patch()
    assert painter.frame().revision == 2


def test_a_second_document_on_the_same_socket(painter: Page, server: Served) -> None:
    for _ in range(2):
        painter.patch()
        painter.frame(ack=False)
    painter.open(width=SIZE * 2, height=SIZE * 2)
    painter.revision = 0
    painter.whole(size=SIZE * 2)
    frame = painter.frame()  # frames of the first document need no acknowledgement any more
    assert (frame.epoch, frame.revision, frame.width) == (2, 1, SIZE * 2)
    assert frame.frame == 4  # frames are numbered by connection
    wait_for(lambda: server.services.worker.documents == 1)


def test_opening_during_a_render_drops_the_old_frame(painter: Page, library: FakeLibrary) -> None:
    library.gate.clear()
    painter.patch()
    wait_for(lambda: len(library.calls) > 1)
    painter.open()
    library.gate.set()
    painter.revision = 40
    painter.whole()
    frame = painter.frame()
    assert (frame.epoch, frame.revision) == (2, 41)


def test_a_style_is_painted(painter: Page) -> None:
    painter.patch()
    before = painter.frame()
    painter.revision += 1
    painter.say(type="style", epoch=1, revision=painter.revision, seed=1, style=[9, 0, 0, 0])
    after = painter.frame()
    assert after.revision == 3
    assert after.picture != before.picture


def test_an_unknown_label_is_an_error_that_can_be_mended(painter: Page) -> None:
    painter.patch(value=200)
    message = painter.hear("error")
    assert (message["code"], message["fatal"], message["epoch"]) == ("unknown-label", False, 1)
    assert "id 200 (16 pixels" in message["detail"]
    painter.whole(value=3)
    assert painter.frame().revision == painter.revision


def test_a_failure_at_the_device_is_said_and_survived(painter: Page, library: FakeLibrary) -> None:
    library.failure, library.failing = RuntimeError("secret"), 3
    painter.patch(value=3, x=0)
    message = painter.hear("error")  # the live picture, the exact one, and once more
    assert (message["code"], message["fatal"]) == ("internal", False)
    assert (message["epoch"], message["revision"]) == (painter.epoch, painter.revision)
    assert library.failure is None
    assert "secret" not in json.dumps(message)
    library.calls.clear()
    painter.patch(value=3, x=8)
    assert painter.frame().revision == 3
    assert library.calls == [("set_map", (SIZE, SIZE))]  # begun anew, with both patches


def test_a_picture_that_failed_once_comes_all_the_same(painter: Page, library: FakeLibrary) -> None:
    for failing in (1, 2):
        library.failure, library.failing = RuntimeError("once"), failing
        painter.patch(value=2 + failing)
        frame = painter.frame()
        assert (frame.exact, frame.revision) == (True, painter.revision)


def test_an_exact_picture_that_fails_twice_is_told_of_with_its_revision(library: FakeLibrary) -> None:
    library.previews = True
    with served(library) as server, page(server) as one:
        one.open()
        one.whole()
        while not one.frame().exact:
            pass
        library.exact_gate.clear()
        one.patch(value=3)
        assert not one.frame().exact
        library.failure, library.failing = RuntimeError("no"), 2
        library.exact_gate.set()
        message = one.hear("error")
        assert (message["code"], message["revision"]) == ("internal", one.revision)
        one.patch(value=4)
        while not (frame := one.frame()).exact:
            pass
        assert frame.revision == one.revision


@pytest.mark.parametrize(
    "message",
    [
        "{",
        '{"type":"dance"}',
        b"",
        b"\x01" * 19,
        b"\x01" * 40,
        '{"type":"ack","epoch":1,"frame":77}',
        b"\x10" + bytes(60),
    ],
)
def test_malformed_messages_end_the_connection(painter: Page, message: str | bytes, server: Served) -> None:
    painter.socket.send(message)
    error = painter.hear("error")
    assert (error["code"], error["fatal"]) == ("malformed", True)
    assert painter.closed() == 4400
    wait_for(lambda: not server.services.painters)


def test_a_message_that_is_too_big(painter: Page) -> None:
    # The header of a masked binary frame of 4 MiB, and none of it: bytes that the server leaves unread would
    # reset the connection, now and then before its close frame is read.
    painter.socket.socket.sendall(b"\x82\xff" + (4 * 1024 * 1024).to_bytes(8) + bytes(4))
    assert painter.closed() == 1009


def test_no_common_subprotocol(server: Served) -> None:
    # Among them the page of the version before, which knows this code and says "reload".
    for offered in ([], [Subprotocol("scenebrush.live.v1")], [Subprotocol("scenebrush.live.v3")]):
        with page(server, subprotocols=offered or None) as one:
            assert one.socket.subprotocol is None
            assert one.closed() == 4406


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_origin(server: Served, origin: str) -> None:
    with page(server, origin=Origin(origin)) as one:
        assert one.closed() == 4403
    assert not server.services.painters


def test_origins_that_may_paint(library: FakeLibrary) -> None:
    with served(library, allowed_origins="https://paint.example") as server:
        for origin in (f"http://127.0.0.1:{server.port}", "https://paint.example"):
            with page(server, origin=Origin(origin)) as one:
                assert one.open()["type"] == "ready"


def test_a_host_that_is_not_ours(server: Served) -> None:
    raw = socket.create_connection(("127.0.0.1", server.port))
    with raw, pytest.raises(InvalidStatus) as refused:
        connect("ws://evil.example/live", sock=raw, proxy=None)
    assert refused.value.response.status_code == 403


def test_too_many_painters(library: FakeLibrary) -> None:
    with served(library, max_painters=1) as server:
        with page(server) as first:
            first.open()
            with page(server) as second:
                message = second.hear("bye")
                assert message["retry_after"] > 0
                assert second.closed() == 1013
            first.whole()
            first.frame()
        wait_for(lambda: not server.services.painters)
        with page(server) as third:
            third.open()


def test_an_idle_painter_gives_up_its_seat(library: FakeLibrary) -> None:
    with served(library, idle_timeout=0.3) as server, page(server) as one:
        one.open()
        one.whole()
        one.frame()
        started = time.monotonic()
        while time.monotonic() < started + 0.2:
            one.patch()
            one.frame()  # painting keeps the seat
        one.say(type="ping", t=1)  # a ping does not
        assert one.closed() == 4408
        wait_for(lambda: not server.services.painters)


def test_what_is_refused_or_ignored_keeps_no_seat(library: FakeLibrary) -> None:
    ids = np.full((4, 4), 8, np.uint8)
    for first in ("refused", "ready"):
        with served(library, idle_timeout=0.3) as server, page(server) as one:
            one.epoch = 1
            side = 60_000 if first == "refused" else SIZE
            fields = {"width": side, "height": side, "label_set": LANDSCAPE.hash, "seed": 1}
            one.say(type="open", epoch=1, **fields)
            one.hear("error" if first == "refused" else "ready")
            started = time.monotonic()
            with contextlib.suppress(ConnectionClosed):
                while time.monotonic() < started + 2:
                    one.socket.send(protocol.encode_labels(99, 1, 0, 0, ids))  # another epoch
                    one.socket.send(protocol.encode_labels(1, 7, 0, 0, ids))  # no whole map yet
                    one.say(type="style", epoch=1, revision=7, seed=1)
                    one.say(type="open", epoch=1, **fields)  # an epoch that is over
                    time.sleep(0.02)
            assert one.closed() == 4408
            assert time.monotonic() < started + 1.5


def test_a_refused_open_gets_no_more_time(library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.routes.live._SECONDS_TO_OPEN", 0.3)
    with served(library) as server, page(server) as one:
        one.say(type="open", epoch=1, width=60_000, height=60_000, label_set=LANDSCAPE.hash, seed=1)
        one.hear("error")
        assert one.closed(timeout=3) == 4408


def test_many_messages_at_once_let_others_in() -> None:
    count, turns = 500, 0

    class Ready:
        """A socket whose messages have all come."""

        def __init__(self) -> None:
            self.left = count

        async def receive(self) -> dict[str, Any]:
            self.left -= 1
            if self.left < 0:
                return {"type": "websocket.disconnect", "code": 1000}
            return {"type": "websocket.receive", "bytes": b""}

    class Deaf:
        async def receive(self, message: object) -> bool:
            return False

    async def main() -> None:
        nonlocal turns
        services: Any = SimpleNamespace(settings=Settings())
        socket, painter = Ready(), Deaf()
        reading = asyncio.create_task(live._read(socket, services, painter))  # type: ignore[arg-type]
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        with pytest.raises(WebSocketDisconnect):
            await reading

    run(main())
    assert turns >= count


def test_a_painter_that_goes_leaves_nothing(server: Served) -> None:
    with page(server) as one:
        one.open()
        one.whole()
        one.frame()
        assert server.services.worker.documents == 1
    wait_for(lambda: server.services.worker.scheduler.painters == 0)
    wait_for(lambda: server.services.worker.documents == 0)
    assert not server.services.painters


def test_a_painter_may_go_during_its_render(server: Served, library: FakeLibrary) -> None:
    library.gate.clear()
    with page(server) as one:
        one.open()
        one.whole()
        wait_for(lambda: library.calls)
    wait_for(lambda: server.services.worker.scheduler.painters == 0)
    library.gate.set()
    wait_for(lambda: server.services.worker.documents == 0 and server.services.worker.scheduler.idle)
    with page(server) as two:
        two.open()
        two.whole()
        two.frame()


def test_two_painters_and_requests_share_the_device(server: Served, library: FakeLibrary) -> None:
    library.seconds = 0.01
    with page(server) as one, page(server) as two:
        for each in (one, two):
            each.open()
            each.whole()
            each.frame()
        mask = palette_png(np.full((SIZE, SIZE), 1, np.uint8))
        with ThreadPoolExecutor(2) as senders:
            answers = [
                senders.submit(httpx.post, f"{server.url}/generate", files={"mask": mask}) for _ in range(10)
            ]
            for revision in range(2, 12):
                for each in (one, two):
                    each.patch()
                assert [each.frame().revision for each in (one, two)] == [revision, revision]
            assert [answer.result().status_code for answer in answers] == [200] * 10


def wait_together(pages: list[Page], server: Served, library: FakeLibrary) -> None:
    """All pages' patches, and nothing else, wait for a device that is busy with a request."""
    library.gate.clear()
    sending = ThreadPoolExecutor(1)
    mask = palette_png(np.full((SIZE, SIZE), 1, np.uint8))
    answer = sending.submit(httpx.post, f"{server.url}/generate", files={"mask": mask})
    wait_for(
        lambda: not server.services.worker.scheduler.idle and not server.services.worker.scheduler.queued
    )
    for number, each in enumerate(pages):
        each.patch(value=3 + number)
        each.say(type="ping", t=1)
        each.hear("pong")
    library.gate.set()
    assert answer.result().status_code == 200
    sending.shutdown()


def test_painters_that_wait_together_are_painted_together(library: FakeLibrary) -> None:
    with served(library, batch=4) as server, contextlib.ExitStack() as stack:
        pages = [stack.enter_context(page(server)) for _ in range(3)]
        for number, each in enumerate(pages):
            each.open(seed=number, quality="exact")
            each.whole()
            each.frame()
        library.batches.clear()
        wait_together(pages, server, library)
        together = [each.frame() for each in pages]
        assert library.batches == [3]
        for number, frame in enumerate(together):
            alone = pages[number]
            alone.open(seed=number, quality="exact")
            alone.whole()
            alone.frame()
            alone.patch(value=3 + number)
            assert alone.frame().picture == frame.picture  # each got its own


def test_one_that_fails_in_a_batch_takes_nobody_down(library: FakeLibrary) -> None:
    with served(library, batch=4) as server, contextlib.ExitStack() as stack:
        pages = [stack.enter_context(page(server)) for _ in range(3)]
        for each in pages:
            each.open(quality="exact")
            each.whole()
            each.frame()
        library.poison = 4
        wait_together(pages, server, library)
        assert pages[0].frame().revision == pages[0].revision
        assert pages[1].hear("error")["code"] == "internal"
        assert pages[2].frame().revision == pages[2].revision
        pages[1].patch(value=5)
        assert pages[1].frame().exact  # begun anew


def test_on_a_cpu_everyone_is_painted_alone_unless_told_otherwise(
    server: Served, library: FakeLibrary
) -> None:
    with page(server) as one, page(server) as two:
        for each in (one, two):
            each.open(quality="exact")
            each.whole()
            each.frame()
        wait_together([one, two], server, library)
        for each in (one, two):
            each.frame()
    assert library.batches == []


@pytest.mark.parametrize("device", ["cpu", "NVIDIA H200"])
def test_requests_are_batched_on_every_device(library: FakeLibrary, device: str) -> None:
    library.device_name = device
    mask = palette_png(np.full((SIZE, SIZE), 1, np.uint8))
    with served(library, batch=2) as server, ThreadPoolExecutor(3) as senders:
        library.gate.clear()
        answers = [
            senders.submit(httpx.post, f"{server.url}/generate", files={"mask": mask}, data={"seed": seed})
            for seed in "123"
        ]
        wait_for(lambda: server.services.worker.scheduler.queued == 2)
        library.gate.set()
        assert [answer.result().status_code for answer in answers] == [200] * 3
        assert len({answer.result().content for answer in answers}) == 3
    assert library.batches == [2]
    assert set(library.qualities) == {"exact"}


# A full house


def set_level(server: Served, level: Level) -> None:
    """As if so many hands moved: from now on the load is what we say."""
    server.services.worker.scheduler.observe_load = lambda _now: False  # type: ignore[method-assign]
    server.services.worker.scheduler._load.level = level


def change_level(server: Served, level: Level) -> None:
    """The next look at the load finds it changed."""
    worker = server.services.worker

    def observe(_now: float) -> bool:
        worker.scheduler._load.level, changed = level, worker.scheduler.level is not level
        return changed

    worker.scheduler.observe_load = observe  # type: ignore[method-assign]


def test_on_a_full_device_live_pictures_are_smaller_and_the_exact_one_is_whole(
    server: Served, library: FakeLibrary, patient: None
) -> None:
    set_level(server, Level.SMALLER)
    with page(server) as one:
        one.open(width=128, height=128)
        assert one.hear("load") == {"type": "load", "level": "smaller", "painters": 1}
        one.whole(size=128)
        first = one.frame()
        assert (first.width, first.height, first.exact) == (64, 64, False)
        assert server.services.worker.documents == 1
        one.patch(3)
        assert [call for call in library.calls if call[0] == "apply"] == []
        second = one.frame()
        assert (second.width, second.exact, second.revision) == (64, False, 2)
        assert ("apply", (2, 2, 2, 2)) in library.calls  # half the patch, at half the size
        whole = one.frame()
        assert (whole.width, whole.height, whole.exact, whole.revision) == (128, 128, True, 2)
        picture = np.asarray(Image.open(io.BytesIO(whole.picture)))
        one.patch(3)  # the same again: nothing of the smaller pictures got into the exact one
        assert one.frame().width == 64
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(one.frame().picture))), picture)
        change_level(server, Level.NORMAL)
        one.patch(4)
        assert one.frame().width == 64  # its turn had begun
        assert one.hear("load")["level"] == "normal"
        assert one.frame().exact
        one.patch(5)
        assert one.frame().width == 128
        wait_for(lambda: server.services.worker.documents == 1)  # the smaller one's painter is gone


def test_a_little_canvas_is_never_painted_smaller_and_says_slower(
    server: Served, painter: Page, patient: None
) -> None:
    change_level(server, Level.SMALLER)
    painter.patch(3)
    assert painter.frame().width == SIZE
    assert painter.hear("load") == {"type": "load", "level": "slower", "painters": 1}


def test_a_high_load_ends_though_nothing_happens(server: Served, painter: Page) -> None:
    change_level(server, Level.SLOWER)
    painter.patch(3)
    painter.frame()
    assert painter.hear("load")["level"] == "slower"
    change_level(server, Level.NORMAL)
    assert painter.hear("load")["level"] == "normal"


def test_a_document_opened_on_a_full_device_is_told(server: Served, painter: Page) -> None:
    set_level(server, Level.SLOWER)
    painter.open()
    assert painter.hear("load") == {"type": "load", "level": "slower", "painters": 1}


# A device that does not answer


def test_a_wedged_device_is_noticed_and_everybody_told(library: FakeLibrary) -> None:
    with served(library, watchdog_seconds=0.2) as server, page(server) as one:
        gave_up = threading.Event()
        server.services.worker.on_wedged = gave_up.set
        one.open()
        library.gate.clear()
        one.whole()
        assert gave_up.wait(5)
        assert httpx.get(f"{server.url}/healthz").json()["type"].endswith("device-wedged")
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        answer = httpx.post(f"{server.url}/generate", files={"mask": palette_png(np.ones((8, 8)))})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        with page(server) as late:
            assert "does not answer" in late.hear("bye")["reason"] or late.closed() == 1013


def test_a_use_of_the_device_that_ends_in_time_is_no_wedge(library: FakeLibrary) -> None:
    library.seconds = 0.1
    with served(library, watchdog_seconds=0.5) as server, page(server) as one:
        one.open()
        for _ in range(8):  # longer together than the watchdog waits for each
            one.whole()
            one.frame()
        assert not server.services.worker.wedged
        assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_bye_when_the_server_stops(library: FakeLibrary) -> None:
    with served(library) as server, page(server) as one:
        one.open()
        one.whole()
        one.frame()
        server.server.should_exit = True
        message = one.hear("bye")
        assert message["retry_after"] > 0
        assert one.closed() == 1001
