"""The page in English and in Chinese."""

import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, Studio

CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Texts that are the same in every language: numbers, keys, units, and names that a server gives.
NAMES = (
    r"px|ms|s|Scenebrush|English|PNG|JPEG|WebP|OpenRaster|RGB|Esc|Ctrl|"
    r"Tiny COCO|Tiny|Lights|City|Wide|Landscape|Apache-2\.0|CC BY-NC-SA 4\.0"
)
COMMON = re.compile(rf"^(?:[\d\s.,:×·%+−/()→…-]|{NAMES})*$")

TEXTS = """() => {
  const seen = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (parent.closest("kbd, option, script, style, noscript, [lang=en]")) continue;
    if (parent.checkVisibility({ visibilityProperty: true })) seen.push(node.data.trim());
  }
  for (const element of document.querySelectorAll("[aria-label], [placeholder], [data-tip], [title]")) {
    for (const name of ["aria-label", "placeholder", "title"]) {
      if (element.closest("[lang=en]")) continue;
      const value = element.getAttribute(name);
      if (value) seen.push(value);
    }
    if (element.dataset.tip) seen.push(element.dataset.tip);
  }
  return [...new Set(seen.filter(Boolean))];
}"""


@pytest.fixture
def chinese(browser: Browser, house: House) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": 1600, "height": 900}, locale="zh-CN", reduced_motion="reduce"
    )
    try:
        yield context.new_page()
    finally:
        context.close()


def english_left(page: Page) -> list[str]:
    texts = page.evaluate(TEXTS)
    return [text for text in texts if not CHINESE.search(text) and not COMMON.match(text)]


def test_a_chinese_browser_gets_a_chinese_page(chinese: Page, house: House) -> None:
    studio = Studio(chinese, house.url).open()
    expect(chinese.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(chinese.get_by_role("button", name="撤销", exact=True)).to_have_count(1)
    expect(chinese.get_by_role("radio", name="山", exact=True).first).to_be_visible()
    chinese.get_by_label("模型").select_option("lights")
    studio.settle()
    assert english_left(chinese) == []
    for action in ("new", "canvas-size", "help", "export", "gallery"):
        studio.do(action)
        dialog = chinese.locator("dialog[open]")
        expect(dialog).to_be_visible()
        assert english_left(chinese) == [], action
        chinese.keyboard.press("Escape")
        expect(dialog).to_be_hidden()


def test_the_guide_and_notices_speak_chinese(chinese: Page, house: House) -> None:
    studio = Studio(chinese, house.url).open(newcomer=True)
    expect(chinese.locator("#guide")).to_contain_text(CHINESE)
    assert english_left(chinese) == []
    studio.do("new")
    chinese.locator("#start-scenes button.card").nth(1).click()
    notice = chinese.locator(".notice")
    expect(notice).to_contain_text(CHINESE)
    assert english_left(chinese) == []


def test_refusals_of_the_page_are_translated(chinese: Page, house: House) -> None:
    studio = Studio(chinese, house.url).open()
    said = studio.read("s.studio.document.layers.length && (() => { try { s.studio.document.beginRestore() } catch (e) { return e.what } })()")  # fmt: skip  # noqa: E501
    assert said, "the error itself is English, for whoever reads it in the console"
    assert not CHINESE.search(said)


def test_another_language_keeps_painting_and_choice(page: Page, house: House, complaints: list[str]) -> None:
    studio = Studio(page, house.url).open()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.6, 0.3))
    studio.settle()
    labels = studio.labels
    with page.expect_navigation():
        page.get_by_role("button", name="简体中文").click()
    studio.settle()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    assert np.array_equal(studio.labels, labels)
    page.reload()
    studio.settle()
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    with page.expect_navigation():
        page.get_by_role("button", name="English").click()
    studio.settle()
    assert not [text for text in page.evaluate(TEXTS) if CHINESE.search(text) and text != "简体中文"]


@pytest.mark.parametrize(("locale", "language"), [("zh-TW", "zh-CN"), ("en-GB", "en"), ("de-DE", "en")])
def test_the_browsers_language_decides_at_first(
    browser: Browser, house: House, locale: str, language: str
) -> None:
    context = browser.new_context(locale=locale)
    try:
        page = context.new_page()
        page.goto(house.url)
        expect(page.locator("html")).to_have_attribute("lang", language)
    finally:
        context.close()
