"""The `train` command: run or continue a training run, with progress and contact sheets."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.labels import load_label_set
from training.data import Pair, fitted, read_pairs, split_of
from training.export import export
from training.loop import Run
from training.recipe import Recipe
from training.sheet import contact_sheet

SHEET_PAIRS = 8
PRECISIONS = ("bf16-mixed", "32-true")
LOG_EVERY = 200  # pictures


def train(
    data: Path,
    out: Path,
    recipe: Recipe | None = None,
    labels: str = "landscape17",
    precision: str = "bf16-mixed",
    accelerator: str = "auto",
    threads: int | None = None,
    save_every: int = 1_000,
    sheet_every: int = 2_000,
    console: Console | None = None,
) -> Path:
    """Train the built-in family on a source of pairs; an existing run in `out` is continued.

    Args:
        data: folder of images/ and labels/, or of .tar shards (see `training.data`).
        out: the run's folder.
        recipe: what to train; the built-in recipe by default.
        labels: name of the label set that the label maps are in.
        precision: "bf16-mixed" or "32-true"; accelerator: as Lightning Fabric names it.
        threads: CPU threads; torch's own choice by default.
        save_every, sheet_every: pictures between saved states and between contact sheets.

    Returns:
        The finished model, `out/NAME.safetensors`, NAME the run's folder's.

    Raises:
        DataError, TrainingError, ValueError: with a message for a person.
    """
    console = console or Console()
    recipe = recipe or Recipe()
    if precision not in PRECISIONS:  # fp16 would need its losses scaled, and nothing here needs fp16
        raise ValueError(f"precision {precision!r}: use {' or '.join(PRECISIONS)}")
    if threads:
        torch.set_num_threads(threads)
    everything = read_pairs(data)
    pairs = [pair for pair in everything if split_of(pair.name) == "train"]
    label_set = load_label_set(labels)
    fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # pyright: ignore[reportArgumentType]
    run = Run(out, recipe, pairs, label_set, fabric)
    held_out = [pair for pair in everything if split_of(pair.name) == "validation"]
    shown = fitted((held_out or pairs)[:SHEET_PAIRS], label_set, run.networks.generator.stride)
    console.print(f"{len(pairs)} pairs from {data}; run in {out}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as progress:
        bar = progress.add_task("segmenter", total=recipe.segmenter_pictures, note="")
        run.train_segmenter(
            lambda seen, figures: progress.update(
                bar, completed=seen, note=f"accuracy {figures['accuracy']:.2f}"
            )
        )
        progress.update(bar, completed=recipe.segmenter_pictures)
        if run.resume():
            console.print(f"continued after {run.seen} pictures")
        bar = progress.add_task("painter", total=recipe.pictures, completed=run.seen, note="")
        _train_painter(run, progress, bar, shown, save_every, sheet_every)
    name = model_id(out)
    path = out / f"{name}.safetensors"
    export(run, path, name, out.name, "not stated", {"data": f"{len(pairs)} pairs from {data.name}"})
    console.print(f"model written to {path}")
    return path


def model_id(folder: Path) -> str:
    """A model id from a folder's name: lower case, everything that an id may not hold turned into '-'."""
    return re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")[:64] or "model"


def _train_painter(
    run: Run, progress: Progress, bar: TaskID, shown: list[Pair], save_every: int, sheet_every: int
) -> None:
    before, seconds, sums = run.seen, run.seconds, dict[str, list[float]]()
    for figures in run.steps():
        for name, value in figures.items():
            sums.setdefault(name, []).append(value)
        progress.update(bar, completed=run.seen)
        if run.seen // LOG_EVERY > before // LOG_EVERY:
            rate = (run.seen - before) / max(run.seconds - seconds, 1e-9)
            means = {name: round(float(np.mean(values)), 4) for name, values in sums.items()}
            with (run.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps({"seen": run.seen, "time": time.time(), "rate": rate, **means}) + "\n")
            progress.update(bar, note=f"{rate:.1f}/s")
            if run.seen // sheet_every > before // sheet_every:
                save_sheet(run, shown)
            if run.seen // save_every > before // save_every:
                run.save()
            before, seconds, sums = run.seen, run.seconds, {}
    run.save()
    save_sheet(run, shown)


def save_sheet(run: Run, shown: list[Pair]) -> None:
    """Write a contact sheet of the averaged networks under the run's `sheets/`."""
    with run.averaged() as (generator, encoder):
        sheet = contact_sheet(generator, encoder, shown, run.labels, seeds=(1, 2), across=2)
    folder = run.folder / "sheets"
    folder.mkdir(exist_ok=True)
    Image.fromarray(sheet).save(folder / f"{run.seen:07d}.png")
