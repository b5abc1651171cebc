"""The server is killed, or kills itself, and is started again on its port."""

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.faults.bad_client import SIDE
from tests.faults.clients import bad_client
from tests.faults.painter import GRASS, MOUNTAIN, FaultPainter, until
from tests.faults.server import FAKE, FaultyServer
from tests.serving import CHECKOUT_COMMAND
from tests.tiny import write_tiny_model

WEDGE = 15
"""A label that nobody paints but the painter who wedges the device."""


@pytest.mark.slow
def test_kill_9_of_the_server_loses_nothing_that_was_painted(tmp_path: Path) -> None:
    """The painter sees: the line is down, and its photo stands still, while its own map goes on. How long:
    until the server is ready again and the page's back-off comes round, at most 12.5 s later. Lost: nothing;
    what it painted meanwhile is in the first picture, and equal maps give equal bytes before and after."""
    write_tiny_model(tmp_path)
    settings = {"models_dir": tmp_path, "default_model": "tiny", "device": "cpu", "precision": "fp32"}

    async def main(server: FaultyServer) -> None:
        async with FaultPainter(server.live, size=SIDE) as painter:
            before = await painter.picture()
            await painter.paint(GRASS)
            painted = await painter.picture()
            assert painted != before
            server.kill()
            await until(lambda: not painter.page.ready, "the painter notices")
            await painter.paint(MOUNTAIN)  # over the grass, while nobody is there
            seen = len(painter.frames)
            await asyncio.to_thread(server.start)
            offline = await painter.picture()
            assert offline not in (before, painted)
            assert painter.frames[seen].epoch == painter.page.epoch > 1
            assert painter.page.journal.reconnects == 1
            await painter.paint(GRASS)
            assert await painter.picture() == painted, "equal map and seed, equal bytes"
            await painter.paint(MOUNTAIN)
            assert await painter.picture() == offline
            assert painter.page.journal.resyncs == 0
        assert server.troubles() == []

    with FaultyServer(CHECKOUT_COMMAND, settings=settings) as server:
        asyncio.run(main(server))


def test_a_wedged_device_ends_the_process_and_painters_come_back() -> None:
    """The painter sees: the photo stands still for SCENEBRUSH_WATCHDOG_SECONDS; then `bye`, and the line is
    down until whoever supervises the process has started it again. /healthz says 503 meanwhile, and the exit
    code is 70. Lost: nothing of the painters' maps; requests under way get 503."""

    async def main(server: FaultyServer) -> None:
        async with FaultPainter(server.live, seed=1) as guilty, FaultPainter(server.live, seed=2) as other:
            await guilty.picture()
            before = await other.picture()
            # One who does not read holds the farewell up: time to look at /healthz.
            with bad_client(server, "chatty") as chatty:
                await chatty.said("blocked")
                await guilty.paint(WEDGE)
                health = await _health_while_it_lasts(server)
            assert health[-1] == 503, health
            assert server.process.wait(30) == 70
            await until(lambda: not (guilty.page.ready or other.page.ready), "both notice")
            for painter in (guilty, other):
                assert painter.page.journal.errors["closed 1001"] == 1, "they heard `bye`"
            await guilty.paint(MOUNTAIN)  # the map is the painter's: it takes back what nobody can paint
            await asyncio.to_thread(server.start)
            assert await other.picture() == before
            await guilty.picture()
        assert "the device does not answer" in [event["event"] for event in server.troubles()]

    settings = {"watchdog_seconds": 1}
    with FaultyServer(FAKE, settings=settings, engine={"wedge": WEDGE}) as server:
        asyncio.run(main(server))


async def _health_while_it_lasts(server: FaultyServer) -> list[int]:
    """Every status of /healthz until it is 503, or nobody is there."""
    statuses: list[int] = []
    async with httpx.AsyncClient(base_url=server.url) as http:
        while not statuses or statuses[-1] == 200:
            try:
                statuses.append((await http.get("/healthz")).status_code)
            except httpx.TransportError:
                break
            await asyncio.sleep(0.02)
    return statuses
