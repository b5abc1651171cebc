"""The light panel: lights for parts of the picture, mixes, the seed and its lock, a photo's light, and
kept lights."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE, House, Studio
from tests.tiny import STYLE_DIM


@pytest.fixture
def lights(studio: Studio) -> Studio:
    """The studio on the model that has named styles, the light panel open, in the seed's own light."""
    studio.page.get_by_label("Model").select_option("lights")
    studio.settle()
    preset(studio.page, "Noon").click()
    studio.do("panel-light")
    return studio.settle()


def preset(page: Page, name: str) -> Locator:
    return page.get_by_role("toolbar", name="Lights by name").get_by_role("button", name=name, exact=True)


def panel(page: Page) -> Locator:
    return page.locator("#light")


def region(page: Page, number: int) -> Locator:
    return page.locator(f"#light [data-region='{number}'] .region")


def regions(studio: Studio) -> list[tuple[str, str | None]]:
    return [tuple(one) for one in studio.read("s.studio.document.regions.map((r) => [r.title, r.style])")]


def styles(studio: Studio) -> np.ndarray:
    """The plane of styles, (H, W) uint8."""
    width, height, data = studio.read(
        "[s.studio.document.map.width, s.studio.document.map.height, [...s.studio.document.styles.data]]"
    )
    return np.array(data, np.uint8).reshape(height, width)


def until_count(locator: Locator, count: int) -> None:
    expect(locator).to_have_count(count, timeout=PATIENCE * 1000)


def start_painting(studio: Studio) -> None:
    panel(studio.page).get_by_role("button", name="Paint with a light").click()


def test_the_seeds_own_light_is_called_so(lights: Studio) -> None:
    page = lights.page
    title = page.locator(".light-title")
    expect(title).to_have_text("The seed’s own light")
    assert title.evaluate("(title) => title.scrollWidth <= title.clientWidth"), "it is not cut off"
    lights.do("like-light")
    # Among others it goes by its number.
    seed = lights.read("s.studio.document.seed")
    expect(page.locator(".kept-light")).to_have_attribute("data-tip", f"Light {seed}")
    preset(page, "Sunset").click()
    expect(title).to_have_text("Sunset")
    hint = panel(page).get_by_text("To light the sky alone")
    expect(hint).to_be_hidden()
    start_painting(lights)
    expect(hint).to_be_visible()
    page.keyboard.press("Control+a")
    expect(hint).to_be_hidden()  # it is kept to what is selected already


def test_the_sunset_goes_where_it_is_painted(lights: Studio) -> None:
    page, labels, before = lights.page, lights.labels, lights.picture
    start_painting(lights)
    expect(panel(page).get_by_text("Choose the light to paint with")).to_be_visible()
    preset(page, "Sunset").click()
    assert lights.read("[s.studio.state.plane, s.studio.state.region]") == ["styles", 1]
    assert regions(lights) == [("Sunset", "sunset")]
    assert lights.settle().picture == before, "it falls nowhere yet"
    lights.drag((0.1, 0.2), (0.4, 0.2))
    one = lights.settle().picture
    plane = styles(lights)
    assert plane[51, 64] == 1
    assert plane[51, 200] == 0
    assert one != before
    assert np.array_equal(lights.labels, labels), "no label has changed"
    # The same light again is the same region; another one is another.
    preset(page, "Winter light").click()
    lights.drag((0.1, 0.8), (0.9, 0.8))
    two = lights.settle().picture
    assert two != one
    preset(page, "Sunset").click()
    assert regions(lights) == [("Sunset", "sunset"), ("Winter light", "winter-light")]
    assert set(np.unique(styles(lights))) == {0, 1, 2}
    # The picture's own light takes it away again.
    region(page, 0).click()
    lights.drag((0.05, 0.2), (0.45, 0.2))
    lights.drag((0.05, 0.8), (0.95, 0.8))
    assert (styles(lights) > 0).mean() < 0.01
    for _ in range(2):
        page.keyboard.press("Control+z")
    assert lights.settle().picture == two


