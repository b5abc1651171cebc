"""Tools, by mouse and keyboard, checked on the label array."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Studio


def test_the_first_visit_opens_on_the_mountain_lake_with_a_word_where_to_begin(studio: Studio) -> None:
    names = {studio.id_of(name) for name in ("sky", "mountain", "river", "tree")}
    assert names <= set(np.unique(studio.labels))
    hint = studio.page.locator("#hint")
    expect(hint).to_have_text("Drag here to paint mountain")
    assert studio.label == studio.id_of("mountain")
    studio.drag((0.3, 0.1), (0.5, 0.1))
    expect(hint).to_be_hidden()
    studio.do("new")
    studio.page.get_by_role("button", name="Coast").click()
    expect(hint).to_be_hidden()


def test_a_fast_stroke_has_no_gap(studio: Studio) -> None:
    studio.choose("house")
    while studio.read("s.studio.state.size") > 2:
        studio.page.keyboard.press("[")
    studio.drag((0.05, 0.1), (0.95, 0.9), (0.95, 0.1), (0.05, 0.9), steps=1)
    painted = studio.labels == studio.id_of("house")
    assert painted.any(axis=0)[14:242].all(), "every column between the ends is crossed"
    rows = painted.any(axis=1)
    assert rows[28:228].all()


def test_the_palette_shows_every_label_in_its_colour(studio: Studio) -> None:
    labels = studio.read("s.studio.document.labelSet.labels")
    radios = studio.page.get_by_role("radio")
    expect(radios).to_have_count(len(labels))
    groups = studio.page.locator(".group-name").all_inner_texts()
    assert {group.splitlines()[0].lower() for group in groups} == {label["group"].lower() for label in labels}
    for label in labels:
        chip = studio.page.get_by_role("radio", name=label["name"], exact=True).locator(".chip")
        expect(chip).to_have_css("background-color", "rgb({}, {}, {})".format(*label["color"]))


def test_the_palette_by_keyboard(studio: Studio) -> None:
    studio.choose("snow")
    studio.page.keyboard.press("ArrowRight")
    after = studio.label
    assert after != studio.id_of("snow")
    studio.page.keyboard.press("ArrowLeft")
    assert studio.label == studio.id_of("snow")
    checked = studio.page.locator("[role=radio][aria-checked=true]")
    expect(checked).to_have_count(1)
    expect(checked).to_be_focused()


def test_fill_takes_the_connected_area_and_nothing_else(studio: Studio) -> None:
    before = studio.labels
    river, sand = studio.id_of("river"), studio.id_of("sand")
    studio.page.keyboard.press("g")
    studio.choose("snow")
    studio.click(0.5, 0.66)
    after = studio.labels
    changed = before != after
    assert changed.sum() > 5000
    assert (before[changed] == river).all()
    assert (after[changed] == studio.id_of("snow")).all()
    assert ((before == sand) == (after == sand)).all()
    studio.page.keyboard.press("Control+z")
    assert np.array_equal(studio.labels, before)


def test_pick_with_the_tool_and_with_alt(studio: Studio) -> None:
    before = studio.labels
    studio.do("pick")
    studio.click(0.5, 0.66)
    assert studio.label == studio.id_of("river")
    assert studio.read("s.studio.state.tool") == "brush", "after picking the brush is back"
    studio.page.keyboard.down("Alt")
    studio.click(0.5, 0.97)
    studio.page.keyboard.up("Alt")
    assert studio.label == before[int(0.97 * 256), 128]
    assert np.array_equal(studio.labels, before)


def test_undo_and_redo_by_every_key(studio: Studio) -> None:
    start = studio.labels
    studio.choose("house")
    studio.drag((0.1, 0.1), (0.4, 0.1))
    one = studio.labels
    studio.drag((0.6, 0.5), (0.9, 0.5))
    two = studio.labels
    keys = studio.page.keyboard
    for press, expected in [
        ("Control+z", one),
        ("Control+z", start),
        ("Control+z", start),
        ("Control+y", one),
        ("Control+Shift+Z", two),
        ("Control+y", two),
    ]:
        keys.press(press)
        assert np.array_equal(studio.labels, expected), press
    expect(studio.button("redo")).to_be_disabled()
    studio.do("undo")
    studio.do("undo")
    expect(studio.button("undo")).to_be_disabled()
    assert np.array_equal(studio.labels, start)


@pytest.mark.parametrize("tool", ["brush", "fill", "pick"])
def test_escape_cancels_every_gesture(studio: Studio, tool: str) -> None:
    studio.choose("house")
    before, picture, label = studio.labels, studio.picture, studio.label
    studio.do(tool)
    studio.press([(0.5, 0.6), (0.6, 0.7)])
    if tool == "pick":
        assert studio.label != label
    else:
        assert not np.array_equal(studio.labels, before)
    studio.page.keyboard.press("Escape")
    assert np.array_equal(studio.labels, before)
    assert studio.label == label
    studio.page.mouse.move(*studio.at(0.2, 0.2), steps=3)
    studio.page.mouse.up()
    assert np.array_equal(studio.labels, before), "the rest of a cancelled gesture paints nothing"
    expect(studio.button("undo")).to_be_disabled()
    studio.settle()
    assert studio.picture == picture


def test_brush_size_by_keys_and_slider_and_ring(studio: Studio) -> None:
    size = studio.read("s.studio.state.size")
    studio.page.keyboard.press("]")
    assert studio.read("s.studio.state.size") > size
    studio.page.keyboard.press("[")
    studio.page.keyboard.press("[")
    assert studio.read("s.studio.state.size") < size
    studio.page.get_by_label("Brush size").fill("1000")
    assert studio.read("s.studio.state.size") == 128
    studio.page.get_by_label("Brush size").fill("0")
    assert studio.read("s.studio.state.size") == 1
    studio.page.get_by_label("Brush size").fill("500")
    size = studio.read("s.studio.state.size")
    studio.page.mouse.move(*studio.at(0.5, 0.5))
    ring, canvas = (studio.page.locator(name).bounding_box() for name in ("#ring", "#labels"))
    assert ring is not None
    assert canvas is not None
    assert ring["width"] == pytest.approx(size * canvas["width"] / 256, abs=1)
    assert ring["x"] + ring["width"] / 2 == pytest.approx(canvas["x"] + canvas["width"] / 2, abs=1)
    studio.choose("house")
    studio.click(0.5, 0.5)
    columns = np.flatnonzero((studio.labels == studio.id_of("house")).any(axis=0))
    assert columns[-1] - columns[0] + 1 == pytest.approx(size, abs=1)


def test_clear_makes_sky_and_can_be_undone(studio: Studio) -> None:
    before = studio.labels
    studio.page.keyboard.press("Delete")
    assert (studio.labels == studio.id_of("sky")).all()
    studio.settle()
    studio.page.keyboard.press("Control+z")
    assert np.array_equal(studio.labels, before)


def test_keys_do_nothing_while_a_dialog_is_open(studio: Studio) -> None:
    before = studio.labels
    studio.page.keyboard.press("?")
    studio.page.keyboard.press("Delete")
    assert np.array_equal(studio.labels, before)
    studio.page.keyboard.press("Escape")
    expect(studio.page.locator("#help")).to_be_hidden()
