"""Paintings come, go and come back: reload, scenes, files, light, storage that fails."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, House, Studio


def palette_png(ids: np.ndarray, palette: bytes) -> bytes:
    image = Image.fromarray(ids)
    image.putpalette(palette)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def import_file(studio: Studio, name: str, body: bytes) -> None:
    with studio.page.expect_file_chooser() as chosen:
        studio.do("import")
    chosen.value.set_files([{"name": name, "mimeType": "image/png", "buffer": body}])


def download(studio: Studio, action: str, folder: Path) -> Path:
    """What an action downloads; the label map comes out of the export dialog."""
    with studio.page.expect_download() as started:
        if action == "save-map":
            studio.do("export")
            studio.page.locator("#export [data-export=save-map]").click()
        else:
            studio.do(action)
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def test_a_reload_brings_the_painting_back(studio: Studio) -> None:
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.do("dice")
    studio.settle()
    labels, picture, seed = studio.labels, studio.picture, studio.read("s.studio.document.seed")
    expect(studio.page.locator("#saved")).to_have_text("Saved in this browser")
    studio.page.reload()
    studio.settle()
    assert np.array_equal(studio.labels, labels)
    assert studio.read("s.studio.document.seed") == seed
    assert studio.picture == picture
    expect(studio.page.locator("#hint")).to_be_hidden()


def test_a_reload_right_after_a_stroke_keeps_it(studio: Studio) -> None:
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    labels = studio.labels
    studio.page.reload()
    studio.settle()
    assert np.array_equal(studio.labels, labels)


def test_a_page_that_goes_at_once_keeps_the_last_of_several_changes(studio: Studio) -> None:
    """The later change still waits for the earlier one to be written when the page goes."""
    studio.choose("house")
    untouched = studio.labels
    for row in (0.2, 0.4, 0.6):
        studio.drag((0.2, row), (0.7, row))
    with studio.page.expect_navigation():
        studio.page.evaluate(
            "() => { const { studio } = window.scenebrush; for (let i = 0; i < 3; i++) studio.undo();"
            " location.reload(); }"
        )
    studio.settle()
    assert np.array_equal(studio.labels, untouched)


def test_starter_scenes_and_the_way_back(studio: Studio) -> None:
    page = studio.page
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    mine = studio.labels
    page.keyboard.press("n")
    cards = page.locator("#start-scenes .card")
    assert cards.count() >= 7
    page.get_by_role("button", name="Coast").click()
    expect(page.locator("#start")).to_be_hidden()
    studio.settle()
    assert (studio.labels == studio.id_of("sea")).sum() > 5000
    expect(studio.button("undo")).to_be_disabled()
    page.get_by_role("button", name="Back to the one before").click()
    assert np.array_equal(studio.labels, mine)
    expect(studio.button("undo")).to_be_enabled()
    studio.do("new")
    page.get_by_role("button", name="Empty (clear sky)").click()
    assert (studio.labels == studio.id_of("sky")).all()
    studio.settle()
    notice = page.locator(".notice")
    expect(notice).to_contain_text("A clear sky is on the easel.")
    box, photo = notice.bounding_box(), page.locator("#photo").bounding_box()
    assert box is not None
    assert photo is not None
    assert box["y"] >= photo["y"] + photo["height"], "the photo must not be hidden"
    studio.drag((0.2, 0.2), (0.3, 0.3))
    expect(notice).to_have_count(0)


def test_earlier_paintings_can_be_taken_up_again(studio: Studio) -> None:
    page = studio.page
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    mine = studio.labels
    studio.do("new")
    expect(page.locator("#start-kept-part")).to_be_hidden()
    page.get_by_role("button", name="Winter cabin").click()
    studio.do("new")
    kept = page.locator("#start-kept .card")
    expect(kept).to_have_count(1)
    kept.click()
    studio.until("s.studio.document.title !== 'Winter cabin'")
    assert np.array_equal(studio.labels, mine)
    studio.do("new")
    expect(kept).to_have_count(0)


def test_the_dice_change_the_light_and_undo_brings_it_back(studio: Studio) -> None:
    labels, picture, seed = studio.labels, studio.picture, studio.read("s.studio.document.seed")
    expect(studio.page.locator("#seed")).to_have_text(f"seed {seed}")
    studio.page.keyboard.press("l")
    studio.settle()
    assert studio.read("s.studio.document.seed") != seed
    assert studio.picture != picture
    assert np.array_equal(studio.labels, labels)
    studio.page.keyboard.press("Control+z")
    studio.settle()
    assert studio.picture == picture
    expect(studio.page.locator("#seed")).to_have_text(f"seed {seed}")


def test_the_label_map_goes_out_and_comes_back_unchanged(studio: Studio, tmp_path: Path) -> None:
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    labels = studio.labels
    path = download(studio, "save-map", tmp_path)
    assert path.name == "mountain-lake-labels.png"
    with Image.open(path) as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), labels)
        palette = image.getpalette()
        assert palette is not None
        for label in studio.read("s.studio.document.labelSet.labels"):
            assert palette[label["id"] * 3 : label["id"] * 3 + 3] == label["color"]
        again = palette_png(np.asarray(image), bytes(palette))
    studio.do("new")
    studio.page.get_by_role("button", name="Empty (clear sky)").click()
    import_file(studio, "mine-labels.png", again)
    studio.until("s.studio.document.title === 'mine'")
    assert np.array_equal(studio.labels, labels)
    studio.settle()


def test_a_map_in_colours_and_of_another_shape(studio: Studio) -> None:
    ids = np.where(np.arange(96)[None, :] < 40, studio.id_of("sea"), studio.id_of("sky"))
    ids = np.broadcast_to(ids, (48, 96)).astype(np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    for label in studio.read("s.studio.document.labelSet.labels"):
        colours[label["id"]] = label["color"]
    out = io.BytesIO()
    Image.fromarray(colours[ids]).save(out, "PNG")
    import_file(studio, "wide.png", out.getvalue())
    studio.until("s.studio.document.title === 'wide'")
    assert np.array_equal(studio.labels, ids)
    studio.settle()
    assert studio.read("[s.frame.width, s.frame.height]") == [96, 48]
    box = studio.page.locator("#labels").bounding_box()
    assert box is not None
    assert abs(box["width"] / box["height"] - 2) < 0.02
    studio.choose("house")
    studio.drag((0.9, 0.5), (0.95, 0.9))
    assert studio.labels[int(0.9 * 48), int(0.95 * 96)] == studio.id_of("house")


def test_a_bad_map_is_refused_with_what_why_and_next(studio: Studio) -> None:
    before = studio.labels
    pixels = np.full((20, 20, 3), studio.read("s.studio.document.labelSet.labels[1].color"), np.uint8)
    pixels[3, 4:9] = (1, 2, 3)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    import_file(studio, "bad.png", out.getvalue())
    alert = studio.page.get_by_role("alert")
    expect(alert).to_contain_text("The picture has the colour #010203, which stands for no label.")
    expect(alert).to_contain_text("5 pixels have it; the nearest label is")
    expect(alert).to_contain_text("open it again")
    assert np.array_equal(studio.labels, before)


def test_the_photo_is_downloaded_without_loss(studio: Studio, tmp_path: Path) -> None:
    path = download(studio, "save-photo", tmp_path)
    assert path.name == "mountain-lake.png"
    with Image.open(path) as exact, Image.open(io.BytesIO(studio.picture)) as live:
        assert exact.format == "PNG"
        assert exact.size == live.size == (256, 256)
        difference = np.asarray(exact.convert("RGB")).astype(int) - np.asarray(live.convert("RGB"))
    assert np.abs(difference).mean() < 6, "the photo must be the one that is shown"


def test_a_model_with_other_labels_paints_what_it_can_and_changes_nothing(
    studio: Studio, tmp_path: Path
) -> None:
    labels, picture = studio.labels, studio.picture
    page = studio.page
    page.get_by_label("Model").select_option("city")
    studio.settle()
    assert studio.picture != picture
    assert np.array_equal(studio.labels, labels)
    expect(page.get_by_role("radio", name="mountain", exact=True)).to_be_visible()
    house = page.get_by_role("radio", name="house", exact=True)
    expect(house).to_have_text("house→ building")
    expect(page.get_by_role("radio", name="tree", exact=True)).to_have_text("tree")
    house.hover()
    expect(page.locator("#tooltip")).to_have_text("houseCity does not know it and paints building instead.")
    sea = page.get_by_role("radio", name="sea", exact=True)
    expect(sea).to_have_attribute("aria-description", "City knows nothing like it and leaves it unlabeled.")
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.settle()
    with Image.open(download(studio, "save-photo", tmp_path)) as photo:
        assert photo.size == (256, 256)
    page.keyboard.press("n")
    page.get_by_role("button", name="Coast").click()
    studio.settle()
    expect(page.get_by_role("radio", name="vegetation", exact=True)).to_be_visible()
    expect(page.locator(".stand-in")).to_have_count(0)
    page.reload()
    studio.settle()
    expect(page.get_by_label("Model")).to_have_value("city")


def test_storage_that_is_thrown_away_meanwhile_is_opened_anew(studio: Studio) -> None:
    page = studio.page
    devtools = page.context.new_cdp_session(page)
    devtools.send("Storage.clearDataForOrigin", {"origin": studio.url, "storageTypes": "indexeddb"})
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved")
    studio.drag((0.2, 0.6), (0.7, 0.7))
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved")
    expect(page.get_by_role("alert")).to_have_count(0)
    labels = studio.labels
    page.reload()
    studio.settle()
    assert np.array_equal(studio.labels, labels)


def test_a_write_that_fails_is_not_half_done(studio: Studio) -> None:
    """Its head without its parts would be a painting that is not what it says."""
    page = studio.page
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved")
    studio.read(
        "(() => { const { put } = IDBObjectStore.prototype;"
        " IDBObjectStore.prototype.put = function (...given) {"
        " if (this.name === 'parts') throw new DOMException('too large', 'DataCloneError');"
        " return put.apply(this, given); }; })()"
    )
    studio.read("s.studio.document.addLayer('upper', 'Trees')")
    expect(page.get_by_role("alert")).to_contain_text("too large")
    assert page.evaluate(
        """() => new Promise((resolve) => {
            const open = indexedDB.open("scenebrush");
            open.onsuccess = () => {
                const heads = open.result.transaction("paintings").objectStore("paintings").getAll();
                heads.onsuccess = () => resolve(heads.result.map(({ layers }) => layers.length));
            };
        })"""
    ) == [1]


def test_storage_says_why_it_did_not_write(studio: Studio) -> None:
    studio.read(
        "(() => { IDBObjectStore.prototype.put = function (value, key) {"
        " this.add(value, key); return this.add(value, key); }; })()"
    )
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    expect(studio.page.get_by_role("alert")).to_contain_text("already exists")


def test_a_photo_outlives_the_file_it_came_from(studio: Studio, tmp_path: Path) -> None:
    page = studio.page
    photo = tmp_path / "beach.jpg"
    photo.write_bytes((ROOT / "examples" / "data" / "images" / "100005.jpg").read_bytes())
    with page.expect_file_chooser() as chosen:
        studio.do("import")
    chosen.value.set_files(photo)
    studio.until("s.studio.document.source")
    photo.unlink()
    studio.choose("snow")
    studio.drag((0.3, 0.8), (0.6, 0.8))
    expect(page.locator("#saved")).to_have_attribute("data-state", "saved")
    with page.expect_download() as started:
        page.keyboard.press("Control+Alt+s")
    assert Path(started.value.path()).stat().st_size > 10_000
    page.reload()
    studio.until("s && s.studio.document && s.studio.document.source")


def test_a_browser_that_keeps_nothing_says_so(page: Page, house: House, complaints: list[str]) -> None:
    page.add_init_script(
        "indexedDB.open = () => { throw new DOMException('storage is switched off', 'SecurityError') }"
    )
    studio = Studio(page, house.url).open()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This browser does not keep your painting.")
    expect(alert).to_contain_text("storage is switched off")
    expect(page.locator("#saved")).to_have_text("Not saved")
    with page.expect_download() as started:
        alert.get_by_role("button", name="Save the project").click()
    assert started.value.suggested_filename == "mountain-lake.scenebrush"
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.settle()
    expect(alert).to_have_count(0)


def test_without_the_server_no_painting_goes_out_under_anothers_name(
    page: Page, house: House, complaints: list[str]
) -> None:
    studio = Studio(page, house.url).open()
    house.stop()
    try:
        expect(page.locator("#link")).to_have_attribute("data-phase", "waiting")
        with page.expect_download() as started:
            page.keyboard.press("Control+s")
        assert started.value.suggested_filename.startswith("mountain-lake.")
        downloads = list[object]()
        page.on("download", lambda download: downloads.append(download.url))
        studio.read("s.studio.startBlank()")
        page.keyboard.press("Control+s")
        expect(page.locator(".notice.error")).to_have_count(1)
        assert downloads == [], "the lake is no clear sky"
    finally:
        house.start()
    studio.settle()
    complaints[:] = [text for text in complaints if "ERR_" not in text]
