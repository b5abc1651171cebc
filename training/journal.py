"""What a run tells of itself while it goes: `log.jsonl`, `tensorboard/`, `sheets/`, and `metrics.json` at the
end. Written by the first process alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from training import distributed
from training.data import Pair
from training.files import write_text
from training.run import Run

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError:  # a part of the extra `train`
    SummaryWriter = None


class Journal:
    """Keeps the files of a run up to date; lines of a part of the run that was lost are taken out.

    Args:
        run: started, so that it knows where it goes on.
        shown: the pairs of its contact sheets.
    """

    def __init__(self, run: Run, shown: Sequence[Pair]) -> None:
        self.run, self.shown = run, shown
        self._log = run.folder / "log.jsonl"
        self._sums: dict[str, list[float]] = {}
        self._before, self._seconds = run.seen, run.seconds
        self.rate = 0.0
        """Pictures per second since the last line."""
        again = self._log.exists()
        if again:
            kept = [line for line in _read(self._log) if line["seen"] <= run.seen]
            write_text("".join(json.dumps(line) + "\n" for line in kept), self._log)
        self.writer = SummaryWriter and SummaryWriter(
            str(run.folder / "tensorboard"), purge_step=run.seen + 1 if again else None
        )

    def note(self, figures: Mapping[str, float]) -> None:
        """Take a step's figures; write what is due."""
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(value)
        if due(self._before, self.run.seen, self.run.recipe.run.log_every):
            self.write()

    def write(self) -> None:
        """Write down the means of the figures since the last time."""
        if not self._sums:
            return
        run = self.run
        self.rate = (run.seen - self._before) / max(run.seconds - self._seconds, 1e-9)
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        line = {"seen": run.seen, "time": time.time(), "rate": round(self.rate, 3)}
        with self._log.open("a") as log:
            log.write(json.dumps(line | {name: round(value, 5) for name, value in means.items()}) + "\n")
        if self.writer:
            for name, value in means.items():
                self.writer.add_scalar(f"losses/{name}", value, run.seen)
            self.writer.add_scalar("run/pictures_per_second", self.rate, run.seen)
            self.writer.add_scalar("run/rate", run.recipe.rate_at(run.seen), run.seen)
            self.writer.add_scalar("run/crop", run.recipe.crop_at(max(run.seen - 1, 0))[0], run.seen)
        self._sums, self._before, self._seconds = {}, run.seen, run.seconds

    def sheet(self) -> None:
        """Draw a contact sheet of the averaged networks, if there is anything to show."""
        if not self.shown:
            return
        with distributed.alone():
            sheet = self.run.task.sheet(self.shown)
        if sheet is None:
            return
        folder = self.run.folder / "sheets"
        folder.mkdir(exist_ok=True)
        Image.fromarray(sheet).save(folder / f"{self.run.seen:07d}.png")
        if self.writer:
            self.writer.add_image("sheet", sheet, self.run.seen, dataformats="HWC")

    def metrics(self, model: Path, validation: Mapping[str, Any]) -> dict[str, Any]:
        """Write `metrics.json`, the run in short, and return it."""
        run, lines = self.run, _read(self._log) if self._log.exists() else []
        losses = {k: v for k, v in lines[-1].items() if k not in {"seen", "time", "rate"}} if lines else {}
        document = {
            "task": run.recipe.task,
            "pictures": run.seen,
            "seconds": round(run.seconds, 1),
            "pictures_per_second": round(run.seen / max(run.seconds, 1e-9), 3),
            "losses": losses,
            "validation": dict(validation),
            "model": model.name,
        }
        (run.folder / "metrics.json").write_text(json.dumps(document, indent=1) + "\n")
        return document

    def close(self) -> None:
        if self.writer:
            self.writer.close()


def due(before: int, now: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]."""
    return now // every > before // every


def _read(log: Path) -> list[dict[str, Any]]:
    """The whole lines of a log: the last one may have been cut off."""
    lines = list[dict[str, Any]]()
    for line in log.read_text().splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
