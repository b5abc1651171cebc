"""Train tiny runs for a few steps in one or in two processes, and write down every step's figures.

    python -m tests.training.sharing OUT DEVICES RECIPE...

writes OUT/RECIPE.json. With two devices it starts the other process itself, by the same command.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from models.labels import load_label_set
from tests.training.conftest import tiny_recipe
from training.data import read_pairs
from training.recipe import Recipe
from training.run import Run

STEPS, BATCH = 5, 4
SOURCE = Path(__file__).parent.parent.parent / "examples" / "data"


def shared_recipe(name: str) -> Recipe:
    """A tiny recipe, five steps of four pictures.

    At a tenth of the rates: Adam's first step moves every weight by the rate, to the side that rounding gives
    to a gradient of almost 0, and the order of sums is not the same in two processes.
    """
    tiny = tiny_recipe(name)
    side = tiny.largest_crop  # of small ones, deep batch norms see too few pixels to be steady
    crops = [{"from": 0.0, "side": side, "batch": BATCH}]
    rates = {
        f"optimiser__{key}": value / 10
        for key, value in tiny.to_json()["optimiser"].items()
        if key.endswith("rate")
    }
    return tiny_recipe(name, run__pictures=STEPS * BATCH, data__crops=crops, **rates)


def figures(folder: Path, fabric: Fabric, name: str) -> list[dict[str, float]]:
    """Every step's figures; the last of them has a sum over the averaged weights too."""
    run = Run(folder, shared_recipe(name), read_pairs(SOURCE), load_label_set("landscape17"), fabric)
    run.start(lambda *_: None)
    steps: list[dict[str, Any]] = list(run.steps())
    averages = run.task.averages.values()
    weights = [value.double().abs().sum() for average in averages for value in average.state.values()]
    steps[-1]["averages"] = float(torch.stack(weights).sum())
    return steps


def main(out: Path, devices: int, names: list[str]) -> None:
    strategy = "ddp" if devices > 1 else "auto"
    fabric = Fabric(accelerator="cpu", devices=devices, strategy=strategy, precision="32-true")
    fabric.launch()
    torch.set_num_threads(1)
    for name in names:
        found = figures(out / name, fabric, name)
        if fabric.is_global_zero:
            (out / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
