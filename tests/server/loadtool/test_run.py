"""The tool against a real server on the fake engine, and what it refuses."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server import cli
from server.loadtool.errors import LoadError
from server.loadtool.run import Plan, run
from server.loadtool.target import Process, target_of
from tests.server.conftest import served
from tests.server.fake_engine import FakeLibrary


def call(*words: str) -> Any:
    return CliRunner().invoke(cli.app, ["bench-load", *words])


def test_three_painters_and_a_rest_client(library: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    with served(library) as server:
        plan = [
            "--painters",
            "3",
            "--seconds",
            "2",
            "--ramp",
            "0",
            "--size",
            "64",
            "--think",
            "0",
            "--rest",
            "1",
        ]
        watched = ["--pid", str(os.getpid()), "--json", str(out)]
        demand = ["--demand", "errors=0,every=frames,jain>=0.5,reconnects=0,rest_refusals=0"]
        result = call(server.url, *plan, *watched, *demand)
        assert result.exit_code == 0, result.output
        assert "frames/s" in result.output
        assert server.services.worker.scheduler.painters == 0
    (stage,) = json.loads(out.read_text())
    assert stage["painters"] == len(stage["each"]) == 3
    assert stage["errors"] == {}
    assert all(each["frames"] and each["patches"] >= 10 for each in stage["each"]), stage
    assert (
        0 < stage["stroke_to_frame"]["p50"] <= stage["stroke_to_frame"]["p99"] <= stage["longest_wait_s"] + 2
    )
    assert stage["memory"]["largest"] > 1
    assert stage["rest"]["answered"]["count"] > 0
    assert stage["rest"]["errors"] == {}


def test_an_unmet_demand_leaves_with_1(library: FakeLibrary) -> None:
    with served(library) as server:
        short = ["--painters", "1", "--seconds", "0.2", "--ramp", "0", "--size", "64"]
        result = call(server.url, *short, "--demand", "every=frames,fps>=100000")
    assert result.exit_code == 1
    assert "fps>=100000 was demanded, it was" in result.output


def test_a_curve_is_a_stage_for_each_number_and_refusals_are_counted(library: FakeLibrary) -> None:
    with served(library, max_painters=2) as server:
        plan = Plan((1, 2), 0.3, ramp=0, size=64, think=0)
        results = asyncio.run(run(target_of(server.url), plan))
        assert [stage.painters for stage in results] == [1, 2]
        assert all(stage.fewest_frames and not stage.errors for stage in results)
        assert results[1].load_levels == {"normal": 2}


def test_who_finds_no_seat_is_refused_and_comes_back_later(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.loadtool.run._TO_BEGIN", 0.5)
    monkeypatch.setattr("server.loadtool.run._TO_SETTLE", 0.5)
    with served(library, max_painters=1) as server:
        painters: list[Any] = []
        monkeypatch.setattr("server.loadtool.run.Page", _kept(painters))
        (stage,) = asyncio.run(run(target_of(server.url), Plan((2,), 0.5, ramp=0, size=64)))
    assert stage.errors == {"a frame is still owed": 1, "no frame at all": 1}
    assert stage.refusals == {"closed 1013": 1}
    assert painters[1].journal is not None
    assert painters[1].attempt == 1, "one attempt, then the seconds that the server said"


def _kept(pages: list[Any]) -> Any:
    from server.loadtool.page import Page  # noqa: PLC0415

    def make(*args: Any, **options: Any) -> Page:
        pages.append(Page(*args, **options))
        return pages[-1]

    return make


@pytest.mark.parametrize(
    "url", ["http://paint.example", "http://192.168.1.20:8000", "https://10.0.0.1/paint"]
)
def test_other_machines_are_refused_unless_allowed(url: str) -> None:
    result = call(url)
    assert result.exit_code == 1
    assert "is another machine" in result.output
    assert "--allow-remote" in result.output
    assert target_of(url, allow_remote=True).live.endswith("/live")


@pytest.mark.parametrize(
    ("url", "live"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/live"),
        ("https://localhost/paint/", "wss://localhost:443/paint/live"),
        ("http://[::1]:90", "ws://[::1]:90/live"),
    ],
)
def test_addresses(url: str, live: str) -> None:
    target = target_of(url, token="sb_x")
    assert target.live == live
    assert target.headers == {"Authorization": "Bearer sb_x"}


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ws://127.0.0.1", "http://", "http://127.0.0.1:port", "http://[::1"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(LoadError, match="no address"):
        target_of(url)


def test_a_server_that_is_not_there() -> None:
    result = call("http://127.0.0.1:9", "--painters", "1")
    assert result.exit_code == 1
    assert "Start the server first" in result.output


def test_plans_that_cannot_be() -> None:
    assert "must be positive and not fall" in call("http://127.0.0.1:9", "--curve", "4,2").output
    assert "no list of numbers" in call("http://127.0.0.1:9", "--curve", "1;2").output
    with pytest.raises(LoadError):
        Plan((1,), 0)


def test_a_process_that_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with pytest.raises(LoadError, match="cannot be read"):
        Process(ended.pid)
    sample = Process(os.getpid()).sample(1.0)
    assert sample.mib > 10
    assert sample.cpu > 0
