"""The project file of strangers: read strictly, written anew, and nothing else of it goes on."""

import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from server.errors import Problem
from server.limits import Limits
from server.provenance import PNG_TEXT
from server.sharing.archive import MOST_ENTRIES
from server.sharing.project import ProjectLimits, rewrite
from tests.server.conftest import LANDSCAPE, image_file, palette_png
from tests.server.sharing.projects import (
    HEIGHT,
    LIMITS,
    WIDTH,
    document,
    files,
    photo,
    planes,
    project,
    simple,
    unzipped,
    zipped,
)


def refused(data: bytes, said: str = "", limits: ProjectLimits = LIMITS) -> Problem:
    with pytest.raises(Problem) as caught:
        rewrite(data, limits)
    problem = caught.value
    assert problem.code in {
        "broken-project",
        "not-a-project",
        "project-too-large",
        "project-version",
        "picture-too-large",
    }
    assert problem.status in {413, 415, 422}
    assert said in problem.detail, problem.detail
    assert problem.next_step
    return problem


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_what_the_painting_is_comes_through() -> None:
    before, after = files(), unzipped(rewrite(project(), LIMITS))
    assert list(after) == [
        "project.json",
        "layers/0.png",
        "layers/1.png",
        "styles.png",
        "edits.png",
        "source-map.png",
        "source.jpg",
        "photo.png",
        "thumbnail.png",
    ]
    for name, plane in planes().items():
        image = Image.open(io.BytesIO(after[name]))
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), plane), name
    assert Image.open(io.BytesIO(after["layers/1.png"])).info["transparency"]
    assert "transparency" not in Image.open(io.BytesIO(after["layers/0.png"])).info
    for name in ("photo.png", "thumbnail.png"):
        assert np.array_equal(pixels(after[name]), pixels(before[name]))
    changed = pixels(after["source.jpg"]).astype(int) - pixels(before["source.jpg"])
    assert np.abs(changed).mean() < 2
    said, was = json.loads(after["project.json"]), document()
    assert said == was


def test_equal_projects_give_equal_bytes_and_a_second_time_changes_nothing() -> None:
    once = rewrite(project(), LIMITS)
    assert once == rewrite(zipped(files(), zipfile.ZIP_DEFLATED), LIMITS)
    plain = rewrite(simple(), LIMITS)
    assert rewrite(plain, LIMITS) == plain


def test_what_the_format_does_not_have_is_dropped() -> None:
    content = files(tracker="https://evil.example", regions=[{"code": [1], "note": "secret"}])
    content["readme.html"] = b"<script>alert(1)</script>"
    content["layers/9.png"] = b"not in project.json"
    content["__MACOSX/._project.json"] = b"a Mac was here"
    content["source.jpg"] = image_file(
        photo(30, 40), "JPEG", quality=95, comment=b"secret", exif=exif(orientation=1, maker="secret")
    )
    out = io.BytesIO()
    text = Image.fromarray(photo())
    text.save(out, "PNG", pnginfo=png_text("secret"))
    content["photo.png"] = out.getvalue() + b"secret behind the end"
    after = rewrite(zipped(content), LIMITS)
    assert b"secret" not in after
    assert b"evil" not in zlib_free(after)
    assert set(unzipped(after)) == set(files())


def zlib_free(data: bytes) -> bytes:
    return b"".join(unzipped(data).values())


def png_text(text: str) -> Any:
    from PIL.PngImagePlugin import PngInfo  # noqa: PLC0415

    info = PngInfo()
    info.add_itxt("Comment", text)
    return info


def exif(orientation: int, maker: str) -> bytes:
    data = Image.Exif()
    data[0x0112], data[0x010F] = orientation, maker
    return data.tobytes()


