"""Many painters of the worst map stay under the memory that docs/architecture.md promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PAINTERS, SIDE = 50, 1024
CACHE_MB, SESSION_MB = 16, 12
MAP_BYTES = 11  # a pixel: a painter's map and its numbers
FRAME_BYTES = 64 << 20  # what is not quite the same from frame to frame, and the allocator's own


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
def test_painters_of_noise_stay_under_the_cap(root: Path) -> None:
    arguments = [str(number) for number in (PAINTERS, SIDE, CACHE_MB, SESSION_MB)]
    run = subprocess.run(
        [sys.executable, "-m", "tests.engine.many_painters", *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["previews"] == PAINTERS, "every painter keeps its last frame too"
    assert report["cached"] <= CACHE_MB << 20
    # The first picture's working memory is there for all; then every painter keeps its own.
    most = (CACHE_MB << 20) + PAINTERS * (MAP_BYTES * SIDE**2 + (SESSION_MB << 20)) + FRAME_BYTES
    assert report["last"] - report["first"] <= most
    assert report["highest"] - report["first_highest"] <= most
