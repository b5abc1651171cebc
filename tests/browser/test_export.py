"""Pictures and maps that go out of the studio, and files of all kinds that come in."""

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from models.labels import load_label_set
from tests.browser.conftest import Studio

# Not a stand-in of the same name that happens to come first on the path.
IMAGEMAGICK = shutil.which("convert", path="/usr/bin") or shutil.which("magick", path="/usr/bin")


def open_file(studio: Studio, name: str, body: bytes, mime: str = "image/png") -> None:
    with studio.page.expect_file_chooser() as chosen:
        studio.do("import")
    chosen.value.set_files([{"name": name, "mimeType": mime, "buffer": body}])


def export(studio: Studio, folder: Path, **how: str | bool) -> Path:
    """Through the dialog: format, quality, size, embed."""
    page = studio.page
    studio.do("export")
    dialog = page.locator("#export")
    if "format" in how:
        dialog.locator(f"input[value={how['format']}]").check(force=True)
    if "quality" in how:
        dialog.locator("#export-quality").fill(str(how["quality"]))
    if "size" in how:
        dialog.locator("#export-size").select_option(label=str(how["size"]))
    if "embed" in how:
        dialog.locator("#export-embed").set_checked(bool(how["embed"]))
    with page.expect_download() as started:
        dialog.get_by_role("button", name="Download the photo").click()
    expect(dialog).to_be_hidden()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def label_map(studio: Studio, folder: Path) -> Path:
    studio.do("export")
    with studio.page.expect_download() as started:
        studio.page.locator("#export [data-export=save-map]").click()
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def test_the_photo_goes_out_in_every_format_and_size(studio: Studio, tmp_path: Path) -> None:
    sizes: dict[str, int] = {}
    for name, ending, kind in [("png", "png", "PNG"), ("jpeg", "jpg", "JPEG"), ("webp", "webp", "WEBP")]:
        path = export(studio, tmp_path, format=name)
        assert path.name == f"mountain-lake.{ending}"
        with Image.open(path) as image:
            assert (image.format, image.size) == (kind, (256, 256))
        assert b"trainedAlgorithmicMedia" in path.read_bytes()
        sizes[name] = path.stat().st_size
    low = export(studio, tmp_path, format="jpeg", quality="50")
    assert low.stat().st_size < sizes["jpeg"]
    large = export(studio, tmp_path, format="jpeg", size="512 × 512, painted anew")
    with Image.open(large) as image:
        assert image.size == (512, 512)
    expect(studio.page.locator(".notice")).to_have_count(1)  # what came last


def test_a_picture_carries_its_map_and_opens_again(studio: Studio, tmp_path: Path) -> None:
    studio.page.get_by_label("Model").select_option("lights")
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.read("s.studio.document.setLight({ seed: 321, style: 'dusk' })")
    studio.settle()
    labels, picture = studio.labels, studio.picture
    without = export(studio, tmp_path, embed=False).read_bytes()
    path = export(studio, tmp_path, embed=True)
    with Image.open(path) as image:
        said = json.loads(image.text["scenebrush"])
        with Image.open(io.BytesIO(base64.b64decode(said["map"]))) as carried:
            assert np.array_equal(np.asarray(carried), labels)
    assert b"scenebrush" in without
    assert len(without) < path.stat().st_size
    studio.do("new")
    studio.page.get_by_role("button", name="Empty (clear sky)").click()
    studio.page.get_by_label("Model").select_option("tiny")
    studio.settle()
    open_file(studio, "again.png", path.read_bytes())
    studio.until("s.studio.document.title === 'again'")
    studio.settle()
    assert np.array_equal(studio.labels, labels)
    assert studio.read("[s.studio.state.model, s.studio.document.seed]") == ["lights", 321]
    assert studio.picture == picture


def saved_by_pillow(source: Path, target: Path) -> None:
    with Image.open(source) as image:
        image.save(target, optimize=True)


def saved_by_imagemagick(source: Path, target: Path) -> None:
    if IMAGEMAGICK is None:
        pytest.skip("ImageMagick is not installed")
    subprocess.run([IMAGEMAGICK, str(source), str(target)], check=True)


def saved_by_imagemagick_as_rgb(source: Path, target: Path) -> None:
    saved_by_imagemagick(source, Path(f"PNG24:{target}"))


@pytest.mark.parametrize("saved", [saved_by_pillow, saved_by_imagemagick, saved_by_imagemagick_as_rgb])
def test_a_map_that_another_program_has_saved_comes_back_unchanged(
    studio: Studio, tmp_path: Path, saved: object
) -> None:
    assert callable(saved)
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.choose("flower")
    studio.drag((0.2, 0.9), (0.7, 0.7))
    labels = studio.labels
    exported = label_map(studio, tmp_path)
    # What stands in the first corner decides the order in which an editor meets the colours.
    turned = tmp_path / "turned.png"
    with Image.open(exported) as image:
        image.transpose(Image.Transpose.ROTATE_180).save(turned)
    for number, (source, expected) in enumerate([(exported, labels), (turned, labels[::-1, ::-1])]):
        saved(source, tmp_path / "other.png")
        open_file(studio, f"map{number}.png", (tmp_path / "other.png").read_bytes())
        studio.until(f"s.studio.document.title === 'map{number}'")
        assert np.array_equal(studio.labels, expected)
    expect(studio.page.locator("dialog[open]")).to_have_count(0)


