"""Start a training run of each recipe and kill it, as kill -9 does, in the middle of a step.

    python -m tests.training.killing OUT RECIPE...

leaves OUT/RECIPE behind. Every run is a process of its own, forked before torch has started any thread.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.training.conftest import TINY, tiny_recipe
from training import cli
from training.recipe import Recipe
from training.run import Run
from training.task import Task

SOURCE = TINY.parent.parent.parent / "examples" / "data"
SAVES = 2  # so many states are written; the process dies in the second update after that


def smoke_recipe(name: str) -> Recipe:
    """A tiny recipe that saves its state every second step."""
    return tiny_recipe(name, run__save_every=4, run__log_every=2, run__sheet_every=12)


def train(name: str, out: Path) -> Path:
    """Train it to the end, on one CPU thread in float32; the finished model."""
    return cli.train(
        SOURCE,
        out,
        smoke_recipe(name),
        precision="32-true",
        accelerator="cpu",
        threads=1,
        console=Console(quiet=True),
    )


def die_in_a_step() -> None:
    """From the SAVESth state on, count updates, and be killed in the second: between generator and
    discriminator, where a task has both."""
    save, update = Run.save, Task.update
    saves, updates = 0, 0

    def counted_save(self: Run) -> None:
        nonlocal saves
        save(self)
        saves += 1

    def deadly_update(self: Task, *args: Any) -> Any:
        nonlocal updates
        updates += saves >= SAVES
        if updates == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return update(self, *args)

    Run.save, Task.update = counted_save, deadly_update  # type: ignore[method-assign]


def main(out: Path, names: list[str]) -> None:
    for name in names:
        child = os.fork()
        if child == 0:
            die_in_a_step()
            train(name, out / name)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(f"{name}: ended by itself with {os.waitstatus_to_exitcode(status)}, not killed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
