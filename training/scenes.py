"""Thirty-two label maps as a person paints them in half a minute, drawn with code: a fixed set to judge by.

Each scene is a few strokes of a round brush, straight fills, arcs and balls, in classes of the label set
landscape17. The same number gives the same scene at any side. They are for looking and measuring only;
nothing is trained on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from models.labels import load_label_set

Point = tuple[float, float]


class Canvas:
    """A map under a hand that is not quite steady. Places and sizes are shares of the side, y downwards.

    Args:
        base: name of the class that everything is filled with first.
        rng: the hand.
    """

    def __init__(self, side: int, base: str, rng: np.random.Generator) -> None:
        self.side, self.rng = side, rng
        self._ids = {label.name: label.id for label in load_label_set("landscape17").labels}
        self._picture = Image.new("L", (side, side), self._ids[base])
        self._draw = ImageDraw.Draw(self._picture)

    def labels(self) -> np.ndarray:
        """uint8 (S, S) class ids."""
        return np.asarray(self._picture)

    def dab(self, name: str, x: float, y: float, radius: float) -> None:
        """One touch of the brush."""
        box = [(value + sign * radius) * self.side for sign in (-1, 1) for value in (x, y)]
        self._draw.ellipse(box, fill=self._ids[name])

    def stroke(self, name: str, points: Sequence[Point], radius: float, end: float | None = None) -> None:
        """The brush drawn along a line through the points; with `end`, its radius changes towards that."""
        for share, (x, y) in self._along(points, min(radius, end or radius) * 0.5):
            wide = radius if end is None else radius + share * (end - radius)
            self.dab(name, x, y, wide * self.rng.uniform(0.92, 1.08))

    def fill(self, name: str, points: Sequence[Point]) -> None:
        """A shape with straight edges, its corners not quite where they were meant."""
        shaken = [(x + self.rng.normal(0, 0.004), y + self.rng.normal(0, 0.004)) for x, y in points]
        self._draw.polygon([value * self.side for point in shaken for value in point], fill=self._ids[name])

    def ground(self, name: str, points: Sequence[Point], brush: float = 0.012) -> None:
        """Everything below a line from the left edge to the right one."""
        line = [
            point for _, point in self._along([(-0.05, points[0][1]), *points, (1.05, points[-1][1])], 0.02)
        ]
        self._draw.polygon(
            [value * self.side for point in [*line, (1.1, 1.1), (-0.1, 1.1)] for value in point],
            fill=self._ids[name],
        )
        for x, y in line:
            self.dab(name, x, y + brush, brush)

    def flat(self, name: str, y: float) -> None:
        """Everything below a ruler's line."""
        self._draw.rectangle([0, y * self.side, self.side, self.side], fill=self._ids[name])

    def arc(self, name: str, x: float, foot: float, half: float, height: float) -> None:
        """A hill as one arc: the upper half of an ellipse that stands on `foot`."""
        box = [
            (x - half) * self.side,
            (foot - height) * self.side,
            (x + half) * self.side,
            (foot + height) * self.side,
        ]
        self._draw.pieslice(box, 180, 360, fill=self._ids[name])

    def blob(self, name: str, x: float, y: float, half: float, height: float) -> None:
        """A flattish patch: dabs beside one another."""
        radius = min(half, height)
        for _ in range(max(4, round(10 * half / max(radius, 1e-6)))):
            turn, far = self.rng.uniform(0, 2 * math.pi), math.sqrt(self.rng.uniform(0, 1))
            reach = (
                max(half - radius * 0.6, 0) * far * math.cos(turn),
                max(height - radius * 0.6, 0) * far * math.sin(turn),
            )
            self.dab(name, x + reach[0], y + reach[1], radius * 0.65)

    def cloud(self, x: float, y: float, size: float) -> None:
        """Four or five balls in a row."""
        count = int(self.rng.integers(3, 6))
        for k in range(count):
            middle = 1 - abs(2 * k / (count - 1) - 1)
            self.dab(
                "clouds",
                x + (k - (count - 1) / 2) * size * 0.7,
                y - middle * size * 0.3,
                size * (0.4 + 0.25 * middle),
            )

    def tree(self, x: float, foot: float, size: float) -> None:
        """A ball on a stick."""
        self.stroke(
            "tree", [(x, foot), (x + self.rng.normal(0, size * 0.05), foot - size * 0.5)], size * 0.06
        )
        self.dab("tree", x, foot - size * 0.68, size * self.rng.uniform(0.28, 0.36))

    def pine(self, x: float, foot: float, size: float) -> None:
        """A triangle on a stick."""
        self.fill(
            "tree",
            [(x - size * 0.26, foot - size * 0.15), (x + size * 0.26, foot - size * 0.15), (x, foot - size)],
        )
        self.stroke("tree", [(x, foot), (x, foot - size * 0.2)], size * 0.05)

    def palm(self, x: float, foot: float, size: float) -> None:
        """A leaning stick with five arms."""
        lean = self.rng.uniform(-0.25, 0.25) * size
        top = (x + lean, foot - size)
        self.stroke("tree", [(x, foot), (x + lean * 0.3, foot - size * 0.5), top], size * 0.05)
        for turn in (-2.9, -2.3, -1.5, -0.8, -0.2):
            way = (math.cos(turn) * size * 0.42, math.sin(turn) * size * 0.3)
            end = (top[0] + way[0], top[1] + way[1] + size * 0.14)
            self.stroke("tree", [top, (top[0] + way[0] * 0.6, top[1] + way[1]), end], size * 0.055)

    def house(self, x: float, foot: float, size: float) -> None:
        """A box with a roof."""
        half, wall = size / 2, size * 0.6
        self.fill(
            "house", [(x - half, foot), (x - half, foot - wall), (x + half, foot - wall), (x + half, foot)]
        )
        self.fill(
            "house", [(x - half * 1.2, foot - wall), (x, foot - size * 1.1), (x + half * 1.2, foot - wall)]
        )

    def row(
        self, thing: Callable[[float, float, float], None], first: Point, last: Point, count: int, size: float
    ) -> None:
        """Several of a thing from one place to another, unevenly."""
        for share in np.linspace(0, 1, count):
            x, y = (first[axis] + share * (last[axis] - first[axis]) for axis in (0, 1))
            thing(
                x + self.rng.normal(0, 0.012),
                y + self.rng.normal(0, 0.006),
                size * self.rng.uniform(0.8, 1.2),
            )

    def _along(self, points: Sequence[Point], step: float) -> list[tuple[float, Point]]:
        """(share of the way, place) every `step` along a line that wobbles a little."""
        corners = np.array(points, np.float64)
        lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
        count = max(2, math.ceil(lengths[-1] / max(step, 1e-3)) + 1)
        shares = np.linspace(0, 1, count)
        bend = sum(
            self.rng.normal(0, 0.004, 2)[:, None] * np.sin(2 * math.pi * (wave * shares + self.rng.uniform()))
            for wave in (1, 3)
        )
        places = [np.interp(shares * lengths[-1], lengths, corners[:, axis]) + bend[axis] for axis in (0, 1)]
        return [(float(s), (float(x), float(y))) for s, x, y in zip(shares, *places, strict=True)]


