"""The pictures of docs/studio.md: `python -m tests.browser.screenshots` paints and photographs the studio.

Three screens in two languages, with the built-in model, and a desk with its panels open; parts of one that
asks for a token, and of one whose server is busy. Each is reduced to a palette until it has at most 300 kB.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM_ARGUMENTS, CHROMIUM_NAMES, Studio
from tests.browser.test_busy import Wire
from tests.browser.test_token import Gate
from tests.serving import serve

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
SCREENS = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
MOST_BYTES = 300_000
FLAT = 96


def small_png(picture: bytes) -> bytes:
    """The picture as a palette PNG, with as many colours as its size allows.

    The page's own colours and the labels' are kept as they are; the photo shares the rest.
    """
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    counted = sorted(image.getcolors(image.width * image.height) or [], reverse=True)
    flat = [channel for _, color in counted[:FLAT] for channel in color]
    for colors in (256, 192, 128, 96):
        shared = image.quantize(colors - FLAT, Image.Quantize.MEDIANCUT).getpalette() or []
        palette = Image.new("P", (1, 1))
        palette.putpalette(flat + shared[: 3 * (colors - FLAT)])
        out = io.BytesIO()
        image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    return out.getvalue()


def paint(studio: Studio, scene: int, light: str) -> None:
    """A starter scene in another light, with a cloud of the painter's own."""
    page = studio.page
    page.evaluate("document.querySelector('[data-action=new]').click()")
    page.locator("#start-scenes button.card").nth(scene).click()
    page.locator(".notice-close").first.click()
    studio.settle()
    page.locator(f"#palette [role=radio][data-label='{studio.id_of('clouds')}']").click()
    studio.drag((0.7, 0.15), (0.78, 0.12), (0.86, 0.15), (0.92, 0.15))
    page.locator(f".preset[data-preset='{light}']").click()
    page.mouse.move(2, 2)
    studio.settle()
    # The lights' own pictures are painted one after the other, when nothing else is.
    studio.until("!document.querySelector('.preset img[hidden]')", patience=120)


def photograph(browser: Browser, url: str, screen: str, language: str, *, panels: bool = False) -> bytes:
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        locale=LANGUAGES[language],
        reduced_motion="reduce",
        has_touch=screen != "desktop",
    )
    try:
        studio = Studio(context.new_page(), url).open()
        paint(studio, scene=7, light="golden-hour")
        for panel in ("light", "layers") if panels else ():
            studio.do(f"panel-{panel}")
        studio.page.mouse.move(2, 2)
        studio.page.wait_for_timeout(600)
        return studio.page.screenshot()
    finally:
        context.close()


def photograph_token(browser: Browser, url: str) -> bytes:
    """The dialog that asks for a token."""
    page = browser.new_page(viewport={"width": 960, "height": 640}, reduced_motion="reduce")
    try:
        gate = Gate(page, signed_in=True)
        studio = Studio(page, url).open()
        gate.take_back()
        studio.until("document.querySelector('#sign-in').open")
        return page.screenshot(clip={"x": 230, "y": 160, "width": 500, "height": 320})
    finally:
        page.close()


def photograph_busy(browser: Browser, url: str) -> bytes:
    """The status line of a studio on a busy server, with its explanation."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    try:
        wire = Wire(page)
        studio = Studio(page, url).open()
        wire.say_load("smaller", 12)
        page.locator("#load").hover()
        studio.until("!document.querySelector('#tooltip').hidden")
        return page.screenshot(clip={"x": 0, "y": 730, "width": 1440, "height": 170})
    finally:
        page.close()


def main() -> None:
    """Write every picture into docs/images."""
    chromium = os.environ.get("SCENEBRUSH_CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)))
    with serve(cwd=ROOT) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        for screen in SCREENS:
            for language in LANGUAGES:
                picture = small_png(photograph(browser, server.url, screen, language))
                (IMAGES / f"studio-{screen}-{language}.png").write_bytes(picture)
        panels = small_png(photograph(browser, server.url, "desktop", "en", panels=True))
        (IMAGES / "studio-panels.png").write_bytes(panels)
        for name, take in {"token": photograph_token, "busy": photograph_busy}.items():
            (IMAGES / f"studio-{name}.png").write_bytes(small_png(take(browser, server.url)))
        shutil.copyfile(IMAGES / "studio-desktop-en.png", IMAGES / "studio.png")
        browser.close()


if __name__ == "__main__":
    main()