def test_the_painted_lights_are_those_of_the_downloaded_photo(lights: Studio) -> None:
    start_painting(lights)
    preset(lights.page, "Sunset").click()
    lights.drag((0.1, 0.3), (0.9, 0.3))
    lights.settle()
    with lights.page.expect_download() as started:
        lights.do("save-photo")
    files = {"mask": png(lights.labels), "style_map": png(styles(lights))}
    data = {"model": "lights", "seed": str(lights.read("s.studio.document.seed")), "format": "png"}
    data["styles"] = json.dumps(["sunset"])
    answer = httpx.post(f"{lights.url}/generate", files=files, data=data, timeout=30)
    assert answer.is_success, answer.text
    with Image.open(started.value.path()) as photo, Image.open(io.BytesIO(answer.content)) as named:
        assert np.array_equal(np.asarray(photo), np.asarray(named))


def png(rows: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rows).save(out, "PNG")
    return out.getvalue()


def test_removing_a_light_gives_its_part_back_in_one_step(lights: Studio) -> None:
    page, before = lights.page, lights.picture
    start_painting(lights)
    for name, y in (("Sunset", 0.2), ("Dusk", 0.5), ("Haze", 0.8)):
        preset(page, name).click()
        lights.drag((0.1, y), (0.9, y))
    painted, plane = lights.settle().picture, styles(lights)
    page.get_by_role("button", name="Remove Dusk from the picture").click()
    assert [title for title, _ in regions(lights)] == ["Sunset", "Haze"]
    left = styles(lights)
    assert np.array_equal(left == 1, plane == 1)
    assert np.array_equal(left == 2, plane == 3)
    assert lights.settle().picture not in (before, painted)
    page.keyboard.press("Control+z")
    assert np.array_equal(styles(lights), plane)
    assert lights.settle().picture == painted
    region(page, 2).focus()
    page.keyboard.press("Delete")
    assert [title for title, _ in regions(lights)] == ["Sunset", "Haze"]


def test_lights_lie_over_the_map_while_they_are_painted(lights: Studio) -> None:
    page = lights.page
    overlay = page.locator("#lights")
    expect(overlay).to_be_hidden()
    start_painting(lights)
    preset(page, "Sunset").click()
    lights.drag((0.1, 0.3), (0.9, 0.3))
    expect(overlay).to_be_visible()
    assert overlay.bounding_box() == page.locator("#labels").bounding_box()
    plain = page.locator("#map-frame").screenshot()
    region(page, 1).dblclick()
    name = panel(page).get_by_role("textbox", name="Sunset")
    name.fill("Evening by the lake")
    name.press("Enter")
    assert regions(lights) == [("Evening by the lake", "sunset")]
    expect(region(page, 1)).to_contain_text("Evening by the lake")
    share = (styles(lights) == 1).mean()
    expect(region(page, 1)).to_contain_text(f"{round(100 * share)} %")
    # Three ways back to labels.
    page.keyboard.press("Escape")
    expect(overlay).to_be_hidden()
    assert page.locator("#map-frame").screenshot() != plain
    start_painting(lights)
    expect(overlay).to_be_visible()
    lights.choose("snow")
    expect(overlay).to_be_hidden()
    start_painting(lights)
    page.keyboard.press("Shift+L")
    expect(overlay).to_be_hidden()
    before = styles(lights)
    lights.drag((0.1, 0.6), (0.3, 0.6))
    assert lights.labels[153, 50] == lights.id_of("snow")
    assert np.array_equal(styles(lights), before)


def test_an_undone_light_is_painted_with_no_more(lights: Studio) -> None:
    page = lights.page
    start_painting(lights)
    preset(page, "Sunset").click()
    page.keyboard.press("Control+z")
    assert regions(lights) == []
    assert lights.read("s.studio.state.region") == 0
    lights.drag((0.1, 0.3), (0.9, 0.3))
    assert (styles(lights) == 0).all()
    lights.settle()


