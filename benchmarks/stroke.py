"""Stroke-to-frame latency: a real server process, a real socket on loopback, sixty dabs a second."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np
from websockets.sync.client import ClientConnection, connect

from benchmarks.frame import painted_map
from server import protocol

INTERVAL = 1 / 60  # seconds between dabs: one animation frame
DAB = 24  # pixels


@dataclass(frozen=True)
class Latency:
    """Seconds from sending a dab to receiving the first frame that shows it; frames per second meanwhile."""

    size: int
    dabs: int
    p50_s: float
    p95_s: float
    frames_per_s: float


class Stroke:
    """One painter: sends dabs on time, notes when each is first shown, acknowledges every frame at once."""

    def __init__(self, socket: ClientConnection, size: int, label_set: str) -> None:
        self._socket, self._size, self._revision, self._frames = socket, size, 0, 0
        self._waiting: dict[int, float] = {}
        self.latencies: list[float] = []
        opening = {
            "type": "open",
            "epoch": 1,
            "width": size,
            "height": size,
            "model": None,
            "label_set": label_set,
        }
        socket.send(json.dumps({**opening, "seed": 1, "style": None, "format": "jpeg"}))
        ready = json.loads(socket.recv(30))
        if ready["type"] != "ready":
            raise RuntimeError(f"the server answered {ready}")
        self._send(0, 0, painted_map(size), whole=True)
        self.settle()

    def _send(self, x: int, y: int, labels: np.ndarray, *, whole: bool = False) -> None:
        self._revision += 1
        self._waiting[self._revision] = time.perf_counter()
        self._socket.send(protocol.encode_labels(1, self._revision, x, y, labels, whole=whole))

    def dab(self, x: int, y: int) -> None:
        self._send(x, y, np.full((DAB, DAB), 11, np.uint8))

    def take(self, timeout: float) -> bool:
        """Receive one frame if it comes within `timeout` seconds."""
        try:
            message = self._socket.recv(max(timeout, 0))
        except TimeoutError:
            return False
        now = time.perf_counter()
        if isinstance(message, str):
            raise RuntimeError(f"the server says {message}")
        frame = protocol.decode_frame(message)
        self._socket.send(json.dumps({"type": "ack", "epoch": 1, "frame": frame.frame}))
        self._frames += 1
        shown = [revision for revision in self._waiting if revision <= frame.revision]
        self.latencies += [now - self._waiting.pop(revision) for revision in shown]
        return True

    def settle(self) -> None:
        """Wait until everything sent is shown."""
        while self._waiting:
            if not self.take(60):
                raise RuntimeError("no frame within a minute")

    def draw(self, seconds: float) -> Latency:
        """Draw a wavy line for some seconds."""
        self.latencies, self._frames, began = [], 0, time.perf_counter()
        for i in range(int(seconds / INTERVAL)):
            angle = i * INTERVAL
            middle, reach = (self._size - DAB) / 2, (self._size - DAB) / 2 - 1
            self.dab(int(middle + reach * np.sin(angle * 1.1)), int(middle + reach * np.sin(angle * 1.7)))
            while (left := began + (i + 1) * INTERVAL - time.perf_counter()) > 0:
                self.take(left)
        self.settle()
        p50, p95 = np.percentile(self.latencies, [50, 95])
        rate = self._frames / (time.perf_counter() - began)
        return Latency(self._size, len(self.latencies), float(p50), float(p95), rate)


def measure(url: str, size: int, label_set: str, seconds: float = 6.0) -> Latency:
    """Draw on the server at `url` (http://…) on a canvas of size × size."""
    address = url.replace("http", "ws", 1) + "/live"
    with connect(address, subprotocols=[protocol.SUBPROTOCOL], compression=None, max_size=2**24) as socket:  # type: ignore[list-item]
        return Stroke(socket, size, label_set).draw(seconds)
