"""What the stage shows, and that one paints on all of it."""

from itertools import pairwise

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import House, Studio


def middle(frame: Locator, x: float, y: float) -> tuple[float, float]:
    box = frame.bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


@pytest.mark.parametrize(
    ("view", "shown"), [("split", "photo map"), ("photo", "photo"), ("map", "map"), ("over", "photo map")]
)
def test_every_view_shows_what_it_says_and_is_painted_on(studio: Studio, view: str, shown: str) -> None:
    page = studio.page
    studio.do(f"view-{view}")
    expect(studio.button(f"view-{view}")).to_have_attribute("aria-pressed", "true")
    for part, canvas in (("photo", "#photo"), ("map", "#labels")):
        visible = page.locator(canvas).evaluate(
            "(canvas) => canvas.checkVisibility({ visibilityProperty: true, opacityProperty: true })"
        )
        assert visible == (part in shown), part
    studio.choose("house")
    for canvas, y in (("#photo", 0.2), ("#labels", 0.4)):
        if canvas == "#labels" and view == "photo":
            continue
        if canvas == "#photo" and view in ("map", "over"):  # the same place as the map
            continue
        before = studio.labels
        start = middle(page.locator(canvas), 0.3, y)
        end = middle(page.locator(canvas), 0.6, y)
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=8)
        page.mouse.up()
        changed = np.argwhere(studio.labels != before)
        assert len(changed) > 500, canvas
        rows, columns = changed.T / 256
        assert abs(rows.mean() - y) < 0.05, canvas
        assert 0.4 < columns.mean() < 0.5, canvas
        assert (studio.labels[tuple(changed.T)] == studio.id_of("house")).all()
    studio.settle()
    page.reload()
    studio.settle()
    expect(page.locator("#stage")).to_have_attribute("data-view", view)


def test_the_map_lies_over_the_photo_as_thin_as_one_likes(studio: Studio) -> None:
    page = studio.page
    slider = page.get_by_label("Opacity of the map")
    expect(slider).to_be_hidden()
    studio.do("view-over")
    slider.fill("70")
    board = page.locator(".pane-map .board")
    expect(board).to_have_css("opacity", "0.7")
    photo, labels = (page.locator(canvas).bounding_box() for canvas in ("#photo", "#labels"))
    assert photo == labels
    page.reload()
    studio.settle()
    expect(board).to_have_css("opacity", "0.7")
    studio.do("view-split")
    expect(board).to_have_css("opacity", "1")


def test_one_key_goes_through_the_views(studio: Studio) -> None:
    stage = studio.page.locator("#stage")
    for view in ("photo", "map", "over", "split"):
        studio.page.keyboard.press("f")
        expect(stage).to_have_attribute("data-view", view)


@pytest.mark.parametrize("view", ["split", "photo", "map", "over"])
def test_holding_tab_compares_photo_and_map(studio: Studio, view: str) -> None:
    page = studio.page
    studio.do(f"view-{view}")
    focused = page.evaluate_handle("document.activeElement")
    page.mouse.move(*middle(page.locator("#stage"), 0.5, 0.5))

    def look() -> list[object]:
        return page.evaluate(
            """() => ["photo", "labels"].map((id) => {
                const canvas = document.getElementById(id);
                const { x } = canvas.getBoundingClientRect();
                return canvas.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && x;
            })"""
        )

    before = look()
    page.keyboard.down("Tab")
    expect(page.locator("#stage")).to_have_attribute("data-comparing", "")
    assert look() != before
    page.keyboard.up("Tab")
    expect(page.locator("#stage")).not_to_have_attribute("data-comparing", "")
    assert look() == before
    assert page.evaluate("(before) => document.activeElement === before", focused), "the focus has not moved"


def test_tab_walks_through_the_page_when_it_is_not_held(studio: Studio) -> None:
    page = studio.page
    page.mouse.move(5, 5)
    stops = []
    for _ in range(12):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.outerHTML"))
    assert len(set(stops)) > 8, stops
    page.mouse.move(*middle(page.locator("#stage"), 0.5, 0.5))
    page.keyboard.press("Tab")
    page.wait_for_timeout(250)
    assert page.locator("#stage").get_attribute("data-comparing") is None
    assert (
        page.evaluate("document.activeElement.dataset.action ?? document.activeElement.id") not in stops[-1:]
    )
    # Away from the pictures even a held Tab only walks.
    page.mouse.move(5, 5)
    page.keyboard.down("Tab")
    page.wait_for_timeout(250)
    assert page.locator("#stage").get_attribute("data-comparing") is None
    page.keyboard.up("Tab")


