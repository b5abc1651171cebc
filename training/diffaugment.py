"""Differentiable augmentation for small sets (Zhao et al. 2020, "Differentiable Augmentation for
Data-Efficient GAN Training", sec. 3 and table 1): real and generated pictures go through it before the
discriminator, in both networks' updates, so that it cannot learn the few real ones by heart and gradients
still reach the generator.

A change is drawn once per picture and can be applied to anything that belongs to it: the same draws for a
picture, for its double, and, where it moves, for its label map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.augmentation import Differentiable

TRANSLATION = 1 / 8  # of the side, to every side
CUTOUT = 1 / 2  # side of the square that is cut out, of the picture's
NUMBERS = 7  # uniform numbers that a picture needs


@dataclass(frozen=True)
class DiffAugment:
    """The changes of one batch.

    Args:
        policy: which of "colour", "translation", "cutout".
        draws: uniform in [0, 1), float (B, NUMBERS), one row a picture.
    """

    policy: Sequence[Differentiable]
    draws: Tensor

    def __call__(self, pictures: Tensor) -> Tensor:
        """float (B, 3, H, W) in [−1, 1] → the same, changed; moved-in borders and cut-out squares are 0."""
        if "colour" in self.policy:
            pictures = self._coloured(pictures)
        if "translation" in self.policy:
            pictures = self._translated(pictures, 0)
        if "cutout" in self.policy:
            pictures = pictures * self._kept(pictures).to(pictures.dtype)
        return pictures

    def labels(self, labels: Tensor, unlabelled: int) -> Tensor:
        """int64 (B, H, W) moved as the pictures are; `unlabelled` where nothing of them is seen."""
        if "translation" in self.policy:
            labels = self._translated(labels.unsqueeze(1), unlabelled).squeeze(1)
        if "cutout" in self.policy:
            labels = torch.where(self._kept(labels.unsqueeze(1)).squeeze(1), labels, unlabelled)
        return labels

    def _coloured(self, x: Tensor) -> Tensor:
        """Brightness by ±0.5, saturation by a factor of 0 … 2, contrast by a factor of 0.5 … 1.5."""
        brightness, saturation, contrast = (self.draws[:, k].to(x.dtype).view(-1, 1, 1, 1) for k in range(3))
        x = x + (brightness - 0.5)
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * (2 * saturation) + grey
        mean = x.mean((1, 2, 3), keepdim=True)
        return (x - mean) * (contrast + 0.5) + mean

    def _translated(self, x: Tensor, outside: float) -> Tensor:
        _, _, height, width = x.shape
        rows, rows_inside = self._moved(self.draws[:, 3], height)
        columns, columns_inside = self._moved(self.draws[:, 4], width)
        batch = torch.arange(len(x), device=x.device).view(-1, 1, 1)
        moved = x.permute(0, 2, 3, 1)[batch, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
        inside = rows_inside.unsqueeze(2) & columns_inside.unsqueeze(1)
        return torch.where(inside.unsqueeze(1), moved, outside)

    @staticmethod
    def _moved(draw: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Where each place comes from, int64 (B, length), and whether that is inside."""
        most = round(length * TRANSLATION)
        shift = (draw * (2 * most + 1)).long() - most
        source = torch.arange(length, device=draw.device) - shift.unsqueeze(1)
        return source.clamp(0, length - 1), (source >= 0) & (source < length)

    def _kept(self, x: Tensor) -> Tensor:
        """False in a square of half the side, anywhere, its middle inside the picture: bool (B, 1, H, W)."""
        rows, columns = (self._cut(self.draws[:, 5 + axis], x.shape[2 + axis]) for axis in range(2))
        return ~(rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)

    @staticmethod
    def _cut(draw: Tensor, length: int) -> Tensor:
        size = round(length * CUTOUT)
        middle = (draw * length).long().unsqueeze(1)
        place = torch.arange(length, device=draw.device)
        return (place >= middle - size // 2) & (place < middle - size // 2 + size)
