"""The page itself: it fits, it can be reached with a thumb, nothing moves by itself, it explains itself."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, Studio

DESKS = {"desktop": (1440, 900), "laptop": (1024, 768), "large": (1920, 1080), "huge": (2560, 1440)}
HELD = {
    "tablet": (820, 1180),
    "phone": (390, 844),
    "small phone": (360, 640),
    "phone lying": (844, 390),
}
SIZES = DESKS | HELD
# The shorter side that each of the two pictures has at least.
PICTURES = {
    "desktop": 520,
    "laptop": 340,
    "large": 600,
    "huge": 900,
    "tablet": 440,
    "phone": 240,
    "small phone": 150,
    "phone lying": 240,
}

REACH = """() => [...document.querySelectorAll("header button, header select, main button, main input")]
  .filter((element) => element.checkVisibility({ visibilityProperty: true }))
  .map((element) => {
    const { x, y, width, height } = (element.closest("label") ?? element).getBoundingClientRect();
    const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflow);
    const scrolled = (e) => e && (scrolls(e) || scrolled(e.parentElement));
    return { name: element.ariaLabel ?? element.textContent ?? element.id, x, y, width, height,
      scrolls: Boolean(scrolled(element)) };
  })"""

SHIFTS = """
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.hadRecentInput) continue;
      const sources = entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
      window.shifts.push([entry.value, ...sources]);
    }
  }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("size", SIZES)
def test_everything_is_on_one_screen_and_large_enough_to_touch(
    browser: Browser, house: House, size: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=size in HELD, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        page.add_init_script(SHIFTS)
        studio = Studio(page, house.url).open()
        assert page.evaluate("window.shifts") == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.scrollHeight") <= height
        reach = page.evaluate(REACH)
        assert {"Brush", "Undo", "Redo", "Download the photo"} <= {element["name"] for element in reach}
        for element in reach:
            if size in HELD:
                assert element["width"] >= 40, element
                assert element["height"] >= 40, element
            if not element["scrolls"]:
                assert element["x"] >= 0, element
                assert element["y"] >= 0, element
                assert element["x"] + element["width"] <= width + 0.5, element
                assert element["y"] + element["height"] <= height + 0.5, element
        for canvas in ("#labels", "#photo"):
            box = page.locator(canvas).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= PICTURES[size]
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height
        if size in HELD:
            swatch = page.locator(f"#palette [data-label='{studio.id_of('house')}']").last
            swatch.scroll_into_view_if_needed()
            swatch.tap()
            page.touchscreen.tap(*studio.at(0.5, 0.15))
            assert studio.labels[int(0.15 * 256), 128] == studio.id_of("house")
            studio.settle()
    finally:
        context.close()


def test_pictures_are_crisp_on_any_screen(browser: Browser, house: House) -> None:
    for density in (1, 1.5, 2):
        context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=density)
        try:
            page = context.new_page()
            Studio(page, house.url).open()
            labels = page.locator("#labels")
            assert labels.evaluate("(canvas) => getComputedStyle(canvas).imageRendering") == "pixelated"
            for canvas in (labels, page.locator("#photo")):
                box = canvas.bounding_box()
                assert box is not None
                for side in ("x", "y", "width", "height"):
                    in_pixels = box[side] * density
                    assert in_pixels == pytest.approx(round(in_pixels), abs=0.02), (density, side)
        finally:
            context.close()


def test_panels_open_beside_the_pictures_and_are_remembered(studio: Studio) -> None:
    page = studio.page
    expect(page.locator("#layers")).to_be_hidden()
    wide = studio.at(1, 0)[0] - studio.at(0, 0)[0]
    studio.do("panel-layers")
    expect(page.locator("#layers")).to_be_visible()
    expect(studio.button("panel-layers")).to_have_attribute("aria-pressed", "true")
    assert studio.at(1, 0)[0] - studio.at(0, 0)[0] < wide
    studio.do("panel-labels")
    expect(page.locator("#palette")).to_be_hidden()
    page.reload()
    studio.settle()
    expect(page.locator("#layers")).to_be_visible()
    expect(page.locator("#palette")).to_be_hidden()
    page.keyboard.press("Shift+A")
    expect(page.locator("#palette")).to_be_visible()


def test_every_panel_can_be_reached_when_all_are_open(studio: Studio) -> None:
    dock = studio.page.locator("#dock").bounding_box
    for name in ("light", "layers", "edit"):
        studio.do(f"panel-{name}")
        expect(studio.page.locator(f".dock [data-panel={name}]")).to_be_in_viewport()
    studio.page.set_viewport_size({"width": 1440, "height": 600})
    last = studio.page.locator("#edit button:visible").last
    last.scroll_into_view_if_needed()
    button, edge = last.bounding_box(), dock()
    assert button
    assert edge
    assert button["y"] + button["height"] <= edge["y"] + edge["height"]
    assert edge["y"] + edge["height"] <= 600


