"""Every recipe, tiny, from the first step to the server: `make smoke-train`.

It trains, is killed as kill -9 does it, goes on to the bit, exports, and the export is served (a segmenter's
is loaded). Recipes are found by themselves.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.checkpoint import SEGMENTERS, load_segmenter, read_spec
from models.labels import load_label_set
from server.app import create_app
from server.services import open_library
from server.settings import Settings
from tests.training.killing import smoke_recipe, train
from training.data import read_pairs, to_float
from training.recipe import load_recipe, names

pytestmark = [pytest.mark.smoke, pytest.mark.timeout(900)]
RECIPES = names()
PAINTERS = [name for name in RECIPES if load_recipe(name).task != "segment"]
JUDGES = [name for name in RECIPES if name not in PAINTERS]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Sums depend on the number of threads; whoever comes after gets its own back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A run folder for each recipe, FOLDER/RECIPE, of a process that was killed in a step."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.training.killing", str(folder), *RECIPES]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def finished(killed: Path) -> Callable[[str], Path]:
    """The model of a killed run that went on to its end."""
    return cache(lambda name: train(name, killed / name))


def tensors(value: Any, path: str = "") -> dict[str, Tensor]:
    """Every tensor in a saved state, by its path."""
    if isinstance(value, Tensor):
        return {path: value}
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return {name: leaf for key, entry in entries for name, leaf in tensors(entry, f"{path}/{key}").items()}


def lines(folder: Path) -> list[dict[str, float]]:
    """A run's log without what a clock says."""
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: entry[name] for name in entry if name not in {"time", "rate"}} for entry in entries]


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_run_ends_like_one_that_was_not(
    name: str, killed: Path, finished: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = killed / name
    before = torch.load(folder / "state.pt", weights_only=True)["seen"]
    assert 0 < before < smoke_recipe(name).run.pictures
    assert not (folder / f"{name}.safetensors").exists()
    model = finished(name)
    whole = train(name, tmp_path / name)

    one, other = (torch.load(path.parent / "state.pt", weights_only=True) for path in (whole, model))
    assert one["seen"] == other["seen"]
    expected, found = tensors(one["task"]), tensors(other["task"])
    assert len(expected) > 10
    assert expected.keys() == found.keys()
    assert [key for key, value in expected.items() if not torch.equal(value, found[key])] == []
    assert lines(whole.parent) == lines(folder)
    assert model.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("name", RECIPES)
def test_a_finished_run_says_where_it_comes_from(name: str, finished: Callable[[str], Path]) -> None:
    model = finished(name)
    spec, recipe = read_spec(model), smoke_recipe(name)
    assert spec.provenance["pictures_seen"] == recipe.run.pictures
    assert spec.provenance["recipe"] == json.loads(json.dumps(recipe.to_json()))
    assert spec.provenance["metrics"]["losses"]
    assert spec.provenance["data"].endswith("pairs from data")
    metrics = json.loads((model.parent / "metrics.json").read_text())
    assert metrics["model"] == model.name
    assert load_recipe(model.parent / "recipe.toml") == recipe
    assert {path.suffix for path in (model.parent / "sheets").iterdir()} == {".png"}
    assert list((model.parent / "tensorboard").iterdir())


def palette_png(ids: np.ndarray) -> bytes:
    image = Image.fromarray(ids)
    image.putpalette(load_label_set("landscape17").palette())
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def painted(models: Path, wanted: list[str], mask: bytes) -> dict[str, httpx.Response]:
    """What POST /generate answers for each model of a folder."""
    settings = Settings(models_dir=models, device="cpu", precision="fp32", default_model=wanted[0])
    app = create_app(settings, open_library(settings))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.01)
            return {
                model: await client.post(
                    "/generate",
                    files={"mask": ("mask.png", mask)},
                    data={"model": model, "seed": "1", "format": "png"},
                )
                for model in wanted
            }


def test_every_export_is_served(
    finished: Callable[[str], Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("SCENEBRUSH_")]:
        monkeypatch.delenv(variable)
    for name in RECIPES:  # the segmenters too: they are no painters, and in nobody's way
        (tmp_path / f"{name}.safetensors").symlink_to(finished(name))
    pair = read_pairs(source, limit=1)[0]
    mask = palette_png(np.ascontiguousarray(pair.labels[:64, :64]))
    for name, answer in asyncio.run(painted(tmp_path, PAINTERS, mask)).items():
        assert answer.status_code == 200, (name, answer.text)
        picture = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert picture.shape == (64, 64, 3)
        assert picture.std() > 0, name


@pytest.mark.parametrize("name", JUDGES)
def test_a_segmenter_is_loaded(name: str, finished: Callable[[str], Path], source: Path) -> None:
    model = load_segmenter(finished(name))
    assert model.spec.architecture in SEGMENTERS
    pair = read_pairs(source, limit=1)[0]
    scores = model.network(to_float(pair.image).unsqueeze(0))
    assert scores.shape[:2] == (1, model.spec.labels.channels)
    assert bool(torch.isfinite(scores).all())
