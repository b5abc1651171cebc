"""Files of labels, numbers, things and photos, for everything that reads one.

An input is a byte that names the reader, a byte whose lowest bit asks for the sums of a PNG's chunks to be
put right, and the file. What is accepted must keep what the reader promises: type, shape, the bound on
pixels, the ids of the label set, and the same once more after it was written and read again.
"""

from __future__ import annotations

import base64
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict

import numpy as np
from PIL import Image

from models.labels import load_label_set
from server.codecs import decode_instances, decode_map, decode_numbers, encode_map, encode_numbers
from server.embedded import read_embedded
from server.errors import Problem
from server.photos import decode_photo, decode_region, encode_photo
from server.provenance import PICTURE_FORMAT, PICTURE_VERSION
from server.styles import decode_style_map
from tests.fuzzing.harness import ACCEPTED, Target
from tests.fuzzing.mutation import mended_png, spoilt
from tests.server import fuzz
from tests.server.fuzz import mutated

LABELS = load_label_set("landscape17")
IDS = frozenset(LABELS.by_id)
MOST_PIXELS = 96 * 96
SHAPE = (16, 17)
_MEND = 1


# -- Judging


def refusal(problem: Problem) -> str:
    """The kind of a refusal, which is never the server's own failure."""
    assert 400 <= problem.status < 500, problem
    return problem.code


def _map(data: bytes) -> None:
    ids = decode_map(data, LABELS, MOST_PIXELS)
    _check_plane(ids, np.uint8)
    assert set(ids.ravel().tolist()) <= IDS, "the map holds ids that the label set does not have"
    assert _is_opaque(data), "pixels without a class were given one"
    assert np.array_equal(decode_map(encode_map(ids, LABELS), LABELS, MOST_PIXELS), ids)


def _numbers(data: bytes) -> None:
    numbers = decode_numbers(data, MOST_PIXELS)
    _check_plane(numbers, np.uint8)
    assert np.array_equal(decode_numbers(encode_numbers(numbers), MOST_PIXELS), numbers)
    assert np.array_equal(decode_style_map(data, MOST_PIXELS), numbers)


def _style_map(data: bytes) -> None:
    _check_plane(decode_style_map(data, MOST_PIXELS), np.uint8)


def _instances(data: bytes) -> None:
    things = decode_instances(data, SHAPE)
    _check_plane(things, np.uint16)
    assert things.shape == SHAPE


def _photo(data: bytes) -> None:
    photo = decode_photo(data, MOST_PIXELS)
    assert photo.samples.ndim == 3
    assert photo.samples.shape[2] in (1, 2, 3, 4)
    assert photo.samples.dtype in (np.uint8, np.uint16)
    assert 0 < photo.width * photo.height <= MOST_PIXELS
    assert photo.rgb(24).shape[2] == 3
    again = decode_photo(encode_photo(photo, "png", 90), MOST_PIXELS)
    assert np.array_equal(again.samples, photo.samples), "a photo comes back as another"


def _region(data: bytes) -> None:
    _check_plane(decode_region(data, MOST_PIXELS), np.bool_)


def _embedded(data: bytes) -> None:
    """A PNG's own text: none of it raises anything."""
    found = read_embedded(data.decode("latin-1"), MOST_PIXELS)
    if found is None:
        raise Problem(422, "no-text", "", "", "")
    assert found.seed is None or 0 <= found.seed < 2**32
    assert all(abs(value) <= 100 for value in found.style)
    if found.map is not None:
        assert found.labels is not None
        assert set(found.map.ravel().tolist()) <= set(found.labels.by_id)


