"""What the published families' tests share: tiny runs, and a live network as its export should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import LoadedModel, load
from models.spectral import settle
from training import distributed
from training.averaging import averaged
from training.distributed import Draws, Stream
from training.export import refresh_statistics
from training.recipe import Recipe
from training.task import Context, Task
from training.tasks import TASKS

Make = Callable[[Recipe], Context]


def quiet(what: str, done: int, total: int, figures: object) -> None:
    """A report for nobody."""


def started(context: Context) -> Any:
    """The context's task, prepared."""
    torch.manual_seed(0)
    task = TASKS[context.recipe.task](context)
    task.prepare(quiet)
    return task


def batch_of(task: Task, size: int = 2, number: int = 0) -> Any:
    return task.batch(size, task.recipe.largest_crop, number, Stream.DATA)


def steps(task: Task, count: int, *, same: bool = False) -> list[dict[str, float]]:
    """So many steps' figures; `same`: on one batch."""
    found: list[dict[str, float]] = []
    for network in task.networks.values():
        network.train()
    for i in range(count):
        batch = batch_of(task, number=0 if same else 2 * i)
        draws = Draws(task.recipe.run.seed, 2 * i, len(batch.labels), task.fabric.device)
        figures = task.step(batch, 2 * i, draws)
        for name, average in task.averages.items():
            average.update(task.networks[name], 2 * i + 2, 2)
        found.append({name: float(value) for name, value in figures.items()})
    return found


def exported(task: Task, folder: Path) -> LoadedModel:
    """What the task exports, read from the file."""
    with distributed.alone():
        task.export(folder / "mine.safetensors", "mine", "Mine", "CC0-1.0", {"data": "examples"})
    return load(folder / "mine.safetensors")


@contextmanager
def live(task: Any) -> Iterator[None]:
    """Inside, the networks that were trained hold their averages, with batch statistics and singular vectors
    that belong to these: still under spectral norm, and never near the code that folds."""
    with torch.no_grad(), averaged(task, list(task.averages)):
        for name in task.averages:
            settle(task.networks[name])

        def paint(batch: Any, draws: Draws) -> None:
            task._paint(task.generator, batch, draws)

        refresh_statistics(task, task.generator, paint, task.recipe.largest_crop)
        yield


def convolution(network: nn.Module, name: str) -> Tensor:
    """A convolution's own weight, before spectral norm."""
    return network.get_submodule(name).parametrizations.weight.original


def gradients(network: nn.Module) -> list[bool]:
    """Whether each parameter has a gradient that is not 0."""
    return [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters()]
