"""What an exported picture says of itself, as other programs read it."""

import base64
import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.labels import load_label_set
from server import cli, commands
from server.codecs import encode_map, encode_picture
from server.provenance import (
    NAMESPACE,
    PNG_TEXT,
    PictureMetadata,
    generated,
    picture_json,
    with_jpeg_xmp,
    with_png_text,
    xmp_packet,
)
from server.version import scenebrush_version
from tests.server.conftest import EXAMPLES, Client, palette_png, run
from tests.server.fake_engine import NAMED_STYLES, FakeLibrary, fake_spec

LABELS = load_label_set("landscape17")
PAINTED = PictureMetadata(
    "generated",
    "landscape",
    "Apache-2.0",
    seed=7,
    style=(0.5, -1.25),
    style_id="golden-hour",
    styles=((1.0, 2.0),),
    labels=LABELS,
)
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
OURS = f"{{{NAMESPACE}}}"


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (24, 40, 3), np.uint8)


def said(packet: bytes | str) -> dict[str, str]:
    """Property → value of an XMP packet, read by an XML parser."""
    description = ET.fromstring(packet).find(f"{RDF}RDF/{RDF}Description")
    assert description is not None
    return {child.tag: child.text or "" for child in description}


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def test_a_packet_says_what_the_picture_is_and_what_painted_it() -> None:
    assert said(xmp_packet(PAINTED)) == {
        f"{IPTC}DigitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
        f"{XMP}CreatorTool": f"Scenebrush {scenebrush_version()}",
        f"{OURS}model": "landscape",
        f"{OURS}licence": "Apache-2.0",
        f"{OURS}seed": "7",
        f"{OURS}style": "golden-hour",
    }


def test_an_edited_photo_is_a_composite() -> None:
    packet = said(xmp_packet(PictureMetadata("edited", "landscape", "Apache-2.0", style=(0.5, -1.25))))
    assert packet[f"{IPTC}DigitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    assert packet[f"{OURS}style"] == "0.5 -1.25"
    assert f"{OURS}seed" not in packet


def test_what_a_model_file_says_cannot_break_out_of_the_packet() -> None:
    licence = "</scenebrush:licence><evil/>&lt; \x00\x0b\ud800 ©\n" + "&" * 5000
    packet = xmp_packet(PictureMetadata("generated", "m", licence, style=(0.1,) * 4096))
    read = said(packet)
    assert read[f"{OURS}licence"].startswith("</scenebrush:licence><evil/>&lt; \ufffd\ufffd\ufffd ©\n&&")
    assert f"{OURS}style" not in read, "too long for a JPEG's segment"
    assert len(packet) < 16 * 1024


@pytest.mark.parametrize("format_", ["png", "jpeg", "webp"])
def test_every_format_carries_it_and_the_pixels_stay(format_: str, picture: np.ndarray) -> None:
    bare = encode_picture(picture, format_, 92)
    data = encode_picture(picture, format_, 92, metadata=PAINTED)
    assert data == encode_picture(picture, format_, 92, metadata=PAINTED)
    image = opened(data)
    assert np.array_equal(np.asarray(image), np.asarray(opened(bare)))
    packet = image.info["XML:com.adobe.xmp" if format_ == "png" else "xmp"]
    assert said(packet) == said(xmp_packet(PAINTED))
    assert "xmp" not in opened(bare).info
    assert not opened(bare).info.keys() & {"XML:com.adobe.xmp", PNG_TEXT}


def test_a_jpeg_keeps_its_jfif_header_first(picture: np.ndarray) -> None:
    data = encode_picture(picture, "jpeg", 92, metadata=PAINTED)
    assert data[2:4] == b"\xff\xe0"
    assert data[6:10] == b"JFIF"
    length = struct.unpack_from(">H", data, 4)[0]
    assert data[4 + length : 6 + length] == b"\xff\xe1"


def test_a_png_embeds_what_opens_it_again(picture: np.ndarray) -> None:
    ids = np.random.default_rng(5).integers(0, 17, (24, 40)).astype(np.uint8)
    metadata = PictureMetadata(
        "generated",
        "landscape",
        "Apache-2.0",
        seed=7,
        style=(0.5,),
        labels=LABELS,
        map=encode_map(ids, LABELS),
        style_map=encode_map(ids % 2, LABELS),
    )
    text = json.loads(opened(encode_picture(picture, "png", 92, metadata=metadata)).info[PNG_TEXT])
    assert text == picture_json(metadata)
    assert {name: text[name] for name in ("format", "version", "origin", "model", "seed", "style")} == {
        "format": "scenebrush-picture",
        "version": 1,
        "origin": "generated",
        "model": "landscape",
        "seed": 7,
        "style": [0.5],
    }
    assert text["label_set"]["hash"] == LABELS.hash
    assert text["label_set"]["labels"][1] == {"id": 1, **LABELS.to_json()["labels"][1]}
    assert np.array_equal(np.asarray(opened(base64.b64decode(text["map"]))), ids)
    assert np.array_equal(np.asarray(opened(base64.b64decode(text["style_map"]))), ids % 2)


def test_a_png_without_an_embedded_map_says_the_rest(picture: np.ndarray) -> None:
    text = json.loads(opened(encode_picture(picture, "png", 92, metadata=PAINTED)).info[PNG_TEXT])
    assert "map" not in text
    assert text["styles"] == [[1.0, 2.0]]
    assert text["style_id"] == "golden-hour"


def test_a_large_embedded_map_can_still_be_opened(picture: np.ndarray) -> None:
    noise = np.random.default_rng(6).integers(0, 255, (1024, 1024)).astype(np.uint8)
    file = encode_map(noise, LABELS)
    metadata = PictureMetadata("generated", "m", "none", labels=LABELS, map=file)
    text = opened(encode_picture(picture, "png", 92, metadata=metadata)).info[PNG_TEXT]
    assert len(text) > 1024 * 1024, "larger than Pillow inflates"
    assert base64.b64decode(json.loads(text)["map"]) == file


def test_a_16_bit_png_of_another_writer_keeps_every_other_byte() -> None:
    deep = np.random.default_rng(4).integers(0, 65536, (9, 7, 4), np.uint16)
    ok, written = cv2.imencode(".png", deep)
    assert ok
    bare = written.tobytes()
    data = with_png_text(bare, PAINTED)
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), deep)
    assert said(opened(data).info["XML:com.adobe.xmp"]) == said(xmp_packet(PAINTED))
    kinds, rest = [], b""
    for kind, chunk in chunks(data):
        kinds.append(kind)
        rest += b"" if kind == b"iTXt" else chunk
    assert data[:8] + rest == bare
    assert kinds[:4] == [b"IHDR", b"iTXt", b"iTXt", kinds[3]]
    assert kinds.count(b"iTXt") == 2


def chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and whole bytes of every chunk, their sums checked."""
    found, offset = [], 8
    while offset < len(png):
        length, kind = struct.unpack_from(">I4s", png, offset)
        (crc,) = struct.unpack_from(">I", png, offset + 8 + length)
        assert crc == zlib.crc32(png[offset + 4 : offset + 8 + length])
        found.append((kind, png[offset : offset + 12 + length]))
        offset += 12 + length
    return found


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a" * 20])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no PNG"):
        with_png_text(data, PAINTED)
    with pytest.raises(ValueError, match="no JPEG"):
        with_jpeg_xmp(data, PAINTED)


def test_generate_says_it_in_every_format(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            for format_ in ("png", "jpeg", "webp"):
                form = {"seed": "5", "style": "golden-hour", "format": format_}
                files = {"mask": ("mask.png", palette_png(scene), "image/png")}
                answer = await http.post("/generate", files=files, data=form)
                info = opened(answer.content).info
                packet = said(info["XML:com.adobe.xmp" if format_ == "png" else "xmp"])
                assert packet[f"{IPTC}DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
                assert packet[f"{OURS}model"] == "fake"
                assert packet[f"{OURS}seed"] == "5"
                assert packet[f"{OURS}style"] == "golden-hour"
                if format_ == "png":
                    text = json.loads(info[PNG_TEXT])
                    assert text["style"] == [-1.25, 0.0, 0.0, 3.0]
                    assert text["label_set"]["name"] == "landscape17"

    run(main())


def test_a_style_from_the_seed_has_no_name() -> None:
    spec = replace(fake_spec(), styles=NAMED_STYLES)
    noon = NAMED_STYLES[0].code
    assert generated(spec, 1, noon, noon).style_id == "noon"
    assert generated(spec, 1, noon, None).style_id is None
    assert generated(spec, 1, (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)).style_id is None


def test_render_on_the_command_line_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commands, "open_library", lambda settings: FakeLibrary())
    monkeypatch.setattr("tests.server.fake_engine.DEVICE_THREAD", "MainThread")
    out = tmp_path / "lake.webp"
    words = ["render", str(EXAMPLES / "lake.png"), "-o", str(out), "--seed", "5", "--width", "64"]
    assert CliRunner().invoke(cli.app, words).exit_code == 0
    assert said(opened(out.read_bytes()).info["xmp"])[f"{OURS}seed"] == "5"