def _is_opaque(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return image.mode not in ("LA", "RGBA") or image.getchannel("A").getextrema() == (255, 255)


def _check_plane(plane: np.ndarray, kind: type) -> None:
    assert plane.dtype == kind
    assert plane.ndim == 2
    assert 0 < plane.size <= MOST_PIXELS
    assert plane.flags.c_contiguous


READERS: tuple[Callable[[bytes], None], ...] = (
    _map, _numbers, _style_map, _instances, _photo, _region, _embedded
)  # fmt: skip


def judge(data: bytes) -> str:
    """Let the reader that the input names read it."""
    if len(data) < 2:
        return "empty"
    reader, file = READERS[data[0] % len(READERS)], data[2:]
    try:
        reader(mended_png(file) if data[1] & _MEND else file)
    except Problem as problem:
        return refusal(problem)
    return ACCEPTED


# -- Making


def make(rng: random.Random) -> bytes:
    """A file for one of the readers: valid, spoilt a little, made to deceive, or meant for another one."""
    number = rng.randrange(len(READERS))
    kinds = {_map: "map", _numbers: "map", _style_map: "map", _instances: "things", _region: "region"}
    kind = kinds.get(READERS[number], "text" if READERS[number] is _embedded else "photo")
    kind = kind if rng.random() < 0.9 else rng.choice(["map", "things", "region", "text", "photo"])
    file = _FILES[kind](rng)
    if rng.random() < 0.5:
        file = mutated(rng, file)
    return bytes([number, rng.randrange(2)]) + file


def _map_file(rng: random.Random) -> bytes:
    makers = [fuzz._wrong_mask, fuzz._hostile_png, _crafted_png, _nearly_a_map, _nearly_a_map]
    return rng.choice([fuzz._valid_mask, fuzz._valid_mask, *makers])(rng)


def _nearly_a_map(rng: random.Random) -> bytes:
    """One pixel of a map is of no class: clear, of a colour between two, or an id too many."""
    ids = fuzz._ids(rng, rng.randrange(1, 33), rng.randrange(1, 33))
    pixels = np.dstack([fuzz.PALETTE[ids], np.full(ids.shape, 255, np.uint8)])
    y, x = rng.randrange(ids.shape[0]), rng.randrange(ids.shape[1])
    pixels[y, x, rng.randrange(4)] ^= rng.choice([0, 1, 255])
    ids[y, x] = rng.randrange(256)
    image = Image.fromarray(rng.choice([ids, pixels, pixels[..., :3].copy()]))
    return fuzz._saved(image, rng.choice(["PNG", "WEBP"]), lossless=True)


def _things_file(rng: random.Random) -> bytes:
    height, width = rng.choice([SHAPE, SHAPE, SHAPE[::-1], (5, 5)])
    values = np.frombuffer(rng.randbytes(2 * height * width), np.uint16).reshape(height, width)
    return fuzz._saved(Image.fromarray(values.astype(rng.choice([np.uint8, np.uint16]))), "PNG")


def _photo_file(rng: random.Random) -> bytes:
    height, width, channels = rng.randrange(1, 40), rng.randrange(1, 40), rng.choice([1, 2, 3, 4])
    noise = np.frombuffer(rng.randbytes(height * width * channels), np.uint8).reshape(height, width, channels)
    image = Image.fromarray(noise[..., 0] if channels == 1 else noise)
    format_ = rng.choice(["PNG", "PNG", "JPEG", "WEBP", "GIF", "TIFF"])
    if format_ in ("JPEG", "WEBP") and channels in (2, 4):
        image = image.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = rng.randrange(10)
    options = {} if format_ == "GIF" else {"exif": exif, "icc_profile": rng.randbytes(rng.randrange(1, 200))}
    file = fuzz._saved(image.convert("RGB") if format_ in ("GIF", "TIFF") else image, format_, **options)
    return rng.choice([file, file, file, _deep_png(rng), _crafted_png(rng)])


def _deep_png(rng: random.Random) -> bytes:
    colour, channels = rng.choice([(0, 1), (2, 3), (4, 2), (6, 4)])
    side = rng.randrange(1, 20)
    rows = b"".join(bytes([rng.randrange(5)]) + rng.randbytes(2 * channels * side) for _ in range(side))
    extra = [fuzz._chunk(b"tRNS", rng.randbytes(2 * rng.choice([1, 3]))), b""][rng.randrange(2)]
    head = fuzz._chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 16, colour, 0, 0, 0))
    return _PNG + head + extra + fuzz._chunk(b"IDAT", zlib.compress(rows)) + fuzz._chunk(b"IEND", b"")