def test_a_set_without_a_hash_or_groups_is_fine() -> None:
    labels = [{"id": 0, "name": "sky", "color": [1, 2, 3]}, {"id": 3, "name": "a", "color": [4, 5, 6]}]
    content = files(
        label_set={"name": "Own", "hash": None, "labels": labels},
        source=None,
        source_map=None,
    )
    numbers = np.where(planes()["layers/0.png"] > 8, 0, 3)
    after = unzipped(rewrite(zipped(content | {"layers/0.png": palette_png(numbers)}), LIMITS))
    image = Image.open(io.BytesIO(after["layers/0.png"]))
    assert np.array_equal(np.asarray(image), numbers)
    assert bytes(image.getpalette("RGB"))[:12] == bytes([1, 2, 3, 0, 0, 0, 0, 0, 0, 4, 5, 6])
    assert json.loads(after["project.json"])["label_set"]["labels"] == labels


def test_layers_are_named_anew_and_one_file_may_serve_two() -> None:
    layers = [
        {"name": "Base", "visible": True, "locked": False, "file": "layers/7.png"},
        {"name": "Copy", "visible": False, "locked": False, "file": "layers/7.png"},
    ]
    content = files(layers=layers)
    content["layers/7.png"] = content.pop("layers/0.png")
    after = unzipped(rewrite(zipped(content), LIMITS))
    assert after["layers/0.png"]
    assert [layer["file"] for layer in json.loads(after["project.json"])["layers"]] == [
        "layers/0.png",
        "layers/1.png",
    ]


def test_the_stored_render_goes_on_saying_that_it_is_synthetic() -> None:
    for changes, kind in (({}, "composite"), ({"source": None, "source_map": None}, "trained")):
        info = Image.open(io.BytesIO(unzipped(rewrite(project(**changes), LIMITS))["photo.png"])).info
        assert f"digitalsourcetype/{kind}" in info["XML:com.adobe.xmp"]
        said = json.loads(info[PNG_TEXT])
        assert (said["model"], said["seed"], said["style_id"]) == ("landscape", 8, "golden-hour")


def test_a_photo_is_upright_and_keeps_its_colours_and_its_bits() -> None:
    content = files()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content["source.jpg"] = image_file(
        photo(30, 40), "JPEG", quality=95, exif=exif(6, "x"), icc_profile=profile
    )
    image = Image.open(io.BytesIO(unzipped(rewrite(zipped(content), LIMITS))["source.jpg"]))
    assert image.size == (30, 40), "turned"
    assert image.info["icc_profile"] == profile
    assert not image.getexif()
    image = Image.open(
        io.BytesIO(
            unzipped(
                rewrite(
                    zipped(files() | {"source.jpg": image_file(photo(), "JPEG", icc_profile=b"secret" * 30)}),
                    LIMITS,
                )
            )["source.jpg"]
        )
    )
    assert "icc_profile" not in image.info, "no profile, whatever it is"

    deep = np.random.default_rng(2).integers(0, 65536, (9, 7, 4), np.uint16)
    content = files(source="source.png") | {"source.png": cv2.imencode(".png", deep)[1].tobytes()}
    after = unzipped(rewrite(zipped(content), LIMITS))["source.png"]
    assert np.array_equal(cv2.imdecode(np.frombuffer(after, np.uint8), cv2.IMREAD_UNCHANGED), deep)

    for lossless in (True, False):
        webp = image_file(photo(), "WEBP", lossless=lossless, quality=90)
        after = unzipped(rewrite(zipped(files(source="source.webp") | {"source.webp": webp}), LIMITS))
        difference = np.abs(pixels(after["source.webp"]).astype(int) - pixels(webp))
        assert (difference.max() == 0) == lossless
        assert difference.mean() < 3


def turned() -> bytes:
    """Exif of a picture that lies on its side."""
    return exif(6, "x")