def test_a_wide_painting_has_its_pictures_above_each_other(page: Page, house: House) -> None:
    studio = Studio(page, house.url).open()
    stage = page.locator("#stage")
    expect(stage).to_have_attribute("data-split", "row")
    studio.do("canvas-size")
    page.get_by_label("Width").fill("512")
    page.get_by_label("Height").fill("256")
    page.get_by_role("button", name="New, with a clear sky").click()
    studio.settle()
    expect(stage).to_have_attribute("data-split", "column")
    photo, labels = (page.locator(canvas).bounding_box() for canvas in ("#photo", "#labels"))
    assert photo
    assert labels
    assert photo["x"] == labels["x"]
    assert photo["y"] + photo["height"] <= labels["y"]


def test_a_panel_that_opens_turns_nothing_round(page: Page, house: House) -> None:
    studio = Studio(page, house.url).open()
    stage = page.locator("#stage")
    studio.do("canvas-size")
    page.get_by_label("Width").fill("512")
    page.get_by_label("Height").fill("384")
    page.get_by_role("button", name="New, with a clear sky").click()
    studio.settle()
    for action in ("panel-light", "panel-layers", "panel-labels", "panel-light", "panel-layers"):
        studio.do(action)
        page.wait_for_timeout(100)  # for the observer of the stage's size
        expect(stage).to_have_attribute("data-split", "row")


TOP = """() => [...document.querySelectorAll(".top button, .top select")]
  .filter((element) => element.checkVisibility())
  .map((element) => {
    const { x, width, height } = element.getBoundingClientRect();
    return [element.ariaLabel ?? element.id, x, width, height];
  })"""


def test_the_top_line_stays_as_it_is_in_every_view_on_every_width(studio: Studio) -> None:
    page = studio.page
    for width in (360, 390, 480, 640, 700, 820, 1024, 1200, 1280, 1340, 1366, 1440, 1560, 1920):
        page.set_viewport_size({"width": width, "height": 840})
        page.wait_for_timeout(50)
        line = page.evaluate(TOP)
        for name, x, wide, high in line:
            assert x >= 0, (width, name)
            assert x + wide <= width, (width, name)
            assert high == 40, (width, name)
        for (name, x, wide, _), (_, after, _, _) in pairwise(sorted(line, key=lambda one: one[1])):
            assert x + wide <= after + 0.1, (width, name)
        for view in ("over", "photo", "map", "split"):
            page.evaluate("(view) => window.scenebrush.studio.setView(view)", view)
            assert page.evaluate(TOP) == line, (width, view)


def test_the_button_of_a_small_page_shows_the_view(studio: Studio) -> None:
    page = studio.page
    page.set_viewport_size({"width": 390, "height": 844})
    for view in ("photo", "map", "over", "split"):
        studio.do("view-next")
        expect(studio.button("view-next").locator("use")).to_have_attribute("href", f"#i-{view}")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_button_compares_while_it_is_held(studio: Studio, width: int) -> None:
    page = studio.page
    page.set_viewport_size({"width": width, "height": 844})
    stage = page.locator("#stage")
    button = page.get_by_role("button", name="Compare")
    expect(button).to_have_count(1)
    labels = studio.labels
    button.hover()
    page.mouse.down()
    expect(stage).to_have_attribute("data-comparing", "")
    page.mouse.move(200, 300)
    expect(stage).to_have_attribute("data-comparing", "")
    page.mouse.up()
    expect(stage).not_to_have_attribute("data-comparing", "")
    button.focus()
    for key in ("Space", "Enter"):
        page.keyboard.down(key)
        expect(stage).to_have_attribute("data-comparing", "")
        page.keyboard.up(key)
        expect(stage).not_to_have_attribute("data-comparing", "")
    assert (studio.labels == labels).all()


def test_a_finger_compares(browser: Browser, house: House) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    try:
        page = context.new_page()
        Studio(page, house.url).open()
        box = page.get_by_role("button", name="Compare").bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 40
        finger = context.new_cdp_session(page)
        point = {"x": box["x"] + 20, "y": box["y"] + 20}
        finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
        expect(page.locator("#stage")).to_have_attribute("data-comparing", "")
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect(page.locator("#stage")).not_to_have_attribute("data-comparing", "")
    finally:
        context.close()


def test_notices_leave_the_lights_free(page: Page, house: House) -> None:
    Studio(page, house.url).open()
    page.evaluate("() => window.scenebrush.studio.ports.say({ what: 'Something.', lasting: true })")
    notice, strip = (page.locator(of).bounding_box() for of in (".notice", ".strip"))
    assert notice
    assert strip
    assert notice["y"] + notice["height"] <= strip["y"]


def test_the_zoom_that_is_told_follows_the_room(page: Page, house: House) -> None:
    Studio(page, house.url).open()
    told = page.locator("#zoom-text")
    for width in (1440, 1250, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)  # for the observer of the frame's size
        box = page.locator("#labels").bounding_box()
        assert box
        expect(told).to_have_text(f"{round(100 * box['width'] / 256)} %")
