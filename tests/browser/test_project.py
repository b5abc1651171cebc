"""Projects: saved and opened again, here and elsewhere; the gallery; two tabs; old storage."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ROOT, House, Studio

PHOTO = ROOT / "examples" / "data" / "images" / "100005.jpg"  # sand under a sky
PROJECT = "application/x-scenebrush+zip"


@pytest.fixture
def elsewhere(browser: Browser, house: House) -> Iterator[Studio]:
    """The same server in a profile that has never been there."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield Studio(context.new_page(), house.url).open()
    context.close()


def save_project(studio: Studio, folder: Path) -> Path:
    with studio.page.expect_download() as started:
        studio.page.keyboard.press("Control+Alt+s")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def open_file(studio: Studio, name: str, body: bytes, mime: str = PROJECT) -> None:
    with studio.page.expect_file_chooser() as chosen:
        studio.do("import")
    chosen.value.set_files([{"name": name, "mimeType": mime, "buffer": body}])


def saved(studio: Studio) -> None:
    expect(studio.page.locator("#saved")).to_have_attribute("data-state", "saved")


def paint_something(studio: Studio) -> None:
    """Two layers, a light by name, and a light of its own for a part."""
    page = studio.page
    page.get_by_label("Model").select_option("lights")
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.read("s.studio.document.addLayer('upper', 'Trees')")
    studio.choose("tree")
    studio.drag((0.3, 0.8), (0.8, 0.7))
    studio.read(
        "(s.studio.document.setLight({ style: 'sunset' }),"
        " s.studio.document.setRegions([{ title: 'Dusk', style: 'dusk',"
        "   code: s.studio.model.styles.find(({ id }) => id === 'dusk').code }]),"
        " (() => { const g = s.studio.document.begin(1, 'styles');"
        "   for (let y = 0; y < 120; y++) g.span(y, 20, 130); g.commit(); })())"
    )
    studio.settle()


def everything(studio: Studio) -> object:
    """All that a painting is, beside its ids."""
    return studio.read(
        "(({ title, seed, style, code, regions, layers, styles }) => ({ title, seed, style, code, regions,"
        " layers: layers.map(({ name, visible, locked, map }) => [name, visible, locked, map.data.join()]),"
        " styles: styles.data.join() }))(s.studio.document)"
    )


def test_a_project_opens_in_a_fresh_profile_to_the_same_picture_to_the_byte(
    studio: Studio, elsewhere: Studio, tmp_path: Path
) -> None:
    paint_something(studio)
    picture = studio.picture
    path = save_project(studio, tmp_path)
    assert path.name == "mountain-lake.scenebrush"
    open_file(elsewhere, path.name, path.read_bytes())
    elsewhere.until("s.studio.document.layers.length === 2")
    elsewhere.settle()
    assert everything(elsewhere) == everything(studio)
    assert elsewhere.read("s.studio.state.model") == "lights"
    assert elsewhere.picture == picture
    expect(elsewhere.page.locator(".notice.error")).to_have_count(0)
    elsewhere.page.get_by_role("button", name="Back to the one before").click()
    assert elsewhere.read("s.studio.document.layers.length") == 1


def test_a_project_holds_what_it_says(studio: Studio, tmp_path: Path) -> None:
    paint_something(studio)
    with zipfile.ZipFile(save_project(studio, tmp_path)) as file:
        assert file.testzip() is None
        project = json.loads(file.read("project.json"))
        assert set(file.namelist()) == {
            "project.json",
            "layers/0.png",
            "layers/1.png",
            "styles.png",
            "photo.png",
            "thumbnail.png",
        }
        with Image.open(io.BytesIO(file.read("layers/1.png"))) as layer:
            assert layer.mode == "P"
            assert layer.size == (256, 256)
            assert set(np.unique(np.asarray(layer))) == {studio.id_of("tree"), 255}
        with Image.open(io.BytesIO(file.read("photo.png"))) as photo:
            assert photo.format == "PNG"
            assert photo.size == (256, 256)
    assert project["format"] == "scenebrush-project"
    assert project["model"] == {"id": "lights", "name": "Lights"}
    assert [layer["name"] for layer in project["layers"]] == ["", "Trees"]
    assert project["light"]["style"] == "sunset"
    assert project["label_set"]["hash"] == studio.read("s.studio.model.label_set.hash")


