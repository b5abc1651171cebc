"""A model that paints one size only, wider than it is high: a VAE's."""

from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import House, Studio

SIZE = "[s.studio.document.map.width, s.studio.document.map.height]"


def test_paintings_begin_at_the_models_own_size(
    page: Page, house: House, tmp_path: Path, complaints: list[str]
) -> None:
    studio = Studio(page, house.url).open()
    assert studio.read(SIZE) == [256, 256]
    page.get_by_label("Model").select_option("wide")
    # The painting on the easel is too high for it: it is painted smaller, and that is said; a new one is not.
    said = page.get_by_text("painted at 128 × 128, shown at 256 × 256")
    expect(said).to_be_visible()
    studio.settle()
    assert studio.read("[s.frame.width, s.frame.height, s.live.paints.width]") == [128, 128, 128]
    studio.drag((0.2, 0.3), (0.6, 0.4))
    studio.settle()
    with page.expect_download() as download:
        studio.do("save-photo")
    with Image.open(download.value.path()) as photo:
        assert photo.size == (256, 256)
    for card in (0, 1):
        studio.do("new")
        page.locator("#start-scenes button.card").nth(card).click()
        studio.settle()
        assert studio.read(SIZE) == [256, 128]
    expect(said).to_be_hidden()
    assert len(np.unique(studio.labels)) > 3, "the scene is all there"
    studio.drag((0.1, 0.2), (0.9, 0.8))
    studio.settle()
    Image.fromarray(np.full((300, 300), 23, np.uint8)).save(tmp_path / "large.png")
    with page.expect_file_chooser() as chooser:
        studio.do("import")
    chooser.value.set_files(tmp_path / "large.png")
    page.get_by_role("dialog").get_by_role("button", name="Open", exact=True).click()
    studio.until("s.studio.document.title === 'large'")
    studio.settle()
    assert studio.read(SIZE) == [128, 128]
    with page.expect_download() as download:
        studio.do("save-photo")
    with Image.open(download.value.path()) as photo:
        assert photo.size == (128, 128)
