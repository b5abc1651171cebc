"""Which segmenters there are, what one reads in a photo, and that in a model's labels.

Two kinds: model files of ours, which the library knows, and one pretrained ADE20K network, fetched by
`scenebrush segmenter fetch` and by nothing else.
"""

from __future__ import annotations

import importlib
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine import Library
from engine.pretrained import CONFIG, WEIGHTS, PretrainedSegmenter, available
from models.labels import Label, LabelSet, Match, convert, load_label_set
from server.errors import Problem
from server.maps import Map, Pixels

ADE20K: Final = "ade20k"
REPOSITORY: Final = "openmmlab/upernet-convnext-tiny"
REVISION: Final = "876ffc56b819a829448f7e81e9f8606deef6fb65"
"""The commit that holds model.safetensors (huggingface.co, "Adding `safetensors` variant of this model")."""
LICENCE: Final = "MIT"
READING_SIDE: Final = 1024
"""Photos are brought to this longer side before they are read: segmenters reduce them further, but give their
outlines as finely."""
_FILES: Final = (CONFIG, "preprocessor_config.json", WEIGHTS, "README.md")


@dataclass(frozen=True, slots=True)
class Reader:
    """A segmenter that can be asked for."""

    id: str
    name: str
    labels: LabelSet
    licence: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """A label that the segmenter saw, and what became of it; share: of the map's pixels, 0…1."""

    source: Label
    target: Label
    exact: bool
    share: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A photo's map in the asked set, uint8 (H, W), and how it came about."""

    map: Map
    conversions: tuple[Conversion, ...]


class Segmenters:
    """The segmenters of one app. `read` runs on the device's thread only.

    Args:
        library: whose model files read photos.
        folder: where the pretrained network is, if it was fetched.
    """

    def __init__(self, library: Library, folder: Path) -> None:
        self._library = library
        self._folder = folder
        self._pretrained: PretrainedSegmenter | None = None

    def known(self) -> list[Reader]:
        """All that can be used now, the default one first."""
        ours = [Reader(spec.id, spec.name, spec.labels, spec.licence) for spec in self._library.segmenters()]
        return [*ours, *([pretrained_info()] if self._fetched() else [])]

    def find(self, segmenter_id: str | None) -> Reader:
        """The one of that id, or the default one. Raises Problem."""
        known = self.known()
        for info in known:
            if segmenter_id in (None, info.id):
                return info
        if segmenter_id == ADE20K:
            raise _not_fetched()
        raise _unknown(segmenter_id, [info.id for info in known])

    def read(self, photo: Pixels, info: Reader) -> Map:
        """What the segmenter sees in a photo, uint8 RGB (H, W, 3): ids of its own set, uint8 (H, W)."""
        if info.id != ADE20K:
            return self._library.segment(photo, info.id)
        if self._pretrained is None:
            device = "cpu" if self._library.device_name.upper().startswith("CPU") else "cuda"
            self._pretrained = PretrainedSegmenter(self._folder, len(info.labels.labels), device)
        pretrained = self._pretrained
        return self._library.with_room(lambda: pretrained.read(photo))

    def _fetched(self) -> bool:
        return available() and (self._folder / WEIGHTS).is_file() and (self._folder / CONFIG).is_file()


def pretrained_info() -> Reader:
    return Reader(ADE20K, "UPerNet, ConvNeXt-T (ADE20K)", load_label_set("ade150"), LICENCE)


def in_labels(seen: Map, source: LabelSet, target: LabelSet) -> Reading:
    """A map of one set in another's labels, by meaning, and a report of the labels that occur, most first."""
    matches: Mapping[int, Match] = convert(source, target)
    table = np.zeros(256, np.uint8)
    for number, match in matches.items():
        table[number] = match.target
    counts = np.bincount(seen.ravel(), minlength=256)
    present = [number for number in np.argsort(-counts, kind="stable").tolist() if counts[number]]
    conversions = tuple(
        Conversion(
            source.by_id[number],
            target.by_id[matches[number].target],
            matches[number].exact,
            float(counts[number] / seen.size),
        )
        for number in present
    )
    return Reading(table[seen], conversions)


def shares(labels: Map, known: LabelSet) -> list[tuple[Label, float]]:
    """The labels of a map with their shares of its pixels, the largest first."""
    counts = np.bincount(labels.ravel(), minlength=256)
    order = np.argsort(-counts, kind="stable").tolist()
    return [(known.by_id[number], float(counts[number] / labels.size)) for number in order if counts[number]]


def map_size(size: tuple[int, int], max_side: int | None, max_pixels: int) -> tuple[int, int]:
    """Width and height of a photo's map: its own size, unless a limit asks for less."""
    width, height = size
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    if max_side is not None:
        scale = min(scale, max_side / max(width, height))
    return max(1, int(width * scale)), max(1, int(height * scale))


# -- The pretrained one's files


def default_folder() -> Path:
    """Where the pretrained segmenter is kept unless a setting says otherwise."""
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "scenebrush" / "segmenters" / ADE20K


def fetch(folder: Path, *, force: bool = False) -> None:
    """Download the pretrained segmenter's pinned revision, and try it, before it takes its place in `folder`.

    Raises Problem if the extra is not installed, the folder is taken, or the download fails; EngineError if
    what came is no such network.
    """
    if not available():
        raise _extra_missing()
    if folder.exists() and not force:
        raise Problem(
            409,
            "already-fetched",
            "The segmenter is there already",
            f"{folder} exists.",
            "Nothing is to be done; --force fetches it again.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
        fetched = Path(temporary) / ADE20K
        _download(fetched)
        PretrainedSegmenter(fetched, len(pretrained_info().labels.labels))
        shutil.rmtree(fetched / ".cache", ignore_errors=True)
        if folder.exists():
            folder.rename(Path(temporary) / "before")
        fetched.rename(folder)


def _download(folder: Path) -> None:
    hub: Any = importlib.import_module("huggingface_hub")  # transformers brings it
    try:
        hub.snapshot_download(REPOSITORY, revision=REVISION, allow_patterns=list(_FILES), local_dir=folder)
    except Exception as error:
        raise Problem(
            502,
            "fetch-failed",
            "The segmenter could not be fetched",
            f"huggingface.co did not give {REPOSITORY} ({type(error).__name__}: {error}).",
            "Look at the network, and try again.",
        ) from error


def _extra_missing() -> Problem:
    return Problem(
        501,
        "extra-missing",
        "The pretrained segmenter needs an extra",
        "The library transformers is not installed.",
        "Install it: pip install 'scenebrush[segment]'",
    )


def _not_fetched() -> Problem:
    if not available():
        return _extra_missing()
    return Problem(
        404,
        "segmenter-not-fetched",
        "The pretrained segmenter is not on this machine",
        f"This server downloads nothing by itself, and the files of {REPOSITORY} are not there.",
        "Whoever runs the server fetches them, about 240 MB: scenebrush segmenter fetch",
    )


def _unknown(segmenter_id: str | None, known: list[str]) -> Problem:
    said = f"There is none called {segmenter_id!r}" if segmenter_id else "There is none at hand"
    return Problem(
        404,
        "unknown-segmenter",
        "Unknown segmenter",
        f"{said}; there are: {', '.join(known) or 'none'}.",
        "Leave the field out, or name one of these.",
    )
