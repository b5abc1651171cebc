"""The one door to a model: a label map, a style and a noise field go in, a picture comes out."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Literal, SupportsIndex

import numpy as np
import torch

from engine.canvas import InstanceMap, LabelMap
from engine.errors import EngineError
from engine.model import Model, Picture, Style
from models.noise import style_from_seed

MAX_SEED = 2**32 - 1
MAX_STYLE = 100.0  # largest magnitude of a style code's values
Quality = Literal["exact", "live"]


class Painter:
    """Paints one label map in one style. For one thread at a time: the device worker's.

    Equal map, style, noise seed, model, device, precision and thread count give equal bytes, whatever was
    painted before.

    Args:
        model: the checkpoint, ready to paint.
        width, height: size of the map and of the picture in pixels; any size, painted on the next multiple of
            the model's stride and cropped.

    Raises:
        EngineError: a side smaller than 1, or a size that the model cannot paint.
    """

    def __init__(self, model: Model, width: int, height: int) -> None:
        self._model, self.spec = model, model.spec
        self.width, self.height = width, height
        self._known = np.zeros(256, bool)
        self._known[[label.id for label in self.spec.labels.labels]] = True
        self._canvas = model.canvas(width, height)
        self._style = Style(torch.zeros(self.spec.style_dim))
        self._exact = True
        self.set_style(0)

    @property
    def labels(self) -> LabelMap:
        """A copy of the label map, uint8 (H, W)."""
        return self._canvas.labels.copy()

    @property
    def style(self) -> tuple[float, ...]:
        """The current style code."""
        return tuple(float(value) for value in self._style.code)

    @property
    def exact(self) -> bool:
        """Whether the last picture was the whole frame at the chosen precision, not a preview."""
        return self._exact

    @property
    def batch_key(self) -> tuple[str, int, int]:
        """Painters with equal keys can be painted together: model, and size of the padded canvas."""
        height, width = self._canvas.padded
        return self.spec.id, width, height

    def set_map(self, labels: LabelMap) -> None:
        """Replace the whole map.

        Args:
            labels: uint8 (H, W), ids of the model's label set.

        Raises:
            EngineError: another shape or type, or an id that the model does not know; the map stays as it
            was.
        """
        if labels.shape != (self.height, self.width):
            raise EngineError(
                f"a map of {labels.shape}",
                f"the canvas is ({self.height}, {self.width})",
                "Send one of its size.",
            )
        self.apply(0, 0, labels)

    def apply(self, x: int, y: int, labels: LabelMap) -> None:
        """Replace a rectangle of the map.

        Args:
            x, y: its left and top edge in pixels.
            labels: uint8 (h, w).

        Raises:
            EngineError: not inside the canvas, another type, or an unknown id; the map stays as it was.
        """
        if labels.ndim != 2 or labels.dtype != np.uint8:
            raise EngineError(
                f"labels of type {labels.dtype} {labels.shape}", "expected uint8 (h, w)", "Convert them."
            )
        height, width = labels.shape
        if not (x >= 0 and y >= 0 and x + width <= self.width and y + height <= self.height and labels.size):
            raise EngineError(
                f"a patch of {width}×{height} at ({x}, {y})",
                f"it does not lie inside the canvas of {self.width}×{self.height}",
                "Send a rectangle inside it.",
            )
        self._check_ids(labels)
        self._canvas.put(x, y, labels)

    def _check_ids(self, labels: LabelMap) -> None:
        if self._known[labels].all():
            return
        counts = np.bincount(labels.ravel(), minlength=256)
        unknown = int(np.flatnonzero((counts > 0) & ~self._known)[0])
        raise EngineError(
            f"class id {unknown} ({counts[unknown]} pixels)",
            f"the label set {self.spec.labels.name!r} has no such id",
            f"Use its ids, {min(self.spec.labels.by_id)}…{max(self.spec.labels.by_id)}.",
        )

    def set_style(self, style: SupportsIndex | Sequence[float]) -> None:
        """Set the light.

        Args:
            style: a seed, 0 … MAX_SEED, which sets the style code drawn from it and the noise field; or a
            style code
                of `spec.style_dim` finite values, which leaves the noise as it is.

        Raises:
            EngineError: a seed out of range, or a code of another length or with values that are not finite.
        """
        if isinstance(style, SupportsIndex):
            seed = index(style)
            self.set_noise(seed)
            normal = style_from_seed(seed, self.spec.style_dim)
            self._style = Style(self._model.network.code_from_normal(normal), seed)
            return
        if len(style) != self.spec.style_dim:
            raise EngineError(
                f"a style code of {len(style)} values",
                f"the model has {self.spec.style_dim}",
                "Send as many.",
            )
        code = torch.tensor(style, dtype=torch.float32)
        if not torch.isfinite(code).all() or code.abs().max() > MAX_STYLE:
            raise EngineError(
                "the style code",
                f"it holds values that are not finite or beyond ±{MAX_STYLE:g}",
                "Send others.",
            )
        self._style = Style(code, self._style.seed)

    def set_noise(self, seed: int) -> None:
        """Choose the noise field: the small shapes inside regions, at fixed places.

        Raises:
            EngineError: a seed outside 0 … MAX_SEED.
        """
        if not 0 <= seed <= MAX_SEED:
            raise EngineError(
                f"seed {seed}", f"seeds are whole numbers from 0 to {MAX_SEED}", "Choose one of those."
            )
        self._style.seed = seed

    def set_instances(self, instances: InstanceMap | None) -> None:
        """Say which pixels belong to one thing, for models that read the edges between things.

        Args:
            instances: uint16 (H, W), or None: every class is one thing, so that edges stand on label borders.

        Raises:
            EngineError: another shape or type, or a model that reads no instance edges.
        """
        if instances is None:
            self._canvas.put_instances(None)
            return
        if not self._model.network.instance_edges:
            raise EngineError("an instance map", f"model {self.spec.id!r} reads none", "Leave it out.")
        if instances.shape != (self.height, self.width) or instances.dtype != np.uint16:
            raise EngineError(
                f"an instance map of {instances.dtype} {instances.shape}",
                f"expected uint16 ({self.height}, {self.width})",
                "Send one of the canvas's size.",
            )
        self._canvas.put_instances(instances.copy())

    def render(self, quality: Quality = "exact") -> Picture:
        """Paint: uint8 (H, W, 3), RGB.

        Args:
            quality: "exact", the whole frame at the chosen precision; or "live", which may repaint only near
                what changed since the last picture. `exact` says afterwards which it was.
        """
        self._exact = True
        return self._model.paint(self._canvas, self._style)
