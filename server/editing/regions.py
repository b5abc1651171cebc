"""The mask of an edit: which pixels may change, and how much of the new picture each of them takes."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from server.editing.plan import Region

Alpha = npt.NDArray[np.float32]

_SHARE: Final = 0.5
"""The feather takes at most this part of the way from a region's border to its middle."""


def distances(region: Region) -> npt.NDArray[np.float32]:
    """How far each pixel of the region lies from what is outside, in pixels, from 1 next to it; 0 outside.
    The picture's own edge is no border."""
    if region.all():
        return np.full(region.shape, np.float32(region.size), np.float32)
    return cv2.distanceTransform(region.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(
        np.float32, copy=False
    )


def ramp(distance: npt.NDArray[np.float32], width: float | npt.NDArray[np.float32]) -> Alpha:
    """0 outside, 1 from `width` pixels inside on, and between them a smooth step; width 0 is a hard edge. One
    width for all, or one for each pixel."""
    t = np.minimum(distance / np.float32(1 + width), np.float32(1))
    return t * t * (3 - 2 * t)


def widths_near(distance: npt.NDArray[np.float32], wanted: float) -> npt.NDArray[np.float32]:
    """The feather around each pixel: as wide as wanted, and narrower where the region is slim, so that a thin
    stroke shows whole however broad another part of the region is."""
    side = 2 * math.ceil(wanted) + 1
    deepest = cv2.dilate(distance, np.ones((side, side), np.uint8))
    # From slim to broad without a step.
    return cv2.blur(np.minimum(np.float32(wanted), np.float32(_SHARE) * deepest), (side, side)).astype(
        np.float32, copy=False
    )


def fitting_feather(distance: npt.NDArray[np.float32], wanted: float) -> float:
    """The feather in pixels, narrower for a region that is too slim to show anything whole otherwise."""
    return float(min(wanted, _SHARE * float(distance.max(initial=0))))