NO_LABELS = {"hash": "0", "name": "x", "ignore": None, "labels": []}
TWICE = LANDSCAPE.to_json()["labels"][:1] * 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": 7}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"width": "24"}, "width"),
        ({"width": 24.5}, "width"),
        ({"width": WIDTH + 1}, f"layers/0.png has {WIDTH}×{HEIGHT} pixels, and the painting {WIDTH + 1}×"),
        ({"width": 0}, "width"),
        ({"layers": []}, "layers"),
        ({"layers": document()["layers"] * 17}, "layers"),
        ({"layers": [{"name": "x", "visible": 1, "locked": False, "file": "a"}]}, "visible"),
        ({"layers": [{"name": "x", "visible": True, "locked": False, "file": "../a"}]}, "no ../a"),
        ({"layers": [{"name": "x", "visible": True, "locked": False, "file": "layers/9.png"}]}, "layers/9"),
        (
            {"layers": [{"name": "x", "visible": True, "locked": False, "file": "layers/1.png"}]},
            "holds the id 255",
        ),
        ({"light": {"seed": -1}}, "light.seed"),
        ({"light": {"seed": 2**32}}, "light.seed"),
        ({"light": {"seed": 1, "code": [101]}}, "light.code"),
        ({"light": {"seed": 1, "code": []}}, "light.code"),
        ({"light": {"seed": 1, "code": [True]}}, "light.code"),
        ({"light": {"seed": 1, "code": ["1"]}}, "light.code"),
        ({"light": {"seed": 1, "code": [0] * 4097}}, "light.code"),
        ({"regions": [{"code": [0]}] * 16}, "regions"),
        ({"regions": [{"title": "no code"}]}, "regions.0.code"),
        ({"regions": []}, "styles.png holds the number 1"),
        ({"style_plane": "layers/0.png"}, "style_plane"),
        ({"source": "source.svg"}, "source"),
        ({"source": "source.png"}, "no source.png"),
        ({"source": None}, "come together"),
        ({"source_map": None}, "come together"),
        ({"photo_of": {"a": {"deep": 1}}}, "photo_of"),
        ({"photo_of": {"a": 2**60}}, "photo_of"),
        ({"photo_of": {str(number): 1 for number in range(33)}}, "photo_of"),
        ({"created": "x" * 41}, "created"),
        ({"label_set": NO_LABELS}, "label_set.labels"),
        ({"label_set": {"hash": "0" * 16, **LANDSCAPE.to_json()}}, "the label set's hash"),
        ({"label_set": {"hash": "0", "name": "x", "ignore": None, "labels": TWICE}}, "uses an id twice"),
        (
            {"label_set": {"hash": LANDSCAPE.hash, **LANDSCAPE.to_json(), "ignore": 77}},
            "ignores id 77",
        ),
        ({"format": "other"}, "scenebrush-project of version 1"),
        ({"version": 2}, "scenebrush-project of version 1"),
        ({"version": True}, "scenebrush-project of version 1"),
    ],
)
def test_a_document_that_does_not_fit_is_refused(changes: dict[str, Any], said: str) -> None:
    refused(project(**changes), said)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(document()).replace("Mountain", "\\ud800").encode(),
        json.dumps(document(light={"seed": 1, "code": [1e308]})).replace("1e+308", "1e999").encode(),
        json.dumps(document(photo_of={"a": float("nan")})).encode(),
        json.dumps(document()).encode() + b" " * (1024 * 1024),
    ],
)
def test_text_that_is_no_document_is_refused(text: bytes) -> None:
    refused(zipped(files() | {"project.json": text}))


def test_text_of_more_values_than_any_project_has_is_not_even_parsed() -> None:
    text = b'{"more": [' + b"[]," * 100_000 + b"[]]}"
    refused(zipped(files() | {"project.json": text}), "more values")


