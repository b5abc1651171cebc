"""A public model in the studio: 183 labels, no style, edges between things."""

import re

import numpy as np
from playwright.sync_api import Page, expect

from tests.browser.conftest import House, Studio


def test_a_model_of_183_labels_is_painted_with(page: Page, house: House, complaints: list[str]) -> None:
    studio = Studio(page, house.url).open()
    page.get_by_label("Model").select_option("coco")
    studio.settle()
    # A new painting is in the labels of the model that is chosen.
    studio.do("new")
    page.get_by_role("button", name="Empty (clear sky)").click()
    studio.settle()
    palette = page.locator("#palette")
    labels = studio.read("s.studio.document.labelSet.labels")
    assert len(labels) == 183
    # No wall: what is in the painting, what is at hand, and groups that are closed until they are opened.
    expect(palette.get_by_role("radio")).to_have_count(0)
    heads = palette.locator(".group-name")
    counts = [int(count) for count in heads.locator(".group-count").all_text_contents()]
    assert sum(counts) == 183
    present = set(np.unique(studio.labels))
    shown = {int(one.get_attribute("data-label") or -1) for one in palette.locator(".tile").all()}
    assert present <= shown | {studio.read("s.studio.document.labelSet.ignore")}
    for name, points in (("giraffe", ((0.2, 0.7), (0.4, 0.7))), ("wall-stone", ((0.6, 0.8), (0.9, 0.8)))):
        before = studio.picture
        page.keyboard.press("/")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        assert studio.label == studio.id_of(name)
        expect(palette.locator(".at-hand .tile[aria-pressed=true]")).to_have_text(re.compile(name))
        studio.drag(*points)
        studio.settle()
        assert (studio.labels == studio.id_of(name)).sum() > 300
        assert studio.picture != before
    for head in heads.all():
        head.click()
    expect(palette.get_by_role("radio")).to_have_count(183)
    light = studio.picture
    studio.do("dice")
    studio.settle()
    assert studio.picture == light, "a model without style has one light"
    check_layout(page)


def check_layout(page: Page) -> None:
    """The page does not scroll, the palette does, and no name leaves its swatch."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert page.evaluate("document.documentElement.scrollHeight") <= 900
    boxes = page.evaluate(
        """() => [...document.querySelectorAll("#palette .swatch")].map((swatch) => {
            const outer = swatch.getBoundingClientRect();
            const inner = swatch.querySelector(".swatch-name").getBoundingClientRect();
            return [outer.left, outer.right, inner.left, inner.right, outer.height];
        })"""
    )
    left, right, name_left, name_right, height = np.array(boxes).T
    assert (name_left >= left).all()
    assert (name_right <= right + 0.5).all()
    assert (height >= 40).all()
    body = "document.querySelector('#palette')"
    assert page.evaluate(f"{body}.scrollHeight > {body}.clientHeight")
    assert page.evaluate(f"{body}.scrollWidth <= {body}.clientWidth")
