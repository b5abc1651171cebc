"""The cluster as one device: homes, replicas that die or lose a painter, documents that are over."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from engine import EngineError, OutOfMemory
from models.checkpoint import CheckpointError
from server.cluster.device import ClusterDevice, ReplicaGoneError
from server.cluster.placing import Route
from server.cluster.wire import Answer, Facts, ReplicaError, error_of, refusal
from server.device import ReadStyle, Work
from server.errors import Problem
from server.rendering import Document, PainterLostError, Rendered, RenderRequest
from tests.server.fake_engine import fake_spec

PICTURE = np.zeros((2, 2, 3), np.uint8)
RENDERED = Rendered(PICTURE, (), 0.0)
STYLE = ReadStyle(PICTURE, fake_spec("m"))
Script = Callable[[Route, Work], Answer]


def request(*, fresh: bool = False, small: bool = False, painter: str | None = "p") -> RenderRequest:
    document = Document(painter, 1, small) if painter is not None else None
    return RenderRequest("m", 2, 2, 0, None, (), fresh=fresh, document=document)


def facts(replica: str = "a") -> Facts:
    return Facts(replica, "here", 1, "CPU", "fp32", 2, ("m",), 0, 0, 0, 0, 0)


@dataclass
class FakeReplicas:
    """Answers from `at`, unless that is in `dead`, or with `result`; `gate` holds answers back."""

    at: str = "a"
    dead: set[str] = field(default_factory=set)
    result: object = RENDERED
    asked: list[Route] = field(default_factory=list)
    forgotten: list[tuple[str | None, str | None, bool]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    awake: bool = True

    def __post_init__(self) -> None:
        self.gate.set()

    async def do(self, route: Route, work: Work) -> Answer:
        self.asked.append(route)
        at = self.at
        await self.gate.wait()
        if at in self.dead:
            self.at = "b"
            raise ReplicaGoneError(at)
        return Answer(at, self.result)

    async def forget(self, route: Route, small: bool) -> None:
        assert route.stay
        self.forgotten.append((route.painter, route.home, small))

    async def facts(self) -> Facts:
        if not self.awake:
            await asyncio.sleep(60)
        return facts(self.at)


def device_of(replicas: FakeReplicas, patience: float = 5.0) -> ClusterDevice:
    return ClusterDevice(replicas, uses=4, patience=patience)


async def do(device: ClusterDevice, *works: Work) -> list[object]:
    return list(await asyncio.wrap_future(device.submit(works)))


async def settled(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


def test_a_painter_goes_home_once_it_has_one() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        assert await do(device, request(fresh=True)) == [RENDERED]
        await do(device, request())
        await do(device, request(fresh=True))  # a new document may be placed anew
        assert [route.home for route in replicas.asked] == [None, "a", None]
        assert {route.painter for route in replicas.asked} == {"p"}
        assert {route.model for route in replicas.asked} == {"m"}
        assert device.homes == {"a": 1}
        assert device.documents == 1

    asyncio.run(main())


def test_smaller_pictures_have_a_home_of_their_own() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        await do(device, request(fresh=True))
        replicas.at = "b"
        await do(device, request(fresh=True, small=True))
        await do(device, request())
        assert replicas.asked[-1].home == "a"
        device.forget("p", small=True)
        await settled(lambda: replicas.forgotten == [("p", "a", False), ("p", "b", True)])
        assert device.homes == {"b": 1}  # where its last whole picture came from
        device.forget("p")
        await settled(lambda: len(replicas.forgotten) == 3)
        assert device.homes == {}

    asyncio.run(main())


def test_a_painter_that_moved_is_dropped_where_it_was() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        await do(device, request(fresh=True))
        replicas.at = "b"
        await do(device, request(fresh=True))
        await settled(lambda: replicas.forgotten == [("p", "a", False)])
        await do(device, request())
        assert replicas.asked[-1].home == "b"

    asyncio.run(main())


def test_a_replica_that_dies_loses_the_painter_and_never_a_request() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        await do(device, request(fresh=True))
        replicas.dead.add("a")
        (lost,) = await do(device, request())
        assert isinstance(lost, PainterLostError)
        assert await do(device, request(fresh=True)) == [RENDERED]
        assert replicas.asked[-1].home is None
        assert device.homes == {"b": 1}

        replicas.at = "a"
        assert await do(device, request(painter=None), STYLE) == [RENDERED, RENDERED]

    asyncio.run(main())


def test_what_kills_every_replica_is_not_tried_for_ever() -> None:
    async def main() -> None:
        replicas = FakeReplicas(dead={"a", "b"})
        (problem,) = await do(device_of(replicas), request(painter=None))
        assert isinstance(problem, Problem)
        assert (problem.status, problem.code) == (503, "no-replica")
        assert len(replicas.asked) == 3

    asyncio.run(main())


def test_nobody_waits_longer_than_is_set() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas, patience=0.02)
        await do(device, request(fresh=True))
        replicas.gate.clear()
        (problem,) = await do(device, request())
        assert isinstance(problem, Problem)
        assert problem.headers["Retry-After"]
        replicas.gate.set()
        await do(device, request())
        assert replicas.asked[-1].home is None  # what became of it is not known: it is at home nowhere

    asyncio.run(main())


def test_a_painter_that_leaves_while_it_is_painted_is_dropped_after_that() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        replicas.gate.clear()
        done = asyncio.wrap_future(device.submit([request(fresh=True)]))
        await settled(lambda: bool(replicas.asked))
        device.forget("p")
        replicas.gate.set()
        await done
        await settled(lambda: replicas.forgotten == [("p", "a", False)])
        assert device.documents == 0

    asyncio.run(main())


def test_it_is_ready_when_a_replica_answers_and_stops_at_once() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        await device.start()
        assert device.facts == facts()
        replicas.gate.clear()
        done = device.submit([request()])
        await settled(lambda: bool(replicas.asked))
        await device.stop()
        assert done.cancelled()

    asyncio.run(main())


@pytest.mark.parametrize(
    "error",
    [
        Problem(409, "code", "Title", "Detail.", "Next.", headers={"Retry-After": "1"}, extra={"n": 1}),
        *(kind("what", "why", "next") for kind in (EngineError, *EngineError.__subclasses__())),
        OutOfMemory("what", "why", "next"),
        CheckpointError("what", "why", "next"),
        PainterLostError(),
    ],
)
def test_errors_travel_as_they_are(error: Exception) -> None:
    arrived = error_of(refusal(error))
    assert type(arrived) is type(error)
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)


def test_other_errors_arrive_as_a_replica_s() -> None:
    arrived = error_of(refusal(KeyError("secret")))
    assert isinstance(arrived, ReplicaError)
    assert "KeyError" in str(arrived)


def test_a_refusal_is_raised_here_and_the_painter_begins_anew() -> None:
    async def main() -> None:
        replicas = FakeReplicas()
        device = device_of(replicas)
        await do(device, request(fresh=True))
        replicas.result = refusal(EngineError("a style", "too long", "Send another."))
        (error,) = await do(device, request())
        assert isinstance(error, EngineError)
        assert device.homes == {}
        replicas.result = RENDERED
        await do(device, replace(request(), fresh=True))
        assert device.homes == {"a": 1}

    asyncio.run(main())
