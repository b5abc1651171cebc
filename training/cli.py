"""The `train` command: run or continue a training run, with progress, a journal and an export at the end."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import rich.progress
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from models.labels import LabelSet, load_label_set
from training import distributed
from training.data import DataError, Pair, fitted, read_pairs
from training.datacheck import label_set_named
from training.export import model_id
from training.journal import Journal, due
from training.layouts import listing_of
from training.recipe import Recipe, load_recipe
from training.run import Run
from training.task import TrainingError

SHEET_PAIRS = 8
PRECISIONS = ("bf16-mixed", "32-true")


def train(
    data: Path,
    out: Path,
    recipe: Recipe | None = None,
    labels: str | None = None,
    precision: str = "bf16-mixed",
    accelerator: str = "auto",
    devices: int = 1,
    threads: int | None = None,
    workers: int | None = None,
    layout: str = "auto",
    console: Console | None = None,
) -> Path:
    """Train a recipe on a source of pairs; an existing run in `out` is continued.

    Args:
        data: see `training.data.read_pairs`.
        out: the run's folder.
        recipe: what to train; the built-in recipe by default.
        labels: the label set to train on: a name, or a .json or .toml file; by default the source's own, or
            landscape17 where it says nothing.
        precision: "bf16-mixed" or "32-true"; accelerator: as Lightning Fabric names it.
        devices: processes, one a device; batches are shared among them.
        threads: CPU threads of each; torch's own choice by default.
        workers: further threads of each that read pictures ahead; by default none on the CPU, else up to 8.
        layout: how the source's files lie, see `training.data.read_pairs`.

    Returns:
        The finished model, `out/NAME.safetensors`, NAME the run's folder's.

    Raises:
        DataError, LabelError, TrainingError, ValueError: with a message for a person.
    """
    recipe = recipe or load_recipe("builtin")
    if precision not in PRECISIONS:  # fp16 would need its losses scaled, and nothing here needs fp16
        raise ValueError(f"precision {precision!r}: use {' or '.join(PRECISIONS)}")
    label_set = _label_set(data, layout, labels)
    everything = read_pairs(data, layout=layout, labels=label_set)
    pairs = [pair for pair in everything if pair.split == "train"]
    held_out = [pair for pair in everything if pair.split == "validation"]
    if not pairs:
        raise DataError(f"{data} holds {len(everything)} pairs, none of them for training")
    smallest = min(crop.side for crop in recipe.data.crops)
    held_out = fitted(held_out, label_set, 1 if recipe.data.short_side else smallest)
    fabric = _launched(accelerator, devices, precision)
    if threads:
        torch.set_num_threads(threads)
    console = (console or Console(markup=False)) if fabric.is_global_zero else Console(quiet=True)
    console.print(f"{recipe.task}: {len(pairs)} pairs from {data}; run in {out}")
    if workers is None:
        workers = 0 if fabric.device.type == "cpu" else min(8, (os.cpu_count() or 1) // devices)
    run = Run(out, recipe, pairs, label_set, fabric, console.print, workers)
    path = out / f"{model_id(out)}.safetensors"
    with Bars(console) as bars:
        if run.start(bars.report):
            console.print(f"continued after {run.seen} pictures")
        shown = [pair for pair in (held_out or run.pairs)[:SHEET_PAIRS] if min(pair.labels.shape) >= smallest]
        journal = Journal(run, shown) if fabric.is_global_zero else None
        if journal and not journal.writer:
            console.print("no tensorboard/ is kept: pip install 'scenebrush[train]' brings TensorBoard")
        _train(run, bars, journal)
    if journal:
        with distributed.alone():
            _finish(run, journal, path, held_out, f"{len(pairs)} pairs from {data.name}")
        console.print(f"model written to {path}")
    fabric.barrier()
    return path


def _launched(accelerator: str, devices: int, precision: str) -> Fabric:
    strategy = "ddp" if devices > 1 else "auto"
    try:
        fabric = Fabric(accelerator=accelerator, devices=devices, strategy=strategy, precision=precision)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # Lightning has several kinds for what this machine does not have
        raise TrainingError(f"--accelerator {accelerator} with --devices {devices}: {error}") from error
    fabric.launch()
    return fabric


def _label_set(data: Path, layout: str, labels: str | None) -> LabelSet:
    """The set that was asked for; else what the source says of itself, or the built-in one."""
    if labels:
        return label_set_named(labels)
    return listing_of(data, layout).labels or load_label_set("landscape17")


class _Speed(ProgressColumn):
    def render(self, task: rich.progress.Task) -> Text:
        return Text(f"{task.speed:.1f} images/s" if task.speed else "", style="progress.data.speed")


class Bars:
    """Progress bars, one for everything that is done in turn; where nobody watches, a line now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed())
        note = TextColumn("{task.fields[note]}")
        self._progress = Progress(*columns, TimeRemainingColumn(), note, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, what: str, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        """Show that so much of something is done; see `training.task.Report`."""
        if what not in self._tasks:  # what is done already was done in another session, at no speed
            self._tasks[what] = self._progress.add_task(what, total=total, completed=done, note="")
        note = " ".join(f"{name} {value:.3g}" for name, value in (figures or {}).items())
        self._progress.update(self._tasks[what], completed=done, total=total, note=note)

    def line(self, text: str) -> None:
        """Say something where there is no terminal to draw bars in."""
        if not self.console.is_terminal:
            self.console.print(text)


def _train(run: Run, bars: Bars, journal: Journal | None) -> None:
    settings = run.recipe.run
    what = run.recipe.task
    bars.report(what, run.seen, settings.pictures)
    before = run.seen
    for figures in run.steps():
        bars.report(what, run.seen, settings.pictures)
        if journal:
            journal.note(figures)
            if due(before, run.seen, settings.sheet_every):
                journal.sheet()
            if due(before, run.seen, settings.save_every):
                journal.write()
                run.save()
                left = timedelta(seconds=int((settings.pictures - run.seen) / max(journal.rate, 1e-9)))
                bars.line(f"{run.seen}/{settings.pictures} {journal.rate:.1f} images/s, {left} left")
        before = run.seen
    if journal:
        journal.write()
        run.save()
        journal.sheet()


def _finish(run: Run, journal: Journal, path: Path, held_out: Sequence[Pair], data: str) -> None:
    """Validate, sum up, export."""
    metrics = journal.metrics(path, run.task.validate(held_out))
    figures = {name: metrics[name] for name in ("losses", "validation")}
    provenance = {"data": data, **run.provenance(), "metrics": figures}
    settings = run.recipe.run
    name = settings.name or run.folder.resolve().name
    run.task.export(path, model_id(run.folder), name, settings.licence, provenance)
    journal.close()
