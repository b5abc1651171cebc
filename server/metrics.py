"""Prometheus metrics of one app, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """What the server counts. Labels are bounded: routes, statuses, model ids, sources."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "scenebrush_requests",
            "HTTP requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "scenebrush_request_seconds",
            "Seconds from a request's first byte to its answer's last.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.render_seconds = Histogram(
            "scenebrush_render_seconds",
            "Seconds on the device until a picture was painted, with those painted together with it.",
            ["model", "source", "quality"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.wait_seconds = Histogram(
            "scenebrush_wait_seconds",
            "Seconds that work waited for the device.",
            ["source"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.frames = Counter("scenebrush_frames", "Live frames sent.", registry=self.registry)
        self.closed = Counter(
            "scenebrush_live_closed",
            "Live connections closed by the server, by close code.",
            ["code"],
            registry=self.registry,
        )

        self.refused = Counter(
            "scenebrush_refused",
            "Requests and sockets that the guard turned away, by what was too much or missing.",
            ["why"],
            registry=self.registry,
        )
        self.dropped = Counter(
            "scenebrush_dropped_connections",
            "Connections dropped, by what was too much or too slow.",
            ["why"],
            registry=self.registry,
        )

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that asks for its value when it is read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
