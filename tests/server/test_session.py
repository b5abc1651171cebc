"""The session alone: epochs, revisions, gaps, and what it hands to the device."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from server import protocol
from server import session as session_module
from server.limits import Limits
from server.maps import resize_nearest
from server.protocol import MalformedError, Open, Style
from server.rendering import Document, RenderRequest, batch_key
from server.session import Outcome, Session, half_of
from tests.server.fake_engine import FakeLibrary, fake_spec

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


def numbers(
    revision: int, x: int = 2, y: int = 3, value: int = 1, size: int = 2, *, more: bool = False
) -> bytes:
    """A patch of style numbers."""
    return protocol.encode_styles(7, revision, x, y, np.full((size, size), value, np.uint8), more=more)


def plane(revision: int, value: int = 1) -> bytes:
    """A whole plane of style numbers."""
    return protocol.encode_styles(7, revision, 0, 0, np.full((8, 16), value, np.uint8), whole=True)


def said(outcome: Outcome) -> dict[str, Any]:
    (reply,) = outcome.replies
    return json.loads(reply)


@pytest.fixture
def session() -> Session:
    return Session("s", LIBRARY, Limits(64, 2048))


def taken(session: Session) -> RenderRequest:
    request = session.take()
    assert request is not None
    return request


REGIONS = [[1.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]]


@pytest.fixture
def painting(session: Session) -> Session:
    """A session with a whole map at revision 10, which the device has taken."""
    session.open(opening())
    assert session.put(whole(10)) == Outcome(render=True)
    assert session.take() is not None
    return session


@pytest.fixture
def regional(session: Session) -> Session:
    """The same with two regions, of which the left half has the first."""
    session.open(opening(regions=REGIONS))
    session.put(whole(10))
    session.put(protocol.encode_styles(7, 11, 0, 0, np.ones((8, 8), np.uint8)))
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
    painting.lost(Document("s", 6))
    request = painting.take()
    assert request is not None
    assert not request.fresh
    painting.lost(Document("s", 7))
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


# Styles by region


def test_regions_and_their_numbers_are_in_the_request(session: Session) -> None:
    assert said(session.open(opening(regions=REGIONS)))["type"] == "ready"
    session.put(whole(1))
    assert session.put(numbers(2, value=2)).render
    request = taken(session)
    assert request.fresh
    assert request.regions == ((1.0, 0.0, 0.0, 0.0), (0.0, 2.0, 0.0, 0.0))
    (change,) = request.style_changes
    expected = np.zeros((8, 16), np.uint8)
    expected[3:5, 2:4] = 2
    assert np.array_equal(change.numbers, expected)


def test_a_document_without_numbers_hands_out_none(painting: Session) -> None:
    painting.lost(Document("s", 7))
    request = taken(painting)
    assert (request.fresh, request.regions, request.style_changes) == (True, (), ())


def test_labels_and_numbers_change_each_for_itself(regional: Session) -> None:
    regional.put(numbers(12, x=10, y=6, value=2))
    request = taken(regional)
    assert (request.revision, request.changes) == (12, ())
    (change,) = request.style_changes
    assert (change.x, change.y, change.numbers.tolist()) == (10, 6, [[2, 2], [2, 2]])
    regional.put(patch(13, x=0, y=0))
    request = taken(regional)
    assert request.style_changes == ()
    assert [(one.x, one.y) for one in request.changes] == [(0, 0)]
    regional.put(patch(14, x=0, y=0))
    regional.put(numbers(15, x=0, y=0))
    regional.put(numbers(16, x=4, y=4))
    request = taken(regional)
    assert request.changes[0].labels.shape == (2, 2)
    assert request.style_changes[0].numbers.shape == (6, 6)


def test_numbers_that_were_taken_do_not_change(regional: Session) -> None:
    regional.put(numbers(12, value=2))
    request = taken(regional)
    regional.put(numbers(13, value=0))
    assert set(request.style_changes[0].numbers.reshape(-1).tolist()) == {2}


def test_a_whole_map_sets_all_numbers_to_0(regional: Session) -> None:
    assert regional.put(whole(100)).render
    (change,) = taken(regional).style_changes
    assert change.numbers.shape == (8, 16)
    assert not change.numbers.any()
    assert regional.put(whole(101)).render
    assert taken(regional).style_changes == ()  # there were none to begin with


def test_a_patch_of_numbers_can_be_a_gap_and_come_in_one(regional: Session) -> None:
    message = said(regional.put(numbers(14, value=2)))
    assert (message["type"], message["expected"], message["got"]) == ("resync", 12, 14)
    assert regional.put(numbers(15, value=2)) == Outcome()
    assert regional.put(plane(16)) == Outcome()  # only a whole map ends a gap
    assert regional.take() is None
    other = styling(17, regions=[[9, 9, 9, 9]])
    assert regional.style(other) == Outcome()
    assert regional.put(whole(20)).render
    assert regional.put(plane(21)).render
    request = taken(regional)
    assert (request.revision, request.regions) == (21, ((9.0, 9.0, 9.0, 9.0),))
    (change,) = request.style_changes
    assert (change.numbers == 1).all()


def test_a_whole_plane_is_a_change_like_any_other(regional: Session) -> None:
    assert said(regional.put(plane(13)))["type"] == "resync"


def test_numbers_of_another_epoch_are_ignored(regional: Session) -> None:
    ids = np.ones((2, 2), np.uint8)
    assert regional.put(protocol.encode_styles(6, 12, 0, 0, ids)) == Outcome()
    assert regional.put(numbers(12)).render


def test_a_lost_painter_gets_all_numbers_again(regional: Session) -> None:
    regional.put(numbers(12, x=14, y=0, value=2))
    taken(regional)
    regional.lost(Document("s", 7))
    (change,) = taken(regional).style_changes
    expected = np.zeros((8, 16), np.uint8)
    expected[:, :8], expected[0:2, 14:16] = 1, 2
    assert np.array_equal(change.numbers, expected)


@pytest.mark.parametrize("number", [3, 200, 255])
def test_an_unknown_number_changes_nothing_but_the_revision(regional: Session, number: int) -> None:
    outcome = regional.put(numbers(12, value=number))
    message = said(outcome)
    assert (message["code"], message["fatal"], outcome.render) == ("unknown-style-number", False, False)
    assert str(number) in message["detail"]
    assert regional.put(patch(13)).render
    assert taken(regional).style_changes == ()


def test_fewer_regions_leave_the_numbers_as_they_are(regional: Session) -> None:
    regional.put(numbers(12, x=12, y=0, value=2, size=4))
    taken(regional)
    assert regional.style(styling(13, regions=REGIONS[:1])).render
    request = taken(regional)
    assert request.regions == ((1.0, 0.0, 0.0, 0.0),)
    (change,) = request.style_changes
    assert set(np.unique(change.numbers).tolist()) == {0, 1}  # without a region: the document's own style
    assert regional.style(styling(14, regions=REGIONS)).render
    (change,) = taken(regional).style_changes
    assert (change.numbers[:4, 12:] == 2).all()
    assert regional.style(styling(15, regions=[[0, 0, 0, 5], *REGIONS[1:]])).render
    assert taken(regional).style_changes == ()  # the numbers are those that they were


def test_a_style_without_regions_has_none(regional: Session) -> None:
    assert regional.style(styling(12)).render
    request = taken(regional)
    assert request.regions == ()
    assert not request.style_changes[0].numbers.any()


@pytest.mark.parametrize("region", [[1, 2], [0, 0, 0, 101]])
def test_a_wrong_region_is_refused_with_the_whole_style(regional: Session, region: list[float]) -> None:
    message = said(regional.style(styling(12, seed=77, regions=[REGIONS[0], region])))
    assert message["code"] == "wrong-style"
    assert regional.put(patch(13)).render
    request = taken(regional)
    assert (request.seed, len(request.regions)) == (1, 2)
    assert (
        said(Session("t", LIBRARY, Limits(64, 2048)).open(opening(regions=[region])))["code"] == "wrong-style"
    )


def test_a_model_of_one_style_refuses_regions_and_goes_on(session: Session) -> None:
    city = LIBRARY.spec("city").labels.hash
    ready, error = session.open(opening(model="city", label_set=city, regions=REGIONS)).replies
    assert json.loads(ready)["type"] == "ready"
    assert (json.loads(error)["code"], json.loads(error)["fatal"]) == ("no-styles-by-region", False)
    assert session.put(whole(1)).render
    assert taken(session).regions == ()
    for revision, message in ((2, numbers(2)), (3, numbers(3, value=0)), (4, plane(4, 0))):
        outcome = session.put(message)
        assert said(outcome)["code"] == "no-styles-by-region"
        assert not outcome.render, revision
    assert said(session.style(styling(5, seed=9, regions=REGIONS)))["code"] == "no-styles-by-region"
    assert session.put(patch(6)).render
    request = taken(session)
    assert (request.seed, request.regions, request.style_changes) == (1, (), ())
    assert session.style(styling(7, seed=9)).render


# Batches


def test_nothing_is_painted_between_the_changes_of_a_batch(session: Session) -> None:
    session.open(opening(regions=REGIONS))
    held = protocol.encode_labels(7, 1, 0, 0, np.ones((8, 16), np.uint8), whole=True, more=True)
    assert session.put(held) == Outcome()
    assert session.take() is None
    assert session.put(numbers(2, more=True)) == Outcome()
    assert session.style(styling(3, regions=REGIONS, more=True)) == Outcome()
    assert session.take() is None
    assert session.put(numbers(4, x=8)).render
    request = taken(session)
    assert request.revision == 4
    assert request.style_changes[0].numbers.sum() == 8


def test_a_batch_whose_last_change_is_refused_is_painted_all_the_same(regional: Session) -> None:
    held = protocol.encode_labels(7, 12, 0, 0, np.full((2, 2), 3, np.uint8), more=True)
    assert regional.put(held) == Outcome()
    outcome = regional.put(numbers(13, value=9))
    assert (said(outcome)["code"], outcome.render) == ("unknown-style-number", True)
    assert taken(regional).changes[0].labels.tolist() == [[3, 3], [3, 3]]


def test_a_gap_in_a_batch_is_a_gap(regional: Session) -> None:
    held = protocol.encode_labels(7, 12, 0, 0, np.full((2, 2), 3, np.uint8), more=True)
    regional.put(held)
    assert said(regional.put(numbers(14)))["type"] == "resync"
    assert regional.put(whole(20)).render
    assert taken(regional).revision == 20


class Pair:
    """A page that says everything that it does, and a device that believes what it is given."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.session = Session("s", LIBRARY, Limits(64, 2048))
        self.labels = np.ones((8, 16), np.uint8)
        self.styles = np.zeros((8, 16), np.uint8)
        self.regions: list[list[float]] = []
        self.revision = 0
        # What the device knows: of the whole pictures, and of those at half the size.
        self.seen = {False: _Seen(8, 16), True: _Seen(4, 8)}
        self.session.open(opening(regions=[]))
        self.everything()

    def say(self, encode: Any, plane: np.ndarray, *, whole: bool = False) -> Outcome:
        x, y = (0, 0) if whole else (int(self.rng.integers(16)), int(self.rng.integers(8)))
        width, height = (
            (16, 8) if whole else (int(self.rng.integers(1, 17 - x)), int(self.rng.integers(1, 9 - y)))
        )
        piece = plane[y : y + height, x : x + width]
        if not whole:
            most = len(self.regions) + 1 if plane is self.styles else 9
            piece[:] = self.rng.integers(plane is self.labels, most)
        self.revision += 1
        more = bool(self.rng.random() < 0.2)
        return self.session.put(encode(7, self.revision, x, y, piece, whole=whole, more=more))

    def everything(self) -> None:
        self.styles[self.styles > len(self.regions)] = 0
        self.say(protocol.encode_labels, self.labels, whole=True)
        self.restyle(self.regions)
        self.say(protocol.encode_styles, self.styles, whole=True)

    def restyle(self, regions: list[list[float]]) -> Outcome:
        self.regions, self.revision = regions, self.revision + 1
        return self.session.style(styling(self.revision, regions=regions))

    def step(self) -> None:
        match int(self.rng.integers(12)):
            case 0:
                self.restyle([[float(i), 0, 0, 0] for i in range(self.rng.integers(4))])
            case 1:
                self.revision += 1  # is lost on the way; whatever comes after it is ignored
                lost = self.say(protocol.encode_styles, self.styles)
                assert said(lost)["type"] == "resync"
                self.say(protocol.encode_labels, self.labels)
                self.everything()
            case 2:
                self.session.lost(Document("s", 7, bool(self.rng.integers(2))))
            case 3 if self.rng.random() < 0.1:
                self.session.drop_small()  # what comes next at that size is fresh
            case 3 | 4 | 5:
                self.say(protocol.encode_labels, self.labels)
            case 6 | 7 | 8:
                self.say(protocol.encode_styles, self.styles)
            case _:
                self.paint()

    def paint(self) -> bool:
        small = bool(self.rng.integers(2))
        request = self.session.take(exact=not small, small=small)
        if request is None:
            return False
        assert request.document == Document("s", 7, small)
        assert (request.width, request.height) == ((8, 4) if small else (16, 8))
        seen = self.seen[small]
        if request.fresh:
            seen.forget()
        seen.take(request)
        assert request.revision == self.revision
        assert request.regions == tuple(map(tuple, self.regions))
        labels, styles = (_halved(one) if small else one for one in (self.labels, self.styles))
        assert np.array_equal(seen.labels, labels)
        assert np.array_equal(seen.styles, np.where(styles > seen.known, 0, styles))
        return True


