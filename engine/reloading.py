"""What changes when the model folders are looked through again. Nothing here paints, or changes a library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from engine.catalogue import Catalogue, Entry
from engine.errors import ModelChanged, OutOfMemory
from engine.model import Model
from engine.plain import PlainModel
from engine.regions import paints_styles_by_region
from engine.segmenting import SegmenterModel
from engine.shelf import Keeps, Place, Shelf
from models.checkpoint import CheckpointError
from models.spec import ModelSpec

Painting = Model | PlainModel
T = TypeVar("T", bound=Keeps)


class Content(Keeps, Protocol):
    """What is read of a file."""

    spec: ModelSpec


C = TypeVar("C", bound=Content)


def paint_alike(one: ModelSpec, other: ModelSpec) -> bool:
    """Whether what may be asked of one model may be asked of the other: maps, sizes and styles."""
    return _rules(one) == _rules(other)


def _rules(spec: ModelSpec) -> tuple[Any, ...]:
    return spec.labels.hash, spec.largest, spec.style_dim, paints_styles_by_region(spec)


@dataclass(frozen=True, eq=False)
class Held(Generic[T]):
    """A file, and the place where its content lies when it is in memory."""

    entry: Entry
    place: Place[T]


@dataclass(frozen=True)
class Readers:
    """How places are made for files. read, read_segmenter: read one."""

    shelf: Shelf
    read: Callable[[Path], Painting]
    read_segmenter: Callable[[Path], SegmenterModel]

    def place(self, entry: Entry, *, now: bool = False) -> Place[Painting]:
        """For a model that paints; its content is read when it is needed, or `now`."""
        return _place(self.shelf, entry, self.read, now=now)

    def segmenter(self, entry: Entry, *, now: bool = False) -> Place[SegmenterModel]:
        """Likewise for a segmenter."""
        return _place(self.shelf, entry, self.read_segmenter, now=now)


def _place(shelf: Shelf, entry: Entry, read: Callable[[Path], C], *, now: bool) -> Place[C]:
    # Not the entry: whoever holds a place does not hold its spec.
    again = partial(_read_same, entry.path, _built(entry.spec), read)
    return Place(shelf, again, again() if now else None)


def _built(spec: ModelSpec) -> tuple[Any, ...]:
    """All of a spec that a painter at work relies on."""
    return spec.architecture, dict(spec.options), spec.labels.hash, spec.stride, spec.style_dim


def _read_same(path: Path, built: tuple[Any, ...], read: Callable[[Path], C]) -> C:
    """A file's content, if it still is what its header said when it was found."""
    content = read(path)
    if _built(content.spec) != built:
        raise ModelChanged(
            f"model {content.spec.id!r}",
            "its file has been replaced by one of another kind",
            "Whoever runs the server sends it SIGHUP, so that it looks through its models again.",
        )
    return content


@dataclass(frozen=True)
class Update:
    """The models as they will be, and why some files do not count.

    changed: ids of models whose weights are others now, are new, or are gone.
    """

    models: dict[str, Held[Painting]]
    segmenters: dict[str, Held[SegmenterModel]]
    problems: list[str]
    changed: list[str]

    def replaced(self, before: Mapping[str, Held[Painting]]) -> Iterator[tuple[ModelSpec, Place[Painting]]]:
        """The models in memory that are no longer these, by the specs that name them."""
        for id_, held in before.items():
            if self.models.get(id_) is not held and held.place.loaded:
                yield held.entry.spec, held.place


def read_again(
    found: Catalogue,
    models: Mapping[str, Held[Painting]],
    segmenters: Mapping[str, Held[SegmenterModel]],
    default: str,
    readers: Readers,
    with_room: Callable[[Callable[[], Any]], Any],
) -> Update:
    """Compare what was found with what is there. What is in memory and has changed is read; what cannot be
    read stays as it is, and a problem says why. The default model always stays."""
    problems = list(found.problems)

    def renewed(
        entries: Mapping[str, Entry],
        before: Mapping[str, Held[Any]],
        place: Callable[..., Place[Any]],
        kept: str | None,
    ) -> dict[str, Held[Any]]:
        after: dict[str, Held[Any]] = {}
        for id_, entry in entries.items():
            held = before.get(id_)
            if held is not None and (held.entry.path, held.entry.stamp) == (entry.path, entry.stamp):
                after[id_] = held
                continue
            try:
                now = held is not None and held.place.loaded
                after[id_] = Held(entry, with_room(partial(place, entry, now=now)))
            except (CheckpointError, ModelChanged, OutOfMemory, OSError) as error:
                problems.append(f"{error} The model that was there before stays.")
                if held is not None:
                    after[id_] = _staying(held)
        for id_, held in before.items():
            broken = held.entry.path.exists() and held.place.loaded
            if id_ not in after and (broken or id_ == kept):
                after[id_] = _staying(held)
                problems.append(
                    f"{held.entry.path}: the model {id_!r} can no longer be read from it, and stays as it was"
                )
        return after

    after = renewed(found.models, models, readers.place, default)
    read = renewed(found.segmenters, segmenters, readers.segmenter, None)
    changed = [id_ for id_ in {**models, **after} if models.get(id_) is not after.get(id_)]
    return Update(after, read, problems, changed)


def _staying(held: Held[Any]) -> Held[Any]:
    """The same, which from now on never makes room, for it could not be read again."""
    if held.place.loaded:
        held.place.fix()
    return held
