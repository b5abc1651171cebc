"""Prometheus metrics of one app, in a registry of its own. docs/operating.md says what each one means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_LAG_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)

Refusal = Literal[
    "busy", "uploads", "painters", "sockets", "rate", "working", "token", "memory", "stopping", "broken"
]
"""Why work was turned away."""
_REFUSAL_BY_CODE: Final[Mapping[str, Refusal]] = {
    "busy": "busy",
    "too-many-uploads": "uploads",
    "too-many-painters": "painters",
    "going-away": "stopping",
    "low-memory": "memory",
    "out-of-memory": "memory",
    "out-of-order": "broken",
    "device-wedged": "broken",
}


class Metrics:
    """What the server counts. Labels are bounded: routes, statuses, model ids, sources."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)

        # Requests
        self.requests = self._counter(
            "requests", "HTTP requests by route, method and status.", "route", "method", "status"
        )
        self.request_seconds = self._seconds(
            "request_seconds", "Seconds from a request's first byte to its answer's last.", "route"
        )
        self.refused = self._counter("refused", "Requests and painters turned away, by reason.", "reason")
        _begin(self.refused, *get_args(Refusal))

        # The line from a request or a stroke to the picture
        self.decode_seconds = self._seconds(
            "decode_seconds", "Seconds in which what was sent was read: map, photo or patch.", "what"
        )
        self.wait_seconds = self._seconds(
            "wait_seconds", "Seconds that work waited for the device.", "source"
        )
        self.render_seconds = self._seconds(
            "render_seconds",
            "Seconds on the device until a picture was painted, with those painted together with it.",
            "model",
            "source",
            "quality",
        )
        self.encode_seconds = self._seconds(
            "encode_seconds", "Seconds in which a picture's file was written.", "format", "source"
        )

        # Live painting
        self.frames = self._counter("frames", "Live frames sent, by quality.", "quality")
        _begin(self.frames, "exact", "live")
        self.stroke_seconds = self._seconds(
            "stroke_to_frame_seconds",
            "Seconds from a change's arrival until the first frame that shows it was sent.",
            "quality",
        )
        self.live_bytes = self._counter("live_bytes", "Bytes of live messages, by direction.", "direction")
        _begin(self.live_bytes, "in", "out")
        self.closed = self._counter(
            "live_closed", "Live connections closed by the server, by close code.", "code"
        )

        self.dropped = self._counter(
            "dropped_connections", "Connections dropped, by what was too much or too slow.", "why"
        )

        # The process
        self.lag_seconds = Histogram(
            "scenebrush_event_loop_lag_seconds",
            "Seconds by which the event loop came late, measured twice a second.",
            buckets=_LAG_SECONDS,
            registry=self.registry,
        )
        self.spans = self._counter("spans", "Spans of traces, sent to the collector or lost.", "result")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"scenebrush_{name}", text, labels, registry=self.registry)

    def _seconds(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"scenebrush_{name}", text, labels, buckets=_SECONDS, registry=self.registry)

    def refuse(self, reason: Refusal) -> None:
        """Somebody was turned away."""
        self.refused.labels(reason).inc()

    def refuse_by(self, code: str) -> None:
        """A problem of this code was the answer; it counts where it turns somebody away."""
        reason = _REFUSAL_BY_CODE.get(code)
        if reason is not None:
            self.refuse(reason)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that asks for its value when it is read."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def watch_gauges(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """Such gauges by one label; without any value the family is not shown."""
        self.registry.register(_Watched(lambda: GaugeMetricFamily(name, text, labels=[label]), values))

    def watch_count(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A counter that is kept elsewhere."""
        self.registry.register(_Watched(lambda: CounterMetricFamily(name, text), lambda: {"": value()}))

    def watch_counts(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """Such counters by one label."""
        self.registry.register(_Watched(lambda: CounterMetricFamily(name, text, labels=[label]), values))

    def state(self, name: str, text: str, **labels: str) -> None:
        """A gauge that is always 1 and says something in its labels."""
        Gauge(name, text, list(labels), registry=self.registry).labels(**labels).set(1)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


def _begin(counter: Counter, *labels: str) -> None:
    """Show a counter's values from the start: a rate over what has never been there is nothing, not 0."""
    for label in labels:
        counter.labels(label)


class _Watched(Collector):
    """A family whose values, by label or under "" for the only one, are asked for when it is read."""

    def __init__(
        self,
        family: Callable[[], GaugeMetricFamily | CounterMetricFamily],
        values: Callable[[], Mapping[str, float]],
    ) -> None:
        self._family = family
        self._values = values

    def collect(self) -> Iterable[Metric]:
        family, values = self._family(), self._values()
        for label, value in values.items():
            family.add_metric([label] if label else [], value)
        return [family] if values else []

    def describe(self) -> Iterable[Metric]:
        return [self._family()]
