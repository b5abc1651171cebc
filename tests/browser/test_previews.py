"""Previews while the hand moves, the exact photo when it rests: on the tests' engine, whose previews show."""

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, WebSocket, expect

from server import protocol
from tests.browser.conftest import Studio
from tests.server.conftest import Served, served
from tests.server.fake_engine import FakeLibrary
from tests.server.test_live import wait_for


@pytest.fixture
def library() -> FakeLibrary:
    return FakeLibrary(seconds=0.01)


@pytest.fixture
def server(library: FakeLibrary) -> Iterator[Served]:
    with served(library) as running:
        # Longer than a busy machine takes between two moves of the mouse.
        running.services.worker.scheduler._shortest_rest = 0.5
        yield running
        library.exact_gate.set()


@pytest.fixture
def frames(page: Page) -> list[protocol.Frame]:
    """The frames that the page was sent."""
    received: list[protocol.Frame] = []

    def listen(socket: WebSocket) -> None:
        socket.on(
            "framereceived",
            lambda data: received.append(protocol.decode_frame(data)) if isinstance(data, bytes) else None,
        )

    page.on("websocket", listen)
    return received


def test_a_stroke_is_previews_and_a_rest_brings_the_exact_photo(
    page: Page, server: Served, library: FakeLibrary, frames: list[protocol.Frame], complaints: list[str]
) -> None:
    studio = Studio(page, server.url).open()
    library.previews = True
    pace = page.locator("#pace")
    expect(pace).to_have_attribute("data-quality", "exact")
    before = studio.picture
    studio.choose("house")
    library.exact_gate.clear()
    first = len(frames)
    studio.press([(0.2, 0.3), (0.5, 0.35), (0.8, 0.3)])
    studio.until("s.settled && !s.frame.exact")
    expect(pace).to_have_attribute("data-quality", "preview")
    expect(pace).to_contain_text("preview")
    preview = studio.picture
    library.exact_gate.set()
    studio.settle()  # with the button still down
    assert studio.read("s.studio.hand.busy")
    expect(pace).to_have_attribute("data-quality", "exact")
    expect(pace).to_contain_text("exact photo")
    assert studio.picture != preview
    page.mouse.up()
    *previews, last = frames[first:]
    assert not any(frame.exact for frame in previews)
    assert last.exact
    assert last.revision == previews[-1].revision == studio.read("s.frame.revision")
    page.keyboard.press("Control+z")
    studio.settle()
    assert studio.picture == before


def test_what_is_downloaded_is_exact_even_while_a_preview_shows(
    page: Page, server: Served, library: FakeLibrary, frames: list[protocol.Frame], complaints: list[str]
) -> None:
    studio = Studio(page, server.url).open()
    studio.do("dice")  # the seed's own light, not the one that the starter scene names
    studio.settle()
    library.previews = True
    library.exact_gate.clear()
    studio.choose("house")
    studio.drag((0.2, 0.3), (0.8, 0.3))
    studio.until("s.settled && !s.frame.exact")
    scheduler = server.services.worker.scheduler
    with page.expect_download() as download:
        studio.do("save-photo")
        wait_for(lambda: scheduler._admitted)  # the device is held at this picture or at the exact frame
        assert not studio.read("s.frame.exact"), "a preview is shown while the photo is asked for"
        preview = page.locator("#pace").get_attribute("data-quality")
        library.exact_gate.set()
    assert preview == "preview"
    assert download.value.suggested_filename.endswith(".png"), "not the picture on the screen"
    photo = np.asarray(Image.open(download.value.path()).convert("RGB"))
    painter = library.painter(None, photo.shape[1], photo.shape[0])
    painter.set_map(studio.labels)
    painter.set_style(studio.read("s.studio.document.seed"))
    assert np.array_equal(photo, painter.paint("exact"))
    library.previews = True
    assert not np.array_equal(photo, painter.paint("live")), "a preview would look different"
    studio.settle()
