"""Live sockets under guard: who may open one, how many, for how long, and how the guard ends one."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.typing import Origin

from server.guard.sockets import OpenSocket, OpenSockets
from server.guard.tokens import TokenFile
from tests.server.conftest import Served, run, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import Page, page, wait_for


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "tokens.json")


@pytest.fixture
def guarded(library: FakeLibrary, tokens: TokenFile) -> Iterator[Served]:
    with served(library, require_token=True, tokens_file=tokens.path) as running:
        yield running


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def paint(one: Page) -> None:
    one.open()
    one.whole()
    one.frame()


def test_a_socket_needs_a_token_and_a_page_can_read_why(guarded: Served, tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())
    for headers in ({}, bearer(f"{given}x"), {"Cookie": "scenebrush_token=sb_x"}):
        with page(guarded, additional_headers=headers) as one:
            assert one.socket.subprotocol is not None
            assert one.closed() == 4401
    with page(guarded, subprotocols=None) as one:
        assert one.closed() == 4401
    wait_for(lambda: guarded.services.guard.tokens.find(given))
    for headers in (bearer(given), {"Cookie": f"a=b; scenebrush_token={given}"}):
        with page(guarded, additional_headers=headers) as one:
            paint(one)


def test_a_cookie_does_not_let_another_site_in(guarded: Served, tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())
    wait_for(lambda: guarded.services.guard.tokens.find(given))
    cookie = {"Cookie": f"scenebrush_token={given}"}
    with page(guarded, additional_headers=cookie, origin=Origin("https://evil.example")) as one:
        assert one.closed() == 4403


def test_a_revoked_tokens_sockets_are_closed(guarded: Served, tokens: TokenFile) -> None:
    anna, ben = tokens.add("Anna", time.time()), tokens.add("Ben", time.time())
    wait_for(lambda: guarded.services.guard.tokens.find(ben))
    with ExitStack() as stack:
        gone, stays = [
            stack.enter_context(page(guarded, additional_headers=bearer(token))) for token in (anna, ben)
        ]
        paint(gone)
        paint(stays)
        tokens.revoke("Anna")
        assert gone.closed(10) == 4401
        stays.patch()
        stays.frame()
        wait_for(lambda: len(guarded.services.painters) == 1)
        metrics = guarded.services.metrics.exposition().decode()
        assert 'scenebrush_live_closed_total{code="4401"} 1.0' in metrics


def test_an_expired_tokens_sockets_are_closed(guarded: Served, tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time(), days=1)
    store = guarded.services.guard.tokens
    wait_for(lambda: store.find(given))
    with page(guarded, additional_headers=bearer(given)) as one:
        paint(one)
        store._now = lambda: time.time() + 2 * 24 * 60 * 60
        assert one.closed(10) == 4401


def test_a_file_that_breaks_ends_what_it_let_in(guarded: Served, tokens: TokenFile) -> None:
    given = tokens.add("Anna", time.time())
    wait_for(lambda: guarded.services.guard.tokens.find(given))
    with page(guarded, additional_headers=bearer(given)) as one:
        paint(one)
        tokens.path.write_text("{")
        assert one.hear("bye", 10)["retry_after"] == 30
        assert one.closed() == 1013
    with page(guarded, additional_headers=bearer(given)) as one:
        one.hear("bye")
        assert one.closed() == 1013


def test_one_client_opens_so_many_sockets(library: FakeLibrary) -> None:
    with served(library, client_sockets=2) as server, ExitStack() as stack:
        first, _ = [stack.enter_context(page(server)) for _ in range(2)]
        wait_for(lambda: len(server.services.guard.sockets) == 2)
        with page(server) as third:
            assert third.hear("bye")["retry_after"] >= 1
            assert third.closed() == 4429
        first.socket.close()
        wait_for(lambda: len(server.services.guard.sockets) == 1)
        with page(server) as fourth:
            paint(fourth)


def test_opening_sockets_is_counted_like_requests(library: FakeLibrary) -> None:
    with served(library, client_rate=0.01, client_burst=1) as server:
        with page(server) as first:
            paint(first)
        with page(server) as second:
            second.hear("bye")
            assert second.closed() == 4429


def test_a_socket_that_has_been_open_long_says_bye(library: FakeLibrary) -> None:
    with served(library, live_hours=1 / 3600) as server, page(server) as one:
        paint(one)
        assert one.hear("bye", 10)["retry_after"] == 1
        assert one.closed() == 1001
        wait_for(lambda: not server.services.painters)


# X-Forwarded-For


def forwarded(server: Served, *values: str) -> int:
    headers = [("X-Forwarded-For", value) for value in values]
    return httpx.get(f"{server.url}/models", headers=headers).status_code


def test_a_forged_address_is_not_believed(library: FakeLibrary) -> None:
    share = {"client_rate": 0.001, "client_burst": 2}
    # From a peer that is no trusted proxy, the header counts for nothing.
    with served(library, trusted_proxies="10.9.8.7", **share) as server:
        statuses = [forwarded(server, f"192.0.2.{number}") for number in range(3)]
        assert statuses == [200, 200, 429]
    # Through a trusted proxy, what it appended counts, and nothing to the left of it.
    with served(library, trusted_proxies="127.0.0.1,10.0.0.0/8", **share) as server:
        assert [forwarded(server, f"192.0.2.{number}, 198.51.100.9") for number in range(3)] == [
            200,
            200,
            429,
        ]
        assert forwarded(server, "198.51.100.9", "203.0.113.5") == 200
        # A second trusted proxy on the way is passed over.
        assert forwarded(server, "192.0.2.1, 198.51.100.9, 10.1.2.3") == 429
        assert forwarded(server, "198.51.100.10, 10.1.2.3") == 200


# One socket


def test_nothing_is_sent_after_the_end() -> None:
    sent: list[dict[str, Any]] = []

    async def main() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        sockets = OpenSockets()
        socket = OpenSocket("address:local", None, 0.0, send)
        with sockets.keep(socket):
            assert not await socket.end(1001, "too early")  # a handshake is the route's own business
            await socket.send({"type": "websocket.accept"})
            assert sockets.those(lambda _: True) == [socket]
            assert await socket.end(1001, "over", "bye")
            assert not await socket.end(1001, "again")
            await socket.send({"type": "websocket.send", "text": "late"})
        assert len(sockets) == 0

    run(main())
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]


def test_a_frame_that_waits_while_the_end_comes_is_lost_in_silence() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def send(message: Any) -> None:
            if message.get("bytes"):
                await gate.wait()
                raise RuntimeError(
                    "Unexpected ASGI message 'websocket.send', after sending 'websocket.close'."
                )

        socket = OpenSocket("address:local", None, 0.0, send)
        await socket.send({"type": "websocket.accept"})
        frame = asyncio.create_task(socket.send({"type": "websocket.send", "bytes": b"frame"}))
        await asyncio.sleep(0)
        await socket.end(1001, "over")
        gate.set()
        await frame

    run(main())
