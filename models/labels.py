"""Label sets: which class ids exist, what they are called, how they are shown, and how one set maps to
another."""

from __future__ import annotations

import colorsys
import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

MAX_LABELS = 255  # ids are one byte on disk and on the wire; 255 stays free for "don't care"
BUILTIN_SETS = ("landscape17", "coco182", "ade150", "cityscapes35", "voc21", "celebamask19")


class LabelError(ValueError):
    """A label set that cannot be used: says what is wrong with it and where."""


@dataclass(frozen=True)
class Label:
    """One class: its id (0…254), its name, its display colour (RGB, 0…255) and the palette group it stands
    in."""

    id: int
    name: str
    color: tuple[int, int, int]
    group: str


@dataclass(frozen=True)
class Match:
    """Where a label goes in another set. `exact` is false when only a related meaning was found."""

    target: int
    exact: bool


@dataclass(frozen=True)
class LabelSet:
    """A named, ordered set of labels. `ignore` is the id that means "not labelled", if the set has one."""

    name: str
    labels: tuple[Label, ...]
    ignore: int | None = None

    def __post_init__(self) -> None:
        if not self.labels:
            raise LabelError(f"label set {self.name!r} holds no labels")
        ids = [label.id for label in self.labels]
        if len(set(ids)) != len(ids):
            raise LabelError(
                f"label set {self.name!r} uses an id twice: {sorted(i for i in ids if ids.count(i) > 1)}"
            )
        if min(ids) < 0 or max(ids) >= MAX_LABELS:
            raise LabelError(f"label set {self.name!r} has ids outside 0…{MAX_LABELS - 1}")
        if self.ignore is not None and self.ignore not in ids:
            raise LabelError(f"label set {self.name!r} ignores id {self.ignore}, which it does not have")

    @cached_property
    def hash(self) -> str:
        """Sixteen hex digits over ids and names: equal if and only if a map means the same in both sets."""
        text = "\n".join(
            f"{label.id}\t{label.name}" for label in sorted(self.labels, key=lambda label: label.id)
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @cached_property
    def by_id(self) -> Mapping[int, Label]:
        return {label.id: label for label in self.labels}

    @cached_property
    def by_name(self) -> Mapping[str, Label]:
        return {label.name: label for label in self.labels}

    @property
    def channels(self) -> int:
        """Channels of a one-hot map of this set (largest id + 1)."""
        return max(self.by_id) + 1

    def palette(self) -> bytes:
        """256 RGB triples for an 8-bit palette image whose pixel values are class ids; unused entries are
        black."""
        table = bytearray(768)
        for label in self.labels:
            table[3 * label.id : 3 * label.id + 3] = bytes(label.color)
        return bytes(table)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ignore": self.ignore,
            "labels": [
                {"id": label.id, "name": label.name, "color": list(label.color), "group": label.group}
                for label in self.labels
            ],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> LabelSet:
        """The inverse of `to_json`; raises LabelError for anything that is not such a document."""
        try:
            name, entries, ignore = str(data["name"]), list(data["labels"]), data.get("ignore")
            labels = tuple(_label(entry) for entry in entries)
            ignore = None if ignore is None else int(ignore)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise LabelError(f"not a label set: {error}") from error
        if len({label.name for label in labels}) < len(labels):
            labels = _tell_apart(labels)
        return LabelSet(name, labels, ignore)


def _label(entry: Mapping[str, Any]) -> Label:
    number, name = int(entry["id"]), str(entry["name"])
    if not 0 < len(name) <= 100:
        raise ValueError(f"label {number} has a name of {len(name)} characters")
    name.encode()  # a ValueError for half a surrogate pair
    red, green, blue = entry.get("color") or distinct_color(number)
    color = (int(red), int(green), int(blue))
    if not all(0 <= value <= 255 for value in color):
        raise ValueError(f"label {number} has the colour {color}, outside 0…255")
    return Label(number, name, color, str(entry.get("group") or group_of(name)))


def _tell_apart(labels: tuple[Label, ...]) -> tuple[Label, ...]:
    """ADE20K has two labels called "screen": the later one gets its id in brackets."""
    seen: set[str] = set()
    result: list[Label] = []
    for label in labels:
        name = f"{label.name} ({label.id})" if label.name in seen else label.name
        seen.add(name)
        result.append(Label(label.id, name, label.color, label.group))
    return tuple(result)


def distinct_color(number: int) -> tuple[int, int, int]:
    """A colour for an id whose set publishes none: hues by the golden ratio, so that neighbours differ."""
    hue = (number * 0.618033988749895) % 1.0
    lightness = (0.42, 0.56, 0.70)[number % 3]
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, (0.55, 0.75)[number % 2])
    return round(red * 255), round(green * 255), round(blue * 255)


