"""A bounded run of every target in the suite; `python -m tests.fuzzing` is the whole one."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzzing import harness
from tests.fuzzing.harness import ACCEPTED, CORPUS, Place, Report, Target, explore
from tests.fuzzing.targets import MODULES, SHARES, load_target


@pytest.mark.parametrize(
    ("name", "inputs", "kinds"),
    [
        ("protocol", 2500, {"malformed", "error", "resync", "ignored"}),
        ("labels", 2000, {"broken-image", "unknown-label", "unknown-colour", "transparent", "animated"}),
        ("checkpoints", 600, {"checkpoint", "spec", "labels"}),
        ("archives", 1000, {"broken-project", "project-version", "not-a-project"}),
        ("credentials", 1500, {"unreadable", "unknown", "none", "setting"}),
    ],
)
def test_strange_inputs_are_refused_and_nothing_else(
    name: str, inputs: int, kinds: set[str], tmp_path: Path
) -> None:
    report = explore(load_target(name), inputs, seed=1, keep=tmp_path, place=tmp_path / "place")
    assert report.crashes == {}
    assert report.hangs == 0
    assert report.inputs == inputs
    assert report.accepted > inputs // 20, "valid ones were among them"
    assert report.refused > inputs // 20
    assert kinds <= report.verdicts.keys()
    assert report.rss_end - report.rss_warm < 100


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: path.name)
def test_what_failed_once_does_not_fail_again(path: Path) -> None:
    load_target(path.parent.name).judge(path.read_bytes())


def _judge(data: bytes) -> str:
    match data:
        case b"crash":
            raise ValueError("no such thing")
        case b"hang":
            while True:
                random.random()
        case _:
            return ACCEPTED if data == b"good" else "refused"


def test_the_harness_sees_crashes_and_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "HANG", 0.05)
    target = Target("words", lambda rng: rng.choice([b"crash", b"hang", b"good", b"bad"]), _judge)
    report = explore(target, 30, seed=3, keep=tmp_path / "kept", place=tmp_path / "place")
    assert report.hangs > 1
    (said,) = report.crashes
    assert said.startswith("ValueError at test_targets.py:")
    assert said.endswith("no such thing")
    assert report.crashes[said] > 1
    assert report.accepted
    assert report.verdicts["refused"]
    assert report.inputs == 30
    # One of each is enough to find the fault.
    kept = Counter(path.read_bytes() for path in (tmp_path / "kept" / "words").iterdir())
    assert kept == {b"crash": 1, b"hang": 1}
    assert Report.from_json(report.to_json()) == report
    assert json.loads(report.to_json())["target"] == "words"


def test_the_input_that_a_process_died_of_is_known(tmp_path: Path) -> None:
    Place(tmp_path / "place").note(7, b"the last words")
    assert Place(tmp_path / "place").read() == (7, b"the last words")


def test_all_targets_share_the_inputs() -> None:
    assert SHARES.keys() == {*MODULES, "schema"}
    assert sum(SHARES.values()) == pytest.approx(1)
