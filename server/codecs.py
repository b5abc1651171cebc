"""Picture files in and out. What comes in is hostile: the header is judged before any pixel is decoded.

A label map is read as ids, never as colours, wherever the file can hold ids: the values of 8-bit palette and
greyscale pixels are class ids, whatever the palette shows. Only true-colour files go by colour. An instance
map is greyscale, of 16 bits or fewer, and every value stands for one thing.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from models.labels import LabelSet
from server.errors import Problem
from server.maps import Ids, Instances, Map, Pixels, check_ids, ids_of_colours
from server.protocol import PictureFormat
from server.provenance import PictureMetadata, with_jpeg_xmp, with_png_text, xmp_packet

MEDIA_TYPES: Final[dict[PictureFormat, str]] = {
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "png": "image/png",
}

_ENDINGS: Final[dict[str, PictureFormat]] = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".png": "png",
}

_SAVE_AS: Final = (
    "Save the map as PNG: 8-bit palette or greyscale with class ids as values, or RGB in the label "
    "set's colours."
)
_SAVE_INSTANCES_AS: Final = (
    "Save the instance map as a greyscale PNG of 16 or 8 bits, of the mask's size, with one value for all "
    "pixels of one thing."
)
_NO_PNG_HEADER: Final = "The PNG does not begin with a whole header and, soon after it, pixels."
_EXIF_ORIENTATION: Final = 0x0112
MOST_CHUNKS: Final = 1 << 16
"""Parts of a file that are looked through: a real one has a handful, and one for each 8 KiB of its pixels."""
_LOSSLESS_EFFORT: Final = 50  # what WebP calls quality where nothing is lost


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says about itself before any pixel is decoded."""

    format: Literal["PNG", "WEBP"]
    width: int
    height: int
    bits: int = 8
    """Bits per channel, or per palette entry."""
    grey: bool = False
    """One channel that is neither a palette nor followed by alpha."""
    animated: bool = False


def read_header(data: bytes) -> Header:
    """The header of a label-map file, PNG or lossless WebP. Raises Problem for anything else."""
    if _is_png(data):
        header = _png_header(data)
        if header is None:
            raise _broken(_NO_PNG_HEADER)
        if header.bits == 16:
            why = "Class ids have 8 bits, and this PNG has 16 a channel."
            raise Problem(422, "sixteen-bit", "A 16-bit mask", why, _SAVE_AS)
        if header.animated:
            raise _animated()
        return header
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_header(data)
    raise _not_a_map(_why_not(data))


def _why_not(data: bytes) -> str:
    if not data:
        return "The mask is an empty file."
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG changes pixels when it saves, so class borders would become other classes."
    if data.startswith(b"GIF8"):
        return "GIF palettes are reordered by most programs, so values are not class ids."
    return "The mask is neither a PNG nor a WebP file."


def _not_a_map(why: str) -> Problem:
    return Problem(415, "unsupported-mask", "Not a label map file", why, _SAVE_AS)


def _broken(why: str) -> Problem:
    return Problem(422, "broken-image", "The mask cannot be decoded", why, _SAVE_AS)


def _animated() -> Problem:
    return Problem(422, "animated", "An animated mask", "The file holds more than one picture.", _SAVE_AS)


def _is_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG\r\n\x1a\n")


def _png_header(data: bytes) -> Header | None:
    """The IHDR of a PNG (PNG 1.2, 11.2.2), or None if the file does not begin as one."""
    try:
        length, kind, width, height, depth, colour = struct.unpack_from(">I4sIIBB", data, 8)
    except struct.error:
        return None
    animated = _is_animated_png(data)
    if kind != b"IHDR" or length != 13 or animated is None:
        return None
    return Header("PNG", width, height, depth, grey=colour == 0, animated=animated)


def _is_animated_png(data: bytes) -> bool | None:
    """APNG announces itself by a chunk acTL before the first pixels. None if they do not come soon."""
    offset = 8
    for _ in range(MOST_CHUNKS):
        if offset + 8 > len(data):
            return False
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind in (b"acTL", b"IDAT", b"IEND"):
            return kind == b"acTL"
        offset += 12 + length
    return None


