"""`make bench-load`: `scenebrush bench-load` on a server of its own, whose memory is watched.

Takes the options of `scenebrush bench-load` but its address, --pid and --json, and writes
benchmarks/results/load.json.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.serving import server_process

RESULTS = Path(__file__).parent / "results"
# More than anyone asks for: it is the device that is measured. All painters come from one address.
NO_LIMITS = {
    "SCENEBRUSH_MAX_PAINTERS": "512",
    "SCENEBRUSH_CLIENT_SOCKETS": "0",
    "SCENEBRUSH_CLIENT_REQUESTS": "0",
    "SCENEBRUSH_CLIENT_RATE": "0",
}


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    with server_process(NO_LIMITS) as (url, pid):
        tool = str(Path(sys.executable).with_name("scenebrush"))
        watched = ["--pid", str(pid), "--json", str(RESULTS / "load.json")]
        sys.exit(subprocess.run([tool, "bench-load", url, *watched, *sys.argv[1:]], check=False).returncode)


if __name__ == "__main__":
    main()