def test_a_map_in_another_label_set_is_converted_with_a_report(studio: Studio) -> None:
    page = studio.page
    ade = load_label_set("ade150")
    ids = np.zeros((64, 96), np.uint8)
    ids[:20] = ade.by_name["sky"].id
    ids[20:40] = ade.by_name["palm"].id
    ids[40:63] = ade.by_name["sea"].id
    ids[63] = ade.by_name["bicycle"].id
    image = Image.fromarray(ids)
    image.putpalette(ade.palette())
    out = io.BytesIO()
    image.save(out, "PNG")
    before = studio.labels
    open_file(studio, "beach.png", out.getvalue())
    dialog = page.locator("#label-set")
    expect(dialog).to_contain_text("in the colours of another label set")
    expect(dialog.locator("#set-choice option")).not_to_have_count(0)
    assert "ade150" in dialog.locator("#set-choice option:checked").inner_text()
    rows = dialog.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("bicycle")
    expect(rows.nth(0)).to_contain_text("96")
    expect(rows.nth(0)).to_contain_text("no match")
    expect(rows.nth(1)).to_contain_text("palm")
    expect(rows.nth(1)).to_contain_text("nearest")
    expect(dialog).to_contain_text("2 % of the pixels have labels that")
    dialog.get_by_role("button", name="Cancel").click()
    assert np.array_equal(studio.labels, before)
    open_file(studio, "beach.png", out.getvalue())
    dialog.get_by_role("button", name="Open").click()
    studio.until("s.studio.document.title === 'beach'")
    labels = studio.labels
    assert (labels[:20] == studio.id_of("sky")).all()
    assert (labels[20:40] == studio.id_of("tree")).all()
    assert (labels[40:63] == studio.id_of("sea")).all()
    studio.settle()
    page.get_by_role("button", name="Back to the one before").click()
    assert np.array_equal(studio.labels, before)


def test_numbers_without_colours_are_asked_about(studio: Studio) -> None:
    ids = np.full((32, 32), 3, np.uint8)
    out = io.BytesIO()
    Image.fromarray(ids).save(out, "PNG")
    open_file(studio, "grey.png", out.getvalue())
    dialog = studio.page.locator("#label-set")
    expect(dialog).to_contain_text("no colours that would tell its label set")
    dialog.get_by_label("Label set").select_option(label="cityscapes35 (35)")
    expect(dialog.locator("tbody tr")).to_contain_text("out of roi")
    dialog.get_by_label("Label set").select_option(index=0)
    dialog.get_by_role("button", name="Open").click()
    studio.until("s.studio.document.title === 'grey'")
    assert (studio.labels == 3).all()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_files_are_dropped_and_pasted(studio: Studio, way: str) -> None:
    ids = np.full((40, 60), studio.id_of("sea"), np.uint8)
    image = Image.fromarray(ids)
    image.putpalette(
        [byte for label in studio.read("s.studio.document.labelSet.labels") for byte in label["color"]]
    )
    out = io.BytesIO()
    image.save(out, "PNG")
    studio.page.evaluate(
        "([way, body]) => { const data = new DataTransfer();"
        " const bytes = Uint8Array.from(atob(body), (char) => char.charCodeAt(0));"
        " data.items.add(new File([bytes], 'sea-labels.png', { type: 'image/png' }));"
        " const event = way === 'drop'"
        "   ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })"
        "   : new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });"
        " document.body.dispatchEvent(event); }",
        [way, base64.b64encode(out.getvalue()).decode()],
    )
    studio.until("s.studio.document.title === 'sea'")
    assert np.array_equal(studio.labels, ids)


def test_a_photo_goes_to_the_photo_mode(studio: Studio) -> None:
    studio.read("(() => { s.opened = []; s.studio.openPhoto = async (file) => s.opened.push(file.name); })()")
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    for kind in ("JPEG", "PNG"):
        out = io.BytesIO()
        Image.fromarray(noise).save(out, kind)
        open_file(studio, f"photo.{kind.lower()}", out.getvalue(), f"image/{kind.lower()}")
        studio.until(f"s.opened.includes('photo.{kind.lower()}')")


def test_a_download_says_what_came_and_leads_to_larger_ones(studio: Studio) -> None:
    page = studio.page
    with page.expect_download() as started:
        page.keyboard.press("Control+s")
    notice = page.locator(".notice").filter(has_text=started.value.suggested_filename)
    expect(notice).to_contain_text("256 × 256 pixels")
    notice.get_by_role("button", name="Larger").click()
    expect(page.locator("#export")).to_be_visible()


def test_only_what_is_pressed_beside_a_dialog_closes_it(studio: Studio) -> None:
    page = studio.page
    studio.do("export")
    dialog = page.locator("#export")
    box = dialog.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4)  # its padding
    expect(dialog).to_be_visible()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] - 30, box["y"] + 30)
    page.mouse.up()  # a drag that ends beside it
    expect(dialog).to_be_visible()
    page.mouse.click(box["x"] - 30, box["y"] + 30)
    expect(dialog).to_be_hidden()