def under(studio: Studio) -> object:
    """The photo under a painting, what was seen in it, and where it is painted anew."""
    return studio.page.evaluate(
        """async () => {
            const { source, edits } = window.scenebrush.studio.document;
            const bytes = new Uint8Array(await source.blob.arrayBuffer());
            const { type } = source.blob;
            const { width, height, map } = source;
            return [bytes.join(), type, width, height, map.data.join(), edits.data.join()];
        }"""
    )


def photo_of(studio: Studio) -> np.ndarray:
    with studio.page.expect_download() as download:
        studio.page.keyboard.press("Control+s")
    return np.asarray(Image.open(download.value.path()))


def test_an_edited_photo_opens_in_a_fresh_profile_with_all_that_lies_under_it(
    studio: Studio, elsewhere: Studio, tmp_path: Path
) -> None:
    open_file(studio, PHOTO.name, PHOTO.read_bytes(), "image/jpeg")
    studio.until("s.studio.document.source")
    studio.choose("snow")
    studio.drag((0.3, 0.8), (0.6, 0.8))
    studio.read(
        "(() => { const g = s.studio.document.begin(1, 'edits');"
        " for (let y = 10; y < 60; y++) g.span(y, 20, 130); g.commit(); })()"
    )
    studio.settle()
    exported = photo_of(studio)
    path = save_project(studio, tmp_path)
    with zipfile.ZipFile(path) as file:
        assert file.read("source.jpg") == PHOTO.read_bytes()
        with Image.open(io.BytesIO(file.read("photo.png"))) as photo:
            assert np.array_equal(np.asarray(photo), exported)
    open_file(elsewhere, path.name, path.read_bytes())
    elsewhere.until("s.studio.document.source")
    elsewhere.settle()
    for _ in range(2):
        assert everything(elsewhere) == everything(studio)
        assert under(elsewhere) == under(studio)
        assert np.array_equal(photo_of(elsewhere), exported)
        saved(elsewhere)
        elsewhere.page.reload()
        elsewhere.settle()


def test_a_project_never_shows_what_was_painted_over_a_photo_as_the_photo(
    studio: Studio, tmp_path: Path
) -> None:
    open_file(studio, PHOTO.name, PHOTO.read_bytes(), "image/jpeg")
    studio.until("s.studio.document.source")
    studio.settle()
    with zipfile.ZipFile(save_project(studio, tmp_path)) as file:
        assert "photo.png" not in file.namelist(), "nothing is changed yet, and the photo itself is in it"
        assert file.read("source.jpg") == PHOTO.read_bytes()


def test_elsewhere_a_project_shows_its_own_picture_and_says_what_differs(
    studio: Studio, tmp_path: Path
) -> None:
    page = studio.page
    paint_something(studio)
    path = save_project(studio, tmp_path)
    other = tmp_path / "other.scenebrush"
    marked = Image.new("RGB", (256, 256), (250, 10, 200))
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            if name == "project.json":
                project = json.loads(body) | {"model": {"id": "far", "name": "Faraway"}, "title": "From afar"}
                body = json.dumps(project).encode()
            if name == "photo.png":
                out = io.BytesIO()
                marked.save(out, "PNG")
                body = out.getvalue()
            new.writestr(name, body)
    open_file(studio, other.name, other.read_bytes())
    expect(page.locator(".notice").filter(has_text="From afar")).not_to_have_count(0)
    notice = page.locator(".notice").filter(has_text="paints From afar differently")
    expect(notice).to_contain_text(
        "It was painted by the model Faraway, which is not here; Lights paints it."
    )
    expect(notice).to_contain_text("You see the picture as it was saved, until you paint.")
    studio.settle()

    def shows_it() -> bool:
        with Image.open(io.BytesIO(page.locator("#photo").screenshot())) as shot:
            middle = shot.convert("RGB").getpixel((shot.width // 2, shot.height // 2))
        return middle == (250, 10, 200)

    assert shows_it()
    studio.choose("house")
    studio.drag((0.1, 0.9), (0.2, 0.9))
    studio.settle()
    assert not shows_it()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"PK\x03\x04" + bytes(40), "This file is not a Scenebrush project."),
        (b"hello", "This file cannot be opened."),
    ],
    ids=["zip", "text"],
)
def test_what_is_no_project_is_refused_and_changes_nothing(studio: Studio, body: bytes, said: str) -> None:
    before = everything(studio)
    open_file(studio, "bad.scenebrush", body)
    expect(studio.page.get_by_role("alert")).to_contain_text(said)
    assert everything(studio) == before


