"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch


def write_atomically(value: Any, path: Path) -> None:
    """torch.save that leaves either the old file or the new one, never half of one, whatever dies.

    Raises:
        OSError: it could not be written; what a full disk took is free again.
    """
    with _whole(path) as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:  # torch says where in its own code, the cause is the file
            raise OSError(f"{path} could not be written: {error.__context__ or error}") from error


def write_text(text: str, path: Path) -> None:
    """A text in UTF-8, as whole as `write_atomically` has it."""
    with _whole(path) as file:
        file.write(text.encode())


@contextmanager
def _whole(path: Path) -> Generator[BinaryIO]:
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
