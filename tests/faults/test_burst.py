"""Ten times as many come at once as there are places."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from server import protocol
from tests.faults.painter import LANDSCAPE, SKY, FaultPainter, until
from tests.faults.server import FaultyServer
from tests.server.conftest import palette_png

PLACES, SEATS, TIMES = 4, 4, 10
SETTINGS = {"queue_length": PLACES, "max_painters": SEATS, "client_requests": 0, "client_rate": 0}
TURN_SECONDS = 0.02
MASK = palette_png(np.full((32, 32), 3, np.uint8))
LABELS = np.full((32, 32), 3, np.uint8)


@dataclass(frozen=True)
class Newcomer:
    """What became of one who wanted to paint: a frame, or a close code and the seconds to wait."""

    frame: bytes | None
    code: int | None = None
    retry_after: float | None = None


async def join(server: FaultyServer, all_came: asyncio.Event) -> Newcomer:
    """Whoever gets a seat keeps it until all have asked for one."""
    async with connect(
        server.live, subprotocols=[Subprotocol(protocol.SUBPROTOCOL)], compression=None, open_timeout=60
    ) as socket:
        opening = {
            "type": "open",
            "epoch": 1,
            "width": 32,
            "height": 32,
            "label_set": LANDSCAPE.hash,
            "seed": 1,
        }
        retry_after = None
        try:
            with suppress(ConnectionClosed):  # what the server said before can still be read
                await socket.send(json.dumps(opening))
            while isinstance(message := await socket.recv(), str):
                retry_after = await _told(socket, json.loads(message), retry_after)
            await all_came.wait()
        except ConnectionClosed:
            return Newcomer(None, socket.close_code, retry_after)
        return Newcomer(message)


async def _told(socket: ClientConnection, message: dict[str, object], before: float | None) -> float | None:
    if message["type"] == "ready":
        await socket.send(protocol.encode_labels(1, 1, 0, 0, LABELS, whole=True))
    if message["type"] == "bye":
        return float(str(message["retry_after"]))
    return before


async def ask(http: httpx.AsyncClient) -> httpx.Response:
    return await http.post("/generate", files={"mask": MASK}, data={"seed": "1"})


def state(server: FaultyServer) -> tuple[float, float, float]:
    """Painters, their documents, requests that wait."""
    metrics = server.metrics()
    return tuple(metrics[f"scenebrush_{name}"] for name in ("painters", "documents", "queued"))  # type: ignore[return-value]


def check_answers(answers: Sequence[httpx.Response]) -> None:
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 429, 503}, statuses
    assert statuses[200] >= PLACES, "those who found a place got their picture"
    assert statuses.total() - statuses[200] > 0, "everybody found a place: that was no burst"
    for answer in answers:
        if answer.status_code == 200:
            assert answer.headers["content-type"] == "image/jpeg"
        else:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"


def check_newcomers(newcomers: Sequence[Newcomer]) -> None:
    painted = [one for one in newcomers if one.frame is not None]
    assert len(painted) == SEATS - 1, "one painter was there before"
    assert len({protocol.decode_frame(one.frame or b"").picture for one in painted}) == 1
    for one in newcomers:
        if one.frame is None:
            assert one.code == 1013
            assert one.retry_after is not None
            assert one.retry_after >= 1


def test_ten_times_the_places_at_once() -> None:
    """The painter sees: frames that come a little later. Those who come too many: 503 with Retry-After, or
    `bye` and 1013 with the seconds to wait. How long: until the burst is over; nothing of it stays. Lost:
    nothing that was accepted."""

    async def main(server: FaultyServer) -> None:
        limits = httpx.Limits(max_connections=PLACES * TIMES)
        async with (
            FaultPainter(server.live) as painter,
            httpx.AsyncClient(base_url=server.url, timeout=120, limits=limits) as http,
        ):
            before = await painter.picture()
            at_rest = state(server)
            painting = asyncio.create_task(painter.keep_painting(0.0))
            all_came = asyncio.Event()
            joining = [asyncio.create_task(join(server, all_came)) for _ in range(SEATS * TIMES)]
            asking = [asyncio.create_task(ask(http)) for _ in range(PLACES * TIMES)]
            seen = len(painter.frames)
            await until(
                lambda: painting.done() or len(painter.frames) >= seen + 5, "frames go on in the burst"
            )
            refused = SEATS * TIMES - (SEATS - 1)
            await until(lambda: sum(task.done() for task in joining) >= refused, "those without a seat go")
            all_came.set()
            check_newcomers(await asyncio.gather(*joining))
            check_answers(await asyncio.gather(*asking))
            assert not painting.done()
            painting.cancel()
            await asyncio.gather(painting, return_exceptions=True)
            await painter.picture()
            await until(lambda: state(server) == at_rest == (1, 1, 0), "everything as before")
            assert (await ask(http)).status_code == 200
            assert painter.page.journal.errors == {}
            assert painter.page.journal.reconnects == 0
            await painter.paint(SKY)  # as it was at first
            assert await painter.picture() == before
        async with FaultPainter(server.live, seed=2) as newcomer:
            await newcomer.picture()
        assert server.troubles() == []

    with FaultyServer(settings=SETTINGS, engine={"seconds": TURN_SECONDS}) as server:
        asyncio.run(main(server))