def test_a_model_that_has_one_light_for_all_says_so(lights: Studio) -> None:
    page = lights.page
    start_painting(lights)
    preset(page, "Sunset").click()
    lights.drag((0.1, 0.3), (0.9, 0.3))
    painted = lights.settle().picture
    page.get_by_label("Model").select_option("coco")
    lights.settle()
    assert lights.read("s.studio.state.plane") == "labels"
    expect(panel(page).get_by_text("Tiny COCO paints everything in one light.")).to_be_visible()
    for name in ("Paint with a light", "Take the light of a photo"):
        expect(panel(page).get_by_role("button", name=name)).to_be_hidden()
    page.get_by_label("Model").select_option("lights")
    assert lights.settle().picture == painted, "the painting still has it"


def test_the_mix_follows_the_slider_and_is_one_step(lights: Studio) -> None:
    page = lights.page
    preset(page, "Noon").click()
    noon = lights.settle().picture
    slider = page.get_by_role("slider", name="Mix")
    page.get_by_label("To", exact=True).select_option(label="Dusk")
    box = slider.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, y)
    page.mouse.down()
    seen: list[bytes] = []
    steps = lights.read("s.studio.document.history.done.length")
    for part in (0.3, 0.6, 0.9):
        page.mouse.move(box["x"] + part * box["width"], y, steps=4)
        lights.until("s.studio.document.code !== null")
        seen.append(lights.settle().picture)
    assert len({noon, *seen}) == 4, "the photo follows while the slider moves"
    assert lights.read("s.studio.document.history.done.length") == steps, "and nothing is kept meanwhile"
    page.mouse.up()
    lights.until(f"s.studio.document.history.done.length === {steps + 1}")
    part = int(slider.input_value()) / 100
    named = {one["id"]: np.array(one["code"]) for one in lights.read("s.studio.model.styles")}
    code = np.array(lights.read("[...s.studio.document.code]"))
    assert np.allclose(code, (1 - part) * named["noon"] + part * named["dusk"])
    assert 0.8 < part < 1
    page.locator("#labels").click(trial=True)
    page.keyboard.press("Control+z")
    assert lights.settle().picture == noon
    assert slider.input_value() == "0", "the slider goes back with it"


def test_a_part_may_have_a_mix(lights: Studio) -> None:
    page = lights.page
    start_painting(lights)
    page.get_by_label("From", exact=True).select_option(label="Sunset")
    page.get_by_label("To", exact=True).select_option(label="Haze")
    slider = page.get_by_role("slider", name="Mix")
    slider.focus()
    slider.press("PageUp")
    lights.until("s.studio.document.regions.length === 1 && !s.studio.document.tried")
    assert lights.read("[s.studio.state.plane, s.studio.state.region]") == ["styles", 1]
    lights.drag((0.1, 0.3), (0.9, 0.3))
    before = lights.settle().picture
    slider.focus()
    slider.press("PageUp")
    lights.until(f"s.studio.document.regions.length === 1 && {json.dumps(slider.input_value())} === '20'")
    lights.until("!s.studio.document.tried")
    assert lights.settle().picture != before, "what is painted with it follows"
    assert len(regions(lights)) == 1


def test_the_seed_is_typed_and_locked(lights: Studio) -> None:
    page = lights.page
    field, lock = page.get_by_label("Seed", exact=True), page.get_by_role("button", name="Lock the seed")
    first = lights.picture
    field.fill("4711")
    field.press("Enter")
    assert lights.settle().picture != first
    typed = lights.picture
    assert lights.read("s.studio.document.seed") == 4711
    for wrong in ("-3", "1.5", "4294967296", ""):
        field.fill(wrong)
        field.press("Enter")
        assert field.input_value() == "4711"
    page.keyboard.press("Control+z")
    assert lights.settle().picture == first
    page.keyboard.press("Control+Shift+z")
    assert lights.settle().picture == typed
    # Unlocked, the dice roll another seed; locked, another light for the same.
    lights.do("dice")
    seed = lights.read("s.studio.document.seed")
    assert seed != 4711
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "true")
    expect(field).not_to_be_editable()
    before = lights.settle().picture
    lights.do("dice")
    lights.until("s.studio.document.code !== null")
    assert lights.read("s.studio.document.seed") == seed
    assert lights.read("s.studio.document.code.length") == STYLE_DIM
    assert lights.settle().picture != before
    preset(page, "Dusk").click()
    assert lights.read("[s.studio.document.seed, s.studio.document.style]") == [seed, "dusk"]


