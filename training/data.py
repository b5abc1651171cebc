"""Pairs of a photo and its label map, and batches cut from them.

Where the files of a set lie and what their values mean is training/layouts.py's business. Small sets are read
once and kept in memory; of large ones a picture is read when it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from models.encoder import ENCODER_SIZE
from models.labels import LabelSet
from training.augmentation import AS_IS, Augmentation, random_colours, random_window, shown
from training.crude import simplified
from training.layouts import DONT_CARE, DataError, Item, Listing, Split, listing_of, split_of

__all__ = [
    "DONT_CARE", "Batch", "DataError", "Pair", "Pairs", "Split", "StoredPair", "centred", "fitted",
    "random_batch", "read_pairs", "split_of", "to_float",
]  # fmt: skip

SMALL = 128 << 20  # bytes of files up to which a set is kept in memory, decoded: some ten times as much


@dataclass(frozen=True)
class Pair:
    """One picture: `image` uint8 (H, W, 3) RGB, `labels` uint8 (H, W) class ids, `meta` what its file says of
    it; `split` follows the name where the set has no list of its own."""

    name: str
    image: np.ndarray
    labels: np.ndarray
    meta: dict[str, Any]
    split: Split = field(default=None, kw_only=True)  # pyright: ignore[reportAssignmentType] – set below

    def __post_init__(self) -> None:
        if self.split is None:
            object.__setattr__(self, "split", split_of(self.name))

    @cached_property
    def whole(self) -> Tensor:
        """The picture reduced to the style encoder's size E, uint8 (3, E, E)."""
        return reduced(self.image)

    @cached_property
    def counts(self) -> np.ndarray:
        """Pixels of each id, int64 (256,)."""
        return np.bincount(self.labels.ravel(), minlength=256)


class StoredPair(Pair):
    """A pair of a large set: `image` and `labels` are read from its files whenever they are asked for.

    Args:
        image, labels: functions that read them, or arrays as in Pair.

    Reading raises DataError for a file that cannot be used.
    """

    def __init__(
        self,
        name: str,
        image: Callable[[], np.ndarray] | np.ndarray,
        labels: Callable[[], np.ndarray] | np.ndarray,
        meta: dict[str, Any],
        *,
        split: Split,
    ) -> None:
        values = {"name": name, "_image": image, "_labels": labels, "meta": meta, "split": split}
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def image(self) -> np.ndarray:
        return self._image() if callable(self._image) else self._image

    @property
    def labels(self) -> np.ndarray:
        return self._labels() if callable(self._labels) else self._labels

    @property
    def whole(self) -> Tensor:
        return reduced(self.image)


class Pairs(list[Pair]):
    """A list of pairs that knows where its classes are."""

    @cached_property
    def holders(self) -> dict[int, np.ndarray]:
        """For every id, the numbers of the pairs that hold it. Reads every label map once."""
        held = np.stack([pair.counts > 0 for pair in self])
        return {number: np.flatnonzero(held[:, number]) for number in np.flatnonzero(held.any(0)).tolist()}


def read_pairs(
    source: Path,
    split: Split | None = None,
    limit: int | None = None,
    layout: str = "auto",
    labels: LabelSet | None = None,
) -> Pairs:
    """All pairs of a source, by name; `split` keeps only one split's, `limit` the first so many.

    Args:
        layout: one of `training.layouts.LAYOUTS`, or "auto".
        labels: the set that ids are wanted in. A source that says what its own ids mean is converted to it,
            by meaning; of one that does not, the ids are taken as they are.

    Raises:
        DataError: no source there, no pairs in it, or a file that cannot be decoded or does not fit its
        partner (in a large set: when the pair is looked at).
    """
    listing = listing_of(source, layout, labels)
    chosen = [item for item in listing.items if split is None or item.split == split][:limit]
    if not chosen:
        raise DataError(f"{source} holds no {split or ''} pairs: {listing.found}")
    small = sum(item.bytes for item in chosen) <= SMALL
    return Pairs(_pair(item, listing) if small else _stored(item, listing) for item in chosen)


def _pair(item: Item, listing: Listing) -> Pair:
    photo, ids = listing.photo(item), listing.ids(item)
    _check_sizes(item, photo.shape, ids.shape)
    return Pair(item.name, photo, ids, item.meta, split=item.split)


def _stored(item: Item, listing: Listing) -> StoredPair:
    def labels() -> np.ndarray:
        ids = listing.ids(item)
        _check_sizes(item, listing.photo_shape(item), ids.shape)
        return ids

    return StoredPair(item.name, lambda: listing.photo(item), labels, item.meta, split=item.split)


def _check_sizes(item: Item, photo: tuple[int, ...], ids: tuple[int, ...]) -> None:
    if photo[:2] != ids:
        raise DataError(f"pair {item.name}: photo {photo[1]}×{photo[0]}, map {ids[1]}×{ids[0]}")


def fitted(pairs: Iterable[Pair], labels: LabelSet, side: int) -> Pairs:
    """The same pairs, fit to train on with a label set and crops of up to `side` pixels: `DONT_CARE` becomes
    the set's "not labelled".

    Raises:
        DataError: a picture smaller than the crops, or an id that the set does not have; the first is named.
        A pair of a large set raises it when it is looked at.
    """
    return Pairs(
        _fitted_later(pair, labels, side) if isinstance(pair, StoredPair) else _fitted(pair, labels, side)
        for pair in pairs
    )


