"""The one door to a model: a label map, a style and a noise field go in, a picture comes out."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Literal, SupportsIndex

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.device import Compute
from engine.errors import EngineError
from models.checkpoint import LoadedModel
from models.generator import StyledSpadeGenerator
from models.noise import style_from_seed
from models.spade import StyleField

MAX_SEED = 2**32 - 1
MAX_STYLE = 100.0  # largest magnitude of a style code's values
LabelMap = NDArray[np.uint8]
InstanceMap = NDArray[np.uint16]
Picture = NDArray[np.uint8]
Quality = Literal["exact", "live"]


def prepared(generator: StyledSpadeGenerator, compute: Compute) -> StyledSpadeGenerator:
    """Move a generator to the device; its convolutions take the chosen type and channels-last memory."""
    for module in generator.modules():
        if isinstance(module, nn.Conv2d):
            module.to(compute.dtype)
    return generator.to(compute.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


class Painter:
    """Paints one label map in one style. For one thread at a time: the device worker's.

    Equal map, style, noise seed, model, device, precision and thread count give equal bytes, whatever was
    painted before.

    Args:
        model: the checkpoint; its generator must have been `prepared` for `compute`.
        compute: device and precision.
        width, height: size of the map and of the picture in pixels; any size, painted on the next multiple of
        the
            model's stride and cropped.
    """

    def __init__(self, model: LoadedModel, compute: Compute, width: int, height: int) -> None:
        if width < 1 or height < 1:
            raise EngineError(
                f"a canvas of {width}×{height}", "both sides must be at least 1", "Give another size."
            )
        self._generator, self._compute, self.spec = model.generator, compute, model.spec
        self.width, self.height = width, height
        self._known = np.zeros(256, bool)
        self._known[[label.id for label in self.spec.labels.labels]] = True
        self._labels: LabelMap = np.full((height, width), self.spec.labels.labels[0].id, np.uint8)
        self._noise_seed: int | None = None
        self._noise: list[Tensor] = []
        self._code = torch.zeros(self.spec.style_dim)
        self._exact = True
        self.set_style(0)

    @property
    def labels(self) -> LabelMap:
        """A copy of the label map, uint8 (H, W)."""
        return self._labels.copy()

    @property
    def style(self) -> tuple[float, ...]:
        """The current style code."""
        return tuple(float(value) for value in self._code)

    @property
    def exact(self) -> bool:
        """Whether the last picture was the whole frame at the chosen precision, not a preview."""
        return self._exact

    @property
    def batch_key(self) -> tuple[str, int, int]:
        """Painters with equal keys can be painted together: model, and size of the padded canvas."""
        stride = self._generator.stride
        return self.spec.id, self.width + -self.width % stride, self.height + -self.height % stride

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
        self._labels[y : y + height, x : x + width] = labels

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
            self._code = self._generator.code_from_normal(normal.to(self._compute.device)).cpu()
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
        self._code = code

    def set_noise(self, seed: int) -> None:
        """Choose the noise field: the small shapes inside regions, at fixed places.

        Raises:
            EngineError: a seed outside 0 … MAX_SEED.
        """
        if not 0 <= seed <= MAX_SEED:
            raise EngineError(
                f"seed {seed}", f"seeds are whole numbers from 0 to {MAX_SEED}", "Choose one of those."
            )
        if seed != self._noise_seed:
            self._noise_seed, self._noise = seed, []

    def set_instances(self, instances: InstanceMap | None) -> None:
        """Say which pixels belong to one thing, for models that read the edges between things.

        Args:
            instances: uint16 (H, W), or None: every class is one thing, so that edges stand on label borders.

        Raises:
            EngineError: another shape or type, or a model that reads no instance edges.
        """
        if instances is None:
            return
        raise EngineError("an instance map", f"model {self.spec.id!r} reads none", "Leave it out.")

    @torch.inference_mode()
    def render(self, quality: Quality = "exact") -> Picture:
        """Paint: uint8 (H, W, 3), RGB.

        Args:
            quality: "exact", the whole frame at the chosen precision; or "live", which may repaint only near what
                changed since the last picture. `exact` says afterwards which it was.
        """
        stride, device = self._generator.stride, self._compute.device
        labels = torch.from_numpy(self._labels).to(device).unsqueeze(0)
        right, bottom = -self.width % stride, -self.height % stride
        if right or bottom:
            labels = (
                F.pad(labels.unsqueeze(1).float(), (0, right, 0, bottom), mode="replicate").byte().squeeze(1)
            )
        if not self._noise:
            fields = self._generator.noise(self._noise_seed or 0, *labels.shape[-2:])
            self._noise = [field.to(self._compute.dtype) for field in fields]
        style = StyleField(self._code.to(device).view(1, 1, -1))
        picture = self._generator(labels, style, self._noise)[0, :, : self.height, : self.width]
        return (
            ((picture + 1) * 127.5).round_().clamp_(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()
        )
