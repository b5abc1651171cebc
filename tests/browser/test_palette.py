"""The palette: labels at hand by number, a search, groups that stay as they were left, and colours that can
be told apart from what they lie on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import House, Studio


def at_hand(page: Page) -> list[str]:
    return page.locator(".at-hand .tile-name").all_text_contents()


def radios(page: Page) -> Locator:
    return page.locator("#palette").get_by_role("radio")


def checked(page: Page) -> str:
    return page.locator("#palette [role=radio][aria-checked=true] .swatch-name").text_content() or ""


def test_numbers_choose_the_labels_at_hand(studio: Studio) -> None:
    page = studio.page
    first = at_hand(page)
    assert 2 <= len(first) <= 9
    assert checked(page) in first
    areas = [(studio.labels == studio.id_of(name)).sum() for name in first[:3]]
    assert areas == sorted(areas, reverse=True), "at first what most of the painting is"
    for key in ("1", "2"):
        page.keyboard.press(key)
        assert checked(page) == first[int(key) - 1]
    studio.page.locator(".tile", has_text=first[0]).click()
    assert checked(page) == first[0]
    # Places stay; a label that is not among them gets one.
    others = [name for name in radios(page).all_text_contents() if name not in first]
    studio.choose(others[0])
    studio.choose(others[1])
    now = at_hand(page)
    kept = [name for name in now if name in first]
    assert [now.index(name) for name in kept] == [first.index(name) for name in kept]
    assert others[1] in now
    assert len(now) == 9
    page.reload()
    studio.settle()
    assert at_hand(page) == now, "remembered"
    page.keyboard.press("9")
    assert checked(page) == now[8]


def test_what_the_hand_held_stays_with_the_browser(studio: Studio) -> None:
    page = studio.page
    places = at_hand(page)
    studio.choose(places[4])
    page.keyboard.press("]")
    size = studio.read("s.studio.state.size")
    # Now the painting is in another order of labels, and what is at hand was never added to.
    studio.drag((0.1, 0.3), (0.9, 0.3), (0.9, 0.5), (0.1, 0.5), (0.1, 0.7), (0.9, 0.7))
    studio.settle()
    page.wait_for_timeout(500)
    page.reload()
    studio.settle()
    assert at_hand(page) == places
    assert checked(page) == places[4]
    assert studio.read("s.studio.state.size") == size


def test_labels_are_found_by_what_somebody_types(studio: Studio) -> None:
    page = studio.page
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Find a label")
    expect(search).to_be_focused()
    page.keyboard.type("ro")
    assert radios(page).all_text_contents() == ["rock", "road"]
    page.keyboard.type("ad")
    assert radios(page).all_text_contents() == ["road"]
    page.keyboard.press("Enter")
    assert checked(page) == "road"
    expect(search).to_have_value("")
    expect(search).not_to_be_focused()
    expect(radios(page)).to_have_count(17)
    # By meaning, not by name alone: a river is water.
    concepts = studio.read("s.studio.document.labelSet.labels.find((l) => l.name === 'river').concepts")
    broader = next(one for one in concepts if one != "river")
    page.keyboard.press("/")
    page.keyboard.type(broader)
    assert "river" in radios(page).all_text_contents()
    # By other words: there is no lake, but what paints one.
    search.fill("lake")
    assert radios(page).all_text_contents()[0] == "river (lake)"
    page.keyboard.press("Enter")
    assert checked(page) == "river"
    expect(page.get_by_text("(lake)")).to_have_count(0)
    studio.choose("road")
    page.keyboard.press("/")
    search.fill("giraffe")
    expect(page.get_by_text("No label is called that.")).to_be_visible()
    page.keyboard.press("Enter")
    assert studio.label == studio.id_of("road"), "nothing is chosen where nothing is found"
    search.fill("sea")
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    assert checked(page) == "road"
    assert studio.read("s.studio.state.tool") == "brush", "letters were typed, not pressed"


def test_groups_stay_as_they_were_left(studio: Studio) -> None:
    page = studio.page
    head = page.get_by_role("button", name=re.compile("^plants", re.IGNORECASE))
    expect(head).to_have_attribute("aria-expanded", "true")
    count = int(head.locator(".group-count").text_content() or "0")
    studio.choose("tree")
    head.click()
    expect(head).to_have_attribute("aria-expanded", "false")
    expect(radios(page)).to_have_count(17 - count)
    stops = page.locator("#palette [role=radio][tabindex='0']:visible")
    expect(stops).to_have_count(1)  # Tab still reaches the labels, though the chosen one is out of sight
    page.reload()
    studio.settle()
    expect(head).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("/")
    page.keyboard.type("tree")
    assert radios(page).all_text_contents()[0] == "tree", "a search looks into closed groups"
    page.keyboard.press("Escape")
    head.click()
    expect(radios(page)).to_have_count(17)


def test_arrows_walk_the_labels(studio: Studio) -> None:
    page = studio.page
    names = radios(page).all_text_contents()
    studio.choose(names[1])
    page.keyboard.press("ArrowDown")
    assert checked(page) == names[2]
    expect(radios(page).nth(2)).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert checked(page) == names[-1], "round the end"


def test_chips_stand_out_from_what_they_lie_on(studio: Studio) -> None:
    """Every label has its name in text beside its colour, and an outline of at least 3 : 1 against the panel,
    so that nobody needs to tell colours apart."""
    page = studio.page
    assert all(name.strip() for name in radios(page).all_text_contents())
    outline, panel = page.evaluate(
        """() => {
            const chip = document.querySelector("#palette .swatch .chip");
            const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
            const [outline] = getComputedStyle(chip).boxShadow.match(/rgba\\(.*?\\)/);
            const panel = getComputedStyle(chip.closest(".palette")).backgroundColor;
            return [numbers(outline), numbers(panel)];
        }"""
    )
    *color, alpha = outline
    for chip in ([0, 0, 0], panel):
        mixed = [alpha * one + (1 - alpha) * other for one, other in zip(color, chip, strict=True)]
        assert contrast(mixed, panel) >= 3
    studio.choose("snow")
    ring = page.locator("[role=radio][aria-checked=true] .chip").evaluate(
        "(chip) => getComputedStyle(chip).boxShadow"
    )
    assert "243, 180, 118" in ring, "a ring, not a colour, says which is chosen"


def contrast(a: list[float], b: list[float]) -> float:
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: list[float]) -> float:
    parts = [one / 255 for one in color]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("model", ["tiny", "coco"])
def test_on_a_phone_labels_are_a_strip_and_a_sheet(browser: Browser, house: House, model: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open()
        if model != "tiny":
            studio.read("void s.studio.setModel('coco')")
            studio.settle()
            studio.read("void s.studio.startBlank()")
            studio.settle()
        palette = page.locator(".palette")
        strip = palette.bounding_box()
        assert strip is not None
        assert strip["height"] <= 80
        shown = palette.locator(".tile:visible, .swatch:visible").first
        box = shown.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 40
        shown.tap()
        page.get_by_role("button", name="All labels").tap()
        sheet = palette.bounding_box()
        assert sheet is not None
        assert sheet["height"] > 300
        page.get_by_role("searchbox", name="Find a label").fill("tree")
        page.get_by_role("radio", name="tree", exact=True).tap()
        assert studio.label == studio.id_of("tree")
        closed = palette.bounding_box()
        assert closed == strip, "chosen, the sheet is gone"
        chosen = palette.locator("[aria-checked=true]:visible, [aria-pressed=true]:visible").first
        edge = page.get_by_role("button", name="All labels").bounding_box()
        place = chosen.bounding_box()
        assert edge is not None
        assert place is not None
        assert edge["x"] >= 0, "the way to all of them stays"
        assert edge["x"] + edge["width"] <= place["x"]
        assert place["x"] + place["width"] <= 390, "what was chosen is seen"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        context.close()
