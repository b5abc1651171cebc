"""A live painter before a socket that takes nothing: what waits for it stays bounded."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engine import EngineError
from server import painter as painter_module
from server import protocol
from server.app import create_app
from server.painter import LivePainter
from server.protocol import MalformedError
from server.services import Services
from server.settings import Settings
from tests.server.conftest import LANDSCAPE, run
from tests.server.fake_engine import FakeLibrary

SIDE = 16


class BlockedSocket:
    """Takes texts, and no picture until `gate` opens."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.closed: int | None = None
        self.texts: list[dict[str, Any]] = []
        self.frames: list[protocol.Frame] = []

    async def send_text(self, data: str) -> None:
        self.texts.append(json.loads(data))

    async def send_bytes(self, data: bytes) -> None:
        await self.gate.wait()
        self.frames.append(protocol.decode_frame(data))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        self.closed = code


def opening(epoch: int = 1) -> str:
    fields = {"epoch": epoch, "width": SIDE, "height": SIDE, "label_set": LANDSCAPE.hash, "seed": 1}
    return json.dumps({"type": "open", **fields})


def labels(revision: int, epoch: int = 1, *, whole: bool = False) -> bytes:
    side = SIDE if whole else 2
    return protocol.encode_labels(
        epoch, revision, 0, 0, np.full((side, side), 1 + revision % 2, np.uint8), whole=whole
    )


def ack(frame: int, epoch: int = 1) -> str:
    return json.dumps({"type": "ack", "epoch": epoch, "frame": frame})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def settled(services: Services) -> None:
    """Whatever could be rendered has been."""
    await asyncio.sleep(0.02)
    await until(lambda: services.worker.scheduler.idle)


@asynccontextmanager
async def seated(library: FakeLibrary) -> AsyncIterator[tuple[LivePainter, BlockedSocket, Services]]:
    app = create_app(Settings(), library)
    async with app.router.lifespan_context(app):
        services: Services = app.state.services
        await until(lambda: services.worker.ready)
        socket = BlockedSocket()
        painter = LivePainter(services, socket)
        services.worker.join(painter)
        sender = asyncio.create_task(painter.send_all())
        try:
            yield painter, socket, services
        finally:
            services.worker.leave(painter)
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sender


def test_what_was_not_sent_cannot_be_acknowledged(library: FakeLibrary) -> None:
    async def main() -> None:
        async with seated(library) as (painter, socket, services):
            await painter.receive(opening())
            await painter.receive(labels(1, whole=True))
            for revision in range(2, 12):
                await painter.receive(labels(revision))
                await settled(services)
            assert library.rendered == 2  # the first is being sent, the second waits
            await painter.receive(ack(1))
            await settled(services)
            assert library.rendered == 3  # the first was on its way, so its acknowledgement counts
            with pytest.raises(MalformedError, match="has not been sent"):
                await painter.receive(ack(2))
            for revision in range(12, 40):
                await painter.receive(labels(revision))
                await settled(services)
            assert library.rendered == 3
            assert painter.waiting == 2
            socket.gate.set()
            await until(lambda: len(socket.frames) == library.rendered)
            await painter.receive(ack(library.rendered))
            await until(lambda: socket.frames[-1].revision == 39)

    run(main())


def test_documents_opened_in_turn_leave_no_frames_behind(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = painter_module.encode_picture

    def count(*args: Any, **options: Any) -> bytes:
        encoded.append(1)
        return encode(*args, **options)

    monkeypatch.setattr(painter_module, "encode_picture", count)

    async def main() -> None:
        async with seated(library) as (painter, socket, services):
            for epoch in range(1, 11):
                await painter.receive(opening(epoch))
                await painter.receive(labels(1, epoch, whole=True))
                await until(lambda epoch=epoch: library.rendered == epoch)
                await settled(services)
                assert painter.waiting <= 1
            assert len(encoded) == 1  # the one that the socket does not take
            socket.gate.set()
            await until(lambda: len(socket.frames) == 2)
            assert [frame.epoch for frame in socket.frames] == [1, 10]

    run(main())


def test_failures_that_nobody_reads_do_not_pile_up(library: FakeLibrary) -> None:
    async def main() -> None:
        async with seated(library) as (painter, socket, services):
            await painter.receive(opening())
            await painter.receive(labels(1, whole=True))
            await until(lambda: library.rendered == 1)
            services.worker.scheduler._shortest_rest = 0.001
            library.failure, library.failing = EngineError("it", "is broken", "Wait."), 1000
            for revision in range(2, 22):
                await painter.receive(labels(revision))
                await settled(services)
            assert 1 < painter.waiting <= 4
            failing = library.failing
            await asyncio.sleep(0.05)
            assert library.failing == failing, "it is not tried for ever"
            socket.gate.set()
            await until(lambda: painter.waiting == 0)
            assert {text["type"] for text in socket.texts} == {"ready", "error"}

    run(main())


def test_the_results_of_a_batch_are_told_before_the_next_use_begins(library: FakeLibrary) -> None:
    """A painter that is lost asks again at once; the other frames of its batch are numbered before that."""

    async def main() -> None:
        app = create_app(Settings(batch=2), library)
        async with app.router.lifespan_context(app):
            services: Services = app.state.services
            worker = services.worker
            await until(lambda: worker.ready)
            painters = [LivePainter(services, BlockedSocket()) for _ in range(2)]
            for each in painters:
                worker.join(each)
                await each.receive(opening())
            library.gate.clear()
            for each in painters:
                await each.receive(labels(1, whole=True))
            library.gate.set()
            await until(lambda: library.rendered == 2)
            await settled(services)
            uses: list[list[int]] = []
            submit = worker._submit

            def watch(turns: Any, jobs: Any) -> None:
                uses.append([worker.scheduler._painters[each.key].numbered for each in painters])
                submit(turns, jobs)

            worker._submit = watch  # type: ignore[method-assign]
            worker._device._renderer.forget(painters[0].key)  # type: ignore[attr-defined]
            library.gate.clear()
            for each in painters:
                worker.scheduler.offer(each.key, worker._clock(), key=each.batch_key)
            worker._pump()
            library.gate.set()
            await until(lambda: library.rendered == 4)
            await settled(services)
            first, second = uses
            assert first == [1, 1]
            assert second == [1, 2], "the second painter's frame was numbered first"
            for each in painters:
                worker.leave(each)

    run(main())
