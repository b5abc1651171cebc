"""POST /styles: the code of a photo's light."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Library
from server.device import ThreadDevice, Tools
from server.errors import Problem
from server.segmenting import Segmenters
from server.worker import DeviceWorker
from tests.server.conftest import Client, run
from tests.server.fake_engine import FakeLibrary
from tests.server.photographs import pillow, png, samples
from tests.server.tiny_server import problem, tiny_library


@pytest.fixture
def library() -> Library:
    return tiny_library()


def test_a_photo_gives_the_code_that_the_encoder_reads(client: Client, library: Library) -> None:
    photo = samples(1, 80, 60)

    async def main() -> None:
        async with client() as http:
            said = (await http.post("/styles", files={"image": png(photo)})).json()
            assert said["model"] == "tiny"
            assert said["style"] == pytest.approx(library.style_of(photo, "tiny"))
            # What has 16 bits, or is very large, has the same light.
            deep = await http.post("/styles", files={"image": png(photo.astype(np.uint16) * 257)})
            assert deep.json() == said
            large = np.repeat(np.repeat(photo, 12, 0), 12, 1)
            near = (await http.post("/styles", files={"image": pillow(large, "PNG")})).json()["style"]
            assert near == pytest.approx(said["style"], abs=0.05)
            painted = await http.post(
                "/generate",
                json={"mask": _map(), "style": said["style"], "seed": 1},
                headers={"Accept": "application/json"},
            )
            assert painted.json()["style"] == pytest.approx(said["style"])

    run(main())


def _map() -> str:
    import base64  # noqa: PLC0415

    from tests.server.conftest import palette_png  # noqa: PLC0415

    return base64.b64encode(palette_png(np.full((32, 32), 1, np.uint8))).decode()


def test_what_cannot_be_read_is_said(client: Client) -> None:
    photo = png(samples(2, 20, 20))

    async def main() -> None:
        async with client() as http:
            answer = await http.post("/styles", files={"image": photo}, data={"model": "plain"})
            problem(answer, 422, "no-style-encoder")
            problem(
                await http.post("/styles", files={"image": photo}, data={"model": "x"}), 404, "unknown-model"
            )
            problem(
                await http.post("/styles", files={"image": photo}, data={"seed": "1"}), 422, "invalid-value"
            )
            problem(await http.post("/styles", files={"image": b"BM"}), 415, "unsupported-photo")
            problem(await http.post("/styles", files={"photo": photo}), 422, "invalid-value")

    run(main())


# The device's other work


@dataclass(frozen=True)
class Plain:
    """Work that is not about pictures."""

    work: Callable[[], Any]

    def run(self, tools: Tools) -> Any:
        assert isinstance(tools.library, FakeLibrary)
        return self.work()


def worker_of(library: FakeLibrary, **options: Any) -> DeviceWorker:
    segmenters = Segmenters(library, Path("/nowhere"))  # type: ignore[arg-type]
    device = ThreadDevice(library, segmenters)  # type: ignore[arg-type]
    return DeviceWorker(device, library, **{"places": 8, "uploads": 8, "max_painters": 1, **options})  # type: ignore[arg-type]


def test_calls_take_turns_with_pictures_and_their_errors_come_back() -> None:
    async def main() -> None:
        worker = worker_of(FakeLibrary())
        await worker.start()
        with worker.place("somebody") as place:
            assert (await worker.call(place, Plain(lambda: 7)))[0] == 7
            assert (await worker.call(place, Plain(lambda: None)))[0] is None
            with pytest.raises(ZeroDivisionError):
                await worker.call(place, Plain(lambda: 1 // 0))
            assert (await worker.call(place, Plain(lambda: "after")))[0] == "after"
        assert worker.scheduler.idle
        worker.fail()
        with worker.place("somebody") as place, pytest.raises(Problem, match="did not load"):
            await worker.call(place, Plain(lambda: 1))
        await worker.stop()

    asyncio.run(main())


def test_calls_that_wait_go_in_order_and_one_at_a_time() -> None:
    async def main() -> None:
        worker = worker_of(FakeLibrary(), batch=4)
        await worker.start()
        order: list[int] = []

        async def one(number: int) -> None:
            with worker.place("somebody") as place:
                await worker.call(place, Plain(lambda: order.append(number)))

        await asyncio.gather(*(one(number) for number in range(8)))
        assert order == list(range(8))
        await worker.stop()

    asyncio.run(main())
