"""Rectangles of pixels, and of the cells of coarser grids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rect:
    """Rows top … bottom−1, columns left … right−1."""

    top: int
    left: int
    bottom: int
    right: int

    def __bool__(self) -> bool:
        return self.top < self.bottom and self.left < self.right

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, by: int, height: int, width: int) -> Rect:
        """With a margin, cut to a height × width plane."""
        return Rect(
            max(0, self.top - by),
            max(0, self.left - by),
            min(height, self.bottom + by),
            min(width, self.right + by),
        )

    def union(self, other: Rect | None) -> Rect:
        if other is None:
            return self
        return Rect(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def sampled(self, factor: int) -> Rect:
        """Which cells of a grid that takes every factor-th pixel lie inside."""
        return Rect(*(-(-side // factor) for side in (self.top, self.left, self.bottom, self.right)))

    def aligned(self, to: int) -> Rect:
        """Grown until every side is a multiple of `to`."""
        return Rect(
            self.top // to * to, self.left // to * to, -(-self.bottom // to) * to, -(-self.right // to) * to
        )
