"""The lights that a model offers by name: chosen by mouse, thumb and keyboard, kept, undone, let go of."""

from __future__ import annotations

import base64
import io
import time

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.conftest import PATIENCE, House, Studio


def preset(page: Page, name: str) -> Locator:
    return page.get_by_role("toolbar", name="Lights by name").get_by_role("button", name=name, exact=True)


def pressed(page: Page) -> list[str]:
    return page.locator(".preset[aria-pressed=true]").all_text_contents()


@pytest.fixture
def lights(studio: Studio) -> Studio:
    """The studio on the model that has named styles."""
    expect(studio.page.locator("#presets")).to_be_hidden()  # the model before has none
    studio.page.get_by_label("Model").select_option("lights")
    studio.settle()
    assert pressed(studio.page) == ["Noon"], "the starter scene names its light"
    preset(studio.page, "Noon").click()
    return studio.settle()


def test_a_chosen_light_is_painted_kept_and_undone(lights: Studio) -> None:
    page, seed = lights.page, lights.read("s.studio.document.seed")
    before, labels = lights.picture, lights.labels
    assert page.locator(".preset").all_text_contents()[:3] == ["Morning", "Noon", "Golden hour"]
    assert pressed(page) == []
    preset(page, "Golden hour").click()
    lights.settle()
    golden = lights.picture
    assert golden != before
    assert pressed(page) == ["Golden hour"]
    assert lights.read("s.studio.document.seed") == seed, "the noise stays"
    assert np.array_equal(lights.labels, labels)
    preset(page, "Dusk").click()
    lights.settle()
    assert lights.picture not in (before, golden)
    assert pressed(page) == ["Dusk"]
    page.keyboard.press("Control+z")
    lights.settle()
    assert lights.picture == golden
    page.reload()
    lights.settle()
    assert lights.picture == golden
    assert pressed(page) == ["Golden hour"]
    preset(page, "Golden hour").click()
    lights.settle()
    assert lights.picture == before, "pressed again it lets go"
    assert pressed(page) == []


def test_the_dice_let_go_of_a_chosen_light(lights: Studio) -> None:
    page = lights.page
    preset(page, "Dusk").click()
    lights.settle()
    dusk = lights.picture
    lights.do("dice")
    lights.settle()
    assert lights.picture != dusk
    assert pressed(page) == []
    # A model without such a light paints the seed's own, and the choice waits for one that has it.
    lights.do("undo")
    page.get_by_label("Model").select_option("tiny")
    lights.settle()
    expect(page.locator("#presets")).to_be_hidden()
    assert lights.picture != dusk
    page.get_by_label("Model").select_option("lights")
    lights.settle()
    assert pressed(page) == ["Dusk"]
    assert lights.picture == dusk


def test_the_downloaded_photo_is_the_one_that_its_name_gives(lights: Studio) -> None:
    preset(lights.page, "Sunset").click()
    lights.settle()
    with lights.page.expect_download() as started:
        lights.do("save-photo")
    out = io.BytesIO()
    Image.fromarray(lights.labels).save(out, "PNG")
    fields = {"model": "lights", "style": "sunset", "seed": str(lights.read("s.studio.document.seed"))}
    answer = httpx.post(
        f"{lights.url}/generate", files={"mask": out.getvalue()}, data=fields | {"format": "png"}, timeout=30
    )
    assert answer.is_success, answer.text
    with Image.open(started.value.path()) as photo, Image.open(io.BytesIO(answer.content)) as named:
        assert np.array_equal(np.asarray(photo), np.asarray(named))


def test_the_keyboard_walks_the_row(lights: Studio) -> None:
    page = lights.page
    preset(page, "Noon").click()
    page.keyboard.press("ArrowRight")
    expect(preset(page, "Golden hour")).to_be_focused()
    assert pressed(page) == ["Noon"], "arrows walk, they do not choose"
    page.keyboard.press("Enter")
    assert pressed(page) == ["Golden hour"]
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(preset(page, "Winter light")).to_be_focused()
    # One stop for Tab, at the chosen one when it comes back.
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.matches('.preset')")
    stops = page.locator(".preset[tabindex='0']")
    expect(stops).to_have_count(1)
    page.keyboard.press("Shift+Tab")
    expect(preset(page, "Golden hour")).to_be_focused()
    page.keyboard.press("Alt+ArrowRight")  # the browser's, a page forward
    expect(preset(page, "Golden hour")).to_be_focused()


def thumbnails(page: Page) -> list[str]:
    """What the row shows, by data URL; empty where no picture has come yet."""
    return page.locator(".preset img").evaluate_all(
        "(all) => all.map((image) => image.hidden ? '' : image.src)"
    )


def until_painted(studio: Studio, before: list[str]) -> list[str]:
    """Wait until every picture of the row is another than before."""
    end = time.monotonic() + PATIENCE
    while True:
        shown = thumbnails(studio.page)
        if all(shown) and not set(shown) & set(before):
            return shown
        assert time.monotonic() < end, "the row was not painted anew"
        time.sleep(0.1)


