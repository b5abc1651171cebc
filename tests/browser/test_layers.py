"""The layers panel: what it shows, what mouse and keyboard can do with it, and that undo covers it."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import House, Studio


@pytest.fixture
def layers(studio: Studio) -> Studio:
    studio.do("panel-layers")
    return studio


def listed(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Layers, the top first")


def names(page: Page) -> list[str]:
    """The top first."""
    return listed(page).locator(".layer-name").all_text_contents()


def chosen(page: Page) -> list[str]:
    return listed(page).locator("[aria-selected=true] .layer-name").all_text_contents()


def option(page: Page, name: str) -> Locator:
    return listed(page).get_by_role("option").filter(has_text=name)


def switch(page: Page, what: str, name: str) -> Locator:
    return page.get_by_role("button", name=f"{what}: {name}", exact=True)


def stack(studio: Studio) -> list[list[object]]:
    """What the document holds, the bottom first: name, visible, locked, and the number of holes."""
    return studio.read(
        "s.studio.document.layers.map((l) => "
        "[l.name, l.visible, l.locked, l.map.data.filter((id) => id === 255).length])"
    )


def test_layers_are_painted_apart_and_shown_as_one(layers: Studio) -> None:
    page, before, photo = layers.page, layers.labels, layers.picture
    assert names(page) == ["Background"]
    expect(layers.button("layer-remove")).to_be_disabled()
    expect(layers.button("layer-merge")).to_be_disabled()
    layers.do("layer-add")
    assert names(page) == ["Layer 1", "Background"]
    assert chosen(page) == ["Layer 1"]
    assert stack(layers)[1][3] == before.size, "nothing is on it yet"
    assert np.array_equal(layers.labels, before)
    layers.choose("snow")
    layers.drag((0.2, 0.5), (0.8, 0.5))
    snow = layers.id_of("snow")
    painted = layers.labels
    assert (painted != before).sum() > 300
    assert set(painted[painted != before]) == {snow}
    assert layers.read("s.studio.document.layers[0].map.data[128 * 256 + 128]") == before[128, 128]
    shown = layers.settle().picture
    assert shown != photo
    # Hidden, nothing of it shows, and nobody paints on it by mistake.
    switch(page, "Visible", "Layer 1").click()
    assert np.array_equal(layers.labels, before)
    assert layers.settle().picture == photo
    layers.drag((0.2, 0.2), (0.8, 0.2))
    assert np.array_equal(layers.labels, before)
    switch(page, "Visible", "Layer 1").click()
    assert layers.settle().picture == shown
    switch(page, "Locked", "Layer 1").click()
    layers.drag((0.2, 0.2), (0.8, 0.2))
    assert np.array_equal(layers.labels, painted), "locked, it keeps its labels"
    expect(switch(page, "Visible", "Background")).to_be_disabled()  # something must show
    option(page, "Background").click()
    assert chosen(page) == ["Background"]
    page.keyboard.press("Space")
    assert stack(layers)[0][1] is True
    layers.drag((0.2, 0.2), (0.8, 0.2))
    assert layers.labels[51, 128] == snow
    layers.settle()


def test_everything_is_undone_and_redone(layers: Studio) -> None:
    page = layers.page
    layers.do("layer-add")
    layers.choose("snow")
    layers.drag((0.2, 0.5), (0.8, 0.5))
    layers.do("layer-duplicate")
    assert names(page) == ["Layer 1 copy", "Layer 1", "Background"]
    layers.choose("road")
    layers.drag((0.5, 0.2), (0.5, 0.8))
    states = [(stack(layers), layers.labels)]
    for action in ("layer-merge", "layer-add", "layer-remove", "layer-flatten"):
        layers.do(action)
        states.append((stack(layers), layers.labels))
    assert [len(layer) for layer, _ in states] == [3, 2, 3, 2, 1]
    for _, labels in states:
        assert np.array_equal(labels, states[0][1]), "merging and flattening change nothing that shows"
    for expected, labels in reversed(states[:-1]):
        page.keyboard.press("Control+z")
        assert stack(layers) == expected
        assert np.array_equal(layers.labels, labels)
        assert len(names(page)) == len(expected), "the list follows"
    for expected, _ in states[1:]:
        page.keyboard.press("Control+Shift+z")
        assert stack(layers) == expected
    layers.settle()


def test_a_drag_moves_a_layer(layers: Studio) -> None:
    page = layers.page
    for label, y in (("snow", 0.5), ("road", 0.52)):
        layers.do("layer-add")
        layers.choose(label)
        layers.drag((0.2, y), (0.8, y))
    assert names(page) == ["Layer 2", "Layer 1", "Background"]
    assert layers.labels[131, 128] == layers.id_of("road")
    source, target = option(page, "Layer 2").bounding_box(), option(page, "Layer 1").bounding_box()
    assert source is not None
    assert target is not None
    x, y = source["x"] + 60, source["y"] + source["height"] / 2
    below = target["y"] + 0.8 * target["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, below, steps=5)
    assert names(page) == ["Layer 2", "Layer 1", "Background"], "not before it is let go of"
    page.mouse.up()
    assert names(page) == ["Layer 1", "Layer 2", "Background"]
    assert layers.labels[131, 128] == layers.id_of("snow")
    page.keyboard.press("Control+z")
    assert names(page) == ["Layer 2", "Layer 1", "Background"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, below, steps=5)
    page.keyboard.press("Escape")
    page.mouse.up()
    assert names(page) == ["Layer 2", "Layer 1", "Background"], "Esc takes the drag back"
    # Not below the bottom layer, which fills the picture; nor does that one move.
    bottom = option(page, "Background").bounding_box()
    assert bottom is not None
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, bottom["y"] + bottom["height"] - 4, steps=5)
    page.mouse.up()
    assert names(page) == ["Layer 1", "Layer 2", "Background"]
    expect(page.get_by_text("The bottom layer stays at the bottom.")).to_be_visible()
    page.mouse.move(x, bottom["y"] + bottom["height"] / 2)
    page.mouse.down()
    page.mouse.move(x, y, steps=5)
    page.mouse.up()
    assert names(page) == ["Layer 1", "Layer 2", "Background"]
    assert next(holes for *_, holes in stack(layers)) == 0
    layers.settle()


def test_buttons_move_a_layer_and_say_what_they_do(layers: Studio) -> None:
    page = layers.page
    up, down = layers.button("layer-up"), layers.button("layer-down")
    for button in (up, down):
        expect(button).to_be_disabled()  # there is the bottom layer alone
    layers.do("layer-add")
    expect(up).to_be_disabled()
    expect(down).to_be_disabled()
    layers.do("layer-add")
    down.click()
    assert names(page) == ["Layer 1", "Layer 2", "Background"]
    expect(down).to_be_disabled()
    up.click()
    assert names(page) == ["Layer 2", "Layer 1", "Background"]
    eye = switch(page, "Visible", "Layer 2")
    expect(eye).to_have_attribute("data-tip", "Hide")
    eye.click()
    expect(switch(page, "Visible", "Layer 2")).to_have_attribute("data-tip", "Show")
    bar = page.locator(".layers-bar").bounding_box()
    assert bar is not None
    assert bar["height"] <= 44, "one line for a mouse"


def test_a_finger_moves_a_layer_by_its_picture(browser: Browser, house: House) -> None:
    context = browser.new_context(
        viewport={"width": 820, "height": 1180}, has_touch=True, reduced_motion="reduce"
    )
    try:
        page = context.new_page()
        studio = Studio(page, house.url).open()
        studio.button("panel-layers").tap()
        studio.button("layer-add").tap()
        studio.button("layer-add").tap()
        box = option(page, "Layer 2").locator(".layer-thumb").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = context.new_cdp_session(page)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 7):
            points = [{"x": x, "y": y + 12 * step}]
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert names(page) == ["Layer 1", "Layer 2", "Background"]
        for button in page.locator("#layers button").all():
            size = button.bounding_box()
            assert size is not None
            assert min(size["height"], size["width"]) >= 40
    finally:
        context.close()


def test_the_keyboard_does_it_all(layers: Studio) -> None:
    page = layers.page
    layers.do("layer-add")
    layers.do("layer-add")
    listed(page).focus()
    page.keyboard.press("ArrowDown")
    assert chosen(page) == ["Layer 1"]
    active = listed(page).get_attribute("aria-activedescendant")
    assert active == listed(page).locator("[aria-selected=true]").get_attribute("id")
    page.keyboard.press("Alt+ArrowUp")
    assert names(page) == ["Layer 1", "Layer 2", "Background"]
    page.keyboard.press("Alt+ArrowUp")  # it is on top already
    page.keyboard.press("Alt+ArrowDown")
    assert names(page) == ["Layer 2", "Layer 1", "Background"]
    page.keyboard.press("F2")
    field = page.get_by_role("textbox", name="Layer 1")
    expect(field).to_be_focused()
    field.fill("Clouds")
    page.keyboard.press("Enter")
    assert names(page) == ["Layer 2", "Clouds", "Background"]
    expect(listed(page)).to_be_focused()
    page.keyboard.press("F2")
    page.keyboard.type("Nothing")
    page.keyboard.press("Escape")
    assert names(page) == ["Layer 2", "Clouds", "Background"]
    page.keyboard.press("Space")
    assert stack(layers)[1][:2] == ["Clouds", False]
    expect(option(page, "Clouds")).to_have_attribute("aria-label", "Clouds, 2 of 3 from the bottom, hidden")
    page.keyboard.press("Home")
    assert chosen(page) == ["Layer 2"]
    page.keyboard.press("Delete")
    assert names(page) == ["Clouds", "Background"]
    page.keyboard.press("End")
    page.keyboard.press("Delete")
    page.keyboard.press("Delete")
    assert names(page) == ["Clouds"], "the last one stays"
    assert stack(layers)[0][3] == 0
    layers.settle()


def test_names_are_typed_where_they_stand(layers: Studio) -> None:
    page = layers.page
    option(page, "Background").dblclick()
    field = page.get_by_role("textbox", name="Background")
    field.fill("b")  # a key of the brush, elsewhere
    layers.page.locator("#layers-name").click()
    assert names(page) == ["b"]
    assert stack(layers)[0][0] == "b"
    page.keyboard.press("Control+z")
    assert names(page) == ["Background"]
    option(page, "Background").dblclick()
    page.get_by_role("textbox", name="Background").fill("   ")
    page.keyboard.press("Enter")
    assert names(page) == ["Background"], "no layer is without a name"


def test_thumbnails_follow_the_layer(layers: Studio) -> None:
    page = layers.page
    layers.do("layer-add")
    thumb = option(page, "Layer 1").locator(".layer-thumb")
    empty = thumb.screenshot()
    layers.choose("snow")
    layers.drag((0.1, 0.5), (0.9, 0.5))
    page.mouse.move(5, 5)
    page.wait_for_timeout(500)
    assert thumb.screenshot() != empty
    page.keyboard.press("Control+z")
    page.wait_for_timeout(500)
    assert thumb.screenshot() == empty
    layers.settle()


def test_there_are_as_many_layers_as_there_may_be(layers: Studio) -> None:
    page = layers.page
    for _ in range(31):
        layers.do("layer-add")
    assert len(names(page)) == 32
    assert len(set(names(page))) == 32
    layers.do("layer-add")
    expect(page.get_by_role("alert")).to_contain_text("as many layers as there may be")
    assert len(names(page)) == 32
    layers.settle()
