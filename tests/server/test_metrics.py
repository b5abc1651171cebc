"""What /metrics counts, and that docs/operating.md describes every metric and no other."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from engine.device import DeviceMemory
from server.app import create_app
from server.errors import Problem
from server.live_watch import LiveWatch
from server.loop_lag import measure_lag
from server.metrics import Metrics
from server.rendering import Rendered, RenderRequest
from server.scheduler import Turn
from server.settings import Settings
from server.tracing import Tracer
from server.worker import busy
from tests.server.conftest import Client, palette_png, run, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import page
from tests.server.test_painter import ack, labels, opening, seated, until

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"
ROW = re.compile(r"^\| `((?:scenebrush|process)_\w+)` \| (\w+) \|", re.MULTILINE)
MASK = palette_png(np.full((16, 16), 3, np.uint8))


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


def exposed(library: FakeLibrary) -> dict[str, str]:
    """Name and kind of every metric of an app on a GPU, as Prometheus reads them."""
    library.device_memory = DeviceMemory(1, 2)
    metrics: Metrics = create_app(Settings(), library).state.services.metrics
    types = re.findall(r"^# TYPE (\S+) (\w+)$", metrics.exposition().decode(), re.MULTILINE)
    return {name: kind for name, kind in types if not name.endswith("_created")}


def test_every_metric_is_documented_and_no_other(library: FakeLibrary) -> None:
    assert dict(ROW.findall(DOCUMENT.read_text(encoding="utf-8"))) == exposed(library)


def test_the_labels_of_metrics_are_documented(library: FakeLibrary) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    metrics: Metrics = create_app(Settings(), library).state.services.metrics
    for collector in metrics.registry._collector_to_names:
        for label in getattr(collector, "_labelnames", ()):
            names = metrics.registry._collector_to_names[collector]
            (row,) = (line for line in text.splitlines() if any(f"| `{name}` |" in line for name in names))
            assert f"`{label}`" in row, f"docs/operating.md says nothing of the label {label} of {names[0]}"


def test_what_a_request_took_is_measured(client: Client) -> None:
    async def main() -> None:
        async with client() as http:
            (await http.post("/generate", files={"mask": MASK}, data={"format": "png"})).raise_for_status()
            metrics: Metrics = http.app.state.services.metrics
            assert value(metrics, "scenebrush_decode_seconds_count", what="map") == 1
            assert value(metrics, "scenebrush_encode_seconds_count", format="png", source="rest") == 1
            assert value(metrics, "scenebrush_wait_seconds_count", source="rest") == 1
            text = (await http.get("/metrics")).text
            assert 'scenebrush_table_rows_total{result="found"} 90.0' in text
            assert re.search(
                r'scenebrush_build_info\{device="cpu",precision="fp32",version="\S+"\} 1\.0', text
            )
            assert "scenebrush_ready 1.0" in text
            assert "device_memory" not in text  # on a CPU
            await http.app.state.services.drain()
            text = (await http.get("/metrics")).text
            assert "scenebrush_ready 0.0" in text
            assert "scenebrush_draining 1.0" in text

    run(main())


def test_who_is_turned_away_is_counted_by_reason(library: FakeLibrary) -> None:
    with served(library, queue_length=1, max_painters=1) as server:
        metrics, worker = server.services.metrics, server.services.worker

        def refused() -> dict[str, float]:
            (family,) = metrics.refused.collect()
            return {
                one.labels["reason"]: one.value
                for one in family.samples
                if one.name.endswith("_total") and one.value
            }

        assert refused() == {}
        assert 'scenebrush_refused_total{reason="token"} 0.0' in httpx.get(f"{server.url}/metrics").text
        worker.scheduler.admit("somebody")
        assert httpx.post(f"{server.url}/generate", files={"mask": MASK}).status_code == 503
        worker.scheduler.release("somebody")
        assert refused() == {"busy": 1}
        with page(server) as one:
            one.open()
            with page(server) as two:
                two.hear("bye")
        assert refused() == {"busy": 1, "painters": 1}
        for code in ("going-away", "out-of-order", "not-found"):
            metrics.refuse_by(code)
        metrics.refuse("token")
        assert refused() == {"busy": 1, "painters": 1, "stopping": 1, "broken": 1, "token": 1}


def test_too_many_uploads_are_told_from_a_full_queue(client: Client) -> None:
    async def main() -> None:
        async with client(max_uploads=1) as http:
            services = http.app.state.services
            with services.worker.upload():
                assert (await http.post("/generate", files={"mask": MASK})).json()["type"].endswith(":busy")
            assert value(services.metrics, "scenebrush_refused_total", reason="uploads") == 1
            assert value(services.metrics, "scenebrush_refused_total", reason="busy") == 0

    run(main())


def test_a_problem_counts_as_its_code_unless_it_says_more() -> None:
    assert busy(1.0).counted_as == "busy"
    assert busy(1.0, uploads=True).counted_as == "too-many-uploads"
    assert Problem(404, "not-found", "", "", "").counted_as == "not-found"


def test_live_frames_strokes_and_bytes_are_counted(library: FakeLibrary) -> None:
    library.previews = True

    async def main() -> None:
        async with seated(library) as (painter, socket, services):
            metrics: Metrics = services.metrics
            socket.gate.set()
            messages = [opening(), labels(1, whole=True)]
            for message in messages:
                await painter.receive(message)
            await until(lambda: socket.frames)
            assert value(metrics, "scenebrush_live_bytes_total", direction="in") == sum(map(len, messages))
            assert value(metrics, "scenebrush_frames_total", quality="exact") == 1
            await painter.receive(ack(1))
            library.gate.clear()
            for revision in range(2, 6):
                await painter.receive(labels(revision))
            library.gate.set()
            async with asyncio.timeout(20):
                while not (socket.frames[-1].revision == 5 and socket.frames[-1].exact):
                    await painter.receive(ack(socket.frames[-1].frame))
                    await asyncio.sleep(0.005)
            # The device took revision 2, and of 3 to 5 only the last.
            superseded = value(metrics, "scenebrush_superseded_renders_total")
            assert superseded == services.worker.scheduler.superseded >= 2
            assert value(metrics, "scenebrush_decode_seconds_count", what="patch") == 5
            by_quality = [
                value(metrics, "scenebrush_stroke_to_frame_seconds_count", quality=one)
                for one in ("exact", "live")
            ]
            assert sum(by_quality) == 3  # revisions 1, 2 and 5; an exact frame at rest is nobody's first
            frames = [value(metrics, "scenebrush_frames_total", quality=one) for one in ("exact", "live")]
            assert sum(frames) == len(socket.frames)
            assert frames[1] == sum(not frame.exact for frame in socket.frames)
            assert value(metrics, "scenebrush_live_bytes_total", direction="out") > 0
            assert value(metrics, "scenebrush_encode_seconds_count", format="jpeg", source="live") == sum(
                frames
            )

    run(main())


class Watched:
    """A LiveWatch, and the clock that it looks at."""

    def __init__(self) -> None:
        self.now = 0.0
        self.metrics = Metrics()
        self.watch = LiveWatch("key", "id", self.metrics, Tracer(), lambda: self.now)

    def change(self, at: float) -> None:
        self.now = at
        self.watch.received(b"patch")
        self.watch.changed()

    def send(self, request: RenderRequest, at: float) -> None:
        self.now = at
        self.watch.painted(request)
        picture = np.zeros((2, 3, 3), np.uint8)
        self.watch.sent(request, Rendered(picture, (), 0.1), Turn("key", None, 0.1), b"frame")

    @property
    def strokes(self) -> tuple[float, float]:
        """How many, and their seconds together."""
        return (
            value(self.metrics, "scenebrush_stroke_to_frame_seconds_count", quality="exact"),
            value(self.metrics, "scenebrush_stroke_to_frame_seconds_sum", quality="exact"),
        )


def request(revision: int) -> RenderRequest:
    return RenderRequest("fake", 3, 2, 1, None, (), revision=revision)


def test_a_stroke_takes_from_its_oldest_change_to_the_frame() -> None:
    watched = Watched()
    watched.change(at=1.0)
    watched.change(at=2.0)
    watched.watch.taken(request(2))
    watched.change(at=2.5)
    watched.send(request(2), at=3.0)
    assert watched.strokes == (1, 2.0)
    watched.watch.taken(request(3))
    watched.send(request(3), at=3.5)
    assert watched.strokes == (2, 3.0)
    watched.watch.taken(request(3))
    watched.send(request(3), at=9.0)  # nothing new in it
    assert watched.strokes == (2, 3.0)


def test_what_failed_counts_from_when_it_came() -> None:
    watched = Watched()
    watched.change(at=1.0)
    watched.watch.taken(request(1))
    watched.watch.failed(request(1))
    watched.watch.taken(request(1))
    watched.send(request(1), at=5.0)
    assert watched.strokes == (1, 4.0)


def test_a_document_that_is_over_leaves_nothing_behind() -> None:
    watched = Watched()
    watched.change(at=1.0)
    watched.watch.taken(request(1))
    watched.change(at=2.0)
    watched.watch.start_over()
    watched.watch.taken(request(1))
    watched.send(request(1), at=5.0)
    assert watched.strokes == (0, 0.0)


def test_a_blocked_event_loop_is_noticed() -> None:
    metrics = Metrics()

    async def main() -> None:
        measuring = asyncio.create_task(measure_lag(metrics.lag_seconds, 0.001))
        await asyncio.sleep(0)
        time.sleep(0.06)  # noqa: ASYNC251
        while not value(metrics, "scenebrush_event_loop_lag_seconds_count"):
            await asyncio.sleep(0.001)
        measuring.cancel()

    run(main())
    assert value(metrics, "scenebrush_event_loop_lag_seconds_sum") > 0.05


@pytest.mark.parametrize("memory", [None, DeviceMemory(allocated=5, reserved=8)])
def test_a_gpus_memory_is_shown_where_there_is_one(library: FakeLibrary, memory: Any) -> None:
    library.device_memory = memory
    metrics: Metrics = create_app(Settings(), library).state.services.metrics
    shown = value(metrics, "scenebrush_device_memory_bytes", kind="reserved")
    assert shown == (0 if memory is None else 8)
