"""The session alone: epochs, revisions, gaps, and what it hands to the device."""

import json
from typing import Any

import numpy as np
import pytest

from server import protocol
from server.limits import Limits
from server.protocol import MalformedError, Open, Style
from server.session import Outcome, Session
from tests.server.fake_engine import FakeLibrary

LIBRARY = FakeLibrary()
HASH = LIBRARY.spec().labels.hash


def opening(**changes: Any) -> Open:
    fields = {
        "type": "open",
        "epoch": 7,
        "width": 16,
        "height": 8,
        "label_set": HASH,
        "seed": 1,
    }
    return Open.model_validate({**fields, **changes})


def styling(revision: int, **changes: Any) -> Style:
    return Style.model_validate({"type": "style", "epoch": 7, "revision": revision, "seed": 2, **changes})


def whole(revision: int, value: int = 1, epoch: int = 7) -> bytes:
    return protocol.encode_labels(epoch, revision, 0, 0, np.full((8, 16), value, np.uint8), whole=True)


def patch(revision: int, x: int = 2, y: int = 3, value: int = 3, size: int = 2, epoch: int = 7) -> bytes:
    return protocol.encode_labels(epoch, revision, x, y, np.full((size, size), value, np.uint8))


def said(outcome: Outcome) -> dict[str, Any]:
    (reply,) = outcome.replies
    return json.loads(reply)


@pytest.fixture
def session() -> Session:
    return Session("s", LIBRARY, Limits(64, 2048))


@pytest.fixture
def painting(session: Session) -> Session:
    """A session with a whole map at revision 10, which the device has taken."""
    session.open(opening())
    assert session.put(whole(10)) == Outcome(render=True)
    assert session.take() is not None
    return session


def test_open_is_answered_and_renders_nothing_yet(session: Session) -> None:
    outcome = session.open(opening())
    assert said(outcome) == {
        "type": "ready",
        "epoch": 7,
        "session": "s",
        "model": "fake",
        "label_set": HASH,
        "width": 16,
        "height": 8,
        "paints_width": 16,
        "paints_height": 8,
    }
    assert outcome.opened
    assert not outcome.render
    assert session.take() is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"width": 65}, "picture-too-large"),
        ({"width": 64, "height": 33}, "picture-too-large"),
        ({"model": "none"}, "unknown-model"),
        ({"model": "city"}, "wrong-label-set"),
        ({"label_set": "0" * 16}, "wrong-label-set"),
        ({"style": [1.0]}, "wrong-style"),
        ({"style": [101.0, 0.0, 0.0, 0.0]}, "wrong-style"),
    ],
)
def test_a_document_that_cannot_be_opened(session: Session, changes: dict[str, Any], code: str) -> None:
    outcome = session.open(opening(**changes))
    message = said(outcome)
    assert (message["type"], message["code"], message["fatal"]) == ("error", code, False)
    assert message["detail"]
    assert message["next"]
    assert session.put(whole(1)) == Outcome()
    assert said(session.open(opening(epoch=8)))["type"] == "ready"


def test_a_failed_open_ends_the_document_before(painting: Session) -> None:
    assert painting.open(opening(epoch=8, width=65)).opened
    assert painting.put(patch(11)) == Outcome()
    assert not painting.is_current(7)


def test_epochs_only_grow(painting: Session) -> None:
    for epoch in (7, 6):
        outcome = painting.open(opening(epoch=epoch))
        assert said(outcome)["code"] == "old-epoch"
        assert not outcome.opened
    assert painting.put(patch(11)).render  # the document goes on


def test_messages_of_another_epoch_are_ignored(painting: Session) -> None:
    assert painting.put(patch(11, epoch=6)) == Outcome()
    assert painting.put(whole(11, epoch=8)) == Outcome()
    assert painting.style(styling(11, epoch=6)) == Outcome()
    assert painting.put(patch(11)).render


def test_a_whole_map_may_carry_any_revision(painting: Session) -> None:
    assert painting.put(whole(500)).render
    assert painting.put(patch(501)).render
    assert painting.put(whole(3)).render
    assert painting.put(patch(4)).render


def test_patches_are_applied_in_order(painting: Session) -> None:
    painting.put(patch(11, x=0, y=0, value=3, size=4))
    painting.put(patch(12, x=2, y=2, value=8, size=4))
    request = painting.take()
    assert request is not None
    assert request.revision == 12
    (change,) = request.changes
    assert (change.x, change.y, change.labels.shape) == (0, 0, (6, 6))
    expected = np.full((6, 6), 1, np.uint8)
    expected[0:4, 0:4] = 3
    expected[2:6, 2:6] = 8
    assert np.array_equal(change.labels, expected)


def test_only_what_changed_is_taken(painting: Session) -> None:
    painting.put(patch(11))
    first = painting.take()
    assert first is not None
    assert not first.fresh
    assert first.changes[0].labels.shape == (2, 2)
    again = painting.take()
    assert again is not None
    assert again.changes == ()


