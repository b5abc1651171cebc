"""Styles by region: which mixture of styles acts where, for families whose style acts after the labels.

A *style plane* says for every pixel which style it takes: 0 the painter's own, k its k-th region's. Where
two meet, one gives way to the other over a sixteenth of the picture's shorter side, by the distance to the
border: on it both act alike, and inside a region its own style outweighs each other one, however small it is.

What acts at a cell is a *blend*: how many `STEPS`-ths of each style. There are few distinct ones, so they are
numbered, as label patterns are, and a norm's scale and shift is a table with one row per blend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.device import upload
from engine.modulation import with_room
from engine.network import Norm
from engine.patterns import Interner, Keys, Numbers
from engine.rect import Rect
from models.spec import ModelSpec

MAX_REGIONS = 15  # beside the painter's own style
STEPS = 64  # parts that a blend is made of
LARGEST_BLENDS = 32 << 20  # bytes of one canvas's rows at one resolution
_COARSER = 4  # times, where the rows would take more
_LONGEST_REACH = 32  # pixels
_FINE = 4096  # parts that a pixel's blend is made of, before cells are averaged
_BITS = 7  # of a style's share in a key
_IN_A_KEY = 8  # styles
_NUMBER = 31  # bits of a key's number
_BAND = 1 << 17  # pixels that are worked on at a time

StylePlane = NDArray[np.uint8]
Parts = NDArray[np.int32]


def paints_styles_by_region(spec: ModelSpec) -> bool:
    """Whether a model can give regions styles of their own."""
    return spec.architecture in {"styled-spade", "oasis"} and spec.style_dim > 0


def reach_of(width: int, height: int) -> int:
    """How many pixels beyond a border a style still acts: a thirty-second of the shorter side.

    At the 256 pixels that the built-in model was trained at, a straight border is exactly what it was trained
    with (`models.generator.feathered`).
    """
    return min(min(width, height) // 32, _LONGEST_REACH)


def feathered(window: StylePlane, reach: int) -> tuple[Sequence[int], Parts]:
    """A piece of a style plane → how much of each style acts at every pixel.

    A pixel at distance d from the nearest one of style k takes ½ − (d − ½) / (2·reach + 1) of it, while that
    is positive; its own style has what the strongest of the others leaves. Then all are scaled to add up.

    Args:
        window: uint8 (h + 2·reach, w + 2·reach).

    Returns:
        the styles found, ascending, and int32 (styles, h, w): their parts of `_FINE`.
    """
    found = np.flatnonzero(np.bincount(window.ravel()))
    inner = slice(reach, window.shape[0] - reach), slice(reach, window.shape[1] - reach)
    distance = np.sqrt(np.arange((reach + 1) ** 2 + 1))
    ramp = np.rint(_FINE * (0.5 - (distance - 0.5) / (2 * reach + 1))).astype(np.int32)  # down to 0
    parts = np.stack([ramp[_squared_distance(window == style, reach)] for style in found])
    own = window[inner] == found[:, None, None]
    parts[own] = 0
    strongest = parts.max(axis=0)
    parts += own * (_FINE - strongest)
    several = len(found) > 2  # two add up as they are
    return [int(style) for style in found], apportioned(parts, _FINE) if several else parts


def _squared_distance(mask: NDArray[np.bool_], reach: int) -> NDArray[np.int16]:
    """The squared distance to the nearest true pixel, at most (reach + 1)².

    Exact, by rows and then by columns (Felzenszwalb & Huttenlocher 2012, section 2, for short distances).

    Args:
        mask: bool (h + 2·reach, w + 2·reach).

    Returns:
        int16 (h, w).
    """
    height, width = (side - 2 * reach for side in mask.shape)
    places = np.arange(mask.shape[1], dtype=np.int32)
    far = 2 * mask.shape[1]
    before = np.maximum.accumulate(np.where(mask, places, -far), axis=1)
    after = np.minimum.accumulate(np.where(mask, places, far)[:, ::-1], axis=1)[:, ::-1]
    across = np.minimum(places - before, after - places)[:, reach : reach + width]
    squared = (across.clip(max=reach + 1) ** 2).astype(np.int16)
    nearest = squared[reach : reach + height].copy()
    for down in range(1, reach + 1):
        for top in (reach - down, reach + down):
            np.minimum(nearest, squared[top : top + height] + np.int16(down**2), out=nearest)
    return nearest


def apportioned(parts: Parts, steps: int) -> Parts:
    """The same proportions in whole parts of `steps`, which they add up to: each is less than one off.

    Args:
        parts: int32 (styles, …), non-negative, not all zero at any place.
    """
    # With all styles in a row, the places where they end are rounded; exactly, for the numbers are whole, and
    # so small that float64 confuses no quotient with a half.
    total = parts.sum(axis=0, dtype=np.float64)
    found = np.empty_like(parts)
    end, rounded = np.zeros_like(total), np.zeros_like(parts[0])
    for part, share in zip(parts, found, strict=True):
        end += part
        before, rounded = rounded, np.floor(steps * end / total + 0.5).astype(np.int32)
        np.subtract(rounded, before, out=share)
    return found


def _doubled_cells(parts: Parts) -> Parts:
    """What is in two by two cells: int32 (styles, h, w) → (styles, h/2, w/2)."""
    pairs = parts[:, ::2] + parts[:, 1::2]
    return pairs[:, :, ::2] + pairs[:, :, 1::2]


class BlendVocabulary:
    """The distinct blends met so far, numbered."""

    def __init__(self) -> None:
        self._halves, self._whole = Interner(), Interner()
        self._halves.numbers(np.zeros(1, np.int64))  # number 0: no style of this half

    @property
    def count(self) -> int:
        return self._whole.count

    @property
    def nbytes(self) -> int:
        return self._halves.nbytes + self._whole.nbytes

    def numbers(self, styles: Sequence[int], parts: Parts) -> Numbers:
        """Number blends: which styles, and their parts of `STEPS`, int32 (styles, h, w) → int32 (h, w)."""
        halves: Keys = np.zeros((2, *parts.shape[1:]), np.int64)
        for style, part in zip(styles, parts, strict=True):
            half, place = divmod(style, _IN_A_KEY)
            halves[half] |= part.astype(np.int64) << _BITS * place
        key = self._halves.numbers(halves[0]).astype(np.int64)
        if max(styles) >= _IN_A_KEY:
            key |= self._halves.numbers(halves[1]).astype(np.int64) << _NUMBER
        return self._whole.numbers(key)

    def shares(self, styles: int, first: int = 0) -> NDArray[np.float32]:
        """The blends from a number on: how much of each style, float32 (count − first, styles), 1 in all."""
        whole = self._whole.key(np.arange(first, self.count, dtype=np.int32))
        halves = self._halves.key(np.stack([whole & (1 << _NUMBER) - 1, whole >> _NUMBER]))
        parts = [
            halves[style // _IN_A_KEY] >> _BITS * (style % _IN_A_KEY) & (1 << _BITS) - 1
            for style in range(styles)
        ]
        return np.stack(parts, axis=1).astype(np.float32) / np.float32(STEPS)


class BlendLevel:
    """One resolution of a canvas: which blend acts at each cell.

    Args:
        size: (h, w). factor: pixels per cell. most: distinct blends that there may be.
    """

    def __init__(self, size: tuple[int, int], factor: int, most: int, device: torch.device) -> None:
        self.factor, self._most, self._device = factor, most, device
        self._numbers: Numbers = np.zeros(size, np.int32)
        self._index: Tensor | None = None
        self._vocabulary = BlendVocabulary()
        self._tables: dict[Norm, _Table] = {}

    @property
    def count(self) -> int:
        """How many blends are numbered."""
        return self._vocabulary.count

    @property
    def nbytes(self) -> int:
        tables = sum(held.rows.nbytes for held in self._tables.values())
        return self._numbers.nbytes + self._vocabulary.nbytes + tables

    @property
    def index(self) -> Tensor:
        """int32 (1, h, w), rows of `table`, on the device."""
        if self._index is None:
            self._index = upload(self._numbers, self._device).unsqueeze(0)
        return self._index

    def number(self, rect: Rect, styles: Sequence[int], parts: Parts, steps: int) -> bool:
        """Number the cells of a rectangle anew; False if there are more blends than may be.

        Args:
            rect: in pixels, whole cells. parts: int32 (styles, h, w), of each of its cells.
        """
        blends = apportioned(parts, steps) * (STEPS // steps)
        self._numbers[rect.sampled(self.factor).slices] = self._vocabulary.numbers(styles, blends)
        self._index = None
        return self.count <= self._most

    def table(self, norm: Norm, posts: Tensor) -> Tensor:
        """A norm's scale and shift under every blend.

        Args:
            posts: float32 (S, 2, C), under each style.

        Returns:
            float32 (R, 2, C), on the device. A pure blend's row is its style's, to the bit.
        """
        count, table = self.count, self._tables.get(norm)
        if table is None or table.posts is not posts:
            table = self._tables[norm] = _Table(posts, posts.new_empty(0, *posts.shape[1:]))
        if table.count < count:
            table.rows = with_room(table.rows, count)
            table.rows[table.count : count] = self._mixed(posts, table.count)
            table.count = count
        return table.rows[:count]

    def _mixed(self, posts: Tensor, first: int) -> Tensor:
        """The rows from a number on."""
        shares = torch.from_numpy(self._vocabulary.shares(posts.shape[0], first)).to(posts.device)
        rows = posts.new_zeros(shares.shape[0], *posts.shape[1:])
        for style in range(posts.shape[0]):  # one by one: every row's sum is formed in this order
            rows += shares[:, style, None, None] * posts[style]
        return rows


@dataclass(slots=True)
class _Table:
    """One norm's rows, of which the first `count` are there, and what they are mixed of."""

    posts: Tensor
    rows: Tensor
    count: int = 0