def test_names_are_text_and_come_back_as_such() -> None:
    name = '</script><img src=x onerror="alert(1)">\u202e\x00'
    after = unzipped(rewrite(project(title=name), LIMITS))
    assert json.loads(after["project.json"])["title"] == name


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("layers/0.png", b"", "empty file"),
        ("layers/0.png", palette_png(planes()["layers/0.png"])[:-30], "damaged or cut short"),
        ("layers/0.png", image_file(photo(), "JPEG"), "JPEG"),
        ("layers/0.png", image_file(photo()), "Its pixels are colours"),
        ("layers/0.png", palette_png(np.full((HEIGHT, WIDTH), 99)), "holds the id 99"),
        ("layers/0.png", palette_png(np.ones((WIDTH, HEIGHT))), f"has {HEIGHT}×{WIDTH} pixels"),
        ("layers/0.png", image_file(np.ones((HEIGHT, WIDTH), np.uint16)), "16 a channel"),
        ("layers/0.png", palette_png(np.ones((HEIGHT, WIDTH)), exif=turned()), "layers/0.png has"),
        ("layers/1.png", palette_png(np.full((HEIGHT, WIDTH), 200)), "holds the id 200"),
        ("styles.png", palette_png(np.full((HEIGHT, WIDTH), 2)), "holds the number 2"),
        ("edits.png", palette_png(np.full((HEIGHT, WIDTH), 2)), "holds the number 2"),
        ("source-map.png", palette_png(np.full((HEIGHT, WIDTH), 255)), "holds the id 255"),
        ("source.jpg", image_file(photo()), "source.jpg is no JPEG"),
        ("source.jpg", image_file(photo(2000, 1000), "JPEG"), "2000 pixels"),
        ("source.jpg", image_file(photo(), "JPEG")[:300], "source.jpg: "),
        ("photo.png", b"GIF89a", "photo.png is no PNG"),
        ("thumbnail.png", image_file(np.zeros((1200, 1000, 3), np.uint8)), "1000×1200 pixels"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(name: str, data: bytes, said: str) -> None:
    refused(zipped(files() | {name: data}), said)


def test_the_servers_own_limits_hold() -> None:
    refused(project(), "at most 20 on a side", ProjectLimits(Limits(20, 1000), 10**6, 10**6))
    refused(project(), "more than 2000 bytes", ProjectLimits(LIMITS.canvas, 10**6, 2000))
    # What is small as it comes may be large as it is kept: every layer names the same file.
    noise = np.random.default_rng(4).integers(0, 17, (256, 256)).astype(np.uint8)
    layer = {"name": "x", "visible": True, "locked": False, "file": "layers/0.png"}
    content = {
        "project.json": json.dumps(
            document(
                width=256,
                height=256,
                layers=[layer] * 32,
                **dict.fromkeys(
                    ("style_plane", "edit_plane", "source", "source_map", "photo", "thumbnail"),
                ),
            )
        ).encode(),
        "layers/0.png": palette_png(noise),
    }
    problem = refused(zipped(content), "Its files have more than", ProjectLimits(LIMITS.canvas, 1, 400_000))
    assert problem.status == 413


# -- The zip


def entries(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def patched(data: bytes, name: str, offset: int, value: bytes) -> bytes:
    """The zip with bytes of an entry's record in the list of files changed."""
    at = data.rindex(name.encode()) - 46 + offset
    assert data[at - offset :].startswith(b"PK\x01\x02")
    return data[:at] + value + data[at + len(value) :]


def with_name(name: str) -> bytes:
    """An entry of this very name: zipfile would mend some."""
    data = zipped(files() | {"zz" + "q" * (len(name) - 2): b"x"})
    return data.replace(("zz" + "q" * (len(name) - 2)).encode(), name.encode())


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\evil",
        "a\\b",
        "layers/../../x",
        "a\0b",
        "a/b/c/d/e/f",
        "a b",
        ".",
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    if name == ".":
        assert "." not in unzipped(rewrite(zipped(files() | {name: b"x"}), LIMITS)), "dropped, as any other"
        return
    refused(with_name(name))


def test_a_zip_bomb_is_refused_by_what_it_says_and_by_what_it_is() -> None:
    bomb = zipped(files() | {"photo.png": b"\0" * (64 << 20)}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert refused(bomb, "more than").status == 413
    # The same, saying that it is small.
    small = patched(bomb, "photo.png", 24, struct.pack("<I", 1000))
    refused(small, "photo.png cannot be unpacked")
    # And the other way round.
    packed = zipped(files(), zipfile.ZIP_DEFLATED)
    refused(patched(packed, "photo.png", 24, struct.pack("<I", 100_000)), "photo.png unpacks to another size")


def test_a_bomb_of_entries_is_refused_before_they_are_listed() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number in range(MOST_ENTRIES + 1):
            archive.writestr(str(number), b"")
    assert refused(out.getvalue(), "lists").status == 413
    # As many as there is room for, saying that it is one.
    record = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *[0] * 16) + b""
    many = b"PK\x03\x04" + record * 50_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(many) - 4, 4, 0)
    assert refused(many + end, "lists").status == 413


def test_a_list_of_files_that_stands_elsewhere_is_not_looked_for() -> None:
    """Numbers of 64 bits would win over those that were judged."""
    plain = project()
    *_, entries, size, offset, _ = struct.unpack("<4s4H2IH", plain[-22:])
    larger = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(plain) - 22, 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, size + 76, offset, 0)
    data = plain[:-22] + larger + locator + end
    assert len(zipfile.ZipFile(io.BytesIO(data)).infolist()) == entries
    refused(data, "of the kind for large files")


