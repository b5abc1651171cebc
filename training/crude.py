"""Label maps as people paint them: round, straight, few strokes.

The maps that pictures come with are detailed to the pixel; nobody paints like that. `simplified` turns such a
map into a crude one with one or several of the operations below, each of which is also a function of its own.
All take and give uint8 (H, W) class ids, never invent an id, know nothing of what a class means, and draw
whatever is random from the generator that they are given.

    python -m training.crude FOLDER [--side 256]

writes the hand-painted maps of training/scenes.py as palette PNGs, 00-mountain-lake.png and so on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from models.labels import load_label_set
from training.scenes import SCENES, hand_painted

UNSET = 255  # no class has this id (models.labels.MAX_LABELS)


def simplified(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A map as a person might have painted it: one to three operations of random kind and strength.

    Args:
        labels: uint8 (H, W) class ids below 255.
        rng: equal generators give equal maps.
    """
    count = 1 + int(rng.choice(3, p=(0.5, 0.35, 0.15)))
    kinds = rng.choice(len(OPERATIONS), size=count, replace=False, p=_SHARES)
    for kind in sorted(kinds.tolist()):
        labels = OPERATIONS[kind](labels, rng)
    return labels


# -- Regions


@dataclass(frozen=True)
class Regions:
    """The 4-connected regions of a map.

    number: int32 (H, W), 0…N−1; size: int64 (N,) pixels; label: uint8 (N,); runs: int32 (R, 4), one
    horizontal run of pixels each, as (region, row, first column, last column), by region.
    """

    number: np.ndarray
    size: np.ndarray
    label: np.ndarray
    runs: np.ndarray

    def runs_of(self, region: int) -> np.ndarray:
        first, last = np.searchsorted(self.runs[:, 0], (region, region + 1))
        return self.runs[first:last]


