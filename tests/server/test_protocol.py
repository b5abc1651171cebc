"""The live protocol agrees with the vectors of tests/data/protocol.json, and refuses hostile messages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine import MAX_REGIONS
from models.spec import MAX_STYLE_DIM
from server import protocol
from server.protocol import MalformedError

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "protocol.json").read_text())


def named(group: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in VECTORS[group]]


def ids_of(vector: dict[str, Any]) -> np.ndarray:
    ids = vector["ids"]
    flat = [ids["repeat"]] * ids["count"] if isinstance(ids, dict) else ids
    return np.array(flat, np.uint8).reshape(vector["height"], vector["width"])


def read(data: bytes, canvas: list[int]) -> np.ndarray:
    return protocol.read_cells(protocol.parse_cells_header(data), data, *canvas)


def test_names_and_codes_match() -> None:
    assert VECTORS["subprotocol"] == protocol.SUBPROTOCOL
    assert VECTORS["closeCodes"] == {
        "goingAway": protocol.Close.GOING_AWAY,
        "tooBig": protocol.Close.TOO_BIG,
        "tooMany": protocol.Close.TOO_MANY,
        "malformed": protocol.Close.MALFORMED,
        "token": protocol.Close.TOKEN,
        "origin": protocol.Close.ORIGIN,
        "subprotocol": protocol.Close.SUBPROTOCOL,
        "idle": protocol.Close.IDLE,
        "tooManySockets": protocol.Close.TOO_MANY_SOCKETS,
    }


@pytest.mark.parametrize("vector", named("labels"))
def test_labels_are_read(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    header = protocol.parse_cells_header(data)
    for field in ("kind", "encoding", "epoch", "revision", "x", "y", "width", "height"):
        assert getattr(header, field) == vector[field]
    assert header.more == vector.get("more", False)
    assert (header.styles, header.whole) == (vector["kind"] > 2, vector["kind"] % 2 == 0)
    assert np.array_equal(read(data, vector["canvas"]), ids_of(vector))


@pytest.mark.parametrize("vector", [v for v in VECTORS["labels"] if v["shortest"]], ids=lambda v: v["name"])
def test_labels_are_written_in_the_shorter_encoding(vector: dict[str, Any]) -> None:
    encode = protocol.encode_styles if vector["kind"] > 2 else protocol.encode_labels
    data = encode(
        vector["epoch"],
        vector["revision"],
        vector["x"],
        vector["y"],
        ids_of(vector),
        whole=vector["kind"] % 2 == 0,
        more=vector.get("more", False),
    )
    assert data.hex() == vector["hex"]


@pytest.mark.parametrize("vector", named("labelsBad"))
def test_bad_labels_are_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        read(bytes.fromhex(vector["hex"]), vector["canvas"])


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_labels_come_back(width: int, height: int, classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, (height, width), np.uint8)
    data = protocol.encode_labels(1, 2, 0, 0, labels, whole=True)
    assert np.array_equal(read(data, [width, height]), labels)
    assert len(data) <= protocol.CELLS_HEADER + labels.size


@given(st.binary(max_size=200))
def test_random_bytes_are_labels_or_malformed(data: bytes) -> None:
    try:
        labels = read(data, [64, 64])
    except MalformedError:
        return
    assert labels.size <= 64 * 64


@pytest.mark.parametrize("vector", named("frames"))
def test_frames_agree(vector: dict[str, Any]) -> None:
    frame = protocol.decode_frame(bytes.fromhex(vector["hex"]))
    expected = {key: value for key, value in vector.items() if key not in ("name", "hex", "picture")}
    assert {key: getattr(frame, key) for key in expected} == expected
    assert frame.picture.hex() == vector["picture"]
    assert protocol.encode_frame(frame).hex() == vector["hex"]


@pytest.mark.parametrize("vector", named("framesBad"))
def test_bad_frames_are_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        protocol.decode_frame(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", named("clientText"))
def test_control_messages_are_read(vector: dict[str, Any]) -> None:
    assert protocol.parse_text(vector["text"]).model_dump() == vector["message"]


@pytest.mark.parametrize("vector", named("clientTextBad"))
def test_bad_control_messages_are_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        protocol.parse_text(vector["text"])


@given(st.text(max_size=100))
def test_random_text_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        protocol.parse_text(text)


LONGEST_CODE = [-1.234567890123456e-05] * MAX_STYLE_DIM
A_STYLE = {"type": "style", "epoch": 1, "revision": 1, "seed": 1}


def test_the_longest_style_is_read() -> None:
    text = json.dumps({**A_STYLE, "style": LONGEST_CODE, "regions": [LONGEST_CODE] * MAX_REGIONS})
    message = protocol.parse_text(text)
    assert isinstance(message, protocol.Style)
    assert message.style == LONGEST_CODE
    assert message.regions == [LONGEST_CODE] * MAX_REGIONS


def test_text_of_more_values_than_any_message_has_is_not_even_parsed() -> None:
    with pytest.raises(MalformedError, match="more values"):
        protocol.parse_text('{"type":"ping","t":1,"more":[' + "[]," * (20 * MAX_STYLE_DIM) + "[]]}")


def test_many_wrong_numbers_are_one_error() -> None:
    with pytest.raises(MalformedError, match=r"regions\.0\.0") as refused:
        protocol.parse_text(json.dumps({**A_STYLE, "regions": [["x"] * MAX_STYLE_DIM]}))
    cause = refused.value.__context__
    assert isinstance(cause, ValidationError)
    assert cause.error_count() == 1


WRITERS = {
    "ready": protocol.ready,
    "resync": protocol.resync,
    "error": protocol.error,
    "pong": protocol.pong,
    "bye": protocol.bye,
}


@pytest.mark.parametrize("vector", named("serverText"))
def test_server_messages_are_written(vector: dict[str, Any]) -> None:
    message = vector["message"]
    fields = {{"next": "next_step"}.get(key, key): value for key, value in message.items() if key != "type"}
    assert json.loads(WRITERS[message["type"]](**fields)) == message
