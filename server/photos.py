"""Photos in and out: what is edited, segmented, or gives its style. What comes in is hostile.

A photo keeps what its file holds: 8 or 16 bits, grey or colours, alpha, and its colour profile. The header is
judged by our own reading of it before any decoder sees the file.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from server.codecs import MOST_CHUNKS
from server.errors import Problem
from server.protocol import PictureFormat
from server.provenance import PNG_TEXT, PictureMetadata, with_jpeg_xmp, with_png_text, xmp_packet

Samples = npt.NDArray[np.uint8 | np.uint16]
FileFormat = Literal["PNG", "JPEG", "WEBP"]

_SAVE_AS: Final = "Save it as PNG, JPEG or WebP, one picture in the file, and send it again."
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_MOST_PROFILE: Final = 1 << 20  # bytes of a colour profile that are kept
_MOST_EXIF: Final = 1 << 16
_WEBP_SIDE: Final = 16383
_QUICK_FROM: Final = 4 << 20  # pixels from which PNGs are packed quickly rather than tightly
_ORIENTATION: Final = 0x0112
# Start of frame markers of JPEG, without those of tables and restarts (ITU T.81, table B.1).
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photo, upright.

    samples: (H, W, C), uint8 or uint16; C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
    profile: its ICC colour profile, empty if it has none. text: what its PNG text `scenebrush` says.
    """

    samples: Samples
    profile: bytes = b""
    text: str | None = None

    @property
    def width(self) -> int:
        return self.samples.shape[1]

    @property
    def height(self) -> int:
        return self.samples.shape[0]

    @property
    def deep(self) -> bool:
        """16 bits a channel."""
        return self.samples.dtype == np.uint16

    @property
    def alpha(self) -> bool:
        return self.samples.shape[2] in (2, 4)

    def rgb(self, longest: int | None = None) -> npt.NDArray[np.uint8]:
        """Its colours as uint8 RGB (H, W, 3), at most `longest` pixels on a side. Alpha is passed over."""
        colours = self.samples[..., :3] if self.samples.shape[2] >= 3 else self.samples[..., :1]
        if longest is not None and max(self.width, self.height) > longest:
            scale = longest / max(self.width, self.height)
            size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
            colours = np.asarray(cv2.resize(colours, size, interpolation=cv2.INTER_AREA))
            colours = colours.reshape(*colours.shape[:2], -1)
        if self.deep:
            colours = ((colours.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.array(np.broadcast_to(colours, (*colours.shape[:2], 3)), np.uint8)


@dataclass(frozen=True, slots=True)
class _Header:
    format: FileFormat
    width: int
    height: int
    deep: bool = False
    animated: bool = False


def decode_photo(data: bytes, max_pixels: int, what: str = "photo") -> Photo:
    """A photo from a PNG, JPEG or WebP file, its EXIF orientation applied.

    Raises Problem that names what is wrong: format, size, animation, kind of colours, damage.
    """
    header = _header(data, what)
    _check(header, max_pixels, what)
    try:
        with Image.open(io.BytesIO(data), formats=[header.format]) as image:
            # Two readings of a header that differ would let a bomb past the check above.
            if image.size != (header.width, header.height):
                raise _broken(what, "Its header contradicts itself about the size.")
            text, profile = _text(image), _profile(image)
            samples = _deep_samples(data, what) if header.deep else _samples(image, what)
            orientation = _orientation(data if header.deep else b"", image)
    except Problem:
        raise
    except Exception as error:
        # Whatever a decoder raises on bytes that we did not write means that they are no picture.
        said = f"The {header.format} is damaged or cut short ({type(error).__name__})."
        raise _broken(what, said) from error
    return Photo(_upright(samples, orientation), profile, text)


# -- Headers


def _header(data: bytes, what: str) -> _Header:
    header = None
    if data.startswith(_PNG_SIGNATURE):
        header = _png_header(data)
    elif data.startswith(b"\xff\xd8\xff"):
        header = _jpeg_header(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        header = _webp_header(data)
    else:
        why = "It is an empty file." if not data else "It is neither a PNG nor a JPEG nor a WebP file."
        raise Problem(415, "unsupported-photo", f"The {what} is of no format that is read", why, _SAVE_AS)
    if header is None:
        raise _broken(what, "The file does not begin with a whole header and, soon after it, pixels.")
    return header


def _png_header(data: bytes) -> _Header | None:
    """IHDR (PNG 1.2, 11.2.2), and whether acTL announces an animation before the first pixels."""
    kinds = list[bytes]()
    for kind, _start, _length in _png_chunks(data):
        kinds.append(kind)
        if kind == b"IDAT":
            break
    if not kinds or kinds[0] != b"IHDR" or kinds[-1] != b"IDAT" or len(data) < 26:
        return None
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    return _Header("PNG", width, height, depth == 16, b"acTL" in kinds)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of its content and length of every whole chunk of a PNG, up to MOST_CHUNKS."""
    offset = len(_PNG_SIGNATURE)
    for _ in range(MOST_CHUNKS):
        if offset + 12 > len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, offset)
        if offset + 12 + length > len(data):
            return
        yield kind, offset + 8, length
        offset += 12 + length


def _jpeg_header(data: bytes) -> _Header | None:
    """The first frame's size (ITU T.81, B.2.2)."""
    offset = 2
    for _ in range(MOST_CHUNKS):
        if offset + 9 > len(data) or data[offset] != 0xFF:
            break
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, offset + 5)
            return _Header("JPEG", width, height)
        offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    return None


def _webp_header(data: bytes) -> _Header | None:
    """VP8, VP8L or VP8X (RFC 9649, 2.4 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8 " and len(data) >= 30 and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return _Header("WEBP", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return _Header("WEBP", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8X" and len(data) >= 30:
        width, height = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        return _Header("WEBP", 1 + width, 1 + height, animated=bool(data[20] & 0x02))
    return None


def _check(header: _Header, max_pixels: int, what: str) -> None:
    size = f"{header.width}×{header.height}"
    if header.animated:
        raise Problem(
            422, "animated", f"An animated {what}", "The file holds more than one picture.", _SAVE_AS
        )
    if header.width < 1 or header.height < 1:
        raise _broken(what, f"Its header says {size} pixels.")
    if header.width * header.height > max_pixels:
        raise Problem(
            413,
            "photo-too-large",
            f"The {what} has too many pixels",
            f"It has {size} pixels; this server takes {max_pixels} in all.",
            "Send a smaller one, or cut out the part that matters.",
        )


def _broken(what: str, why: str) -> Problem:
    return Problem(422, "broken-image", f"The {what} cannot be decoded", why, _SAVE_AS)


# -- Pixels


def _samples(image: Image.Image, what: str) -> Samples:
    """8-bit samples (H, W, C) of what Pillow reads."""
    image.load()
    clear = "transparency" in image.info
    match image.mode:
        case "1":
            image = image.convert("L")
        case "L" if clear:
            image = image.convert("LA")
        case "P" | "PA" | "RGB" if clear or image.mode == "PA":
            image = image.convert("RGBA")
        case "P":
            image = image.convert("RGB")
        case "L" | "LA" | "RGB" | "RGBA":
            pass
        case mode:
            raise Problem(
                422,
                "unsupported-colours",
                f"The {what}'s colours cannot be edited",
                f"Its pixels are of the kind {mode}; greyscale and RGB are understood.",
                "Convert it to RGB, and send it again.",
            )
    samples = np.array(image, np.uint8)
    return samples.reshape(*samples.shape[:2], -1)


def _deep_samples(data: bytes, what: str) -> Samples:
    """16-bit samples (H, W, 1, 3 or 4) of a PNG; grey with alpha comes as RGB with alpha."""
    if not any(kind == b"IEND" for kind, _start, _length in _png_chunks(data)):
        raise _broken(what, "The PNG is cut short.")
    decoded: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise _broken(what, "The PNG is damaged.")
    if decoded.ndim == 2:
        clear = _clear_grey(data)
        return (
            decoded.astype(np.uint16, copy=False)[..., None] if clear is None else _with_alpha(decoded, clear)
        )
    order = [2, 1, 0, 3][: decoded.shape[2]]  # OpenCV holds BGR
    return np.ascontiguousarray(decoded[..., order], np.uint16)


def _clear_grey(data: bytes) -> int | None:
    """The grey value that tRNS says is transparent (PNG 1.2, 11.3.2.1), which OpenCV passes over."""
    for kind, start, length in _png_chunks(data):
        if kind == b"tRNS" and length == 2:
            return int.from_bytes(data[start : start + 2], "big")
    return None


def _with_alpha(grey: npt.NDArray[np.uint16], clear: int) -> Samples:
    alpha = np.where(grey == clear, 0, 0xFFFF).astype(np.uint16)
    return np.stack([grey, grey, grey, alpha], axis=2)


def _text(image: Image.Image) -> str | None:
    text = image.info.get(PNG_TEXT)
    return str(text) if isinstance(text, str) else None


def _profile(image: Image.Image) -> bytes:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and len(profile) <= _MOST_PROFILE else b""


def _orientation(deep_png: bytes, image: Image.Image) -> int:
    exif = image.getexif() if not deep_png else _exif_of(deep_png)
    value = exif.get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exif_of(png: bytes) -> Image.Exif:
    """From the chunk eXIf, wherever it stands: Pillow would decode the pixels to find it."""
    exif = Image.Exif()
    for kind, start, length in _png_chunks(png):
        if kind == b"eXIf" and length <= _MOST_EXIF:
            exif.load(b"Exif\0\0" + png[start : start + length])
    return exif


def _upright(samples: Samples, orientation: int) -> Samples:
    """Undo an EXIF orientation (Exif 2.32, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


# -- Writing


def check_format(photo: Photo, format: PictureFormat) -> None:
    """Raise Problem if a file of that format cannot hold the photo's bits or its alpha."""
    if format == "png":
        return
    name = "JPEG" if format == "jpeg" else "WebP"
    if photo.deep:
        raise _loses(name, "It has 16 bits a channel, and the format holds 8")
    if format == "jpeg" and photo.alpha:
        raise _loses(name, "It has an alpha channel, and the format holds none")
    if format == "webp" and max(photo.width, photo.height) > _WEBP_SIDE:
        raise _loses(name, f"It is {photo.width}×{photo.height}, and the format ends at {_WEBP_SIDE}")


def _loses(name: str, why: str) -> Problem:
    return Problem(
        422,
        "format-too-small",
        f"{name} cannot hold this picture",
        f"{why}.",
        "Leave format out: PNG holds it as it is.",
    )


def encode_photo(
    photo: Photo, format: PictureFormat, quality: int, metadata: PictureMetadata | None = None
) -> bytes:
    """A picture file: PNG and WebP hold every sample exactly, JPEG does not. See check_format.

    Raises ValueError for what the format cannot hold.
    """
    if format == "png":
        png = _deep_png(photo) if photo.deep else _pillow(photo, "PNG", compress_level=_level(photo))
        return with_png_text(png, metadata) if metadata is not None else png
    if photo.deep:
        raise ValueError(f"{format} holds 8 bits a channel")
    if format == "jpeg":
        # Without chroma subsampling: an edit of one place should change the rest as little as may be.
        jpeg = _pillow(photo, "JPEG", quality=quality, subsampling=0)
        return with_jpeg_xmp(jpeg, metadata) if metadata is not None else jpeg
    packet = xmp_packet(metadata) if metadata is not None else b""
    # exact: what lies under transparent pixels stays too.
    return _pillow(photo, "WEBP", lossless=True, exact=True, quality=50, method=2, xmp=packet)


def _level(photo: Photo) -> int:
    return 2 if photo.width * photo.height > _QUICK_FROM else 6


def _pillow(photo: Photo, format: FileFormat, **options: Any) -> bytes:
    samples = photo.samples if photo.samples.shape[2] > 1 else photo.samples[..., 0]
    out = io.BytesIO()
    profile = {"icc_profile": photo.profile} if photo.profile else {}
    Image.fromarray(np.ascontiguousarray(samples)).save(out, format, **profile, **options)
    return out.getvalue()


def _deep_png(photo: Photo) -> bytes:
    order = [2, 1, 0, 3][: photo.samples.shape[2]]
    samples = photo.samples[..., order] if len(order) > 1 else photo.samples
    done, file = cv2.imencode(".png", samples, [cv2.IMWRITE_PNG_COMPRESSION, 1 if _level(photo) < 6 else 4])
    if not done:
        raise RuntimeError("OpenCV did not write the PNG")
    png = file.tobytes()
    if not photo.profile:
        return png
    after = len(_PNG_SIGNATURE) + 25  # iCCP stands between the header and the pixels
    content = b"icc\0\0" + zlib.compress(photo.profile)
    chunk = struct.pack(">I", len(content)) + b"iCCP" + content
    return png[:after] + chunk + struct.pack(">I", zlib.crc32(b"iCCP" + content)) + png[after:]


# -- Regions


def decode_region(data: bytes, max_pixels: int) -> npt.NDArray[np.bool_]:
    """A mask as bool (H, W). A pixel is in the region if the file says more than 0 of it: its alpha where the
    file has transparent pixels, its number in a palette, else its brightness.

    Raises Problem.
    """
    header = _header(data, "region")
    if header.format == "JPEG":
        raise Problem(
            415,
            "unsupported-region",
            "A region that is no mask",
            "JPEG changes pixels when it saves, so the region's border would lie elsewhere.",
            "Save it as PNG: white where the edit goes, black elsewhere.",
        )
    _check(header, max_pixels, "region")
    if header.format == "PNG" and data[25] == 3 and not _has_chunk(data, b"tRNS"):
        return _palette_numbers(data) > 0
    samples = decode_photo(data, max_pixels, "region").samples
    alpha = samples[..., -1] if samples.shape[2] in (2, 4) else None
    if alpha is not None and (alpha != np.iinfo(samples.dtype).max).any():
        return alpha > 0
    colours = samples[..., :-1] if alpha is not None else samples
    return np.asarray((colours > 0).any(axis=2), np.bool_)


def _has_chunk(png: bytes, wanted: bytes) -> bool:
    return any(kind == wanted for kind, _start, _length in _png_chunks(png))


def _palette_numbers(data: bytes) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
            numbers, orientation = np.array(image, np.uint8), _orientation(b"", image)
    except Exception as error:
        why = f"The PNG is damaged or cut short ({type(error).__name__})."
        raise _broken("region", why) from error
    return np.asarray(_upright(numbers[..., None], orientation)[..., 0], np.uint8)
