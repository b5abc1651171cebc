"""Colours of a painting brought to those of the picture around it.

A model paints the surroundings of a region too, where nothing is to change. How those differ from the
picture's own says how its colours differ in this light, and that is taken off inside the region.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from server.editing.plan import Region

Pixels = npt.NDArray[np.float32]

_LEAST_CONTEXT: Final = 64  # pixels; fewer say nothing about a picture's colours
_GAINS: Final = (0.7, 1.4)
"""How far contrast may be changed: surroundings of one flat colour must not make noise of a texture."""
_LARGEST_SHIFT: Final = 0.25
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SMOOTH: Final = 2.0  # pixels; a texture's own colours are taken together
_SPARE: Final = 2.0
"""A correction holds whole for what has half the surroundings' hue, or is half as far from black or white."""
_COLOURLESS: Final = 0.02  # chroma below which surroundings say nothing about colours


def match_colours(painted: Pixels, reference: Pixels, source: Pixels, region: Region, reach: float) -> Pixels:
    """The painting with the picture's colours, by the surroundings that both show.

    Means and contrast first, after Reinhard et al. 2001, over everything outside the region; then, near the
    border, the slow difference that is left there (`reach` pixels wide).

    Args:
        painted, reference, source: (H, W, C), float32 in 0…1, the same scene but for the region. The
            reference is the painting itself or, if that is in another light, the same in the picture's own:
            what differs there is the model's doing, and the rest was asked for.
    """
    if np.count_nonzero(~region) < _LEAST_CONTEXT:
        return painted
    gain, turned, moved = _gain_and_shift(reference[~region], source[~region])
    shift = moved + _field(reference * gain + turned + moved, source, region, reach)
    holds, hue = _how_far_it_holds(painted, reference, region, reach)
    level = _luma(shift)[..., None] * holds + _luma(turned)
    tinted = shift + turned
    matched = painted * gain + level + (tinted - _luma(tinted)[..., None]) * hue
    return matched.astype(np.float32, copy=False)


def _how_far_it_holds(
    painted: Pixels, reference: Pixels, region: Region, reach: float
) -> tuple[Pixels, Pixels]:
    """How much of a correction, in brightness and in hue, the painting's own colours take, 0…1, (H, W, 1).

    Grass that a model paints too dark and too yellow says little about the snow that is laid on it. So black
    and white stay what they are, as under a tone curve through what the surroundings show, and what has next
    to no hue gets none.
    """
    theirs, ours = _blurred(reference, _SMOOTH), _blurred(painted, _SMOOTH)
    around = partial(_around, region=region, reach=reach)
    bright, theirs_bright = _luma(ours), np.clip(around(_luma(theirs)), 0.05, 0.95)
    curve = np.minimum(bright / theirs_bright, (1 - bright) / (1 - theirs_bright))
    share = _chroma(ours) / np.maximum(around(_chroma(theirs)), np.float32(_COLOURLESS))
    holds, hue = np.clip(_SPARE * curve, 0, 1), np.minimum(_SPARE * share, 1) ** 2
    return holds[..., None].astype(np.float32), hue[..., None].astype(np.float32)


def _around(plane: Pixels, region: Region, reach: float) -> Pixels:
    """The mean of an (H, W) plane over the surroundings nearby, over all of them where none are."""
    outside = (~region).astype(np.float32)
    far = np.float32(0.1)
    nearby = _blurred(plane * outside, reach) + far * plane[~region].mean()
    return np.asarray(nearby / (_blurred(outside, reach) + far), np.float32)


def _luma(picture: Pixels) -> Pixels:
    """Of one channel or three, without their axis."""
    return picture @ _LUMA if picture.shape[-1] == 3 else picture[..., 0]


def _chroma(picture: Pixels) -> Pixels:
    """How far from grey each pixel is, (H, W)."""
    return np.asarray(picture.max(2) - picture.min(2), np.float32)


def _gain_and_shift(theirs: Pixels, ours: Pixels) -> tuple[np.float32, Pixels, Pixels]:
    """Of (N, C), so that `theirs · gain + turned + moved` has our mean in each channel and about our
    deviation; `turned` keeps the mean where it is. All channels have one gain: several would turn the colours
    that the surroundings lack into others."""
    middle = theirs.mean(0)
    gain = np.clip((ours.std(0).mean() + 0.02) / (theirs.std(0).mean() + 0.02), *_GAINS)
    moved = np.clip(ours.mean(0) - middle, -_LARGEST_SHIFT, _LARGEST_SHIFT)
    return np.float32(gain), ((1 - gain) * middle).astype(np.float32), moved.astype(np.float32)


def _field(matched: Pixels, source: Pixels, region: Region, reach: float) -> Pixels:
    """The surroundings' mean difference within some `reach`, fading with the distance from them."""
    outside = (~region).astype(np.float32)
    weight = _blurred(outside, reach)
    difference = _blurred((source - matched) * outside[..., None], reach)
    # Deep inside no surroundings are near: the weight goes to 0 there, and the correction with it.
    field = difference / (weight + np.float32(0.1))[..., None]
    return np.clip(field, -_LARGEST_SHIFT, _LARGEST_SHIFT).astype(np.float32)


def _blurred(picture: Pixels, sigma: float) -> Pixels:
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.float32).reshape(picture.shape)
