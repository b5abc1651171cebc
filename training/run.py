"""A training run: a folder, a task, and a loop that can be stopped at any moment and goes on to the bit.

The folder holds `recipe.toml`, `labels.json`, `state.pt` (everything needed to go on, written whole or not at
all), what the task keeps beside them, and what journal.py writes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from models.labels import LabelSet, read_label_set
from training.data import Batch, Pair, fitted
from training.distributed import Draws, Stream, generator_for
from training.files import write_atomically, write_text
from training.recipe import Recipe, RunSettings, load_recipe
from training.task import Context, Report, Task, TrainingError
from training.tasks import TASKS


@dataclass
class Watch:
    """How many steps on end one side of an adversarial game has been winning outright."""

    discriminator: int = 0
    generator: int = 0

    def look(self, figures: Mapping[str, float], limits: RunSettings) -> None:
        """Take note of a step's figures.

        Raises:
            TrainingError: either has gone on for `collapse_steps`.
        """
        if "discriminator_real" not in figures:
            return
        real, fake = figures["discriminator_real"], figures["discriminator_fake"]
        won = max(real, fake) < limits.collapse_below
        away = figures["adversarial"] > limits.collapse_above
        self.discriminator = self.discriminator + 1 if won else 0
        self.generator = self.generator + 1 if away else 0
        if self.discriminator >= limits.collapse_steps:
            raise TrainingError(
                f"the discriminator has won: its losses on real and on generated pictures have been below "
                f"{limits.collapse_below:g} for {self.discriminator} steps, and the generator learns nothing "
                "from it any more. Lower the discriminator's learning rate, or give it more to do "
                "(augmentation, LabelMix, a gradient penalty); run.collapse_below sets the bound"
            )
        if self.generator >= limits.collapse_steps:
            raise TrainingError(
                f"the generator has lost: its adversarial loss has been above {limits.collapse_above:g} for "
                f"{self.generator} steps (now {figures['adversarial']:.1f}). Lower the learning rates; "
                "run.collapse_above sets the bound"
            )


class Feed:
    """The batches of a run, one after the other; with workers, the next is made while one is trained on.

    Args:
        workers: threads; 0 makes each batch when it is asked for.
    """

    def __init__(self, task: Task, workers: int) -> None:
        self.task = task
        self._pool = ThreadPoolExecutor(workers, "feed") if workers else None
        self._next: tuple[int, list[Future[Batch]]] | None = None

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def batch(self, seen: int) -> Batch:
        """The batch of the step after `seen` pictures."""
        side, size = self.task.recipe.crop_at(seen)
        if not self._pool:
            return self.task.batch(size, side, seen, Stream.DATA)
        pending = self._next[1] if self._next and self._next[0] == seen else self._ask(seen)
        self._next = (seen + size, self._ask(seen + size))
        return self.task.together([picture.result() for picture in pending])

    def _ask(self, seen: int) -> list[Future[Batch]]:
        side, size = self.task.recipe.crop_at(seen)
        pool = self._pool
        return [
            pool.submit(self.task.picture, side, number, Stream.DATA)
            for number in self.task.own(size, seen)
            if pool
        ]


class Run:
    """One training run in a folder.

    Args:
        folder: where its files live; made if missing. An existing run is continued.
        recipe: its task and its networks must be those of the folder's recipe; the rest may differ.
        pairs: training pairs, see `training.data.fitted`.
        labels: their label set.
        fabric: device, precision, processes; launched.
        say: prints a line for people.
        workers: threads that read pictures ahead.

    Raises:
        DataError, TrainingError: the pairs do not fit, or the folder holds another run.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        pairs: Iterable[Pair],
        labels: LabelSet,
        fabric: Fabric,
        say: Callable[[str], None] = lambda line: None,
        workers: int = 0,
    ) -> None:
        self.folder, self.recipe, self.labels, self.fabric = folder, recipe, labels, fabric
        self.workers = workers
        # Where [data] sets the pictures' size, small ones are enlarged.
        self.pairs = fitted(pairs, labels, 1 if recipe.data.short_side else recipe.largest_crop)
        _refuse_another_run(folder, recipe, labels)
        torch.manual_seed(int(generator_for(recipe.run.seed, Stream.START, 0).integers(2**63)))
        self.task: Task = TASKS[recipe.task](Context(fabric, recipe, labels, self.pairs, folder, say))
        fabric.barrier()  # nobody writes before everybody has looked, nor a recipe that cannot be run
        if fabric.is_global_zero:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(json.dumps(labels.to_json(), ensure_ascii=False, indent=1), folder / "labels.json")
            write_text(recipe.to_toml(), folder / "recipe.toml")
        self.watch = Watch()
        self.seen = 0
        self.seconds = 0.0

    @property
    def state_path(self) -> Path:
        return self.folder / "state.pt"

    def start(self, report: Report) -> bool:
        """Make ready for `steps`: the task's preparations, then the saved state or, in a new run, the model
        to start from. True if the run goes on from a state."""
        if self.recipe.data.balance:
            _ = self.pairs.holders  # looks at every map: once, before several threads would all do it
        self.task.prepare(report)
        resumed = self.state_path.exists()
        if resumed:
            self._restore(self._state())
        elif self.recipe.run.init_from:
            self.task.start_from(Path(self.recipe.run.init_from))
            for name, average in self.task.averages.items():
                average.restart(self.task.networks[name])
        self.fabric.barrier()
        return resumed

    def _state(self) -> dict[str, Any]:
        try:
            return torch.load(self.state_path, map_location=self.fabric.device, weights_only=True)
        except Exception as error:  # unpickling fails in many ways
            raise TrainingError(
                f"{self.state_path} cannot be read, so it was damaged after it had been written: "
                f"{str(error)[:200]}. Bring back a copy of it, or remove it to begin the run again"
            ) from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.task.restore(state["task"])
        self.seen, self.seconds, self.watch = state["seen"], state["seconds"], Watch(**state["watch"])

    def save(self) -> None:
        """Write `state.pt`, in the first process."""
        if self.fabric.is_global_zero:
            state = {
                "seen": self.seen,
                "seconds": self.seconds,
                "watch": asdict(self.watch),
                "task": self.task.state(),
            }
            write_atomically(state, self.state_path)

    def steps(self) -> Iterator[dict[str, float]]:
        """Train until the recipe's pictures are seen; yields every step's figures.

        Raises:
            TrainingError: a figure is not finite, or the discriminator or the generator has won.
        """
        for network in self.task.networks.values():
            network.train()
        with Feed(self.task, self.workers) as feed:
            while self.seen < self.recipe.run.pictures:
                started = time.perf_counter()
                figures = self._step(feed.batch(self.seen))
                self.seconds += time.perf_counter() - started
                yield figures

    def _step(self, batch: Batch) -> dict[str, float]:
        task, recipe, size = self.task, self.recipe, self.recipe.crop_at(self.seen)[1]
        draws = Draws(recipe.run.seed, self.seen, len(batch.labels), self.fabric.device)
        values = task.step(batch, self.seen, draws)
        figures = dict(zip(values, torch.stack(list(values.values())).tolist(), strict=True))
        self.seen += size
        self._check(figures)
        for name, average in task.averages.items():
            average.update(task.networks[name], self.seen, size)
        return figures

    def _check(self, figures: Mapping[str, float]) -> None:
        broken = [name for name, value in figures.items() if not math.isfinite(value)]
        before = "state.pt is from before" if self.state_path.exists() else "there is no saved state yet"
        if broken:
            raise TrainingError(
                f"{', '.join(broken)} is not finite after {self.seen} pictures; {before}. Lower the learning "
                "rates, or use --precision 32-true"
            )
        try:
            self.watch.look(figures, self.recipe.run)
        except TrainingError as error:
            raise TrainingError(f"after {self.seen} pictures {error}; {before}") from error

    def provenance(self) -> dict[str, Any]:
        """What an export says of the run: recipe, pictures seen."""
        return {"pictures_seen": self.seen, "recipe": self.recipe.to_json()}


def _refuse_another_run(folder: Path, recipe: Recipe, labels: LabelSet) -> None:
    """Raise if the folder's run has another task, other networks or another label set."""
    if (folder / "recipe.json").exists():
        raise TrainingError(f"{folder} holds a run of an older version, which this one cannot continue")
    path = folder / "recipe.toml"
    if not path.exists():
        return
    before, now = load_recipe(path).to_json(), recipe.to_json()
    changed = [("task", before["task"], now["task"])] if before["task"] != now["task"] else []
    if not changed:
        names = before["network"].keys() | now["network"].keys()
        pairs = [(f"network.{n}", before["network"].get(n), now["network"].get(n)) for n in sorted(names)]
        changed = [(name, old, new) for name, old, new in pairs if old != new]
    kept = read_label_set(folder / "labels.json")
    if kept.hash != labels.hash:
        changed.append(("labels", kept.name, labels.name))
    if changed:
        name, old, new = changed[0]
        raise TrainingError(
            f"{folder} holds a run with {name} = {old}, not {new}: continue it as it was begun, or choose a "
            "new folder"
        )
