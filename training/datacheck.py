"""What a source holds and what is wrong with it, before anyone waits for a training run.

`scenebrush data check` is this.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from models.labels import BUILTIN_SETS, Label, LabelSet, load_label_set, read_label_set
from training.layouts import DONT_CARE, DataError, Item, Listing, listing_of, said, with_unlabelled

CELL = 128  # side of a picture on the contact sheet
ACROSS = 4
NAMED = 8  # of a kind of trouble, how many are named; the rest are counted


@dataclass(frozen=True)
class Share:
    """How much of a class there is: share of all pixels in 0…1, and pictures that hold it."""

    id: int
    name: str
    share: float
    pictures: int


@dataclass(frozen=True)
class Unknown:
    """A value that the label set does not have."""

    value: str
    pixels: int
    pictures: int
    nearest: str


@dataclass(frozen=True)
class Report:
    """What was found. `unreadable` and `mismatched` name pairs and say why; `alone` are files without a
    partner; `sizes` counts pictures by "width×height"."""

    source: str
    layout: str
    label_set: str
    splits: dict[str, int]
    sizes: dict[str, int]
    smallest_side: int
    classes: list[Share]
    unlabelled: float
    unknown: list[Unknown]
    unreadable: list[str]
    mismatched: list[str]
    alone: list[str]

    @property
    def usable(self) -> bool:
        """Whether a run could be trained on every pair; files without a partner are only left out."""
        return bool(self.splits) and not (self.unknown or self.unreadable or self.mismatched)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"usable": self.usable}


def label_set_named(name: str) -> LabelSet:
    """A label set by its name or its file, with an id for "not labelled".

    Raises:
        DataError: neither a known name nor a file, with the nearest name.
        LabelError: a file that is no label set.
    """
    path = Path(name)
    if name in BUILTIN_SETS:
        return with_unlabelled(load_label_set(name))
    if path.suffix in {".toml", ".json"}:
        return with_unlabelled(read_label_set(path))
    near = difflib.get_close_matches(name, BUILTIN_SETS, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise DataError(
        f"no label set {name!r}: {hint}there are {', '.join(BUILTIN_SETS)}, or a .toml or .json file"
    )


def check(source: Path, layout: str = "auto", labels: LabelSet | None = None) -> tuple[Report, Listing]:
    """Read every pair of a source once.

    Args:
        labels: the set that its maps are in; a source that says so itself needs none, and for others it is
            landscape17.

    Raises:
        DataError: no such folder or layout, or a labels.toml that cannot be used.
    """
    listing = listing_of(source, layout)
    if labels or listing.labels is None:
        listing = listing_of(source, layout, labels or load_label_set("landscape17"))
    tally = _Tally(listing)
    for item in listing.items:
        tally.add(item)
    return tally.report(source), listing


class _Tally:
    """Counts while pairs are read one by one."""

    def __init__(self, listing: Listing) -> None:
        assert listing.labels is not None  # noqa: S101 – check() sees to it
        self.listing, self.labels = listing, listing.labels
        self.splits: Counter[str] = Counter()
        self.sizes: Counter[str] = Counter()
        self.sides: list[int] = []
        self.pixels, self.pictures = np.zeros(256, np.int64), np.zeros(256, np.int64)
        self.unknown: Counter[tuple[int, str]] = Counter()
        self.unknown_in: Counter[tuple[int, str]] = Counter()
        self.unreadable: list[str] = []
        self.mismatched: list[str] = []

    def add(self, item: Item) -> None:
        self.splits[item.split] += 1
        try:
            photo, raw = self.listing.photo(item), self.listing.raw(item)
        except DataError as error:
            self.unreadable.append(str(error))
            return
        height, width = raw.shape
        if photo.shape[:2] != raw.shape:
            self.mismatched.append(
                f"{item.name}: photo {photo.shape[1]}×{photo.shape[0]}, map {width}×{height}"
            )
        self.sizes[f"{width}×{height}"] += 1
        self.sides.append(min(height, width))
        self._count(raw)

    def _count(self, raw: np.ndarray) -> None:
        values, counts = np.unique(raw, return_counts=True)
        held: set[int] = set()
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            number = self._id(value, raw.dtype)
            if number is None:
                self.unknown[value, said(value, raw.dtype)] += count
                self.unknown_in[value, said(value, raw.dtype)] += 1
            else:
                self.pixels[number] += count
                held.add(number)
        self.pictures[list(held)] += 1

    def _id(self, value: int, dtype: np.dtype[Any]) -> int | None:
        values = self.listing.values
        if dtype != np.uint8:
            return values.colours.get(value)
        number = value if values.ids is None else values.ids.get(value)
        return number if number in self.labels.by_id or number == DONT_CARE else None

    def report(self, source: Path) -> Report:
        total = max(int(self.pixels.sum()) + sum(self.unknown.values()), 1)
        none = {DONT_CARE} | ({self.labels.ignore} if self.labels.ignore is not None else set())
        classes = [
            Share(
                label.id,
                label.name,
                round(int(self.pixels[label.id]) / total, 6),
                int(self.pictures[label.id]),
            )
            for label in self.labels.labels
            if label.id not in none
        ]
        unknown = [
            Unknown(text, pixels, self.unknown_in[value, text], self._nearest(value, text).name)
            for (value, text), pixels in self.unknown.most_common()
        ]
        return Report(
            source=str(source),
            layout=self.listing.layout,
            label_set=self.labels.name,
            splits=dict(self.splits),
            sizes=dict(self.sizes.most_common()),
            smallest_side=min(self.sides, default=0),
            classes=sorted(classes, key=lambda one: -one.share),
            unlabelled=round(int(self.pixels[list(none)].sum()) / total, 6),
            unknown=unknown,
            unreadable=self.unreadable,
            mismatched=self.mismatched,
            alone=list(self.listing.alone),
        )

    def _nearest(self, value: int, text: str) -> Label:
        """The label of the nearest colour, or of the nearest id."""
        if not text.startswith("colour"):
            return min(self.labels.labels, key=lambda label: abs(label.id - value))
        rgb = np.array([value >> 16, value >> 8 & 255, value & 255])
        return min(self.labels.labels, key=lambda label: int(((rgb - label.color) ** 2).sum()))


def say(report: Report, console: Console) -> None:
    """The report for people."""
    splits = ", ".join(f"{count} {split}" for split, count in report.splits.items()) or "no pairs"
    console.print(
        f"{report.source}: layout {report.layout}, {splits}, label set {report.label_set}", soft_wrap=True
    )
    sizes = list(report.sizes.items())
    more = f", and {len(sizes) - NAMED} more sizes" if len(sizes) > NAMED else ""
    console.print(
        "sizes: " + (", ".join(f"{size} ({count})" for size, count in sizes[:NAMED]) or "none") + more,
        soft_wrap=True,
    )
    console.print(
        f"shorter side at least {report.smallest_side}; not labelled: {report.unlabelled:.1%} of the pixels"
    )
    table = Table("id", "class", "pixels", "pictures", box=None)
    for one in report.classes:
        if one.pictures:
            table.add_row(str(one.id), one.name, f"{one.share:.2%}", str(one.pictures))
    console.print(table)
    missing = [one.name for one in report.classes if not one.pictures]
    if missing:
        console.print(f"in no picture: {', '.join(missing)}", soft_wrap=True)
    unknown = [
        f"{one.value}: {one.pixels} pixels in {one.pictures} pictures, nearest label {one.nearest!r}"
        for one in report.unknown
    ]
    _list(console, "unknown values", unknown)
    _list(console, "unreadable", report.unreadable)
    _list(console, "photo and map differ in size", report.mismatched)
    _list(console, "left out, without a partner", report.alone)
    console.print("usable" if report.usable else "not usable as it is")


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    console.print(f"{title}: {len(lines)}")
    for line in lines[:NAMED]:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > NAMED:
        console.print(f"  and {len(lines) - NAMED} more")


def sheet(listing: Listing, count: int = 24) -> Image.Image:
    """Photo and map, side by side, of the first pairs that can be read; never chosen."""
    cells: list[Image.Image] = []
    for item in listing.items:
        if len(cells) == count:
            break
        try:
            cells.append(_cell(listing, item))
        except DataError:
            continue
    rows = max(-(-len(cells) // ACROSS), 1)
    picture = Image.new("RGB", (ACROSS * 2 * CELL, rows * CELL))
    for k, cell in enumerate(cells):
        picture.paste(cell, (k % ACROSS * 2 * CELL, k // ACROSS * CELL))
    return picture


def _cell(listing: Listing, item: Item) -> Image.Image:
    photo, ids = listing.photo(item), Image.fromarray(listing.ids(item))
    if listing.labels:
        ids.putpalette(listing.labels.palette())
    cell = Image.new("RGB", (2 * CELL, CELL))
    for k, picture in enumerate((Image.fromarray(photo), ids.convert("RGB"))):
        picture.thumbnail((CELL, CELL), Image.Resampling.BOX if k == 0 else Image.Resampling.NEAREST)
        cell.paste(picture, (k * CELL + (CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return cell
