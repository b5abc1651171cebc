"""`scenebrush data check`: what is good, what is not, and what it leaves with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from models.labels import load_label_set
from server.cli import app
from training.datacheck import check, sheet


def add(root: Path, name: str, labels: np.ndarray | None, size: tuple[int, int] = (16, 16)) -> None:
    for kind in ("images", "labels"):
        (root / kind).mkdir(exist_ok=True)
    Image.new("RGB", size, (9, 90, 200)).save(root / "images" / f"{name}.jpg")
    if labels is not None:
        Image.fromarray(labels).save(root / "labels" / f"{name}.png")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    good = np.full((16, 16), 1, np.uint8)
    strange = good.copy()
    strange[:2, :5], strange[15] = 18, 255
    add(tmp_path, "1", good)
    add(tmp_path, "2", strange)
    add(tmp_path, "3", good, size=(16, 12))
    add(tmp_path, "4", None)
    add(tmp_path, "5", good)
    (tmp_path / "labels" / "5.png").write_bytes(b"no picture")
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["data", "check", *arguments])
    return result.exit_code, result.output


def test_a_good_set(source: Path) -> None:
    report, listing = check(source)
    assert report.usable
    assert report.splits == {"train": 24, "validation": 4, "test": 4}
    assert report.sizes == {"256×256": 32}
    shares = [one.share for one in report.classes]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert sheet(listing, 5).size == (1024, 256)
    code, said = run(str(source))
    assert code == 0
    assert "32" in said
    assert "usable" in said


def test_brackets_in_a_name_are_no_markup(broken: Path, tmp_path: Path) -> None:
    odd = tmp_path / "set [/b] [red]"
    for kind in ("images", "labels"):
        (odd / kind).mkdir(parents=True)
        for path in (broken / kind).iterdir():
            path.rename(odd / kind / path.name)
    code, said = run(str(odd))
    assert code == 1
    assert "set [/b] [red]: layout folder" in said


def test_everything_that_is_wrong_is_named(broken: Path) -> None:
    report, _ = check(broken, labels=load_label_set("landscape17"))
    assert not report.usable
    (unknown,) = report.unknown
    assert (unknown.value, unknown.pixels, unknown.pictures, unknown.nearest) == ("id 18", 10, 1, "house")
    assert report.mismatched == ["3: photo 16×12, map 16×16"]
    assert len(report.unreadable) == 1
    assert "pair 5" in report.unreadable[0]
    assert report.alone == ["images/4.jpg"]
    assert report.unlabelled == pytest.approx(16 / (3 * 256), abs=1e-4)
    code, said = run(str(broken))
    assert code == 1
    for words in (
        "id 18: 10 pixels in 1 pictures, nearest label 'house'",
        "pair 5",
        "images/4.jpg",
        "not usable",
    ):
        assert words in said


def test_unknown_colours_are_named_with_the_nearest(tmp_path: Path) -> None:
    sky = load_label_set("landscape17").by_name["sky"].color
    rgb = np.full((16, 16, 3), sky, np.uint8)
    rgb[0, :3] = (sky[0], sky[1] + 1, sky[2])
    add(tmp_path, "1", rgb)
    (unknown,) = check(tmp_path)[0].unknown
    assert (unknown.value, unknown.pixels, unknown.nearest) == ("colour #87bff0", 3, "sky")


def test_json_and_a_sheet(broken: Path, tmp_path: Path) -> None:
    code, said = run(str(broken), "--json", "--sheet", str(tmp_path / "sheet.jpg"), "--labels", "landscape17")
    assert code == 1
    document = json.loads(said)
    assert document["usable"] is False
    assert document["unknown"][0]["value"] == "id 18"
    with Image.open(tmp_path / "sheet.jpg") as picture:
        assert picture.size == (1024, 128)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--layout", "voc2012"], "no layout 'voc2012'"),
        (["--labels", "landscape18"], "did you mean landscape17?"),
    ],
)
def test_a_question_that_cannot_be_answered(tmp_path: Path, arguments: list[str], words: str) -> None:
    code, said = run(str(tmp_path), *arguments)
    assert code == 1
    assert words in said


def test_a_folder_without_pairs_is_not_usable(tmp_path: Path) -> None:
    code, said = run(str(tmp_path))
    assert code == 1
    assert "no pairs" in said
