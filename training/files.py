"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def write_atomically(value: Any, path: Path) -> None:
    """torch.save that leaves either the old file or the new one, never half of one, whatever dies."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        torch.save(value, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