class _Seen:
    """The planes that a device has put together from what it was given."""

    def __init__(self, height: int, width: int) -> None:
        self.shape = height, width
        self.forget()

    def forget(self) -> None:
        self.labels = np.zeros(self.shape, np.uint8)
        self.styles = np.zeros(self.shape, np.uint8)
        self.known = 0

    def take(self, request: RenderRequest) -> None:
        for change in request.changes:
            rows, columns = change.labels.shape
            self.labels[change.y : change.y + rows, change.x : change.x + columns] = change.labels
        for change in request.style_changes:
            rows, columns = change.numbers.shape
            assert change.numbers.max() <= max(len(request.regions), self.known)
            self.styles[change.y : change.y + rows, change.x : change.x + columns] = change.numbers
        self.known = len(request.regions)


def _halved(plane: np.ndarray) -> np.ndarray:
    """The pixels nearest to the centres of pixels twice as large."""
    return plane[1::2, 1::2]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_the_device_has_what_the_page_has_at_either_size(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "half_of", lambda paints, _spec: (paints[0] // 2, paints[1] // 2))
    pair = Pair(seed)
    painted = 0
    for _ in range(200):
        pair.step()
        painted += pair.paint()
    assert painted > 50


# A canvas that is larger than the model paints


@pytest.fixture
def small() -> Session:
    """A session with a model that paints 8×4 pixels at most; the canvas is 16×8 unless it is opened anew."""
    library = FakeLibrary()
    options = {"start_grid": [1, 2], "encoder_widths": [4]}
    library.add(replace(fake_spec("small", architecture="oasis", options=options), stride=4))
    session = Session("s", library, Limits(64, 2048))
    ready = said(session.open(opening(model="small", regions=REGIONS)))
    assert (ready["width"], ready["height"], ready["paints_width"], ready["paints_height"]) == (16, 8, 8, 4)
    return session


def test_the_device_gets_the_size_that_the_model_paints(small: Session) -> None:
    ids = (np.arange(8)[:, None] * 2 + np.arange(16)) % 17
    ids = ids.astype(np.uint8)
    small.put(protocol.encode_labels(7, 1, 0, 0, ids, whole=True))
    request = taken(small)
    assert (request.width, request.height) == (8, 4)
    assert np.array_equal(request.changes[0].labels, resize_nearest(ids, 8, 4))
    assert small.batch_key == batch_key("small", 4, 8, 4)
    sent = small.frame(request, 1, b"jpeg", exact=True, waited=0, seconds=0)
    frame = protocol.decode_frame(sent)
    assert (frame.width, frame.height) == (8, 4)


def test_patches_reach_exactly_the_pixels_that_they_decide(small: Session) -> None:
    rng = np.random.default_rng(5)
    ids = rng.integers(1, 9, (8, 16), np.uint8)
    styles = np.zeros((8, 16), np.uint8)
    small.put(protocol.encode_labels(7, 1, 0, 0, ids, whole=True))
    painted, shown = taken(small).changes[0].labels, np.zeros((4, 8), np.uint8)
    sizes = set[int]()
    for revision in range(2, 120):
        x, y = int(rng.integers(16)), int(rng.integers(8))
        width, height = int(rng.integers(1, 17 - x)), int(rng.integers(1, 9 - y))
        where = np.s_[y : y + height, x : x + width]
        if revision % 2:
            ids[where] = int(rng.integers(1, 9))
            small.put(protocol.encode_labels(7, revision, x, y, ids[where]))
        else:
            styles[where] = int(rng.integers(3))
            small.put(protocol.encode_styles(7, revision, x, y, styles[where]))
        request = taken(small)
        for change in request.changes:
            rows, columns = change.labels.shape
            painted[change.y : change.y + rows, change.x : change.x + columns] = change.labels
            sizes.add(change.labels.size)
        for change in request.style_changes:
            rows, columns = change.numbers.shape
            shown[change.y : change.y + rows, change.x : change.x + columns] = change.numbers
        assert np.array_equal(painted, resize_nearest(ids, 8, 4))
        assert np.array_equal(shown, resize_nearest(styles, 8, 4))
    assert min(sizes) == 1  # not the whole canvas each time


@pytest.mark.parametrize(
    ("size", "painted"),
    [
        ((16, 8), (8, 4)),
        ((64, 32), (8, 4)),
        ((8, 8), (4, 4)),
        ((64, 1), (8, 1)),
        ((8, 4), (8, 4)),
        ((3, 2), (3, 2)),
    ],
)
def test_the_shape_is_kept(small: Session, size: tuple[int, int], painted: tuple[int, int]) -> None:
    ready = said(small.open(opening(epoch=8, model="small", width=size[0], height=size[1])))
    assert (ready["paints_width"], ready["paints_height"]) == painted


# Smaller pictures


@pytest.mark.parametrize(
    ("paints", "half"),
    [((64, 64), None), ((127, 200), None), ((128, 128), (64, 64)), ((513, 128), (256, 64))],
)
def test_no_picture_is_halved_below_what_the_model_was_trained_at(
    paints: tuple[int, int], half: tuple[int, int] | None
) -> None:
    assert half_of(paints, fake_spec()) == half


def test_a_document_that_cannot_be_smaller_says_so(painting: Session) -> None:
    assert painting.batch_key is not None
    assert painting.small_key is None
