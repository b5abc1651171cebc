"""The disk is full: what would be kept is refused whole, and painting goes on."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from server.sharing.project import MEDIA_TYPE
from tests.faults.full_disk import Disk
from tests.faults.painter import GRASS, FaultPainter
from tests.faults.server import FAKE, ROOT, FaultyServer
from tests.server.sharing.projects import simple
from tests.serving import CHECKOUT_COMMAND

KERNEL = 'extern "C" void scenebrush_use_openmp(void *) {}\n'
LOAD = "import pathlib, sys; from engine.native.build import load; print(load(pathlib.Path(sys.argv[1])))"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "disk").mkdir()
    return Disk(tmp_path / "disk")


def test_sharing_and_logs_on_a_full_disk(disk: Disk) -> None:
    """The painter sees: sharing says that the storage is full and that nothing is kept; painting goes on,
    although no line can be logged. How long: until there is room again; nothing need be restarted. Lost: log
    lines of the meantime; of what was shared before, nothing."""

    async def share(http: httpx.AsyncClient) -> httpx.Response:
        return await http.post("/shares", content=simple(), headers={"content-type": MEDIA_TYPE})

    async def main(http: httpx.AsyncClient, painter: FaultPainter) -> None:
        pid, log = server.process.pid, disk.seen_by(server.process.pid) / "log"
        first = await share(http)
        assert first.status_code == 201, first.text
        before = await painter.picture()
        disk.fill(pid)
        size = log.stat().st_size
        refused = await share(http)
        assert refused.status_code == 507, refused.text
        assert refused.json()["type"].endswith(":storage-full")
        assert "nothing of it is kept" in refused.json()["detail"]
        assert (await http.get(first.headers["location"])).status_code == 200
        for _ in range(100):  # more log lines than fit into any buffer
            await http.get("/models/none")
        await painter.paint(GRASS)
        assert await painter.picture() != before
        assert log.stat().st_size - size < 4096, "the disk was not full"
        disk.empty(pid)
        assert (await share(http)).status_code == 201
        assert (await http.get(first.headers["location"])).status_code == 200
        assert log.stat().st_size > size, "lines are logged again"
        assert painter.page.journal.errors == {}

    async def beside_a_painter() -> None:
        client = httpx.AsyncClient(base_url=server.url, timeout=60)
        async with client as http, FaultPainter(server.live) as painter:
            await main(http, painter)

    settings = {"sharing": "true", "data_dir": disk.folder / "data"}
    with FaultyServer(disk.command(FAKE, log="log"), settings=settings) as server:
        asyncio.run(beside_a_painter())


def test_a_token_that_cannot_be_kept_is_not_given_out(disk: Disk, tmp_path: Path) -> None:
    """Who runs the server sees: `token add` says that there is no room, and prints no token. Lost: nothing;
    the tokens given out before hold."""
    scenebrush = CHECKOUT_COMMAND[0]
    script = f"""
        export SCENEBRUSH_TOKENS_FILE="$0/tokens.json"
        {scenebrush} token add first >{tmp_path}/first || exit 9
        fill
        {scenebrush} token add second
        echo "left with $?"
        empty
        ls -A "$0"
        cat "$0/tokens.json"
    """
    done = subprocess.run(disk.script(script), cwd=ROOT, capture_output=True, text=True, check=True)
    said, _, left = done.stdout.partition("left with 1\n")
    listed, brace, kept = left.partition("{")
    assert said == "", "no token is printed"
    assert (tmp_path / "first").read_text().startswith("sb_")
    assert set(listed.split()) <= {"tokens.json", "tokens.json.lock"}, "nothing half-written is left"
    assert [token["name"] for token in json.loads(brace + kept)["tokens"]] == ["first"]
    assert re.search(r"error: .*(space|room|full|large)", done.stderr), done.stderr


def test_kernels_that_cannot_be_kept_are_done_without(disk: Disk, tmp_path: Path) -> None:
    """The painter sees: slower pictures, since torch paints them. How long: until a start with room in the
    cache folder. Lost: nothing; no half library is left to be loaded."""
    source = tmp_path / "kernels.cpp"
    source.write_text(KERNEL)
    script = f"""
        export XDG_CACHE_HOME="$0"
        mkdir -m 700 "$0/scenebrush"
        fill
        {sys.executable} -c '{LOAD}' {source}
        ls "$0/scenebrush" | grep -v '^$' && echo "something is left"
        empty
        {sys.executable} -c '{LOAD}' {source}
        ls "$0/scenebrush"
    """
    done = subprocess.run(disk.script(script), cwd=ROOT, capture_output=True, text=True, check=True)
    without, built, file = done.stdout.splitlines()
    assert without.startswith("(None, "), without
    assert "did not build the kernels" in without
    assert built.startswith("(<CDLL"), built
    assert file.startswith("kernels-"), file
