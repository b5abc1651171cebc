"""Traces arrive at a collector, with the right parents and nothing that is nobody's business; and without a
collector there are none."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from server import otlp, tracing
from server.commands import in_words
from server.metrics import Metrics
from server.tracing import NOTHING, Tracer, UntraceableError
from tests.server.collector import Collector, SpanSeen, collector
from tests.server.conftest import palette_png, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import page
from tests.serving import free_port

ROOT = Path(__file__).parents[2]
MASK = palette_png(np.full((16, 16), 3, np.uint8))
SAID = {
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "scenebrush.request_id",
    "scenebrush.painter",
    "what",
    "format",
    "model",
    "revision",
    "exact",
    "width",
    "height",
}


def attributes_are_known(found: Collector) -> None:
    assert {name for span in found.spans for name in span.attributes} <= SAID
    assert not any(b"127.0.0.1" in body or b"PNG" in body or b"hush" in body for body in found.bodies)


def in_order(spans: list[SpanSeen]) -> list[str]:
    return [span.name for span in sorted(spans, key=lambda one: one.began)]


@pytest.mark.usefixtures("log_lines")  # plain ones: a traceback for people takes seconds
def test_a_request_and_its_steps(library: FakeLibrary) -> None:
    with collector() as found:
        with served(library, otlp_endpoint=f"{found.url}/") as server:
            asked = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            answer = httpx.post(
                f"{server.url}/generate?token=hush", files={"mask": MASK}, headers=asked
            ).raise_for_status()
            httpx.get(f"{server.url}/nowhere/hush")
            for quiet in ("/healthz", "/readyz", "/metrics", "/assets/1/js/main.js"):
                httpx.get(f"{server.url}{quiet}")
            library.failure = RuntimeError("broken")
            httpx.post(f"{server.url}/generate", files={"mask": MASK})
        # Stopping has sent what was still there.
        assert found.services == {"scenebrush"}
        one, other = sorted(found.named("POST /generate"), key=lambda span: span.began)
        assert (one.trace, one.parent) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
        assert one.attributes == {
            "http.request.method": "POST",
            "http.route": "/generate",
            "http.response.status_code": 200,
            "scenebrush.request_id": answer.headers["x-request-id"],
        }
        steps = found.children(one)
        assert in_order(steps) == ["upload", "decode", "queue", "render", "encode"]
        assert all(one.began <= step.began <= step.ended <= one.ended for step in steps)
        assert not one.failed
        assert other.failed
        assert (other.parent, other.attributes["http.response.status_code"]) == ("", 500)
        assert other.trace != one.trace
        assert {span.name for span in found.spans if not span.parent} == {"POST /generate", "GET unmatched"}
        attributes_are_known(found)


def test_live_frames_and_their_steps(library: FakeLibrary) -> None:
    library.previews = True
    with collector() as found:
        with served(library, otlp_endpoint=found.url) as server:
            server.services.worker.scheduler._shortest_rest = server.services.worker.scheduler._rest = 0.2
            with page(server) as one:
                key = one.open()["session"]
                one.whole()
                one.frame()
                one.patch()
                while not (frame := one.frame()).exact or frame.revision < 2:
                    pass
        frames = sorted(found.named("live frame"), key=lambda span: span.began)
        assert {span.attributes["scenebrush.painter"] for span in frames} == {key}
        assert [span.attributes["revision"] for span in frames] == [1, 2, 2][: len(frames)]
        assert frames[-1].attributes["exact"]
        assert frames[-1].attributes["width"] == 32
        assert all(not span.parent for span in frames)
        first = found.children(frames[0])
        assert in_order(first) == ["receive", "queue", "render", "encode", "send"]
        if len(frames) == 3:  # the exact frame at rest shows no change for the first time
            assert in_order(found.children(frames[2])) == ["queue", "render", "encode", "send"]
        attributes_are_known(found)


def test_a_collector_that_is_not_there_costs_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otlp, "_SECONDS_TO_FLUSH", 0.2)
    metrics = Metrics()

    async def main() -> None:
        tracer = tracing.open_tracer(f"http://127.0.0.1:{free_port()}", {}, metrics)
        for _ in range(20_000):  # more than the queue holds
            tracer.begin("live frame", time.perf_counter()).end(time.perf_counter())
        async with asyncio.timeout(5):
            await tracer.close()
            while not lost(metrics):
                await asyncio.sleep(0.01)

    asyncio.run(main())
    assert "not taken" in capsys.readouterr().out


def lost(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("scenebrush_spans_total", {"result": "lost"}) or 0.0


def test_the_collector_is_missed_once_and_welcomed_back(capsys: pytest.CaptureFixture[str]) -> None:
    class Inner(otlp.SpanExporter):
        def __init__(self) -> None:
            self.results = [False, False, True, True]

        def export(self, spans: Any) -> otlp.SpanExportResult:
            taken = self.results.pop(0)
            return otlp.SpanExportResult.SUCCESS if taken else otlp.SpanExportResult.FAILURE

    metrics = Metrics()
    exporter = otlp._Exporter(Inner(), metrics)
    for _ in range(4):
        exporter.export([object()] * 5)
    said = capsys.readouterr().out
    assert said.count("traces are not taken") == said.count("taken again") == 1
    assert lost(metrics) == metrics.registry.get_sample_value("scenebrush_spans_total", {"result": "sent"})


def test_without_a_collector_opentelemetry_is_not_even_imported() -> None:
    program = (
        "import sys\n"
        "from server import tracing\n"
        "from server.metrics import Metrics\n"
        "tracer = tracing.open_tracer(None, {}, Metrics())\n"
        "assert tracer.begin('one', 0.0, traceparent='00-x').id == ''\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_traces_can_be_off(environ: dict[str, str]) -> None:
    assert type(tracing.open_tracer(None, environ, Metrics())) is Tracer


def test_opentelemetrys_own_variables_name_the_collector(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "studio-1")
        with served(library) as server:
            httpx.get(f"{server.url}/models")
        assert found.services == {"studio-1"}
        assert found.named("GET /models")


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(UntraceableError, match=r"scenebrush\[telemetry\]") as raised:
        tracing.open_tracer("http://127.0.0.1:4318", {}, Metrics())
    assert in_words(raised.value) is not None


def test_grpc_is_refused() -> None:
    environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(UntraceableError, match="http/protobuf"):
        tracing.open_tracer("http://127.0.0.1:4317", environ, Metrics())


def test_steps_belong_to_the_trace_that_is_followed() -> None:
    steps: list[str] = []

    class Noting(tracing.Trace):
        def step(self, name: str, began: float, ended: float, **attributes: tracing.Value) -> None:
            assert began <= ended
            steps.append(name)

    with tracing.following(Noting()):
        with pytest.raises(ValueError, match="broken"), tracing.step("decode"):
            raise ValueError("broken")
        assert steps == ["decode"]
    assert tracing.current() is NOTHING
