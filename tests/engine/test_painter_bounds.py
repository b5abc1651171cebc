"""What one painter holds between pictures, at most, whatever is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import MAX_REGIONS, Library, Painter
from tests.tiny import STYLE_DIM, write_tiny_model

SIDE = 128
A_PIXEL = 11  # bytes of map and numbers, docs/architecture.md
STYLES = 1  # and of the style plane
MIB = 1 << 20


@pytest.fixture
def library(tmp_path: Path) -> Library:
    write_tiny_model(tmp_path)
    return Library([tmp_path], device="cpu", precision="fp32", threads=1, session_mb=2)


def hostile(library: Library) -> Painter:
    """Its styles change with every pixel."""
    random = np.random.default_rng(0)
    painter = library.painter(None, SIDE, SIDE)
    painter.set_map(random.integers(1, 17, (SIDE, SIDE)).astype(np.uint8))
    painter.set_regions(random.normal(size=(MAX_REGIONS, STYLE_DIM)).tolist())
    painter.set_style_plane(random.integers(0, MAX_REGIONS + 1, (SIDE, SIDE)).astype(np.uint8))
    return painter


def held(painter: Painter) -> tuple[int, int]:
    """Bytes of the canvas, and of the preview."""
    preview = painter._preview
    return painter._canvas.nbytes, 0 if preview is None else preview.nbytes


def test_a_style_plane_that_holds_too_much_is_forgotten(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = hostile(library)
    expected = kept.render()
    assert held(kept)[0] > (A_PIXEL + STYLES) * SIDE**2 + MIB, "there is something to be forgotten"
    monkeypatch.setattr("engine.painter.LEAST_FOR_BLENDS", 0)
    library = Library([library.path().parent], device="cpu", precision="fp32", threads=1, session_mb=1)
    painter = hostile(library)
    for quality in ("exact", "live", "live", "exact"):
        assert np.array_equal(painter.render(quality), expected)  # type: ignore[arg-type]
        canvas, preview = held(painter)
        assert canvas + preview <= (A_PIXEL + STYLES) * SIDE**2 + MIB
    other = hostile(library)
    pictures = library.render_many([painter, other])
    assert all(np.array_equal(picture, expected) for picture in pictures)
    assert held(other)[0] <= (A_PIXEL + STYLES) * SIDE**2 + MIB


def test_what_a_painter_lets_go_of_leaves_its_planes(library: Library) -> None:
    painter = hostile(library)
    expected = painter.render()
    painter.render("live")
    before = sum(held(painter))
    freed = painter.let_go()
    assert held(painter)[1] == 0
    assert before - sum(held(painter)) <= freed
    assert painter._canvas.labels.any()
    assert np.array_equal(painter.render(), expected)