def test_layers_go_to_openraster_and_come_back(studio: Studio, tmp_path: Path) -> None:
    page = studio.page
    paint_something(studio)
    before = everything(studio)
    studio.do("export")
    with page.expect_download() as started:
        page.locator("#export [data-export=layers]").click()
    path = tmp_path / started.value.suggested_filename
    started.value.save_as(path)
    assert path.suffix == ".ora"
    with zipfile.ZipFile(path) as file:
        first = file.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert file.read("mimetype") == b"image/openraster"
        with Image.open(io.BytesIO(file.read("mergedimage.png"))) as merged:
            assert merged.mode == "RGBA"
            tree = studio.read("s.studio.document.labelSet.labels.find(({ name }) => name === 'tree').color")
            assert merged.getpixel((140, 192)) == (*tree, 255)
        with Image.open(io.BytesIO(file.read("data/layer1.png"))) as upper:
            assert upper.getpixel((5, 5)) == (0, 0, 0, 0)
    studio.do("new")
    page.get_by_role("button", name="Empty (clear sky)").click()
    open_file(studio, "mine.ora", path.read_bytes(), "image/openraster")
    studio.until("s.studio.document.title === 'mine'")
    after = everything(studio)
    assert [layer[3] for layer in after["layers"]] == [layer[3] for layer in before["layers"]]
    assert after["layers"][1][0] == "Trees"


def test_layers_and_lights_survive_a_reload(studio: Studio) -> None:
    paint_something(studio)
    before, picture = everything(studio), studio.picture
    saved(studio)
    studio.page.reload()
    studio.settle()
    assert everything(studio) == before
    assert studio.picture == picture
    # An undo right before the page goes is kept too, although another change is still being written.
    with studio.page.expect_navigation():
        studio.page.evaluate(
            "() => { const { document } = window.scenebrush.studio; document.addLayer('third', 'Third');"
            " document.removeLayer('upper'); location.reload(); }"
        )
    studio.settle()
    assert studio.read("s.studio.document.layers.map(({ name }) => name)") == ["", "Third"]


def test_only_what_changed_is_written(studio: Studio) -> None:
    paint_something(studio)
    saved(studio)
    studio.read(
        "(() => { s.puts = []; const put = IDBObjectStore.prototype.put;"
        " IDBObjectStore.prototype.put = function (value, ...key) {"
        "   if (key.length) s.puts.push(key[0][1]); return put.call(this, value, ...key); }; })()"
    )
    studio.choose("house")
    studio.drag((0.5, 0.5), (0.6, 0.5))
    studio.until("s.puts.includes('layer upper')")
    studio.until("s.puts.includes('thumbnail')")
    assert set(studio.read("s.puts")) == {"layer upper", "thumbnail"}


def test_paintings_of_the_first_edition_are_read_on(page: Page, house: House, complaints: list[str]) -> None:
    page.goto(f"{house.url}/healthz")
    models = page.request.get(f"{house.url}/models").json()["models"]
    labels = next(model["label_set"] for model in models if model["default"])
    page.evaluate(
        "(labelSet) => new Promise((done) => { const asked = indexedDB.open('scenebrush', 1);"
        " asked.onupgradeneeded = () =>"
        "   asked.result.createObjectStore('paintings', { keyPath: 'id' }).createIndex('updated', 'updated');"
        " asked.onsuccess = () => { const write = asked.result.transaction('paintings', 'readwrite');"
        "   write.objectStore('paintings').put({ id: 'old', updated: 5, title: 'Old one', width: 64,"
        "     height: 32, labels: new Uint8Array(2048).fill(3), labelSet, seed: 99, model: 'tiny',"
        "     touched: true });"
        "   write.oncomplete = () => { asked.result.close(); done(); }; }; })",
        labels,
    )
    studio = Studio(page, house.url).open()
    assert studio.read("[s.studio.document.title, s.studio.document.seed]") == ["Old one", 99]
    assert (studio.labels == np.full((32, 64), 3)).all()
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    mine = studio.labels
    saved(studio)
    page.reload()
    studio.settle()
    assert np.array_equal(studio.labels, mine)


