"""With replies two seconds late the hand notices nothing, and only what changed goes up the line."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from playwright.async_api import CDPSession, Page, async_playwright

from benchmarks.late_line import LateLine
from tests.browser.conftest import CHROMIUM_ARGUMENTS, House

DELAY = 2.0
HEADER = struct.Struct(
    "<BBHII4H"
)  # of label patches: kind, encoding, flags, epoch, revision, x, y, width, height
PATCH = 1

WATCH = """() => {
    const sent = (window.sent = []);
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        if (typeof data !== "string") sent.push([performance.now(), data.length, ...data.slice(0, 20)]);
        return send.call(this, data);
    };
}"""

LISTEN = """() => {
    const frame = document.getElementById("map-frame");
    window.points = [];
    window.handled = [];
    let began = 0;
    // First and last of all listeners: what lies between them is the page's own work.
    addEventListener("pointermove", () => { began = performance.now(); }, true);
    addEventListener("pointermove", (event) => {
        window.handled.push(performance.now() - began);
        const box = document.getElementById("labels").getBoundingClientRect();
        const all = event.getCoalescedEvents().map(({ clientX, clientY }) =>
            [(clientX - box.left) * 256 / box.width, (clientY - box.top) * 256 / box.height]);
        window.points.push(all);
    });
}"""


def alone(chromium: str, url: str, script: Callable[[Page, CDPSession], Awaitable[None]]) -> None:
    """Run a script in a browser of its own, which can send many events without waiting for each."""

    async def run() -> None:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
            context = await browser.new_context(
                viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
            )
            page = await context.new_page()
            await page.add_init_script(f"({WATCH})()")
            await page.goto(url)
            await script(page, await context.new_cdp_session(page))
            await browser.close()

    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


async def settled(page: Page) -> None:
    for _ in range(600):
        if await page.evaluate("() => window.scenebrush?.settled && window.scenebrush.frame?.newest"):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the first photo did not come")


def wave(box: dict[str, float]) -> list[tuple[float, float]]:
    """Far more points than there are frames, all over the map."""
    t = np.linspace(0, 1, 600)
    x = 0.05 + 0.9 * t
    y = 0.5 + 0.4 * np.sin(t * 40)
    return [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in zip(x, y, strict=True)]


def test_every_coalesced_point_is_painted_and_nobody_waits(house: House, chromium_path: str) -> None:
    found: dict[str, Any] = {}

    async def script(page: Page, session: CDPSession) -> None:
        await settled(page)
        line.delay = DELAY
        await page.evaluate(f"({LISTEN})()")
        await page.evaluate(
            "() => { const { studio } = window.scenebrush;"
            "studio.setLabel(studio.document.labelSet.labels.find(({ name }) => name === 'house').id);"
            "window.sent.length = 0; }"
        )
        box = await page.locator("#labels").bounding_box()
        assert box is not None
        points = wave(dict(box))
        frames = await page.evaluate("() => window.scenebrush.frame.count")

        def event(kind: str, at: tuple[float, float]) -> Awaitable[object]:
            return session.send(
                "Input.dispatchMouseEvent",
                {"type": kind, "x": at[0], "y": at[1], "button": "left", "buttons": 1, "clickCount": 1},
            )

        await event("mousePressed", points[0])
        await asyncio.gather(*(event("mouseMoved", point) for point in points))
        await event("mouseReleased", points[-1])
        found["labels"] = await page.evaluate("() => Array.from(window.scenebrush.labels)")
        found["label"] = await page.evaluate("() => window.scenebrush.studio.state.label")
        found["points"] = await page.evaluate("() => window.points")
        found["handled"] = await page.evaluate("() => window.handled")
        found["frames"] = await page.evaluate("() => window.scenebrush.frame.count") - frames
        await asyncio.sleep(0.5)
        found["sent"] = await page.evaluate("() => window.sent")

    with LateLine(house.port) as line:
        alone(chromium_path, line.url, script)

    labels = np.array(found["labels"], np.uint8).reshape(256, 256)
    batches = found["points"]
    assert max(map(len, batches)) > 5, "the browser did put points together"
    told = [point for batch in batches for point in batch]
    assert len(told) >= 500
    for x, y in told:
        assert labels[int(y), int(x)] == found["label"], f"{x:.1f}, {y:.1f}"
    assert found["frames"] == 0, "not one picture came meanwhile"
    assert float(np.percentile(found["handled"], 95)) < 100, "a handler that waited would take two seconds"

    patches = [HEADER.unpack(bytes(head)) for _, _, *head in found["sent"]]
    assert patches
    covered = np.zeros((256, 256), bool)
    for kind, _, _, _, _, x, y, width, height in patches:
        assert kind == PATCH, "never the whole map"
        covered[y : y + height, x : x + width] = True
    assert covered[labels == found["label"]].all()
    # A dab and a little beside it at every step: not the bounding box of the whole stroke again and again.
    area = sum(width * height for *_, width, height in patches)
    assert area / len(patches) < 0.25 * 256 * 256
    assert sum(size for _, size, *_ in found["sent"]) < 256 * 256