def test_encrypted_links_twins_and_strange_packing_are_refused() -> None:
    plain = project()
    refused(patched(plain, "photo.png", 8, struct.pack("<H", 1)), "encrypted")
    link = zipfile.ZipInfo("photo.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files().items():
            archive.writestr(link if name == "photo.png" else name, content)
    refused(out.getvalue(), "a link or a device")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(zipped(files(), method), "packed in a way")
    refused(zipped(files() | {"PHOTO.png": b"x"}), "two files of one name")


def test_a_damaged_zip_is_refused() -> None:
    plain = zipped(files(), zipfile.ZIP_DEFLATED)
    assert refused(b"").code == "not-a-project"
    assert refused(b"hello").code == "not-a-project"
    assert refused(b"\x7fELF" + plain, "").code == "not-a-project"
    refused(plain[:-1], "cut short")
    refused(plain[: len(plain) // 2], "cut short")
    refused(plain + b"!", "cut short")
    refused(plain[:100] + b"?" + plain[100:], "not where it says")
    refused(patched(plain, "photo.png", 16, b"\0\0\0\0"), "photo.png cannot be unpacked")
    content = files()
    del content["project.json"]
    refused(zipped(content), "no project.json")
    refused(zipped({f"My painting/{name}": data for name, data in files().items()}))


# -- By chance


def outcome(data: bytes) -> str:
    """What becomes of a file: rewritten, or refused in the way that a client can be told."""
    try:
        again = rewrite(data, LIMITS)
    except Problem as problem:
        refusal = problem
    else:
        assert rewrite(again, LIMITS), "what is kept can be read"
        return "rewritten"
    assert 400 <= refusal.status < 500, refusal.detail
    assert len(refusal.detail) < 2000
    return refusal.code


STORED, PACKED = project(), zipped(files(), zipfile.ZIP_DEFLATED)
quick = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "60")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@quick
@given(data=st.data(), packed=st.booleans())
def test_a_mutated_file_is_rewritten_or_refused(data: st.DataObject, packed: bool) -> None:
    mutated = bytearray(PACKED if packed else STORED)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "repeat", "number"])):
            case "flip":
                mutated[at] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del mutated[at : at + data.draw(st.integers(1, 200))]
            case "insert":
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=40))
            case "repeat":
                mutated[at:at] = mutated[at : at + data.draw(st.integers(1, 300))]
            case _:
                mutated[at : at + 4] = struct.pack("<I", data.draw(st.sampled_from([0, 1, 2**31, 2**32 - 1])))
        if not mutated:
            break
    outcome(bytes(mutated))


