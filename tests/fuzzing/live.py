"""Whole conversations with a live session, held against a model of it (desk.py).

An input is a row of steps: two bytes say the kind of step and its length, then come its bytes. Any bytes are
such a row. After each step the session must hold what the model holds; a message that is refused or cannot be
read must have changed nothing; and what `take` hands out must keep the device's copy equal to the map.
"""

from __future__ import annotations

import json

import numpy as np

from server import protocol
from server.maps import resize_nearest
from server.protocol import MalformedError
from server.rendering import Document
from server.session import Outcome, Session
from tests.fuzzing.client import BINARY, TAKE, TEXT, make, steps
from tests.fuzzing.desk import LIMITS, MODELS, Desk, Device, plain_cells
from tests.fuzzing.harness import ACCEPTED, Target


class Conversation:
    """A session and its model, side by side."""

    def __init__(self) -> None:
        self.session = Session("fuzz", MODELS, LIMITS)
        self.desk = Desk()
        self.said = ACCEPTED

    def step(self, kind: int, data: bytes) -> bool:
        """One step; False when the connection would be closed. Raises AssertionError where they differ."""
        if kind == TEXT:
            return self._text(data)
        if kind == BINARY:
            return self._binary(data)
        if kind == TAKE:
            self._take(exact=len(data) % 2 == 0, small=len(data) % 4 > 1)
        else:
            self._lose(small=len(data) % 2 == 1, known=len(data) % 4 < 2, forgotten=len(data) % 8 > 3)
        return True

    def _lose(self, *, small: bool, known: bool, forgotten: bool) -> None:
        """The device lost one of its copies, or forgot the small one, or lost one of another document."""
        epoch = self.desk.epoch or 0
        if small and known and forgotten:
            self.session.drop_small()
        else:
            self.session.lost(Document("fuzz", epoch if known else epoch + 1, small))
        if self.desk.paper is not None and known:
            self.desk.paper.devices.pop(small, None)

    def _text(self, data: bytes) -> bool:
        try:
            message = protocol.parse_text(data.decode())
        except UnicodeDecodeError:
            return True  # a socket refuses it before we see it
        except MalformedError:
            return self._closed()
        match message:
            case protocol.Open():
                self._compare(self.desk.open(message), self.session.open(message))
            case protocol.Style():
                paper = self.desk.paper
                here = paper is not None and paper.epoch == message.epoch
                expected = paper.light(message) if here else "ignored"
                self._compare(expected, self.session.style(message))
            case protocol.Ack():
                assert self.session.is_current(message.epoch) == (
                    self.desk.paper is not None and self.desk.paper.epoch == message.epoch
                )
            case protocol.Ping():
                assert json.loads(protocol.pong(message.t))["t"] == message.t
        return True

    def _binary(self, data: bytes) -> bool:
        _check_frame(data)
        paper, cells = self.desk.paper, None
        try:
            header = protocol.parse_cells_header(data)
        except MalformedError:
            header = None
        here = header is not None and paper is not None and paper.epoch == header.epoch
        if here:
            cells = plain_cells(data, paper)
        try:
            outcome = self.session.put(data)
        except MalformedError:
            assert header is None or (here and cells is None), "a message that can be read was refused"
            return self._closed()
        assert header is not None
        if not here:
            self._compare("ignored", outcome)
            return True
        assert cells is not None, "a message that cannot be read was taken"
        self._compare(paper.put(header, cells), outcome)
        return True

    def _closed(self) -> bool:
        self.said = "malformed"
        self.check()
        return False

    def _compare(self, expected: str, outcome: Outcome) -> None:
        types = " ".join(json.loads(text)["type"] for text in outcome.replies)
        wanted = "" if expected == "ignored" else expected
        assert types == wanted, f"answered {types or 'nothing'!r}, expected {wanted or 'nothing'!r}"
        assert expected != "ignored" or not outcome.render
        self.said = expected if expected not in ("", "ready") and self.said == ACCEPTED else self.said
        self.check()

    def check(self) -> None:
        """The session holds what the model holds."""
        canvas, paper = self.session._canvas, self.desk.paper
        assert self.session._epoch == self.desk.epoch
        assert (canvas is None) == (paper is None)
        if canvas is None or paper is None:
            return
        assert (canvas.epoch, canvas.revision, canvas.held) == (paper.epoch, paper.revision, paper.held)
        assert len(canvas.regions) == paper.regions
        assert np.array_equal(canvas._labels.cells, paper.labels), "the session's map is another"
        assert np.array_equal(canvas._styles.cells, paper.styles), "the session's style plane is another"

    def _take(self, *, exact: bool, small: bool) -> None:
        paper, request = self.desk.paper, self.session.take(exact=exact, small=small)
        if paper is None or paper.revision is None or paper.held:
            assert request is None
            return
        assert request is not None
        assert request.revision == paper.revision
        assert request.document is not None
        assert request.document.small == small
        size = (request.height, request.width)
        if request.fresh:
            assert request.changes
            paper.devices[small] = Device(size, *(np.zeros(size, np.uint8) for _ in range(2)))
        assert small in paper.devices, "the device was to go on with a document that it does not have"
        device = paper.devices[small]
        assert device.size == size
        device.apply(request)
        shown = np.where(paper.styles > paper.regions, 0, paper.styles).astype(np.uint8)
        assert np.array_equal(device.labels, resize_nearest(paper.labels, *size[::-1]))
        assert np.array_equal(device.styles, resize_nearest(shown, *size[::-1]))


def _check_frame(data: bytes) -> None:
    """A client reads the same bytes: a frame, or MalformedError."""
    try:
        frame = protocol.decode_frame(data)
    except MalformedError:
        return
    assert protocol.decode_frame(protocol.encode_frame(frame)) == frame


def judge(data: bytes) -> str:
    """Hold the conversation; the first thing that was not accepted is the verdict."""
    conversation = Conversation()
    for kind, step in steps(data):
        if not conversation.step(kind, step):
            break
    return conversation.said


TARGET = Target("protocol", make, judge)