# -- Scenes, each a few strokes


def mountain_lake(c: Canvas) -> None:
    c.fill("mountain", [(-0.1, 0.5), (0.2, 0.18), (0.38, 0.4), (0.62, 0.12), (1.1, 0.52)])
    c.flat("grass", 0.48)
    c.blob("river", 0.5, 0.7, 0.42, 0.14)
    c.row(c.pine, (0.05, 0.56), (0.3, 0.52), 4, 0.16)


def beach(c: Canvas) -> None:
    c.flat("sea", 0.42)
    c.fill("sand", [(-0.1, 1.1), (-0.1, 0.62), (0.45, 0.72), (1.1, 0.95), (1.1, 1.1)])
    c.cloud(0.3, 0.15, 0.12)
    c.cloud(0.75, 0.2, 0.09)


def desert_palms(c: Canvas) -> None:
    c.ground("sand", [(0, 0.55), (0.3, 0.48), (0.6, 0.56), (1, 0.5)])
    c.palm(0.3, 0.72, 0.3)
    c.palm(0.42, 0.76, 0.24)
    c.palm(0.8, 0.66, 0.2)
    c.blob("river", 0.4, 0.85, 0.2, 0.05)


def winter_hills(c: Canvas) -> None:
    c.arc("snow", 0.2, 0.7, 0.5, 0.22)
    c.arc("snow", 0.85, 0.7, 0.45, 0.3)
    c.flat("snow", 0.62)
    c.row(c.pine, (0.1, 0.68), (0.5, 0.64), 5, 0.15)
    c.pine(0.8, 0.85, 0.32)