def _region_file(rng: random.Random) -> bytes:
    mask = np.zeros((rng.randrange(1, 40), rng.randrange(1, 40)), np.uint8)
    mask[: rng.randrange(20), : rng.randrange(20)] = rng.choice([1, 255])
    image = Image.fromarray(mask).convert(rng.choice(["L", "1", "P", "LA", "RGBA"]))
    return fuzz._saved(image, rng.choice(["PNG", "PNG", "WEBP"]), lossless=True)


def _crafted_png(rng: random.Random) -> bytes:
    """Any depth and kind of colours, rows that fit or do not, chunks of every sort, in any order."""
    width, height = rng.choice([(1, 1), (7, 5), (17, 16), (33, 9)])
    depth, colour = rng.choice([1, 2, 4, 8, 8, 16]), rng.choice([0, 2, 3, 3, 4, 6])
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = (width * depth * channels + 7) // 8
    rows = b"".join(
        bytes([rng.choice([0, 0, 0, 1, 2, 3, 4, 4, 5])]) + rng.randbytes(row)
        for _ in range(height + rng.choice([0, 0, -1, 1]))
    )
    packed = zlib.compress(rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, rng.choice([0, 0, 1]))
    orientation = (
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([rng.randrange(10), 0, 0, 0]) + bytes(4)
    )
    extras = [
        fuzz._chunk(b"PLTE", rng.randbytes(3 * rng.randrange(1, 260))),
        fuzz._chunk(b"tRNS", rng.randbytes(rng.randrange(260))),
        fuzz._chunk(b"eXIf", orientation),
        fuzz._chunk(b"eXIf", rng.randbytes(rng.randrange(30))),
        fuzz._chunk(b"acTL", struct.pack(">II", rng.randrange(3), 0)),
        fuzz._chunk(b"fcTL", rng.randbytes(26)),
        fuzz._chunk(b"iTXt", b"scenebrush\0\0\0\0\0" + rng.randbytes(40)),
        fuzz._chunk(b"iCCP", b"p\0\0" + fuzz.packed_zeros(rng.choice([9, 2_000_000]))),
        fuzz._chunk(rng.choice([b"gAMA", b"sRGB", b"pHYs", b"tIME", b"IHDR", b"abcd"]), rng.randbytes(13)),
    ]
    before, after = rng.sample(extras, rng.randrange(4)), rng.sample(extras, rng.randrange(2))
    return b"".join(
        [
            _PNG,
            fuzz._chunk(b"IHDR", header),
            *before,
            fuzz._chunk(b"IDAT", packed),
            *after,
            fuzz._chunk(b"IEND", b""),
        ]
    )


_PNG = b"\x89PNG\r\n\x1a\n"


def _text(rng: random.Random) -> bytes:
    """What our PNGs say of themselves, spoilt or not."""
    document = {
        "format": PICTURE_FORMAT,
        "version": PICTURE_VERSION,
        "origin": rng.choice(["generated", "edited"]),
        "model": "fake",
        "seed": rng.randrange(2**32),
        "style": [0.5] * 4,
        "label_set": LABELS.to_json() if rng.random() < 0.8 else asdict(LABELS),
        "map": base64.b64encode(_map_file(rng)).decode(),
    }
    document = spoilt(rng, document, rng.choice([0, 1, 1, 3]))
    return json.dumps(document).encode()


_FILES: dict[str, Callable[[random.Random], bytes]] = {
    "map": _map_file,
    "things": _things_file,
    "region": _region_file,
    "photo": _photo_file,
    "text": _text,
}

TARGET = Target("labels", make, judge)
