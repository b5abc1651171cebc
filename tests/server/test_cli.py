"""The command line as a person meets it: real processes for what starts one, Typer's runner for the rest."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from server import cli, commands
from server.version import scenebrush_version
from tests.server.conftest import EXAMPLES, LANDSCAPE, image_file
from tests.server.fake_engine import FakeLibrary

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "models" / "weights" / "landscape.safetensors"


def call(*words: str) -> Any:
    return CliRunner().invoke(cli.app, list(words))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    """Commands find the fake engine; it also checks that it renders on the device's thread, which has another
    name here."""
    library = FakeLibrary()
    monkeypatch.setattr(commands, "open_library", lambda settings: library)
    monkeypatch.setattr("tests.server.fake_engine.DEVICE_THREAD", "MainThread")
    return library


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, server.cli; sys.exit(any(name in sys.modules for name in ('torch', 'fastapi', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_help_names_the_commands() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for command in ("serve", "render", "models", "inspect", "train"):
        assert command in result.output
        assert call(command, "--help").exit_code == 0
    said = call("--version")
    assert (said.exit_code, said.output.strip()) == (0, scenebrush_version())


def test_render_paints_a_file(fake: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "lake.png"
    result = call("render", str(EXAMPLES / "lake.png"), "-o", str(out), "--seed", "5", "--width", "64")
    assert result.exit_code == 0, result.output
    assert "64×64, seed 5, model fake" in result.stderr
    first = out.read_bytes()
    assert Image.open(io.BytesIO(first)).size == (64, 64)
    call("render", str(EXAMPLES / "lake.png"), "-o", str(out), "--seed", "5", "--width", "64")
    assert out.read_bytes() == first
    call("render", str(EXAMPLES / "lake.png"), "-o", str(out), "--style", "[9, 0, 0, 0]", "--width", "64")
    by_code = out.read_bytes()
    assert by_code != first
    call("render", str(EXAMPLES / "lake.png"), "-o", str(out), "--style", "noon", "--width", "64")
    assert out.read_bytes() not in (first, by_code)


def test_render_paints_styles_by_region(fake: FakeLibrary, tmp_path: Path) -> None:
    out, where = tmp_path / "lake.png", tmp_path / "where.png"
    numbers = np.zeros((4, 4), np.uint8)
    numbers[:, 2:] = 1
    numbers[2:, :2] = 2
    where.write_bytes(image_file(numbers))

    def painted(*words: str) -> np.ndarray:
        result = call(
            "render", str(EXAMPLES / "lake.png"), "-o", str(out), "--seed", "5", "--width", "64", *words
        )
        assert result.exit_code == 0, result.output
        return np.asarray(Image.open(io.BytesIO(out.read_bytes())))

    regions = ("--style-map", str(where), "--region-style", "noon", "--region-style", "[-3, 0, 0, 0]")
    both = painted(*regions, "--style", "golden-hour", "--embed-map")
    for part, style in (
        (np.s_[:32, :32], "golden-hour"),
        (np.s_[:, 32:], "noon"),
        (np.s_[32:, :32], "[-3, 0, 0, 0]"),
    ):
        assert np.array_equal(both[part], painted("--style", style)[part])
    out = tmp_path / "lake.webp"
    assert np.array_equal(painted(*regions, "--style", "golden-hour", "--lossless"), both)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{mask}", "-o", "out.gif"], "does not end in .jpg"),
        (["{mask}", "-o", "{tmp}/out.jpg", "--lossless"], "never without loss"),
        (["{mask}", "-o", "{tmp}/out.png", "--region-style", "noon"], "no style_map"),
        (["{mask}", "-o", "{tmp}/out.png", "--style-map", "{strange}"], "style number"),
        (["{mask}", "-o", "{tmp}/out.jpg", "--seed", "-1"], "seed"),
        (["{mask}", "-o", "{tmp}/out.jpg", "--style", "[1"], "is not JSON"),
        (["{mask}", "-o", "{tmp}/out.jpg", "--style", "moon"], "There are: noon, golden-hour."),
        (["{mask}", "-o", "{tmp}/out.jpg", "--model", "none"], "there is no such model"),
        (["{mask}", "-o", "{tmp}/out.jpg", "--width", "5000"], "at most 2048"),
        (["{mask}", "-o", "{tmp}/none/out.jpg"], "No such file or directory"),
        (["none.png", "-o", "{tmp}/out.jpg"], "none.png"),
        (["{strange}", "-o", "{tmp}/out.jpg"], "id 77 (16 pixels, nearest label 'house'"),
    ],
)
@pytest.mark.usefixtures("fake")
def test_render_says_what_is_wrong(tmp_path: Path, words: list[str], said: str) -> None:
    strange = tmp_path / "strange.png"
    strange.write_bytes(image_file(np.full((4, 4), 77, np.uint8)))
    places = {"mask": EXAMPLES / "lake.png", "tmp": tmp_path, "strange": strange}
    result = call("render", *(word.format(**places) for word in words))
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


def test_an_error_of_ours_keeps_its_traceback(fake: FakeLibrary, tmp_path: Path) -> None:
    fake.failure = RuntimeError("ours")
    result = call("render", str(EXAMPLES / "lake.png"), "-o", str(tmp_path / "out.jpg"))
    assert isinstance(result.exception, RuntimeError)


def test_models_are_listed(fake: FakeLibrary) -> None:
    fake.problems.append("broken.safetensors: not a model")
    result = call("models")
    assert result.exit_code == 0
    assert "fake (default)" in result.stdout
    assert "Apache-2.0" in result.stdout
    assert "broken.safetensors" in result.stderr
    listed = json.loads(call("models", "--json").stdout)
    assert [model["id"] for model in listed] == ["fake", "city", "things"]
    assert listed[0]["labels"]["hash"] == LANDSCAPE.hash


def test_a_model_file_is_inspected() -> None:
    result = call("inspect", str(WEIGHTS))
    assert result.exit_code == 0, result.output
    for said in ("landscape", "Apache-2.0", "mountain", "parameters"):
        assert said in result.stdout
    described = json.loads(call("inspect", str(WEIGHTS), "--json").stdout)
    assert described["id"] == "landscape"
    assert described["parameters"] > 1_000_000


def test_a_file_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    strange = tmp_path / "strange.safetensors"
    strange.write_bytes(b"\xff" * 100)
    result = call("inspect", str(strange))
    assert result.exit_code == 1
    assert "not a readable safetensors file" in result.stderr


def test_train_passes_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from training import cli as trainer  # noqa: PLC0415

    given: dict[str, Any] = {}
    monkeypatch.setattr(trainer, "train", lambda *args, **options: given.update(options, args=args))
    words = ["--pictures", "123", "--set", "network.widths=[8, 8]", "--set", "loss.kl=0.5", "--threads", "1"]
    result = call("train", "pairs", "--out", str(tmp_path), *words)
    assert result.exit_code == 0, result.output
    assert given["args"] == (Path("pairs"), tmp_path)
    recipe = given["recipe"]
    assert (recipe.task, recipe.run.pictures) == ("builtin", 123)
    assert (recipe.network.widths, recipe.loss.kl) == ((8, 8), 0.5)
    assert given["threads"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere", "--out", "{tmp}"], "no folder at /nowhere"),
        (["pairs", "--out", "{tmp}", "--set", "loss.kll=1"], "no value in [loss] is called 'kll'"),
        (["pairs", "--out", "{tmp}", "--set", "kl=1"], "did you mean 'loss.kl'?"),
        (["pairs", "--out", "{tmp}", "--set", "loss.kl"], "has no value"),
        (["pairs", "--out", "{tmp}", "--recipe", "nonsense"], "no recipe 'nonsense': there are builtin"),
    ],
)
def test_train_says_what_is_wrong(tmp_path: Path, words: list[str], said: str) -> None:
    result = call("train", *(word.format(tmp=tmp_path) for word in words))
    assert result.exit_code == 1
    assert said in result.stderr


def test_a_bad_setting_stops_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENEBRUSH_QUEUE_LENGTH", "none")
    result = call("serve")
    assert result.exit_code == 1
    assert "queue_length" in result.stderr.lower()


def test_several_workers_stop_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    result = call("serve")
    assert result.exit_code == 1
    assert "WEB_CONCURRENCY=3" in result.stderr


def test_a_folder_without_models_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("engine.library.BUILTIN", tmp_path)
    result = call("models", "--models-dir", str(tmp_path))
    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr


# Real processes


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Any]:
    """`scenebrush serve` on a free port, in another folder: (process, address, log file)."""
    log = tmp_path / "log"
    environment = {
        **os.environ,
        "SCENEBRUSH_LOG_FORMAT": "json",
        "SCENEBRUSH_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }
    with log.open("w") as stream:
        started = subprocess.Popen(
            [sys.executable, "-c", "from server.cli import app; app()", "serve", "--threads", "1"],
            cwd=tmp_path,
            env=environment,
            stdout=stream,
            stderr=stream,
        )
        try:
            yield started, _address(started, log), log
        finally:
            started.kill()
            started.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        listening = re.search(r'"url": "(http://[^"]+)"', log.read_text())
        if listening and '"event": "ready"' in log.read_text():
            return listening[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.mark.slow
def test_serve_paints_logs_json_and_drains(process: Any) -> None:
    started, url, log = process
    mask = (EXAMPLES / "coast-rgb.png").read_bytes()
    sent = {"files": {"mask": mask}, "data": {"width": "64", "seed": "3"}, "timeout": 60}
    first, again = (httpx.post(f"{url}/generate", **sent) for _ in range(2))
    assert first.status_code == 200
    assert Image.open(io.BytesIO(first.content)).size == (64, 64)
    assert again.content == first.content
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) in (0, -signal.SIGTERM)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["event"] == "stopped"
    (request, _) = [line for line in lines if line.get("path") == "/generate"]
    assert request["status"] == 200
    assert request["request_id"] == first.headers["x-request-id"]