def village_road(c: Canvas) -> None:
    c.arc("hill", 0.3, 0.5, 0.6, 0.14)
    c.flat("grass", 0.48)
    c.fill("road", [(0.46, 0.49), (0.54, 0.49), (0.8, 1.1), (0.2, 1.1)])
    c.house(0.22, 0.6, 0.16)
    c.house(0.75, 0.58, 0.13)
    c.house(0.93, 0.66, 0.18)
    c.tree(0.06, 0.7, 0.3)


def forest_clearing(c: Canvas) -> None:
    c.flat("tree", 0.2)
    for x in np.linspace(0, 1, 9):
        c.dab("tree", float(x), 0.22 + c.rng.normal(0, 0.02), 0.08)
    c.ground("grass", [(0, 0.7), (0.5, 0.6), (1, 0.72)])
    c.row(lambda x, y, size: c.dab("bush", x, y, size), (0.1, 0.72), (0.9, 0.72), 5, 0.035)


def island(c: Canvas) -> None:
    c.flat("sea", 0.4)
    c.arc("hill", 0.55, 0.5, 0.25, 0.16)
    c.blob("sand", 0.55, 0.52, 0.33, 0.04)
    c.palm(0.45, 0.51, 0.18)
    c.cloud(0.2, 0.2, 0.1)


def river_valley(c: Canvas) -> None:
    c.fill("mountain", [(-0.1, 0.5), (-0.1, 0.1), (0.4, 0.5)])
    c.fill("mountain", [(1.1, 0.5), (1.1, 0.05), (0.55, 0.5)])
    c.flat("grass", 0.48)
    c.stroke("river", [(0.5, 0.5), (0.42, 0.6), (0.62, 0.75), (0.5, 1.1)], 0.015, 0.14)
    c.row(c.tree, (0.05, 0.7), (0.25, 0.6), 3, 0.2)


def rocky_coast(c: Canvas) -> None:
    c.flat("sea", 0.45)
    c.fill("rock", [(1.1, 0.25), (0.75, 0.3), (0.7, 0.5), (0.5, 0.62), (0.45, 0.9), (0.3, 1.1), (1.1, 1.1)])
    for x, y, radius in ((0.3, 0.7, 0.05), (0.2, 0.62, 0.03), (0.36, 0.58, 0.03)):
        c.dab("rock", x, y, radius)
    c.stroke("grass", [(0.8, 0.3), (1.05, 0.26)], 0.04)


def snowy_peak(c: Canvas) -> None:
    c.fill("mountain", [(-0.05, 0.7), (0.5, 0.08), (1.05, 0.7)])
    c.fill("snow", [(0.5, 0.08), (0.33, 0.27), (0.42, 0.25), (0.48, 0.32), (0.56, 0.24), (0.67, 0.27)])
    c.ground("tree", [(0, 0.66), (0.3, 0.62), (0.7, 0.64), (1, 0.6)], 0.03)
    c.ground("grass", [(0, 0.8), (1, 0.84)])


