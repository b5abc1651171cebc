"""`make bench-seams`: how much the seam of an edit shows, by each blend.

Edits as POST /edit makes them: of rendered photos, read by the segmenter, and of pictures that the model
painted itself; at their own size, and large ones in a crop. Each is painted once and put in by every blend,
and pasted without feather or matched colours. A seam is the median gradient across the region's border, or in
its feather if that is larger, in medians of what is deeper inside (server/editing/seam.py); 1.5 is the most
that was aimed at.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from engine import Library
from models.labels import LabelSet
from server import edits
from server.codecs import decode_map, encode_map
from server.editing.blend import BLENDS
from server.editing.compose import Mixing, put_in
from server.editing.regions import distances
from server.editing.seam import Seam, measure
from server.edits import STYLE_SIDE, EditLimits, Painting
from server.limits import Limits
from server.maps import resize_nearest
from server.photos import Photo, encode_photo
from server.provenance import generated
from server.rendering import Patch, Renderer, RenderRequest
from server.schemas_editing import EditRequest
from server.segmenting import READING_SIDE, Segmenters, in_labels
from training.data import read_pairs

RESULTS: Final = Path(__file__).parent / "results"
EXAMPLES: Final = Path(__file__).parent.parent / "examples"
MOST: Final = 1.5
LIMITS: Final = EditLimits(1 << 25, 1 << 24, Limits(2048, 1 << 20))
# What a person might put where something else was.
INSTEAD: Final = {
    "sky": "clouds", "clouds": "sky", "mountain": "snow", "hill": "tree", "snow": "rock", "rock": "grass",
    "dirt": "grass", "grass": "flower", "flower": "grass", "bush": "grass", "tree": "grass", "sand": "sea",
    "sea": "sand", "river": "grass", "road": "grass", "house": "tree",
}  # fmt: skip
WAYS: Final = {
    "pasted": Mixing("feather", 0, match=False),
    **{blend: Mixing(blend) for blend in BLENDS},
    "pyramid, own colours": Mixing("pyramid", match=False),
}


@dataclass(frozen=True)
class Case:
    """A picture file to edit, its region, and what to ask for."""

    name: str
    kind: str
    file: bytes
    region: np.ndarray
    fields: EditRequest


@dataclass(frozen=True)
class Outcome:
    """A case's edit, by the name of the way it was put in."""

    case: Case
    source: np.ndarray
    pictures: dict[str, np.ndarray]
    seams: dict[str, Seam]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=EXAMPLES / "data", help="pairs to edit; the validation split"
    )
    parser.add_argument("--limit", type=int, default=40, help="most of them")
    parser.add_argument("--sheets", type=Path, help="folder for before-and-after pictures")


def run(arguments: argparse.Namespace) -> None:
    """Measure, show, write benchmarks/results/seams.json."""
    library = Library.builtin()
    outcomes = [edit(library, case) for case in cases(library, arguments.data, arguments.limit)]
    Console().print(*tables(outcomes))
    RESULTS.mkdir(exist_ok=True)
    rows = [
        {"case": one.case.name, "kind": one.case.kind, "way": way, **asdict(seam), "ratio": seam.ratio}
        for one in outcomes
        for way, seam in one.seams.items()
    ]
    (RESULTS / "seams.json").write_text(json.dumps({"model": library.default_id, "rows": rows}, indent=1))
    if arguments.sheets:
        arguments.sheets.mkdir(parents=True, exist_ok=True)
        for kind in dict.fromkeys(one.case.kind for one in outcomes):
            sheet(
                [one for one in outcomes if one.case.kind == kind][:6], arguments.sheets / f"seams-{kind}.png"
            )


# What is edited


def cases(library: Library, data: Path, limit: int) -> Iterator[Case]:
    """Rendered photos of the validation split, then pictures that the model paints."""
    labels = library.spec().labels
    for number, pair in enumerate(read_pairs(data, "validation", limit)):
        yield from _both(
            "photo", pair.name, encode_photo(Photo(pair.image), "png", 92), pair.labels, labels, number
        )
    for number, path in enumerate(sorted(EXAMPLES.glob("*.png"))):
        if "rgb" not in path.stem:
            ids = decode_map(path.read_bytes(), labels, 1 << 22)
            for side, kind in ((256, "painted"), (1024, "painted-1024")):
                drawn = resize_nearest(ids, side, side)
                yield from _both(
                    kind, path.stem, _painted(library, drawn, number), drawn, labels, 100 + number
                )


def _painted(library: Library, ids: np.ndarray, seed: int) -> bytes:
    """A picture of the model's own. The small ones say so, and are edited in their own light; the large ones
    say nothing, as photos from elsewhere."""
    spec, (height, width) = library.spec(), ids.shape
    rendered = Renderer(library).render(
        RenderRequest(spec.id, width, height, seed, None, (Patch(0, 0, ids),))
    )
    own = (
        generated(spec, seed, rendered.style, None, map=encode_map(ids, spec.labels))
        if width < 1000
        else None
    )
    return encode_photo(Photo(rendered.picture), "png", 92, own)


