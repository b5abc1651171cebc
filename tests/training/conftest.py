"""Tiny runs on the pairs of examples/data.

Every recipe in training/recipes has a file of its name in tests/training/tiny: the values that make it small.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import Fabric

from models.labels import load_label_set
from training.data import fitted, read_pairs
from training.recipe import Recipe, load_recipe
from training.task import Context

TINY = Path(__file__).parent / "tiny"


def tiny_recipe(name: str = "builtin", **overrides: Any) -> Recipe:
    """A recipe by its name, made tiny; `run__pictures=4` sets run.pictures."""
    path = TINY / f"{name}.toml"
    assert path.exists(), (
        f"recipe {name} has no tiny form: write {path.relative_to(TINY.parent.parent.parent)}"
    )
    small = {
        f"{section}.{key}": value
        for section, values in tomllib.loads(path.read_text()).items()
        for key, value in values.items()
    }
    return load_recipe(name, small | {key.replace("__", ".", 1): value for key, value in overrides.items()})


def cpu() -> Fabric:
    """One process on the CPU in float32: the setting in which runs are equal to the bit."""
    return Fabric(accelerator="cpu", devices=1, precision="32-true")


@pytest.fixture
def recipe() -> Recipe:
    """The built-in recipe, tiny: six steps, two crop sizes, both kinds of step."""
    return tiny_recipe()


@pytest.fixture(scope="session")
def source(root: Path) -> Path:
    return root / "examples" / "data"


@pytest.fixture
def make_context(tmp_path: Path, source: Path) -> Callable[[Recipe], Context]:
    """Makes what a task is given, of a recipe: `make_context(tiny_recipe("oasis"))`."""

    def make(recipe: Recipe) -> Context:
        labels = load_label_set("landscape17")
        pairs = fitted(read_pairs(source), labels, recipe.largest_crop)
        return Context(cpu(), recipe, labels, pairs, tmp_path, lambda line: None)

    return make
