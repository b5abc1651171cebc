"""A project's pictures, decoded and written anew: nothing of a stranger's file but its pixels goes on."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, Final

import numpy as np
from PIL import Image

from models.labels import LabelSet
from server.codecs import decode_numbers, is_lossless_webp, read_header
from server.errors import Problem
from server.maps import Map
from server.photos import Photo, decode_photo, encode_photo
from server.protocol import PictureFormat
from server.provenance import PictureMetadata
from server.sharing.archive import broken, too_large

NOTHING: Final = 255
"""What a layer holds where the ones below it show."""
_QUALITY: Final = 95
_LARGEST_PROFILE: Final = 64 * 1024


def decode_plane(name: str, data: bytes, shape: tuple[int, int]) -> Map:
    """A file's raw numbers, uint8 of that shape (height, width). Raises Problem."""
    try:
        header = read_header(data)
        size = header.height, header.width
        numbers = decode_numbers(data, shape[0] * shape[1]) if size == shape else None
    except Problem as problem:
        raise broken(f"{name}: {problem.detail}") from problem
    if numbers is None or numbers.shape != shape:
        raise broken(f"{name} has {size[1]}×{size[0]} pixels, and the painting {shape[1]}×{shape[0]}.")
    return numbers


def check_labels(name: str, numbers: Map, labels: LabelSet, *, clear: bool) -> None:
    """Raise Problem if a plane holds what is no id of the set, nor, where it may be `clear`, NOTHING."""
    known = np.zeros(256, np.bool_)
    known[list(labels.by_id)] = True
    known[NOTHING] |= clear
    unknown = np.flatnonzero(np.bincount(numbers.ravel(), minlength=256).astype(bool) & ~known)
    if unknown.size:
        raise broken(f"{name} holds the id {unknown[0]}, which the painting's labels do not have.")


def check_numbers(name: str, numbers: Map, most: int) -> None:
    """Raise Problem if a plane holds a number above that."""
    highest = int(numbers.max())
    if highest > most:
        raise broken(f"{name} holds the number {highest}; the highest that stands for something is {most}.")


def encode_plane(numbers: Map, palette: bytes, *, clear: bool = False) -> bytes:
    """An 8-bit palette PNG of the numbers; where it may be `clear`, NOTHING is shown as such."""
    image, out = Image.fromarray(numbers), io.BytesIO()
    image.putpalette(palette)
    options: dict[str, Any] = {"transparency": NOTHING} if clear else {}
    image.save(out, "PNG", optimize=True, **options)
    return out.getvalue()


def grey_palette() -> bytes:
    """256 RGB triples that show a number as its grey."""
    return np.repeat(np.arange(256, dtype=np.uint8), 3).tobytes()


def rewrite_photo(
    name: str, data: bytes, kind: PictureFormat, max_pixels: int, metadata: PictureMetadata | None = None
) -> bytes:
    """A file of the same kind with the same pixels, upright, that holds nothing beside them but their colour
    profile and this metadata.

    A JPEG and a lossy WebP are written at high quality, and differ by what that costs; the others hold every
    sample, of 16 bits too. Raises Problem for another kind, more pixels, an animation, or damage.
    """
    if not _is_a(kind, data):
        raise broken(f"{name} is no {kind.upper()} file.")
    try:
        photo = decode_photo(data, max_pixels)
    except Problem as problem:
        raise (too_large if problem.status == 413 else broken)(f"{name}: {problem.detail}") from problem
    if not _is_profile(photo.profile):
        photo = replace(photo, profile=b"")
    if kind == "webp" and not is_lossless_webp(data):
        return _lossy_webp(photo)
    return encode_photo(photo, kind, _QUALITY, metadata)


def _is_a(kind: PictureFormat, data: bytes) -> bool:
    match kind:
        case "png":
            return data.startswith(b"\x89PNG")
        case "jpeg":
            return data.startswith(b"\xff\xd8\xff")
        case "webp":
            return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _is_profile(profile: bytes) -> bool:
    """Whether these bytes say that they are a colour profile of their own length (ICC.1:2022, 7.2)."""
    sound = profile[36:40] == b"acsp" and int.from_bytes(profile[:4], "big") == len(profile)
    return sound and len(profile) <= _LARGEST_PROFILE


def _lossy_webp(photo: Photo) -> bytes:
    samples = photo.samples if photo.samples.shape[2] > 1 else photo.samples[..., 0]
    out = io.BytesIO()
    profile = {"icc_profile": photo.profile} if photo.profile else {}
    Image.fromarray(samples).save(out, "WEBP", quality=_QUALITY, **profile)
    return out.getvalue()