def test_a_photo_gives_its_light(lights: Studio, tmp_path: Path) -> None:
    """The answer of /styles is the painting's light, be the photo chosen or dropped."""
    page, before = lights.page, lights.picture
    evening, noon = tmp_path / "evening.png", tmp_path / "noon.png"
    generator = np.random.default_rng(0)
    for file, low, high in ((evening, 0, 120), (noon, 100, 256)):
        Image.fromarray(generator.integers(low, high, (60, 80, 3), np.uint8)).save(file)
    panel(page).locator("input[type=file]").set_input_files(evening)
    lights.until("s.studio.document.code !== null")
    assert lights.read("[...s.studio.document.code]") == pytest.approx(style_of(lights, evening))
    one = lights.settle().picture
    assert one != before
    expect(panel(page).locator(".reference-photo")).to_be_visible()
    expect(panel(page).get_by_role("button", name="evening.png")).to_be_visible()
    # Dropped on the panel, not on the page, which would open it.
    painting = lights.read("s.studio.document.id")
    first = lights.read("s.studio.document.code[0]")
    drop(panel(page), noon)
    lights.until(f"s.studio.document.code[0] !== {first}")
    assert lights.read("[...s.studio.document.code]") == pytest.approx(style_of(lights, noon))
    assert lights.read("[s.studio.document.id, s.studio.document.source]") == [painting, None]
    assert lights.settle().picture not in (before, one)
    for expected in (one, before):
        page.keyboard.press("Control+z")
        assert lights.settle().picture == expected
    # For a part, like any other light.
    start_painting(lights)
    drop(panel(page), evening)
    lights.until("s.studio.document.regions.length === 1")
    assert regions(lights) == [("evening", None)]
    lights.drag((0.1, 0.5), (0.9, 0.5))
    assert lights.settle().picture != before


def style_of(studio: Studio, photo: Path) -> list[float]:
    files = {"image": photo.read_bytes()}
    answer = httpx.post(f"{studio.url}/styles", files=files, data={"model": "lights"}, timeout=30)
    assert answer.is_success, answer.text
    return answer.json()["style"]


def drop(where: Locator, file: Path) -> None:
    where.evaluate(
        """(element, {bytes, name}) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
            for (const kind of ["dragover", "drop"]) {
                const init = {bubbles: true, cancelable: true, dataTransfer: data};
                element.dispatchEvent(new DragEvent(kind, init));
            }
        }""",
        {"bytes": list(file.read_bytes()), "name": file.name},
    )


def test_a_light_that_cannot_be_read_is_said(lights: Studio, tmp_path: Path, complaints: list[str]) -> None:
    page, before = lights.page, lights.picture
    file = tmp_path / "photo.png"
    file.write_bytes(b"no picture at all")
    panel(page).locator("input[type=file]").set_input_files(file)
    notice = page.get_by_role("alert")
    expect(notice).to_be_visible()
    assert len(notice.text_content() or "") > 40, "what, why, and what next"
    assert lights.read("s.studio.document.code") is None
    assert lights.picture == before
    complaints[:] = [one for one in complaints if "/styles" not in one and "status of 4" not in one]


def test_the_light_of_a_seed_is_mixed_too(lights: Studio) -> None:
    """The server tells its code; the photo at the slider's beginning is the same."""
    page, own = lights.page, lights.picture
    page.get_by_label("To", exact=True).select_option(label="Winter light")
    slider = page.get_by_role("slider", name="Mix")
    slider.focus()
    slider.press("PageUp")
    lights.until("s.studio.document.code !== null && !s.studio.document.tried")
    mixed = lights.settle().picture
    assert mixed != own
    slider.press("Home")
    lights.until("!s.studio.document.tried")
    assert lights.settle().picture == own, "in its own light again, by its code"
    assert lights.read("s.studio.document.code.length") == STYLE_DIM


