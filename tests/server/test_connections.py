"""Connections of peers that are slow, greedy or silent, over a real uvicorn server."""

import contextlib
import re
import socket
import struct
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.responses import Response
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from server.guard.connections import MOST_HEAD_BYTES, Bounds, Watch, room_for
from server.middleware import SECURITY_HEADERS
from tests.server.conftest import Served, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import wait_for

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@contextlib.contextmanager
def raw(server: Served, *, receives: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as peer:
        if receives is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", server.port))
        yield peer


def to_the_end(peer: socket.socket) -> bytes:
    """All that comes until the connection ends, be it closed or reset."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while data := peer.recv(65536):
            got += data
    return got


def dropped(server: Served, why: str) -> float:
    return server.services.metrics.dropped.labels(why)._value.get()


def headers_of(answer: bytes) -> httpx.Headers:
    head = answer.partition(b"\r\n\r\n")[0].decode()
    return httpx.Headers([tuple(re.split(": ?", line, maxsplit=1)) for line in head.split("\r\n")[1:]])


def check_bare(answer: bytes, status: int) -> None:
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    headers = headers_of(answer)
    for name, value in SECURITY_HEADERS.items():
        assert headers[name] == value
    assert headers["content-type"] == "application/problem+json"
    assert len(answer.partition(b"\r\n\r\n")[2]) == int(headers["content-length"])


# Heads


@pytest.fixture(scope="module")
def hasty() -> Iterator[Served]:
    """A server in a hurry."""
    with served(FakeLibrary(), head_timeout=0.4, send_timeout=1, request_timeout=3) as running:
        yield running


@pytest.mark.parametrize("sent", [b"", HEAD, b"\r\n", b"GET /healthz HTTP/1.1\r\n\r\n"[:10]])
def test_a_head_that_does_not_come_costs_the_connection(hasty: Served, sent: bytes) -> None:
    before = dropped(hasty, "head")
    with raw(hasty) as peer:
        peer.sendall(sent)
        assert to_the_end(peer) == b""
    assert dropped(hasty, "head") == before + 1


def test_a_head_that_drips_costs_the_connection(hasty: Served) -> None:
    with raw(hasty) as peer:
        peer.sendall(HEAD)
        drip_until_dropped(peer, b"X: y\r\n")


@pytest.mark.parametrize("drip", [b"\r\n", b"G"])
def test_the_next_head_of_a_kept_connection_is_awaited_too(hasty: Served, drip: bytes) -> None:
    with raw(hasty) as peer:
        peer.sendall(HEAD + b"\r\n")
        assert b"200 OK" in peer.recv(65536)
        drip_until_dropped(peer, drip)


def drip_until_dropped(peer: socket.socket, drip: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(500):
            peer.sendall(drip)
            time.sleep(0.02)
        raise AssertionError("still open")


def test_a_request_that_is_worked_on_waits_for_no_head(hasty: Served) -> None:
    with raw(hasty) as peer:
        peer.sendall(b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n")
        peer.sendall(b"Content-Type: application/json\r\n\r\n{")
        time.sleep(1.2)  # three times as long as a head may take
        peer.sendall(b"   ")
        assert b"HTTP/1.1 400" in peer.recv(65536)  # what came was read, and is no JSON


@pytest.mark.parametrize(
    "lines",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 10 * MOST_HEAD_BYTES,
        b"GET /" + b"x" * 10 * MOST_HEAD_BYTES,
        b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * MOST_HEAD_BYTES,
        b"POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"X: y\r\n" * MOST_HEAD_BYTES,
        b"POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1;" + b"x" * 10 * MOST_HEAD_BYTES,
    ],
    ids=["header", "path", "headers", "trailers", "extension"],
)
def test_a_head_has_an_end(hasty: Served, lines: bytes) -> None:
    before = dropped(hasty, "head-size")
    with raw(hasty) as peer:
        with contextlib.suppress(OSError):
            peer.sendall(lines)
        to_the_end(peer)
    assert dropped(hasty, "head-size") == before + 1


def test_large_bodies_in_sane_chunks_are_no_head(hasty: Served) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20_000):
            yield b"x" * 64

    answer = httpx.post(f"{hasty.url}/generate", content=chunks(), headers={"content-type": "text/plain"})
    assert answer.status_code == 415
    fields = {"mask": (b"x" * 1_000_000)}
    assert httpx.post(f"{hasty.url}/generate", files=fields).status_code == 415


def test_a_body_that_is_announced_too_large_is_not_waited_for(hasty: Served) -> None:
    with raw(hasty) as peer:
        peer.sendall(b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
        peer.sendall(b"Content-Length: 99999999999\r\n\r\n")
        # Without the rule the body would be waited for, until the request has taken too long.
        assert b"HTTP/1.1 413" in peer.recv(65536)


def test_pipelined_requests_are_few(hasty: Served) -> None:
    before = dropped(hasty, "head-size")
    with raw(hasty) as peer:
        peer.sendall((HEAD + b"\r\n") * 8)
        got = b""
        while got.count(b"HTTP/1.1 200") < 8:
            got += peer.recv(65536)
    with raw(hasty) as peer:
        with contextlib.suppress(OSError):
            peer.sendall((HEAD + b"\r\n") * 2000)
        to_the_end(peer)
    assert dropped(hasty, "head-size") == before + 1


def test_what_is_no_request_is_told_so_with_all_headers(hasty: Served) -> None:
    with raw(hasty) as peer:
        peer.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        check_bare(to_the_end(peer), 400)


# Readers


def test_an_answer_that_nobody_reads_ends(hasty: Served) -> None:
    async def large() -> Response:
        return Response(b"x" * 8_000_000)

    hasty.app.add_api_route("/large", large)
    before = dropped(hasty, "unread")
    with raw(hasty, receives=4096) as peer:
        peer.sendall(HEAD.replace(b"/healthz", b"/large") + b"\r\n")
        wait_for(lambda: dropped(hasty, "unread") == before + 1, 10)
        wait_for(lambda: not hasty.server.server_state.connections)


def test_an_answer_that_is_read_drop_by_drop_ends(hasty: Served) -> None:
    async def large() -> Response:
        return Response(b"x" * 8_000_000)

    hasty.app.add_api_route("/large2", large)
    before = dropped(hasty, "unread")
    with raw(hasty, receives=4096) as peer:
        narrow(hasty)
        peer.sendall(HEAD.replace(b"/healthz", b"/large2") + b"\r\n")
        until = time.monotonic() + 10
        while dropped(hasty, "unread") == before:
            assert time.monotonic() < until, "it goes on for ever"
            with contextlib.suppress(ConnectionResetError):
                peer.recv(20_000)
            time.sleep(0.1)


def test_an_answer_in_the_middle_is_cut_when_its_time_is_over(hasty: Served) -> None:
    async def endless(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await receive()
        await receive()

    hasty.app.mount("/endless", endless)
    with raw(hasty) as peer:
        peer.sendall(HEAD.replace(b"/healthz", b"/endless/x") + b"\r\n")
        got = to_the_end(peer)
    assert b"begun" in got
    assert not got.endswith(b"0\r\n\r\n")


def narrow(server: Served) -> None:
    """Leave the kernel little room for what the peer does not take."""
    wait_for(lambda: len(server.server.server_state.connections) == 1)
    (connection,) = server.server.server_state.connections
    connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def test_a_page_that_does_not_read_loses_its_socket(hasty: Served) -> None:
    before = dropped(hasty, "unread")
    with raw(hasty, receives=4096) as peer:
        shake_hands(peer)
        narrow(hasty)
        wait_for(lambda: hasty.services.painters)
        ping = Frame(Opcode.TEXT, b'{"type": "ping", "t": 1e-300}').serialize(mask=True)
        peer.settimeout(1)
        with contextlib.suppress(OSError):
            for _ in range(20):
                peer.sendall(ping * 1000)
        wait_for(lambda: dropped(hasty, "unread") == before + 1, 10)
    wait_for(lambda: not hasty.services.painters)


def test_pings_of_one_that_does_not_read_do_not_pile_up(hasty: Served) -> None:
    with raw(hasty, receives=4096) as peer:
        shake_hands(peer)
        narrow(hasty)
        (connection,) = hasty.server.server_state.connections
        ping = Frame(Opcode.PING, b"x" * 125).serialize(mask=True)
        peer.settimeout(2)
        most = 0
        with contextlib.suppress(OSError):
            for _ in range(80):
                peer.sendall(ping * 500)  # 5 MB in all
                most = max(most, connection.transport.get_write_buffer_size())
        # The transport's own 64 KiB, with the answers to the piece of input that filled them.
        assert 64 * 1024 < most < 1_000_000


def test_a_message_comes_in_few_pieces(hasty: Served) -> None:
    with raw(hasty) as peer:
        shake_hands(peer)
        pieces = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
        pieces += Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 2000
        with contextlib.suppress(OSError):
            peer.sendall(pieces)
        got = to_the_end(peer)
    assert b"\x88" in got
    assert struct.pack("!H", 1009) in got


def shake_hands(peer: socket.socket) -> None:
    peer.sendall(
        b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: scenebrush.live.v2\r\n\r\n"
    )
    got = b""
    while b"\r\n\r\n" not in got:
        got += peer.recv(1)
    assert got.startswith(b"HTTP/1.1 101")


# Handshakes


def test_refused_handshakes_have_all_headers(hasty: Served) -> None:
    broken = b"GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    with raw(hasty) as peer:
        peer.sendall(broken)
        answer = to_the_end(peer)
    assert answer.startswith(b"HTTP/1.1 4")
    for name, value in SECURITY_HEADERS.items():
        assert headers_of(answer)[name] == value
    with raw(hasty) as peer, pytest.raises(InvalidStatus) as refused:
        connect("ws://evil.example/live", sock=peer, proxy=None)
    assert refused.value.response.status_code == 403
    for name, value in SECURITY_HEADERS.items():
        assert refused.value.response.headers[name] == value


# How many


def test_so_many_connections_are_open_at_once(library: FakeLibrary) -> None:
    with served(library, max_connections=2) as server, contextlib.ExitStack() as stack:
        first = stack.enter_context(raw(server))
        stack.enter_context(raw(server))
        wait_for(lambda: len(server.server.server_state.connections) == 2)
        with raw(server) as third:
            answer = to_the_end(third)
        check_bare(answer, 503)
        assert headers_of(answer)["retry-after"]
        assert dropped(server, "connections") == 1
        first.close()
        wait_for(lambda: len(server.server.server_state.connections) == 1)
        assert httpx.get(f"{server.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "room"),
    [
        (256, 65536, 1064, 1000),
        (65536, 65536, None, 1000),
        (256, 512, 512, 448),
        (-1, -1, None, 1000),
        (256, -1, 1064, 1000),
    ],
)
def test_open_files_are_raised_to_the_connections(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int | None, room: int
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _which: (soft, hard))
    monkeypatch.setattr("resource.setrlimit", lambda _which, limits: asked.append(limits))
    assert room_for(1000) == room
    assert asked == ([] if raised is None or raised == soft else [(raised, hard)])


# The policy alone


def watch() -> Watch:
    return Watch(Bounds(head_timeout=10, request_timeout=120, send_timeout=20, max_connections=1))


def test_a_head_is_awaited_for_so_long() -> None:
    one = watch()
    one.head = 5
    assert (one.overdue(14.9, 0), one.overdue(15, 0)) == (None, "head")
    one.head = None
    assert one.overdue(1000, 0) is None


def test_a_reader_that_takes_nothing_is_told_from_a_slow_one() -> None:
    stuck, slow = watch(), watch()
    stuck.paused = slow.paused = 0
    assert [stuck.overdue(now, 1000) for now in (1, 19, 20)] == [None, None, "unread"]
    assert [slow.overdue(now, 2000 - now) for now in (1, 19, 38, 57, 76, 95, 114)] == [None] * 7
    assert slow.overdue(120, 1000) == "unread"


def test_a_reader_that_was_stuck_and_goes_on_is_forgiven() -> None:
    one = watch()
    one.paused = 0
    assert one.overdue(15, 1000) is None
    one.paused = None
    assert one.overdue(16, 0) is None
    one.paused = 17
    assert (one.overdue(36, 1000), one.overdue(37, 1000)) == (None, "unread")


def test_a_closed_connection_is_let_go() -> None:
    one = watch()
    one.closing = 0
    assert (one.overdue(19, 10), one.overdue(20, 10)) == (None, "unread")
