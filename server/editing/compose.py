"""A painted crop put back into the picture it belongs to, at the picture's size, depth and kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from server.editing.blend import Blend, Patch, blended
from server.editing.colour import Pixels, match_colours
from server.editing.plan import Box, Plan, Region
from server.editing.regions import Alpha, distances, fitting_feather, ramp

Picture = npt.NDArray[np.uint8 | np.uint16]
"""Whole numbers, (H, W, C): 1 or 3 colour channels, and perhaps alpha as the last one."""

DEFAULT_BLEND: Final[Blend] = "pyramid"
DEFAULT_FEATHER: Final = 8.0
"""Painted pixels over which the edit fades in."""
_REACH: Final = 16.0  # painted pixels to which surroundings count as near the border
_STRIP: Final = 256  # rows that are mixed at once
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's greyscale


@dataclass(frozen=True, slots=True)
class Mixing:
    """How an edit is put in. `feather` is in the picture's own pixels; None: as much as suits the size."""

    blend: Blend = DEFAULT_BLEND
    feather: float | None = None
    match: bool = True


def colours_of(picture: Picture) -> int:
    """How many of the picture's channels are colours."""
    return 3 if picture.shape[2] >= 3 else 1


def reduced(picture: Picture, width: int, height: int) -> Pixels:
    """The colours at another size, float32 (height, width, 1 or 3) in 0…1."""
    colours = picture[..., : colours_of(picture)]
    resized = np.asarray(
        cv2.resize(colours, (width, height), interpolation=_filter(picture.shape, width, height))
    )
    return resized.reshape(height, width, -1).astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)


def _filter(shape: tuple[int, ...], width: int, height: int) -> int:
    return cv2.INTER_AREA if width * height < shape[0] * shape[1] else cv2.INTER_CUBIC


def put_in(
    source: Picture,
    painted: npt.NDArray[np.uint8],
    region: Region,
    plan: Plan,
    mixing: Mixing,
    reference: npt.NDArray[np.uint8] | None = None,
) -> tuple[Picture, float]:
    """A new picture, the source with the painting of `plan.box` in the region, and the feather that was used.
    Outside the region, and in alpha, it equals the source.

    Args:
        source: (H, W, C); region: bool (H, W).
        painted: RGB, uint8 (plan.height, plan.width, 3).
        reference: the same in the picture's own style, if the painting is in another one; colours are
            matched by it.
    """
    crop, inside = source[plan.box.rows, plan.box.columns], region[plan.box.rows, plan.box.columns]
    distance = distances(inside)
    feather = fitting_feather(distance, _feather(mixing, plan))
    patch = _patch(
        crop, painted, painted if reference is None else reference, inside, feather * plan.scale, mixing
    )
    result = source.copy()
    mix(result, patch, ramp(distance, feather), plan.box)
    return result, feather


def _feather(mixing: Mixing, plan: Plan) -> float:
    return DEFAULT_FEATHER / plan.scale if mixing.feather is None else mixing.feather


def _patch(
    crop: Picture,
    painted: npt.NDArray[np.uint8],
    reference: npt.NDArray[np.uint8],
    inside: Region,
    feather: float,
    mixing: Mixing,
) -> Patch:
    """All that needs an eye for the whole crop, at the painting's size."""
    height, width = painted.shape[:2]
    ours = reduced(crop, width, height)
    theirs = _colours(painted, ours.shape[2])
    region = (
        np.asarray(cv2.resize(inside.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)) > 0
    )
    if mixing.match:
        theirs = match_colours(theirs, _colours(reference, ours.shape[2]), ours, region, _REACH)
    return blended(mixing.blend, theirs, ours, distances(region), feather)


def _colours(painted: npt.NDArray[np.uint8], channels: int) -> Pixels:
    """A painting as float32 (h, w, channels) in 0…1; grey by its luma."""
    colours = painted.astype(np.float32) / np.float32(255)
    return colours if channels == 3 else (colours @ _LUMA)[..., None]


def restored(
    picture: Picture, original: Picture, region: Region, feather: float | None
) -> tuple[Picture, float]:
    """A new picture, with the original's colours in the region, and the feather that was used.

    Both have the same depth, size and number of colours. Where the feather is over, the result equals the
    original.
    """
    distance = distances(region)
    width = fitting_feather(distance, DEFAULT_FEATHER if feather is None else feather)
    out = picture.copy()
    _in_strips(out, original, ramp(distance, width))
    return out, width


def _in_strips(out: Picture, original: Picture, alpha: Alpha) -> None:
    colours = colours_of(out)
    for rows in _strips(len(out)):
        theirs = original[rows, :, :colours].astype(np.float32)
        _write(out[rows], alpha[rows], theirs, None)


def mix(picture: Picture, patch: Patch, alpha: Alpha, box: Box) -> None:
    """Put the patch into the picture's box, in place, strip by strip; where alpha is 0 nothing is written."""
    largest = np.float32(np.iinfo(picture.dtype).max)
    crop = picture[box.rows, box.columns]
    base = _enlarger(patch.base, box)
    addend = _enlarger(patch.addend, box) if patch.addend is not None else None
    for rows in _strips(box.height):
        if alpha[rows].any():
            added = addend(rows) * largest if addend is not None else None
            _write(crop[rows], alpha[rows], base(rows) * largest, added)


def _strips(height: int) -> list[slice]:
    return [slice(start, min(start + _STRIP, height)) for start in range(0, height, _STRIP)]


def _enlarger(picture: Pixels, box: Box) -> Callable[[slice], Pixels]:
    """Gives rows of the picture at the box's size. Enlarging is done strip by strip, so that a large picture
    is never held in floats."""
    height, width, channels = picture.shape
    if box.height < height or box.width < width:
        small = cv2.resize(picture, (box.width, box.height), interpolation=cv2.INTER_AREA)
        picture, height, width = _channels(small, channels), box.height, box.width
    if (height, width) == (box.height, box.width):
        return lambda rows: picture[rows]
    x, y = width / box.width, height / box.height

    def strip(rows: slice) -> Pixels:
        # Pixel centres: the middle of the box's pixel i lies at (i + ½)·scale − ½ of the painting.
        where = np.array([[x, 0, x / 2 - 0.5], [0, y, (rows.start + 0.5) * y - 0.5]], np.float64)
        size = (box.width, rows.stop - rows.start)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return _channels(
            cv2.warpAffine(picture, where, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), channels
        )

    return strip


def _channels(picture: npt.NDArray[Any], channels: int) -> Pixels:
    """OpenCV drops the axis of a single channel."""
    return np.asarray(picture, np.float32).reshape(*picture.shape[:2], channels)


def _write(out: Picture, alpha: Alpha, base: Pixels, addend: Pixels | None) -> None:
    """out + alpha · (base − out) + addend, rounded, only where alpha is above 0; alpha channels stay."""
    view = out[..., : base.shape[2]]
    new = view.astype(np.float32)
    new += alpha[..., None] * (base - new)
    if addend is not None:
        new += addend
    np.clip(np.rint(new, out=new), 0, np.iinfo(out.dtype).max, out=new)
    np.copyto(view, new.astype(out.dtype), where=(alpha > 0)[..., None])
