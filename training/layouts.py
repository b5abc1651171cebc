"""Where the files of a set lie, how it is split, and what the values in its label maps mean.

`folder` and `shards` are our own layouts; `ade20k`, `coco-stuff`, `cityscapes`, `voc` and `celebamask-hq` are
those in which these sets are published. A layout is a function from a folder to a `Listing`; nothing is
decoded until a pair is asked for. docs/data.md shows all of them.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from models.labels import Label, LabelError, LabelSet, convert, load_label_set, read_label_set

Split = Literal["train", "validation", "test"]
DONT_CARE = 255  # what many published label files hold where nothing is labelled
PHOTOS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
MAPS = frozenset({".png", ".bmp"})


class DataError(ValueError):
    """A training source that cannot be read: names the file and what is wrong with it."""


def split_of(name: str) -> Split:
    """The split of a numbered picture: seed % 20 → 0 test, 1 validation, the rest training."""
    remainder = int(name) % 20 if name.isdecimal() else 2
    return "test" if remainder == 0 else "validation" if remainder == 1 else "train"


@dataclass(frozen=True)
class File:
    """Bytes on disk: a file, or a member of a tar file that begins at `offset`."""

    path: Path
    bytes: int
    offset: int = 0

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.bytes)


def _file(path: Path) -> File:
    return File(path, path.stat().st_size)


@dataclass(frozen=True)
class Item:
    """One pair's files. `maps` is one label file, or masks with the id that each of them paints, in order."""

    name: str
    split: Split
    image: File
    maps: File | tuple[tuple[int, File], ...]
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        maps = [self.maps] if isinstance(self.maps, File) else [file for _, file in self.maps]
        return self.image.bytes + sum(file.bytes for file in maps)


@dataclass(frozen=True)
class Values:
    """What the values of label files mean: ids by value, and ids by RGB colour packed as r·65536 + g·256 + b.

    Values that `ids` lacks are taken as they are where it is None, and are unknown otherwise.
    """

    ids: Mapping[int, int] | None = None
    colours: Mapping[int, int] = field(default_factory=dict)
    said_by: str = "the label set"

    def of(self, values: np.ndarray) -> np.ndarray:
        """uint8 (H, W) values or uint32 (H, W) packed colours → uint8 (H, W) ids.

        Raises:
            DataError: a value that means nothing, with its count.
        """
        if values.dtype == np.uint8:
            if self.ids is None:
                return values
            table, present = self.ids, np.flatnonzero(np.bincount(values.ravel(), minlength=256))
            lookup = np.zeros(256, np.uint8)
            lookup[present] = [self._id(table, value, values) for value in present.tolist()]
            return lookup[values]
        present, inverse = np.unique(values, return_inverse=True)
        ids = np.array([self._id(self.colours, value, values) for value in present.tolist()], np.uint8)
        return ids[inverse].reshape(values.shape)

    def _id(self, table: Mapping[int, int], value: int, values: np.ndarray) -> int:
        if value not in table:
            count = int((values == value).sum())
            raise DataError(f"{said(value, values.dtype)} ({count} pixels) means nothing in {self.said_by}")
        return table[value]

    def then(self, table: Mapping[int, int]) -> Values:
        """Ids replaced by what they are in another set; `DONT_CARE` stays."""
        table = dict(table) | {DONT_CARE: DONT_CARE}
        ids = table if self.ids is None else {value: table[number] for value, number in self.ids.items()}
        return replace(self, ids=ids, colours={rgb: table[number] for rgb, number in self.colours.items()})


def said(value: int, dtype: np.dtype[Any]) -> str:
    """A label file's value for people: `id 7`, or `colour #00ff7f`."""
    return f"id {value}" if dtype == np.uint8 else f"colour #{value:06x}"


def packed(color: Sequence[int]) -> int:
    """An RGB colour as one number."""
    return color[0] << 16 | color[1] << 8 | color[2]


