"""The guided start: told once, left behind by doing what it says, and never in the way."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, Studio


def test_a_newcomer_is_led_through_four_steps_by_doing_them(
    page: Page, house: House, complaints: list[str]
) -> None:
    studio = Studio(page, house.url).open(newcomer=True)
    guide = page.get_by_role("region", name="Guided start")
    expect(guide).to_contain_text("Choose what to paint")
    expect(page.locator("#guide-spot")).to_be_visible()
    studio.choose("house")
    expect(guide).to_contain_text("Drag on the map")
    spot, pane = (page.locator(of).bounding_box() for of in ("#guide-spot", "#map-frame"))
    assert spot
    assert pane
    assert abs(spot["x"] + 3 - pane["x"]) < 1, "it rings the map"
    assert abs(spot["width"] - 6 - pane["width"]) < 1
    labels = studio.labels
    studio.drag((0.2, 0.2), (0.6, 0.25))
    assert (studio.labels != labels).any()
    expect(guide).to_contain_text("Change the light")
    studio.do("dice")
    expect(guide).to_contain_text("Download the photo")
    with page.expect_download():
        studio.do("save-photo")
    expect(guide).to_be_hidden()
    expect(page.locator("#guide-spot")).to_be_hidden()
    studio.settle()
    page.reload()
    studio.settle()
    expect(guide).to_be_hidden()
    # It comes back when it is asked for.
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_role("button", name="Guided start").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(guide).to_contain_text("Choose what to paint")


def test_the_guide_can_be_skipped_and_is_shown_once(page: Page, house: House) -> None:
    studio = Studio(page, house.url).open(newcomer=True)
    guide = page.get_by_role("region", name="Guided start")
    guide.get_by_role("button", name="Skip").click()
    expect(guide).to_be_hidden()
    expect(page.locator("#hint"), "whoever was led needs no first word").to_be_hidden()
    page.reload()
    studio.settle()
    expect(guide).to_be_hidden()


@pytest.mark.parametrize("size", [(390, 844), (360, 640), (844, 390)])
def test_on_a_phone_the_guide_hides_no_picture(browser: Browser, house: House, size: tuple[int, int]) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", has_touch=True
    )
    try:
        page = context.new_page()
        Studio(page, house.url).open(newcomer=True)
        stage = page.locator("#stage").bounding_box()
        assert stage
        for at in range(4):
            card, spot = (page.locator(of).bounding_box() for of in ("#guide", "#guide-spot"))
            assert card
            assert spot
            above = card["y"] + card["height"] <= stage["y"] + 1
            assert above or card["y"] >= stage["y"] + stage["height"], at
            assert card["y"] + card["height"] <= size[1], at
            if at == 2 and size[0] < size[1]:
                strip = page.locator(".strip").bounding_box()
                assert strip
                assert abs(spot["y"] + 3 - strip["y"]) < 1, "it rings the lights"
            page.locator("#guide").get_by_role("button").first.click()
    finally:
        context.close()


def test_the_first_word_hangs_in_the_map(page: Page, house: House) -> None:
    studio = Studio(page, house.url).open()
    for view in ("split", "over"):
        studio.do(f"view-{view}")
        hint, frame = (page.locator(of).bounding_box() for of in ("#hint", "#map-frame"))
        assert hint
        assert frame
        assert frame["x"] <= hint["x"]
        assert hint["x"] + hint["width"] <= frame["x"] + frame["width"]
    hint, slider = (page.locator(of).bounding_box() for of in ("#hint", "#opacity"))
    assert hint
    assert slider
    assert hint["y"] + hint["height"] <= slider["y"]


def test_one_paints_through_the_guide(browser: Browser, house: House) -> None:
    for size in ((1440, 900), (820, 1180), (390, 844), (844, 390)):
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", has_touch=size[0] < 900
        )
        try:
            page = context.new_page()
            studio = Studio(page, house.url).open(newcomer=True)
            card = page.locator("#guide")
            expect(card).to_be_visible()
            box = card.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
            assert box["y"] + box["height"] <= size[1]
            for button in card.get_by_role("button").all():
                target = button.bounding_box()
                assert target is not None
                assert target["height"] >= 40
            # Its text takes no pointer.
            x, y = box["x"] + 20, box["y"] + box["height"] / 2
            assert (
                page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('#guide')", [x, y]) is None
            )
            studio.choose("house")
            studio.drag((0.1, 0.2), (0.9, 0.8))
            assert (studio.labels == studio.id_of("house")).sum() > 1000
        finally:
            context.close()
