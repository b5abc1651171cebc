from __future__ import annotations

from pathlib import Path

import pytest

from training.recipe import Recipe

TINY = Recipe(
    widths=(8, 8, 8, 8),
    hidden=4,
    style_dim=8,
    noise_channels=2,
    encoder_widths=(4, 8),
    discriminator_widths=(4, 8, 8),
    segmenter_widths=(4, 8, 8),
    pictures=12,
    crops=((0.0, 32, 2), (0.7, 64, 2)),
    segmenter_pictures=32,
    two_styles=0.4,
    statistics_batches=2,
)


@pytest.fixture
def recipe() -> Recipe:
    """A run of six steps, two crop sizes, both kinds of step."""
    return TINY


@pytest.fixture(scope="session")
def source(root: Path) -> Path:
    return root / "examples" / "data"
