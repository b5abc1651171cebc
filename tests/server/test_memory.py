"""How much memory there is, when the server lets go of some, and when it takes in nobody new."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from websockets.asyncio.client import connect

from server import protocol
from server.limits import Limits
from server.memory import MemoryPolicy, MemoryWatch, available, limit_of, resident_bytes
from server.session import Session
from tests.server.conftest import LANDSCAPE, Client, palette_png, run, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import page
from tests.server.tiny_server import problem

MIB = 1 << 20
PATIENCE = 20.0


def test_it_lets_go_first_and_refuses_only_if_that_is_not_enough() -> None:
    policy = MemoryPolicy(100)
    assert not policy.seen(100, 0.0)
    assert policy.seen(101, 1.0), "beyond it, let go at once"
    assert not policy.refuses, "which may be enough"
    assert not policy.seen(101, 2.0)
    assert policy.refuses
    assert not policy.seen(90, 3.0)
    assert not policy.refuses, "below again, everybody is welcome"


def test_it_lets_go_again_from_time_to_time() -> None:
    policy = MemoryPolicy(100)
    shed = [second for second in range(100) if policy.seen(200, float(second))]
    assert shed == [0, 30, 60, 90]
    assert policy.refuses


def test_no_limit_is_no_limit() -> None:
    policy = MemoryPolicy(0)
    assert not policy.seen(1 << 60, 0.0)
    assert not policy.refuses
    assert limit_of(0) == 0
    assert limit_of(3) == 3 * MIB


def machine(folder: Path, total_kib: int = 1000) -> dict[str, Path]:
    (folder / "meminfo").write_text(f"MemTotal:   {total_kib} kB\nMemFree:  10 kB\n")
    return {"cgroups": folder / "cgroup", "membership": folder / "membership", "meminfo": folder / "meminfo"}


def test_the_limit_is_the_containers_or_the_machines(tmp_path: Path) -> None:
    files = machine(tmp_path)
    assert available(**files) == 1000 << 10
    (tmp_path / "membership").write_text("0::/slice/unit\n")
    for inside, limit in (("slice/unit", "max"), ("slice", "500000"), ("", "max")):
        folder = tmp_path / "cgroup" / inside
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(f"{limit}\n")
    assert available(**files) == 500000, "the slice around it bounds it too"
    (tmp_path / "cgroup" / "slice" / "unit" / "memory.max").write_text("300000\n")
    assert available(**files) == 300000


def test_older_control_groups_are_understood(tmp_path: Path) -> None:
    files = machine(tmp_path)
    (tmp_path / "membership").write_text("3:cpu,cpuacct:/a\n2:memory:/a\n")
    folder = tmp_path / "cgroup" / "memory" / "a"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert available(**files) == 1000 << 10, "that number means: none"
    (folder / "memory.limit_in_bytes").write_text("4096\n")
    assert available(**files) == 4096


def test_this_process_knows_what_it_takes() -> None:
    assert 10 * MIB < resident_bytes() < available()
    before = resident_bytes()
    held = np.ones(64 * MIB, np.uint8)
    assert resident_bytes() - before > 48 * MIB, held.nbytes


class Machine:
    """One whose numbers are told."""

    def __init__(self, *resident: int) -> None:
        self.resident, self.sheds = list(resident), 0

    async def shed(self) -> int:
        self.sheds += 1
        return MIB

    def watch(self, gate: Any) -> MemoryWatch:
        return MemoryWatch(MemoryPolicy(100), gate, self.shed, lambda: self.resident.pop(0))


def test_the_watch_sheds_and_shuts_and_opens_the_gate() -> None:
    async def main() -> None:
        gate, box = SimpleNamespace(short_of_memory=False), Machine(50, 150, 150, 50)
        watch, seen = box.watch(gate), []
        for _ in range(4):
            await watch.look()
            seen.append((box.sheds, gate.short_of_memory))
        assert seen == [(0, False), (1, False), (1, True), (1, False)]

    run(main())


def test_a_watch_that_fails_goes_on() -> None:
    async def main() -> None:
        gate, box = SimpleNamespace(short_of_memory=False), Machine(150, 150)
        looking = asyncio.create_task(box.watch(gate).keep(every=0))
        while box.resident:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not looking.done(), "there were no numbers any more, and it still looks"
        looking.cancel()

    run(main())


def test_newcomers_are_refused_and_painters_paint_on(library: FakeLibrary, client: Client) -> None:
    async def main() -> None:
        async with client(memory_mb=0) as http:
            worker = http.app.state.services.worker
            worker.short_of_memory = True
            ids = palette_png(np.full((16, 16), 1, np.uint8))
            answer = problem(await http.post("/generate", files={"mask": ids}), 503, "low-memory")
            assert answer["retry_after"] > 0
            assert (await http.get("/readyz")).status_code == 200
            worker.short_of_memory = False
            assert (await http.post("/generate", files={"mask": ids})).status_code == 200

    run(main())


def test_live_painters_stay_and_new_ones_are_told_when_to_come(library: FakeLibrary) -> None:
    async def main(live: str, services: Any) -> None:
        async with connect(live, subprotocols=["scenebrush.live.v2"]) as first:  # type: ignore[list-item]
            await first.send(json.dumps({"type": "ping", "t": 1}))
            assert json.loads(await first.recv())["type"] == "pong"
            services.worker.short_of_memory = True
            async with connect(live, subprotocols=["scenebrush.live.v2"]) as second:  # type: ignore[list-item]
                bye = json.loads(await second.recv())
                assert bye["type"] == "bye"
                assert bye["retry_after"] > 0
            await first.send(json.dumps({"type": "ping", "t": 2}))
            assert json.loads(await first.recv())["t"] == 2

    with served(library, memory_mb=0) as server:
        run(main(server.live, server.services))


def test_a_server_beyond_its_limit_lets_go(library: FakeLibrary) -> None:
    with served(library, memory_mb=1) as server:

        async def shut() -> None:
            while not server.services.worker.short_of_memory:
                await asyncio.sleep(0.02)

        asyncio.run(asyncio.wait_for(shut(), 20))
    assert library.shed_count == 1


def test_a_request_hears_of_memory_that_ran_out(client: Client, library: FakeLibrary) -> None:
    async def main() -> None:
        async with client(memory_mb=0) as http:
            library.failure = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            mask = {"mask": palette_png(np.full((16, 16), 1, np.uint8))}
            answer = problem(await http.post("/generate", files=mask), 503, "out-of-memory")
            assert "2.00 GiB" not in json.dumps(answer)
            assert answer["retry_after"] > 0
            assert (await http.post("/generate", files=mask)).status_code == 200

    run(main())


def test_a_painter_hears_of_it_with_its_revision_and_stays(library: FakeLibrary) -> None:
    with served(library, memory_mb=0) as server, page(server) as one:
        one.open(quality="exact")
        library.failure, library.failing = MemoryError("Unable to allocate"), 2
        one.whole()
        said = one.hear("error", PATIENCE)
        assert (said["code"], said["revision"], said["fatal"]) == ("out-of-memory", one.revision, False)
        one.patch()
        assert one.frame(timeout=PATIENCE).revision == one.revision


def test_a_session_holds_two_planes_of_its_canvas() -> None:
    library, side = FakeLibrary(), 1024
    session = Session("key", library, Limits(side, side * side))
    message = {
        "type": "open",
        "epoch": 1,
        "width": side,
        "height": side,
        "model": None,
        "label_set": LANDSCAPE.hash,
        "seed": 1,
    }
    opened = protocol.parse_text(json.dumps(message))
    assert isinstance(opened, protocol.Open)
    tracemalloc.start()
    try:
        assert session.open(opened).opened
        session.put(protocol.encode_labels(1, 1, 0, 0, np.full((side, side), 3, np.uint8), whole=True))
        session.put(protocol.encode_styles(1, 2, 0, 0, np.zeros((side, side), np.uint8), whole=True))
        taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/server/*")])
    finally:
        tracemalloc.stop()
    held = sum(trace.size for trace in taken.traces)
    assert 2 * side**2 <= held < 2 * side**2 + 100_000
