"""Models as the evaluation meets them: a map and a style in, the picture that the product would give out."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch

from engine import Library, Painter
from models.checkpoint import load
from models.labels import LabelSet, convert
from models.spec import ModelSpec
from training import sheet

Code = tuple[float, ...]
_CACHE_MB = 256
REAL = "real"  # no model's title: the column of the real pictures where figures are by class


class Source(ABC):
    """One model's pictures.

    Args:
        path: its checkpoint.
        labels: the set that maps will be in; where the model's own is another, they are converted by meaning.

    Raises:
        CheckpointError: not a model that paints.
    """

    def __init__(self, path: Path, labels: LabelSet) -> None:
        model = load(path)
        self.path, self.spec = path, model.spec
        self._encoder = model.encoder
        self.is_random = sheet.is_random(model.generator)
        self._ids = np.arange(256, dtype=np.uint8)
        self.converted = labels.hash != model.spec.labels.hash
        if self.converted:
            for number, match in convert(labels, model.spec.labels).items():
                self._ids[number] = match.target

    @property
    def has_encoder(self) -> bool:
        """Whether it can be asked for a photo's style."""
        return self._encoder is not None

    def style_of(self, photo: np.ndarray) -> Code | None:
        """The style code of a photo, uint8 (H, W, 3), or None without an encoder."""
        code = sheet.own_style(self._encoder, photo)
        return None if code is None else tuple(code.tolist())

    def paint(self, labels: np.ndarray, code: Code | None, seed: int) -> np.ndarray:
        """uint8 (H, W) → uint8 (H, W, 3). Without a code, the seed decides on the style too."""
        return self._paint(self._ids[labels], code, seed)

    @abstractmethod
    def _paint(self, labels: np.ndarray, code: Code | None, seed: int) -> np.ndarray: ...


class EngineSource(Source):
    """Paints with the engine, as the server does."""

    def __init__(self, path: Path, labels: LabelSet, device: str = "auto", precision: str = "auto") -> None:
        super().__init__(path, labels)
        # A library takes folders; the one around the file may hold another model of the same id.
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / path.name).with_suffix(".safetensors").symlink_to(path.resolve())
            self._library = Library([Path(folder)], None, device, precision, None, _CACHE_MB)
            self._painter: Painter = self._library.painter(None, *self.spec.native)  # reads the file

    def _paint(self, labels: np.ndarray, code: Code | None, seed: int) -> np.ndarray:
        height, width = labels.shape
        if (self._painter.width, self._painter.height) != (width, height):
            self._painter = self._library.painter(None, width, height)
        self._painter.set_map(labels)
        self._painter.set_style(seed if code is None else code)
        self._painter.set_noise(seed)
        return self._painter.render()


class PlainSource(Source):
    """Paints with the plain networks, in float32 on the CPU: slow, and what the engine is checked against."""

    def __init__(self, path: Path, labels: LabelSet) -> None:
        super().__init__(path, labels)
        self._model = load(path)

    def _paint(self, labels: np.ndarray, code: Code | None, seed: int) -> np.ndarray:
        return sheet.paint(self._model, labels, None if code is None else torch.tensor(code), seed)


def open_source(
    path: Path, labels: LabelSet, device: str = "auto", precision: str = "auto", plain: bool = False
) -> Source:
    """A model to be evaluated; raises CheckpointError, and EngineError for a device that is not there."""
    return PlainSource(path, labels) if plain else EngineSource(path, labels, device, precision)


def column_titles(specs: list[tuple[Path, ModelSpec]]) -> list[str]:
    """A title for each model: its name; where two share it, or where it is "real", which stands for the real
    pictures, the file's name behind."""
    names = [spec.name for _, spec in specs]
    titles = [
        name if names.count(name) == 1 and name != REAL else f"{name} ({path.stem})"
        for name, (path, _) in zip(names, specs, strict=True)
    ]
    return [
        title if titles.count(title) == 1 else f"{title} {number}"
        for number, title in enumerate(titles, start=1)
    ]
