"""The page itself: it fits, it can be reached with a thumb, it explains itself."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import House, Studio

SIZES = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844), "small phone": (360, 640)}

REACH = """() => [...document.querySelectorAll("header button, header select, main button, main input")]
  .filter((element) => element.checkVisibility())
  .map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    const inPalette = Boolean(element.closest("#palette"));
    return { name: element.ariaLabel ?? element.textContent ?? element.id, x, y, width, height, inPalette };
  })"""


@pytest.mark.parametrize("size", SIZES)
def test_everything_is_on_one_screen_and_large_enough_to_touch(
    browser: Browser, house: House, size: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=size != "desktop")
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        reach = page.evaluate(REACH)
        assert {"Brush", "Fill", "Undo", "Redo", "Another light", "Download the photo"} <= {
            element["name"] for element in reach
        }
        for element in reach:
            assert element["width"] >= 40, element
            assert element["height"] >= 40, element
            if not element["inPalette"]:  # which scrolls
                assert element["x"] >= 0, element
                assert element["y"] >= 0, element
                assert element["x"] + element["width"] <= width, element
                assert element["y"] + element["height"] <= height, element
        boxes = [page.locator(canvas).bounding_box() for canvas in ("#labels", "#photo")]
        for box in boxes:
            assert box is not None
            assert box["width"] >= (150 if size == "small phone" else 300)
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        if size != "desktop":
            swatch = page.get_by_role("radio", name="house", exact=True)
            swatch.scroll_into_view_if_needed()
            swatch.tap()
            page.touchscreen.tap(*studio.at(0.5, 0.15))
            assert studio.labels[int(0.15 * 256), 128] == studio.id_of("house")
            studio.settle()
    finally:
        context.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1440, 900), (1920, 1080)])
def test_on_a_desk_palette_and_pictures_are_one_block_in_the_middle(
    browser: Browser, house: House, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    try:
        page = context.new_page()
        Studio(page, house.url).open()
        boxes = [
            page.locator(part).bounding_box()
            for part in (".palette", ".paint .bar", "#labels", ".view .bar", "#photo", ".top", ".status")
        ]
        palette, paint_bar, labels, view_bar, photo, header, footer = [box for box in boxes if box]
        for bar, picture in ((paint_bar, labels), (view_bar, photo)):
            assert bar["y"] == palette["y"]
            assert picture["y"] + picture["height"] == palette["y"] + palette["height"]
        above = palette["y"] - header["y"] - header["height"]
        below = footer["y"] - labels["y"] - labels["height"]
        assert abs(above - below) <= 1
        # As large as the width allows, and in step with the screen's own pixels.
        assert photo["x"] + photo["width"] == width - 14
        for side in ("x", "y", "width", "height"):
            assert labels[side] == round(labels[side])
        hidden = "(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)"
        assert page.evaluate(f"{hidden}(document.querySelector('#palette'))") == 0
    finally:
        context.close()


def test_the_help_sheet_is_the_action_table(studio: Studio) -> None:
    page = studio.page
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Help and shortcuts")
    expect(sheet).to_be_visible()
    for title, keys in [
        ("Brush", "B"),
        ("Undo", "CtrlZ"),
        ("Redo", "CtrlShiftZCtrlY"),
        ("Another light", "L"),
        ("Cancel the stroke", "Esc"),
    ]:
        row = sheet.locator(".help-row").filter(has=page.get_by_text(title, exact=True))
        expect(row.locator(".help-keys")).to_have_text(keys)
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_be_hidden()


def test_every_button_has_a_name_a_tooltip_and_its_keys(studio: Studio) -> None:
    page = studio.page
    for button in page.locator("button[data-action]").all():
        assert button.get_attribute("aria-label")
        assert button.get_attribute("aria-keyshortcuts")
    tooltip = page.locator("#tooltip")
    studio.button("undo").hover(force=True)
    expect(tooltip).to_be_visible()
    expect(tooltip).to_contain_text("UndoCtrl + Z")
    page.mouse.move(5, 5)
    expect(tooltip).to_be_hidden()


def test_the_status_line_tells_connection_and_pace(studio: Studio) -> None:
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.5, 0.2))
    studio.settle()
    page = studio.page
    expect(page.locator("#link-text")).to_have_text("Connected")
    # The pace is that of the frame that showed the stroke first; an exact one may have followed it.
    latency, rendering = (
        int(text.removesuffix(" ms")) for text in page.locator("#pace b").all_text_contents()
    )
    assert int(page.locator("#pace").get_attribute("data-latency") or 0) == latency
    assert 0 < rendering <= latency + 1
    expect(page.locator("#pace")).to_contain_text("exact photo")
    expect(page.locator("#about")).to_have_text("256 × 256 · Tiny · Apache-2.0")


def test_nothing_comes_from_elsewhere(studio: Studio) -> None:
    requests = studio.page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(requests) > 10
    assert all(request.startswith((studio.url, f"blob:{studio.url}")) for request in requests)
