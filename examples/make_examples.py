"""Makes the label maps in this folder: `python -m examples.make_examples [SHARD.tar]`.

lake.png is drawn here; coast-rgb.png is coast.png in the label set's colours. The other maps are those of
rendered test scenes; with the shard that holds them (landscapes-256-00.tar) they are made again.
"""

import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from models.labels import load_label_set
from server.codecs import encode_map

FOLDER = Path(__file__).parent
LABELS = load_label_set("landscape17")
SIZE = 256
SCENES = {
    "coast.png": 200580,
    "desert.png": 101500,
    "meadow.png": 100320,
    "mountains.png": 101360,
    "river.png": 100300,
    "road.png": 101080,
    "rocky-shore.png": 200540,
    "village.png": 100060,
    "winter.png": 100260,
}
"""Name → seed of the scene, all of the test split (seed % 20 == 0)."""


def save(ids: np.ndarray, name: str) -> None:
    """Write ids as an 8-bit palette PNG."""
    (FOLDER / name).write_bytes(encode_map(ids.astype(np.uint8), LABELS))


def ridge(seed: int, base: float, height: float, rough: float) -> np.ndarray:
    """A skyline: for each column the row where the land begins, from a few octaves of smooth noise."""
    rng = np.random.default_rng(seed)
    columns = np.arange(SIZE)
    line = np.zeros(SIZE)
    for octave in range(5):
        points = 3 * 2**octave + 1
        values = rng.uniform(-1, 1, points)
        line += np.interp(columns, np.linspace(0, SIZE - 1, points), values) * rough**octave
    return base - height * line


def fill_below(ids: np.ndarray, line: np.ndarray, name: str, until: int = SIZE) -> None:
    """Paint everything between the skyline and the row `until`."""
    rows = np.arange(SIZE)[:, None]
    ids[(rows >= line[None, :]) & (rows < until)] = LABELS.by_name[name].id


def lake() -> np.ndarray:
    """A mountain lake: snow on the peaks, woods on the far shore, a meadow in front."""
    ids = np.full((SIZE, SIZE), LABELS.by_name["sky"].id, np.uint8)
    clouds = Image.fromarray(ids)
    pen = ImageDraw.Draw(clouds)
    for x, y, w, h in ((20, 30, 70, 14), (52, 22, 60, 16), (170, 44, 64, 12), (196, 38, 46, 14)):
        pen.ellipse((x, y, x + w, y + h), fill=LABELS.by_name["clouds"].id)
    ids = np.array(clouds)
    peaks = ridge(11, 92, 34, 0.55)
    fill_below(ids, peaks, "mountain")
    rows = np.arange(SIZE)[:, None]
    snow_line = ridge(5, 84, 7, 0.8)
    ids[(rows >= peaks[None, :]) & (rows < snow_line[None, :])] = LABELS.by_name["snow"].id
    fill_below(ids, ridge(3, 132, 10, 0.6), "hill")
    fill_below(ids, ridge(8, 144, 6, 0.85), "tree")
    fill_below(ids, np.full(SIZE, 156.0), "river")
    fill_below(ids, ridge(21, 222, 12, 0.5), "grass")
    near = Image.fromarray(ids)
    pen = ImageDraw.Draw(near)
    pen.ellipse((18, 206, 60, 232), fill=LABELS.by_name["rock"].id)
    pen.ellipse((44, 216, 74, 236), fill=LABELS.by_name["rock"].id)
    pen.ellipse((180, 214, 226, 244), fill=LABELS.by_name["bush"].id)
    return np.array(near)


def copy_scenes(shard: Path) -> None:
    """Copy the chosen scenes' label maps out of a shard, with this project's palette."""
    with tarfile.open(shard) as archive:
        for name, seed in SCENES.items():
            member = archive.extractfile(f"labels/{seed}.png")
            if member is None:
                raise SystemExit(f"{shard} has no labels/{seed}.png")
            with Image.open(member) as image:
                save(np.asarray(image), name)


def main() -> None:
    if len(sys.argv) > 1:
        copy_scenes(Path(sys.argv[1]))
    save(lake(), "lake.png")
    with Image.open(FOLDER / "coast.png") as coast:
        coast.convert("RGB").save(FOLDER / "coast-rgb.png", optimize=True)


if __name__ == "__main__":
    main()