def flower_meadow(c: Canvas) -> None:
    c.ground("grass", [(0, 0.42), (0.5, 0.38), (1, 0.43)])
    c.blob("flower", 0.3, 0.75, 0.28, 0.1)
    c.blob("flower", 0.78, 0.62, 0.18, 0.05)
    c.stroke("flower", [(0.5, 0.95), (0.9, 0.9)], 0.05)
    c.tree(0.75, 0.5, 0.28)
    c.cloud(0.25, 0.15, 0.13)


def house_on_hill(c: Canvas) -> None:
    c.arc("grass", 0.5, 0.95, 0.75, 0.42)
    c.flat("grass", 0.85)
    c.house(0.5, 0.56, 0.22)
    c.tree(0.75, 0.62, 0.22)
    c.stroke("dirt", [(0.5, 0.57), (0.58, 0.75), (0.45, 1.05)], 0.02, 0.07)
    c.cloud(0.8, 0.2, 0.1)


def dunes(c: Canvas) -> None:
    c.arc("sand", 0.2, 0.65, 0.5, 0.2)
    c.arc("sand", 0.8, 0.65, 0.4, 0.14)
    c.flat("sand", 0.6)
    c.row(lambda x, y, size: c.dab("bush", x, y, size), (0.15, 0.8), (0.85, 0.72), 4, 0.03)


def overcast_fields(c: Canvas) -> None:
    c.stroke("clouds", [(-0.05, 0.1), (1.05, 0.12)], 0.12)
    c.stroke("clouds", [(-0.05, 0.25), (0.7, 0.24)], 0.08)
    c.ground("hill", [(0, 0.5), (0.4, 0.44), (1, 0.5)])
    c.flat("grass", 0.55)
    c.fill("dirt", [(0.05, 0.62), (0.6, 0.6), (0.75, 0.75), (0, 0.8)])
    c.row(c.tree, (0.1, 0.56), (0.9, 0.56), 6, 0.1)


def road_to_mountains(c: Canvas) -> None:
    c.fill(
        "mountain",
        [(-0.1, 0.5), (0.15, 0.25), (0.3, 0.36), (0.52, 0.16), (0.75, 0.38), (0.88, 0.28), (1.1, 0.5)],
    )
    c.flat("dirt", 0.47)
    c.stroke("road", [(0.5, 0.48), (0.47, 0.58), (0.55, 0.75), (0.5, 1.1)], 0.012, 0.16)
    c.row(lambda x, y, size: c.dab("bush", x, y, size), (0.1, 0.6), (0.9, 0.65), 5, 0.025)


def lake_reeds(c: Canvas) -> None:
    c.ground("tree", [(0, 0.36), (0.5, 0.42), (1, 0.34)], 0.035)
    c.flat("river", 0.48)
    c.fill("grass", [(-0.1, 0.8), (0.35, 0.88), (0.6, 1.1), (-0.1, 1.1)])
    c.row(
        lambda x, y, size: c.stroke("bush", [(x, y), (x, y - size)], 0.012),
        (0.05, 0.9),
        (0.35, 0.95),
        6,
        0.14,
    )


def lone_tree(c: Canvas) -> None:
    c.ground("grass", [(0, 0.68), (0.5, 0.63), (1, 0.7)])
    c.stroke("tree", [(0.5, 0.72), (0.49, 0.42)], 0.03)
    c.dab("tree", 0.5, 0.33, 0.17)
    c.dab("tree", 0.4, 0.38, 0.1)
    c.dab("tree", 0.61, 0.38, 0.11)


def cliffs(c: Canvas) -> None:
    c.flat("sea", 0.55)
    c.fill("rock", [(-0.1, 0.3), (0.42, 0.33), (0.47, 0.8), (-0.1, 0.95)])
    c.fill("grass", [(-0.1, 0.22), (0.3, 0.27), (0.44, 0.35), (-0.1, 0.36)])
    c.fill("sand", [(-0.1, 0.88), (0.5, 0.8), (0.7, 1.1), (-0.1, 1.1)])


