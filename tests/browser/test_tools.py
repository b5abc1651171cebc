"""Every tool by mouse, pen and keyboard: on the label array, on the canvases, and in the history."""

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Studio
from tests.browser.hands import Pen, colours_of, shown_labels, shown_photo

SIDE = 256
Y, X = np.mgrid[:SIDE, :SIDE]


def pixel(index: int) -> float:
    """The middle of a pixel of the map, as a part of its side."""
    return (index + 0.5) / SIDE


def at(*points: tuple[int, int]) -> list[tuple[float, float]]:
    return [(pixel(x), pixel(y)) for x, y in points]


@pytest.fixture
def clear(studio: Studio) -> Studio:
    """Sky everywhere, a house in the hand, a brush of 9 pixels that follows every tremor."""
    studio.page.keyboard.press("Delete")
    studio.read("s.studio.store.set({ streamline: 0, size: 9 })")
    studio.choose("house")
    return studio


def house(studio: Studio) -> np.ndarray:
    return studio.labels == studio.id_of("house")


def rect(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    """Both corners included."""
    return (x0 <= X) & (x1 >= X) & (y0 <= Y) & (y1 >= Y)


def test_what_is_painted_is_what_is_shown_and_what_the_photo_follows(clear: Studio) -> None:
    clear.settle()
    photo = shown_photo(clear).astype(int)
    clear.drag(*at((40, 50), (200, 50), (200, 150)))
    clear.settle()
    assert np.array_equal(shown_labels(clear), colours_of(clear))
    painted = house(clear)
    assert painted[50, 40:200].all()
    change = np.abs(shown_photo(clear).astype(int) - photo).mean(axis=2)
    assert change[painted].mean() > 10 * max(change[200:].mean(), 0.1), (
        "the photo changes there and not elsewhere"
    )


def test_brush_strokes_are_discs_along_the_way(clear: Studio) -> None:
    clear.drag(*at((40, 60), (120, 60)), steps=1)
    middle = np.hypot(np.maximum(0, np.maximum(40 - X, X - 120)), Y - 60)
    expected = middle <= 4.5
    assert np.array_equal(house(clear), expected)
    clear.page.keyboard.down("Shift")
    clear.click(*at((120, 160))[0])
    clear.page.keyboard.up("Shift")
    expected |= np.hypot(X - 120, np.maximum(0, np.maximum(60 - Y, Y - 160))) <= 4.5
    assert np.array_equal(house(clear), expected), "a straight line from where the last stroke ended"


def test_a_steadied_stroke_is_smooth_and_ends_exactly(clear: Studio) -> None:
    zigzag = at(*((20 + 4 * i, 100 + (8 if i % 2 else -8)) for i in range(50)))
    clear.read("s.studio.store.set({ size: 1 })")
    clear.drag(*zigzag, steps=2)
    rough = np.ptp(np.flatnonzero(house(clear).any(axis=1)))
    clear.page.keyboard.press("Control+z")
    clear.page.locator("#steady").fill("60")
    clear.drag(*zigzag, steps=2)
    painted = house(clear)
    inner = painted[:, 60:180]
    assert np.ptp(np.flatnonzero(inner.any(axis=1))) < rough / 2
    assert painted[92, 20], "the first point"
    assert painted[108, 216], "the last point"
    clear.page.reload()
    clear.settle()
    assert clear.read("s.studio.state.streamline") == 60, "the browser remembers how steady"


def test_pen_pressure_and_its_switch(clear: Studio) -> None:
    clear.read("s.studio.store.set({ size: 40 })")
    pen = Pen(clear)
    pen.draw([(pixel(40), pixel(80), 1.0), (pixel(200), pixel(80), 0.1)])
    heights = house(clear).sum(axis=0)
    assert heights[40] == pytest.approx(40, abs=1)
    assert heights[120] == pytest.approx(22, abs=2)
    assert heights[199] == pytest.approx(4, abs=1)
    clear.do("pressure")
    pen.draw([(pixel(40), pixel(180), 0.2), (pixel(200), pixel(180), 0.2)])
    assert house(clear)[120:, 40:200].sum(axis=0) == pytest.approx(40, abs=1)


def test_eraser_by_key_and_with_layers(clear: Studio) -> None:
    clear.page.keyboard.press("r")
    clear.drag(*at((40, 40), (100, 100)))
    clear.page.keyboard.press("e")
    clear.drag(*at((70, 70)), steps=1)
    assert clear.labels[70, 70] == clear.id_of("sky")
    clear.read("s.studio.document.addLayer('upper', 'Upper')")
    clear.choose("sea")
    clear.page.keyboard.press("r")
    clear.drag(*at((40, 40), (100, 100)))
    assert (clear.labels[40:101, 40:101] == clear.id_of("sea")).all()
    clear.page.keyboard.press("e")
    clear.drag(*at((50, 50), (50, 90)), steps=2)
    below = clear.labels[46:95, 50]
    assert (below == clear.id_of("house")).all(), "the layer below shows again"
    assert clear.read("s.studio.document.layer.map.data[60 * 256 + 50]") == 255


@pytest.mark.parametrize(
    ("key", "held", "expected"),
    [
        ("r", None, rect(40, 50, 120, 90)),
        ("r", "Shift", rect(40, 50, 120, 130)),
        ("r", "Alt", rect(-40, 10, 120, 90)),
        ("o", None, ((X - 80) / 40.5) ** 2 + ((Y - 70) / 20.5) ** 2 <= 1),
        ("o", "Shift", np.hypot(X - 80, Y - 90) <= 40.5),
        (
            "u",
            None,
            np.hypot(
                X - np.clip(t := ((X - 40) * 80 + (Y - 50) * 40) / 8000, 0, 1) * 80 - 40,
                Y - np.clip(t, 0, 1) * 40 - 50,
            )
            <= 4.5,
        ),
    ],
    ids=["rectangle", "square", "from the middle", "ellipse", "circle", "line"],
)
def test_shapes(clear: Studio, key: str, held: str | None, expected: np.ndarray) -> None:
    clear.page.keyboard.press(key)
    clear.press(at((40, 50), (200, 200), (120, 90)))
    if held:
        clear.page.keyboard.down(held)
        clear.page.mouse.move(*clear.at(*at((120, 90))[0]))
    assert np.array_equal(house(clear), expected), "while the button is down"
    clear.page.mouse.up()
    if held:
        clear.page.keyboard.up(held)
    assert np.array_equal(house(clear), expected)
    clear.page.keyboard.press("Control+z")
    assert not house(clear).any()


@pytest.mark.parametrize("end", ["Enter", "double click", "first corner"])
def test_polygon(clear: Studio, end: str) -> None:
    page = clear.page
    page.keyboard.press("c")
    for point in at((40, 40), (140, 40), (200, 220)):
        clear.click(*point)
    page.keyboard.press("Backspace")
    clear.click(*at((140, 120))[0])
    if end == "Enter":
        clear.click(*at((40, 120))[0])
        page.keyboard.press("Enter")
    elif end == "double click":
        page.mouse.dblclick(*clear.at(*at((40, 120))[0]))
    else:
        clear.click(*at((40, 120))[0])
        assert not house(clear).any()
        clear.click(*at((41, 41))[0])
    painted = house(clear)
    assert painted[42:119, 42:139].all()
    assert not painted[:39].any()
    assert not painted[122:].any()
    page.keyboard.press("Control+z")
    assert not house(clear).any()


def test_escape_drops_a_polygon(clear: Studio) -> None:
    clear.page.keyboard.press("c")
    for point in at((40, 40), (140, 40), (140, 120)):
        clear.click(*point)
    clear.page.keyboard.press("Escape")
    clear.page.keyboard.press("Enter")
    assert not house(clear).any()
    assert clear.read("s.studio.state.sketch") is None


def test_freehand_area(clear: Studio) -> None:
    clear.page.keyboard.press("d")
    clear.press(at((40, 40), (200, 40), (200, 200), (40, 200)), steps=4)
    assert not house(clear).any(), "an outline while the button is down"
    clear.page.mouse.up()
    assert house(clear)[42:199, 42:199].all()
    assert not house(clear)[:39].any()


def test_fill_everywhere(clear: Studio) -> None:
    clear.page.keyboard.press("r")
    clear.drag(*at((20, 20), (60, 60)))
    clear.drag(*at((120, 20), (160, 60)))
    clear.choose("sea")
    clear.page.keyboard.press("g")
    clear.click(*at((30, 30))[0])
    sea = clear.id_of("sea")
    assert np.array_equal(clear.labels == sea, rect(20, 20, 60, 60))
    clear.page.keyboard.press("Control+z")
    clear.do("everywhere")
    clear.click(*at((30, 30))[0])
    assert np.array_equal(clear.labels == sea, rect(20, 20, 60, 60) | rect(120, 20, 160, 60))


def test_swap_the_last_two_labels(studio: Studio) -> None:
    studio.choose("snow")
    studio.choose("sea")
    studio.page.keyboard.press("x")
    assert studio.label == studio.id_of("snow")
    studio.page.keyboard.press("x")
    assert studio.label == studio.id_of("sea")
    studio.page.keyboard.down("Alt")
    studio.press([(0.5, 0.66), (0.5, 0.97), (0.5, 0.66)])
    studio.page.mouse.up()
    studio.page.keyboard.up("Alt")
    assert studio.label == studio.id_of("river")
    studio.page.keyboard.press("x")
    assert studio.label == studio.id_of("sea"), "a pick counts once, whatever it passed over"


def test_symmetry(clear: Studio) -> None:
    for symmetry in ("vertical", "horizontal", "both"):
        clear.do("symmetry")
        assert clear.read("s.studio.state.symmetry") == symmetry
        clear.drag(*at((20, 30), (90, 70)), steps=3)
        painted = house(clear)
        assert painted[30, 20]
        assert np.array_equal(painted, painted[:, ::-1]) == (symmetry != "horizontal")
        assert np.array_equal(painted, painted[::-1]) == (symmetry != "vertical")
        clear.page.keyboard.press("Control+z")
        assert not house(clear).any(), "one step"
    clear.page.keyboard.press("y")
    assert clear.read("s.studio.state.symmetry") == "off"


# Selections


def selected(studio: Studio) -> np.ndarray:
    data = studio.read("s.studio.state.selection && Array.from(s.studio.state.selection.data).join('')")
    if data is None:
        return np.zeros((SIDE, SIDE), bool)
    return (np.frombuffer(data.encode(), np.uint8) == ord("1")).reshape(SIDE, SIDE)


def test_selecting_by_rectangle_with_keys(clear: Studio) -> None:
    keys = clear.page.keyboard
    keys.press("m")
    clear.drag(*at((20, 20), (100, 100)))
    expected = rect(20, 20, 100, 100)
    assert np.array_equal(selected(clear), expected)
    for held, points, change in [
        (["Shift"], ((80, 80), (150, 150)), lambda old, new: old | new),
        (["Alt"], ((20, 20), (60, 60)), lambda old, new: old & ~new),
        (["Shift", "Alt"], ((50, 50), (120, 120)), lambda old, new: old & new),
    ]:
        for key in held:
            keys.down(key)
        clear.drag(*at(*points))
        for key in held:
            keys.up(key)
        (x0, y0), (x1, y1) = points
        expected = change(expected, rect(x0, y0, x1, y1))
        assert np.array_equal(selected(clear), expected), held
    keys.press("Shift+X")
    assert np.array_equal(selected(clear), ~expected)
    keys.press("Control+d")
    assert not selected(clear).any()
    keys.press("Control+a")
    assert selected(clear).all()
    keys.press("Escape")
    assert not selected(clear).any()


def test_selecting_by_lasso_wand_and_the_modes_of_the_bar(studio: Studio) -> None:
    page = studio.page
    page.keyboard.press("w")
    studio.click(0.5, 0.66)
    river = studio.labels == studio.id_of("river")
    assert np.array_equal(selected(studio) & river, selected(studio))
    assert selected(studio)[int(0.66 * SIDE), SIDE // 2]
    page.get_by_role("button", name="Add to the selection").click()
    page.keyboard.press("q")
    before = selected(studio)
    studio.drag((0.1, 0.1), (0.3, 0.1), (0.3, 0.3), (0.1, 0.3))
    after = selected(studio)
    assert (after & before).sum() == before.sum()
    assert after[30:74, 30:74].all()


def test_strokes_keep_to_the_selection_and_delete_empties_it(clear: Studio) -> None:
    keys = clear.page.keyboard
    keys.press("m")
    clear.drag(*at((50, 50), (99, 99)))
    keys.press("b")
    clear.read("s.studio.setSize(60)")
    clear.drag(*at((10, 75), (200, 75)))
    painted = house(clear)
    assert painted.any()
    assert not (painted & ~rect(50, 50, 99, 99)).any()
    keys.press("Shift+F")
    assert np.array_equal(house(clear), rect(50, 50, 99, 99)), "relabelled"
    keys.press("Delete")
    assert not house(clear).any()
    keys.press("Control+z")
    assert np.array_equal(house(clear), rect(50, 50, 99, 99))


@pytest.fixture
def housed(clear: Studio) -> Studio:
    """A house from 50 to 79, selected, and the tool that moves it."""
    clear.page.keyboard.press("r")
    clear.drag(*at((50, 50), (79, 79)))
    clear.page.keyboard.press("m")
    clear.drag(*at((50, 50), (79, 79)))
    return clear


def test_moving_shows_live_and_escape_takes_it_back(housed: Studio) -> None:
    housed.press(at((60, 60), (160, 120)))
    assert np.array_equal(house(housed), rect(150, 110, 179, 139)), "while the button is down"
    housed.page.keyboard.press("Escape")
    housed.page.mouse.up()
    assert np.array_equal(house(housed), rect(50, 50, 79, 79))
    assert np.array_equal(selected(housed), rect(50, 50, 79, 79))
    housed.drag(*at((60, 60), (100, 100), (160, 120)))
    assert np.array_equal(house(housed), rect(150, 110, 179, 139))
    assert np.array_equal(selected(housed), rect(150, 110, 179, 139))
    housed.settle()
    assert np.array_equal(shown_labels(housed), colours_of(housed))
    housed.page.keyboard.press("Control+z")
    assert np.array_equal(house(housed), rect(50, 50, 79, 79)), "one step"


def test_arrows_nudge(housed: Studio) -> None:
    keys = housed.page.keyboard
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown", "ArrowUp"):
        keys.press(key)
    assert np.array_equal(house(housed), rect(52, 59, 81, 88))
    keys.press("Escape")
    assert np.array_equal(house(housed), rect(50, 50, 79, 79))
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    keys.press("b")  # whatever comes next sets it down
    assert np.array_equal(selected(housed), rect(48, 50, 77, 79))
    keys.press("Control+z")
    assert np.array_equal(house(housed), rect(50, 50, 79, 79)), "one step, however many presses"


def test_copy_paste_and_cut(housed: Studio) -> None:
    keys = housed.page.keyboard
    keys.press("Control+c")
    keys.press("Control+v")
    housed.drag(*at((60, 60), (160, 160)))
    assert np.array_equal(house(housed), rect(50, 50, 79, 79) | rect(150, 150, 179, 179))
    keys.press("Control+x")
    assert np.array_equal(house(housed), rect(50, 50, 79, 79)), "the pasted one was selected"
    keys.press("Control+v")
    keys.press("Enter")
    assert np.array_equal(house(housed), rect(50, 50, 79, 79) | rect(150, 150, 179, 179))
    keys.down("Control")
    housed.drag(*at((160, 160), (160, 60)))
    keys.up("Control")
    assert house(housed).sum() == 3 * 900, "with Ctrl a copy is moved"


def test_a_piece_goes_to_another_painting(housed: Studio) -> None:
    page = housed.page
    page.keyboard.press("Control+c")
    housed.read("s.studio.startBlank()")
    page.keyboard.press("Control+v")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert np.array_equal(house(housed), rect(51, 50, 80, 79))


def test_smooth_and_fill_holes(clear: Studio) -> None:
    keys = clear.page.keyboard
    keys.press("r")
    clear.drag(*at((50, 50), (150, 150)))
    keys.press("e")
    clear.read("s.studio.setSize(5)")
    clear.drag(*at((80, 80)), steps=1)
    clear.drag(*at((120, 120)), steps=1)
    assert not house(clear)[80, 80]
    keys.press("m")
    clear.drag(*at((60, 60), (100, 100)))
    clear.do("fill-holes")
    assert house(clear)[80, 80]
    assert not house(clear)[120, 120], "only in the selection"
    keys.press("Control+d")
    clear.do("fill-holes")
    assert np.array_equal(house(clear), rect(50, 50, 150, 150))
    clear.do("smooth")
    assert not house(clear)[50, 50], "a corner is rounded"
    assert house(clear)[50, 100]
    keys.press("Control+z")
    assert np.array_equal(house(clear), rect(50, 50, 150, 150))


# Planes, layers, the view


def test_tools_paint_lights_where_lights_are_painted(clear: Studio) -> None:
    clear.read(
        "s.studio.document.setRegions([{ title: 'Dusk', style: null, code: [3, 0, 0, 0, 0, 0, 0, 0] }])"
    )
    before = clear.labels
    clear.read("s.studio.paintLight(1)")
    clear.page.keyboard.press("r")
    clear.drag(*at((50, 50), (99, 99)))
    clear.page.keyboard.press("e")
    clear.drag(*at((75, 75)), steps=1)
    styles = clear.read("Array.from(s.studio.document.styles.data).join('')")
    plane = (np.frombuffer(styles.encode(), np.uint8) - ord("0")).reshape(SIDE, SIDE)
    assert np.array_equal(plane == 1, rect(50, 50, 99, 99) & ~(np.hypot(X - 75, Y - 75) <= 4.5))
    assert np.array_equal(clear.labels, before)
    clear.page.keyboard.press("i")
    clear.click(*at((10, 10))[0])
    assert clear.read("s.studio.state.region") == 0, "the picker takes lights"
    clear.choose("sea")
    assert clear.read("s.studio.state.plane") == "labels"


def test_a_locked_layer_is_told_of_once_a_gesture(clear: Studio) -> None:
    clear.read("s.studio.document.changeLayer(s.studio.document.active, { locked: true })")
    before = clear.labels
    for key in "burocdge":
        clear.page.keyboard.press(key)
        clear.drag(*at((50, 50), (90, 90), (90, 50)))
        notices = clear.page.locator(".notice", has_text="The layer is locked.")
        expect(notices).to_have_count(1)
        notices.get_by_role("button", name="Dismiss").click()
        assert np.array_equal(clear.labels, before), key


def test_painting_on_the_photo(clear: Studio) -> None:
    box = clear.page.locator("#photo").bounding_box()
    assert box is not None
    mouse = clear.page.mouse
    mouse.move(box["x"] + pixel(40) * box["width"], box["y"] + pixel(60) * box["height"])
    mouse.down()
    mouse.move(box["x"] + pixel(120) * box["width"], box["y"] + pixel(60) * box["height"], steps=3)
    mouse.up()
    assert np.array_equal(house(clear), np.hypot(np.maximum(0, np.maximum(40 - X, X - 120)), Y - 60) <= 4.5)
    for view in ("view-photo", "view-over", "view-map"):
        clear.page.keyboard.press("Control+z")
        clear.do(view)
        canvas = "#photo" if view == "view-photo" else "#labels"
        box = clear.page.locator(canvas).bounding_box()
        assert box is not None
        mouse.click(box["x"] + pixel(200) * box["width"], box["y"] + pixel(200) * box["height"])
        assert np.array_equal(house(clear), np.hypot(X - 200, Y - 200) <= 4.5), view


def zoom(studio: Studio) -> float:
    box = studio.page.locator("#labels").bounding_box()
    assert box is not None
    return box["width"] / SIDE


def test_zoom_and_pan_keep_both_panes_together_and_strokes_exact(clear: Studio) -> None:
    page, mouse = clear.page, clear.page.mouse
    fit = zoom(clear)
    here = clear.at(*at((100, 150))[0])
    mouse.move(*here)
    mouse.wheel(0, -600)
    assert zoom(clear) > 2 * fit
    moved = clear.at(*at((100, 150))[0])
    assert moved == pytest.approx(here, abs=1), "about the pointer"
    boxes = [page.locator(canvas).bounding_box() for canvas in ("#labels", "#photo")]
    frames = [page.locator(frame).bounding_box() for frame in ("#map-frame", "#photo-frame")]
    labels, photo = (
        [box["x"] - frame["x"], box["y"] - frame["y"], box["width"], box["height"]]
        for box, frame in zip(boxes, frames, strict=True)
        if box and frame
    )
    assert labels == pytest.approx(photo, abs=1)
    mouse.move(*here)
    ring = page.locator("#ring").bounding_box()
    assert ring is not None
    assert ring["width"] == pytest.approx(9 * zoom(clear), abs=1), "the ring is as large as the brush"
    assert ring["x"] + ring["width"] / 2 == pytest.approx(here[0], abs=1)
    mouse.down()
    mouse.up()
    dab = house(clear)
    assert dab[np.hypot(X - 100, Y - 150) <= 4].all()
    assert not dab[np.hypot(X - 100, Y - 150) > 5].any()
    page.keyboard.down("Space")
    mouse.down()
    mouse.move(here[0] + 80, here[1] - 50, steps=3)
    mouse.up()
    page.keyboard.up("Space")
    assert clear.at(*at((100, 150))[0]) == pytest.approx((here[0] + 80, here[1] - 50), abs=1)
    mouse.down(button="middle")
    mouse.move(*here, steps=3)
    mouse.up(button="middle")
    assert clear.at(*at((100, 150))[0]) == pytest.approx(here, abs=1)
    page.keyboard.press("h")
    mouse.down()
    mouse.move(here[0] + 30, here[1], steps=3)
    mouse.up()
    assert clear.at(*at((100, 150))[0]) == pytest.approx((here[0] + 30, here[1]), abs=1)
    assert np.array_equal(house(clear), dab), "panning paints nothing"
    page.keyboard.press("0")
    assert zoom(clear) == pytest.approx(fit)


def test_zooming_by_keys_and_buttons(clear: Studio) -> None:
    keys, fit = clear.page.keyboard, zoom(clear)
    keys.press("+")
    assert zoom(clear) == pytest.approx(1.4 * fit)
    keys.press("-")
    assert zoom(clear) == pytest.approx(fit)
    keys.press("z")
    assert zoom(clear) == pytest.approx(1)
    expect(clear.page.locator("#zoom-text")).to_have_text("100 %")
    clear.do("zoom-fit")
    assert zoom(clear) == pytest.approx(fit)
    for _ in range(20):
        keys.press("=")
    assert zoom(clear) == pytest.approx(40)
