"""Editing a photo in the page: its labels are found and painted on; only what was changed is painted anew."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, Studio

PHOTO = ROOT / "examples" / "data" / "images" / "100005.jpg"  # sand under a sky
BRUSH = 20  # map pixels


def open_photo(studio: Studio, photo: Path) -> None:
    choose(studio, photo)
    studio.until("s.studio.document.source")
    studio.settle()


def choose(studio: Studio, file: Path) -> None:
    with studio.page.expect_file_chooser() as chooser:
        studio.read("1")  # Playwright begins to listen for choosers beside what it does next
        studio.page.keyboard.press("p")
    chooser.value.set_files(file)


def shown(page: Page) -> np.ndarray:
    """The photo as it is on the screen, (H, W, 3) uint8."""
    page.mouse.move(2, 2)  # no brush ring over it
    picture = Image.open(io.BytesIO(page.locator("#photo").screenshot())).convert("RGB")
    return np.asarray(picture).astype(np.int16)


def downloaded(studio: Studio) -> np.ndarray:
    with studio.page.expect_download() as download:
        studio.page.keyboard.press("Control+s")
    return np.asarray(Image.open(download.value.path()))


def edited(studio: Studio) -> int:
    """How many pixels of the map cover the photo."""
    return studio.read(
        "s.studio.document.map.data.reduce((sum, id, i) => sum + (id !== s.studio.document.source.map.data[i]"
        " || s.studio.document.edits.data[i] ? 1 : 0), 0)"
    )


@pytest.fixture
def photo(studio: Studio) -> Studio:
    """The studio with a photo on the easel and a brush of a known size."""
    open_photo(studio, PHOTO)
    studio.page.evaluate(f"() => window.scenebrush.studio.setSize({BRUSH})")
    return studio


def test_a_photo_opens_with_its_labels_and_shows_itself(photo: Studio) -> None:
    labels = photo.labels
    assert labels.shape == (256, 256)
    sky, sand = photo.id_of("sky"), photo.id_of("sand")
    assert np.mean(labels[:90] == sky) > 0.9
    assert np.mean(labels[180:] == sand) > 0.9
    assert edited(photo) == 0
    picture = Image.open(PHOTO).convert("RGB")
    screen = shown(photo.page)
    wanted = np.asarray(picture.resize(screen.shape[1::-1], Image.Resampling.BILINEAR)).astype(np.int16)
    assert np.abs(screen - wanted).mean() < 4, "the photo itself, nothing painted"
    expect(photo.page.locator(".photo-share")).to_have_text("Nothing of the photo is changed yet.")


def test_a_stroke_changes_the_photo_there_and_nowhere_else(photo: Studio) -> None:
    before = shown(photo.page)
    photo.choose("snow")
    photo.drag((0.3, 0.8), (0.6, 0.8))
    photo.settle()
    after = shown(photo.page)
    height, width = after.shape[:2]
    assert np.array_equal(after[: height // 2], before[: height // 2])
    inside = np.s_[int(0.79 * height) : int(0.81 * height), int(0.35 * width) : int(0.55 * width)]
    assert np.abs(after[inside] - before[inside]).mean() > 4
    expect(photo.page.locator(".photo-share")).to_contain_text("of the photo is painted")


def test_the_download_is_the_photo_outside_the_stroke_to_the_byte(photo: Studio) -> None:
    photo.choose("snow")
    photo.drag((0.3, 0.8), (0.6, 0.8))
    photo.settle()
    source, result = np.asarray(Image.open(PHOTO).convert("RGB")), downloaded(photo)
    assert result.shape == source.shape
    painted = photo.read(
        "Array.from(s.studio.document.map.data, (id, i) => +(id !== s.studio.document.source.map.data[i]))"
    )
    mask = np.reshape(painted, source.shape[:2]).astype(bool)  # map and photo are of one size here
    assert mask.any()
    assert np.array_equal(result[~mask], source[~mask])
    assert not np.array_equal(result[mask], source[mask])


def test_the_photo_comes_back_where_it_is_restored(photo: Studio) -> None:
    before = shown(photo.page)
    photo.choose("snow")
    photo.drag((0.3, 0.8), (0.6, 0.8))
    photo.settle()
    assert edited(photo) > 1000
    photo.page.keyboard.press("Shift+R")
    photo.drag((0.25, 0.8), (0.65, 0.8))
    photo.settle()
    assert edited(photo) == 0
    assert np.abs(shown(photo.page) - before).max() == 0
    photo.page.keyboard.press("Control+z")
    assert edited(photo) > 1000, "restoring is one step"
    photo.page.keyboard.press("Escape")
    assert photo.read("s.studio.state.plane") == "labels"


def test_what_is_painted_anew_keeps_its_labels_and_takes_another_seed(photo: Studio) -> None:
    labels, seed = photo.labels, photo.read("s.studio.document.seed")
    photo.page.keyboard.press("Shift+N")
    photo.drag((0.2, 0.7), (0.7, 0.7))
    photo.settle()
    assert np.array_equal(photo.labels, labels)
    painted = edited(photo)
    assert painted > 1500
    photo.button("photo-another").click()
    photo.settle()
    assert photo.read("s.studio.document.seed") != seed
    assert photo.read("s.studio.document.code !== null"), "the light of the photo stays"
    assert edited(photo) == painted


def test_changes_that_are_kept_are_part_of_the_photo(photo: Studio) -> None:
    photo.choose("sea")
    photo.drag((0.3, 0.8), (0.6, 0.8))
    photo.settle()
    result = downloaded(photo)
    before = photo.read("s.studio.document.id")
    photo.button("photo-apply").click()
    photo.until(f"s.studio.document.id !== '{before}'")
    photo.settle()
    assert edited(photo) == 0
    blob = photo.page.evaluate(
        "async () => Array.from(new Uint8Array("
        "await window.scenebrush.studio.document.source.blob.arrayBuffer()))"
    )
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(bytes(blob)))), result)
    assert (photo.labels == photo.id_of("sea")).any(), "what was painted is seen there now"
    assert np.array_equal(downloaded(photo), result), "and goes out as it stands"


def test_a_light_says_that_it_falls_on_nothing_yet(photo: Studio) -> None:
    photo.do("dice")
    expect(photo.page.locator(".notice")).to_contain_text(["keeps its own light"])


def test_a_file_that_is_no_photo_says_so_and_changes_nothing(
    studio: Studio, tmp_path: Path, complaints: list[str]
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    before = studio.read("s.studio.document.id")
    choose(studio, broken)
    expect(studio.page.locator(".notice.error")).to_contain_text("photo could not be opened")
    assert studio.read("s.studio.document.id") == before
    assert complaints == []


def test_a_large_photo_with_an_orientation_is_edited_in_its_own_size(studio: Studio, tmp_path: Path) -> None:
    upright = Image.open(PHOTO).convert("RGB").resize((900, 1200), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it upright
    turned = tmp_path / "turned.png"
    upright.rotate(90, expand=True).save(turned, exif=exif)
    open_photo(studio, turned)
    assert studio.read("[s.studio.document.source.width, s.studio.document.source.height]") == [900, 1200]
    assert studio.labels.shape == (640, 480)
    assert np.mean(studio.labels[:200] == studio.id_of("sky")) > 0.8
    studio.page.evaluate("() => window.scenebrush.studio.setSize(40)")
    studio.choose("tree")
    studio.drag((0.4, 0.7), (0.6, 0.75))
    studio.settle()
    result = downloaded(studio)
    source = np.asarray(upright)
    assert result.shape == source.shape
    assert np.array_equal(result[:600], source[:600])
    assert not np.array_equal(result[780:960], source[780:960])


def test_a_painting_that_comes_back_shows_what_is_painted_however_long_its_photo_takes_to_read(
    photo: Studio,
) -> None:
    photo.choose("snow")
    photo.drag((0.3, 0.8), (0.6, 0.8))
    photo.settle()
    painted = shown(photo.page)
    mine = "window.scenebrush.studio.document"
    photo.page.evaluate(f"() => {{ window.mine = {mine}; window.scenebrush.studio.startBlank() }}")
    photo.settle()
    # Its pictures are there before the photo is.
    photo.page.evaluate(
        "() => { const decode = window.createImageBitmap.bind(window);"
        "window.createImageBitmap = async (...all) => {"
        "if (all[0] === window.mine.source.blob) await new Promise((done) => setTimeout(done, 1500));"
        "return decode(...all) } }"
    )
    photo.page.evaluate("() => window.scenebrush.studio.adopt(window.mine)")
    photo.settle()
    expect(photo.page.locator(".photo-share")).to_contain_text("of the photo is painted")
    assert np.abs(shown(photo.page) - painted).mean() < 0.5
