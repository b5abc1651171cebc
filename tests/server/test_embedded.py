"""What a PNG says of its own making is read within bounds."""

import json

import numpy as np

from models.spec import MAX_STYLE_DIM
from server.codecs import encode_map
from server.embedded import read_embedded
from server.protocol import MAX_REGIONS
from server.provenance import PictureMetadata, picture_json
from tests.server.conftest import LANDSCAPE

CODE = (-1.234567890123456e-05,) * MAX_STYLE_DIM


def text(**more: object) -> str:
    labels = np.full((4, 6), 3, np.uint8)
    metadata = PictureMetadata(
        "generated",
        "landscape",
        seed=7,
        style=CODE,
        styles=(CODE,) * MAX_REGIONS,
        labels=LANDSCAPE,
        map=encode_map(labels, LANDSCAPE),
    )
    return json.dumps(picture_json(metadata) | more)


def test_the_longest_that_we_write_is_read() -> None:
    said = read_embedded(text(), 100)
    assert said is not None
    assert (said.model, said.seed, said.style, said.by_region) == ("landscape", 7, CODE, True)
    assert said.map is not None
    assert (said.map == 3).all()


def test_more_values_than_we_ever_write_are_not_parsed() -> None:
    assert read_embedded(text(more=[[]] * 100_000), 100) is None
    assert read_embedded("[" * 100_000, 100) is None
    assert read_embedded(text(more="\ud800"), 100) is None