def two_hills(c: Canvas) -> None:
    c.arc("hill", 0.25, 0.75, 0.42, 0.3)
    c.arc("hill", 0.8, 0.75, 0.5, 0.22)
    c.flat("grass", 0.7)
    c.row(c.tree, (0.3, 0.78), (0.75, 0.76), 3, 0.16)


def frozen_river(c: Canvas) -> None:
    c.ground("tree", [(0, 0.34), (0.5, 0.4), (1, 0.32)], 0.03)
    c.flat("snow", 0.48)
    c.stroke("river", [(0.7, 0.49), (0.5, 0.6), (0.65, 0.75), (0.3, 1.1)], 0.02, 0.12)
    c.house(0.2, 0.6, 0.15)


def sunset_coast(c: Canvas) -> None:
    c.stroke("clouds", [(0.1, 0.2), (0.9, 0.16)], 0.04)
    c.stroke("clouds", [(0.3, 0.3), (0.8, 0.29)], 0.025)
    c.flat("sea", 0.5)
    c.arc("mountain", 0.1, 0.52, 0.35, 0.15)
    c.ground("sand", [(0, 0.9), (0.5, 0.84), (1, 0.78)])


def orchard(c: Canvas) -> None:
    c.ground("hill", [(0, 0.34), (0.6, 0.3), (1, 0.36)])
    c.flat("grass", 0.42)
    for k, foot in enumerate((0.52, 0.66, 0.9)):
        c.row(c.tree, (0.1 + 0.05 * k, foot), (0.9, foot), 5 - k, 0.12 + 0.07 * k)


def canyon(c: Canvas) -> None:
    c.flat("dirt", 0.8)
    c.fill("rock", [(-0.1, 0.2), (0.25, 0.22), (0.3, 0.5), (0.4, 0.9), (-0.1, 1.1)])
    c.fill("rock", [(1.1, 0.15), (0.72, 0.2), (0.68, 0.45), (0.6, 0.9), (1.1, 1.1)])
    c.fill("mountain", [(0.28, 0.42), (0.5, 0.3), (0.7, 0.44), (0.66, 0.56), (0.33, 0.56)])
    c.fill("dirt", [(0.3, 0.52), (0.67, 0.52), (0.8, 1.1), (0.2, 1.1)])
    c.stroke("river", [(0.5, 0.54), (0.46, 0.7), (0.52, 1.1)], 0.015, 0.06)


def farm(c: Canvas) -> None:
    c.flat("grass", 0.45)
    c.house(0.35, 0.56, 0.2)
    c.house(0.55, 0.55, 0.13)
    c.fill("dirt", [(0.1, 0.72), (0.9, 0.68), (1.1, 0.9), (-0.1, 0.95)])
    c.row(c.tree, (0.7, 0.52), (1, 0.5), 4, 0.18)
    c.cloud(0.2, 0.2, 0.1)
    c.cloud(0.6, 0.13, 0.13)


def empty_sea(c: Canvas) -> None:
    c.flat("sea", 0.56)
    c.cloud(0.35, 0.3, 0.16)
    c.cloud(0.85, 0.38, 0.08)


def hedges(c: Canvas) -> None:
    c.ground("grass", [(0, 0.5), (0.5, 0.46), (1, 0.52)])
    c.stroke("bush", [(0.0, 0.62), (0.5, 0.58), (1.0, 0.64)], 0.025)
    c.stroke("bush", [(0.1, 0.85), (0.6, 0.78), (1.05, 0.84)], 0.045)
    c.stroke("dirt", [(0.52, 0.47), (0.4, 0.7), (0.3, 1.05)], 0.012, 0.06)


def stony_beach(c: Canvas) -> None:
    c.flat("sea", 0.38)
    c.ground("rock", [(0, 0.7), (0.4, 0.62), (0.8, 0.72), (1, 0.6)], 0.04)
    c.flat("sand", 0.86)
    c.row(lambda x, y, size: c.dab("rock", x, y, size), (0.1, 0.9), (0.9, 0.93), 6, 0.03)


