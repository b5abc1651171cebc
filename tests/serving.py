"""A real server in a process of its own, for tests of what is installed rather than of what is imported."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

READY_WITHIN = 90.0  # seconds; two busy cores load torch slowly
LEAVES_WITHIN = 20.0
CHECKOUT_COMMAND = (str(Path(sys.executable).with_name("scenebrush")), "serve")


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    url: str  # "http://127.0.0.1:PORT", no slash at the end
    log: bytearray

    @property
    def said(self) -> str:
        """The log, without the middle of a long one: what went wrong is told early, or last."""
        text = self.log.decode(errors="replace")
        return text if len(text) <= 8000 else f"{text[:5000]}\n…\n{text[-3000:]}"

    def stop(self) -> int:
        """Ask the server to leave, as `docker stop` does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LEAVES_WITHIN)


@contextmanager
def serve(
    command: Sequence[str] = CHECKOUT_COMMAND,
    *,
    cwd: Path,
    settings: Mapping[str, str] | None = None,
    within: float = READY_WITHIN,
) -> Iterator[Server]:
    """Run `command` on a free port of loopback until the block is left.

    Raises:
        AssertionError: the server left early or was not ready in time; the message holds its log.
    """
    port = free_port()
    environment = (
        os.environ | {"SCENEBRUSH_HOST": "127.0.0.1", "SCENEBRUSH_PORT": str(port)} | dict(settings or {})
    )
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    server = Server(process, f"http://127.0.0.1:{port}", bytearray())
    # A pipe, since a file would count against the file size limit under which a test may run its server.
    reader = threading.Thread(target=drain, args=(process, server.log), daemon=True)
    reader.start()
    try:
        wait_until_ready(server, within)
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        reader.join()


def drain(process: subprocess.Popen[bytes], log: bytearray) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            log.extend(line)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_until_ready(server: Server, within: float = READY_WITHIN) -> None:
    until = time.monotonic() + within
    while time.monotonic() < until:
        assert server.process.poll() is None, f"the server left early:\n{server.said}"
        try:
            if httpx.get(f"{server.url}/readyz", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"the server was not ready within {within:.0f} s:\n{server.said}")
