"""Pairs of a photo and its label map, read once and kept in memory as bytes.

A source is a folder with `images/NAME.jpg|png`, `labels/NAME.png` and, if there is one, `meta*.jsonl`; or a
folder of `*.tar` shards, each holding such a folder. A label file is an 8-bit palette or grey PNG whose
values are class ids.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from models.encoder import ENCODER_SIZE
from models.labels import LabelSet

Split = Literal["train", "validation", "test"]


class DataError(ValueError):
    """A training source that cannot be read: names the file and what is wrong with it."""


@dataclass(frozen=True)
class Pair:
    """One picture: `image` uint8 (H, W, 3) RGB, `labels` uint8 (H, W) class ids, `meta` what its file says of
    it."""

    name: str
    image: np.ndarray
    labels: np.ndarray
    meta: dict[str, Any]


def split_of(name: str) -> Split:
    """The split of a numbered picture: seed % 20 → 0 test, 1 validation, the rest training."""
    remainder = int(name) % 20 if name.isdigit() else 2
    return "test" if remainder == 0 else "validation" if remainder == 1 else "train"


def read_pairs(source: Path, split: Split | None = None, limit: int | None = None) -> list[Pair]:
    """All pairs of a source, by name; `split` keeps only one split's, `limit` the first so many.

    Raises:
        DataError: no source there, no pairs in it, or a file that cannot be decoded or does not fit its
        partner.
    """
    if not source.is_dir():
        raise DataError(f"no folder at {source}: give a folder of images/ and labels/, or one of .tar shards")
    files = _files(source)
    metas = {
        str(line.get("seed")): line
        for name in files
        if name.suffix == ".jsonl"
        for line in _lines(files[name])
    }
    images = {name.stem: name for name in files if name.parent.name == "images"}
    labels = {name.stem: name for name in files if name.parent.name == "labels"}
    names = sorted(images.keys() & labels.keys())
    chosen = [name for name in names if split is None or split_of(name) == split][:limit]
    if not chosen:
        raise DataError(
            f"{source} holds no {split or ''} pairs: {len(images)} images, {len(labels)} label maps"
        )
    return [_pair(name, files[images[name]], files[labels[name]], metas.get(name, {})) for name in chosen]


def _files(source: Path) -> dict[PurePosixPath, bytes]:
    shards = sorted(source.glob("*.tar"))
    if shards:
        return {name: data for shard in shards for name, data in _members(shard)}
    paths = [path for path in sorted(source.rglob("*")) if path.suffix in {".jpg", ".jpeg", ".png", ".jsonl"}]
    return {PurePosixPath(path.relative_to(source)): path.read_bytes() for path in paths}


def _members(shard: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    try:
        with tarfile.open(shard) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.isfile() else None
                if stream:
                    yield PurePosixPath(member.name), stream.read()
    except tarfile.TarError as error:
        raise DataError(f"{shard} is not a readable tar file: {error}") from error


def _lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines() if line.strip()]


def _pair(name: str, image: bytes, labels: bytes, meta: dict[str, Any]) -> Pair:
    try:
        photo = np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))
        with Image.open(io.BytesIO(labels)) as file:
            if file.mode not in {"P", "L"}:
                raise DataError(
                    f"label map {name}: mode {file.mode}, expected an 8-bit palette or grey picture"
                )
            ids = np.asarray(file)
    except OSError as error:
        raise DataError(f"pair {name} cannot be decoded: {error}") from error
    if photo.shape[:2] != ids.shape:
        raise DataError(
            f"pair {name}: photo {photo.shape[1]}×{photo.shape[0]}, map {ids.shape[1]}×{ids.shape[0]}"
        )
    return Pair(name, photo, ids, meta)


DONT_CARE = 255  # what many published label files hold where nothing is labelled


def fitted(pairs: list[Pair], labels: LabelSet, side: int) -> list[Pair]:
    """The same pairs, fit to train on with a label set and crops of up to `side` pixels: `DONT_CARE` becomes
    the set's "not labelled".

    Raises:
        DataError: a picture smaller than the crops, or an id that the set does not have; the first is named.
    """
    return [_fitted(pair, labels, side) for pair in pairs]


def _fitted(pair: Pair, labels: LabelSet, side: int) -> Pair:
    height, width = pair.labels.shape
    if min(height, width) < side:
        raise DataError(f"pair {pair.name} is {width}×{height}, smaller than the crops of {side}×{side}")
    counts = np.bincount(pair.labels.ravel(), minlength=256)
    ids = pair.labels
    if counts[DONT_CARE] and labels.ignore is not None:
        ids = np.where(ids == DONT_CARE, np.uint8(labels.ignore), ids)
        counts[DONT_CARE] = 0
    unknown = [number for number in np.flatnonzero(counts).tolist() if number not in labels.by_id]
    if unknown:
        raise DataError(
            f"label map {pair.name} holds id {unknown[0]} ({counts[unknown[0]]} pixels), "
            f"which the label set {labels.name!r} does not have"
        )
    return replace(pair, labels=ids)


def centred(pair: Pair, height: int, width: int) -> Pair:
    """The middle of a pair, cut to height × width (its own size at most)."""
    top, left = (pair.labels.shape[0] - height) // 2, (pair.labels.shape[1] - width) // 2
    window = np.s_[top : top + height, left : left + width]
    return replace(pair, image=pair.image[window], labels=pair.labels[window])


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    real: float32 (B, 3, S, S) in [−1, 1]; whole: the pictures that the crops come from, reduced to the style
    encoder's size E, float32 (B, 3, E, E);
    labels: int64 (B, S, S), true classes; given: int64 (B, S, S), what the generator is told.
    """

    real: Tensor
    whole: Tensor
    labels: Tensor
    given: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(
            self.real.to(device), self.whole.to(device), self.labels.to(device), self.given.to(device)
        )


