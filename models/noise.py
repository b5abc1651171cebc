"""A seeded noise field that belongs to absolute positions, so that a picture keeps its texture whatever is
repainted.

Every value is a hash of (seed, level, channel, y, x): no generator state, the same on every device and in
every tile.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_BYTE_SUM_STD = 147.8  # standard deviation of the sum of four uniform bytes: sqrt(4 * (256² - 1) / 12)


def _mix(x: Tensor) -> Tensor:
    """An avalanche of 32 bits held in int64 (two multiply-xorshift rounds)."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _MASK
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def hash_normal(index: Tensor, seed: int) -> Tensor:
    """Nearly normal values (mean 0, variance 1, within ±3.45) for integer indices.

    Args:
        index: int64, any shape, values 0 … 2³²−1.
        seed: 0 … 2³²−1.

    Returns:
        float32 of the same shape: the standardised sum of the hash's four bytes (Irwin-Hall of order four).
    """
    bits = _mix(
        _mix(index & _MASK) ^ _mix(torch.tensor(seed & _MASK, dtype=torch.int64, device=index.device))
    )
    total = (bits & 255) + ((bits >> 8) & 255) + ((bits >> 16) & 255) + (bits >> 24)
    return (total.to(torch.float32) - 510.0) / _BYTE_SUM_STD


def noise_field(
    seed: int, level: int, channels: int, height: int, width: int, device: torch.device | str = "cpu"
) -> Tensor:
    """The field at one resolution.

    Args:
        seed: 0 … 2³²−1.
        level: which resolution of the trunk (0 = start grid, < 16); levels are independent.
        channels: how many independent fields (< 16).
        height, width: size of that resolution's grid, at most 65,536 each.

    Returns:
        float32 (1, channels, height, width).
    """
    y = torch.arange(height, device=device).view(1, -1, 1)
    x = torch.arange(width, device=device).view(1, 1, -1)
    plane = torch.arange(channels, device=device).view(-1, 1, 1) + 16 * level
    return hash_normal(_mix(_mix(plane * 0x9E3779B1 & _MASK) ^ (y << 16 | x)), seed).unsqueeze(0)


def style_from_seed(seed: int, size: int) -> Tensor:
    """A style code drawn from the standard normal prior: float32 (size,), the same for one seed
    everywhere."""
    return hash_normal(torch.arange(size) + (1 << 20), seed)
