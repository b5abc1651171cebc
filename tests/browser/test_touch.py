"""Fingers and pens, through the browser's own input protocol."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import House, Studio
from tests.browser.hands import Fingers, Pen


@pytest.fixture
def tablet(browser: Browser, house: House) -> Iterator[Studio]:
    context = browser.new_context(viewport={"width": 820, "height": 1180}, has_touch=True)
    heard: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: heard.append(str(error)))
    try:
        studio = Studio(page, house.url).open()
        page.keyboard.press("Delete")
        studio.read("s.studio.setLabel(s.studio.document.labelSet.labels.find((l) => l.name === 'house').id)")
        yield studio
        assert heard == []
    finally:
        context.close()


def house_pixels(studio: Studio) -> np.ndarray:
    return studio.labels == studio.id_of("house")


def width(studio: Studio) -> float:
    box = studio.page.locator("#labels").bounding_box()
    assert box is not None
    return box["width"]


def test_one_finger_paints(tablet: Studio) -> None:
    fingers = Fingers(tablet)
    fingers.down((0.2, 0.5))
    for i in range(1, 7):
        fingers.move((0.2 + i / 10, 0.5))
    fingers.up()
    assert house_pixels(tablet)[128, 52:204].all()
    expect(tablet.page.locator("#ring")).to_be_hidden()
    fingers.down((0.2, 0.8))
    fingers.move((0.5, 0.8))
    fingers.taken()
    assert not house_pixels(tablet)[180:].any(), "what the system takes away is cancelled"


def test_a_second_finger_cancels_the_stroke_and_both_move_and_scale(tablet: Studio) -> None:
    before = width(tablet)
    fingers = Fingers(tablet)
    fingers.down((0.4, 0.5))
    fingers.move((0.45, 0.5))
    assert house_pixels(tablet).any()
    fingers.add((0.45, 0.5), (0.55, 0.5))
    assert not house_pixels(tablet).any()
    for i in range(1, 6):
        fingers.move((0.45 - i * 0.03, 0.5), (0.55 + i * 0.03, 0.5))
    fingers.up()
    assert width(tablet) == pytest.approx(before * 4, rel=0.05)
    assert not house_pixels(tablet).any()
    assert tablet.read("s.studio.document.history.done.length") == 1, "the clearing alone"
    x, y = tablet.at(0.5, 0.5)
    fingers.down((0.4, 0.4), (0.6, 0.4))
    fingers.move((0.5, 0.5), (0.7, 0.5))
    fingers.move((0.5, 0.5), (0.7, 0.5))
    fingers.up()
    moved = tablet.at(0.5, 0.5)
    assert moved[0] - x == pytest.approx(0.1 * before, abs=0.03 * before)
    assert moved[1] - y == pytest.approx(0.1 * before, abs=0.03 * before)


def test_taps_of_two_and_three_fingers_undo_and_redo(tablet: Studio) -> None:
    fingers = Fingers(tablet)
    fingers.down((0.2, 0.3))
    fingers.move((0.6, 0.3))
    fingers.up()
    painted = house_pixels(tablet)
    assert painted.any()
    fingers.tap((0.4, 0.6), (0.6, 0.6))
    assert not house_pixels(tablet).any()
    fingers.tap((0.3, 0.6), (0.5, 0.6), (0.7, 0.6))
    assert np.array_equal(house_pixels(tablet), painted)


def test_once_a_pen_has_been_seen_fingers_move_the_painting(tablet: Studio) -> None:
    page = tablet.page
    pen, fingers = Pen(tablet), Fingers(tablet)
    pen.draw([(0.3, 0.3, 0.8), (0.5, 0.3, 0.8)])
    painted = house_pixels(tablet)
    assert painted[77, 80:128].all()
    page.keyboard.press("+")
    x, y = tablet.at(0.5, 0.5)
    fingers.down((0.5, 0.5))
    fingers.move((0.4, 0.45))
    fingers.up()
    assert np.array_equal(house_pixels(tablet), painted)
    moved = tablet.at(0.5, 0.5)
    assert moved[0] < x
    assert moved[1] < y
    page.get_by_role("button", name="Paint with fingers too").click()
    fingers.down((0.5, 0.7))
    fingers.move((0.6, 0.7))
    fingers.up()
    assert house_pixels(tablet).sum() > painted.sum()


@pytest.mark.parametrize("tool", ["rectangle", "area", "polygon", "select", "wand", "fill", "eraser", "line"])
def test_every_tool_with_a_finger(tablet: Studio, tool: str) -> None:
    tablet.read(f"s.studio.setTool('{tool}')")
    fingers = Fingers(tablet)
    before = tablet.labels
    corners = [(0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6)]
    if tool == "polygon":
        for corner in [*corners, corners[0]]:
            fingers.tap(corner)
    else:
        fingers.down(corners[0])
        for corner in corners[1:3]:
            fingers.move(corner)
        fingers.up()
    if tool in ("select", "wand"):
        assert tablet.read("s.studio.document.selection.data.includes(1)")
        assert np.array_equal(tablet.labels, before)
    elif tool == "eraser":
        assert np.array_equal(tablet.labels, before), "sky on sky"
    else:
        painted = house_pixels(tablet)
        assert painted[int(0.5 * 256), int(0.5 * 256)] or tool == "area"
        assert painted[int(0.35 * 256), int(0.45 * 256)] or tool == "line"
        assert tool == "fill" or not painted[:64].any()
