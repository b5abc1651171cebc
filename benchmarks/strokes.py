"""Makes server/loadtool/strokes.json, the strokes that `scenebrush bench-load` replays:
`python -m benchmarks.strokes`. The same file every time.

Nobody's hand was recorded. The paths follow what is known of hands: each stroke is a chain of reaches
between a few places, each reach of least jerk (Flash & Hogan 1985), the next one begun before the last has
ended and added to it (Flash & Henis 1991), lasting as long as Fitts' law (1954) says for its length and the
brush's width; over it lies a tremor of 8 to 12 Hz. Pauses between strokes are log-normal: short ones within
a shape, long ones for thought.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FILE = Path(__file__).parents[1] / "server" / "loadtool" / "strokes.json"
SEED = 20261130
STROKES = 32
STEP_MS = 16  # a mouse reports about once a frame
UNITS = 1000  # of the canvas's side
OVERLAP = 0.75  # of a reach has passed when the next one begins
FITTS_A, FITTS_B = 0.12, 0.15  # seconds, seconds per bit: a mouse
TREMOR = 1.2  # units
LABELS = 12  # places in a label set; the tool takes them modulo its size


def least_jerk(t: np.ndarray) -> np.ndarray:
    """How much of a reach is done at time t, 0 to 1 (Flash & Hogan 1985, eq. 5)."""
    t = np.clip(t, 0.0, 1.0)
    return t**3 * (10 + t * (6 * t - 15))


def path(places: np.ndarray, brush: float, rng: np.random.Generator) -> list[list[int]]:
    """Rows of milliseconds, x and y in thousandths of the side, through the places (n, 2)."""
    reaches = np.diff(places, axis=0)
    lengths = np.hypot(*reaches.T)
    seconds = (FITTS_A + FITTS_B * np.log2(1 + lengths / brush)) * rng.uniform(0.85, 1.25, len(lengths))
    begins = np.concatenate(([0.0], np.cumsum(seconds[:-1] * OVERLAP)))
    times = np.arange(0, (begins + seconds).max() + STEP_MS / 1000, STEP_MS / 1000)
    done = least_jerk((times[:, None] - begins) / seconds)  # (time, reach)
    points = places[0] + done @ reaches
    tremor = np.sin(2 * np.pi * (rng.uniform(8, 12, 2) * times[:, None] + rng.uniform(0, 1, 2)))
    points = np.clip(points + TREMOR * tremor, 0, UNITS - 1)
    return [[round(1000 * t), round(x), round(y)] for t, (x, y) in zip(times, points, strict=True)]


def stroke(rng: np.random.Generator) -> dict[str, object]:
    """One stroke: a contour across, a patch rubbed over, or a dab."""
    brush = int(rng.choice([24, 48, 80, 120]))
    kind = rng.choice(["contour", "rub", "dab"], p=[0.45, 0.4, 0.15])
    start = rng.uniform(120, 880, 2)
    if kind == "contour":
        turns = rng.normal(0, 0.5, int(rng.integers(3, 7))).cumsum() + rng.uniform(0, 2 * np.pi)
        moves = rng.uniform(80, 260, len(turns))[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
    elif kind == "rub":
        across = rng.uniform(120, 320)
        moves = np.array([[across * (-1) ** n, brush * 0.6] for n in range(int(rng.integers(4, 10)))])
        moves += rng.normal(0, 12, moves.shape)
    else:
        moves = rng.normal(0, 10, (2, 2))
    places = np.clip(np.concatenate([start[None], start + moves.cumsum(0)]), 20, UNITS - 20)
    pause = float(np.clip(rng.lognormal(-0.3, 0.8), 0.15, 4.0))
    return {
        "pause_ms": round(1000 * pause),
        "label": int(rng.integers(LABELS)),
        "brush": brush,
        "points": path(places, brush, rng),
    }


def recording() -> dict[str, object]:
    """All strokes, as the file holds them."""
    rng = np.random.default_rng(SEED)
    return {"units": UNITS, "strokes": [stroke(rng) for _ in range(STROKES)]}


def main() -> None:
    FILE.write_text(json.dumps(recording(), separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
