"""Run by test_memory.py in a process of its own: many painters of noise, and what memory that took.

Prints JSON: bytes resident after the first picture and at the highest until then, after the last and
at the highest.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from engine import Library, Painter, modulation
from engine.network import LabelConv
from models.checkpoint import save
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.labels import load_label_set
from models.spec import ModelSpec

REAL = 3  # pictures that are really computed


def smallest_library(folder: Path, cache_mb: int, session_mb: int) -> Library:
    """One model whose networks are next to nothing, so that memory and time are the engine's own."""
    options = {"widths": [1, 1], "hidden": 1, "noise_channels": 1, "encoder_widths": [1]}
    labels = load_label_set("landscape17")
    spec = ModelSpec("one", "One", "styled-spade", labels, 64, 2, 1, "Apache-2.0", {}, options)
    save(folder / "one.safetensors", spec, StyledSpadeGenerator(17, [1, 1], 1, 1, 1), StyleEncoder([1], 1))
    return Library([folder], device="cpu", threads=1, cache_mb=cache_mb, session_mb=session_mb)


def status(entry: str) -> int:
    """Bytes, from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{entry}:"))) * 1024


def compute_nothing(library: Library) -> None:
    """From here on no arithmetic, and counting windows no further than needed: both take most of the time and
    keep no memory."""
    modulation.LARGEST_TABLE = 1 << 16
    backend = library._backend
    backend.convolve = lambda x, weights, *, out, **_: out.zero_()  # type: ignore[method-assign]
    backend.modulate = lambda x, modulation, *, out, **_: out.zero_()  # type: ignore[method-assign]
    LabelConv.rows = lambda self, cells, styles: torch.zeros(cells.shape[0], self.fout)  # type: ignore[method-assign]


def main(painters: int, side: int, cache_mb: int, session_mb: int) -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        library = smallest_library(Path(folder), cache_mb, session_mb)
        kept: list[Painter] = []
        first = first_highest = 0
        for number in range(painters):
            if number == REAL:
                compute_nothing(library)
            painter = library.painter(None, side, side)
            painter.set_map(rng.integers(0, 17, (side, side), dtype=np.uint8))
            painter.render("live")
            kept.append(painter)
            first, first_highest = first or status("VmRSS"), first_highest or status("VmHWM")
        report = {
            "first": first,
            "first_highest": first_highest,
            "last": status("VmRSS"),
            "highest": status("VmHWM"),
            "cached": library.cached_bytes,
            "previews": sum(painter._preview is not None for painter in kept),
        }
        sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
