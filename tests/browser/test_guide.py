"""The guided start: told once, left behind by doing what it says, and never in the way."""

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
    guide.get_by_role("button", name="Done").click()
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
    page.reload()
    studio.settle()
    expect(guide).to_be_hidden()


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