def _both(kind: str, name: str, file: bytes, ids: np.ndarray, labels: LabelSet, seed: int) -> Iterator[Case]:
    share = 0.15 if ids.shape[0] < 1000 else 0.02
    region = blob(ids.shape, seed, share)
    stands = labels.by_id[int(np.bincount(ids[region]).argmax())].name
    new = INSTEAD.get(stands, "grass")
    yield Case(
        f"{name}, {stands} → {new}", kind, file, region, EditRequest(action="relabel", label=new, seed=5)
    )
    yield Case(f"{name}, {stands}", kind, file, region, EditRequest(action="resample", seed=5))


def blob(shape: tuple[int, int], seed: int, share: float) -> np.ndarray:
    """A rounded region of about this share of the picture, somewhere near its middle: bool (H, W)."""
    random, (height, width) = np.random.default_rng(seed), shape
    side = np.sqrt(share) * height
    rough = cv2.GaussianBlur(random.normal(size=shape), (0, 0), side / 3)
    y, x = np.mgrid[:height, :width]
    middle = random.uniform(0.3, 0.7, 2) * shape
    rise = -np.hypot(y - middle[0], x - middle[1]) / side + 0.25 * rough / rough.std()
    return rise > np.quantile(rise, 1 - share)


# How


def edit(library: Library, case: Case) -> Outcome:
    """Paint a case once, as /edit does, and put it in every way."""
    mask = io.BytesIO()
    Image.fromarray(case.region.astype(np.uint8) * 255).save(mask, "PNG")
    job = edits.prepare(case.fields, {"image": case.file, "region": mask.getvalue()}, library, LIMITS)
    if not isinstance(job, Painting):
        raise TypeError("nothing is painted")
    segmenters, seen = Segmenters(library, Path()), None
    if job.reads_labels:
        reader = segmenters.find(None)
        seen = in_labels(segmenters.read(job.crop(READING_SIDE), reader), reader.labels, job.spec.labels).map
    own = library.style_of(job.photo.rgb(STYLE_SIDE), job.spec.id) if job.reads_style else job.own
    pictures = [Renderer(library).render(request).picture for request in edits.requests(job, seen, own)]
    results: dict[str, np.ndarray] = {}
    seams: dict[str, Seam] = {}
    for way, mixing in WAYS.items():
        result, feather = put_in(job.photo.samples, pictures[0], case.region, job.plan, mixing, pictures[-1])
        if not np.array_equal(result[~case.region], job.photo.samples[~case.region]):
            raise RuntimeError(f"{case.name}: something outside the region moved")
        results[way], seams[way] = np.asarray(result, np.uint8), measure(result, case.region, feather)
    return Outcome(case, np.asarray(job.photo.samples, np.uint8), results, seams)


# What is shown


def tables(outcomes: Sequence[Outcome]) -> list[Table]:
    """One table for each kind of picture and action: medians over its edits."""
    return [
        _table(
            [one for one in outcomes if (one.case.kind, one.case.fields.action) == group], " · ".join(group)
        )
        for group in dict.fromkeys((one.case.kind, one.case.fields.action) for one in outcomes)
    ]


def _table(outcomes: Sequence[Outcome], title: str) -> Table:
    columns = ("put in", "seam", "90 %", f"≤ {MOST}", "border", "feather", "inside", "around")
    table = Table(*columns, title=f"{title}, {len(outcomes)} edits")
    for way in WAYS:
        seams = [one.seams[way] for one in outcomes]
        ratios = np.array([seam.ratio for seam in seams])
        parts = np.median([[one.border, one.band, one.interior, one.surroundings] for one in seams], axis=0)
        table.add_row(
            way,
            f"{np.median(ratios):.2f}",
            f"{np.quantile(ratios, 0.9):.2f}",
            f"{np.mean(ratios <= MOST):.0%}",
            *(f"{part:.1f}" for part in parts),
        )
    return table


def sheet(outcomes: Sequence[Outcome], path: Path, side: int = 176) -> None:
    """Each edit in a row: before, with the region outlined; pasted; and by every blend."""
    rows = [
        np.hstack(
            [
                _cell(_outlined(one), one, side),
                *(_cell(one.pictures[way], one, side) for way in list(WAYS)[:4]),
            ]
        )
        for one in outcomes
    ]
    Image.fromarray(np.vstack(rows)).save(path)


def _outlined(outcome: Outcome) -> np.ndarray:
    picture, inside = outcome.source.copy(), distances(outcome.case.region)
    picture[(inside > 0) & (inside <= max(1, len(picture) / 160))] = (255, 0, 200)
    return picture


def _cell(picture: np.ndarray, outcome: Outcome, side: int) -> np.ndarray:
    """The picture, or what lies around the region of a large one, at one size."""
    y, x = (int(place.mean()) for place in np.nonzero(outcome.case.region))
    half = min(len(picture) // 2, 160)
    y, x = (min(max(half, place), len(picture) - half) for place in (y, x))
    part: Any = picture[y - half : y + half, x - half : x + half]
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA))
