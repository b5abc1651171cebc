"""Traces by OpenTelemetry, sent as OTLP over HTTP by a thread of their own.

Its own environment variables hold as well: headers, certificates, sampling, the length of the queue.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog
from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.metrics import Metrics
from server.tracing import Trace, Tracer, Value
from server.version import scenebrush_version

log = structlog.get_logger(__name__)

_QUEUE: Final = 8192  # spans; some seconds of many painters' frames
_SECONDS_TO_FLUSH: Final = 3.0


def open_tracer(endpoint: str | None, metrics: Metrics) -> Tracer:
    """A tracer that sends to this collector, or to the one that the environment names."""
    # Its exporter says at every batch that it failed. `_Exporter` says it once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    address = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
    exporter = _Exporter(OTLPSpanExporter(endpoint=address), metrics)
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    queue = None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else _QUEUE
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=queue))
    return _OtlpTracer(provider, exporter)


def _resource() -> Resource:
    resource = Resource.create({"service.version": scenebrush_version()})
    unnamed = str(resource.attributes["service.name"]).startswith("unknown_service")
    return resource.merge(Resource({"service.name": "scenebrush"})) if unnamed else resource


class _Exporter(SpanExporter):
    """Counts what was sent and what was lost, and says when the collector goes and when it is back."""

    def __init__(self, inner: SpanExporter, metrics: Metrics) -> None:
        self._inner = inner
        self._spans = metrics.spans
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._inner.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        self._spans.labels("lost" if failed else "sent").inc(len(spans))
        if failed and not self._failing:
            log.warning(
                "traces are not taken: is the collector there? They are lost until it is", spans=len(spans)
            )
        elif self._failing and not failed:
            log.info("traces are taken again")
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class _OtlpTracer(Tracer):
    def __init__(self, provider: TracerProvider, exporter: SpanExporter) -> None:
        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("scenebrush", scenebrush_version())
        self._parents = TraceContextTextMapPropagator()

    def begin(self, name: str, began: float, *, traceparent: str = "", **attributes: Value) -> Trace:
        parent = self._parents.extract({"traceparent": traceparent}, Context()) if traceparent else Context()
        kind = api.SpanKind.SERVER
        span = self._tracer.start_span(name, parent, kind, attributes, start_time=_nanoseconds(began))
        return _OtlpTrace(self._tracer, span)

    async def close(self) -> None:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop is closed: nobody waited so long
                loop.call_soon_threadsafe(closed.set)

        # A thread of its own that the process need not wait for: a collector may hold on to a batch.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        try:
            async with asyncio.timeout(_SECONDS_TO_FLUSH):
                await closed.wait()
        except TimeoutError:
            self._exporter.shutdown()  # it tries no more
            log.warning("the last traces were not taken in time and are lost")


class _OtlpTrace(Trace):
    def __init__(self, tracer: api.Tracer, span: api.Span) -> None:
        self._tracer = tracer
        self._span = span
        self._context = api.set_span_in_context(span, Context())
        self.id = api.format_trace_id(span.get_span_context().trace_id)

    def step(self, name: str, began: float, ended: float, **attributes: Value) -> None:
        child = self._tracer.start_span(
            name, self._context, attributes=attributes, start_time=_nanoseconds(began)
        )
        child.end(_nanoseconds(ended))

    def end(
        self, ended: float, *, name: str | None = None, failed: bool = False, **attributes: Value
    ) -> None:
        if name is not None:
            self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(api.StatusCode.ERROR)
        self._span.end(_nanoseconds(ended))


def _nanoseconds(at: float) -> int:
    """A time of perf_counter as nanoseconds since 1970."""
    return time.time_ns() - int((time.perf_counter() - at) * 1e9)
