"""Starting and stopping under uvicorn, and what the logs say meanwhile."""

import asyncio
import json
import logging
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import structlog

from server import logs
from server.app import create_app
from server.settings import Settings, SeveralWorkersError
from tests.server.conftest import palette_png, run, served
from tests.server.fake_engine import FakeLibrary

MASK = palette_png(np.full((16, 16), 3, np.uint8))


def test_a_request_under_way_is_finished_before_the_server_stops(library: FakeLibrary) -> None:
    with served(library) as server, ThreadPoolExecutor(1) as pool:
        library.gate.clear()
        answer = pool.submit(httpx.post, f"{server.url}/generate", files={"mask": MASK}, timeout=10)
        while server.services.worker.scheduler.idle:
            time.sleep(0.005)
        server.server.should_exit = True
        time.sleep(0.3)
        assert not answer.done()
        library.gate.set()
        assert answer.result().status_code == 200


def test_a_stuck_request_does_not_hold_the_server_for_ever(library: FakeLibrary) -> None:
    with served(library, drain_timeout=1) as server, ThreadPoolExecutor(1) as pool:
        library.gate.clear()
        answer = pool.submit(httpx.post, f"{server.url}/generate", files={"mask": MASK}, timeout=10)
        while server.services.worker.scheduler.idle:
            time.sleep(0.005)
        server.server.should_exit = True
        with pytest.raises(httpx.HTTPError):
            answer.result().raise_for_status()


def test_painters_and_requests_share_the_time_to_drain(library: FakeLibrary) -> None:
    class Stuck:
        async def say_bye(self, reason: str, retry_after: float) -> None:
            await asyncio.sleep(60)

    with served(library, drain_timeout=2) as server:
        server.services.painters.add(Stuck())
    assert server.server.config.timeout_graceful_shutdown == 1


def test_it_says_where_it_is(library: FakeLibrary) -> None:
    with served(library) as server:
        assert server.server.url == f"http://127.0.0.1:{server.port}"
    with served(library, host="0.0.0.0", root_path="/paint") as server:
        assert server.server.url == f"http://127.0.0.1:{server.port}/paint"


def test_the_containers_health_check_needs_no_allowed_host_and_no_proxy(library: FakeLibrary) -> None:
    text = (Path(__file__).parents[2] / "Dockerfile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^HEALTHCHECK.*\\\n\s*CMD (\[.*\])$", text, re.MULTILINE)
    with served(library, allowed_hosts="example.org") as server:
        environment = {
            "SCENEBRUSH_PORT": str(server.port),
            "http_proxy": "http://127.0.0.1:1",
            "HTTP_PROXY": "http://127.0.0.1:1",
        }
        done = subprocess.run([sys.executable, *json.loads(command)[1:]], env=environment, check=False)
    assert done.returncode == 0


def test_forwarded_headers_are_believed_from_named_proxies_only(library: FakeLibrary) -> None:
    with served(library, trusted_proxies="10.9.8.7") as server:
        config = server.server.config
        assert config.forwarded_allow_ips == ["10.9.8.7"]
        assert config.ws_per_message_deflate is False
        assert config.ws_max_size == server.services.settings.max_message_bytes
        assert config.workers == 1


def test_several_workers_are_refused_at_startup(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    app = create_app(Settings(), library)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(SeveralWorkersError):
        run(main())


def test_logs_have_request_ids_and_no_pictures(library: FakeLibrary, log_lines: Any) -> None:
    secret = np.frombuffer(b"\x01\x02\x03\x04" * 64, np.uint8).reshape(16, 16)
    with served(library) as server:
        ids = []
        for failure in (None, RuntimeError("broken"), None):
            library.failure = failure
            sent = {"mask": ("holiday.png", palette_png(secret))}
            ids.append(httpx.post(f"{server.url}/generate", files=sent).headers["x-request-id"])
    lines = log_lines()
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["request_id"] for line in requests if line["path"] == "/generate"] == ids
    assert [line["status"] for line in requests if line["path"] == "/generate"] == [200, 500, 200]
    (failed,) = [line for line in lines if line["event"] == "request failed"]
    assert failed["request_id"] == ids[1]
    assert "RuntimeError: broken" in failed["exception"]
    said = json.dumps(lines)
    assert "holiday" not in said
    assert "array(" not in said
    assert "PNG" not in said


def test_console_logs_show_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("uvicorn.error").level
    logs.configure("console", "info")
    try:
        label_map = "pixels of somebody"
        raise ValueError(len(label_map))
    except ValueError:
        structlog.get_logger("test").exception("failed")
    finally:
        structlog.reset_defaults()
        root.handlers[:], root.level = before[0], before[1]
        logging.getLogger("uvicorn.error").setLevel(before[2])
    said = capsys.readouterr().err
    assert "ValueError: 18" in said
    assert "pixels of somebody" not in said.replace('label_map = "pixels of somebody"', "")


def test_nothing_is_left_running(library: FakeLibrary) -> None:
    before = {thread.name for thread in threading.enumerate()}
    with served(library) as server:
        httpx.post(f"{server.url}/generate", files={"mask": MASK})
    left = {thread.name for thread in threading.enumerate()} - before
    assert not [name for name in left if name.startswith(("device", "codec", "uvicorn"))]
