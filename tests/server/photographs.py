"""Photos for tests: smooth colours with some grain, in every kind of file that can be edited."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from models.checkpoint import save_segmenter, segmenter_spec
from models.labels import load_label_set
from models.segmenter import UNet

KINDS = {"grey": 1, "grey-alpha": 2, "rgb": 3, "rgb-alpha": 4}
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def samples(seed: int, width: int, height: int, channels: int = 3, depth: int = 8) -> np.ndarray:
    """(height, width, channels), uint8 or uint16; the last channel of 2 or 4 is alpha, some of it 0."""
    random = np.random.default_rng(seed)
    largest = 2**depth - 1
    slow = cv2.resize(random.random((4, 4, channels)), (width, height), interpolation=cv2.INTER_CUBIC)
    slow = slow.reshape(height, width, channels)
    noisy = np.clip(0.1 + 0.8 * slow + random.normal(0, 0.03, slow.shape), 0, 1)
    if channels in (2, 4):
        noisy[..., -1] = np.where(random.random((height, width)) < 0.3, 0, noisy[..., -1])
    return np.rint(noisy * largest).astype(np.uint16 if depth == 16 else np.uint8)


def png(pixels: np.ndarray, extra: bytes = b"") -> bytes:
    """A PNG of 8 or 16 bits, written here, so that no library under test has a say in what is in it. `extra`
    are chunks that stand before the pixels."""
    height, width, channels = pixels.shape
    depth = 16 if pixels.dtype == np.uint16 else 8
    rows = pixels.astype(">u2" if depth == 16 else "u1").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, _COLOUR_TYPES[channels], 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def exif_chunk(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def read_png(data: bytes) -> np.ndarray:
    """The samples of a PNG of 8 or 16 bits without interlacing, by its own rules (PNG 1.2, 6)."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    channels = {0: 1, 4: 2, 2: 3, 6: 4}[colour]
    offset, packed = 8, b""
    while offset < len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        packed += data[offset + 8 : offset + 8 + length] if kind == b"IDAT" else b""
        offset += 12 + length
    step = channels * depth // 8
    raw = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * step)
    rows = np.zeros((height, width * step), np.uint8)
    for y in range(height):
        rows[y] = _unfiltered(int(raw[y, 0]), raw[y, 1:], rows[y - 1] if y else np.zeros_like(rows[0]), step)
    if depth == 16:
        return rows.view(">u2").astype(np.uint16).reshape(height, width, channels)
    return rows.reshape(height, width, channels)


def _unfiltered(kind: int, row: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    out = [0] * step + row.tolist()
    up = [0] * step + above.tolist()
    for i in range(step, len(out)):
        left, over, corner = out[i - step], up[i], up[i - step]
        near = min((left, over, corner), key=lambda one: abs(left + over - corner - one))  # Paeth, first wins
        out[i] = (out[i] + (0, left, over, (left + over) // 2, near)[kind]) & 255
    return np.array(out[step:], np.uint8)


def mask(region: np.ndarray) -> bytes:
    """A region as a PNG, white on black."""
    out = io.BytesIO()
    Image.fromarray(region.astype(np.uint8) * 255).save(out, "PNG")
    return out.getvalue()


def blob(seed: int, width: int, height: int, share: float = 0.2) -> np.ndarray:
    """A round region with a ragged border, bool (height, width)."""
    random = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), max(1, height / 8))
    y, x = np.mgrid[:height, :width]
    middle = random.uniform(0.3, 0.7, 2)
    distance = np.hypot(y / height - middle[0], x / width - middle[1])
    height_of = -distance + 0.05 * rough / (rough.std() + 1e-9)
    return height_of > np.quantile(height_of, 1 - share)


def write_tiny_segmenter(folder: Path) -> Path:
    """A segmenter of landscape17 with weights from a seed, called `reader`."""
    torch.manual_seed(0)
    network = UNet(17, [4, 8, 8]).eval()
    spec = segmenter_spec(
        network,
        load_label_set("landscape17"),
        model_id="reader",
        name="Reader",
        native_size=64,
        licence="Apache-2.0",
        provenance={"data": "none: weights from a seed"},
    )
    path = folder / "reader.safetensors"
    save_segmenter(path, spec, network, torch.float16)
    return path


def pillow(pixels: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[..., 0]).save(out, format, **options)
    return out.getvalue()
