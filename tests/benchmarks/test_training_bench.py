"""The training benchmark measures both forwards, on a tiny recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import training
from engine.native.build import load
from training.patterned import SOURCE
from training.recipe import load_recipe

TINY = {
    "network.widths": [8, 8, 8],
    "network.hidden": 4,
    "network.encoder_widths": [4, 8],
    "network.discriminator_widths": [4, 8],
    "network.segmenter_widths": [4, 8, 8, 8],
}


def test_rows_hold_both_speeds(root: Path) -> None:
    library, reason = load(SOURCE)
    if library is None:
        pytest.skip(reason)
    recipe = load_recipe("builtin", TINY)
    rows = training.measure(recipe, root / "examples" / "data", "32-true", 1, ((32, 2),))
    assert [row["what"] for row in rows] == ["generator", "step"]
    for row in rows:
        assert (row["side"], row["batch"]) == (32, 2)
        assert row["ratio"] == pytest.approx(float(row["patterned_per_s"]) / float(row["plain_per_s"]))
        assert float(row["plain_per_s"]) > 0