def _fitted_later(pair: StoredPair, labels: LabelSet, side: int) -> StoredPair:
    def ids() -> np.ndarray:
        return _fitted_ids(pair.name, pair.labels, labels, side)

    return StoredPair(pair.name, lambda: pair.image, ids, pair.meta, split=pair.split)


def _fitted(pair: Pair, labels: LabelSet, side: int) -> Pair:
    ids = _fitted_ids(pair.name, pair.labels, labels, side)
    return pair if ids is pair.labels else replace(pair, labels=ids)


def _fitted_ids(name: str, ids: np.ndarray, labels: LabelSet, side: int) -> np.ndarray:
    height, width = ids.shape
    if min(height, width) < side:
        raise DataError(f"pair {name} is {width}×{height}, smaller than the crops of {side}×{side}")
    counts = np.bincount(ids.ravel(), minlength=256)
    if counts[DONT_CARE] and labels.ignore is not None:
        ids = np.where(ids == DONT_CARE, np.uint8(labels.ignore), ids)
        counts[DONT_CARE] = 0
    unknown = [number for number in np.flatnonzero(counts).tolist() if number not in labels.by_id]
    if unknown:
        raise DataError(
            f"label map {name} holds id {unknown[0]} ({counts[unknown[0]]} pixels), "
            f"which the label set {labels.name!r} does not have"
        )
    return ids


def centred(pair: Pair, height: int, width: int) -> Pair:
    """The middle of a pair, cut to height × width (its own size at most)."""
    image, labels = pair.image, pair.labels
    top, left = (labels.shape[0] - height) // 2, (labels.shape[1] - width) // 2
    window = np.s_[top : top + height, left : left + width]
    return Pair(pair.name, image[window], labels[window], pair.meta, split=pair.split)


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
    return _signed(torch.from_numpy(image.copy()).permute(2, 0, 1))


def _signed(image: Tensor) -> Tensor:
    return image.float() / 127.5 - 1


def reduced(image: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) → uint8 (3, E, E), E the style encoder's size."""
    return resize(
        torch.from_numpy(image.copy()).permute(2, 0, 1), [ENCODER_SIZE, ENCODER_SIZE], antialias=True
    )


def random_batch(
    pairs: Sequence[Pair],
    size: int,
    crop: int,
    rng: np.random.Generator,
    augmentation: Augmentation = AS_IS,
    unlabelled: int | None = None,
) -> Batch:
    """Crops of random pictures; equal generators give equal batches.

    Args:
        pairs: `Pairs`, or any sequence; class-balanced sampling is slow without `Pairs`.
        size: B.
        crop: S, side of the crops (the picture's own side at most).
        augmentation: what is done to picture and map.
        unlabelled: the id for "not labelled"; None if the set has none, and nothing is dropped.
    """
    views = [_view(pairs, crop, rng, augmentation, unlabelled) for _ in range(size)]
    return Batch(*(torch.stack(items) for items in zip(*views, strict=True)))


def _view(
    pairs: Sequence[Pair],
    crop: int,
    rng: np.random.Generator,
    settings: Augmentation,
    unlabelled: int | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pair, wanted = _chosen(pairs, rng, settings, unlabelled)
    image, ids = pair.image, pair.labels
    whole = reduced(image) if isinstance(pair, StoredPair) else pair.whole  # which would read it again
    if rng.random() < settings.flip:
        image, ids, whole = image[:, ::-1], ids[:, ::-1], whole.flip(-1)
    holding = None if wanted is None else _place_of(ids, wanted, rng)
    photo, mask = shown(image, ids, random_window(ids.shape, crop, settings, rng, holding), crop)
    recolour = random_colours(settings, rng)
    if recolour:
        photo, whole = recolour(photo), recolour(whole)
    truth = mask.numpy()
    told = simplified(truth, rng) if rng.random() < settings.crude else truth
    if rng.random() < settings.drop and unlabelled is not None:
        told = np.where(told == rng.choice(np.unique(truth)), np.uint8(unlabelled), told)
    return _signed(photo), _signed(whole), mask.long(), torch.from_numpy(told.astype(np.int64))


def _chosen(
    pairs: Sequence[Pair], rng: np.random.Generator, settings: Augmentation, unlabelled: int | None
) -> tuple[Pair, int | None]:
    """A pair, and the class for whose sake it was chosen, if it was."""
    if rng.random() >= settings.balance:
        return pairs[int(rng.integers(len(pairs)))], None
    holders = (pairs if isinstance(pairs, Pairs) else Pairs(pairs)).holders
    classes = [number for number in holders if number not in (unlabelled, DONT_CARE)] or list(holders)
    wanted = classes[int(rng.integers(len(classes)))]
    return pairs[int(rng.choice(holders[wanted]))], wanted


def _place_of(ids: np.ndarray, wanted: int, rng: np.random.Generator) -> tuple[int, int]:
    rows, columns = np.nonzero(ids == wanted)
    one = int(rng.integers(len(rows)))
    return int(rows[one]), int(columns[one])
