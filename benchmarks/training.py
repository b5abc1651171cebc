"""`make bench-training`: pictures per second of training the built-in model, plain against by label patterns.

Both train the same networks on the same batches, a step of each in turn; medians. "generator" is its forward
and backward pass alone, "step" all of a step: style encoder, losses, discriminator, optimisers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.table import Table
from torch import nn

from models.labels import load_label_set
from models.spade import StyleField
from training.data import Batch, fitted, read_pairs
from training.distributed import Draws, Stream
from training.patterned import Forward, fastest
from training.recipe import Recipe, load_recipe
from training.task import Context
from training.tasks.builtin import BuiltinTask

RESULTS = Path(__file__).parent / "results"
EXAMPLES = Path(__file__).parent.parent / "examples" / "data"
SIZES = ((128, 4), (256, 2))  # (side of the crops, batch)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, default=EXAMPLES, help="training pairs")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each, in turn")
    parser.add_argument("--precision", default="bf16-mixed", help="bf16-mixed or 32-true")


def run(arguments: argparse.Namespace) -> None:
    """Measure, show, write benchmarks/results/training.json."""
    console = Console()
    rows = measure(load_recipe("builtin"), arguments.data, arguments.precision, arguments.rounds, SIZES)
    table = Table("what", "crops", "plain", "by patterns", "ratio", title="training, pictures per second")
    for row in rows:
        speeds = [f"{row[key]:.2f}" for key in ("plain_per_s", "patterned_per_s")]
        table.add_row(row["what"], f"{row['batch']} × {row['side']}²", *speeds, f"{row['ratio']:.2f}×")
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    settings = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    document = {"machine": settings | {"precision": arguments.precision}, "rows": rows}
    (RESULTS / "training.json").write_text(json.dumps(document, indent=1))


def measure(
    recipe: Recipe, data: Path, precision: str, rounds: int, sizes: tuple[tuple[int, int], ...]
) -> list[dict[str, float | str]]:
    """Rows of what, side, batch, plain_per_s, patterned_per_s, ratio (patterned ÷ plain).

    Raises:
        RuntimeError: there is no forward by patterns here; says why.
    """
    labels = load_label_set("landscape17")
    pairs = fitted(read_pairs(data, "train"), labels, max(side for side, _ in sizes))
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)  # pyright: ignore[reportArgumentType]
    with tempfile.TemporaryDirectory() as folder:
        task = BuiltinTask(Context(fabric, recipe, labels, pairs, Path(folder), lambda line: None))
    task.segmenter.eval().requires_grad_(False)  # how well it judges takes no time
    patterned, reason = fastest(task.generator)
    if reason:
        raise RuntimeError(reason)
    forwards: dict[str, Forward] = {"plain": task.generator, "patterned": patterned}
    rows: list[dict[str, float | str]] = []
    for side, size in sizes:
        for what, once in (("generator", _generator), ("step", _step)):
            speeds = {
                f"{name}_per_s": size / seconds
                for name, seconds in _in_turn(task, forwards, once, side, size, rounds).items()
            }
            ratio = speeds["patterned_per_s"] / speeds["plain_per_s"]
            rows.append({"what": what, "side": side, "batch": size, **speeds, "ratio": ratio})
    return rows


def _in_turn(
    task: BuiltinTask,
    forwards: Mapping[str, Forward],
    once: Callable[[BuiltinTask, Batch, Draws], None],
    side: int,
    size: int,
    rounds: int,
) -> dict[str, float]:
    """Median seconds of each forward; the first round warms up."""
    times: dict[str, list[float]] = {name: [] for name in forwards}
    for number in range(rounds + 1):
        batch = task.batch(size, side, number * size, Stream.DATA)
        for name, forward in forwards.items():
            task.paint = forward
            draws = Draws(task.recipe.run.seed, number * size, size, task.fabric.device)
            started = time.perf_counter()
            once(task, batch, draws)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def _step(task: BuiltinTask, batch: Batch, draws: Draws) -> None:
    task.step(batch, 0, draws)


def _generator(task: BuiltinTask, batch: Batch, draws: Draws) -> None:
    count, height, width = batch.given.shape
    generator: nn.Module = task.generator
    generator.zero_grad(set_to_none=True)
    noise = [
        draws.normal(count, task.generator.noise_channels, h, w)
        for h, w in task.generator.grids(height, width)
    ]
    style = StyleField(draws.normal(count, 1, task.generator.style_dim))
    with task.fabric.autocast():
        picture = task.paint(batch.given, style, noise)
    picture.square().mean().backward()