@dataclass(frozen=True)
class Listing:
    """A source: its layout's name, pairs by name, files without a partner, the label set of its ids as read
    (None if nothing says it), and what its values mean."""

    layout: str
    items: Sequence[Item]
    labels: LabelSet | None
    values: Values
    alone: Sequence[str] = ()

    @cached_property
    def found(self) -> str:
        """What there is, for people."""
        splits = {
            split: sum(item.split == split for item in self.items)
            for split in ("train", "validation", "test")
        }
        counts = ", ".join(f"{count} {split}" for split, count in splits.items() if count)
        return (
            f"{counts or 'no'} pairs in the layout {self.layout!r}, {len(self.alone)} files without a partner"
        )

    def photo(self, item: Item) -> np.ndarray:
        """uint8 (H, W, 3) RGB, upright.

        Raises:
            DataError: a file that is no picture.
        """
        with _decoding(item), Image.open(io.BytesIO(item.image.read())) as file:
            ImageOps.exif_transpose(file, in_place=True)
            picture = file if file.mode == "RGB" else file.convert("RGB")
            if not isinstance(item.maps, File):
                picture = picture.resize(self._map_size(item), Image.Resampling.BOX)
            return np.asarray(picture)

    def photo_shape(self, item: Item) -> tuple[int, int]:
        """(H, W) of the photo, from its header."""
        with _decoding(item), Image.open(io.BytesIO(item.image.read())) as file:
            width, height = file.size if isinstance(item.maps, File) else self._map_size(item)
            return (width, height) if file.getexif().get(0x0112, 1) >= 5 else (height, width)

    def raw(self, item: Item) -> np.ndarray:
        """What the label file holds: uint8 (H, W), or uint32 (H, W) packed colours of an RGB file.

        Raises:
            DataError: a file that is no picture, or of a kind that holds no labels.
        """
        with _decoding(item):
            if not isinstance(item.maps, File):
                return _painted(item.maps)
            with Image.open(io.BytesIO(item.maps.read())) as file:
                if file.mode in {"P", "L"}:
                    return np.asarray(file)
                if file.mode not in {"RGB", "RGBA"} or not self.values.colours:
                    raise DataError(f"label map {item.name}: {_wrong_mode(file.mode)}")
                rgb = np.asarray(file)[..., :3].astype(np.uint32)
                return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]

    def ids(self, item: Item) -> np.ndarray:
        """The label map, uint8 (H, W).

        Raises:
            DataError: as `raw`, or for a value that means nothing.
        """
        raw = self.raw(item)
        try:
            return self.values.of(raw)
        except DataError as error:
            raise DataError(f"label map {item.name}: {error}") from error

    def _map_size(self, item: Item) -> tuple[int, int]:
        """(width, height) of an item's masks."""
        first = item.maps if isinstance(item.maps, File) else item.maps[0][1]
        with Image.open(io.BytesIO(first.read())) as file:
            return file.size


class _decoding:  # noqa: N801 – reads as a statement
    """Turns what Pillow raises into a DataError that names the pair."""

    def __init__(self, item: Item) -> None:
        self.item = item

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # Pillow fails in many ways: OSError, SyntaxError, ValueError, struct.error, …
        if isinstance(error, Exception) and not isinstance(error, DataError):
            raise DataError(f"pair {self.item.name} cannot be decoded: {error}") from error


def _wrong_mode(mode: str) -> str:
    if mode in {"RGB", "RGBA"}:
        return (
            f"mode {mode}, and nothing says what its colours mean: name the label set, "
            "or list the colours in labels.toml"
        )
    return f"mode {mode}, expected an 8-bit palette, grey or RGB picture"


