"""What is loaded: where it is, whether it may be, and what it paints. And how it fares, where it runs
here."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from server.loadtool.errors import LoadError
from server.loadtool.stats import Sample

_TIMEOUT: Final = 60.0  # seconds for one answer
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Target:
    """A server's address."""

    secure: bool
    host: str
    port: int
    path: str
    """Under which it lies, without a slash at its end."""
    headers: Mapping[str, str]

    @property
    def live(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}{self.path}/live"

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Message, bytes]:
        """One request on a connection of its own: status, headers, body. Raises OSError, HTTPException."""
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=_TIMEOUT)
        try:
            connection.request(method, self.path + path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def target_of(url: str, *, token: str | None = None, allow_remote: bool = False) -> Target:
    """The server at `url`. Raises LoadError for no address of one, and for other machines unless allowed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _no_address(url) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _no_address(url)
    if not (allow_remote or is_loopback(parts.hostname)):
        raise LoadError(
            f"{parts.hostname} is another machine",
            "a load run can take a server down, and others may be using it",
            "If it is yours to load, say --allow-remote.",
        )
    secure = parts.scheme == "https"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return Target(secure, parts.hostname, port or (443 if secure else 80), parts.path.rstrip("/"), headers)


def _no_address(url: str) -> LoadError:
    return LoadError(f"{url!r}", "it is no address of a server", "Try http://127.0.0.1:8000.")


def is_loopback(host: str) -> bool:
    """Whether a host's name says that it is this machine. Names are not looked up: what they mean can
    change."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Paintable:
    """A model as a painter needs it."""

    model: str
    label_set: str
    label_ids: tuple[int, ...]


def paintable(target: Target, model: str | None) -> Paintable:
    """The server's model of that id, or its default one. Raises LoadError."""
    try:
        status, _, body = target.request("GET", "/models")
    except (OSError, http.client.HTTPException) as error:
        raise LoadError(
            f"{target.host}:{target.port} does not answer", str(error), "Start the server first."
        ) from None
    if status != HTTPStatus.OK:
        next_step = "Give a token with --token." if status == HTTPStatus.UNAUTHORIZED else "Look at its log."
        raise LoadError("GET /models failed", f"the server answered {status}", next_step)
    models: list[dict[str, Any]] = json.loads(body)["models"]
    for info in models:
        if info["default"] if model is None else info["id"] == model:
            labels = info["label_set"]
            ids = tuple(label["id"] for label in labels["labels"])
            return Paintable(info["id"], labels["hash"], ids)
    raise LoadError(f"model {model!r}", "the server has none of that id", "See GET /models.")


class Process:
    """The server's process on this machine, through /proc. Raises LoadError where that says nothing of it."""

    def __init__(self, pid: int) -> None:
        self._folder = _PROC / str(pid)
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        try:
            self.sample(0.0)
        except OSError:
            raise LoadError(
                f"process {pid}",
                f"{self._folder} cannot be read",
                "Give the server's own number, on the Linux machine where it runs, or leave --pid out.",
            ) from None

    def sample(self, time: float) -> Sample:
        """Its memory and CPU time now, `time` seconds into the run. Raises OSError when it is gone."""
        # After the command's name, which may hold anything: state is the third field (proc_pid_stat(5)).
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        cpu = (int(fields[11]) + int(fields[12])) / self._ticks
        resident = int((self._folder / "statm").read_text().split()[1]) * self._page
        return Sample(time, resident / 2**20, cpu)
