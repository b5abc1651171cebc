"""`make bench-start`: how soon the first photo is there, from the navigation to the first frame drawn.

A real Chromium with an empty profile opens the studio on loopback, several times; the server is warm and
paints the first starter scene, 256 × 256, with the built-in model. Prints a table and writes
benchmarks/results/start.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.serving import server

RESULTS = Path(__file__).parent / "results"
MARK = "() => performance.getEntriesByName('first-frame')[0]?.startTime ?? null"
PATIENCE_MS = 60_000
POLL_MS = 500  # seldom, since every question costs the page time


def first_frame(browser: Browser, url: str) -> float:
    """Milliseconds from the navigation to the first frame on the canvas, in a profile that has seen nothing.

    Raises:
        TimeoutError: there was none within a minute.
    """
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        page.goto(url, wait_until="commit")
        for _ in range(PATIENCE_MS // POLL_MS):
            if (at := page.evaluate(MARK)) is not None:
                return float(at)
            page.wait_for_timeout(POLL_MS)
        raise TimeoutError(f"no frame within {PATIENCE_MS // 1000} s")
    finally:
        context.close()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=10)
    visits: int = parser.parse_args().visits
    chromium = os.environ.get("SCENEBRUSH_CHROMIUM") or shutil.which("chromium")
    with server({}) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        first_frame(browser, url)  # the server's first frame builds its tables
        times = sorted(first_frame(browser, url) for _ in range(visits))
        browser.close()
    table = Table("first frame", "median ms", "best ms", "worst ms")
    table.add_row(
        f"{visits} visits", *(f"{ms:.0f}" for ms in (statistics.median(times), times[0], times[-1]))
    )
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    result = {"cores": os.cpu_count(), "machine": platform.machine(), "first_frame_ms": times}
    (RESULTS / "start.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
