"""A painter without a socket: revisions, acknowledgements, and what it does when the line ends."""

import json
from dataclasses import replace

import numpy as np
import pytest

from server import protocol
from server.loadtool.hand import Dab, Move, Rect
from server.loadtool.page import ASK_AFTER, HANG_UP_AFTER, Page, retry_delay
from server.protocol import Close, Frame

READY = {"type": "ready", "paints_width": 8, "paints_height": 8}
FRAME = Frame("jpeg", True, True, 1, 1, 1, 8, 8, 0, 250_000, "00" * 4, b"picture")


def page(now: float = 0.0) -> Page:
    """One whose map is on its way."""
    opened = Page(np.zeros((8, 8), np.uint8), "ab" * 8, 5)
    opening = protocol.parse_text(opened.opening(now))
    assert isinstance(opening, protocol.Open)
    assert (opening.epoch, opening.width, opening.seed) == (opened.epoch, 8, 5)
    assert opened.flush(now) is None, "nothing before the server is ready"
    opened.told(json.dumps(READY | {"epoch": opened.epoch}), now)
    header = protocol.parse_cells_header(opened.flush(now) or b"")
    assert (header.kind, header.revision, header.epoch) == (protocol.WHOLE, 1, opened.epoch)
    return opened


def dab(label: int = 3) -> Move:
    return Move(0.0, Dab(1, 2, np.ones((2, 3), np.bool_)), label, 0, 0)


def test_strokes_between_two_messages_are_one_patch_of_the_maps_labels() -> None:
    painter = page()
    painter.paint(dab(), 1.0)
    painter.mark(Rect(5, 5, 1, 1), 1.1)
    message = painter.flush(1.2) or b""
    header = protocol.parse_cells_header(message)
    assert (header.kind, header.revision) == (protocol.PATCH, 2)
    assert (header.x, header.y, header.width, header.height) == (1, 2, 5, 4)
    cells = protocol.read_cells(header, message, 8, 8)
    assert (cells == painter.labels[2:6, 1:6]).all()
    assert (cells == 3).sum() == 6
    assert painter.flush(1.3) is None


def test_a_change_is_shown_by_the_first_frame_that_is_not_older() -> None:
    painter = page()
    painter.show(FRAME, 0.5)
    for second in (1.0, 2.0, 3.0):
        painter.paint(dab(), second)
        painter.flush(second)
    assert json.loads(painter.show(replace(FRAME, revision=3, frame=2), 3.5) or "") == {
        "type": "ack",
        "epoch": 1,
        "frame": 2,
    }
    assert painter.journal.latencies == pytest.approx([0.5, 2.5, 1.5])
    assert painter.owed
    assert painter.journal.longest_wait == pytest.approx(2.5)
    painter.show(replace(FRAME, revision=4, frame=3), 5.0)
    assert painter.journal.latencies[-1] == pytest.approx(2.0)
    assert not painter.owed
    assert (painter.journal.frames, painter.journal.device) == (3, pytest.approx(0.75))


def test_frames_of_an_epoch_that_is_over_are_not_acknowledged() -> None:
    painter = page()
    assert painter.show(replace(FRAME, epoch=9), 1.0) is None
    assert painter.journal.frames == 0


def test_what_the_line_cut_off_is_shown_by_the_next_lines_first_frame() -> None:
    painter = page()
    painter.show(FRAME, 0.5)
    painter.paint(dab(), 1.0)
    painter.flush(1.0)
    painter.closed(1006, 0.0)
    painter.paint(dab(4), 2.0)
    assert painter.flush(2.0) is None
    painter.opening(3.0)
    painter.told(json.dumps(READY | {"epoch": 2}), 3.0)
    message = painter.flush(3.0) or b""
    header = protocol.parse_cells_header(message)
    assert header.kind == protocol.WHOLE
    assert (protocol.read_cells(header, message, 8, 8) == painter.labels).all()
    painter.show(replace(FRAME, epoch=2), 4.0)
    assert painter.journal.latencies[-1] == pytest.approx(3.0)
    assert not painter.owed


def test_a_resync_brings_the_whole_map() -> None:
    painter = page()
    painter.told(protocol.resync(epoch=1, expected=2, got=3, reason=""), 1.0)
    assert protocol.parse_cells_header(painter.flush(1.0) or b"").kind == protocol.WHOLE
    assert painter.journal.resyncs == 1


def test_it_comes_back_as_the_page_does() -> None:
    painter = page()
    waits = [painter.closed(1006, 0.5) for _ in range(7)]
    assert waits == pytest.approx([0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    assert retry_delay(0, 0.0) == pytest.approx(0.3)
    painter.told(protocol.bye(reason="full", retry_after=12.0), 1.0)
    assert painter.closed(Close.TOO_MANY, 0.5) == 12.0
    painter.opening(2.0)
    painter.told(json.dumps(READY | {"epoch": 2}), 2.0)
    assert painter.closed(Close.TOO_MANY, 0.5) == 5.0
    assert painter.closed(Close.MALFORMED, 0.5) is None


def test_a_dead_line_is_asked_and_then_hung_up() -> None:
    painter = page()
    assert painter.watch(ASK_AFTER - 0.1) is None
    assert "ping" in (painter.watch(ASK_AFTER + 0.1) or "")
    assert painter.watch(ASK_AFTER + 0.2) is None
    with pytest.raises(TimeoutError):
        painter.watch(HANG_UP_AFTER + 0.1)
    painter.show(FRAME, 16.0)
    assert painter.watch(99.0) is None, "silence is right where nothing is owed"


def test_load_levels_and_errors_are_counted() -> None:
    painter = page()
    painter.told(json.dumps({"type": "load", "level": "smaller", "painters": 40}), 1.0)
    painter.show(replace(FRAME, width=4, height=4), 1.0)
    painter.told(
        protocol.error(epoch=1, code="wrong-style", title="", detail="", next_step="", fatal=False), 1.0
    )
    painter.told('{"type":"something of a later server"}', 1.0)
    assert painter.journal.levels == {"smaller": 1}
    assert painter.journal.smaller == 1
    assert painter.journal.errors == {"error wrong-style": 1}
