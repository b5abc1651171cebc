"""How much a seam shows: gradients across a region's border against those inside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from server.editing.compose import Picture, reduced
from server.editing.plan import Region
from server.editing.regions import distances

_GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True)
class Seam:
    """Medians of the gradient's magnitude, in grey levels of 255 a pixel.

    border: between the last pixels outside and the first ones inside, across the border. band: in the whole
    feather, where it fades in. interior: further inside. surroundings: as wide a band outside.
    """

    border: float
    band: float
    interior: float
    surroundings: float

    @property
    def ratio(self) -> float:
        """The larger of border and band, of the interior's."""
        return max(self.border, self.band) / max(self.interior, 0.25)


def measure(picture: Picture, region: Region, feather: float) -> Seam:
    """Measure an edited picture, (H, W, C), whose region faded in over `feather` pixels."""
    grey = reduced(picture, picture.shape[1], picture.shape[0]) * 255
    plane = grey @ _GREY if grey.shape[2] == 3 else grey[..., 0]
    size = _gradient(plane)
    inside, outside = distances(region), distances(~region)
    middle = inside > feather
    return Seam(
        border=_median(_steps(plane, region)),
        band=_median(size[(inside > 0) & ~middle]),
        interior=_median(size[middle]),
        surroundings=_median(size[(outside > 1) & (outside <= feather + 2)]),
    )


def _gradient(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    x = cv2.Sobel(plane, cv2.CV_32F, 1, 0, scale=1 / 8)
    y = cv2.Sobel(plane, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.hypot(x, y)


def _steps(plane: npt.NDArray[np.float32], region: Region) -> npt.NDArray[np.float32]:
    """Sobel's gradient across the border, at the pixels on both sides of it."""
    size = _gradient(plane)
    kernel = np.ones((3, 3), np.uint8)
    mask = region.astype(np.uint8)
    rim = cv2.dilate(mask, kernel) != cv2.erode(mask, kernel)
    return size[rim]


def _median(values: npt.NDArray[np.float32]) -> float:
    return float(np.median(values)) if values.size else 0.0
