"""Every request and every command that docs/editing.md shows runs, one after the other, as a reader would."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from server import cli
from tests.project.test_docs import ROOT, shell_lines
from tests.serving import serve

PAGE = ROOT / "docs" / "editing.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder: a photo larger than the model paints, and a mask of a part of it."""
    with Image.open(ROOT / "examples" / "data" / "images" / "100000.jpg") as photo:
        photo.resize((900, 600)).save(tmp_path / "photo.jpg", quality=95)
    mask = np.zeros((600, 900), np.uint8)
    mask[330:450, 420:640] = 255
    Image.fromarray(mask).save(tmp_path / "region.png")
    for name in [name for name in os.environ if name.startswith("SCENEBRUSH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def outside_is_equal(folder: Path, *names: str) -> None:
    photo, outside = pixels(folder / "photo.jpg"), pixels(folder / "region.png") == 0
    for name in names:
        result = pixels(folder / name)
        assert np.array_equal(result[outside], photo[outside]), name
        assert not np.array_equal(result, photo) or name.startswith("restored")


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_requests_run(folder: Path) -> None:
    lines = [line for line in shell_lines(PAGE) if line.startswith("curl ")]
    assert len(lines) >= 6
    with serve(cwd=ROOT) as server:
        for line in lines:
            there = line.replace("http://127.0.0.1:8000", server.url)
            assert there != line
            ran = subprocess.run(
                [*shlex.split(there), "--fail-with-body", "--silent", "--show-error"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, f"{line}\n{ran.stderr}"
    outside_is_equal(folder, "sea.png", "another-sea.png", "restored.png")
    assert pixels(folder / "map.png").shape == (600, 900)
    assert json.loads((folder / "map.json").read_text())["width"] == 512
    assert len(json.loads((folder / "style.json").read_text())["style"]) == 64


def test_commands_run(folder: Path) -> None:
    lines = [
        line for line in shell_lines(PAGE) if line.startswith(("scenebrush edit", "scenebrush segment "))
    ]
    assert len(lines) >= 4
    for line in lines:
        _, *words = shlex.split(line)
        result = CliRunner().invoke(cli.app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    outside_is_equal(folder, "sea.png", "evening.png", "restored.png")
    assert pixels(folder / "map.png").shape == (600, 900)
