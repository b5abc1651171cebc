"""Which model files there are, by what their headers say. Weights are not read here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.checkpoint import SEGMENTERS, CheckpointError, parameter_count, read_spec
from models.spec import ModelSpec

Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Entry:
    """One file. `parameters`: how many values it holds. `stamp`: tells whether the file is still the same."""

    path: Path
    spec: ModelSpec
    parameters: int
    stamp: Stamp


@dataclass(frozen=True)
class Catalogue:
    """The files of some folders, by id, in the order found; and why others were passed over.

    models: those that paint. segmenters: those that read photos.
    """

    models: dict[str, Entry]
    segmenters: dict[str, Entry]
    problems: list[str]


def look(directories: Sequence[Path]) -> Catalogue:
    """Read the headers of all .safetensors files; of equal ids, the one in the earlier folder counts. Folders
    that do not exist are passed over."""
    found = Catalogue({}, {}, [])
    for path in (path for directory in directories for path in sorted(directory.glob("*.safetensors"))):
        _add(found, path)
    foreign = (path for directory in directories for path in sorted(directory.glob("*.pth")))
    found.problems.extend(f"{path}: a PyTorch file. Import it first: scenebrush import" for path in foreign)
    return found


def _add(found: Catalogue, path: Path) -> None:
    try:
        entry = Entry(path, read_spec(path), parameter_count(path), stamp_of(path))
    except (CheckpointError, OSError) as error:
        found.problems.append(str(error))
        return
    reads = entry.spec.architecture in SEGMENTERS
    entries = found.segmenters if reads else found.models
    if entry.spec.id in entries:
        kind, first = "segmenter" if reads else "model", entries[entry.spec.id].path
        found.problems.append(f"{path}: a {kind} called {entry.spec.id!r} was already found in {first}")
        return
    entries[entry.spec.id] = entry


def stamp_of(path: Path) -> Stamp:
    """Another one for every content that a file has had. Raises OSError."""
    seen = path.stat()
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def first_id(directory: Path) -> str | None:
    """The id of a folder's first model that paints, or None."""
    return next(iter(look([directory]).models), None)
