"""A server of its own for a benchmark."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

READY_WITHIN = 120.0  # seconds


@contextmanager
def server(settings: Mapping[str, str] | None = None, *options: str) -> Iterator[str]:
    """A server process on a free port of loopback; yields its URL once /readyz says 200.

    Args:
        settings: environment variables beside the process's own.
        options: of `scenebrush serve`.

    Raises:
        RuntimeError: it was not ready in time.
    """
    with server_process(settings, *options) as (url, _):
        yield url


@contextmanager
def server_process(settings: Mapping[str, str] | None = None, *options: str) -> Iterator[tuple[str, int]]:
    """The same, with the process's number."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).with_name("scenebrush")), "serve", *options]
    here = {
        "SCENEBRUSH_HOST": "127.0.0.1",
        "SCENEBRUSH_PORT": str(port),
        "SCENEBRUSH_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(command, env=os.environ | here | dict(settings or {}))
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise RuntimeError("the server did not become ready")
