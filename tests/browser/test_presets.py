"""The lights that a model offers by name: chosen by mouse, thumb and keyboard, kept, undone, let go of."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import House, Studio


def preset(page: Page, name: str) -> Locator:
    return page.get_by_role("toolbar", name="Light").get_by_role("button", name=name, exact=True)


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
        page.get_by_label("Model").select_option("lights")
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
        parts = ("#labels", "#photo", ".presets-row", ".palette", ".paint .tool >> nth=0", ".status")
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
