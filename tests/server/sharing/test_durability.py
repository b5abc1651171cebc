"""What was answered 201 stays: through kill -9 at any moment, cut uploads and a full disk. Real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.sharing.database import WRITES, open_engine
from server.sharing.project import MEDIA_TYPE
from tests.server.sharing.forking_server import ENDED, SERVING
from tests.server.sharing.projects import project, simple

PROJECT = {"content-type": MEDIA_TYPE}
ROOT = Path(__file__).parents[3]
PATIENCE = 30.0


class Running:
    def __init__(self, pid: int, url: str) -> None:
        self.pid, self.url, self._killed = pid, url, False
        self.http = httpx.Client(base_url=url, timeout=PATIENCE)

    def share(self, data: bytes | None = None) -> dict[str, Any]:
        answer = self.http.post("/shares", content=data or simple(), headers=PROJECT)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def kill(self) -> None:
        if not self._killed:
            os.kill(self.pid, signal.SIGKILL)
            self._killed = True


class Servers:
    """One server after the other, on the same data."""

    def __init__(self, process: subprocess.Popen[str], data: Path) -> None:
        self._process, self.data = process, data

    @property
    def database(self) -> Path:
        return self.data / "shares.sqlite3"

    @contextmanager
    def running(self, **settings: Any) -> Iterator[Running]:
        """A server; killed at the end, if it has not been."""
        assert self._process.stdin is not None
        values = {"sharing": True, "data_dir": str(self.data), **settings}
        self._process.stdin.write(json.dumps(values) + "\n")
        self._process.stdin.flush()
        _, pid, url = self._told(SERVING).split()
        server = Running(int(pid), url)
        try:
            yield server
        finally:
            server.http.close()
            server.kill()
            self._told(ENDED)

    def _told(self, what: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(what):
                return line
        raise AssertionError("the servers are gone")


@pytest.fixture(scope="module")
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.server.sharing.forking_server"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        yield running
        assert running.stdin is not None
        running.stdin.close()


@pytest.fixture
def servers(process: subprocess.Popen[str], tmp_path: Path) -> Servers:
    return Servers(process, tmp_path / "data")


def check(database: Path) -> int:
    """The database is sound, and every painting in it whole; how many there are."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = connection.execute(
            "SELECT size, (SELECT sum(length(data)) FROM share_pieces WHERE share = id) FROM shares"
        ).fetchall()
    assert all(size == kept for size, kept in rows)
    return len(rows)


def test_what_was_answered_survives_a_kill_right_after_it(servers: Servers) -> None:
    made: list[dict[str, Any]] = []
    for round_ in range(3):
        with servers.running() as server:
            made += [server.share() for _ in range(1 + round_ % 3)]
            server.kill()
    assert check(servers.database) == len(made)
    with servers.running() as server:
        for one in made:
            assert server.http.get(f"/shares/{one['id']}").status_code == 200
        token = {"authorization": f"Bearer {made[0]['delete_token']}"}
        assert server.http.delete(f"/shares/{made[0]['id']}", headers=token).status_code == 204
        server.kill()
    assert check(servers.database) == len(made) - 1, "a deletion that was answered holds too"


def test_a_kill_in_the_middle_keeps_each_as_a_whole_or_not_at_all(servers: Servers) -> None:
    made: list[str] = []
    for _ in range(2):
        with servers.running(share_uploads=8) as server:
            enough = threading.Event()

            def go_on(server: Running = server, enough: threading.Event = enough) -> None:
                with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
                    while True:
                        try:
                            answer = http.post("/shares", content=project(), headers=PROJECT)
                        except httpx.HTTPError:
                            return
                        if answer.status_code == 201:
                            made.append(answer.json()["id"])
                            enough.set()

            threads = [threading.Thread(target=go_on) for _ in range(3)]
            for thread in threads:
                thread.start()
            assert enough.wait(PATIENCE)
            server.kill()
            for thread in threads:
                thread.join(PATIENCE)
    assert check(servers.database) >= len(made)
    with servers.running() as server:
        assert all(server.http.get(f"/shares/{one}").status_code == 200 for one in made)


def test_an_upload_that_is_cut_leaves_nothing(servers: Servers) -> None:
    with servers.running(share_uploads=1) as server:
        server.share()
        address, data = httpx.URL(server.url), project()
        for sent in (0, 1, len(data) // 2, len(data) - 1):
            with socket.create_connection((address.host, address.port or 80)) as cut:
                head = f"POST /shares HTTP/1.1\r\nHost: {address.netloc.decode()}\r\n"
                head += f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(data)}\r\n\r\n"
                cut.sendall(head.encode() + data[:sent])
        deadline = time.monotonic() + PATIENCE
        while (answer := server.http.post("/shares", content=data, headers=PROJECT)).status_code == 503:
            assert time.monotonic() < deadline, "a place was not given back"
        assert answer.status_code == 201
        server.kill()
    assert check(servers.database) == 2


def test_on_a_full_disk_nothing_half_is_kept_and_what_was_there_can_be_read(servers: Servers) -> None:
    with servers.running() as server:
        kept = server.share()
        server.kill()
    with servers.running(largest_file=256 * 1024) as server:
        statuses = []
        while not statuses or statuses[-1] == 201:
            answer = server.http.post("/shares", content=project(), headers=PROJECT)
            statuses.append(answer.status_code)
        assert answer.status_code == 507, answer.text
        assert answer.json()["type"] == "urn:scenebrush:problem:storage-full"
        assert server.http.get(f"/shares/{kept['id']}").status_code == 200
        assert server.http.get("/healthz").status_code == 200
        server.kill()
    assert check(servers.database) == 1 + statuses.count(201)
    with servers.running() as server:
        server.share()


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "shares.sqlite3"
    engine = open_engine(f"sqlite:///{path}")
    for writes in (True, False):
        with engine.connect().execution_options(**{WRITES: writes}) as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 3, "EXTRA"
    engine.dispose()
