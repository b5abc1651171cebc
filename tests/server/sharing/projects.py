"""Project files as the studio writes them, and in any way that it does not."""

import io
import json
import zipfile
from typing import Any

import numpy as np

from server.limits import Limits
from server.sharing.project import ProjectLimits
from tests.server.conftest import LANDSCAPE, image_file, palette_png

WIDTH, HEIGHT = 24, 16
LIMITS = ProjectLimits(Limits(2048, 1 << 20), 1 << 20, 4 << 20)
Files = dict[str, bytes]


def document(**changes: Any) -> dict[str, Any]:
    """project.json of a painting with two layers and every other plane and picture."""
    return {
        "format": "scenebrush-project",
        "version": 1,
        "app": "0.1.0",
        "title": "Mountain lake 湖",
        "width": WIDTH,
        "height": HEIGHT,
        "label_set": {"hash": LANDSCAPE.hash, **LANDSCAPE.to_json()},
        "model": {"id": "landscape", "name": "Landscape"},
        "light": {"seed": 7, "style": "golden-hour", "code": [0.5, -1]},
        "regions": [{"title": "Sunset", "style": None, "code": [1.5, 2.0]}],
        "layers": [
            {"name": "Base", "visible": True, "locked": False, "file": "layers/0.png"},
            {"name": "Trees", "visible": True, "locked": True, "file": "layers/1.png"},
        ],
        "style_plane": "styles.png",
        "edit_plane": "edits.png",
        "source": "source.jpg",
        "source_map": "source-map.png",
        "photo": "photo.png",
        "photo_of": {"model": "landscape", "seed": 8, "style": [0.5, -1.0], "device": "cpu", "exact": True},
        "thumbnail": "thumbnail.png",
        "created": "2026-11-20T18:00:00.000Z",
        "updated": "2026-11-20T18:30:00.000Z",
        **changes,
    }


def planes() -> dict[str, np.ndarray]:
    """Every file of numbers."""
    rng = np.random.default_rng(1)
    base = rng.integers(0, 17, (HEIGHT, WIDTH)).astype(np.uint8)
    upper = np.where(rng.random((HEIGHT, WIDTH)) < 0.5, 255, 3).astype(np.uint8)
    return {
        "layers/0.png": base,
        "layers/1.png": upper,
        "styles.png": (base % 2).astype(np.uint8),
        "edits.png": (upper == 3).astype(np.uint8),
        "source-map.png": base,
    }


def photo(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Smooth colours, so that a JPEG stays near them."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)


def files(**changes: Any) -> Files:
    """The files of such a project; changes are those of project.json."""
    return {
        "project.json": json.dumps(document(**changes)).encode(),
        **{
            name: palette_png(plane, transparency=255) if "layers" in name else palette_png(plane)
            for name, plane in planes().items()
        },
        "source.jpg": image_file(photo(30, 40), "JPEG", quality=95),
        "photo.png": image_file(photo()),
        "thumbnail.png": image_file(photo(4, 6)),
    }


def zipped(content: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return out.getvalue()


def unzipped(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def project(**changes: Any) -> bytes:
    return zipped(files(**changes))


def simple(**changes: Any) -> bytes:
    """A project of one layer and nothing else."""
    names = ("style_plane", "edit_plane", "source", "source_map", "photo", "photo_of", "thumbnail", "model")
    layer = {"name": "Base", "visible": True, "locked": False, "file": "layers/0.png"}
    said = document(**dict.fromkeys(names), regions=[], layers=[layer]) | changes
    return zipped(
        {
            "project.json": json.dumps(said).encode(),
            "layers/0.png": palette_png(planes()["layers/0.png"]),
        }
    )
