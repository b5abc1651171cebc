"""An axe run over the page and its dialogs, in both languages, at three sizes; the way of the keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, Studio

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}
DIALOGS = ("new", "help", "canvas-size", "gallery", "export")

pytestmark = pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: `make setup` does it")


def findings(page: Page) -> list[str]:
    """What axe calls serious or critical, with the elements."""
    result: dict[str, Any] = page.evaluate("() => window.axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['impact']}: {violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing_serious(browser: Browser, house: House, size: str, locale: str) -> None:
    width, height = SIZES[size]
    # Axe is added to the page, which its policy forbids everybody else.
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=locale,
        reduced_motion="reduce",
        bypass_csp=True,
        has_touch=size != "desktop",
    )
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open(newcomer=True)
        page.add_script_tag(path=AXE)
        assert findings(page) == [], "the page with its guide"
        page.evaluate("scenebrush.studio.setModel('lights')")
        studio.settle()
        for panel in ("light", "layers", "edit"):
            studio.do(f"panel-{panel}")
            assert findings(page) == [], panel
            studio.do(f"panel-{panel}")
        for action in DIALOGS:
            page.evaluate("(id) => document.querySelector(`button[data-action=${id}]`).click()", action)
            expect(page.locator("dialog[open]")).to_be_visible()
            assert findings(page) == [], action
            page.keyboard.press("Escape")
            expect(page.locator("dialog[open]")).to_have_count(0)
    finally:
        context.close()


def test_everything_but_drawing_is_done_with_the_keyboard_alone(studio: Studio) -> None:
    page = studio.page
    keyboard = page.keyboard
    stops: list[str] = []
    for _ in range(80):
        keyboard.press("Tab")
        name = page.evaluate(
            "(document.activeElement.ariaLabel ?? document.activeElement.textContent ?? '').trim()"
        )
        visible = page.evaluate(
            """() => {
                const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
                const seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
                return seen || document.activeElement === document.body;
            }"""
        )
        assert visible, f"the focus on {name} cannot be seen"
        if stops and name == stops[0]:
            break
        stops.append(name)
    toolbars = page.locator("[role=toolbar]:visible").count()
    assert len(stops) > toolbars
    # A dialog by its key, its first control by Tab, and back where one was.
    studio.button("new").focus()
    keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="New painting")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    keyboard.press("Escape")
    expect(studio.button("new")).to_be_focused()
    # A label by arrows, a light by Enter, undo by its key.
    label = studio.label
    page.locator("#palette [role=radio][tabindex='0']").first.focus()
    keyboard.press("ArrowDown")
    assert studio.label != label
    studio.button("dice").focus()
    seed = studio.read("s.studio.document.seed")
    keyboard.press("Enter")
    assert studio.read("s.studio.document.seed") != seed
    keyboard.press("Control+z")
    assert studio.read("s.studio.document.seed") == seed


def test_what_happens_is_said_aloud(studio: Studio) -> None:
    page = studio.page
    expect(page.locator("#link-text")).to_have_attribute("role", "status")
    studio.do("new")
    page.locator("#start-scenes button.card").nth(1).click()
    expect(page.locator(".notice")).to_have_attribute("role", "status")


def test_nothing_moves_for_who_wants_it_still(studio: Studio) -> None:
    moving = studio.page.evaluate(
        "document.getAnimations().filter(({ playState, effect }) => playState === 'running' "
        "&& effect.getComputedTiming().duration > 0).length"
    )
    assert moving == 0