def mountain_wall(c: Canvas) -> None:
    c.fill(
        "mountain",
        [
            (-0.1, 0.62),
            (-0.1, 0.2),
            (0.15, 0.1),
            (0.3, 0.25),
            (0.5, 0.05),
            (0.7, 0.22),
            (0.9, 0.12),
            (1.1, 0.3),
            (1.1, 0.62),
        ],
    )
    c.stroke("snow", [(0.08, 0.16), (0.2, 0.16)], 0.035)
    c.stroke("snow", [(0.42, 0.14), (0.58, 0.14)], 0.045)
    c.ground("hill", [(0, 0.55), (0.5, 0.6), (1, 0.54)], 0.02)
    c.flat("grass", 0.72)


def winter_village(c: Canvas) -> None:
    c.fill("mountain", [(0.3, 0.5), (0.65, 0.18), (1.1, 0.5)])
    c.flat("snow", 0.48)
    c.row(c.house, (0.12, 0.6), (0.6, 0.58), 3, 0.15)
    c.stroke("road", [(0.75, 0.5), (0.7, 0.7), (0.85, 1.05)], 0.015, 0.09)
    c.row(c.pine, (0.05, 0.85), (0.35, 0.9), 3, 0.25)


def jungle_river(c: Canvas) -> None:
    c.flat("tree", 0.3)
    for x in np.linspace(0.0, 1, 7):
        c.dab("tree", float(x), 0.3 + c.rng.normal(0, 0.03), 0.1)
    c.stroke("river", [(0.5, 0.5), (0.45, 0.65), (0.55, 1.1)], 0.03, 0.3)
    c.row(lambda x, y, size: c.dab("bush", x, y, size), (0.0, 0.85), (0.2, 1.0), 3, 0.1)
    c.row(lambda x, y, size: c.dab("bush", x, y, size), (0.85, 1.0), (1.0, 0.8), 3, 0.1)


def big_sky(c: Canvas) -> None:
    c.flat("grass", 0.8)
    c.cloud(0.3, 0.3, 0.2)
    c.cloud(0.8, 0.5, 0.15)
    c.cloud(0.65, 0.14, 0.12)
    c.row(c.tree, (0.1, 0.82), (0.4, 0.82), 4, 0.07)


def scribble(c: Canvas) -> None:
    """As children begin: green below, a blue stripe, a brown hump, a ball."""
    c.stroke(
        "grass", [(-0.05, 0.75), (1.05, 0.7), (-0.05, 0.85), (1.05, 0.85), (-0.05, 1.0), (1.05, 1.0)], 0.09
    )
    c.stroke("hill", [(0.1, 0.62), (0.3, 0.45), (0.5, 0.62)], 0.08)
    c.stroke("river", [(0.0, 0.8), (0.4, 0.84), (0.7, 0.8), (1.0, 0.86)], 0.035)
    c.dab("tree", 0.8, 0.55, 0.12)


SCENES: tuple[Callable[[Canvas], None], ...] = (
    mountain_lake, beach, desert_palms, winter_hills, village_road, forest_clearing, island, river_valley,
    rocky_coast, snowy_peak, flower_meadow, house_on_hill, dunes, overcast_fields, road_to_mountains,
    lake_reeds, lone_tree, cliffs, two_hills, frozen_river, sunset_coast, orchard, canyon, farm,
    empty_sea, hedges, stony_beach, mountain_wall, winter_village, jungle_river, big_sky, scribble,
)  # fmt: skip


def hand_painted(number: int, side: int = 256) -> np.ndarray:
    """Scene `number` of the set, uint8 (side, side), ids of landscape17.

    Raises:
        ValueError: a number that is none of 0 … len(SCENES) − 1.
    """
    if not 0 <= number < len(SCENES):
        raise ValueError(f"scene {number}: there are 0 to {len(SCENES) - 1}")
    canvas = Canvas(side, "sky", np.random.default_rng(number))
    SCENES[number](canvas)
    return canvas.labels()