def _painted(masks: Sequence[tuple[int, File]]) -> np.ndarray:
    """Masks on top of each other, later ones in front; uint8 (H, W), 0 where none is."""
    ids: np.ndarray | None = None
    for number, file in masks:
        with Image.open(io.BytesIO(file.read())) as picture:
            mask = np.asarray(picture.convert("L"))
        ids = np.zeros(mask.shape, np.uint8) if ids is None else ids
        if mask.shape != ids.shape:
            raise DataError(f"{file.path} is {mask.shape[1]}×{mask.shape[0]}, unlike the masks before it")
        ids[mask > 127] = number
    return np.zeros((0, 0), np.uint8) if ids is None else ids


# -- Choosing


def listing_of(source: Path, layout: str = "auto", labels: LabelSet | None = None) -> Listing:
    """What lies in a folder.

    Args:
        layout: a key of `LAYOUTS`, or "auto": the first that recognises the folder.
        labels: the set that ids are wanted in; see `training.data.read_pairs`.

    Raises:
        DataError: no such folder, no such layout, or a labels.toml that cannot be used.
    """
    if not source.is_dir():
        raise DataError(f"no folder at {source}: give a folder of images/ and labels/, or one of .tar shards")
    if layout not in {"auto", *LAYOUTS}:
        raise DataError(f"no layout {layout!r}; there are auto, {', '.join(LAYOUTS)}")
    if layout == "auto":
        layout = next((name for name, one in LAYOUTS.items() if one.recognises(source)), "folder")
    listing = LAYOUTS[layout].read(source)
    return _in(listing, labels) if labels else listing


def _in(listing: Listing, wanted: LabelSet) -> Listing:
    """The same listing with ids of another set."""
    if listing.labels is None:
        colours = listing.values.colours or colours_of(wanted)
        return replace(listing, labels=wanted, values=replace(listing.values, colours=colours))
    if listing.labels.hash == wanted.hash:
        return listing
    table = {number: match.target for number, match in convert(listing.labels, wanted).items()}
    return replace(listing, labels=wanted, values=listing.values.then(table))


def colours_of(labels: LabelSet) -> dict[int, int]:
    """Ids by packed colour; of labels that share one, the first."""
    return {packed(label.color): label.id for label in reversed(labels.labels)}


def with_unlabelled(labels: LabelSet) -> LabelSet:
    """A set that has an id for "not labelled": its own, or one more after the last, as published checkpoints
    have it. `DONT_CARE` in the files becomes it."""
    if labels.ignore is not None:
        return labels
    extra = Label(labels.channels, "unlabeled", (0, 0, 0), "other")
    return replace(labels, labels=(*labels.labels, extra), ignore=extra.id)


# -- Our own


def _folder(source: Path) -> Listing:
    files = {
        PurePosixPath(path.relative_to(source).as_posix()): _file(path)
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in PHOTOS | {".jsonl"} and path.is_file()
    }
    labels, values = _legend(source)
    return _listing("folder", files, labels, values)


def _shards(source: Path) -> Listing:
    files = {name: file for shard in sorted(source.glob("*.tar")) for name, file in _members(shard)}
    labels, values = _legend(source)
    return _listing("shards", files, labels, values)


def _members(shard: Path) -> Iterator[tuple[PurePosixPath, File]]:
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.isreg() and not member.issparse():
                    yield PurePosixPath(member.name), File(shard, member.size, member.offset_data)
            end = archive.offset
    except tarfile.TarError as error:
        raise DataError(f"{shard} is not a readable tar file: {error}") from error
    # tarfile takes a header that it cannot read for the end; the end is a block of zeros.
    if File(shard, tarfile.BLOCKSIZE, end).read() != bytes(tarfile.BLOCKSIZE):
        raise DataError(f"{shard} is damaged or cut short after {end} bytes: fetch or pack it again")