def test_on_a_phone_panels_are_sheets_and_the_top_line_has_a_menu(browser: Browser, house: House) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open()
        expect(page.locator("#dock")).to_be_hidden()
        studio.button("panel-layers").tap()
        expect(page.locator("#layers")).to_be_visible()
        studio.button("panel-light").tap()
        expect(page.locator("#light")).to_be_visible()
        expect(page.locator("#layers")).to_be_hidden()
        studio.button("panel-light").tap()
        expect(page.locator("#dock")).to_be_hidden()
        menu = page.get_by_role("button", name="Menu", exact=True)
        expect(studio.button("help")).to_be_hidden()
        menu.tap()
        expect(menu).to_have_attribute("aria-expanded", "true")
        for action in ("new", "import", "canvas-size", "help"):
            expect(studio.button(action)).to_be_in_viewport(ratio=1)
        expect(page.get_by_label("Model")).to_be_visible()
        page.keyboard.press("Escape")
        expect(studio.button("help")).to_be_hidden()
        menu.tap()
        studio.button("help").tap()
        expect(page.get_by_role("dialog", name="Help and shortcuts")).to_be_visible()
    finally:
        context.close()


def test_the_help_sheet_is_the_action_table(studio: Studio) -> None:
    page = studio.page
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Help and shortcuts")
    expect(sheet).to_be_visible()
    for title, keys in [("Brush", "B"), ("Undo", "CtrlZ"), ("Redo", "CtrlShiftZCtrlY"), ("Next view", "F")]:
        row = sheet.locator(".help-row").filter(has=page.get_by_text(title, exact=True))
        expect(row.locator(".help-keys")).to_have_text(keys)
    rows = sheet.locator(".help-row:visible")
    everything = rows.count()
    box = sheet.bounding_box()
    sheet.get_by_role("searchbox").fill("compare")
    for title in ("Compare", "Map over the photo", "Photo and map"):
        expect(rows.filter(has=page.get_by_text(title, exact=True))).to_be_visible()
    expect(rows.filter(has_text="Compare").get_by_text("Tab", exact=True)).to_be_visible()
    assert sheet.bounding_box() == box, "the field stays where one types"
    expect(sheet.locator("#help-shares")).to_be_hidden()
    sheet.get_by_role("searchbox").fill("undo")
    expect(rows.filter(has=page.get_by_text("Undo", exact=True))).to_be_visible()
    assert 0 < rows.count() < everything
    sheet.get_by_role("searchbox").fill("no such thing")
    expect(sheet.get_by_text("Nothing is called that.")).to_be_visible()
    expect(rows).to_have_count(0)
    sheet.get_by_role("button", name="Close").click()
    expect(sheet).to_be_hidden()
    page.keyboard.press("?")
    expect(rows).to_have_count(everything)


def test_every_button_has_a_name_a_tooltip_and_its_keys(studio: Studio) -> None:
    page = studio.page
    for button in page.locator("button[data-action]").all():
        assert button.get_attribute("aria-label")
    assert studio.button("brush").get_attribute("aria-keyshortcuts") == "b"
    assert studio.button("redo").get_attribute("aria-keyshortcuts") == "Shift+Control+z Control+y"
    tooltip = page.locator("#tooltip")
    studio.button("undo").hover(force=True)
    expect(tooltip).to_be_visible()
    expect(tooltip).to_contain_text("UndoCtrl + Z")
    page.mouse.move(5, 5)
    expect(tooltip).to_be_hidden()


def test_a_toolbar_is_one_stop_for_tab_and_arrows_walk_it(studio: Studio) -> None:
    page = studio.page
    tools = page.locator("#tools")
    expect(tools.locator("button[tabindex='0']")).to_have_count(1)
    studio.button("brush").focus()
    page.keyboard.press("ArrowDown")
    assert not studio.button("brush").evaluate("(button) => button === document.activeElement")
    focused = page.evaluate("document.activeElement.dataset.action")
    expect(tools.locator("button[tabindex='0']")).to_have_attribute("data-action", focused)
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(studio.button("brush")).to_be_focused()
    page.keyboard.press("Tab")
    assert not page.evaluate("document.activeElement.closest('#tools')")
    # A button that cannot be pressed is passed over.
    expect(studio.button("undo")).to_be_disabled()
    expect(page.locator(".top-history button[tabindex='0']:enabled")).to_have_count(0)
    studio.drag((0.2, 0.2), (0.5, 0.2))
    expect(page.locator(".top-history button[tabindex='0']:enabled")).to_have_count(1)


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
    expect(page.locator("#painted")).to_be_empty()


def test_nothing_comes_from_elsewhere(studio: Studio) -> None:
    requests = studio.page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(requests) > 10
    assert all(request.startswith((studio.url, f"blob:{studio.url}", "data:")) for request in requests)


def test_the_page_names_every_module_that_it_loads(studio: Studio) -> None:
    page = studio.page
    fetched = page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    loaded = [name for name in fetched if name.endswith(".js")]
    named = page.locator("link[rel=modulepreload]").evaluate_all("(links) => links.map(({ href }) => href)")
    assert {re.sub(r".*/js/", "", name) for name in loaded} >= {"boot.js", "main.js", "document/document.js"}
    assert set(loaded) <= set(named)
    assert len(named) == len(set(named))


def test_nothing_moves_while_lights_and_photo_arrive(page: Page, house: House) -> None:
    page.add_init_script(SHIFTS)
    studio = Studio(page, house.url).open()
    studio.page.get_by_label("Model").select_option("lights")
    studio.settle()
    page.wait_for_timeout(800)  # beyond what counts as an answer to the choice
    page.reload()
    studio.settle()
    expect(page.locator("#presets")).to_be_visible()
    assert page.evaluate("window.shifts") == []
