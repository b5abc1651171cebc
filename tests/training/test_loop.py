"""The loop: it trains, stops and goes on to the bit, refuses nonsense, and what it exports is served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from engine import Library
from models.checkpoint import load
from models.labels import load_label_set
from training.cli import model_id, train
from training.data import DataError, read_pairs
from training.export import codes_of, export
from training.loop import Run, TrainingError
from training.losses import class_weights
from training.recipe import Recipe


def new_run(folder: Path, recipe: Recipe, source: Path) -> Run:
    fabric = Fabric(accelerator="cpu", precision="32-true")
    run = Run(folder, recipe, read_pairs(source, "train"), load_label_set("landscape17"), fabric)
    run.train_segmenter(lambda seen, figures: None)
    return run


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {**run.painter.state_dict(), **run.networks.discriminator.state_dict(prefix="discriminator.")}


def test_a_killed_run_goes_on_to_the_bit(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    whole = new_run(tmp_path / "whole", recipe, source)
    figures = list(whole.steps())
    assert len(figures) == 6
    assert all(np.isfinite(value) for step in figures for value in step.values())

    first = new_run(tmp_path / "killed", recipe, source)
    steps = first.steps()
    for _ in range(3):
        next(steps)
    first.save()
    next(steps)  # lost: it was not saved
    second = new_run(tmp_path / "killed", recipe, source)
    assert second.resume()
    assert second.seen == 6
    rest = list(second.steps())
    assert rest == figures[3:]
    for (name, value), other in zip(weights(whole).items(), weights(second).values(), strict=True):
        assert torch.equal(value, other), name
    assert all(torch.equal(value, second.average.state[name]) for name, value in whole.average.state.items())


def test_steps_train_every_network_but_the_judge(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    run = new_run(tmp_path, recipe, source)
    before = {name: value.clone() for name, value in weights(run).items()}
    judge = {name: value.clone() for name, value in run.networks.segmenter.state_dict().items()}
    list(run.steps())
    after = weights(run)
    still = [
        name
        for name, value in before.items()
        if value.dtype.is_floating_point and torch.equal(value, after[name]) and "prior" not in name
    ]
    assert not still, "every trained tensor has moved"
    assert all(torch.equal(value, run.networks.segmenter.state_dict()[name]) for name, value in judge.items())


def test_learning_lowers_the_colour_error(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    fast = replace(recipe, pictures=240, crops=((0.0, 32, 4),), two_styles=0.0, generator_rate=4e-3)
    run = new_run(tmp_path, fast, source)
    errors = [
        figures["low_frequency"] / run.recipe.low_frequency_at(4 * i) for i, figures in enumerate(run.steps())
    ]
    assert np.mean(errors[-10:]) < 0.75 * np.mean(errors[:5])


def test_a_loss_that_is_not_finite_stops_the_run_with_its_name(
    tmp_path: Path, recipe: Recipe, source: Path
) -> None:
    run = new_run(tmp_path, replace(recipe, adversarial=float("nan")), source)
    with pytest.raises(TrainingError, match="adversarial is not finite"):
        list(run.steps())


def test_other_networks_cannot_take_up_a_run(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    new_run(tmp_path, recipe, source).save()
    kept = (tmp_path / "recipe.json").read_text()
    with pytest.raises(TrainingError, match=r"widths = \[8, 8, 8, 8\], not \[8, 8, 8, 16\]"):
        new_run(tmp_path, replace(recipe, widths=(8, 8, 8, 16)), source)
    assert (tmp_path / "recipe.json").read_text() == kept
    longer = new_run(tmp_path, replace(recipe, pictures=99, generator_rate=1e-3), source)
    assert longer.resume()


@pytest.mark.parametrize("ignore", [None, 0])
def test_class_zero_counts_unless_it_is_the_ignored_one(
    tmp_path: Path, recipe: Recipe, source: Path, ignore: int | None
) -> None:
    """Published sets have a real class at id 0: it must be learned, and nothing may be dropped into it."""
    run = new_run(tmp_path, replace(recipe, drop=1.0), source)
    run.labels = replace(run.labels, ignore=ignore)
    batch = run.batch(4, 64, np.random.default_rng(0))
    assert bool((batch.given == 0).any()) is (ignore == 0)
    weights = class_weights(torch.zeros(1, 4, 4, dtype=torch.int64), 17, ignore)
    assert bool(weights[0] > 0) is (ignore is None)


def test_a_folder_of_ones_own(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    """Names that are no numbers, pictures of several sizes, 255 for what is not labelled."""
    data = tmp_path / "data"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    for i, pair in enumerate(read_pairs(source, "train", 3)):
        height, width = 256 - 30 * i, 256 - 50 * i
        labels = pair.labels[:height, :width].copy()
        labels[:9] = 255
        Image.fromarray(pair.image[:height, :width]).save(data / "images" / f"hut {i}.png")
        Image.fromarray(labels).save(data / "labels" / f"hut {i}.png")
    path = train(data, tmp_path / "run", replace(recipe, pictures=4), precision="32-true", accelerator="cpu")
    assert load(path).spec.native_size == 152
    with pytest.raises(DataError, match=r"hut 2 is 156×196, smaller than .*200×200"):
        train(data, tmp_path / "other", replace(recipe, crops=((0.0, 200, 2),)), accelerator="cpu")
    with pytest.raises(ValueError, match="16-mixed"):
        train(data, tmp_path / "third", recipe, precision="16-mixed")


def test_the_command_trains_and_continues(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    folder = tmp_path / "run"
    arguments = {"precision": "32-true", "accelerator": "cpu", "save_every": 1, "sheet_every": 1}
    train(source, folder, replace(recipe, pictures=4), **arguments)  # type: ignore[arg-type]
    assert (folder / "state.pt").exists()
    assert [path.name for path in (folder / "sheets").iterdir()] == ["0000004.png"]
    path = train(source, folder, replace(recipe, pictures=8), **arguments)  # type: ignore[arg-type]
    assert load(path).spec.id == "run"
    assert {path.name for path in (folder / "sheets").iterdir()} == {"0000004.png", "0000008.png"}


def test_an_export_is_served(tmp_path: Path, recipe: Recipe, source: Path) -> None:
    run = new_run(tmp_path / "run", recipe, source)
    list(run.steps())
    path = tmp_path / "mine.safetensors"
    spec = export(run, path, "mine", "Mine", "CC0-1.0", {"data": "examples"})
    assert spec.stride == 8
    assert spec.provenance["pictures_seen"] == 12
    library = Library([tmp_path], device="cpu", precision="fp32")
    painter = library.painter("mine", 64, 64)
    painter.set_map(read_pairs(source, limit=1)[0].labels[:64, :64].copy())
    assert painter.render().std() > 0
    loaded = load(path)
    codes = codes_of(loaded.encoder, run.pairs)
    torch.testing.assert_close(loaded.generator.prior_mean, codes.mean(0), atol=1e-2, rtol=1e-2)


def test_recipe_schedule() -> None:
    recipe = Recipe(pictures=1000, crops=((0.0, 128, 8), (0.5, 192, 4)), decay_from=0.8)
    assert [recipe.crop_at(seen) for seen in (0, 499, 500, 999)] == [(128, 8), (128, 8), (192, 4), (192, 4)]
    assert [round(recipe.rate_at(seen), 3) for seen in (0, 799, 900, 1000)] == [1.0, 1.0, 0.5, 0.05]
    assert recipe.low_frequency_at(0) == 14
    assert recipe.low_frequency_at(1000) == 6
    with pytest.raises(ValueError, match="colour"):
        recipe.with_overrides(colour=1)


def test_a_models_id_comes_from_the_folder() -> None:
    assert model_id(Path("/x/My Run!")) == "my-run"
    assert model_id(Path("/x/äöü")) == "model"
