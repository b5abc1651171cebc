"""Label maps to measure with: smooth random regions, a painted example, noise; and dabs of a brush."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import interpolate

from models.labels import LabelSet, convert, load_label_set

LabelMap = NDArray[np.uint8]
_BEND, _WAVES = 0.05, 20
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def usable_ids(labels: LabelSet) -> NDArray[np.uint8]:
    """Every id but "don't care"."""
    return np.array([label.id for label in labels.labels if label.id != labels.ignore], np.uint8)


def regions(size: int, count: int, labels: LabelSet, seed: int = 0) -> LabelMap:
    """About `count` regions with winding borders, each of its own class while there are enough classes.

    Returns:
        uint8 (size, size).
    """
    random, ids = np.random.default_rng(seed), usable_ids(labels)
    chosen, places = random.choice(ids, count, replace=count > ids.size), random.uniform(0, 1, (count, 2))
    # Cells of the nearest place, on a plane bent by some 20 smooth waves across: at 256², 12 regions hold
    # about as many distinct 5×5 windows as a painting of some care, 5,600.
    coarse = torch.from_numpy(random.normal(0, _BEND, (1, 2, _WAVES, _WAVES)))
    bent = interpolate(coarse, (size, size), mode="bicubic", align_corners=True)[0].numpy()
    y, x = np.mgrid[0:size, 0:size] / size + bent
    nearest, distance = np.zeros((size, size), np.intp), np.full((size, size), np.inf)
    for i, (top, left) in enumerate(places):
        here = (y - top) ** 2 + (x - left) ** 2
        nearest, distance = np.where(here < distance, i, nearest), np.minimum(distance, here)
    return chosen[nearest]


def noise(size: int, labels: LabelSet, seed: int = 0) -> LabelMap:
    """Every pixel any class: the worst case. uint8 (size, size)."""
    return np.random.default_rng(seed).choice(usable_ids(labels), (size, size))


def painted(size: int, labels: LabelSet, name: str = "lake") -> LabelMap:
    """A hand-painted example, in another label set by meaning: uint8 (size, size)."""
    with Image.open(EXAMPLES / f"{name}.png") as image:
        ids = np.asarray(image.resize((size, size), Image.Resampling.NEAREST))
    meant = np.zeros(256, np.uint8)
    for id_, match in convert(load_label_set("landscape17"), labels).items():
        meant[id_] = match.target
    return meant[ids]


def quarters(size: int) -> LabelMap:
    """A style plane of four styles, each in a quarter: uint8 (size, size)."""
    half = np.arange(size) >= size // 2
    return (2 * half[:, None] + half).astype(np.uint8)


class Brush:
    """Round dabs at random places, each of a class of the map that the place does not have.

    Args:
        diameter: in pixels.
    """

    def __init__(self, diameter: int = 24, seed: int = 0) -> None:
        self._random, self._diameter = np.random.default_rng(seed), diameter
        middle = (diameter - 1) / 2
        y, x = np.mgrid[0:diameter, 0:diameter] - middle
        self._disc = y**2 + x**2 <= (diameter / 2) ** 2

    def dab(self, labels: LabelMap) -> tuple[int, int, LabelMap]:
        """The next dab on a map: x, y and the patch, uint8 (diameter, diameter)."""
        height, width = labels.shape
        y = int(self._random.integers(0, height - self._diameter + 1))
        x = int(self._random.integers(0, width - self._diameter + 1))
        patch = labels[y : y + self._diameter, x : x + self._diameter].copy()
        there = patch[self._diameter // 2, self._diameter // 2]
        classes = np.unique(labels)
        patch[self._disc] = self._random.choice(classes[classes != there]) if classes.size > 1 else there
        return x, y, patch


def near(changed: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels within `reach` rows and columns of a changed one: bool (h, w)."""
    for axis in (0, 1):
        margin = [(0, 0), (0, 0)]
        margin[axis] = (reach, reach)
        around = sliding_window_view(np.pad(changed, margin), 2 * reach + 1, axis)
        changed = around.any(-1)
    return changed