def _listing(
    layout: str, files: Mapping[PurePosixPath, File], labels: LabelSet | None, values: Values
) -> Listing:
    metas = {
        str(line["seed"]): line
        for name, file in files.items()
        if name.suffix == ".jsonl"
        for line in _lines(name, file)
        if "seed" in line
    }
    images = _by_name(name for name in files if name.parent.name == "images")
    maps = _by_name(name for name in files if name.parent.name == "labels" and name.suffix.lower() in MAPS)
    items = [
        Item(name, split_of(name), files[images[name]], files[maps[name]], metas.get(name, {}))
        for name in sorted(images.keys() & maps.keys())
    ]
    alone = [
        str(names[stem])
        for names, others in ((images, maps), (maps, images))
        for stem in sorted(names.keys() - others.keys())
    ]
    return Listing(layout, items, labels, values, alone)


def _by_name(paths: Iterable[PurePosixPath]) -> dict[str, PurePosixPath]:
    """Files by their name without the suffix. Raises DataError for two of one name: which photo and which map
    belong together would be a guess."""
    found: dict[str, PurePosixPath] = {}
    for path in paths:
        other = found.setdefault(path.stem, path)
        if other != path:
            raise DataError(f"{other} and {path} have the same name: a pair's name is its own, rename one")
    return found


def _lines(name: PurePosixPath, file: File) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in file.read().decode().splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not a file of JSON lines: {error}") from error
    wrong = [line for line in lines if not isinstance(line, dict)]
    if wrong:
        raise DataError(f"{name} holds {str(wrong[0])[:60]!r}, where a line should be a JSON object")
    return lines


def _legend(source: Path) -> tuple[LabelSet | None, Values]:
    """What `labels.toml` says, if there is one: a label set of its own ([[label]]), or a known `set` with the
    ids or colours ([ids], [colours]) that stand for its labels."""
    path = source / "labels.toml"
    if not path.exists():
        return None, Values()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        if "label" in data:
            labels = with_unlabelled(read_label_set(path))
            return labels, Values(colours=colours_of(labels), said_by="labels.toml")
        labels = load_label_set(str(data["set"]))
        ids = {int(value): _label_id(labels, name) for value, name in data.get("ids", {}).items()}
        colours = {_colour(text): _label_id(labels, name) for text, name in data.get("colours", {}).items()}
    except KeyError as error:
        raise DataError(
            f"{path} has neither [[label]] entries nor a {error} to map to: see docs/data.md"
        ) from error
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: {error}") from error
    known = {DONT_CARE: DONT_CARE} | ids if ids else None
    return labels, Values(known, colours or colours_of(labels), "labels.toml")


def _label_id(labels: LabelSet, name: object) -> int:
    """A label's id, of its name or id; "none" is `DONT_CARE`."""
    if name == "none":
        return DONT_CARE
    if isinstance(name, str) and name in labels.by_name:
        return labels.by_name[name].id
    if isinstance(name, int) and name in labels.by_id:
        return name
    raise LabelError(f"the label set {labels.name!r} has no label {name!r}")


def _colour(text: str) -> int:
    """`#rrggbb` or `r, g, b` → packed."""
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return int(text[1:], 16)
    numbers = [int(part) for part in text.split(",")]
    if len(numbers) != 3 or not all(0 <= number <= 255 for number in numbers):
        raise ValueError(f'{text!r} is no colour: write "#rrggbb" or "r, g, b"')
    return packed(numbers)


# -- Published ones


def _matched(
    photos: Mapping[str, Path], maps: Mapping[str, Path], split: Split
) -> tuple[list[Item], list[str]]:
    """Pairs of files with equal keys, and the files that are alone."""
    items = [
        Item(name, split, _file(photos[name]), _file(maps[name]))
        for name in sorted(photos.keys() & maps.keys())
    ]
    alone = [
        str(found[name])
        for found, others in ((photos, maps), (maps, photos))
        for name in sorted(found.keys() - others.keys())
    ]
    return items, alone


