"""A server process to which bad things happen: killed, and started again on its port."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from tests.serving import Server, drain, free_port, wait_until_ready

ROOT = Path(__file__).parents[2]
FAKE = (sys.executable, "-m", "tests.server.fake_server")


class FaultyServer:
    """Use as a context: it starts, and whatever is left of it at the end is killed.

    Args:
        command: what to run.
        settings: SCENEBRUSH_…, without that prefix and in lower case.
        engine: arguments of the fake engine.
        environment: other variables.
    """

    def __init__(
        self,
        command: Sequence[str] = FAKE,
        *,
        settings: Mapping[str, object] | None = None,
        engine: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.live = f"ws://127.0.0.1:{self.port}/live"
        self.log = bytearray()
        given = {"host": "127.0.0.1", "port": self.port, "log_format": "json", **(settings or {})}
        self._command = command
        self._environment = (
            {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_ENGINE": json.dumps(engine or {})}
            | {f"SCENEBRUSH_{name.upper()}": str(value) for name, value in given.items()}
            | dict(environment or {})
        )
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()

    def start(self) -> None:
        """Start it, or start it again; returns when it is ready."""
        self.process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=drain, args=(self.process, self.log), daemon=True)
        self._reader.start()
        try:
            wait_until_ready(Server(self.process, self.url, self.log))
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """kill -9: nothing is said, nothing is tidied up."""
        os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own: a shell around it goes too
        self.process.wait()
        assert self._reader is not None
        self._reader.join()

    def metrics(self) -> dict[str, float]:
        """What /metrics says: name with its labels → value."""
        lines = httpx.get(f"{self.url}/metrics").raise_for_status().text.splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
        return {name: float(value) for name, value in pairs}

    def events(self) -> list[dict[str, Any]]:
        """What it logged so far; lines that are no JSON are events of level `none`."""
        return [_event(line) for line in self.log.decode(errors="replace").splitlines() if line.strip()]

    def troubles(self) -> list[dict[str, Any]]:
        """Log lines that are no plain news."""
        return [event for event in self.events() if event["level"] not in ("debug", "info")]


def _event(line: str) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError:
        return {"level": "none", "event": line}
