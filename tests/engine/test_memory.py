"""Many painters stay under the memory that docs/architecture.md promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.many_painters import SETTLED

PAINTERS, SIDE = 50, 256
CACHE_MB, SESSION_MB = 8, 2
LARGEST_TABLE = 2 << 20  # smaller than in earnest, like everything here
LEVELS = 6
MAP_BYTES = 11 + 7  # a pixel: a painter's map and its numbers, and styles by region
BLENDS_BYTES = 1 << 18  # at least, however small a canvas
FRAME_BYTES = 32 << 20  # activations and strips of one frame, and what the C library holds back
FRAGMENTS = (
    8 << 20
)  # memory between what is kept, and Python's own of each painter; resident bytes are no exact science


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
def test_painters_stay_under_the_cap(root: Path) -> None:
    numbers = (PAINTERS, SIDE, CACHE_MB, SESSION_MB, LARGEST_TABLE)
    run = subprocess.run(
        [sys.executable, "-m", "tests.engine.many_painters", *map(str, numbers)],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["previews"] > PAINTERS // 4
    assert PAINTERS // 4 < report["too varied"] < PAINTERS * 3 // 4, "some have tables at every resolution"

    assert (CACHE_MB << 20) // 2 < report["cached"] <= CACHE_MB << 20, "full, and never over"
    for of_map, of_preview in report["kept"]:
        assert of_map <= MAP_BYTES * SIDE**2 + BLENDS_BYTES
        assert 0 < of_preview <= SESSION_MB << 20
    # What the first ones took is there for all; the others each keep their own, and nothing else.
    more = (CACHE_MB << 20) + sum(map(sum, report["kept"][SETTLED:])) + FRAGMENTS
    assert report["last"] - report["first"] <= more
    assert report["highest"] - report["first_highest"] <= more + LEVELS * LARGEST_TABLE + FRAME_BYTES
    assert report["highest"] - report["last"] <= LEVELS * LARGEST_TABLE + FRAME_BYTES
