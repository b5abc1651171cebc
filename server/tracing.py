"""Traces: which steps a request or a live frame took, and for how long, for whoever collects that.

The server knows no more of it than this. OpenTelemetry is imported, by server/otlp.py, only where a collector
is configured; otherwise nothing here keeps anything. Times are seconds of time.perf_counter. What a trace
says are names, numbers and ids: never pictures, maps, tokens or addresses.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, cast

from server.metrics import Metrics

Value = str | bool | int | float


class Trace:
    """One request or one live frame, while it lasts. This one is nobody's, and keeps nothing."""

    id = ""
    """The trace's id, 32 hexadecimal digits, for the log; empty where nothing is traced."""

    def step(self, name: str, began: float, ended: float, **attributes: Value) -> None:
        """A step that is over, as a child of the whole."""

    def end(
        self, ended: float, *, name: str | None = None, failed: bool = False, **attributes: Value
    ) -> None:
        """The whole is over; `name` is a better one than it began with."""


class Tracer:
    """Begins traces. This one begins none."""

    def begin(self, name: str, began: float, *, traceparent: str = "", **attributes: Value) -> Trace:
        """`traceparent`: W3C Trace Context's header, from whoever asked; the trace is a part of theirs."""
        del name, began, traceparent, attributes
        return NOTHING

    async def close(self) -> None:
        """Send what is still there, for a few seconds at most."""


class _Otlp(Protocol):
    def open_tracer(self, endpoint: str | None, metrics: Metrics) -> Tracer: ...


class UntraceableError(RuntimeError):
    """Traces were asked for, and cannot be sent."""


NOTHING = Trace()
_current: ContextVar[Trace] = ContextVar("trace", default=NOTHING)


def current() -> Trace:
    """The trace of the request that runs."""
    return _current.get()


@contextmanager
def following(trace: Trace) -> Generator[None]:
    """Within, and in tasks begun within, this is the current trace."""
    before = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(before)


@contextmanager
def step(name: str, **attributes: Value) -> Generator[None]:
    """What happens within is a step of the current trace."""
    began = time.perf_counter()
    try:
        yield
    finally:
        current().step(name, began, time.perf_counter(), **attributes)


def open_tracer(endpoint: str | None, environ: Mapping[str, str], metrics: Metrics) -> Tracer:
    """The tracer that the settings, or OpenTelemetry's own environment variables, ask for.

    Args:
        endpoint: the collector's address, without /v1/traces.

    Raises:
        UntraceableError: a collector is named, and the extra `telemetry` is not installed, or it is to be
            spoken to in another way than OTLP over HTTP.
    """
    named = endpoint or _named(environ)
    if not named or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return Tracer()
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "", "http/protobuf"):
        raise UntraceableError(
            f"Traces are to be sent by {protocol!r} (OTEL_EXPORTER_OTLP_PROTOCOL), and Scenebrush speaks "
            "http/protobuf only. Unset the variable and name the collector's HTTP port, usually 4318."
        )
    try:
        otlp = cast("_Otlp", importlib.import_module("server.otlp"))
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise UntraceableError(
            f"Traces are to be sent to {named}, and OpenTelemetry is not installed. "
            "pip install 'scenebrush[telemetry]', or unset SCENEBRUSH_OTLP_ENDPOINT and "
            "OTEL_EXPORTER_OTLP_ENDPOINT."
        ) from None
    return otlp.open_tracer(endpoint, metrics)


def _named(environ: Mapping[str, str]) -> str:
    if environ.get("OTEL_TRACES_EXPORTER", "otlp") not in ("", "otlp"):
        return ""  # none, or something that others set up
    return environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