def test_the_first_request_is_a_fresh_whole_map(session: Session) -> None:
    session.open(opening(seed=9, style=[1, 2, 3, 4]))
    session.put(whole(1, value=5))
    session.put(patch(2))
    request = session.take()
    assert request is not None
    assert request.fresh
    assert (request.model, request.width, request.height) == ("fake", 16, 8)
    assert (request.seed, request.style, request.revision) == (9, (1.0, 2.0, 3.0, 4.0), 2)
    assert request.changes[0].labels.shape == (8, 16)
    assert request.changes[0].labels[3, 2] == 3


def test_what_was_taken_does_not_change(painting: Session) -> None:
    painting.put(patch(11, value=3))
    request = painting.take()
    assert request is not None
    painting.put(patch(12, value=8))
    assert set(request.changes[0].labels.reshape(-1).tolist()) == {3}


@pytest.mark.parametrize("revision", [10, 12, 9, 0])
def test_a_gap_is_said_once_and_ends_with_a_whole_map(painting: Session, revision: int) -> None:
    message = said(painting.put(patch(revision)))
    assert (message["type"], message["expected"], message["got"]) == ("resync", 11, revision)
    assert painting.put(patch(11)) == Outcome()
    assert painting.put(patch(13)) == Outcome()
    assert painting.take() is None
    assert painting.put(whole(20, value=6)).render
    assert painting.put(patch(21)).render
    request = painting.take()
    assert request is not None
    assert request.revision == 21
    assert request.changes[0].labels[0, 0] == 6


def test_a_patch_before_the_whole_map_is_ignored(session: Session) -> None:
    session.open(opening())
    assert session.put(patch(1)) == Outcome()
    assert session.put(whole(1)).render


def test_a_style_is_a_change(painting: Session) -> None:
    assert painting.style(styling(11, seed=77, style=[0, 0, 0, 1])).render
    request = painting.take()
    assert request is not None
    assert (request.revision, request.seed, request.style) == (11, 77, (0.0, 0.0, 0.0, 1.0))
    assert request.changes == ()
    assert painting.put(patch(12)).render


def test_a_style_in_a_gap_is_kept(painting: Session) -> None:
    painting.put(patch(99))
    assert painting.style(styling(100, seed=5)) == Outcome()
    painting.put(whole(101))
    request = painting.take()
    assert request is not None
    assert request.seed == 5


def test_a_style_that_makes_a_gap_asks_for_the_map(painting: Session) -> None:
    assert said(painting.style(styling(15, seed=5)))["type"] == "resync"


@pytest.mark.parametrize("style", [[1, 2], [101, 0, 0, 0], [0, 0, 0, -100.5]])
def test_a_wrong_style_is_refused_and_painting_goes_on(painting: Session, style: list[float]) -> None:
    message = said(painting.style(styling(11, seed=3, style=style)))
    assert (message["code"], message["fatal"]) == ("wrong-style", False)
    assert painting.put(patch(12)).render
    request = painting.take()
    assert request is not None
    assert request.seed == 1


def test_an_unknown_label_is_named_and_the_map_awaited(painting: Session) -> None:
    message = said(painting.put(patch(11, value=99)))
    assert (message["code"], message["fatal"]) == ("unknown-label", False)
    assert "id 99 (4 pixels" in message["detail"]
    assert painting.put(patch(12)) == Outcome()
    assert painting.put(whole(13)).render


@pytest.mark.parametrize("data", [b"", b"\x01" * 10, patch(11)[:-1], patch(11, x=15)])
def test_malformed_labels(painting: Session, data: bytes) -> None:
    with pytest.raises(MalformedError):
        painting.put(data)


def test_a_lost_painter_is_begun_anew(painting: Session) -> None:
    painting.put(patch(11))
    painting.take()
    painting.lost(epoch=6)
    request = painting.take()
    assert request is not None
    assert not request.fresh
    painting.lost(epoch=7)
    request = painting.take()
    assert request is not None
    assert request.fresh
    assert request.changes[0].labels[3, 2] == 3


def test_a_frame_says_what_it_shows(painting: Session) -> None:
    painting.put(patch(11))
    request = painting.take()
    assert request is not None
    sent = painting.frame(request, 4, b"jpeg", exact=True, waited=0.5, seconds=0.25)
    frame = protocol.decode_frame(sent)
    assert (frame.epoch, frame.revision, frame.frame) == (7, 11, 4)
    assert (frame.width, frame.height, frame.format) == (16, 8, "jpeg")
    assert (frame.waited_us, frame.render_us) == (500_000, 250_000)
    assert frame.exact
    assert frame.newest
    assert frame.label_set == HASH[:8]
    assert frame.picture == b"jpeg"
    painting.put(patch(12))
    later = painting.frame(request, 4, b"jpeg", exact=False, waited=0.5, seconds=0.25)
    assert not protocol.decode_frame(later).newest
    assert not protocol.decode_frame(later).exact
