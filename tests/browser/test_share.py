"""Sharing by a link: only where the server does; visitors open a copy; who shared it deletes it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import House, Studio


@pytest.fixture(scope="module")
def sharing_house(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(models_dir)
    house.settings |= {
        "SCENEBRUSH_SHARING": "true",
        "SCENEBRUSH_DATA_DIR": str(tmp_path_factory.mktemp("shares")),
    }
    try:
        house.start()
        yield house
    finally:
        house.stop()


def test_there_is_no_sharing_where_the_server_keeps_nothing(studio: Studio) -> None:
    expect(studio.button("share")).to_be_hidden()


def test_a_painting_is_shared_opened_and_deleted(
    page: Page, browser: Browser, sharing_house: House, complaints: list[str]
) -> None:
    studio = Studio(page, sharing_house.url).open()
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.settle()
    labels, picture = studio.labels, studio.picture
    studio.do("share")
    dialog = page.locator("#share")
    dialog.get_by_role("button", name="Make a link").click()
    share = dialog.locator(".share")
    expect(share).to_have_count(1)
    expect(share).to_contain_text("Mountain lake, until ")
    link = share.get_by_role("textbox").input_value()
    assert link.startswith(f"{sharing_house.url}/s/")

    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    visitor = Studio(context.new_page(), link).open()
    assert np.array_equal(visitor.labels, labels)
    assert visitor.picture == picture
    visitor.choose("sea")
    visitor.drag((0.2, 0.8), (0.7, 0.8))
    mine = visitor.labels
    expect(visitor.page.locator("#saved")).to_have_attribute("data-state", "saved")
    # Their own from now on, and there when they come back by the front door.
    visitor.page.goto(sharing_house.url)
    visitor.settle()
    assert np.array_equal(visitor.labels, mine)
    assert np.array_equal(studio.labels, labels)

    page.reload()
    studio.settle()
    studio.do("share")
    expect(share).to_have_count(1)
    share.get_by_role("button", name="Delete the link to Mountain lake").click()
    expect(share).to_have_count(0)
    assert page.request.get(link).status == 404
    context.close()


def test_a_link_to_nothing_says_so(page: Page, sharing_house: House, complaints: list[str]) -> None:
    studio = Studio(page, f"{sharing_house.url}/s/{'A' * 22}").open()
    expect(page.get_by_role("alert")).to_contain_text("There is no such shared painting")
    assert studio.read("s.studio.document.title") == "Mountain lake"
    # The browser itself says that the page and the file are not there.
    assert all("404" in said for said in complaints)
    complaints.clear()