@quick
@given(name=st.sampled_from(sorted(files())), data=st.data())
def test_a_mutated_member_in_a_sound_zip_is_rewritten_or_refused(name: str, data: st.DataObject) -> None:
    content = files()
    member = bytearray(content[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(member) - 1))
        member[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
    content[name] = with_sums(bytes(member)) if data.draw(st.booleans()) else bytes(member)
    outcome(zipped(content))


def with_sums(png: bytes) -> bytes:
    """A PNG's chunks with right sums, so that damage reaches what reads them."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        return png
    out, offset = bytearray(png[:8]), 8
    while offset + 12 <= len(png):
        length = int.from_bytes(png[offset : offset + 4], "big")
        body = png[offset + 4 : offset + 8 + length]
        out += png[offset : offset + 4] + body + struct.pack(">I", zlib.crc32(body))
        offset += 12 + length
    return bytes(out)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@quick
@given(field=st.sampled_from(sorted(document())), value=JSON, inner=st.booleans())
def test_any_json_in_any_field_is_rewritten_or_refused(field: str, value: Any, inner: bool) -> None:
    said = document()
    if inner and isinstance(said[field], dict) and said[field]:
        key = sorted(said[field])[0]
        said[field] = said[field] | {key: value}
    elif inner and isinstance(said[field], list):
        said[field] = [*said[field], value]
    else:
        said[field] = value
    outcome(zipped(files() | {"project.json": json.dumps(said).encode("utf-8", "surrogatepass")}))


@pytest.mark.slow
def test_no_file_makes_the_server_large(tmp_path: Path) -> None:
    """The worst that fits the limits, in a process whose memory can be looked at."""
    side = 1024
    zeros = palette_png(np.zeros((side, side)))
    layer = {"name": "x", "visible": True, "locked": False, "file": "layers/0.png"}
    said = document(
        width=side,
        height=side,
        layers=[layer] * 32,
        regions=[{"code": ["x"] * 4096}] * 15,
        photo_of={str(number): ["x"] * 4096 for number in range(32)},
    )
    many = zipped(files() | {"project.json": json.dumps(said).encode(), "layers/0.png": zeros})
    fine = said | {"regions": document()["regions"], "photo_of": None}
    planes_ = dict.fromkeys(planes(), zeros)
    large = zipped(
        files()
        | planes_
        | {
            "project.json": json.dumps(fine).encode(),
            "source.jpg": image_file(np.zeros((4096, 4096, 3), np.uint8), "JPEG"),
        }
    )
    bomb = zipped(files() | {"photo.png": b"\0" * (64 << 20)}, zipfile.ZIP_DEFLATED)
    for number, data in enumerate((many, large, bomb)):
        (tmp_path / f"{number}.zip").write_bytes(data)
    program = """
import resource, sys
from pathlib import Path
from server.errors import Problem
from server.limits import Limits
from server.sharing.project import ProjectLimits, rewrite
limits = ProjectLimits(Limits(2048, 1 << 20), 24 << 20, 16 << 20)
said = []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        said.append(f"{len(rewrite(path.read_bytes(), limits))}")
    except Problem as problem:
        said.append(problem.code)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, *said)
"""
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    grown, *outcomes = ran.stdout.split()
    assert outcomes[0] == "broken-project"
    assert outcomes[1].isdecimal()
    assert outcomes[2] == "project-too-large"
    assert int(grown) < 400, f"{grown} MiB"


# -- The page's own files

PAGE = Path(__file__).parents[1] / "js" / "page.js"
NODE = shutil.which("node")


def node(*words: object) -> str:
    command = [str(NODE), str(PAGE), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
def test_what_the_page_saves_is_the_same_to_it_when_it_was_shared(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(image_file(photo(60, 80), "JPEG"))
    (tmp_path / "picture.png").write_bytes(image_file(photo()))
    (tmp_path / "labels.json").write_text(json.dumps(document()["label_set"]))
    saved, kept = tmp_path / "saved.scenebrush", tmp_path / "kept.scenebrush"
    node("pack", saved, *(tmp_path / name for name in ("labels.json", "photo.jpg", "picture.png")))
    kept.write_bytes(rewrite(saved.read_bytes(), LIMITS))
    seen = json.loads(node("read", saved))
    assert seen["title"] == "Ein See & mehr"
    assert len(seen["layers"]) == 2
    assert seen["seen"]["width"] == 24
    assert json.loads(node("read", kept)) == seen
