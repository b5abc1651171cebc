"""Notices come and go by themselves, and a tap that comes too late for one does nothing."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Studio

SAY = "(notice) => window.scenebrush.studio.ports.say(notice)"


def middle_of(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_tap_for_a_notice_that_just_went_paints_nothing(studio: Studio) -> None:
    page = studio.page
    # On a phone, and with one picture, a notice lies over it.
    page.set_viewport_size({"width": 390, "height": 844})
    studio.do("view-next")
    page.clock.install()
    page.evaluate(SAY, {"what": "A notice", "why": "So long that it lies over the photo itself. " * 6})
    where = middle_of(page, ".notice")
    assert page.evaluate("([x, y]) => Boolean(document.elementFromPoint(x, y).closest('.notice'))", where)
    labels = studio.labels
    page.clock.pause_at(page.evaluate("Date.now() + 7_100"))
    expect(page.locator(".notice")).to_have_count(0)
    page.mouse.click(*where)
    assert (studio.labels == labels).all()
    page.clock.run_for(500)
    page.mouse.click(*where)
    assert (studio.labels != labels).any()


def test_errors_leave_unless_they_last_or_offer_something(studio: Studio) -> None:
    page = studio.page
    page.clock.install()
    page.evaluate(SAY, {"what": "It went wrong", "tone": "error"})
    page.evaluate(SAY, {"what": "Lost for now", "tone": "error", "lasting": True})
    page.evaluate("""() => window.scenebrush.studio.ports.say(
        { what: "Refused", tone: "error", action: { title: "Try again", run() {} } })""")
    expect(page.locator(".notice")).to_have_count(3)
    page.clock.run_for(9_000)
    expect(page.locator(".notice")).to_have_count(3)
    # Whoever reads it, has it.
    page.locator(".notice", has_text="It went wrong").hover()
    page.clock.run_for(2_000)
    expect(page.locator(".notice")).to_have_count(3)
    page.mouse.move(5, 5)
    page.clock.run_for(10_000)
    expect(page.locator(".notice strong")).to_have_text(["Lost for now", "Refused"])
