"""`scenebrush edit`, `segment` and `segmenter fetch`."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from server import cli, editing_commands, segmenting
from tests.server.conftest import palette_png
from tests.server.photographs import blob, mask, pillow, png, read_png, samples
from tests.server.tiny_server import tiny_library


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo and a region, in which the commands run."""
    monkeypatch.setattr(editing_commands, "open_library", lambda settings: tiny_library())
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Path("photo.png").write_bytes(png(samples(1, 64, 48, 3, 16)))
    Path("region.png").write_bytes(mask(blob(2, 64, 48)))
    return tmp_path


def call(*words: str) -> Any:
    return CliRunner().invoke(cli.app, list(words))


@pytest.mark.usefixtures("folder")
def test_edits_relabel_resample_and_restore() -> None:
    region, source = blob(2, 64, 48), samples(1, 64, 48, 3, 16)
    result = call(
        "edit", "photo.png", "--region", "region.png", "--label", "sea", "--seed", "3", "-o", "sea.png"
    )
    assert result.exit_code == 0, result.output
    assert "64×48, equal outside the region, seed 3, model tiny" in result.stderr
    sea = read_png(Path("sea.png").read_bytes())
    assert sea.dtype == np.uint16
    assert np.array_equal(sea[~region], source[~region])
    assert (sea[region] != source[region]).any()
    result = call("edit", "sea.png", "--region", "region.png", "--resample", "--seed", "4", "-o", "anew.png")
    assert result.exit_code == 0, result.output
    assert not np.array_equal(read_png(Path("anew.png").read_bytes()), sea)
    result = call(
        "edit",
        "sea.png",
        "--region",
        "region.png",
        "--restore",
        "photo.png",
        "--feather",
        "0",
        "-o",
        "back.png",
    )
    assert result.exit_code == 0, result.output
    assert np.array_equal(read_png(Path("back.png").read_bytes()), source)


@pytest.mark.usefixtures("folder")
def test_a_new_map_brings_its_own_region_and_jpeg_is_said() -> None:
    Path("photo.jpg").write_bytes(pillow(samples(5, 64, 48), "JPEG"))
    before = np.full((48, 64), 1, np.uint8)
    after = before.copy()
    after[10:30, 10:50] = 13
    Path("before.png").write_bytes(palette_png(before))
    Path("after.png").write_bytes(palette_png(after))
    result = call("edit", "photo.jpg", "--map", "before.png", "--new-map", "after.png", "-o", "out.jpg")
    assert result.exit_code == 0, result.output
    assert "JPEG changes all of it a little" in result.stderr
    with Image.open("out.jpg") as picture:
        assert picture.size == (64, 48)


@pytest.mark.usefixtures("folder")
def test_segment_writes_a_map_and_says_what_is_on_it() -> None:
    result = call("segment", "photo.png", "-o", "map.png", "--max-side", "32")
    assert result.exit_code == 0, result.output
    assert "map.png: 32×24, " in result.stderr
    assert "%" in result.stderr
    with Image.open("map.png") as image:
        assert (image.mode, image.size) == ("P", (32, 24))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["edit", "photo.png", "-o", "out.gif"], "another ending than .png, .webp or .jpg"),
        (["edit", "photo.png", "--resample", "-o", "out.png"], "No region"),
        (["edit", "photo.png", "--region", "region.png", "-o", "out.png"], "neither was sent"),
        (["edit", "photo.png", "--region", "region.png", "--resample", "-o", "out.jpg"], "16 bits a channel"),
        (["edit", "photo.png", "--region", "region.png", "--label", "lava", "-o", "out.png"], "lava"),
        (["edit", "none.png", "--resample", "-o", "out.png"], "none.png"),
        (["edit", "photo.png", "--resample", "--blend", "glue", "-o", "out.png"], "blend"),
        (["segment", "photo.png", "-o", "map.jpg"], "label maps are palette PNGs"),
        (["segment", "photo.png", "--segmenter", "ade20k", "-o", "map.png"], "scenebrush segmenter fetch"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str) -> None:
    result = call(*words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert not Path("out.png").exists()


def test_fetching_says_where_it_went(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Path, bool]] = []
    monkeypatch.setattr(
        editing_commands, "fetch_segmenter", lambda path, *, force: asked.append((path, force))
    )
    result = call("segmenter", "fetch", "--force")
    assert result.exit_code == 0, result.output
    where = folder / "data" / "scenebrush" / "segmenters" / "ade20k"
    assert asked == [(where, True)]
    assert segmenting.REPOSITORY in result.stderr


def test_fetching_without_a_network_or_the_extra_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoNetwork:
        def snapshot_download(self, *_: object, **__: object) -> None:
            raise ConnectionError("no network")

    monkeypatch.setitem(sys.modules, "huggingface_hub", NoNetwork())
    result = call("segmenter", "fetch")
    assert result.exit_code == 1
    assert "ConnectionError: no network" in result.stderr
    monkeypatch.setattr(segmenting, "available", lambda: False)
    result = call("segmenter", "fetch")
    assert "pip install 'scenebrush[segment]'" in result.stderr
    assert not list(folder.glob("data/scenebrush/segmenters/*"))