def regions(labels: np.ndarray) -> Regions:
    """Find them: horizontal runs, then unions of runs that touch (hook and shortcut, Shiloach & Vishkin
    1982)."""
    height, width = labels.shape
    begins = np.ones((height, width), bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    run = np.cumsum(begins.ravel(), dtype=np.int32).reshape(height, width) - 1
    touch = labels[1:] == labels[:-1]
    first = touch.copy()  # one pair of pixels for each pair of runs that touch
    first[:, 1:] &= ~touch[:, :-1] | begins[1:, 1:] | begins[:-1, 1:]
    rows, columns = np.nonzero(begins)
    ends = np.append(np.flatnonzero(begins.ravel())[1:], height * width) - 1
    root = _united(len(rows), run[:-1][first], run[1:][first])
    _, region = np.unique(root, return_inverse=True)
    runs = np.stack([region, rows, columns, ends % width], axis=1).astype(np.int32)
    size = np.bincount(region, weights=runs[:, 3] - runs[:, 2] + 1).astype(np.int64)
    label = np.empty(len(size), np.uint8)
    label[region] = labels[rows, columns]
    return Regions(region.astype(np.int32)[run], size, label, runs[np.argsort(region, kind="stable")])


def _united(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Smallest member of each one's set when `one[i]` and `other[i]` belong together: int32 (count,)."""
    parent = np.arange(count, dtype=np.int32)
    while len(one):
        a, b = parent[one], parent[other]
        differ = a != b
        one, other, a, b = one[differ], other[differ], a[differ], b[differ]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while True:
            above = parent[parent]
            if np.array_equal(above, parent):
                break
            parent = above
    return parent


def _votes(labels: np.ndarray, blur: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """The class whose mask is strongest after `blur`, of equal ones the smallest: uint8, `blur`'s size."""
    best: np.ndarray | None = None
    winner = np.empty(0, np.uint8)
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist():
        mask = Image.fromarray((labels == label).view(np.uint8) * np.uint8(255))
        score = np.asarray(blur(mask))
        if best is None:
            best, winner = score.copy(), np.full(score.shape, label, np.uint8)
        else:
            np.copyto(winner, label, where=score > best)
            np.maximum(best, score, out=best)
    return winner


def filled(labels: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """A map whose `holes`, bool (H, W), take the class of the nearest other pixel of their column, else
    row."""
    for axis in (0, 1):
        known = ~holes
        if known.all() or not known.any():
            break
        length = labels.shape[axis]
        place = np.arange(length, dtype=np.int32).reshape((-1, 1) if axis == 0 else (1, -1))
        before = np.maximum.accumulate(np.where(known, place, -4 * length), axis)
        after = np.flip(np.minimum.accumulate(np.flip(np.where(known, place, 4 * length), axis), axis), axis)
        nearest = np.where(place - before <= after - place, before, after)
        holes = (nearest < 0) | (nearest >= length)
        labels = np.take_along_axis(labels, nearest.clip(0, length - 1), axis)
    return labels


# -- Operations with a strength


def smoothed(labels: np.ndarray, radius: float) -> np.ndarray:
    """The class that is strongest around each pixel, by a Gaussian of `radius` pixels: details gone, borders
    round."""
    return _votes(labels, lambda mask: mask.filter(ImageFilter.GaussianBlur(radius)))


def merged(labels: np.ndarray, least: int) -> np.ndarray:
    """Regions below `least` pixels become part of the larger neighbour that they share most border with."""
    for _ in range(3):
        found = regions(labels)
        if len(found.size) == 1 or found.size.min() >= least:
            break
        target = _neighbours(found, least)
        labels = found.label[target][found.number]
    return labels


def _neighbours(found: Regions, least: int) -> np.ndarray:
    """Where each region goes: itself, or along larger and larger neighbours to one that is large enough."""
    number, count = found.number, len(found.size)
    sides = [(number[:, 1:], number[:, :-1]), (number[1:], number[:-1])]
    pairs = [(a[a != b], b[a != b]) for a, b in sides]
    one = np.concatenate([part for a, b in pairs for part in (a, b)]).astype(np.int64)
    other = np.concatenate([part for a, b in pairs for part in (b, a)]).astype(np.int64)
    rank = np.empty(count, np.int64)
    rank[np.argsort(found.size, kind="stable")] = np.arange(count)
    up = (found.size[one] < least) & (rank[other] > rank[one])
    border, shared = np.unique(one[up] * count + other[up], return_counts=True)
    order = np.argsort(shared, kind="stable")
    target = np.arange(count)
    target[border[order] // count] = border[order] % count  # the last one written shares most
    while True:
        further = target[target]
        if np.array_equal(further, target):
            return target
        target = further


def reduced(labels: np.ndarray, factor: int) -> np.ndarray:
    """A map painted at 1/`factor` of the size (majority of each block) and enlarged with round borders."""
    height, width = labels.shape
    small = (max(width // factor, 1), max(height // factor, 1))
    coarse = _votes(labels, lambda mask: mask.resize(small, Image.Resampling.BOX))
    soft = ImageFilter.GaussianBlur(factor / 2.5)
    return _votes(coarse, lambda mask: mask.resize((width, height), Image.Resampling.BILINEAR).filter(soft))


FAR = 0.1  # of the map's height: a border this far from the line is another one


def straightened(labels: np.ndarray, borders: int, degree: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `borders` of the longest borders between an upper and a lower class become a line (`degree` 1),
    an arc (2) or a gentle wave (3); what stands before them stays, and so does a border far from it."""
    upper, lower = labels[:-1].astype(np.int32), labels[1:].astype(np.int32)
    rows, columns = np.nonzero(upper != lower)
    pairs, counts = np.unique(upper[rows, columns] * 256 + lower[rows, columns], return_counts=True)
    for pair in pairs[np.argsort(-counts, kind="stable")][:borders].tolist():
        labels = _straightened(labels, pair // 256, pair % 256, degree, rng)
    return labels


def _straightened(
    labels: np.ndarray, above: int, below: int, degree: int, rng: np.random.Generator
) -> np.ndarray:
    height, width = labels.shape
    rows, columns = np.nonzero((labels[:-1] == above) & (labels[1:] == below))
    once = np.flatnonzero(np.bincount(columns, minlength=width) == 1)  # the columns with one such border
    if len(once) < max(width // 4, degree + 1):
        return labels
    border = np.zeros(width)
    border[columns] = rows
    fit = np.polynomial.Polynomial.fit(once, border[once], degree)
    place = np.arange(height, dtype=np.float32)[:, None]
    line = (fit(once) + rng.normal(0, 0.004 * height)).astype(np.float32)
    part, old = labels[:, once], border[once].astype(np.float32)
    near = np.abs(old - line) < FAR * height
    risen = (part == above) & (place > line) & (place <= old) & near
    fallen = (part == below) & (place <= line) & (place > old) & near
    result = labels.copy()
    result[:, once] = np.where(risen, np.uint8(below), np.where(fallen, np.uint8(above), part))
    return result


def polygons(labels: np.ndarray, tolerance: float) -> np.ndarray:
    """Every region as a polygon whose edges leave out what is within `tolerance` pixels of them (Douglas &
    Peucker 1973)."""
    height, width = labels.shape
    outlines = [_few_corners(line, tolerance) for line in outlines_of(labels)]
    return _drawn(np.full((height, width), UNSET, np.uint8), labels, outlines)


def _drawn(canvas: np.ndarray, labels: np.ndarray, outlines: list[tuple[int, np.ndarray]]) -> np.ndarray:
    """Outlines (class, float (n, 2) of x, y) drawn largest first; what is still unset takes a neighbour's
    class."""
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    for label, points in sorted(outlines, key=lambda outline: -_area(outline[1])):
        draw.polygon(points.ravel().tolist(), fill=label)
    return _settled(np.asarray(picture), labels)


def _settled(drawn: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A drawn map without unset pixels; `labels` where nothing was drawn at all."""
    unset = drawn == UNSET
    return labels if unset.all() else filled(drawn, unset)


def _area(points: np.ndarray) -> float:
    """Of a closed polygon float (n, 2), positive where it runs clockwise on the screen."""
    x, y = points.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


_AHEAD = ((0, 1), (1, 0), (0, -1), (-1, 0))  # (y, x) along the top, right, bottom, left side of a pixel
_OUT = ((-1, 0), (0, 1), (1, 0), (0, -1))
_CORNER = ((0, 0), (0, 1), (1, 1), (1, 0))  # where each side begins


def outlines_of(labels: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The outer outline of every region: (class, int (n, 2) of x, y), a corner for each pixel side,
    clockwise."""
    height, width = labels.shape
    number = np.pad(regions(labels).number, 1, constant_values=-1)
    middle = np.s_[1:-1, 1:-1]
    own, area = number[middle], height * width
    following = np.empty((4, height, width), np.int64)
    begins = np.empty((4, height, width), bool)
    index = np.arange(area).reshape(height, width)
    for side, (ahead, out) in enumerate(zip(_AHEAD, _OUT, strict=True)):
        straight = _shifted(number, *ahead) == own
        left = straight & (_shifted(number, ahead[0] + out[0], ahead[1] + out[1]) == own)
        step = index + ahead[0] * width + ahead[1]
        following[side] = np.where(straight, side * area + step, (side + 1) % 4 * area + index)
        turned = (side - 1) % 4 * area + step + out[0] * width + out[1]
        following[side][left] = turned[left]
        begins[side] = _shifted(number, *out) != own
    return _followed(labels, following.ravel(), np.flatnonzero(begins))


def _shifted(number: np.ndarray, down: int, right: int) -> np.ndarray:
    height, width = number.shape
    return number[1 + down : height - 1 + down, 1 + right : width - 1 + right]


def _followed(labels: np.ndarray, following: np.ndarray, sides: np.ndarray) -> list[tuple[int, np.ndarray]]:
    place = np.full(len(following), -1, np.int64)
    place[sides] = np.arange(len(sides))
    after = place[following[sides]].tolist()
    seen = bytearray(len(sides))
    corner = np.array(_CORNER)
    result: list[tuple[int, np.ndarray]] = []
    area, width = labels.size, labels.shape[1]
    for first in range(len(sides)):
        if seen[first]:
            continue
        line, at = [], first
        while not seen[at]:
            seen[at] = 1
            line.append(at)
            at = after[at]
        side, pixel = np.divmod(sides[line], area)
        y, x = pixel // width + corner[side, 0], pixel % width + corner[side, 1]
        points = np.stack([x, y], axis=1)
        if _area(points) > 0:  # a hole's runs the other way round
            result.append((int(labels.ravel()[pixel[0]]), points))
    return result


def _few_corners(outline: tuple[int, np.ndarray], tolerance: float) -> tuple[int, np.ndarray]:
    label, points = outline
    points = points.astype(np.float32)
    far = int(((points - points[0]) ** 2).sum(1).argmax())
    kept = np.zeros(len(points) + 1, bool)
    kept[[0, far]] = True
    ring = np.concatenate([points, points[:1]])
    stack = [(0, far), (far, len(points))]
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        (x0, y0), (x1, y1) = ring[first].tolist(), ring[last].tolist()
        dx, dy = x1 - x0, y1 - y0
        between = ring[first + 1 : last]
        off = np.abs((between[:, 0] - x0) * dy - (between[:, 1] - y0) * dx)
        at = int(off.argmax())
        if off[at] > tolerance * math.hypot(dx, dy) or (dx == dy == 0):
            kept[first + 1 + at] = True
            stack += [(first, first + 1 + at), (first + 1 + at, last)]
    return label, points[kept[:-1]]


def rounded(labels: np.ndarray, share: float, wobble: float, rng: np.random.Generator) -> np.ndarray:
    """A `share` of the smaller regions become ellipses of their place, size and direction, or blobs: ellipses
    whose radius wavers by `wobble`."""
    found = regions(labels)
    chosen = _smaller(found, 0.1 * labels.size, share, rng)
    angle = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    outlines: list[tuple[int, np.ndarray]] = []
    for region in chosen.tolist():
        middle, spread = _moments(found.runs_of(region))
        radius = np.ones_like(angle)
        for wave in (2, 3, 5):
            radius += wobble / wave * rng.normal() * np.cos(wave * angle + rng.uniform(0, 2 * math.pi))
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.maximum(radius, 0.3)[:, None]
        outlines.append((int(found.label[region]), middle + circle @ spread))
    return _redrawn(labels, found, chosen, outlines)


def _moments(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre (2,) and the matrix (2, 2) that makes of the unit circle the ellipse with a region's first and
    second moments, in x, y."""
    _, row, first, last = runs.T.astype(np.float64)
    length = last - first + 1
    x, total = (first + last) / 2, length.sum()
    middle = np.array([(x * length).sum(), (row * length).sum()]) / total
    x, y = x - middle[0], row - middle[1]
    xx = (length * (x * x + (length**2 - 1) / 12)).sum() / total + 0.1
    yy, xy = (length * y * y).sum() / total + 0.1, (length * x * y).sum() / total
    values, vectors = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]))
    return middle, (vectors * (2 * np.sqrt(values))) @ vectors.T


def hulls(labels: np.ndarray, share: float, rng: np.random.Generator, directions: int = 10) -> np.ndarray:
    """A `share` of the smaller regions become convex: their extreme points in a few directions, joined."""
    found = regions(labels)
    chosen = _smaller(found, 0.25 * labels.size, share, rng)
    turn = rng.uniform(0, 2 * math.pi) + np.arange(directions) * (2 * math.pi / directions)
    toward = np.stack([np.cos(turn), np.sin(turn)])
    outlines: list[tuple[int, np.ndarray]] = []
    for region in chosen.tolist():
        _, row, first, last = found.runs_of(region).T
        points = np.concatenate([np.stack([first, row], 1), np.stack([last, row], 1)]).astype(np.float64)
        corners = points[(points @ toward).argmax(0)]
        outlines.append((int(found.label[region]), corners))
    return _redrawn(labels, found, chosen, outlines)


MOST = 40  # regions redrawn in one map; smaller ones after them stay as they are


def _smaller(found: Regions, most: float, share: float, rng: np.random.Generator) -> np.ndarray:
    """Regions to redraw, largest first; above `most` pixels a region is background and keeps its shape."""
    order = np.argsort(-found.size, kind="stable")
    order = order[found.size[order] < most]
    order = order[rng.random(len(order)) < share]
    return order[:MOST]


def _redrawn(
    labels: np.ndarray, found: Regions, chosen: np.ndarray, outlines: list[tuple[int, np.ndarray]]
) -> np.ndarray:
    """A map with the `chosen` regions taken out and `outlines` drawn instead."""
    out = np.zeros(len(found.size), bool)
    out[chosen] = True
    if out.all():
        return labels
    return _drawn(filled(labels, out[found.number]), labels, outlines)


def brushed(labels: np.ndarray, radius: float, covered: float, rng: np.random.Generator) -> np.ndarray:
    """Painted with a round brush of about `radius` pixels: each class, the furthest and largest first, in
    discs around points inside it until `covered` (0…1) of it is painted."""
    height, width = labels.shape
    picture = Image.new("L", (width, height), UNSET)
    draw = ImageDraw.Draw(picture)
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    masks = {label: labels == label for label in present.tolist()}
    rows = {label: float(mask.any(1).nonzero()[0].mean()) / height for label, mask in masks.items()}
    for label in sorted(masks, key=lambda label: rows[label] - 2 * float(masks[label].mean())):
        _brush(draw, picture, masks[label], label, radius * rng.uniform(0.6, 1.5), covered, rng)
    return _settled(np.asarray(picture), labels)


def _brush(
    draw: ImageDraw.ImageDraw,
    picture: Image.Image,
    mask: np.ndarray,
    label: int,
    radius: float,
    covered: float,
    rng: np.random.Generator,
) -> None:
    blurred = np.asarray(
        Image.fromarray(mask.view(np.uint8) * np.uint8(255)).filter(ImageFilter.BoxBlur(radius * 0.7))
    )
    inside = mask & (blurred >= 150)
    area = int(mask.sum())
    for _ in range(4):
        todo = np.flatnonzero(inside & (np.asarray(picture) != label))
        if len(todo) <= (1 - covered) * area:
            return
        strokes = max(1, math.ceil(1.2 * len(todo) / (math.pi * radius * radius)))
        places = todo[rng.integers(len(todo), size=min(strokes, 150))]
        sizes = radius * rng.uniform(0.85, 1.1, len(places))
        for y, x, size in zip(*np.divmod(places, mask.shape[1]), sizes, strict=True):
            draw.ellipse((x - size, y - size, x + size, y + size), fill=label)


# -- Operations at random strength, in the order in which several of them are applied


def _side(labels: np.ndarray) -> int:
    return min(labels.shape)


def _merge(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return merged(labels, int(labels.size * 10 ** rng.uniform(-3.3, -1.7)) + 1)


def _smooth(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return smoothed(labels, _side(labels) * 10 ** rng.uniform(-2.2, -1.15))


def _reduce(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return reduced(labels, int(rng.choice((4, 6, 8, 12, 16))) * max(_side(labels) // 128, 1))


def _straighten(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tidy = merged(smoothed(labels, _side(labels) * 0.008), labels.size // 1000)
    return straightened(tidy, int(rng.integers(1, 5)), int(rng.integers(1, 4)), rng)


def _hull(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _clean(hulls(_tidy(labels, rng), rng.uniform(0.5, 1), rng, int(rng.integers(5, 14))))


def _round(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _clean(rounded(_tidy(labels, rng), rng.uniform(0.5, 1), rng.choice((0.0, 0.25)), rng))


def _polygon(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _clean(polygons(_tidy(labels, rng), _side(labels) * 10 ** rng.uniform(-2, -1.1)))


def _brushes(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return _clean(brushed(_tidy(labels, rng), _side(labels) * 10 ** rng.uniform(-1.7, -0.9), 0.92, rng))


def _tidy(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Few enough regions to redraw one by one: border noise and the smallest things gone."""
    smooth = smoothed(labels, _side(labels) * rng.uniform(0.005, 0.02))
    return merged(smooth, int(labels.size * 10 ** rng.uniform(-3.1, -2.1)) + 1)


def _clean(labels: np.ndarray) -> np.ndarray:
    """Without the slivers that shapes leave between each other."""
    return merged(labels, labels.size // 2000)


Operation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
OPERATIONS: tuple[Operation, ...] = (
    _reduce, _merge, _straighten, _hull, _round, _polygon, _brushes, _smooth
)  # fmt: skip
_SHARES = np.array((2, 2, 2, 1, 2, 3, 3, 3)) / 18


def write_hand_painted(folder: Path, side: int = 256) -> list[Path]:
    """Every hand-painted map as an 8-bit palette PNG in the colours of its label set."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for number, scene in enumerate(SCENES):
        picture = Image.fromarray(hand_painted(number, side))
        picture.putpalette(load_label_set("landscape17").palette())
        paths.append(folder / f"{number:02}-{scene.__name__.replace('_', '-')}.png")
        picture.save(paths[-1])
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write the hand-painted label maps that models are judged by."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=256, help="of the maps, in pixels")
    arguments = parser.parse_args()
    write_hand_painted(arguments.folder, arguments.side)


if __name__ == "__main__":
    main()
