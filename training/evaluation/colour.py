"""Colours and how different they look: sRGB → CIELAB, and CIEDE2000."""

from __future__ import annotations

import numpy as np

# IEC 61966-2-1: linear sRGB → CIE XYZ, and the white that the matrix itself makes (D65).
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _XYZ.sum(1)
_LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601
_25_TO_7 = 25.0**7


def luma(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) → Rec. 601 luma, float64 (H, W) in 0…1."""
    return picture @ _LUMA / 255


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (…, 3) in 0…255 → CIELAB under D65, float64 (…, 3)."""
    encoded = np.asarray(rgb, np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    x = linear @ _XYZ.T / _WHITE
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1
    )


def mean_colour(picture: np.ndarray) -> np.ndarray:
    """The mean of a picture's sRGB values, uint8 (H, W, 3), as CIELAB: float64 (3,)."""
    return to_lab(picture.mean((0, 1)))


def ciede2000(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The CIEDE2000 difference of CIELAB colours (…, 3), all weights 1: float64 (…).

    Sharma, Wu & Dalal 2005, "The CIEDE2000 Color-Difference Formula", eq. 2 to 22.
    """
    (l1, a1, b1), (l2, a2, b2) = (
        np.moveaxis(np.asarray(colour, np.float64), -1, 0) for colour in (one, other)
    )
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + _25_TO_7)))  # eq. 4
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, (1 + g) * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    grey = c1 * c2 == 0  # a hue that does not exist
    turn = np.where(grey, 0, (h2 - h1 + 180) % 360 - 180)  # eq. 10; ±180 differ in no square
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    c = (c1 + c2) / 2
    h = np.where(grey, h1 + h2, _mean_hue(h1, h2))  # eq. 14
    s_l, s_c, s_h = _weights((l1 + l2) / 2, c, h)
    dl, dc, dh = dl / s_l, dc / s_c, dh / s_h
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + _rotation(c, h) * dc * dh, 0))  # eq. 22


def _mean_hue(h1: np.ndarray, h2: np.ndarray) -> np.ndarray:
    total = h1 + h2
    across = np.where(total < 360, total + 360, total - 360)
    return np.where(np.abs(h1 - h2) <= 180, total, across) / 2


def _weights(
    lightness: np.ndarray, c: np.ndarray, h: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S_L, S_C and S_H (eq. 15 and 18 to 20)."""
    t = (
        1
        - 0.17 * np.cos(np.radians(h - 30))
        + 0.24 * np.cos(np.radians(2 * h))
        + 0.32 * np.cos(np.radians(3 * h + 6))
        - 0.20 * np.cos(np.radians(4 * h - 63))
    )
    away = (lightness - 50) ** 2
    return 1 + 0.015 * away / np.sqrt(20 + away), 1 + 0.045 * c, 1 + 0.015 * c * t


def _rotation(c: np.ndarray, h: np.ndarray) -> np.ndarray:
    """R_T, for blues (eq. 16, 17 and 21)."""
    theta = 30 * np.exp(-(((h - 275) / 25) ** 2))
    return -2 * np.sqrt(c**7 / (c**7 + _25_TO_7)) * np.sin(np.radians(2 * theta))
