from __future__ import annotations

from pathlib import Path

import pytest

from engine import Library
from tests.tiny import write_tiny_model


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two tiny models."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_model(folder, "first", seed=0)
    write_tiny_model(folder, "second", seed=1)
    return folder


@pytest.fixture(scope="package", params=["fp32", "bf16"])
def library(folder: Path, request: pytest.FixtureRequest) -> Library:
    return Library([folder], device="cpu", precision=request.param)