def open_gallery(studio: Studio) -> None:
    studio.do("gallery")
    expect(studio.page.locator("#gallery")).to_be_visible()


def test_the_gallery_opens_renames_duplicates_and_deletes(studio: Studio, tmp_path: Path) -> None:
    page = studio.page
    pieces = page.locator("#gallery .piece")
    open_gallery(studio)
    expect(page.locator("#gallery")).to_contain_text("Nothing yet")
    page.keyboard.press("Escape")
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    mine = studio.labels
    studio.settle()
    studio.do("new")
    page.get_by_role("button", name="Coast").click()
    studio.drag((0.2, 0.2), (0.7, 0.4))
    studio.settle()
    page.wait_for_timeout(1200)  # until the small picture is made
    open_gallery(studio)
    expect(pieces).to_have_count(2)
    expect(pieces.nth(0)).to_contain_text("Coast")
    expect(pieces.nth(0)).to_contain_text("256 × 256")
    expect(pieces.nth(0).locator("img")).to_be_visible()
    lake = pieces.nth(1)
    lake.locator("[data-do=rename]").click()
    page.keyboard.type("Quiet lake")
    page.keyboard.press("Enter")
    expect(pieces.nth(1)).to_contain_text("Quiet lake")
    pieces.nth(1).locator("[data-do=duplicate]").click()
    expect(pieces).to_have_count(3)
    expect(pieces.nth(0)).to_contain_text("Quiet lake (copy)")
    pieces.nth(2).locator("[data-do=delete]").click()
    expect(pieces).to_have_count(2)
    with page.expect_download() as started:
        pieces.nth(0).locator("[data-do=save-project]").click()
    assert started.value.suggested_filename == "quiet-lake-copy.scenebrush"
    pieces.nth(0).locator(".card").click()
    expect(page.locator("#gallery")).to_be_hidden()
    assert np.array_equal(studio.labels, mine)
    assert studio.read("s.studio.document.title") == "Quiet lake (copy)"


def test_what_was_deleted_can_be_brought_back(studio: Studio) -> None:
    page = studio.page
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    mine = studio.labels
    saved(studio)
    open_gallery(studio)
    page.locator("#gallery [data-do=delete]").click()
    expect(page.locator("#gallery .piece")).to_have_count(0)
    page.keyboard.press("Escape")
    assert (studio.labels == studio.id_of("sky")).all(), "the one on the easel gives way"
    page.get_by_role("button", name="Undo", exact=True).last.click()
    studio.until("s.studio.document.title === 'Mountain lake'")
    assert np.array_equal(studio.labels, mine)
    page.reload()
    studio.settle()
    assert np.array_equal(studio.labels, mine)


def second_tab(studio: Studio) -> Studio:
    return Studio(studio.page.context.new_page(), studio.url).open()


