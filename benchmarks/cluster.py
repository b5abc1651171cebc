"""`make bench-cluster`: two model replicas against one, in pictures painted per second.

One cluster of two replicas on this machine (`scenebrush serve --ray`), each with one thread on a core of its
own. Painters that never rest, three for each replica that takes part, paint 1024 × 1024 with the built-in
model, exactly; every picture is acknowledged and answered with the next dab. Slices of one replica and of two
alternate, so that what else the machine does meets both. Proxy, ingress and this program share the two cores
with the replicas: what they take is printed beside, and is the smaller, the larger the pictures are. Writes
benchmarks/results/cluster.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.maps import regions
from benchmarks.serving import server
from models.labels import load_label_set
from server import protocol
from server.cluster.placing import Candidate, Route, place

RESULTS = Path(__file__).parent / "results"
PER_REPLICA = 3  # painters: one is painted, one waits, one is on the way
TARGET = 1.7
LABELS = load_label_set("landscape17")
SETTINGS = {
    "SCENEBRUSH_THREADS": "1",
    "SCENEBRUSH_RAY_REPLICAS": "2",
    "SCENEBRUSH_MAX_PAINTERS": "64",
    "RAY_AUTH_TOKEN": "for-this-measurement-on-loopback",
}


@dataclass(frozen=True)
class Slice:
    """What one stretch of time brought: pictures a second, and the cores that were busy, by whom."""

    replicas: int
    pictures_per_second: float
    replicas_cores: float
    others_cores: float
    generator_cores: float


class Painter:
    """A page whose hand never rests."""

    def __init__(self, socket: ClientConnection, size: int, seed: int) -> None:
        self.socket = socket
        self.size = size
        self.random = np.random.default_rng(seed)
        self.revision = 0
        self.session = ""
        self.pictures = 0

    async def open(self) -> None:
        document = {"epoch": 1, "width": self.size, "height": self.size, "label_set": LABELS.hash, "seed": 1}
        ask = {"type": "open", "model": None, "style": None, "format": "jpeg", "quality": "exact"}
        await self.socket.send(json.dumps({**ask, **document}))
        self.session = json.loads(await self.socket.recv())["session"]
        await self._send(0, 0, regions(self.size, 12, LABELS), whole=True)
        await self.picture()

    async def _send(self, x: int, y: int, labels: np.ndarray, *, whole: bool = False) -> None:
        self.revision += 1
        await self.socket.send(protocol.encode_labels(1, self.revision, x, y, labels, whole=whole))

    async def picture(self) -> None:
        """Wait for the newest revision's, and acknowledge it."""
        while True:
            data = await self.socket.recv()
            if isinstance(data, bytes):
                frame = protocol.decode_frame(data)
                await self.socket.send(json.dumps({"type": "ack", "epoch": 1, "frame": frame.frame}))
                if frame.revision == self.revision:
                    self.pictures += 1
                    return

    async def paint(self, until: float) -> None:
        while time.monotonic() < until:
            x, y = self.random.integers(0, self.size - 16, 2).tolist()
            await self._send(x, y, np.full((16, 16), self.random.integers(1, 9), np.uint8))
            await self.picture()


def replica_processes() -> list[psutil.Process]:
    """The processes of the model replicas, which Ray names after their deployment."""
    return [one for one in psutil.process_iter() if ":Painters" in " ".join(_command(one))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def pin(processes: Sequence[psutil.Process]) -> None:
    """Every thread of each process on a core of its own."""
    for core, process in zip(sorted(os.sched_getaffinity(0)), processes, strict=False):
        for thread in process.threads():
            os.sched_setaffinity(thread.id, {core})


def busy_seconds(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds that the processes have used."""
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system
    return total


async def measure(url: str, size: int, seconds: float, rounds: int) -> list[Slice]:
    async with AsyncExitStack() as stack:
        teams = await gather_teams(url, size, stack)
        replicas = replica_processes()
        pin(replicas)
        found = []
        for _ in range(rounds):
            for number in (1, 2):
                crowd = [painter for team in teams[:number] for painter in team]
                found.append(await one_slice(crowd, number, replicas, seconds))
        return found


async def gather_teams(url: str, size: int, stack: AsyncExitStack) -> list[list[Painter]]:
    """As many painters as are wanted at each of the two replicas. Where a painter goes follows from its key;
    the pages that come to a replica that has enough stay, and do nothing."""
    teams: dict[str, list[Painter]] = {}
    everybody: list[Painter] = []
    while len(teams) < 2 or min(map(len, teams.values())) < PER_REPLICA:
        address = url.replace("http", "ws") + "/live"
        ours = [Subprotocol(protocol.SUBPROTOCOL)]
        socket = await stack.enter_async_context(
            connect(address, subprotocols=ours, compression=None, max_size=None, proxy=None)
        )
        painter = Painter(socket, size, len(everybody))
        await painter.open()
        everybody.append(painter)
        names = replica_names(url)
        teams = {name: [one for one in everybody if home(names, one) == name] for name in names}
    return [team[:PER_REPLICA] for team in teams.values()]


def replica_names(url: str) -> list[str]:
    """The replicas that have painters, as the ingress says."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return [line.split('"')[1] for line in lines if line.startswith("scenebrush_replica_painters{")]


def home(names: Sequence[str], painter: Painter) -> str | None:
    chosen = place([Candidate(name) for name in names], Route(painter.session))
    return chosen.id if chosen is not None else None


async def one_slice(
    crowd: Sequence[Painter], number: int, replicas: Sequence[psutil.Process], seconds: float
) -> Slice:
    own = [psutil.Process()]
    others = [one for one in psutil.process_iter() if _is_rays(one) and one not in replicas]
    before = [busy_seconds(group) for group in (replicas, others, own)]
    counted, started = sum(one.pictures for one in crowd), time.monotonic()
    await asyncio.gather(*(one.paint(started + seconds) for one in crowd))
    took = time.monotonic() - started
    painted = sum(one.pictures for one in crowd) - counted
    used = [busy_seconds(group) - at for group, at in zip((replicas, others, own), before, strict=True)]
    return Slice(number, painted / took, *(cpu / took for cpu in used))


def _is_rays(process: psutil.Process) -> bool:
    words = " ".join(_command(process))
    return words.startswith("ray::") or "/ray/" in words or "--ray" in words


def report(found: Sequence[Slice]) -> float:
    """Print the slices; two replicas against one, by the medians."""
    table = Table(box=None, header_style="bold")
    for column in ("replicas", "pictures/s", "replicas", "proxy, ingress, Ray", "load generator"):
        table.add_column(column, justify="right")
    for one in found:
        cores = (one.replicas_cores, one.others_cores, one.generator_cores)
        table.add_row(
            str(one.replicas), f"{one.pictures_per_second:.2f}", *(f"{value:.2f} cores" for value in cores)
        )
    medians = [
        statistics.median(one.pictures_per_second for one in found if one.replicas == number)
        for number in (1, 2)
    ]
    ratio = medians[1] / medians[0]
    console = Console()
    console.print(table)
    verdict = "met" if ratio >= TARGET else "missed"
    console.print(f"two replicas against one: {ratio:.2f}×; wanted ≥ {TARGET}×: {verdict}")
    return ratio


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    with server(SETTINGS, "--ray") as url:
        found = asyncio.run(measure(url, given.size, given.seconds, given.rounds))
    ratio = report(found)
    RESULTS.mkdir(exist_ok=True)
    written = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "size": given.size,
        "ratio": ratio,
        "slices": [asdict(one) for one in found],
    }
    (RESULTS / "cluster.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
