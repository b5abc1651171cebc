"""A model replica on the fake engine: turns, batches, painters that come, move and go."""

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from server.cluster.placing import Route
from server.cluster.replica import Replica, WedgedError
from server.cluster.wire import Answer, Refusal
from server.device import ReadLabels, ReadStyle, ThreadDevice
from server.rendering import Document, Patch, Rendered, RenderRequest
from server.segmenting import Segmenters, default_folder
from tests.server.fake_engine import FakeLibrary

SKY = np.full((8, 8), 1, np.uint8)
GRASS = Patch(0, 0, np.full((2, 2), 8, np.uint8))


def request(painter: str | None = None, *changes: Patch, **fields: Any) -> RenderRequest:
    """A fresh one of a sky, or one with changes."""
    document = Document(painter, 1) if painter is not None else None
    given = {"style": None, "fresh": not changes, "document": document, **fields}
    return RenderRequest("fake", 8, 8, 0, changes=changes or (Patch(0, 0, SKY),), **given)


@asynccontextmanager
async def running(library: FakeLibrary, **options: Any) -> AsyncIterator[Replica]:
    device = ThreadDevice(library, Segmenters(library, default_folder()))
    usual = {"batch": 1, "painters": 9, "idle": 900.0, "watchdog": 60.0}
    replica = Replica("a", library, device, **{**usual, **options})
    await replica.start()
    try:
        yield replica
    finally:
        library.gate.set()
        await replica.stop()


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())


def picture(answer: Answer) -> np.ndarray:
    assert isinstance(answer.result, Rendered), answer
    return answer.result.picture


def kind(answer: Answer) -> str:
    assert isinstance(answer.result, Refusal), answer
    return answer.result.kind


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_painter_is_kept_from_picture_to_picture(library: FakeLibrary) -> None:
    async def main() -> None:
        async with running(library) as replica:
            first = picture(await replica.do(Route("p"), request("p")))
            second = picture(await replica.do(Route("p", home="a"), request("p", GRASS)))
            assert (first[4:] == second[4:]).all()
            assert (first[:2, :2] != second[:2, :2]).any()
            assert replica.facts().painters == 1
            replica.forget(Route("p", home="a"), small=False)
            assert kind(await replica.do(Route("p", home="a"), request("p", GRASS))) == "PainterLostError"

    run(main)


def test_a_painter_that_was_elsewhere_meanwhile_begins_anew(library: FakeLibrary) -> None:
    async def main() -> None:
        async with running(library) as replica:
            await replica.do(Route("p"), request("p"))
            # It is kept here with the same epoch, and lacks what was painted at b.
            assert kind(await replica.do(Route("p", home="b"), request("p", GRASS))) == "PainterLostError"
            assert kind(await replica.do(Route("p"), request("p", GRASS))) == "PainterLostError"
            picture(await replica.do(Route("p", home="b"), request("p")))

    run(main)


def test_painters_that_nobody_asks_for_are_dropped(library: FakeLibrary) -> None:
    async def main() -> None:
        now = [0.0]
        async with running(library, painters=2, idle=10.0, clock=lambda: now[0]) as replica:
            for painter in "pqr":
                await replica.do(Route(painter), request(painter))
            assert replica.facts().painters == 2
            assert kind(await replica.do(Route("p", home="a"), request("p", GRASS))) == "PainterLostError"
            picture(await replica.do(Route("r", home="a"), request("r", GRASS)))
            now[0] = 11.0
            await replica.do(Route("s"), request("s"))
            assert replica.facts().painters == 1

    run(main)


def test_what_waits_together_is_painted_together_whoever_sent_it(library: FakeLibrary) -> None:
    async def main() -> None:
        async with running(library, batch=3) as replica:
            library.gate.clear()
            first = asyncio.create_task(replica.do(Route(ingress="one"), request()))
            routes = [Route("p", ingress="one"), Route("q", ingress="two"), Route(ingress="two")]
            works = [request("p"), request("q"), request()]
            together = [replica.do(route, work) for route, work in zip(routes, works, strict=True)]
            later = asyncio.gather(*together, replica.do(Route("s"), request("s", quality="live")))
            await settled(lambda: replica.facts().queued == 4)
            library.gate.set()
            pictures = [picture(answer) for answer in (await first, *await later)]
            assert all((one == pictures[0]).all() for one in pictures)
            assert library.batches == [3]
            assert (replica.facts().uses, replica.facts().painted) == (3, 5)

    run(main)


def test_what_fails_is_said_and_the_rest_goes_on(library: FakeLibrary) -> None:
    async def main() -> None:
        async with running(library) as replica:
            assert kind(await replica.do(Route(), request(style=(1.0,)))) == "EngineError"
            unknown = RenderRequest("none", 8, 8, 0, None, ())
            assert kind(await replica.do(Route(), unknown)) == "UnknownModel"
            library.failure = RuntimeError("broken")
            assert kind(await replica.do(Route(), request())) == "other"
            picture(await replica.do(Route(), request()))

    run(main)


def test_calls_are_run_and_who_gives_up_leaves_the_line(library: FakeLibrary) -> None:
    async def main() -> None:
        async with running(library) as replica:
            photo = np.full((4, 4, 3), 255, np.uint8)
            answer = await replica.do(Route(), ReadStyle(photo, library.spec()))
            assert answer == Answer("a", (1.0, 1.0, 1.0, 0.0))
            reader = Segmenters(library, default_folder()).find("reader")
            assert (await replica.do(Route(), ReadLabels(photo, reader))).result.shape == (4, 4)

            library.gate.clear()
            first = asyncio.create_task(replica.do(Route(), request()))
            second = asyncio.create_task(replica.do(Route(), request()))
            await settled(lambda: replica.facts().queued == 1)
            second.cancel()
            await settled(lambda: replica.facts().queued == 0)
            library.gate.set()
            before = library.rendered
            picture(await first)
            assert library.rendered == before + 1

    run(main)


def test_while_memory_is_short_nobody_new_comes_in(library: FakeLibrary) -> None:
    async def main() -> None:
        async with running(library) as replica:
            await replica.do(Route("p"), request("p"))
            replica.short_of_memory = True
            picture(await replica.do(Route("p", home="a"), request("p", GRASS)))
            for refused in (
                await replica.do(Route("q"), request("q")),
                await replica.do(Route(), request()),
            ):
                assert kind(refused) == "Problem"
                assert refused.result.fields["code"] == "low-memory"
            replica.short_of_memory = False
            picture(await replica.do(Route("q"), request("q")))

    run(main)


def test_a_wedged_device_is_said(library: FakeLibrary) -> None:
    async def main() -> None:
        now = [0.0]
        async with running(library, watchdog=5.0, clock=lambda: now[0]) as replica:
            library.gate.clear()
            work = asyncio.create_task(replica.do(Route(), request()))
            await settled(lambda: replica._busy_since is not None)
            replica.check()
            now[0] = 6.0
            with pytest.raises(WedgedError):
                replica.check()
            library.gate.set()
            await work
            replica.check()

    run(main)


def test_work_travels(library: FakeLibrary) -> None:
    reader = Segmenters(library, default_folder()).find("reader")
    photo = np.zeros((2, 2, 3), np.uint8)
    calls = ReadLabels(photo, reader), ReadStyle(photo, library.spec())
    for work in (request("p", GRASS, style=(1.0,) * 4), *calls, Route("p")):
        assert repr(pickle.loads(pickle.dumps(work))) == repr(work)
