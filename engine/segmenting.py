"""Photo → label map, by a segmenter, at any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from models.checkpoint import LoadedSegmenter
from models.spec import ModelSpec

Photo = NDArray[np.uint8]
# A photo is read at these sizes, as parts of a training picture's side, and what is found is averaged. On the
# validation pictures the built-in segmenter's mIoU is then 0.657; at the best single size 0.651, at 1, 0.633.
SCALES = (0.75, 1.125)
_CELLS = 0.5  # and averaged at this size: networks score at half a picture's own
_STRIP = 1 << 20  # values of so many pixels and classes at a time


class SegmenterModel:
    """A segmenter, ready to read. It reads photos at sizes like that of the pictures that it was trained on,
    where things are as large as it knows them; what it finds is enlarged to the photo."""

    def __init__(self, loaded: LoadedSegmenter, device: torch.device) -> None:
        self.spec, self._device = loaded.spec, device
        self._network = loaded.network.to(device)
        labels = self.spec.labels
        self._ids = torch.tensor(
            [label.id for label in labels.labels if label.id != labels.ignore], dtype=torch.uint8
        )

    def let_go(self) -> int:
        """Nothing is kept that could be made again."""
        return 0

    @torch.inference_mode()
    def read(self, photo: Photo) -> NDArray[np.uint8]:
        """The label map of a photo.

        Args:
            photo: uint8 (H, W, 3), RGB, any size.

        Returns:
            uint8 (H, W), ids of the segmenter's label set, never the one that it ignores.
        """
        height, width = photo.shape[:2]
        planes = torch.from_numpy(photo.copy()).permute(2, 0, 1).unsqueeze(0)
        likely = sum(self._likely(planes, scale) for scale in SCALES)
        return self._most_likely(torch.as_tensor(likely), height, width).numpy()

    def _likely(self, planes: Tensor, scale: float) -> Tensor:
        """How likely each class is, read at one size: uint8 (1, 3, H, W) → float32 (classes, h, w), as large
        at any `scale`."""
        height, width = reading_size(self.spec, planes.shape[3], planes.shape[2], scale)
        small = F.interpolate(planes, (height, width), mode="bilinear", antialias=True)
        stride = self.spec.stride
        around = (0, -width % stride, 0, -height % stride)
        picture = F.pad(small.float() / 127.5 - 1, around, mode="replicate").to(self._device)
        scores = self._network(picture)[0].float().cpu()[self._ids.long()]
        cells = reading_size(self.spec, planes.shape[3], planes.shape[2], _CELLS)
        return _enlarged(scores.softmax(0), (height / 2, width / 2), *cells, torch.arange(cells[0]))

    def _most_likely(self, likely: Tensor, height: int, width: int) -> Tensor:
        """The id of the likeliest class at every pixel: float32 (classes, h, w) → uint8 (height, width).

        Strip by strip, for all classes at all pixels of a photo would take gigabytes.
        """
        found = torch.empty(height, width, dtype=torch.uint8)
        rows = max(1, _STRIP // (likely.shape[0] * width))
        for top in range(0, height, rows):
            lines = torch.arange(top, min(height, top + rows))
            best = _enlarged(likely, likely.shape[1:], height, width, lines).argmax(0)
            found[top : top + rows] = self._ids[best]
        return found


def reading_size(spec: ModelSpec, width: int, height: int, scale: float) -> tuple[int, int]:
    """(h, w) with a photo's proportions, and the area of so many training pictures' sides squared."""
    native = spec.native[0] * spec.native[1]
    factor = scale * (native / (width * height)) ** 0.5
    return max(1, round(height * factor)), max(1, round(width * factor))


def _enlarged(values: Tensor, size: Sequence[float], height: int, width: int, lines: Tensor) -> Tensor:
    """Some lines of a map at another size, bilinear.

    Args:
        values: float32 (classes, ≥ h, ≥ w), of which (h, w) = `size` cells cover the whole.
        height, width: of the whole afterwards. lines: which of them, ascending.

    Returns:
        float32 (classes, lines, width).
    """
    above, below, down = _between(lines, size[0] / height, values.shape[1])
    left, right, across = _between(torch.arange(width), size[1] / width, values.shape[2])
    near = values[:, int(above[0]) : int(below[-1]) + 1]
    wide = torch.lerp(near[:, :, left], near[:, :, right], across)
    return torch.lerp(wide[:, above - above[0]], wide[:, below - above[0]], down[:, None])


def _between(pixels: Tensor, cell: float, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two cells whose centres each pixel lies between, and how far it is from the first to the second.

    Args:
        pixels: numbers along a side. cell: cells for each pixel. cells: how many there are.
    """
    place = ((pixels.double() + 0.5) * cell - 0.5).clamp(0, cells - 1)
    first = place.long()
    return first, (first + 1).clamp(max=cells - 1), (place - first).float()
