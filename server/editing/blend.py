"""Three ways to put a painting into a picture without a seam, at the size at which it was painted.

Each gives a `Patch`: in the region the picture becomes `source + alpha · (base − source) + addend`, where
`alpha` is the feather. So they differ in `base` and `addend` alone, and none can touch what is outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from server.editing.colour import Pixels
from server.editing.plan import Region
from server.editing.regions import ramp, widths_near

Blend = Literal["feather", "pyramid", "poisson"]
BLENDS: Final[tuple[Blend, ...]] = get_args(Blend)

_BORDER: Final = 8  # pixels around a picture before Poisson, whose solver wants the region inside
_ERODED: Final = 3  # pixels that OpenCV's solver leaves out along a mask's border
_LEVELS: Final = 4
_BREADTH: Final = 2
"""The coarse bands' feather, in widths of the mask's. Wider ones measure better and look worse."""


@dataclass(frozen=True, slots=True)
class Patch:
    """`base` is mixed in by the feather, `addend` is added; both (H, W, C), float32."""

    base: Pixels
    addend: Pixels | None = None


def blended(
    how: Blend, painted: Pixels, source: Pixels, distance: npt.NDArray[np.float32], feather: float
) -> Patch:
    """The painting made fit for its place in the source.

    Args:
        painted, source: (H, W, C), float32 in 0…1.
        distance: of each pixel of the region from the outside, 0 outside (regions.distances).
        feather: the feather's width in these pixels.
    """
    match how:
        case "feather":
            return Patch(painted)
        case "pyramid":
            return _pyramid(painted, source, distance, feather)
        case "poisson":
            return Patch(painted + _membrane(painted, source, distance > 0))


def _pyramid(painted: Pixels, source: Pixels, distance: npt.NDArray[np.float32], feather: float) -> Patch:
    """The finest frequencies over the feather, all coarser ones over one that is wider (after Burt & Adelson
    1983, whose bands each take twice as much as the next finer one: what is new would look like a ghost)."""
    finest, coarser = (ramp(distance, widths_near(distance, times * feather)) for times in (1, _BREADTH))
    addend = np.zeros_like(source)
    for level, band in enumerate(_bands(painted - source)):
        addend += (coarser if level else finest)[..., None] * band
    return Patch(source, addend)


def _bands(picture: Pixels) -> list[Pixels]:
    """Pictures of the same size that add up to this one, the finest frequencies first."""
    bands: list[Pixels] = []
    rest, sizes = picture, list[tuple[int, int]]()
    while len(sizes) < _LEVELS and min(rest.shape[:2]) >= 4:
        coarser = cv2.pyrDown(rest)
        sizes.append((rest.shape[1], rest.shape[0]))
        bands.append(
            _risen(_as(rest, picture) - _as(cv2.pyrUp(coarser, dstsize=sizes[-1]), picture), sizes[:-1])
        )
        rest = coarser
    return [*bands, _risen(_as(rest, picture), sizes)]


def _risen(band: Pixels, sizes: list[tuple[int, int]]) -> Pixels:
    """A band of the pyramid at the picture's size."""
    risen = band
    for size in reversed(sizes):
        risen = _as(cv2.pyrUp(risen, dstsize=size), band)
    return risen


def _as(picture: npt.NDArray[Any], like: Pixels) -> Pixels:
    """OpenCV drops the axis of a single channel."""
    return np.asarray(picture, np.float32).reshape(*picture.shape[:2], like.shape[2])


def _membrane(painted: Pixels, source: Pixels, region: Region) -> Pixels:
    """What Poisson blending (Pérez et al. 2003) adds to the painting: a smooth field that takes the source's
    colours at the region's border.

    OpenCV solves it in 8 bits. The field alone is taken from its answer, so that the painting keeps its own
    precision; away from the border it is smooth, and its rounding is smoothed away.
    """
    theirs, ours = _rgb8(painted), _rgb8(source)
    frame = (_BORDER, _BORDER, _BORDER, _BORDER)
    mask = cv2.copyMakeBorder(region.view(np.uint8) * 255, *frame, cv2.BORDER_REPLICATE)
    mask = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=_ERODED)
    mask[[0, 1, -2, -1]], mask[:, [0, 1, -2, -1]] = 0, 0
    theirs = cv2.copyMakeBorder(theirs, *frame, cv2.BORDER_REPLICATE)
    # The picture's own edge is no border of the region: nothing is asked of the painting there.
    framed = theirs.copy()
    framed[_BORDER:-_BORDER, _BORDER:-_BORDER] = ours
    x, y, width, height = cv2.boundingRect(mask)
    cloned = cv2.seamlessClone(theirs, framed, mask, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)
    field = (cloned.astype(np.float32) - theirs.astype(np.float32)) / 255
    smooth = np.asarray(cv2.GaussianBlur(field, (0, 0), 1.5), np.float32)
    field = smooth[_BORDER:-_BORDER, _BORDER:-_BORDER]
    return field if painted.shape[2] == 3 else field.mean(2, keepdims=True)


def _rgb8(picture: Pixels) -> npt.NDArray[np.uint8]:
    rounded = (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded if picture.shape[2] == 3 else np.repeat(rounded, 3, axis=2)
