"""The studio before a server that really asks for tokens: given out, used, taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from server.guard.tokens import TokenFile
from tests.browser.conftest import House, Studio
from tests.browser.test_token import forgive, kept


@pytest.fixture(scope="module")
def locked_house(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(models_dir)
    house.settings |= {
        "SCENEBRUSH_REQUIRE_TOKEN": "true",
        "SCENEBRUSH_TOKENS_FILE": str(tmp_path_factory.mktemp("tokens") / "tokens.json"),
    }
    try:
        house.start()
        yield house
    finally:
        house.stop()


def test_a_real_token_opens_the_studio_and_painting_outlives_it(
    page: Page, locked_house: House, complaints: list[str]
) -> None:
    tokens = TokenFile(Path(locked_house.settings["SCENEBRUSH_TOKENS_FILE"]))
    first, second = (tokens.add(name, time.time(), None) for name in ("Ada", "Grace"))
    page.goto(locked_house.url)
    dialog = page.get_by_role("dialog", name="This studio needs a token")
    dialog.get_by_label("Token").fill(first[:-1] + ("a" if first[-1] != "a" else "b"))
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("This token is not known here.")
    dialog.get_by_label("Token").fill(first)
    page.keyboard.press("Enter")
    studio = Studio(page, locked_house.url).settle()
    expect(studio.button("sign-out")).to_have_attribute("data-tip-hint", "You are signed in as Ada.")
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("scenebrush_token", True, "Strict")
    assert first not in kept(page)
    tokens.revoke("Ada")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Yours is no longer known here")
    page.keyboard.press("Escape")
    before = studio.picture
    studio.choose("house")
    studio.drag((0.1, 0.3), (0.9, 0.3))
    labels = studio.labels
    assert (labels == studio.id_of("house")).sum() > 2000
    page.goto("about:blank")
    page.goto(f"{locked_house.url}/#token={second}")
    studio.settle()
    assert (studio.labels == labels).all()
    assert studio.picture != before
    assert second not in page.url + kept(page)
    studio.button("sign-out").click()
    expect(dialog).to_be_visible()
    assert page.context.cookies() == []
    forgive(complaints)
