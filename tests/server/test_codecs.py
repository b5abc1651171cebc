"""Label-map files: what is read as what, and what is refused and why."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from models.labels import Label, LabelSet
from server import codecs
from server.codecs import MOST_CHUNKS, decode_map, encode_map, encode_picture, is_lossless_webp, read_header
from server.errors import Problem
from server.maps import resize_nearest
from tests.server.conftest import EXAMPLES, LANDSCAPE, image_file, palette_png

LIMIT = 1 << 20
PALETTE = np.frombuffer(LANDSCAPE.palette(), np.uint8).reshape(256, 3)


def read(data: bytes, labels: LabelSet = LANDSCAPE, limit: int = LIMIT) -> np.ndarray:
    return decode_map(data, labels, limit)


def refused(data: bytes, code: str, **options: int) -> Problem:
    with pytest.raises(Problem) as problem:
        read(data, **options)
    assert problem.value.code == code, problem.value.detail
    assert 400 <= problem.value.status < 500
    assert problem.value.next_step
    return problem.value


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, before: tuple[bytes, ...] = ()
) -> bytes:
    """A PNG file written by hand. `rows` already carry their filter bytes."""
    parts = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *before]
    parts += [_chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# What is read


def test_palette_values_are_ids_whatever_the_palette_shows(scene: np.ndarray) -> None:
    image = Image.open(io.BytesIO(palette_png(scene)))
    image.putpalette(bytes(255 - value for value in LANDSCAPE.palette()))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert np.array_equal(read(out.getvalue()), scene)


def test_a_palette_with_transparency_is_still_ids(scene: np.ndarray) -> None:
    assert np.array_equal(read(palette_png(scene, transparency=1)), scene)


def test_greyscale_values_are_ids(scene: np.ndarray) -> None:
    assert np.array_equal(read(image_file(scene)), scene)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("colour", [0, 3])
def test_few_bits_are_ids_too(depth: int, colour: int) -> None:
    ids = np.arange(16, dtype=np.uint8).reshape(2, 8) % 2**depth
    bits = np.unpackbits(ids[:, :, None], axis=2)[:, :, 8 - depth :].reshape(2, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=1))
    before = (_chunk(b"PLTE", LANDSCAPE.palette()[: 3 * 2**depth]),) if colour == 3 else ()
    assert np.array_equal(read(png(8, 2, depth, colour, rows, before)), ids)


@pytest.mark.parametrize(("format_", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
@pytest.mark.parametrize("alpha", [False, True])
def test_colours_of_the_set_are_ids(
    scene: np.ndarray, format_: str, options: dict[str, bool], alpha: bool
) -> None:
    pixels = PALETTE[scene]
    if alpha:
        pixels = np.dstack([pixels, np.full(scene.shape, 255, np.uint8)])
    assert np.array_equal(read(image_file(pixels, format_, **options)), scene)


def test_opaque_grey_with_alpha_is_ids(scene: np.ndarray) -> None:
    pixels = np.dstack([scene, np.full(scene.shape, 255, np.uint8)])
    assert np.array_equal(read(image_file(pixels)), scene)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("as_colours", [False, True])
def test_orientation_is_applied(scene: np.ndarray, orientation: int, as_colours: bool) -> None:
    scene[:5, :9] = 12
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.open(io.BytesIO(image_file(PALETTE[scene]) if as_colours else palette_png(scene)))
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    turned = ImageOps.exif_transpose(Image.open(io.BytesIO(out.getvalue())))
    expected = np.asarray(turned)
    if as_colours:
        expected = read(image_file(expected))
    assert np.array_equal(read(out.getvalue()), expected)


def test_of_two_labels_in_one_colour_the_first_is_read() -> None:
    grey = (9, 9, 9)
    twins = LabelSet("twins", (Label(4, "first", grey, "x"), Label(2, "second", grey, "x")))
    assert read(image_file(np.full((2, 2, 3), 9, np.uint8)), twins).tolist() == [[4, 4], [4, 4]]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.png")), ids=lambda path: path.stem)
def test_the_examples_are_label_maps(path: object) -> None:
    ids = read(path.read_bytes())
    assert ids.shape == (256, 256)
    assert len(np.unique(ids)) >= 3


def test_the_coast_in_colours_is_the_coast() -> None:
    coast, colours = (read((EXAMPLES / f"{name}.png").read_bytes()) for name in ("coast", "coast-rgb"))
    assert np.array_equal(coast, colours)


def test_a_map_that_is_written_comes_back(scene: np.ndarray) -> None:
    data = encode_map(scene, LANDSCAPE)
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    assert tuple(image.getpalette()[3 * 3 : 3 * 3 + 3]) == LANDSCAPE.by_id[3].color
    assert np.array_equal(read(data), scene)


# What is refused


def test_unknown_ids_are_named_with_counts_and_nearest() -> None:
    ids = np.ones((10, 10), np.uint8)
    ids[0, :3] = 99
    ids[1, 0] = 18
    problem = refused(image_file(ids), "unknown-label")
    assert "id 99 (3 pixels, nearest label 'house', id 16)" in problem.detail
    assert "id 18 (1 pixel, " in problem.detail
    assert problem.extra == {
        "unknown": [
            {"value": "id 99", "pixels": 3, "nearest": {"id": 16, "name": "house"}},
            {"value": "id 18", "pixels": 1, "nearest": {"id": 16, "name": "house"}},
        ],
        "unknown_count": 2,
    }


def test_an_unknown_palette_id_is_nearest_by_its_colour() -> None:
    image = Image.fromarray(np.full((4, 4), 40, np.uint8))
    palette = bytearray(LANDSCAPE.palette())
    palette[120:123] = bytes([0x16, 0x53, 0xB0])  # nearly the sea's
    image.putpalette(bytes(palette))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert "nearest label 'sea'" in refused(out.getvalue(), "unknown-label").detail


def test_unknown_colours_are_named_with_counts_and_nearest(scene: np.ndarray) -> None:
    pixels = PALETTE[scene].copy()
    pixels[0, :2] = np.array(LANDSCAPE.by_name["sea"].color) + 1
    sea = LANDSCAPE.by_name["sea"].color
    problem = refused(image_file(pixels), "unknown-colour")
    named = "#" + "".join(f"{value + 1:02x}" for value in sea)
    assert f"{named} (2 pixels, nearest label 'sea', id 13)" in problem.detail


def test_a_smoothed_map_names_a_few_of_its_many_colours() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    problem = refused(image_file(noise), "unknown-colour")
    assert len(problem.extra["unknown"]) == 5
    assert problem.extra["unknown_count"] > 4000
    assert "more" in problem.detail


def test_formats_that_are_no_label_maps(scene: np.ndarray) -> None:
    pixels = PALETTE[scene]
    for format_, said in (("JPEG", "JPEG"), ("WEBP", "Lossy WebP"), ("GIF", "GIF"), ("BMP", "neither")):
        assert said in refused(image_file(pixels, format_), "unsupported-mask").detail
    assert "empty" in refused(b"", "unsupported-mask").detail


def test_an_extended_lossless_webp_is_read_and_an_extended_lossy_one_is_not(scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    lossless = image_file(PALETTE[scene], "WEBP", lossless=True, exif=exif)
    assert lossless[12:16] == b"VP8X"
    assert np.array_equal(read(lossless), scene)
    lossy = image_file(PALETTE[scene], "WEBP", exif=exif)
    assert lossy[12:16] == b"VP8X"
    refused(lossy, "unsupported-mask")


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
def test_animations_are_refused(scene: np.ndarray, format_: str) -> None:
    frames = [Image.fromarray(PALETTE[ids]) for ids in (scene, scene[::-1])]
    out = io.BytesIO()
    frames[0].save(out, format_, save_all=True, append_images=frames[1:], lossless=True, duration=100)
    refused(out.getvalue(), "animated")


def test_an_animation_of_one_frame_is_refused_before_it_is_decoded() -> None:
    control = _chunk(b"acTL", struct.pack(">II", 1, 0))
    refused(png(2, 1, 8, 0, b"\0\1\1", (control,)), "animated")


def test_pixels_are_looked_for_in_so_many_parts_of_a_file_and_no_more(scene: np.ndarray) -> None:
    few, many = 100, MOST_CHUNKS + 1
    empty = _chunk(b"teXt", b"")
    assert read(png(2, 1, 8, 0, b"\0\1\1", (empty * few,))).tolist() == [[1, 1]]
    assert "soon" in refused(png(2, 1, 8, 0, b"\0\1\1", (empty * many,)), "broken-image").detail

    file = image_file(PALETTE[scene], "WEBP", lossless=True)
    height, width = scene.shape
    extended = struct.pack("<4sIIHBHB", b"VP8X", 10, 0, width - 1, 0, height - 1, 0)
    for count in (few, many):
        body = b"WEBP" + extended + b"none\0\0\0\0" * count + file[12:]
        assert is_lossless_webp(b"RIFF" + struct.pack("<I", len(body)) + body) == (count == few)


def test_sixteen_bits_are_refused() -> None:
    refused(image_file(np.ones((4, 4), np.uint16)), "sixteen-bit")


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_pixels_are_refused(scene: np.ndarray, channels: int) -> None:
    alpha = np.full(scene.shape, 255, np.uint8)
    alpha[0, :7] = 254
    colour = PALETTE[scene] if channels == 4 else scene
    problem = refused(image_file(np.dstack([colour, alpha])), "transparent")
    assert f"7 of {scene.size} pixels" in problem.detail


def test_a_bomb_is_refused_by_its_header() -> None:
    # A claim of 30000 × 30000 pixels in a hundred bytes: nothing of that size may be allocated.
    refused(png(30000, 30000, 8, 0, b"\0"), "mask-too-large")
    vp8l = b"\x2f" + (16383 | 16383 << 14).to_bytes(4, "little") + bytes(20)
    body = b"WEBPVP8L" + struct.pack("<I", len(vp8l)) + vp8l
    refused(b"RIFF" + struct.pack("<I", len(body)) + body, "mask-too-large")
    extended = bytes([0, 0, 0, 0]) + (16382).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", 10) + extended + b"VP8L" + struct.pack("<I", len(vp8l)) + vp8l
    refused(b"RIFF" + struct.pack("<I", len(body)) + body, "mask-too-large")


def test_the_limit_is_on_pixels(scene: np.ndarray) -> None:
    data = palette_png(scene)
    assert read(data, limit=scene.size).shape == scene.shape
    refused(data, "mask-too-large", limit=scene.size - 1)


def test_a_webp_that_lies_about_its_size(scene: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = bytearray(image_file(PALETTE[scene], "WEBP", lossless=True, exif=exif))
    data[24:30] = (0).to_bytes(3, "little") * 2  # the canvas is one pixel, the picture inside is not
    refused(bytes(data), "broken-image")


def test_two_readings_of_a_size_that_differ_are_refused(scene: np.ndarray) -> None:
    with pytest.raises(Problem, match="contradicts itself"):
        codecs._decode(palette_png(scene), codecs.Header("PNG", 1, 1))


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
def test_truncated_files_are_refused_wherever_they_end(scene: np.ndarray, format_: str) -> None:
    data = image_file(PALETTE[scene], format_, lossless=True)
    accepted = []
    for length in range(len(data)):
        try:
            assert np.array_equal(read(data[:length]), scene)
            accepted.append(length)
        except Problem:
            continue
    # Nothing but a PNG's last checksums and its empty last chunk may be missing.
    assert len(accepted) <= 24
    assert all(length >= len(data) - 24 for length in accepted)


def test_zero_sizes_are_refused() -> None:
    refused(png(0, 4, 8, 0, b""), "broken-image")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8L", b""]))
def test_random_bytes_are_refused(data: bytes, magic: bytes) -> None:
    with pytest.raises(Problem):
        read(magic + data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 255), st.sampled_from(["PNG", "WEBP"]))
def test_damaged_files_are_maps_or_refused(where: int, value: int, format_: str) -> None:
    ids = np.tile(np.arange(1, 17, dtype=np.uint8), (16, 1))
    lossless = image_file(PALETTE[ids], "WEBP", lossless=True)
    data = bytearray(palette_png(ids) if format_ == "PNG" else lossless)
    data[where % len(data)] = value
    try:
        result = read(bytes(data))
    except Problem:
        return
    assert result.dtype == np.uint8
    assert result.size <= LIMIT
    assert set(np.unique(result).tolist()) <= set(LANDSCAPE.by_id)


def test_the_header_is_read_without_the_pixels(scene: np.ndarray) -> None:
    header = read_header(palette_png(scene)[:40])
    assert (header.format, header.width, header.height) == ("PNG", 48, 32)


# Sizes and pictures


def test_nearest_resizing_takes_centres_and_mixes_nothing() -> None:
    ids = np.array([[1, 2, 3, 4]], np.uint8)
    assert resize_nearest(ids, 2, 1).tolist() == [[2, 4]]
    assert resize_nearest(ids, 8, 2).tolist() == [[1, 1, 2, 2, 3, 3, 4, 4]] * 2
    assert resize_nearest(ids, 1, 1).tolist() == [[3]]
    assert resize_nearest(ids, 4, 1) is ids
    odd = np.arange(35, dtype=np.uint8).reshape(5, 7)
    pillow = np.asarray(Image.fromarray(odd).resize((3, 11), Image.Resampling.NEAREST))
    assert np.array_equal(resize_nearest(odd, 3, 11), pillow)


@pytest.mark.parametrize("format_", ["jpeg", "webp", "png"])
@pytest.mark.parametrize("fast", [False, True])
def test_pictures_are_written_in_every_format(format_: str, fast: bool) -> None:
    picture = np.zeros((24, 40, 3), np.uint8)
    picture[:, :20] = (200, 40, 10)
    data = encode_picture(picture, format_, 92, fast=fast)
    image = Image.open(io.BytesIO(data))
    assert image.format == format_.upper()
    assert np.abs(np.asarray(image.convert("RGB")).astype(int)[:, 4:16] - (200, 40, 10)).max() <= 6
    if format_ == "png":
        assert np.array_equal(np.asarray(image), picture)


def test_endings_stand_for_formats() -> None:
    names = ("a.JPG", "b.jpeg", "c.webp", "d.png", "e.gif", "png")
    assert [codecs.format_of_name(name) for name in names] == ["jpeg", "jpeg", "webp", "png", None, None]


def test_raw_numbers_are_read_as_they_stand() -> None:
    numbers = np.array([[0, 255, 7], [1, 2, 200]], np.uint8)
    for data in (palette_png(numbers), palette_png(numbers, transparency=255), image_file(numbers)):
        assert np.array_equal(codecs.decode_numbers(data, 6), numbers)
    with pytest.raises(Problem, match="colours, where numbers were expected"):
        codecs.decode_numbers(image_file(np.zeros((2, 3, 3), np.uint8)), 6)
    with pytest.raises(Problem, match="takes 5 in all"):
        codecs.decode_numbers(palette_png(numbers), 5)
