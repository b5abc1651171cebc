"""Whose line it is: every line of a request or a live painter says so, and never who the client is."""

import json
from typing import Any

import httpx
import numpy as np

from server.middleware import client_kind
from tests.server.collector import collector
from tests.server.conftest import palette_png, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import page

MASK = palette_png(np.full((16, 16), 3, np.uint8))


def test_a_painters_lines_carry_its_ids(library: FakeLibrary, log_lines: Any) -> None:
    library.failure, library.failing = RuntimeError("broken"), 1
    with served(library) as server, page(server, additional_headers={"X-Request-ID": "socket-1"}) as one:
        key = one.open()["session"]
        one.whole()
        one.frame()
        one.socket.send(b"nonsense")
        one.closed()
    lines = [line for line in log_lines() if line["event"].startswith("live")]
    assert [line["event"] for line in lines] == ["live joined", "live render failed", "live closed"]
    assert {(line["painter"], line["request_id"]) for line in lines} == {(key, "socket-1")}
    assert lines[0]["client"] == lines[2]["client"] == "address"


def test_a_requests_line_carries_its_ids(library: FakeLibrary, log_lines: Any) -> None:
    with collector() as found, served(library, otlp_endpoint=found.url) as server:
        answer = httpx.post(f"{server.url}/generate", files={"mask": MASK})
    (line,) = [line for line in log_lines() if line["event"] == "request" and line["path"] == "/generate"]
    (span,) = found.named("POST /generate")
    assert (line["request_id"], line["trace_id"]) == (answer.headers["x-request-id"], span.trace)
    assert line["client"] == "address"
    assert "127.0.0.1" not in json.dumps(line)


def test_only_the_kind_of_a_client_is_said() -> None:
    assert client_kind({"scenebrush.client": "token:hush"}) == "token"
    assert client_kind({"scenebrush.client": "address:10.0.0.1"}) == "address"
    assert client_kind({}) == "address"
