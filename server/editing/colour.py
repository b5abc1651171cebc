"""Colours of a painting brought to those of the picture around it.

A model paints the surroundings of a region too, where nothing is to change. How those differ from the
picture's own says how its colours differ in this light, and that is taken off inside the region.
"""

from __future__ import annotations

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
    gain, shift = _gain_and_shift(reference[~region], source[~region])
    field = _field(reference * gain + shift, source, region, reach)
    return painted * gain + shift + field


def _gain_and_shift(theirs: Pixels, ours: Pixels) -> tuple[np.float32, Pixels]:
    """Of (N, C), so that `theirs · gain + shift` has our mean in each channel and about our deviation. All
    channels have one gain: several would turn the colours that the surroundings lack into others."""
    middle = theirs.mean(0)
    gain = np.clip((ours.std(0).mean() + 0.02) / (theirs.std(0).mean() + 0.02), *_GAINS)
    moved = np.clip(ours.mean(0) - middle, -_LARGEST_SHIFT, _LARGEST_SHIFT)
    return np.float32(gain), (moved + middle - gain * middle).astype(np.float32)


def _field(matched: Pixels, source: Pixels, region: Region, reach: float) -> Pixels:
    """The surroundings' mean difference within some `reach`, fading with the distance from them."""
    outside = (~region).astype(np.float32)
    weight = _blurred(outside, reach)
    difference = _blurred((source - matched) * outside[..., None], reach).reshape(matched.shape)
    # Deep inside no surroundings are near: the weight goes to 0 there, and the correction with it.
    field = difference / (weight + np.float32(0.1))[..., None]
    return np.clip(field, -_LARGEST_SHIFT, _LARGEST_SHIFT).astype(np.float32)


def _blurred(picture: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.float32)
