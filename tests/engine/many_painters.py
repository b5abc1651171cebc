"""Run by test_memory.py in a process of its own: many painters, and what memory that took.

Three models of six resolutions take turns: one of the built-in family, one that reads instances, one with a
style for each region. Their networks are next to nothing, so that time and memory are the engine's own. Maps
are noise, as varied as tables serve, and painted ones; live patches of every size follow.

Prints JSON: bytes resident once every model has painted every kind of map, and at the highest until then;
after the last picture, and at the highest; the most that tables held after a picture; how many pictures were
previews; how many painters' maps were too varied for tables at some resolution, and at none; and for each
painter what its map and its preview take.
"""

from __future__ import annotations

import ctypes
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from engine import Library, Painter, modulation
from engine.canvas import Canvas, LabelMap
from engine.preview import Preview
from models.checkpoint import LoadedModel, save
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.labels import load_label_set
from models.spec import ModelSpec
from tests.engine import published

CLASSES = published.CLASSES
HIDDEN = 2
CELLS = (1, 16, 64)  # sides of a map's squares: noise, as varied as tables serve, painted
SETTLED = 9  # painters, until every model has met every kind


def smallest_models() -> Sequence[LoadedModel]:
    """One of each kind."""
    widths = [2, 1, 1, 1, 1, 1]
    options = {"widths": widths, "hidden": HIDDEN, "noise_channels": 1, "encoder_widths": [1]}
    labels = load_label_set("landscape17")
    spec = ModelSpec("styled", "Styled", "styled-spade", labels, 64, 32, 1, "Apache-2.0", {}, options)
    styled = LoadedModel(spec, StyledSpadeGenerator(17, widths, HIDDEN, 1, 1), StyleEncoder([1], 1))
    common = {"width": 1, "statistics": "batch", "hidden": HIDDEN, "kernel": 3}
    edges = published.spade(width=1, hidden=HIDDEN, instance_edges=True)
    oasis = published.oasis(width=1, hidden=HIDDEN, style_dim=1)
    of_spade = common | {"upsampling": "normal", "instance_edges": True}
    return [
        styled,
        replace(edges, spec=replace(edges.spec, id="edges", options=of_spade)),
        replace(oasis, spec=replace(oasis.spec, id="oasis", options=common)),
    ]


def status(entry: str) -> int:
    """Bytes, from the kernel's account of this process, but for freed ones that the C library holds back."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{entry}:"))) * 1024


class Crowd:
    """Painters of one library. cached: the most that its tables held after a picture. previews: how many
    pictures were previews."""

    def __init__(self, library: Library, side: int) -> None:
        self.library, self.side = library, side
        self.painters: list[Painter] = []
        self.cached = self.previews = 0
        self._rng = np.random.default_rng(0)

    def add(self) -> None:
        """One painter more, and its first picture."""
        number, side = len(self.painters), self.side
        painter = self.library.painter(self.library.specs()[number % 3].id, side, side)
        painter.set_map(self._labels(side, side, CELLS[number // 3 % 3]))
        if painter.spec.id == "edges":
            painter.set_instances(self._labels(side, side, 64).astype(np.uint16))
        if painter.spec.id != "edges":
            painter.set_regions([[0.0], [1.0]])
            painter.set_style_plane(self._labels(side, side, 64) % 3)
        self.painters.append(painter)
        self._paint(painter)

    def dab(self, painter: Painter) -> None:
        """A live picture after a patch of any size."""
        height, width = (int(self.side ** self._rng.uniform(0.2, 1)) for _ in range(2))
        x, y = self._rng.integers(0, self.side - width + 1), self._rng.integers(0, self.side - height + 1)
        painter.apply(x, y, self._labels(height, width, 32))
        self._paint(painter)

    def _paint(self, painter: Painter) -> None:
        painter.render("live")
        self.cached = max(self.cached, self.library.cached_bytes)
        self.previews += not painter.exact

    def too_varied(self) -> list[bool]:
        """For every painter, whether norms of its last frame were convolved."""
        return [any(level.index is None for level in painter._canvas.levels) for painter in self.painters]

    def kept(self) -> list[tuple[int, int]]:
        """For every painter, bytes of its map, instances, styles and numbers, and of its preview."""
        return [(_canvas_bytes(painter._canvas), _preview_bytes(painter)) for painter in self.painters]

    def _labels(self, height: int, width: int, cell: int) -> LabelMap:
        coarse = self._rng.integers(0, CLASSES, (height // cell + 1, width // cell + 1), dtype=np.uint8)
        return np.ascontiguousarray(coarse.repeat(cell, 0).repeat(cell, 1)[:height, :width])


def _canvas_bytes(canvas: Canvas) -> int:
    return canvas.nbytes + (0 if canvas.instances is None else canvas.instances.nbytes)


def _preview_bytes(painter: Painter) -> int:
    model, preview = painter._model, painter._preview
    size = painter._canvas.padded
    return 0 if preview is None else Preview.needs(model.network, model.backend, size)


def main(painters: int, side: int, cache_mb: int, session_mb: int, largest_table: int) -> None:
    torch.manual_seed(0)
    modulation.LARGEST_TABLE = largest_table
    with tempfile.TemporaryDirectory() as folder:
        for model in smallest_models():
            save(Path(folder, f"{model.spec.id}.safetensors"), model.spec, model.generator, model.encoder)
        library = Library([Path(folder)], device="cpu", threads=1, cache_mb=cache_mb, session_mb=session_mb)
        crowd = Crowd(library, side)
        first: dict[str, int] = {}
        while len(crowd.painters) < painters:
            crowd.add()
            crowd.dab(crowd.painters[-1])
            if len(crowd.painters) == SETTLED:
                first = {"first": status("VmRSS"), "first_highest": status("VmHWM")}
        for painter in crowd.painters[::5]:
            crowd.dab(painter)
        last = {"last": status("VmRSS"), "highest": status("VmHWM")}
        report = {
            "cached": crowd.cached,
            "previews": crowd.previews,
            "too varied": sum(crowd.too_varied()),
            "kept": crowd.kept(),
        }
        sys.stdout.write(json.dumps(first | last | report))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