def _by_stem(folder: Path, suffix: str, tail: str = "") -> dict[str, Path]:
    """Files below a folder whose name ends in `tail` + `suffix`, by the name without that."""
    end = tail + suffix
    paths = sorted(path for path in folder.rglob(f"*{end}") if path.is_file())  # links may lead nowhere
    return {path.name.removesuffix(end): path for path in paths}


def _published(
    layout: str,
    parts: Sequence[tuple[Mapping[str, Path], Mapping[str, Path], Split]],
    labels: LabelSet,
    values: Values,
) -> Listing:
    matched = [_matched(photos, maps, split) for photos, maps, split in parts]
    items = sorted((item for items, _ in matched for item in items), key=lambda item: item.name)
    return Listing(
        layout, items, with_unlabelled(labels), values, [name for _, alone in matched for name in alone]
    )


def _ade20k(source: Path) -> Listing:
    """ADE20K's scene parsing benchmark (Zhou et al. 2017): 150 classes, 0 for everything else."""
    values = Values({0: DONT_CARE} | {value: value - 1 for value in range(1, 151)}, said_by="ADE20K")
    parts = [
        (_by_stem(source / "images" / name, ".jpg"), _by_stem(source / "annotations" / name, ".png"), split)
        for name, split in _ADE_SPLITS
    ]
    return _published("ade20k", parts, load_label_set("ade150"), values)


_ADE_SPLITS: Sequence[tuple[str, Split]] = (("training", "train"), ("validation", "validation"))
_COCO_SPLITS: Sequence[tuple[str, Split]] = (("train2017", "train"), ("val2017", "validation"))
_COCO_MAPS = ("stuffthingmaps_trainval2017", "stuffthingmaps", "annotations")


def _coco(source: Path) -> Listing:
    """COCO-Stuff 2017 (Caesar et al. 2018): 182 ids with gaps, 255 for none."""
    maps = next((source / name for name in _COCO_MAPS if (source / name / "train2017").is_dir()), None)
    maps = maps or next(
        (source / name for name in _COCO_MAPS if (source / name / "val2017").is_dir()), source
    )
    photos = source / "images" if (source / "images").is_dir() else source
    parts = [
        (_by_stem(photos / name, ".jpg"), _by_stem(maps / name, ".png"), split)
        for name, split in _COCO_SPLITS
    ]
    return _published("coco-stuff", parts, load_label_set("coco182"), Values(said_by="COCO-Stuff"))


_CITY_SPLITS: Sequence[tuple[str, Split]] = (("train", "train"), ("val", "validation"), ("test", "test"))


def _cityscapes(source: Path) -> Listing:
    """Cityscapes (Cordts et al. 2016): the fine annotations' label ids."""
    parts = [
        (
            _by_stem(source / "leftImg8bit" / name, ".png", "_leftImg8bit"),
            _by_stem(source / "gtFine" / name, ".png", "_gtFine_labelIds"),
            split,
        )
        for name, split in _CITY_SPLITS
    ]
    return _published("cityscapes", parts, load_label_set("cityscapes35"), Values(said_by="Cityscapes"))


_VOC_SPLITS: Sequence[tuple[str, Split]] = (("train", "train"), ("val", "validation"))


def _voc_root(source: Path) -> Path:
    """The folder of the year, whichever of its parents was given."""
    roots = [source, *sorted(source.glob("VOC20*")), *sorted(source.glob("VOCdevkit/VOC20*"))]
    return next((root for root in reversed(roots) if (root / "SegmentationClass").is_dir()), source)


def _voc(source: Path) -> Listing:
    """Pascal VOC's segmentation task (Everingham et al. 2010): 20 classes and background, 255 for borders."""
    root = _voc_root(source)
    photos, maps = _by_stem(root / "JPEGImages", ".jpg"), _by_stem(root / "SegmentationClass", ".png")
    items: list[Item] = []
    alone: list[str] = []
    for name, split in _VOC_SPLITS:
        listed = _listed(root / "ImageSets" / "Segmentation" / f"{name}.txt")
        items += [
            Item(one, split, _file(photos[one]), _file(maps[one]))
            for one in listed
            if {one} <= photos.keys() & maps.keys()
        ]
        alone += [f"{one} of {name}.txt" for one in listed if not {one} <= photos.keys() & maps.keys()]
    items.sort(key=lambda item: item.name)
    return Listing(
        "voc", items, with_unlabelled(load_label_set("voc21")), Values(said_by="Pascal VOC"), alone
    )


