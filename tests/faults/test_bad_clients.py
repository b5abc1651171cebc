"""Clients that are killed, vanish, or do not read, beside a painter who does nothing wrong."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.clients import Manner, bad_client
from tests.faults.painter import GRASS, MOUNTAIN, SKY, FaultPainter, until
from tests.faults.server import FaultyServer

SETTINGS = {"ping_interval": 1, "ping_timeout": 4, "send_timeout": 1}
MOST_GROWTH_MIB = 24


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    with FaultyServer(settings=SETTINGS) as running:
        yield running


def taken(server: FaultyServer) -> tuple[float, float]:
    """Seats and documents."""
    metrics = server.metrics()
    return metrics["scenebrush_painters"], metrics["scenebrush_documents"]


async def beside(
    server: FaultyServer, manner: Manner, word: str, *, kill: bool = False, freeze: bool = False
) -> None:
    """A bad client comes to its word, and goes or is let go, while another paints and sees every frame."""
    async with FaultPainter(server.live, seed=7) as good:
        await good.picture()
        painting = asyncio.create_task(good.keep_painting())
        with bad_client(server, manner) as bad:
            await bad.said(word)
            if kill:
                bad.kill()
            if freeze:
                bad.freeze()
            await until(lambda: painting.done() or taken(server) == (1, 1), "its seat and document are free")
            if not (kill or freeze):
                await bad.said("dropped")
        seen = len(good.frames)
        await until(lambda: painting.done() or len(good.frames) > seen + 3, "frames go on")
        painting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await painting  # and not what it met
        assert good.page.journal.errors == {}
        assert good.page.journal.reconnects == 0
    await until(lambda: taken(server) == (0, 0), "everything as before")
    assert server.troubles() == []


def test_kill_9_of_a_client_in_the_middle_of_a_patch(server: FaultyServer) -> None:
    """The painter's page is gone; others see nothing of it. How long: its seat is free as soon as the kernel
    has closed its line. Lost: the half patch, which was never applied; what was painted lives in the page's
    storage."""
    asyncio.run(beside(server, "half", "half", kill=True))


def test_a_peer_that_vanishes_without_a_word(server: FaultyServer) -> None:
    """Half-open: the line stays, and nobody answers. How long: SCENEBRUSH_PING_INTERVAL and _PING_TIMEOUT,
    then its seat is free. Lost: nothing; should the peer come back, it has its map and opens another line."""
    asyncio.run(beside(server, "still", "still", freeze=True))


def frames_of(server: FaultyServer) -> float:
    """Frames that it has sent so far."""
    return sum(n for name, n in server.metrics().items() if name.startswith("scenebrush_frames_total"))


def test_who_paints_and_reads_nothing_gets_two_frames_and_is_dropped(server: FaultyServer) -> None:
    """A slow reader costs what two frames cost: no third is painted before one is acknowledged. How long: it
    is dropped as it answers no ping. Lost: nothing of its map; nobody else waits for it."""

    async def main() -> None:
        before = frames_of(server)
        with bad_client(server, "deaf") as deaf:
            await deaf.said("sending")
            await until(lambda: frames_of(server) == before + 2, "its two frames")
            async with FaultPainter(server.live) as good:
                for label in (GRASS, MOUNTAIN, SKY):
                    await good.paint(label)
                    await good.picture()
                assert good.page.journal.errors == {}
                seen = len(good.frames)
            await deaf.said("dropped")
        await until(lambda: taken(server) == (0, 0), "its seat is free")
        assert frames_of(server) == before + 2 + seen
        assert server.troubles() == []

    asyncio.run(main())


def test_who_says_much_and_reads_nothing_is_no_longer_listened_to_and_dropped(server: FaultyServer) -> None:
    """Answers that are not taken do not pile up: the server reads no further before they are out. How long:
    SCENEBRUSH_SEND_TIMEOUT, then it is dropped. Memory: what the kernel holds, and some 64 KiB."""
    before = server.metrics()["process_resident_memory_bytes"]
    asyncio.run(beside(server, "chatty", "dropped"))
    assert server.metrics()['scenebrush_dropped_connections_total{why="unread"}'] >= 1
    growth = (server.metrics()["process_resident_memory_bytes"] - before) / 2**20
    assert growth < MOST_GROWTH_MIB
