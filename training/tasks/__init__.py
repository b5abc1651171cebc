"""What can be trained, by the name that a recipe gives. A task's module is read when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from training.task import Task


class _Tasks(Mapping[str, type[Task]]):
    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, name: str) -> type[Task]:
        return getattr(import_module(f"training.tasks.{name}"), self._classes[name])

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


TASKS: Mapping[str, type[Task]] = _Tasks(
    {
        "builtin": "BuiltinTask",
        "oasis": "OasisTask",
        "spade": "SpadeTask",
        "pix2pix": "Pix2pixTask",
        "segment": "SegmentTask",
    }
)