def test_kept_lights_come_back(lights: Studio) -> None:
    page = lights.page
    own = lights.picture
    seed = lights.read("s.studio.document.seed")
    kept = page.locator(".kept-light")
    expect(panel(page).get_by_text("The heart keeps a light here.")).to_be_visible()
    lights.do("like-light")
    until_count(kept, 1)
    preset(page, "Dusk").click()
    dusk = lights.settle().picture
    page.keyboard.press("Shift+H")
    until_count(kept, 2)
    page.keyboard.press("Shift+H")
    time.sleep(0.5)
    expect(kept).to_have_count(2)  # not twice
    width = kept.nth(0).locator("img").evaluate("(image) => image.naturalWidth")
    assert width == 128
    lights.do("dice")
    lights.settle()
    page.reload()
    lights.settle()
    page.get_by_label("Model").select_option("lights")
    if not panel(page).is_visible():
        lights.do("panel-light")
    until_count(kept, 2)
    kept.nth(1).click()
    assert lights.settle().picture == own
    assert lights.read("[s.studio.document.seed, s.studio.document.style]") == [seed, None]
    kept.nth(0).click()
    assert lights.settle().picture == dusk
    # Locked, the light alone.
    lights.do("dice")
    rolled = lights.read("s.studio.document.seed")
    page.get_by_role("button", name="Lock the seed").click()
    kept.nth(1).click()
    lights.until("s.studio.document.code !== null")
    assert lights.read("s.studio.document.seed") == rolled
    # For a part.
    start_painting(lights)
    kept.nth(1).click()
    lights.until("s.studio.document.regions.length === 1")
    page.keyboard.press("Escape")
    kept.nth(0).hover()
    page.get_by_role("button", name="Forget Dusk").click()
    until_count(kept, 1)
    page.get_by_label("Model").select_option("coco")
    lights.settle()


def test_on_a_phone_the_sheet_makes_room_for_painting(browser: Browser, house: House) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open()
        studio.read("void s.studio.setModel('lights')")
        before = studio.settle().picture
        studio.button("panel-light").tap()
        page.get_by_role("button", name="Paint with a light").tap()
        expect(panel(page)).to_be_hidden()
        preset(page, "Winter light").scroll_into_view_if_needed()
        preset(page, "Winter light").tap()
        chip = page.locator("#mode")
        expect(chip).to_have_text("Painting with: Winter light")
        for x in (0.2, 0.5, 0.8):
            page.touchscreen.tap(*studio.at(x, 0.5))
        assert (styles(studio) == 1).sum() > 100
        assert studio.settle().picture != before
        chip.get_by_role("button", name="Back to labels").tap()
        expect(chip).to_be_hidden()
        assert studio.read("s.studio.state.plane") == "labels"
        page.get_by_role("button", name="Light", exact=True).tap()
        page.get_by_role("button", name="Paint with a light").tap()
        expect(chip).to_be_visible()
        studio.choose("snow")
        expect(chip).to_be_hidden()
        assert studio.read("s.studio.state.plane") == "labels"
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        context.close()


def test_lights_for_parts_go_over_the_wire_as_small_rectangles(page: Page, house: House) -> None:
    """A stroke of light sends style patches and no labels."""
    studio = Studio(page, house.url)
    sent: list[bytes] = []
    page.on(
        "websocket",
        lambda socket: socket.on(
            "framesent", lambda data: sent.append(data) if isinstance(data, bytes) else None
        ),
    )
    studio.open()
    page.get_by_label("Model").select_option("lights")
    studio.settle()
    studio.do("panel-light")
    start_painting(studio)
    preset(page, "Sunset").click()
    studio.settle()
    sent.clear()
    studio.drag((0.2, 0.2), (0.4, 0.2))
    studio.settle()
    assert sent
    assert {data[0] for data in sent} == {3}, "style patches alone"