def test_the_row_shows_this_very_painting(lights: Studio) -> None:
    """Each preset is a small picture of the map in that light, from the server, and follows the map."""
    page = lights.page
    first = until_painted(lights, [])
    assert len(set(first)) == len(first) == 8, "each in a light of its own"
    size = page.locator(".preset img >> nth=0").evaluate(
        "(image) => [image.naturalWidth, image.naturalHeight]"
    )
    assert size == [128, 128]
    preset(page, "Dusk").click()
    lights.settle()
    assert thumbnails(page) == first, "a light changes no other"
    lights.choose("snow")
    lights.do("fill")
    lights.click(0.5, 0.1)
    second = until_painted(lights, first)
    wanted = small_picture(lights, "golden-hour")
    assert decoded(second[2]) == wanted, "what /generate paints of the map at that size"


def small_picture(studio: Studio, style: str) -> bytes:
    out = io.BytesIO()
    rows = studio.labels[1::2, 1::2]  # the nearest pixel of every other
    Image.fromarray(np.ascontiguousarray(rows)).save(out, "PNG")
    data = {"model": "lights", "style": style, "seed": str(studio.read("s.studio.document.seed"))}
    data |= {"format": "jpeg", "quality": "80"}
    answer = httpx.post(f"{studio.url}/generate", files={"mask": out.getvalue()}, data=data, timeout=30)
    assert answer.is_success, answer.text
    return pixels(answer.content)


def decoded(url: str) -> bytes:
    return pixels(base64.b64decode(url.partition(",")[2]))


def pixels(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        return image.convert("RGB").tobytes()


def test_the_row_is_painted_one_at_a_time_and_never_while_the_hand_moves(lights: Studio) -> None:
    page = lights.page
    until_painted(lights, [])
    asked: list[float] = []
    answered: list[float] = []
    page.on("request", lambda one: asked.append(time.monotonic()) if "/generate" in one.url else None)
    page.on("response", lambda one: answered.append(time.monotonic()) if "/generate" in one.url else None)
    lights.press([(0.2, 0.2), (0.3, 0.3)])
    for step in range(8):
        page.mouse.move(*lights.at(0.3 + step / 20, 0.3))
        page.wait_for_timeout(250)
    assert asked == [], "nothing is asked for during a stroke of two seconds"
    page.mouse.up()
    page.wait_for_timeout(3000)
    assert len(answered) >= 3
    for before, after in zip(answered, asked[1:], strict=False):
        assert after >= before, "two at once"


def test_a_busy_server_is_asked_again_calmly(lights: Studio, complaints: list[str]) -> None:
    page = lights.page
    until_painted(lights, [])
    refused: list[float] = []

    def refuse(route: Route) -> None:
        refused.append(time.monotonic())
        route.fulfill(status=503, headers={"Retry-After": "3"}, json={"title": "Busy"})

    page.route("**/generate", refuse)
    before = thumbnails(page)
    lights.drag((0.2, 0.2), (0.6, 0.3))
    page.wait_for_timeout(6000)
    assert 1 <= len(refused) <= 2
    assert page.locator(".notice").count() == 0, "nobody is told of small pictures"
    assert thumbnails(page) == before, "the old ones stay meanwhile"
    page.unroute("**/generate")
    until_painted(lights, before)
    complaints[:] = [one for one in complaints if "503" not in one]


@pytest.mark.parametrize(
    ("width", "height", "smallest"),
    [(1440, 900, 500), (1024, 768, 300), (820, 1180, 400), (390, 844, 280), (360, 640, 150)],
)
def test_the_row_fits_every_screen(
    browser: Browser, house: House, width: int, height: int, smallest: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=True, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open()
        if page.locator("#menu-button").is_visible():
            page.locator("#menu-button").tap()
        page.get_by_label("Model").select_option("lights")
        page.keyboard.press("Escape")
        before = studio.settle().picture
        last = preset(page, "Winter light")
        last.scroll_into_view_if_needed()
        last.tap()
        assert studio.settle().picture != before
        box = last.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 40
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        parts = ("#labels", "#photo", ".presets-row", ".palette", ".tools .tool >> nth=0", ".status")
        boxes = {part: page.locator(part).bounding_box() for part in parts}
        for name, one in boxes.items():
            assert one is not None, name
            assert one["x"] >= 0, name
            assert one["x"] + one["width"] <= width, name
            assert one["y"] + one["height"] <= height, name
            row = boxes[".presets-row"]
            assert row is not None
            apart = one["y"] + one["height"] <= row["y"] or row["y"] + row["height"] <= one["y"]
            beside = one["x"] + one["width"] <= row["x"]
            assert name == ".presets-row" or apart or beside, f"{name} lies under the row"
            if name in ("#labels", "#photo"):
                assert one["width"] >= smallest, name
    finally:
        context.close()