def _listed(path: Path) -> list[str]:
    """The names in a split's list; none where there is no such list."""
    return path.read_text(encoding="utf-8").split() if path.exists() else []


# CelebAMask-HQ's masks, in the order in which its authors put them on top of each other: id 1, 2, …
_FACE_PARTS = (
    "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip",
    "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
_CELEBA_LAST: Sequence[tuple[int, Split]] = ((162_770, "train"), (182_637, "validation"))


def _celeba(source: Path) -> Listing:
    """CelebAMask-HQ (Lee et al. 2020): a mask for each part at 512², photos at 1024², brought to the masks'
    size."""
    splits = _celeba_splits(source / "CelebA-HQ-to-CelebA-mapping.txt")
    photos = _by_stem(source / "CelebA-HQ-img", ".jpg")
    masks: dict[str, dict[str, Path]] = {}
    for path in sorted((source / "CelebAMask-HQ-mask-anno").rglob("*.png")):
        number, _, part = path.stem.partition("_")
        if number.isdecimal() and part in _FACE_PARTS:
            masks.setdefault(str(int(number)), {})[part] = path
    items = [
        Item(
            name,
            splits.get(name, "train"),
            _file(photos[name]),
            tuple(
                (k, _file(masks[name][part])) for k, part in enumerate(_FACE_PARTS, 1) if part in masks[name]
            ),
        )
        for name in sorted(photos.keys() & masks.keys(), key=lambda name: name.zfill(6))
    ]
    alone = [str(photos[name]) for name in sorted(photos.keys() - masks.keys())]
    alone += [f"masks of {name}" for name in sorted(masks.keys() - photos.keys())]
    labels = load_label_set("celebamask19")
    return Listing("celebamask-hq", items, labels, Values(said_by="CelebAMask-HQ"), alone)


def _celeba_splits(path: Path) -> dict[str, Split]:
    """Split by name: CelebA's own, by the number that a picture has there (Liu et al. 2015)."""
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    numbers = {row[0]: int(Path(row[2]).stem) for row in rows if len(row) == 3 and row[0].isdecimal()}
    return {
        name: next((split for last, split in _CELEBA_LAST if number <= last), "test")
        for name, number in numbers.items()
    }


@dataclass(frozen=True)
class Layout:
    """How a kind of set is recognised and read."""

    recognises: Callable[[Path], bool]
    read: Callable[[Path], Listing]


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda source: all((source / name).is_dir() for name in names)


def _is_coco(source: Path) -> bool:
    folders = [source / name / split for name in _COCO_MAPS for split, _ in _COCO_SPLITS]
    return any(folder.is_dir() for folder in folders)


LAYOUTS: Mapping[str, Layout] = {
    "shards": Layout(lambda source: any(source.glob("*.tar")), _shards),
    "folder": Layout(_has("images", "labels"), _folder),
    "ade20k": Layout(
        lambda source: any(_has(f"images/{name}", f"annotations/{name}")(source) for name, _ in _ADE_SPLITS),
        _ade20k,
    ),
    "coco-stuff": Layout(_is_coco, _coco),
    "cityscapes": Layout(_has("leftImg8bit", "gtFine"), _cityscapes),
    "voc": Layout(lambda source: (_voc_root(source) / "SegmentationClass").is_dir(), _voc),
    "celebamask-hq": Layout(_has("CelebA-HQ-img", "CelebAMask-HQ-mask-anno"), _celeba),
}
