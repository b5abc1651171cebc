"""Steps of a request that are both measured and traced."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from server import tracing
from server.metrics import Metrics


@contextmanager
def decoding(metrics: Metrics, what: str) -> Generator[None]:
    """Within, what was sent is read: a `map` or a `photo`."""
    with tracing.step("decode", what=what), metrics.decode_seconds.labels(what).time():
        yield


@contextmanager
def encoding(metrics: Metrics, format: str) -> Generator[None]:
    """Within, the answer's file is written."""
    with tracing.step("encode", format=format), metrics.encode_seconds.labels(format, "rest").time():
        yield