@cache
def load_label_set(name: str) -> LabelSet:
    """One of `BUILTIN_SETS`."""
    if name not in BUILTIN_SETS:
        raise LabelError(f"no label set {name!r}; there are {', '.join(BUILTIN_SETS)}")
    text = (resources.files("models") / "label_sets" / f"{name}.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text)
    return LabelSet.from_json({"name": name, "labels": data["label"], "ignore": data.get("ignore")})


def read_label_set(path: Path) -> LabelSet:
    """A label set from a file: JSON as `LabelSet.to_json` writes it, or TOML as those of models/label_sets.

    Raises:
        LabelError: no such file, or not a label set.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data: dict[str, Any] = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        labels = data["label"] if path.suffix == ".toml" else data["labels"]
        return LabelSet.from_json({"name": path.stem} | data | {"labels": labels})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise error if isinstance(error, LabelError) else LabelError(f"{path}: {error}") from error


# -- Meaning
# A concept is a word for what a label shows. Each set's names lead to concepts, and each concept to broader
# ones, nearest first, so that two sets meet either in the concept itself (exact) or in the nearest broader or
# sibling one (not exact).

BROADER_STEPS = 4  # how far a meaning may be stretched to find a label

_CONCEPTS: Mapping[str, str] = {
    "sky-other": "sky", "clouds": "cloud", "fog": "fog", "earth": "dirt", "ground": "dirt",
    "ground-other": "dirt", "land": "dirt", "mud": "mud", "terrain": "grass", "field": "field",
    "plant-other": "plant", "vegetation": "tree", "palm": "palm", "leaves": "leaves", "branch": "branch",
    "water-other": "water", "waterdrops": "water", "lake": "river", "river": "river", "swimming": "pool",
    "path": "path", "sidewalk": "pavement", "building-other": "building", "stone": "stone",
    "gravel": "gravel", "straw": "straw", "runway": "runway", "pavement": "pavement", "playingfield": "field",
    "railroad": "rail track", "stairway": "stairs", "step": "stairs", "sofa": "couch", "wall-other": "wall",
    "wall-stone": "wall", "wall-brick": "wall", "wall-concrete": "wall", "wall-panel": "wall",
    "wall-tile": "wall", "wall-wood": "wall", "floor-other": "floor", "floor-wood": "floor",
    "floor-tile": "floor", "floor-stone": "floor", "floor-marble": "floor", "ceiling-other": "ceiling",
    "ceiling-tile": "ceiling", "window-other": "window", "windowpane": "window", "door-stuff": "door",
    "desk-stuff": "desk", "mirror-stuff": "mirror", "television": "tv", "minibike": "motorcycle",
    "ship": "boat", "dining table": "table", "license plate": "car", "rider": "person",
    "traffic": "traffic light", "signboard": "sign", "street sign": "sign", "stop sign": "sign",
    "traffic sign": "sign", "guard rail": "railing", "bannister": "railing", "streetlight": "pole",
    "polegroup": "pole", "caravan": "truck", "trailer": "truck", "van": "car", "rug": "carpet",
    "mat": "carpet", "static": "unlabeled", "dynamic": "unlabeled", "ego vehicle": "unlabeled",
    "rectification border": "unlabeled", "out of roi": "unlabeled", "background": "unlabeled",
    "aeroplane": "airplane", "motorbike": "motorcycle", "diningtable": "table", "pottedplant": "plant",
    "tvmonitor": "tv",
}  # fmt: skip

_BROADER: Mapping[str, str] = {
    "cloud": "sky", "fog": "cloud", "hill": "mountain|grass", "mountain": "hill", "rock": "stone|dirt",
    "stone": "rock", "gravel": "dirt", "mud": "dirt", "sand": "dirt", "dirt": "sand|grass", "field": "grass",
    "straw": "grass", "grass": "field", "flower": "plant", "plant": "bush", "bush": "plant|tree",
    "leaves": "tree", "branch": "tree", "palm": "tree", "tree": "palm", "moss": "grass", "wood": "tree",
    "sea": "water|river", "river": "water", "pool": "water", "waterfall": "river", "fountain": "water",
    "water": "sea|river", "snow": "sand", "road": "path", "path": "road", "pavement": "road",
    "parking": "road", "runway": "road", "rail track": "road", "bridge": "road", "pier": "bridge",
    "tunnel": "bridge", "house": "building", "hovel": "house", "building": "house", "skyscraper": "building",
    "tower": "building", "roof": "building", "tent": "house", "wall": "building", "fence": "wall",
    "railing": "fence", "bus": "truck", "truck": "car", "train": "bus", "motorcycle": "bicycle",
    "bicycle": "motorcycle",
}  # fmt: skip

_GROUPS: Mapping[str, str] = {
    "sky": "sky", "cloud": "sky", "fog": "sky", "mountain": "land", "hill": "land", "snow": "land",
    "rock": "land", "stone": "land", "dirt": "land", "mud": "land", "sand": "land", "gravel": "land",
    "grass": "plants", "field": "plants", "straw": "plants", "flower": "plants", "plant": "plants",
    "bush": "plants", "tree": "plants", "palm": "plants", "leaves": "plants", "branch": "plants",
    "moss": "plants", "wood": "plants", "sea": "water", "river": "water", "water": "water", "pool": "water",
    "waterfall": "water", "fountain": "water", "road": "built", "path": "built", "pavement": "built",
    "parking": "built", "runway": "built", "rail track": "built", "bridge": "built", "pier": "built",
    "tunnel": "built", "house": "built", "hovel": "built", "building": "built", "skyscraper": "built",
    "tower": "built", "roof": "built", "wall": "built", "fence": "built", "railing": "built",
    "stairs": "built", "platform": "built", "pole": "built", "sign": "built", "traffic light": "built",
    "person": "life", "bird": "life", "cat": "life", "dog": "life", "horse": "life", "sheep": "life",
    "cow": "life", "elephant": "life", "bear": "life", "zebra": "life", "giraffe": "life", "animal": "life",
    "car": "vehicles", "truck": "vehicles", "bus": "vehicles", "train": "vehicles", "motorcycle": "vehicles",
    "bicycle": "vehicles", "airplane": "vehicles", "boat": "vehicles",
}  # fmt: skip


def concept_of(name: str) -> str:
    """The meaning behind a label's name."""
    return _CONCEPTS.get(name, name)


def meanings(name: str) -> tuple[str, ...]:
    """The concept of a label's name and the broader or sibling ones after it, nearest first."""
    chain, reached = [concept_of(name)], [concept_of(name)]
    for _ in range(BROADER_STEPS):
        reached = [
            broader for concept in reached for broader in _BROADER.get(concept, "").split("|") if broader
        ]
        chain += reached
    return tuple(dict.fromkeys(chain))


def group_of(name: str) -> str:
    """The palette group of a label that names none: by its own meaning; what no landscape holds is
    "things"."""
    concept = concept_of(name)
    return "other" if concept == "unlabeled" else _GROUPS.get(concept, "things")


def convert(source: LabelSet, target: LabelSet) -> dict[int, Match]:
    """Where each label of `source` goes in `target`, by meaning.

    The same name wins, then the same concept, then the nearest broader one (`meanings`), then the target's
    "not labelled"; a target without one gets its first label. Everything after the concept is not exact.
    """
    concepts: dict[str, int] = {}
    for label in target.labels:
        concepts.setdefault(concept_of(label.name), label.id)
    fallback = target.ignore if target.ignore is not None else target.labels[0].id
    return {label.id: _match(label.name, target, concepts, fallback) for label in source.labels}


def _match(name: str, target: LabelSet, concepts: Mapping[str, int], fallback: int) -> Match:
    if name in target.by_name:
        return Match(target.by_name[name].id, exact=True)
    own, *broader = meanings(name)
    if own in concepts:
        return Match(concepts[own], exact=True)
    for concept in broader:
        if concept in concepts:
            return Match(concepts[concept], exact=False)
    return Match(fallback, exact=own == "unlabeled" and target.ignore is not None)