@pytest.mark.parametrize("locks", [True, False])
def test_two_tabs_never_write_over_each_other(studio: Studio, locks: bool) -> None:
    """Without Web Locks, as over plain http, they ask each other."""
    if not locks:
        studio.page.context.add_init_script(
            "Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined })"
        )
        studio.page.reload()
        studio.settle()
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    saved(studio)
    first, identity = studio.labels, studio.read("s.studio.document.id")
    other = second_tab(studio)
    assert np.array_equal(other.labels, first)
    notice = other.page.locator(".notice").filter(has_text="is open in another tab")
    expect(notice).to_contain_text("“Mountain lake” is open in another tab.")
    assert other.read("s.studio.document.id") != identity
    other.choose("sea")
    other.drag((0.2, 0.8), (0.7, 0.8))
    saved(other)
    studio.drag((0.5, 0.6), (0.6, 0.6))
    saved(studio)
    third = second_tab(studio)
    third.do("gallery")
    titles = third.page.locator("#gallery .card-title")
    expect(titles).to_have_count(2)
    assert set(titles.all_inner_texts()) == {"Mountain lake", "Mountain lake (copy)"}
    third.page.close()
    # The original, taken over: what the first tab goes on with is a copy.
    notice.get_by_role("button", name="Take over").click()
    other.until(f"s.studio.document.id === '{identity}'")
    assert np.array_equal(other.labels, studio.labels)
    expect(studio.page.locator(".notice").filter(has_text="has taken over")).to_be_visible()
    assert studio.read("s.studio.document.id") != identity
    other.drag((0.1, 0.1), (0.2, 0.1))
    studio.drag((0.1, 0.9), (0.2, 0.9))
    saved(other)
    saved(studio)
    kept = other.read("s.studio.document.id"), studio.read("s.studio.document.id")
    assert kept[0] == identity
    assert kept[1] != identity
    other.page.close()


def test_what_another_tab_has_written_is_never_written_over(studio: Studio) -> None:
    """Tabs that hear nothing of each other: no locks, no channel. Both paintings are kept."""
    context = studio.page.context
    context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined });"
        " delete window.BroadcastChannel"
    )
    studio.page.reload()
    studio.settle()
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    saved(studio)
    other = second_tab(studio)
    other.choose("sea")
    other.drag((0.2, 0.8), (0.7, 0.8))
    saved(other)
    studio.drag((0.5, 0.6), (0.6, 0.6))
    notice = studio.page.locator(".notice").filter(has_text="Another tab has painted on the same piece.")
    expect(notice).to_contain_text("both are kept, this one as “Mountain lake (copy)”")
    saved(studio)
    maps = [other.labels, studio.labels]
    for tab, labels in zip((other, studio), maps, strict=True):
        identity = tab.read("s.studio.document.id")
        third = second_tab(studio)
        assert third.read(f"s.studio.ports.gallery().open('{identity}')")
        third.until(f"s.studio.document.id === '{identity}'")
        assert np.array_equal(third.labels, labels)
        third.page.close()


def test_a_page_that_goes_finds_what_another_tab_has_written(studio: Studio) -> None:
    """There is no time to look before it goes: what it leaves is found by the next, and kept as a copy."""
    studio.page.context.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined });"
        " delete window.BroadcastChannel"
    )
    studio.page.reload()
    studio.settle()
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    saved(studio)
    other = second_tab(studio)
    saved(other)
    studio.choose("sea")
    studio.drag((0.5, 0.6), (0.6, 0.6))
    saved(studio)
    with studio.page.expect_navigation():
        studio.page.evaluate(
            "() => { window.scenebrush.studio.document.setSeed(4711); window.location.reload(); }"
        )
    studio.settle()
    assert studio.read("[s.studio.document.title, s.studio.document.seed]") == ["Mountain lake", 4711]
    with other.page.expect_navigation():
        other.page.evaluate(
            "() => { window.scenebrush.studio.document.setSeed(815); window.location.reload(); }"
        )
    other.settle()
    assert other.read("[s.studio.document.title, s.studio.document.seed]") == ["Mountain lake (copy)", 815]
    other.do("gallery")
    expect(other.page.locator("#gallery .piece")).to_have_count(2)


def test_a_full_storage_is_said_and_a_project_offered(studio: Studio) -> None:
    page = studio.page
    studio.read(
        "(() => { IDBObjectStore.prototype.put = function () {"
        " throw new DOMException('no room', 'QuotaExceededError'); }; })()"
    )
    studio.choose("house")
    studio.drag((0.2, 0.2), (0.7, 0.4))
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This browser does not keep your painting.")
    expect(alert).to_contain_text("Its storage is full.")
    with page.expect_download() as started:
        alert.get_by_role("button", name="Save the project").click()
    assert started.value.suggested_filename == "mountain-lake.scenebrush"
