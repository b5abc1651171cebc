"""`make bench-ui`: what the page's own code costs per pointer event on a 1024 × 1024 painting.

Meanwhile every reply of the server comes two seconds late. A real Chromium is driven through its input
protocol, some 120 mouse moves a second, and traced. One row is one gesture:

- *event*: from the browser's dispatch of a pointer event to the end of the last handler (rasterising,
  flattening, the pixels of the canvas) and the animation frame that follows (what changed is read, packed and
  sent), together. What the browser itself does afterwards, compositing, is not the page's code and not in it.
- *CPU*: the same in time that the thread really ran; on a busy machine the rest is waiting for a core.
- *long tasks*: tasks of the page's main thread in which its scripts ran for more than 50 ms.

The server paints with a tiny model, so that it leaves the browser a core; the page does not know. Prints a
table and writes benchmarks/results/ui.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.async_api import Browser, CDPSession, Page, async_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.late_line import LateLine
from benchmarks.serving import server
from models.checkpoint import save
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.labels import load_label_set
from models.spec import ModelSpec

RESULTS = Path(__file__).parent / "results"
SIDE = 1024
DELAY = 2.0  # seconds
INTERVAL = 1 / 120  # seconds between mouse moves
BUDGET_MS = 4.0
LONG_MS = 50.0
CATEGORIES = ["devtools.timeline", "disabled-by-default-devtools.timeline"]
SCRIPTS = {
    "EventDispatch",
    "FireAnimationFrame",
    "FunctionCall",
    "TimerFire",
    "RunMicrotasks",
    "EvaluateScript",
}

SENT = """() => {
    window.sent = 0;
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        window.sent += data.length;
        return send.call(this, data);
    };
}"""

#: Name, the keys that choose the tool, and what else is set.
GESTURES = (
    ("brush, 40 px", "b", "{ size: 40 }"),
    ("brush, 200 px", "b", "{ size: 200 }"),
    ("brush, 40 px, both axes", "b", "{ size: 40, symmetry: 'both' }"),
    ("eraser, 100 px", "e", "{ size: 100 }"),
    ("line, 40 px", "u", "{ size: 40 }"),
    ("rectangle up to the whole", "r", "{}"),
    ("ellipse up to the whole", "o", "{}"),
    ("freehand area", "d", "{}"),
    ("moving a selection of 300 × 300", "m", "{}"),
)


@dataclass(frozen=True)
class Row:
    """Milliseconds per pointer event; `sent` is kilobytes per event."""

    gesture: str
    events: int
    p50_ms: float
    p95_ms: float
    max_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float
    long_tasks: int
    longest_ms: float
    cpu_longest_ms: float
    sent_kb: float


def write_tiny_model(folder: Path, side: int) -> None:
    """A model that paints noise in no time, at `side` × `side`."""
    widths, hidden, style_dim, noise, encoder = [12, 8, 8], 6, 8, 2, [4, 8]
    labels = load_label_set("landscape17")
    spec = ModelSpec(
        id="tiny",
        name="Tiny",
        architecture="styled-spade",
        labels=labels,
        native_size=side,
        stride=4,
        style_dim=style_dim,
        licence="Apache-2.0",
        provenance={"data": "none: weights from a seed"},
        options={"widths": widths, "hidden": hidden, "noise_channels": noise, "encoder_widths": encoder},
    )
    torch.manual_seed(0)
    generator = StyledSpadeGenerator(len(labels.labels), widths, hidden, style_dim, noise).eval()
    save(folder / "tiny.safetensors", spec, generator, StyleEncoder(encoder, style_dim).eval())


@contextmanager
def late_server(side: int) -> Iterator[LateLine]:
    """A server whose only model paints `side` × `side`, behind a line that can be late."""
    with tempfile.TemporaryDirectory() as folder:
        write_tiny_model(Path(folder), side)
        settings = {
            "SCENEBRUSH_MODELS_DIR": folder,
            "SCENEBRUSH_DEFAULT_MODEL": "tiny",
            "SCENEBRUSH_THREADS": "1",
        }
        with server(settings) as url, LateLine(int(url.rsplit(":", 1)[1])) as line:
            yield line


async def open_page(browser: Browser, url: str) -> Page:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    page = await context.new_page()
    await page.add_init_script(f"({SENT})()")
    await page.goto(url)
    for _ in range(600):
        if await page.evaluate("() => window.scenebrush?.settled && window.scenebrush.frame?.newest"):
            return page
        await asyncio.sleep(0.1)
    raise RuntimeError("the first photo did not come within a minute")


def path(box: dict[str, float], seconds: float, whole: bool) -> list[tuple[float, float]]:
    """Where the mouse goes: curves over the middle of the painting, or from corner to corner and back."""
    points = []
    for i in range(int(seconds / INTERVAL)):
        t = i * INTERVAL
        if whole:
            part = 0.5 - 0.5 * math.cos(2 * t)
            x, y = 0.02 + 0.96 * part, 0.02 + 0.96 * part
        else:
            x, y = 0.5 + 0.4 * math.sin(2.1 * t), 0.5 + 0.4 * math.sin(3.4 * t + 0.5)
        points.append((box["x"] + x * box["width"], box["y"] + y * box["height"]))
    return points


async def mouse(session: CDPSession, kind: str, at: tuple[float, float]) -> None:
    await session.send(
        "Input.dispatchMouseEvent",
        {"type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": 1, "clickCount": 1},
    )


async def gesture(page: Page, points: list[tuple[float, float]]) -> None:
    """Press, move on time whether or not the page keeps up, release."""
    session = await page.context.new_cdp_session(page)
    loop = asyncio.get_running_loop()
    await mouse(session, "mousePressed", points[0])
    start = loop.time()
    moves = []
    for i, point in enumerate(points[1:]):
        moves.append(asyncio.create_task(mouse(session, "mouseMoved", point)))
        await asyncio.sleep(max(0.0, start + (i + 1) * INTERVAL - loop.time()))
    await asyncio.gather(*moves)
    await mouse(session, "mouseReleased", points[-1])
    await session.detach()


async def measure(browser: Browser, page: Page, name: str, key: str, state: str, seconds: float) -> Row:
    box = await page.locator("#labels").bounding_box()
    if box is None:
        raise RuntimeError("the painting is not on the page")
    reset = "symmetry: 'off', streamline: 30"
    await page.evaluate(
        f"() => {{ const {{ studio }} = window.scenebrush; studio.select(null);"
        f" studio.store.set({{ {reset} }}); studio.store.set({state});"
        f" studio.setLabel(1 + (studio.state.label + 3) % 16); }}"
    )
    await page.keyboard.press(key)
    points = path(dict(box), seconds, whole="whole" in name)
    if key == "m":  # something to move, under where the mouse will be
        x, y = points[0]
        half = 150 * box["width"] / SIDE
        await page.mouse.move(x - half, y - half)
        await page.mouse.down()
        await page.mouse.move(x + half, y + half, steps=2)
        await page.mouse.up()
    sent = await page.evaluate("() => window.sent")
    await browser.start_tracing(page=page, categories=CATEGORIES)
    await gesture(page, points)
    await asyncio.sleep(0.3)
    trace = json.loads(await browser.stop_tracing())["traceEvents"]
    sent = await page.evaluate("() => window.sent") - sent
    return row(name, trace, sent)


def row(name: str, trace: list[dict[str, Any]], sent: int) -> Row:
    """The figures of one gesture, from the trace of the main thread."""
    moves = [event for event in trace if is_move(event)]
    if not moves:
        raise RuntimeError(f"the trace of “{name}” holds no pointer event")
    thread = (moves[0]["pid"], moves[0]["tid"])
    own = sorted(
        (event for event in trace if (event["pid"], event["tid"]) == thread and event.get("ph") == "X"),
        key=lambda event: event["ts"],
    )
    costs, ran = costs_of(own, "dur"), costs_of(own, "tdur")
    tasks = script_times(own, "dur")
    return Row(
        gesture=name,
        events=len(costs),
        p50_ms=float(np.percentile(costs, 50)),
        p95_ms=float(np.percentile(costs, 95)),
        max_ms=max(costs),
        cpu_p50_ms=float(np.percentile(ran, 50)),
        cpu_p95_ms=float(np.percentile(ran, 95)),
        long_tasks=sum(time > LONG_MS for time in tasks),
        longest_ms=max(tasks, default=0.0),
        cpu_longest_ms=max(script_times(own, "tdur"), default=0.0),
        sent_kb=sent / 1024 / len(costs),
    )


def costs_of(own: list[dict[str, Any]], clock: str) -> list[float]:
    """Milliseconds of each pointer event, by the trace's wall clock (`dur`) or its CPU's (`tdur`)."""
    costs: list[float] = []
    waiting: list[float] = []
    for event in own:
        if is_move(event):
            waiting.append(event[clock] / 1e3)
        elif event["name"] == "FireAnimationFrame" and waiting:
            # What the frame sends belongs to the events before it.
            share = event[clock] / 1e3 / len(waiting)
            costs += [cost + share for cost in waiting]
            waiting = []
    return costs + waiting


def is_move(event: dict[str, Any]) -> bool:
    data = event.get("args", {}).get("data", {})
    return event["name"] == "EventDispatch" and event.get("ph") == "X" and data.get("type") == "pointermove"


def script_times(own: list[dict[str, Any]], clock: str) -> list[float]:
    """Milliseconds that scripts ran in each task of the thread; parts inside parts count once."""
    tasks = [event for event in own if event["name"] == "RunTask"]
    scripts = [event for event in own if event["name"] in SCRIPTS]
    times = []
    at, until = 0, 0.0
    for task in tasks:
        end, total = task["ts"] + task["dur"], 0.0
        while at < len(scripts) and scripts[at]["ts"] < end:
            script = scripts[at]
            if script["ts"] >= until:
                total += script[clock]
                until = script["ts"] + script["dur"]
            at += 1
        times.append(total / 1e3)
    return times


async def measure_all(seconds: float, chromium: str) -> tuple[list[Row], str]:
    with late_server(SIDE) as line:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await open_page(browser, line.url)
            side = await page.evaluate("() => window.scenebrush.studio.document.map.width")
            if side != SIDE:
                raise RuntimeError(f"the painting is {side} pixels wide, not {SIDE}")
            line.delay = DELAY
            rows = [await measure(browser, page, *how, seconds) for how in GESTURES]
            version = browser.version
            await browser.close()
    return rows, version


def show(console: Console, rows: list[Row]) -> None:
    table = Table(
        "gesture",
        "events",
        "p50",
        "p95",
        "max",
        "CPU p50",
        "CPU p95",
        f"≤ {BUDGET_MS:.0f} ms p95",
        "long tasks",
        "longest, CPU",
        "sent per event",
        title=f"the page's own work per pointer event, {SIDE} × {SIDE}, replies {DELAY:.0f} s late",
    )
    for one in rows:
        times = [
            f"{value:.2f} ms"
            for value in (one.p50_ms, one.p95_ms, one.max_ms, one.cpu_p50_ms, one.cpu_p95_ms)
        ]
        longest = f"{one.longest_ms:.0f}, {one.cpu_longest_ms:.0f} ms"
        kept = "yes" if one.p95_ms <= BUDGET_MS else "NO"
        table.add_row(
            one.gesture, str(one.events), *times, kept, str(one.long_tasks), longest, f"{one.sent_kb:.1f} kB"
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ui", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each gesture is")
    arguments = parser.parse_args()
    chromium = (
        os.environ.get("SCENEBRUSH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    if not chromium:
        sys.exit("No Chromium: install one (`make setup` does on Debian), or name it in SCENEBRUSH_CHROMIUM.")
    rows, version = asyncio.run(measure_all(arguments.seconds, chromium))
    show(Console(width=150), rows)
    RESULTS.mkdir(exist_ok=True)
    machine = {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "chromium": version,
        "cpu": subprocess.run(
            ["sed", "-n", "s/^model name.*: //p;", "/proc/cpuinfo"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split("\n")[0],
    }
    written = RESULTS / "ui.json"
    written.write_text(
        json.dumps({"machine": machine, "delay_s": DELAY, "rows": [asdict(one) for one in rows]}, indent=1)
    )
    print(f"{machine}\nwritten to {written}")


if __name__ == "__main__":
    main()