class Blends:
    """Which blend acts where on a canvas, at every resolution.

    levels: coarsest first, once there is a style plane.

    Args:
        size: (H, W) of the padded canvas. reach: see `reach_of`.
        factors: pixels per cell of each level, powers of two, coarsest first.
        row_bytes: what one blend's rows take, by level.
    """

    def __init__(
        self,
        size: tuple[int, int],
        reach: int,
        factors: Sequence[int],
        row_bytes: Sequence[int],
        device: torch.device,
    ) -> None:
        self._size, self.reach, self._device = size, reach, device
        self._factors, self._row_bytes = factors, row_bytes
        self.clear()

    @property
    def nbytes(self) -> int:
        return sum(level.nbytes for level in self.levels)

    def clear(self) -> None:
        """Forget everything."""
        self.levels: list[BlendLevel] = []
        self._steps = 0  # that blends are made in; 0 where none are numbered

    def refresh(self, piece: Callable[[Rect], StylePlane], rect: Rect) -> None:
        """Bring the numbers up to date.

        Args:
            piece: a rectangle of the style plane, which goes on beyond its edges.
            rect: in pixels, all that changes: what was repainted, grown by `reach`.
        """
        numbered, self._steps = self._steps, 0  # where this is stopped halfway, nothing of it counts
        if numbered == STEPS and self._number(piece, rect, STEPS):
            self._steps = STEPS
            return
        # Blends of former planes may have filled the vocabulary; or this one holds more than may be, and is
        # painted in coarser steps. Which it is depends on the plane alone.
        self.clear()
        steps = STEPS
        while not self._number_anew(piece, steps):
            steps //= _COARSER
        self._steps = steps

    def _number_anew(self, piece: Callable[[Rect], StylePlane], steps: int) -> bool:
        height, width = self._size
        self.levels = [
            BlendLevel((height // factor, width // factor), factor, LARGEST_BLENDS // row, self._device)
            for factor, row in zip(self._factors, self._row_bytes, strict=True)
        ]
        return self._number(piece, Rect(0, 0, *self._size), steps)

    def _number(self, piece: Callable[[Rect], StylePlane], rect: Rect, steps: int) -> bool:
        """Number a rectangle; False if there are too many blends. (Whole styles always fit.)"""
        for band in self._bands(rect.aligned(self._factors[0])):
            around = Rect(
                band.top - self.reach,
                band.left - self.reach,
                band.bottom + self.reach,
                band.right + self.reach,
            )
            styles, parts = feathered(piece(around), self.reach)
            factor = 1
            for level in reversed(self.levels):
                while factor < level.factor:
                    parts, factor = _doubled_cells(parts), 2 * factor
                if not level.number(band, styles, parts, steps) and steps > 1:
                    return False
        return True

    def _bands(self, rect: Rect) -> Iterator[Rect]:
        """A rectangle in strips of whole cells, for what is worked on takes far more memory than a plane."""
        cell = self._factors[0]
        rows = max(cell, _BAND // max(1, rect.right - rect.left) // cell * cell)
        for top in range(rect.top, rect.bottom, rows):
            yield Rect(top, rect.left, min(rect.bottom, top + rows), rect.right)
