"""The photo follows the hand, whatever the network does."""

import base64
import contextlib
import json
import re
import signal
import struct

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import House, Studio

HEADER = struct.Struct("<BBHII4H")


def canvas_pixels(studio: Studio, canvas: str) -> np.ndarray:
    """What a canvas shows, (H, W, 4) uint8. Only a test reads pixels back."""
    width, height, data = studio.page.evaluate(
        """(id) => {
            const canvas = document.getElementById(id);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const text = Array.from(data, (byte) => String.fromCharCode(byte)).join("");
            return [canvas.width, canvas.height, btoa(text)];
        }""",
        canvas,
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def stroke_and_undo(studio: Studio) -> None:
    before_labels, before_picture = studio.labels, studio.picture
    before_photo = canvas_pixels(studio, "photo")
    first = studio.read("s.frame.count")
    studio.choose("house")

    studio.press([(0.2, 0.3), (0.5, 0.35)])
    # The button is down all the time from here on.
    studio.until(f"s.frame.count >= {first + 1}")
    studio.page.mouse.move(*studio.at(0.8, 0.3), steps=10)
    studio.until(f"s.frame.count >= {first + 2}")
    studio.settle()
    assert studio.read("s.studio.hand.busy"), "the stroke must still be under way"
    under = canvas_pixels(studio, "photo")[70:84, 70:180, :3].astype(int)
    change = np.abs(under - before_photo[70:84, 70:180, :3]).mean()
    assert change > 2, f"the photo changed by {change:.2f} grey levels under the stroke"
    assert studio.picture != before_picture
    studio.page.mouse.up()
    studio.settle()
    assert (studio.labels == studio.id_of("house")).sum() > 2000

    studio.page.keyboard.press("Control+z")
    studio.settle()
    assert np.array_equal(studio.labels, before_labels)
    assert studio.picture == before_picture, "undo must bring the settled picture back to the byte"


def test_frames_arrive_while_the_button_is_down_and_undo_is_exact(studio: Studio) -> None:
    stroke_and_undo(studio)


def test_the_built_in_model_follows_the_hand(studio: Studio) -> None:
    studio.page.get_by_label("Model").select_option("landscape")
    studio.settle()
    expect(studio.page.locator("#about")).to_contain_text("Apache-2.0")
    stroke_and_undo(studio)


def test_only_dirty_rectangles_are_sent(page: Page, house: House, complaints: list[str]) -> None:
    sent: list[bytes] = []

    def listen(socket) -> None:
        socket.on("framesent", lambda data: sent.append(data) if isinstance(data, bytes) else None)

    page.on("websocket", listen)
    studio = Studio(page, house.url).open()
    studio.choose("snow")
    studio.drag((0.4, 0.5), (0.45, 0.5), (0.5, 0.55))
    studio.settle()
    whole, *patches = [HEADER.unpack_from(message) for message in sent]
    assert whole[0] == 2
    assert whole[7:9] == (256, 256)
    assert patches
    assert {patch[0] for patch in patches} == {1}
    revisions = [message[4] for message in (whole, *patches)]
    assert revisions == list(range(1, len(revisions) + 1))
    for _, _, _, _, _, x, y, width, height in patches:
        assert 80 < x < 140
        assert 100 < y < 160
        assert width * height < 64 * 64


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["told to stop", "killed"])
def test_painting_goes_on_without_the_server_and_is_rendered_when_it_is_back(
    page: Page, house: House, complaints: list[str], how: signal.Signals
) -> None:
    studio = Studio(page, house.url).open()
    before = studio.picture
    house.stop(how)
    try:
        expect(page.locator("#link")).to_have_attribute("data-phase", "waiting")
        expect(page.locator("#link-text")).to_have_text("The server cannot be reached. Keep painting.")
        expect(page.locator("#retry")).to_have_text(re.compile(r"Trying again in \d+ s"))
        studio.choose("house")
        studio.drag((0.1, 0.2), (0.9, 0.2))
        assert (studio.labels == studio.id_of("house")).sum() > 2000
        assert studio.picture == before
    finally:
        house.start()
    studio.settle()
    assert studio.picture != before
    expect(page.locator("#link-text")).to_have_text("Connected")
    complaints[:] = [text for text in complaints if "WebSocket connection" not in text]


