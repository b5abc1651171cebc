"""A server that many paint on: said quietly, waited for without a storm, and no picture jumps."""

from __future__ import annotations

import io
import json
import re

import numpy as np
from PIL import Image
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import House, Studio
from tests.browser.hands import shown_photo

FRAME_HEADER = 32


class Wire:
    """The live line of a real server, on which a test can say something too."""

    def __init__(self, page: Page) -> None:
        self.frames: list[bytes] = []
        self.page_side: list[WebSocketRoute] = []
        page.route_web_socket("**/live", self._carry)

    def _carry(self, route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        self.page_side.append(route)

        def reply(message: str | bytes) -> None:
            if isinstance(message, bytes):
                self.frames.append(message)
            route.send(message)

        route.on_message(server.send)
        server.on_message(reply)

    def say_load(self, level: str, painters: int) -> None:
        self.page_side[-1].send(json.dumps({"type": "load", "level": level, "painters": painters}))

    def send_smaller(self) -> None:
        """The last frame again, as a preview of a quarter of the pixels in plain red."""
        header = bytearray(self.frames[-1][:FRAME_HEADER])
        side = int.from_bytes(header[16:18], "little") // 2
        picture = io.BytesIO()
        Image.new("RGB", (side, side), (255, 0, 0)).save(picture, "JPEG")
        header[2] = 0  # neither exact nor the newest
        header[16:20] = side.to_bytes(2, "little") * 2
        self.page_side[-1].send(bytes(header) + picture.getvalue())


def test_a_busy_server_is_told_of_quietly_and_read_out_once(
    page: Page, house: House, complaints: list[str]
) -> None:
    wire = Wire(page)
    Studio(page, house.url).open()
    load, said = page.locator("#load"), page.locator("#load-said")
    expect(load).to_be_hidden()
    page.evaluate(
        "() => { window.readOut = 0; new MutationObserver(() => { window.readOut++ })"
        ".observe(document.querySelector('#load-said'), { childList: true }) }"
    )
    wire.say_load("slower", 9)
    expect(load).to_have_text("Busy: 9 painters, fewer frames")
    expect(said).to_have_text(re.compile("fewer steps"))
    expect(said).to_have_attribute("role", "status")
    wire.say_load("slower", 12)
    expect(load).to_have_text("Busy: 12 painters, fewer frames")
    assert page.evaluate("window.readOut") == 1, "not with every painter who comes or goes"
    about = page.locator("#about").bounding_box()
    wire.say_load("smaller", 31)
    expect(load).to_contain_text("Busy: 31 painters, smaller previews")
    # The readable part has room, and moves nothing beside it.
    assert page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('#load'))"
    )
    assert page.locator("#about").bounding_box() == about
    load.hover()
    expect(page.locator("#tooltip")).to_contain_text("whole as soon as you pause")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('#load'))"
    )
    wire.say_load("normal", 2)
    expect(load).to_be_hidden()
    expect(said).to_be_empty()


def test_a_smaller_preview_is_shown_as_large_and_the_exact_photo_sharpens_it(
    page: Page, house: House, complaints: list[str]
) -> None:
    wire = Wire(page)
    studio = Studio(page, house.url).open()
    whole, place = shown_photo(studio), page.locator("#photo").bounding_box()
    wire.say_load("smaller", 20)
    count = studio.read("s.frame.count")
    wire.send_smaller()
    studio.until(f"s.frame.count > {count}")
    assert studio.read("s.frame.width") == 128
    red = shown_photo(studio)
    assert red.shape == whole.shape, "as large as before"
    assert (np.abs(red.astype(int) - (254, 0, 0)) < 4).all(), "all over the canvas"
    assert page.locator("#photo").bounding_box() == place
    expect(page.locator("#painted")).to_be_empty()
    studio.choose("house")
    studio.click(0.5, 0.5)
    studio.settle()
    sharp = shown_photo(studio)
    assert sharp.shape == whole.shape
    assert np.abs(sharp.astype(int) - whole).mean() < 40, "the photo, not the preview"
    assert page.locator("#photo").bounding_box() == place


def test_a_window_too_many_waits_for_its_turn(page: Page, house: House) -> None:
    tries: list[WebSocketRoute] = []

    def full(route: WebSocketRoute) -> None:
        tries.append(route)
        route.send(json.dumps({"type": "bye", "reason": "no seat", "retry_after": 30}))
        route.close(code=4429, reason="try later")

    page.route_web_socket("**/live", full)
    page.goto(house.url)
    told = "Too many windows of yours are painting here. Keep painting."
    expect(page.locator("#link-text")).to_have_text(told)
    expect(page.locator("#retry")).to_have_text(re.compile(r"Trying again in (3\d|4\d) s"))
    assert len(tries) == 1


def test_too_many_requests_are_one_message_with_the_seconds(studio: Studio, complaints: list[str]) -> None:
    page = studio.page
    asked: list[str] = []

    def too_many(route) -> None:
        asked.append(route.request.url)
        problem = {"type": "urn:scenebrush:problem:too-many-requests", "title": "T", "detail": "D"}
        route.fulfill(status=429, json=problem, headers={"Retry-After": "7"})

    page.route("**/generate", too_many)
    with page.expect_download():
        studio.do("save-photo")
    notice = page.locator(".notice")
    expect(notice).to_have_count(1)
    expect(notice).to_contain_text("The server asks for a little patience.")
    expect(notice).to_contain_text("try again in 7 s")
    assert len(asked) == 1
    complaints[:] = [text for text in complaints if "429" not in text]
