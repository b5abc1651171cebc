"""What an exported picture says of itself: that it is synthetic, and what it was painted with.

Every format carries an XMP packet (ISO 16684-1) with IPTC's digital source type. A PNG also carries the text
`scenebrush`: JSON from which the painting can be opened again. No dates, so that equal requests stay equal
bytes.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

from models.labels import LabelSet
from models.spec import ModelSpec
from server.version import scenebrush_version

Origin = Literal["generated", "edited"]
"""Painted whole, or a photo in which a region was painted."""

SOURCE_TYPES: Final[dict[Origin, str]] = {
    "generated": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "edited": "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
}
NAMESPACE: Final = "urn:scenebrush:picture#"
PNG_TEXT: Final = "scenebrush"
"""Keyword of the PNG text that holds the JSON."""
PICTURE_FORMAT: Final = "scenebrush-picture"
PICTURE_VERSION: Final = 1

_XMP_PNG_KEYWORD: Final = "XML:com.adobe.xmp"
_XMP_JPEG_MARK: Final = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_LONGEST_CODE: Final = 512
"""Longest style code that goes into an XMP packet: a JPEG segment holds 64 KiB."""
_LONGEST_LICENCE: Final = 1000
_LONGEST_COMPRESSED: Final = 1024 * 1024
"""Pillow refuses to open a PNG with a compressed text that inflates to more."""
# XML 1.0 (5th edition), 2.2: what may not stand in a document, escaped or not.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class PictureMetadata:
    """What a picture was made of.

    model, licence: the model's id and licence, as far as they are known. seed, style: what it was painted
    with; style_id: the style's name if it has one. styles: codes of the regions with a style of their own.
    labels: the set that maps are in. map, style_map: palette PNGs to embed in a PNG.
    """

    origin: Origin
    model: str = ""
    licence: str = ""
    seed: int | None = None
    style: tuple[float, ...] = ()
    style_id: str | None = None
    styles: tuple[tuple[float, ...], ...] = ()
    labels: LabelSet | None = None
    map: bytes | None = None
    style_map: bytes | None = None


def generated(
    spec: ModelSpec,
    seed: int,
    style: Sequence[float],
    asked: Sequence[float] | None,
    *,
    styles: Sequence[Sequence[float]] = (),
    map: bytes | None = None,
    style_map: bytes | None = None,
) -> PictureMetadata:
    """For a picture that this model painted whole. `asked` is the code that was asked for, by its name or by
    itself (both give equal bytes); None if the style was drawn from the seed."""
    code = None if asked is None else tuple(asked)
    return PictureMetadata(
        "generated",
        spec.id,
        spec.licence,
        seed=seed,
        style=tuple(style),
        style_id=next((named.id for named in spec.styles if named.code == code), None),
        styles=tuple(tuple(code) for code in styles),
        labels=spec.labels,
        map=map,
        style_map=style_map,
    )


def xmp_packet(metadata: PictureMetadata) -> bytes:
    """The XMP packet of such a picture, as UTF-8."""
    said = "".join(f"   <{name}>{_xml(value)}</{name}>\n" for name, value in _properties(metadata))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about=""\n'
        '    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"\n'
        '    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        f'    xmlns:scenebrush="{NAMESPACE}">\n'
        f"{said}"
        "  </rdf:Description>\n"
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


def _properties(metadata: PictureMetadata) -> list[tuple[str, str]]:
    said = [
        ("Iptc4xmpExt:DigitalSourceType", SOURCE_TYPES[metadata.origin]),
        ("xmp:CreatorTool", _creator()),
    ]
    if metadata.model:
        said.append(("scenebrush:model", metadata.model))
    if metadata.licence:
        said.append(("scenebrush:licence", metadata.licence[:_LONGEST_LICENCE]))
    if metadata.seed is not None:
        said.append(("scenebrush:seed", str(metadata.seed)))
    if metadata.style_id is not None:
        said.append(("scenebrush:style", metadata.style_id))
    elif 0 < len(metadata.style) <= _LONGEST_CODE:
        said.append(("scenebrush:style", " ".join(map(repr, metadata.style))))
    return said


def _xml(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _creator() -> str:
    return f"Scenebrush {scenebrush_version()}"


def picture_json(metadata: PictureMetadata) -> dict[str, Any]:
    """What a PNG's text `scenebrush` says, as plain data. `model`, `seed`, `style` and `styles` are what
    /generate takes under these names; `map` and `style_map` are PNG files in base64."""
    said: dict[str, Any] = {
        "format": PICTURE_FORMAT,
        "version": PICTURE_VERSION,
        "app": _creator(),
        "origin": metadata.origin,
        "model": metadata.model or None,
        "licence": metadata.licence or None,
        "seed": metadata.seed,
        "style": list(metadata.style),
        "style_id": metadata.style_id,
        "styles": [list(code) for code in metadata.styles],
    }
    if metadata.labels is not None:
        said["label_set"] = {"hash": metadata.labels.hash, **metadata.labels.to_json()}
    for name, file in (("map", metadata.map), ("style_map", metadata.style_map)):
        if file is not None:
            said[name] = base64.b64encode(file).decode()
    return said


def with_png_text(png: bytes, metadata: PictureMetadata) -> bytes:
    """The PNG with its texts after the header; the pixels' own bytes stay as they are.

    Raises ValueError if it does not begin as a PNG.
    """
    header_end = len(_PNG_SIGNATURE) + 12 + 13
    if not png.startswith(_PNG_SIGNATURE) or png[12:16] != b"IHDR" or len(png) < header_end:
        raise ValueError("this is no PNG: it does not begin with a signature and a header")
    text = json.dumps(picture_json(metadata), ensure_ascii=False, separators=(",", ":"))
    # What is in it may come from a file of somebody else's: half a surrogate pair has no UTF-8.
    json_text = _international_text(PNG_TEXT, text.encode("utf-8", "replace"))
    # Readers of XMP in PNG expect it uncompressed (XMP specification, part 3, 1.1.5).
    packet = _international_text(_XMP_PNG_KEYWORD, xmp_packet(metadata), compress=False)
    return png[:header_end] + packet + json_text + png[header_end:]


def _international_text(keyword: str, text: bytes, *, compress: bool = True) -> bytes:
    """A chunk iTXt (PNG 1.2, 4.2.3.3), without language and translated keyword."""
    compress = compress and len(text) <= _LONGEST_COMPRESSED
    content = zlib.compress(text, 9) if compress else text
    data = keyword.encode("ascii") + bytes([0, compress, 0, 0, 0]) + content
    return struct.pack(">I", len(data)) + b"iTXt" + data + struct.pack(">I", zlib.crc32(b"iTXt" + data))


def with_jpeg_xmp(jpeg: bytes, metadata: PictureMetadata) -> bytes:
    """The JPEG with an XMP segment after its JFIF header.

    Raises ValueError if it does not begin as a JPEG.
    """
    if not jpeg.startswith(b"\xff\xd8\xff") or len(jpeg) < 6:
        raise ValueError("this is no JPEG: it does not begin with a start of image")
    place = 2
    if jpeg[2:4] == b"\xff\xe0":  # JFIF asks to stand first
        place += 2 + int.from_bytes(jpeg[4:6], "big")
    data = _XMP_JPEG_MARK + xmp_packet(metadata)
    return jpeg[:place] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + jpeg[place:]
