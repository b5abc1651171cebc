"""Recipes: every value can be set, nothing misspelt is taken, schedules are what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import tiny_recipe
from training.recipe import RECIPES, RecipeError, load_recipe, names
from training.tasks import TASKS


def test_every_task_has_a_recipe_of_its_name_and_every_recipe_a_tiny_form() -> None:
    assert set(TASKS) <= set(names())
    for name in names():
        assert load_recipe(name).task in TASKS
        assert tiny_recipe(name).run.pictures < 100


@pytest.mark.parametrize("name", names())
def test_a_recipe_survives_being_written_down(tmp_path: Path, name: str) -> None:
    recipe = load_recipe(name)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml())
    assert load_recipe(path) == recipe


def values(recipe: Any) -> list[str]:
    return [
        f"{section}.{name}"
        for section, entries in recipe.to_json().items()
        if section != "task"
        for name in entries
    ]


@pytest.mark.parametrize("name", names())
def test_every_value_can_be_overridden(name: str) -> None:
    """Each value of each section is taken from the command line, as itself."""
    recipe = load_recipe(name)
    lines = dict(line.split(" = ", 1) for line in recipe.to_toml().splitlines() if " = " in line)
    for value in values(recipe):
        assert recipe.with_overrides([f"{value}={lines[value.split('.')[1]]}"]).task == recipe.task
    changed = recipe.with_overrides(["run.seed=7", "run.init_from=a/b.safetensors"])
    assert (changed.run.seed, changed.run.init_from) == (7, "a/b.safetensors")
    assert recipe.run.seed != 7, "the recipe itself is as it was"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("loss.advers=1", "no value in [loss] is called 'advers'; the nearest is 'adversarial'"),
        ("adversarial=1", "did you mean 'loss.adversarial'?"),
        ("nothing=1", "SECTION one of run, data, network, optimiser, loss"),
        ("loss.adversarial", "has no value"),
        ("loss.adversarial=much", "loss.adversarial: Input should be a valid number"),
        ("run.pictures=0", "run.pictures: Input should be greater than or equal to 1"),
        ("data.crops=[{from=0.5, side=32, batch=2}]", "the first must be 0"),
        ("data.crops=[]", "data.crops"),
        ("run.seed=-1", "run.seed: Input should be greater than or equal to 0"),
        ("network.widths=[]", "network.widths: Tuple should have at least 1 item"),
        ("network.widths=[64, 0]", "network.widths.1: Input should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_named(override: str, said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load_recipe("builtin", [override])
    assert said in str(error.value)


def test_a_file_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for text, said in (
        ("task = ", "is not TOML"),
        ("task = 'paint'", "expected one of builtin"),
        ("task = 'builtin'\nseed = 1", "no entry is called 'seed'"),
        ("task = 'builtin'\nrun = 1", "run is no section"),
        ("task = ['builtin']", "expected one of builtin"),
        ("task = 'builtin'\n[run]\npictures = 1979-05-27", "run.pictures: Input should be a valid integer"),
        ("task = 'builtin'\n[run]\npictures = 5", "data.crops: Field required"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=said):
            load_recipe(path)
    path.write_text("run = 3\ntask = 'builtin'")
    with pytest.raises(RecipeError, match="run is no section"):
        load_recipe(path, ["run.seed=1"])
    for text in ("seed = 3", "task = 'paint'", "task = [1]"):
        path.write_text(text)
        with pytest.raises(RecipeError, match="no recipe value 'pictures': write SECTION"):
            load_recipe(path, ["pictures=1"])
    with pytest.raises(RecipeError, match="no recipe 'mine': there are builtin, "):
        load_recipe("mine")


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("builtin", "network.noise_channels=16"),
        ("builtin", "network.hidden=1025"),
        ("builtin", "network.encoder_widths=[8, 8, 8, 8, 8, 8, 8, 8]"),
        ("oasis", "network.width=1025"),
        ("oasis", "network.noise=4097"),
        ("spade", "network.hidden=1025"),
        ("spade", "network.style_dim=4097"),
        ("pix2pix", "network.width=1025"),
        ("segment", "network.widths=[8, 8, 8, 8, 8, 8, 8, 8, 8, 8]"),
        ("segment-fcn", "network.layers=[1, 1, 1, 1, 17]"),
    ],
)
def test_a_network_that_no_model_file_may_hold_is_not_trained(name: str, override: str) -> None:
    """The run would end with a file that models.checkpoint refuses."""
    with pytest.raises(RecipeError, match=override.split("=", maxsplit=1)[0]):
        load_recipe(name, [override])


def test_schedules() -> None:
    crops = [{"from": 0.0, "side": 128, "batch": 8}, {"from": 0.5, "side": 192, "batch": 4}]
    recipe = load_recipe(
        "builtin", {"run.pictures": 1000, "data.crops": crops, "run.decay_from": 0.8, "run.decay_to": 0.05}
    )
    assert [recipe.crop_at(seen) for seen in (0, 499, 500, 999)] == [(128, 8), (128, 8), (192, 4), (192, 4)]
    assert [round(recipe.rate_at(seen), 3) for seen in (0, 799, 900, 1000)] == [1.0, 1.0, 0.5, 0.05]
    assert recipe.largest_crop == 192
    assert recipe.share(2000) == 1.0


def test_the_recipes_say_where_they_are_used() -> None:
    """Each file begins with the command that it is for."""
    for name in names():
        first = (RECIPES / f"{name}.toml").read_text().splitlines()[:3]
        command = "scenebrush train DATA" if name == "builtin" else f"scenebrush train DATA --recipe {name}"
        assert any(line.startswith("#") and command in line for line in first), name
