"""What is done to a picture and its label map, together, before a network sees them.

The settings are one value, part of a recipe's [data] section; the functions are pure in it and in the
generator that they draw from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as V

Differentiable = Literal["colour", "translation", "cutout"]


class Augmentation(BaseModel):
    """Settings; the defaults flip and leave everything else as it is.

    Shares are probabilities, 0…1. Light is what the style encoder learns, so colours stay by default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    flip: float = Field(0.5, ge=0, le=1)
    """Share of mirrored pictures."""
    short_side: int | None = Field(None, ge=8)
    """Pictures are cut as if their shorter side had so many pixels; None: as they are."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Pictures are enlarged by a random factor from this range before they are cut; below 1 shows more."""
    rotation: float = Field(0.0, ge=0, le=45)
    """Largest turn to either side, in degrees."""
    brightness: float = Field(0.0, ge=0, lt=1)
    """The photo's brightness is multiplied by 1 ± this; so with contrast and saturation."""
    contrast: float = Field(0.0, ge=0, lt=1)
    saturation: float = Field(0.0, ge=0, lt=1)
    hue: float = Field(0.0, ge=0, le=0.5)
    """Hues are turned by up to this share of the circle."""
    crude: float = Field(0.0, ge=0, le=1)
    """Share of given maps that are simplified as people paint (training/crude.py)."""
    drop: float = Field(0.0, ge=0, le=1)
    """Share of given maps in which one class becomes "not labelled"."""
    balance: float = Field(0.0, ge=0, le=1)
    """Share of crops that are chosen by class, every class as often as any other."""
    differentiable: tuple[Differentiable, ...] = ()
    """What real and generated pictures go through before the discriminator (training/diffaugment.py)."""

    @model_validator(mode="after")
    def _scale_rises(self) -> Augmentation:
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(f"scale is {low} to {high}: it must be positive and rise")
        return self


AS_IS = Augmentation()


@dataclass(frozen=True)
class Window:
    """A square of a picture: `outer` pixels wide from (top, left), turned by `angle` degrees about its
    middle, of which the middle `inner` pixels are shown at the crop's size."""

    top: int
    left: int
    outer: int
    inner: int
    angle: float


def random_window(
    shape: tuple[int, int],
    crop: int,
    settings: Augmentation,
    rng: np.random.Generator,
    holding: tuple[int, int] | None = None,
) -> Window:
    """A square at random, all of it inside the picture: what does not fit is shown larger, so that nothing
    outside is ever seen.

    Args:
        shape: (H, W) of the picture.
        crop: the side that the window will be shown at.
        holding: (y, x) of a pixel that the window has to hold; the middle of it where it is turned.
    """
    enlarged = settings.short_side / min(shape) if settings.short_side else 1.0
    if settings.scale != (1.0, 1.0):
        enlarged *= rng.uniform(*settings.scale)
    angle = rng.uniform(-settings.rotation, settings.rotation) if settings.rotation else 0.0
    turned = abs(math.cos(math.radians(angle))) + abs(math.sin(math.radians(angle)))
    margin = 2 if angle else 0  # so that no border pixel is mixed with what is outside
    outer = min(math.ceil(crop / enlarged * turned) + margin, *shape)
    inner = max(min(round(crop / enlarged), int((outer - margin) / turned)), 1)
    spread = (outer - inner) // 2
    top, left = (
        _start(rng, length, outer, place, spread)
        for length, place in zip(shape, holding or (None, None), strict=True)
    )
    return Window(top, left, outer, inner, angle)


def _start(rng: np.random.Generator, length: int, outer: int, place: int | None, spread: int) -> int:
    low, high = 0, length - outer
    if place is not None:
        low, high = max(low, min(place + spread - outer + 1, high)), min(high, max(place - spread, low))
    return int(rng.integers(low, max(low, high) + 1))


def shown(image: np.ndarray, labels: np.ndarray, window: Window, crop: int) -> tuple[Tensor, Tensor]:
    """The window of a picture and of its map.

    Args:
        image, labels: uint8 (H, W, 3) and (H, W).

    Returns:
        uint8 (3, crop, crop), bilinear; uint8 (crop, crop), nearest.
    """
    place = np.s_[window.top : window.top + window.outer, window.left : window.left + window.outer]
    photo = tv_tensors.Image(torch.from_numpy(image[place].copy()).permute(2, 0, 1))
    mask = tv_tensors.Mask(torch.from_numpy(labels[place].copy()))
    if window.angle:
        photo, mask = (V.rotate(value, window.angle, V.InterpolationMode.BILINEAR) for value in (photo, mask))
    if window.inner != window.outer:
        photo, mask = (V.center_crop(value, [window.inner, window.inner]) for value in (photo, mask))
    if window.inner != crop:
        photo, mask = (V.resize(value, [crop, crop], antialias=True) for value in (photo, mask))
    return photo.as_subclass(Tensor), mask.as_subclass(Tensor)


@dataclass(frozen=True)
class Colours:
    """One picture's change of colours, the same for every view of it."""

    brightness: float
    contrast: float
    saturation: float
    hue: float

    def __call__(self, image: Tensor) -> Tensor:
        """uint8 (3, H, W) → uint8 (3, H, W)."""
        image = V.adjust_brightness(image, self.brightness)
        image = V.adjust_contrast(image, self.contrast)
        return V.adjust_hue(V.adjust_saturation(image, self.saturation), self.hue)


def random_colours(settings: Augmentation, rng: np.random.Generator) -> Colours | None:
    """Factors for one picture; None where the settings change no colours."""
    ranges = (settings.brightness, settings.contrast, settings.saturation)
    if not any((*ranges, settings.hue)):
        return None
    return Colours(*(rng.uniform(1 - r, 1 + r) for r in ranges), hue=rng.uniform(-settings.hue, settings.hue))
