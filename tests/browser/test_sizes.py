"""Canvases of any size and shape."""

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.conftest import House, Studio

SIZE = "[s.studio.document.map.width, s.studio.document.map.height]"
PHOTO = "(() => { const { width, height } = document.getElementById('photo'); return [width, height] })()"


def test_a_new_painting_of_any_size_is_painted(page: Page, house: House, complaints: list[str]) -> None:
    studio = Studio(page, house.url).open()
    for width, height in ((301, 257), (512, 288)):
        page.keyboard.press("Shift+C")
        dialog = page.get_by_role("dialog", name="Canvas size")
        dialog.get_by_label("Width").fill(str(width))
        dialog.get_by_label("Height").fill(str(height))
        dialog.get_by_role("button", name="New, with a clear sky").click()
        expect(dialog).to_be_hidden()
        studio.settle()
        assert studio.read(SIZE) == [width, height]
        assert studio.read(PHOTO) == [width, height]
        assert (studio.labels == studio.id_of("sky")).all()
        studio.choose("house")
        studio.drag((0.1, 0.9), (0.9, 0.9))
        studio.settle()
        painted = np.argwhere(studio.labels == studio.id_of("house"))
        assert painted[:, 1].min() < 0.12 * width
        assert painted[:, 1].max() > 0.88 * width
    expect(page.locator("#painted")).to_be_empty()


def test_starter_scenes_are_drawn_in_the_size_that_is_chosen(studio: Studio) -> None:
    page = studio.page
    studio.do("new")
    sizes = page.get_by_role("dialog", name="New painting").get_by_role("group", name="Size")
    expect(sizes.get_by_role("button", name="Square 256 × 256")).to_have_attribute("aria-pressed", "true")
    sizes.get_by_role("button", name="3 : 2 384 × 256").click()
    expect(sizes.locator("[aria-pressed=true]")).to_have_text("3 : 2384 × 256")
    page.locator("#start-scenes button.card").nth(1).click()
    studio.settle()
    assert studio.read(SIZE) == [384, 256]
    assert len(np.unique(studio.labels)) > 3
    # Any other size is asked for.
    studio.do("new")
    sizes.get_by_role("button", name="Other…").click()
    expect(page.get_by_role("dialog", name="Canvas size")).to_be_visible()


def test_what_is_begun_has_a_title_of_its_own(studio: Studio) -> None:
    page = studio.page
    titles = []
    for _ in range(2):
        studio.do("new")
        page.get_by_role("button", name="Empty (clear sky)").click()
        studio.drag((0.2, 0.8), (0.8, 0.8))
        studio.settle()
        titles.append(studio.read("s.studio.document.title"))
    assert titles == ["Painting 1", "Painting 2"]
    # What the page called it is said in the painter's language.
    with page.expect_navigation():
        page.get_by_role("button", name="简体中文").click()
    studio.settle()
    studio.do("new")
    expect(page.locator("#start-kept").get_by_role("button", name="作品 1")).to_be_visible()


def test_a_copy_in_another_size_loses_nothing(studio: Studio) -> None:
    page = studio.page
    before = studio.labels
    kept = studio.read("s.studio.document.id")
    studio.do("canvas-size")
    dialog = page.get_by_role("dialog", name="Canvas size")
    copy = dialog.get_by_role("button", name="A copy in this size")
    expect(copy).to_be_disabled()  # it has this size
    dialog.get_by_role("button", name="Square").click()
    dialog.get_by_label("Width").fill("512")
    dialog.get_by_label("Height").fill("512")
    expect(dialog.get_by_text("takes the middle of the picture")).to_be_hidden()
    copy.click()
    studio.settle()
    assert np.array_equal(studio.labels, before.repeat(2, 0).repeat(2, 1))
    assert studio.read("s.studio.document.id") != kept
    # Another shape: the middle, or the whole stretched.
    studio.do("canvas-size")
    dialog.get_by_role("button", name="16 : 9").click()
    expect(dialog.get_by_label("Width")).to_have_value("512")
    expect(dialog.get_by_label("Height")).to_have_value("288")
    dialog.get_by_text("stretches the picture").click()
    copy.click()
    studio.settle()
    assert studio.read(SIZE) == [512, 288]
    assert set(np.unique(studio.labels)) == set(np.unique(before))
    page.get_by_role("button", name="Back to the one before").click()
    studio.settle()
    assert studio.read(SIZE) == [512, 512]


def test_a_size_that_cannot_be_is_said(studio: Studio) -> None:
    page = studio.page
    studio.do("canvas-size")
    dialog = page.get_by_role("dialog", name="Canvas size")
    dialog.get_by_label("Width").fill("2000")
    expect(dialog.get_by_text("Each side has 256 to 1024 pixels.")).to_be_visible()
    for name in ("New, with a clear sky", "A copy in this size"):
        expect(dialog.get_by_role("button", name=name)).to_be_disabled()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert studio.read(SIZE) == [256, 256]


def test_the_status_line_says_what_a_model_paints_of_a_large_canvas(
    page: Page, house: House, complaints: list[str]
) -> None:
    studio = Studio(page, house.url).open()
    page.get_by_label("Model").select_option("wide")  # a VAE's, which paints 256 × 128
    studio.settle()
    studio.do("canvas-size")
    dialog = page.get_by_role("dialog", name="Canvas size")
    dialog.get_by_label("Width").fill("512")
    dialog.get_by_label("Height").fill("384")
    expect(dialog.get_by_text("Wide paints up to 256 × 128")).to_be_visible()
    dialog.get_by_role("button", name="New, with a clear sky").click()
    studio.settle()
    said = page.locator("#painted")
    expect(said).to_contain_text("shown at 512 × 384")
    width, height = studio.read(PHOTO)
    expect(said).to_contain_text(f"photo painted at {width} × {height}")
    assert width <= 256
    assert height <= 128
    page.get_by_label("Model").select_option("tiny")
    studio.settle()
    expect(said).to_be_empty()