def test_the_hand_never_waits_for_a_reply(page: Page, house: House, complaints: list[str]) -> None:
    withheld: list[bytes] = []
    routes: list[WebSocketRoute] = []
    withholding: list[bool] = []
    sent: list[int] = []

    def hold(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        routes.append(route)

        def forward(message: str | bytes) -> None:
            if isinstance(message, bytes):
                sent.append(message[0])
            server.send(message)

        def reply(message: str | bytes) -> None:
            if isinstance(message, bytes) and withholding:
                withheld.append(message)
            else:
                route.send(message)

        route.on_message(forward)
        server.on_message(reply)

    page.route_web_socket("**/live", hold)
    studio = Studio(page, house.url).open()
    withholding.append(True)
    shown, before = studio.read("s.frame.count"), len(sent)
    studio.choose("road")
    for _ in range(4):
        page.keyboard.press("[")
    points = [(0.05 + 0.09 * i, 0.2 + 0.5 * (i % 2)) for i in range(11)]
    studio.press(points, steps=1)
    labels = studio.labels
    for x, y in points:
        assert labels[int(y * 256), int(x * 256)] == studio.id_of("road")
    page.mouse.up()
    assert studio.read("s.frame.count") == shown
    assert set(sent[before:]) == {1}, "patches went out all the same"
    # Two pictures may be under way without an answer; the server has painted them by now or will soon.
    withholding.clear()
    for message in withheld:
        routes[0].send(message)
    studio.settle()


def test_an_old_page_is_told_to_reload(page: Page, house: House, complaints: list[str]) -> None:
    page.route_web_socket("**/live", lambda route: route.close(code=4406, reason="no common subprotocol"))
    page.goto(house.url)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This page is older than the server.")
    expect(page.locator("#link")).to_have_attribute("data-phase", "stopped")
    with page.expect_navigation():
        alert.get_by_role("button", name="Reload").click()


def refusal(epoch: int, code: str) -> str:
    words = {"title": "No such picture.", "detail": "It is not to be.", "next": "Choose another."}
    return json.dumps({"type": "error", "epoch": epoch, "code": code, "fatal": False} | words)


def test_a_refusal_says_what_why_and_what_next(page: Page, house: House, complaints: list[str]) -> None:
    def refuse(route: WebSocketRoute) -> None:
        def answer(message: str | bytes) -> None:
            told = json.loads(message) if isinstance(message, str) else {}
            if told.get("type") == "open":
                route.send(refusal(told["epoch"], "picture-too-large"))

        route.on_message(answer)

    page.route_web_socket("**/live", refuse)
    page.goto(house.url)
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("No such picture.It is not to be. Choose another.")
    expect(page.locator("#link-text")).to_have_text("Connected, but not painting: No such picture.")
    expect(page.locator("#no-photo")).to_have_text("There is no photo yet")
    alert.get_by_role("button", name="Dismiss").click()
    expect(alert).to_have_count(0)


@pytest.mark.parametrize("code", ["picture-too-large", "unknown-model"])
def test_try_again_after_a_refusal_asks_again(
    page: Page, house: House, complaints: list[str], code: str
) -> None:
    refusals: list[str] = [code]
    lines: list[WebSocketRoute] = []

    def refuse_once(route: WebSocketRoute) -> None:
        server = route.connect_to_server()
        lines.append(route)

        def forward(message: str | bytes) -> None:
            told = json.loads(message) if isinstance(message, str) else {}
            if told.get("type") == "open" and refusals:
                route.send(refusal(told["epoch"], refusals.pop()))
            else:
                server.send(message)

        route.on_message(forward)
        server.on_message(route.send)

    page.route_web_socket("**/live", refuse_once)
    page.goto(house.url)
    expect(page.locator("#link")).to_have_attribute("data-phase", "refused")
    alert = page.get_by_role("alert")
    models = page.expect_response("**/models") if code == "unknown-model" else contextlib.nullcontext()
    with models:  # which the page asks for again when the server has others than it knows
        alert.get_by_role("button", name="Try again").click()
    Studio(page, house.url).settle()
    expect(page.locator("#link-text")).to_have_text("Connected")
    expect(alert).to_have_count(0)
    assert len(lines) == 1


def test_a_gap_is_healed_by_the_whole_map(page: Page, house: House, complaints: list[str]) -> None:
    lose: list[bool] = []

    def lossy(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def forward(message: str | bytes) -> None:
            if isinstance(message, bytes) and message[0] == 1 and lose:
                lose.pop()
                return
            server.send(message)

        route.on_message(forward)
        server.on_message(route.send)

    page.route_web_socket("**/live", lossy)
    studio = Studio(page, house.url).open()
    studio.choose("house")
    lose.append(True)
    studio.drag((0.2, 0.2), (0.4, 0.2))
    studio.drag((0.5, 0.2), (0.8, 0.2))
    studio.settle()
    assert not lose
    healed = studio.picture
    page.reload()
    studio.settle()
    assert studio.picture == healed, "the server's map must be the page's map"