def to_float(image: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) → float32 (3, H, W) in [−1, 1]."""
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 127.5 - 1


def random_batch(
    pairs: list[Pair],
    size: int,
    crop: int,
    rng: np.random.Generator,
    crude: float = 0.0,
    drop: float = 0.0,
    unlabelled: int | None = None,
) -> Batch:
    """Crops of random pictures, flipped at random.

    Args:
        size: B.
        crop: S, side of the crops (the picture's own side at most).
        rng: the step's generator; equal generators give equal batches.
        crude: probability that a picture's given map is smoothed, as a person would have painted it.
        drop: probability that one of its classes is given as `unlabelled`.
        unlabelled: the id for "not labelled"; None if the set has none, and nothing is dropped.
    """
    chosen = [pairs[i] for i in rng.integers(len(pairs), size=size)]
    real, whole, labels, given = [], [], [], []
    for pair in chosen:
        image, ids = (
            (pair.image[:, ::-1], pair.labels[:, ::-1]) if rng.random() < 0.5 else (pair.image, pair.labels)
        )
        top, left = rng.integers(ids.shape[0] - crop + 1), rng.integers(ids.shape[1] - crop + 1)
        window = np.s_[top : top + crop, left : left + crop]
        truth = torch.from_numpy(ids[window].astype(np.int64))
        told = smoothed(truth, int(rng.integers(2, 8))) if rng.random() < crude else truth
        if rng.random() < drop and unlabelled is not None:
            told = torch.where(told == int(rng.choice(np.unique(truth.numpy()))), unlabelled, told)
        real.append(to_float(image[window]))
        whole.append(resize(to_float(image), [ENCODER_SIZE, ENCODER_SIZE], antialias=True))
        labels.append(truth)
        given.append(told)
    return Batch(*(torch.stack(items) for items in (real, whole, labels, given)))


def smoothed(labels: Tensor, radius: int) -> Tensor:
    """The majority class of each (2·radius + 1)² window: int64 (H, W) → int64 (H, W), details gone, borders
    round."""
    present = torch.unique(labels)
    votes = (labels == present[:, None, None]).float()
    counted = torch.nn.functional.avg_pool2d(votes, 2 * radius + 1, 1, radius, count_include_pad=False)
    return present[counted.argmax(0)]
