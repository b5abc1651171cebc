"""Photos come in as they stand in the file, go out as they are, and hostile ones are refused unread."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from server.codecs import MOST_CHUNKS
from server.errors import Problem
from server.photos import Photo, check_format, decode_photo, decode_region, encode_photo
from tests.server.photographs import KINDS, chunk, exif_chunk, mask, pillow, png, read_png, samples

MOST = 1 << 20


def refused(data: bytes, code: str, most: int = MOST) -> Problem:
    with pytest.raises(Problem) as caught:
        decode_photo(data, most)
    assert caught.value.code == code
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_png_comes_in_and_goes_out_exactly(kind: str, depth: int) -> None:
    pixels = samples(1, 13, 9, KINDS[kind], depth)
    photo = decode_photo(png(pixels), MOST)
    # 16-bit grey with alpha is held as RGB with alpha: what writes it has no grey with alpha.
    wanted = pixels[..., [0, 0, 0, 1]] if (kind, depth) == ("grey-alpha", 16) else pixels
    assert np.array_equal(photo.samples, wanted)
    assert photo.samples.dtype == pixels.dtype
    assert np.array_equal(read_png(encode_photo(photo, "png", 92)), wanted)


def test_palettes_and_transparent_colours_come_as_what_they_show() -> None:
    image = Image.fromarray(samples(2, 8, 6)).quantize(7)
    shown = np.asarray(image.convert("RGB"))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert np.array_equal(decode_photo(out.getvalue(), MOST).samples, shown)
    out = io.BytesIO()
    image.save(out, "PNG", transparency=3)
    clear = decode_photo(out.getvalue(), MOST).samples
    assert np.array_equal(clear[..., :3], shown)
    assert np.array_equal(clear[..., 3] == 0, np.asarray(image) == 3)
    two = Image.fromarray(np.eye(6, dtype=bool))
    out = io.BytesIO()
    two.save(out, "PNG")
    assert np.array_equal(decode_photo(out.getvalue(), MOST).samples[..., 0], np.eye(6, dtype=np.uint8) * 255)


def test_files_of_more_parts_than_pixels_need_are_refused() -> None:
    file = png(samples(4, 3, 3, 3))
    end = file.index(b"IDAT") - 4
    assert decode_photo(file[:end] + chunk(b"teXt", b"") * 100 + file[end:], MOST).samples.shape == (3, 3, 3)
    refused(file[:end] + chunk(b"teXt", b"") * MOST_CHUNKS + file[end:], "broken-image")

    out = io.BytesIO()
    Image.fromarray(samples(4, 3, 3, 3)).save(out, "JPEG")
    jpeg = out.getvalue()
    assert decode_photo(jpeg[:2] + b"\xff" * 100 + jpeg[2:], MOST).samples.shape == (3, 3, 3)
    refused(jpeg[:2] + b"\xff" * MOST_CHUNKS + jpeg[2:], "broken-image")


@pytest.mark.parametrize("channels", [1, 3])
def test_one_transparent_colour_of_16_bits_becomes_alpha(channels: int) -> None:
    pixels = samples(3, 7, 5, channels, 16)
    clear = chunk(b"tRNS", pixels[2, 3].astype(">u2").tobytes())
    photo = decode_photo(png(pixels, clear), MOST)
    assert photo.samples.shape == (5, 7, 4)
    assert np.array_equal(photo.samples[..., :3], np.broadcast_to(pixels, (5, 7, 3)))
    assert photo.samples[2, 3, 3] == 0
    assert (photo.samples[..., 3] == 0xFFFF).sum() >= 34


@pytest.mark.parametrize("lossless", [True, False])
def test_webp_and_jpeg_come_as_pillow_reads_them(lossless: bool) -> None:
    pixels = samples(4, 20, 16, 4)
    file = pillow(pixels, "WEBP", lossless=lossless, exact=True)
    assert np.array_equal(decode_photo(file, MOST).samples, np.asarray(Image.open(io.BytesIO(file))))
    jpeg = pillow(pixels[..., :3], "JPEG")
    assert np.array_equal(decode_photo(jpeg, MOST).samples, np.asarray(Image.open(io.BytesIO(jpeg))))
    grey = pillow(pixels[..., :1], "JPEG")
    assert decode_photo(grey, MOST).samples.shape == (16, 20, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [8, 16])
def test_an_orientation_is_applied(orientation: int, depth: int) -> None:
    pixels = samples(5, 6, 4, 3, depth)
    turned = decode_photo(png(pixels, exif_chunk(orientation)), MOST).samples
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = (pixels >> (depth - 8)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).save(out, "PNG", exif=exif)
    from PIL import ImageOps  # noqa: PLC0415

    upright = np.asarray(ImageOps.exif_transpose(Image.open(out)))
    assert np.array_equal((turned >> (depth - 8)).astype(np.uint8), upright)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_profile_stays(depth: int) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = samples(6, 8, 8, 3, depth)
    tagged = png(pixels, chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))
    photo = decode_photo(tagged, MOST)
    assert photo.profile == profile
    again = encode_photo(photo, "png", 92)
    assert Image.open(io.BytesIO(again)).info["icc_profile"] == profile
    assert np.array_equal(read_png(again), pixels)


def test_lossless_webp_keeps_what_transparent_pixels_hide() -> None:
    pixels = samples(7, 24, 16, 4)
    assert (pixels[..., 3] == 0).any()
    file = encode_photo(Photo(pixels), "webp", 92)
    assert np.array_equal(decode_photo(file, MOST).samples, pixels)


def test_formats_that_hold_less_are_refused() -> None:
    deep, clear = Photo(samples(8, 4, 4, 3, 16)), Photo(samples(8, 4, 4, 4))
    for photo, name in ((deep, "webp"), (deep, "jpeg"), (clear, "jpeg")):
        with pytest.raises(Problem) as caught:
            check_format(photo, name)  # type: ignore[arg-type]
        assert caught.value.code == "format-too-small"
    for photo, name in ((deep, "png"), (clear, "png"), (clear, "webp")):
        check_format(photo, name)  # type: ignore[arg-type]
    with pytest.raises(Problem, match="16384"):
        check_format(Photo(np.zeros((1, 16384, 3), np.uint8)), "webp")


def test_hostile_files_are_refused() -> None:
    pixels = samples(9, 16, 12)
    good = png(pixels)
    assert "empty" in refused(b"", "unsupported-photo").detail
    refused(b"GIF89a" + bytes(40), "unsupported-photo")
    refused(b"II*\0" + bytes(40), "unsupported-photo")
    refused(good[:20], "broken-image")
    refused(good[:-30], "broken-image")
    refused(png(samples(9, 16, 12, 3, 16))[:-40], "broken-image")
    refused(pillow(pixels, "JPEG")[:300], "broken-image")
    refused(pillow(pixels, "WEBP")[:40], "broken-image")
    refused(b"\xff\xd8\xff\xe0\0\x10", "broken-image")
    refused(png(pixels, chunk(b"acTL", bytes(8))), "animated")
    frames = [Image.fromarray(samples(seed, 8, 8)) for seed in (1, 2)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    refused(out.getvalue(), "animated")
    cmyk = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(cmyk, "JPEG")
    assert "CMYK" in refused(cmyk.getvalue(), "unsupported-colours").detail


def test_pixels_are_counted_before_any_is_decoded() -> None:
    """The files say that they are huge and hold next to nothing: whoever decoded them would find out."""
    header = struct.pack(">IIBBBBB", 60000, 60000, 16, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert "60000×60000" in refused(bomb, "photo-too-large").detail
    jpeg = bytearray(pillow(samples(1, 16, 16), "JPEG"))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 65500, 65500)
    assert refused(bytes(jpeg), "photo-too-large").status == 413
    webp = bytearray(pillow(samples(1, 16, 16, 4), "WEBP", lossless=True))
    kind = bytes(webp[12:16])
    assert kind in (b"VP8L", b"VP8X")
    place = 21 if kind == b"VP8L" else 24
    webp[place : place + 4] = b"\xff\xff\xff\x0f" if kind == b"VP8L" else b"\xff\xff\xff\xff"
    refused(bytes(webp), "photo-too-large")
    refused(png(samples(1, 40, 30)), "photo-too-large", most=1199)
    decode_photo(png(samples(1, 40, 30)), 1200)


def test_headers_that_contradict_the_file_are_refused() -> None:
    webp = bytearray(pillow(samples(1, 16, 16, 4), "WEBP", lossless=False))
    assert webp[12:16] == b"VP8X"
    webp[24] = 3
    refused(bytes(webp), "broken-image")


def test_reduced_colours_are_8_bit_rgb() -> None:
    assert Photo(samples(1, 40, 20, 1)).rgb(10).shape == (5, 10, 3)
    deep = np.full((4, 4, 4), 0xFFFF, np.uint16)
    assert (Photo(deep).rgb() == 255).all()
    assert Photo(samples(1, 9, 9)).rgb().flags.writeable


def test_a_region_is_what_is_above_nothing() -> None:
    wanted = np.zeros((6, 8), bool)
    wanted[2:4, 3:7] = True
    assert np.array_equal(decode_region(mask(wanted), MOST), wanted)
    palette = Image.fromarray(wanted.astype(np.uint8) * 7)
    palette.putpalette([0, 0, 0] * 256)  # black all over: numbers count, not what they show
    out = io.BytesIO()
    palette.save(out, "PNG")
    assert np.array_equal(decode_region(out.getvalue(), MOST), wanted)
    clear = np.zeros((6, 8, 4), np.uint8)
    clear[..., 3] = wanted * 9
    assert np.array_equal(decode_region(png(clear), MOST), wanted)
    coloured = np.zeros((6, 8, 4), np.uint8)
    coloured[..., 2], coloured[..., 3] = wanted, 255
    assert np.array_equal(decode_region(png(coloured), MOST), wanted)
    deep = (wanted[..., None] * np.uint16(1)).astype(np.uint16)
    assert np.array_equal(decode_region(png(deep), MOST), wanted)
    with pytest.raises(Problem) as caught:
        decode_region(pillow(np.zeros((8, 8, 3), np.uint8), "JPEG"), MOST)
    assert caught.value.code == "unsupported-region"
