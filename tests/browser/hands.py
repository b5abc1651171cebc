"""Pens and fingers through the browser's own input protocol, and eyes for canvases."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
from playwright.sync_api import CDPSession, Page

from tests.browser.conftest import Studio

Point = tuple[float, float]


class Pen:
    """A pen with pressure, in places of the label map from 0 to 1."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.session: CDPSession = studio.page.context.new_cdp_session(studio.page)

    def _tell(self, kind: str, at: Point, force: float, buttons: int) -> None:
        x, y = self.studio.at(*at)
        self.session.send(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": x,
                "y": y,
                "force": force,
                "button": "left" if kind != "mouseMoved" or buttons else "none",
                "buttons": buttons,
                "clickCount": 1,
                "pointerType": "pen",
            },
        )

    def hover(self, at: Point) -> None:
        self._tell("mouseMoved", at, 0, 0)

    def draw(self, points: Sequence[tuple[float, float, float]]) -> None:
        """A stroke through points of x, y and pressure."""
        *_, (last_x, last_y, _) = points
        x, y, force = points[0]
        self._tell("mousePressed", (x, y), force, 1)
        for x, y, force in points[1:]:
            self._tell("mouseMoved", (x, y), force, 1)
        self._tell("mouseReleased", (last_x, last_y), 0, 0)


class Fingers:
    """Fingers on the screen, in places of the label map from 0 to 1, as it lies there at first."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.session: CDPSession = studio.page.context.new_cdp_session(studio.page)
        box = studio.page.locator("#labels").bounding_box()
        assert box is not None
        self.box = box

    def _tell(self, kind: str, points: Sequence[Point]) -> None:
        touches = [
            {"x": self.box["x"] + x * self.box["width"], "y": self.box["y"] + y * self.box["height"], "id": i}
            for i, (x, y) in enumerate(points)
        ]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def down(self, *points: Point) -> None:
        """One after the other."""
        for i in range(len(points)):
            self._tell("touchStart", points[: i + 1])

    def add(self, *points: Point) -> None:
        """The last one comes to those that are down."""
        self._tell("touchStart", points)

    def move(self, *points: Point) -> None:
        self._tell("touchMove", points)

    def up(self) -> None:
        self._tell("touchEnd", [])

    def taken(self) -> None:
        """The system takes them away."""
        self._tell("touchCancel", [])

    def tap(self, *points: Point) -> None:
        self.down(*points)
        self.up()


def shown_labels(studio: Studio) -> np.ndarray:
    """The colours on the label canvas, (H, W, 3) uint8. Only a test reads pixels back."""
    return _canvas(studio.page, "labels")


def shown_photo(studio: Studio) -> np.ndarray:
    """The colours on the photo canvas, (H, W, 3) uint8."""
    return _canvas(studio.page, "photo")


def _canvas(page: Page, name: str) -> np.ndarray:
    width, height, data = page.evaluate(
        """(id) => {
            const canvas = document.getElementById(id);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let text = "";
            for (let i = 0; i < data.length; i += 4096)
                text += String.fromCharCode(...data.subarray(i, i + 4096));
            return [canvas.width, canvas.height, btoa(text)];
        }""",
        name,
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]


def colours_of(studio: Studio) -> np.ndarray:
    """The colours that the label array should have on the screen, (H, W, 3) uint8."""
    table = np.zeros((256, 3), np.uint8)
    for label in studio.read("s.studio.document.labelSet.labels"):
        table[label["id"]] = label["color"]
    return table[studio.labels]