def _webp_header(data: bytes) -> Header:
    """A simple lossless WebP file, or an extended one (VP8X) with a lossless picture."""
    kind = data[12:16]
    if kind == b"VP8 ":
        raise _lossy_webp()
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return Header("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8X" and len(data) >= 30:
        if data[20] & 0x02:
            raise _animated()
        if not is_lossless_webp(data):
            raise _lossy_webp()
        width, height = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        return Header("WEBP", 1 + width, 1 + height)
    raise _broken("The WebP ends within its header.")


def is_lossless_webp(data: bytes) -> bool:
    """Whether a WebP file holds its pixels as they are."""
    offset = 12
    for _ in range(MOST_CHUNKS):
        if offset + 8 > len(data):
            return False
        kind, length = struct.unpack_from("<4sI", data, offset)
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        offset += 8 + length + (length & 1)
    return False


def _lossy_webp() -> Problem:
    return _not_a_map("Lossy WebP changes pixels when it saves, so class borders would become other classes.")


def decode_map(data: bytes, labels: LabelSet, max_pixels: int) -> Map:
    """A label-map file as class ids of the label set, uint8 (height, width).

    Raises Problem that names what is wrong: format, size, animation, transparency, damage, or the ids or
    colours that the label set does not have, with their counts and nearest labels.
    """
    header = read_header(data)
    _check_size(header, max_pixels)
    pixels, palette, orientation = _decode(data, header)
    if pixels.ndim == 3:
        ids = ids_of_colours(pixels, labels)
    else:
        check_ids(pixels, labels, palette)
        ids = pixels
    return np.ascontiguousarray(_upright(ids, orientation))


def decode_numbers(data: bytes, max_pixels: int) -> Map:
    """The raw numbers of an 8-bit palette or greyscale PNG or lossless WebP, uint8 (height, width): what they
    stand for is for the caller to check.

    Raises Problem that names what is wrong: format, size, animation, transparency, damage, true colour.
    """
    header = read_header(data)
    _check_size(header, max_pixels)
    pixels, _, orientation = _decode(data, header)
    if pixels.ndim == 3:
        raise _not_a_map("Its pixels are colours, where numbers were expected.")
    return np.ascontiguousarray(_upright(pixels, orientation))


def decode_instances(data: bytes, shape: tuple[int, int]) -> Instances:
    """An instance map as uint16 of the mask's shape (height, width).

    Raises Problem that names what is wrong: no greyscale PNG, another size, animation, damage.
    """
    header = _instances_header(data, shape)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.size != (header.width, header.height):
                raise _broken_instances("Its header contradicts itself about the size.")
            image.load()
            values, orientation = np.asarray(image).astype(np.uint16), _orientation(image)
    except Problem:
        raise
    except Exception as error:
        raise _broken_instances(f"The PNG is damaged or cut short ({type(error).__name__}).") from error
    instances = np.ascontiguousarray(_upright(values, orientation))
    if instances.shape != shape:
        raise _other_size(instances.shape[1], instances.shape[0], shape)
    return instances


def _instances_header(data: bytes, shape: tuple[int, int]) -> Header:
    """The header of an instance map, judged before any pixel is decoded."""
    if not _is_png(data):
        raise _no_instances("It is not a PNG file.")
    header = _png_header(data)
    if header is None:
        raise _broken_instances(_NO_PNG_HEADER)
    if header.animated:
        raise _no_instances("The file holds more than one picture.")
    if not header.grey:
        raise _no_instances("Its pixels are colours, a palette or partly transparent, not plain grey values.")
    # An EXIF orientation, which stands after the pixels, may lay it on its side.
    if (header.height, header.width) not in (shape, shape[::-1]):
        raise _other_size(header.width, header.height, shape)
    return header


def _no_instances(why: str) -> Problem:
    return Problem(422, "unsupported-instances", "Not an instance map", why, _SAVE_INSTANCES_AS)


def _broken_instances(why: str) -> Problem:
    return Problem(422, "broken-image", "The instance map cannot be decoded", why, _SAVE_INSTANCES_AS)


def _other_size(width: int, height: int, shape: tuple[int, int]) -> Problem:
    why = f"It has {width}×{height} pixels, and the mask {shape[1]}×{shape[0]}."
    return Problem(
        422, "instances-size", "The instance map has another size than the mask", why, _SAVE_INSTANCES_AS
    )


def _check_size(header: Header, max_pixels: int) -> None:
    width, height = header.width, header.height
    if width < 1 or height < 1:
        raise _broken(f"Its header says {width}×{height} pixels.")
    if width * height > max_pixels:
        raise Problem(
            413,
            "mask-too-large",
            "The mask has too many pixels",
            f"It has {width}×{height} pixels; this server takes {max_pixels} in all.",
            "Send a smaller map, and ask for the picture's size with width and height.",
        )


def _decode(data: bytes, header: Header) -> tuple[Pixels, bytes | None, int]:
    """Ids (H, W) or colours (H, W, 3) as uint8, the palette if there is one, and the EXIF orientation."""
    try:
        with Image.open(io.BytesIO(data), formats=[header.format]) as image:
            # Pillow reads the same header: two readings that differ would let a bomb past the check above.
            _require(
                image.size == (header.width, header.height), "Its header contradicts itself about the size."
            )
            image.load()
            return _pixels(image, header), _palette(image), _orientation(image)
    except Problem:
        raise
    except Exception as error:
        # Whatever a decoder raises on bytes that we did not write means that they are no picture.
        raise _broken(f"The {header.format} is damaged or cut short ({type(error).__name__}).") from error


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise _broken(why)


def _pixels(image: Image.Image, header: Header) -> Pixels:
    pixels = np.asarray(image)
    match image.mode:
        case "P" | "RGB":
            return pixels
        case "1":
            return pixels.astype(np.uint8)
        case "L":
            # Pillow stretches 2- and 4-bit grey to 0…255; class ids must come back as they stand in the file.
            return pixels // np.uint8(255 // (2 ** (header.bits if header.grey else 8) - 1))
        case "LA":
            return _opaque(pixels)[:, :, 0]
        case "RGBA":
            return _opaque(pixels)
        case mode:
            raise _broken(f"Its pixels are of the kind {mode}, neither class ids nor RGB.")


def _opaque(pixels: Pixels) -> Pixels:
    """The pixels without their last channel, the alpha, which must say nothing."""
    alpha = pixels[:, :, -1]
    clear = int(np.count_nonzero(alpha != 255))
    if clear:
        raise Problem(
            422,
            "transparent",
            "The mask has transparent pixels",
            f"{clear} of {alpha.size} pixels are not opaque, so their class is open.",
            "Paint them, or flatten the picture, and send it without transparency.",
        )
    return pixels[:, :, :-1]


def _palette(image: Image.Image) -> bytes | None:
    palette = image.getpalette("RGB") if image.mode == "P" else None
    return bytes(palette) if palette is not None else None


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_EXIF_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(ids: npt.NDArray[Ids], orientation: int) -> npt.NDArray[Ids]:
    """Undo an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        ids = ids.T
    if orientation in (2, 3, 6, 7):
        ids = ids[:, ::-1]
    if orientation in (3, 4, 7, 8):
        ids = ids[::-1]
    return ids


def encode_picture(
    picture: Pixels,
    format: PictureFormat,
    quality: int,
    *,
    fast: bool = False,
    lossless: bool = False,
    metadata: PictureMetadata | None = None,
) -> bytes:
    """A picture file from uint8 RGB (H, W, 3). `fast` spends bytes to save time, for live frames; `lossless`
    concerns WebP alone; `metadata` is what the file says of itself."""
    if format == "jpeg":
        jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=quality, colorspace="RGB")
        return with_jpeg_xmp(jpeg, metadata) if metadata is not None else jpeg
    image, out = Image.fromarray(picture), io.BytesIO()
    if format == "png":
        image.save(out, "PNG", compress_level=1 if fast else 6)
        return with_png_text(out.getvalue(), metadata) if metadata is not None else out.getvalue()
    packet = xmp_packet(metadata) if metadata is not None else b""
    effort = 0 if fast else 4
    quality = _LOSSLESS_EFFORT if lossless else quality
    image.save(out, "WEBP", lossless=lossless, quality=quality, method=effort, xmp=packet)
    return out.getvalue()


def enlarged(picture: Pixels, width: int, height: int) -> Pixels:
    """A picture, uint8 RGB (H, W, 3), at a larger size, by Lanczos' filter; itself if it has that."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def format_of_name(name: str) -> PictureFormat | None:
    """The format that a file name's ending stands for."""
    return _ENDINGS.get(PurePath(name).suffix.lower())


def encode_map(ids: Map, labels: LabelSet) -> bytes:
    """An 8-bit palette PNG: the values are the class ids, the palette shows the label set's colours."""
    image = Image.fromarray(ids)
    image.putpalette(labels.palette())
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def encode_numbers(numbers: Map) -> bytes:
    """An 8-bit greyscale PNG whose values are the numbers."""
    out = io.BytesIO()
    Image.fromarray(numbers).save(out, "PNG", optimize=True)
    return out.getvalue()
