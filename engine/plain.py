"""A checkpoint without SPADE norms, ready to paint: pix2pix, layer after layer.

There is nothing to look up but the first layer, which reads labels alone. Every picture is painted whole and
by itself; there are no styles, no noise and no previews.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from threading import RLock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.backend import LEAK, Backend
from engine.canvas import Canvas
from engine.errors import EngineError
from engine.model import Picture, Style
from engine.network import LabelConv
from engine.patterns import OUTSIDE
from engine.preview import Preview
from engine.trunk import to_bytes
from models.checkpoint import LoadedModel
from models.pix2pix import Pix2PixGenerator

_WINDOWS = 1 << 14  # of the first layer, read at a time


class PlainNetwork:
    """A pix2pix generator for painting: batch norms are folded into the convolutions before them, and the
    first convolution is a table.

    Layers compute in the backend's type, the last one, whose result is the picture, in float32.
    """

    def __init__(self, generator: Pix2PixGenerator, backend: Backend) -> None:
        self._device, self._dtype = backend.device, backend.dtype
        self.stride, self.style_dim = generator.stride, generator.style_dim
        self.instance_edges, self.styled_labels = False, False
        layer, *down = generator.down
        first, _ = _parts(layer)
        if not isinstance(first, nn.Conv2d):
            raise TypeError("the first layer of a pix2pix network is a convolution")
        self._first = LabelConv(first, generator.label_channels, 0, backend)
        self._down = [self._placed(*_folded(layer)) for layer in down]
        self._up = [self._placed(*_folded(layer)) for layer in generator.up]
        last = _folded(nn.Sequential(generator.conv_img, nn.Identity()))
        self._last = last[0].to(self._device), last[1].to(self._device)

    def code_from_normal(self, normal: Tensor) -> Tensor:
        """Draws of no numbers → a style code of none."""
        return normal

    def picture(self, cells: Tensor) -> Tensor:
        """Paint: cells int32 (H, W), see `patterns.cells_of`, sides multiples of the stride → float32 (1, H,
        W, 3) before its tanh."""
        x = self._start(cells)
        skips = [x]
        for weight, bias in self._down:
            x = F.leaky_relu(F.conv2d(x, weight, bias, stride=2, padding=1), LEAK)
            skips.append(x)
        skips.pop()
        for weight, bias in self._up:
            x = F.relu(F.conv_transpose2d(x, weight, bias, stride=2, padding=1))
            x = torch.cat([x, skips.pop()], dim=1)
        weight, bias = self._last
        picture = F.conv_transpose2d(x.float(), weight, bias, stride=2, padding=1)
        return picture.permute(0, 2, 3, 1)

    def _start(self, cells: Tensor) -> Tensor:
        """The first layer's activation: (1, C, H/2, W/2), channels last."""
        kernel = self._first.kernel
        around = F.pad(cells, (1, 1, 1, 1), value=OUTSIDE)
        windows = around.unfold(0, kernel, 2).unfold(1, kernel, 2)  # (H/2, W/2, k, k)
        height, width = windows.shape[:2]
        out = torch.empty(1, height, width, self._first.fout, dtype=self._dtype, device=self._device)
        rows = max(1, _WINDOWS // width)
        for top in range(0, height, rows):
            part = windows[top : top + rows].reshape(-1, kernel**2)
            values = self._first.rows(part, None).view(-1, width, self._first.fout)
            out[0, top : top + rows] = F.leaky_relu(values, LEAK)
        return out.permute(0, 3, 1, 2)

    def _placed(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        weight = weight.to(self._device, self._dtype).contiguous(memory_format=torch.channels_last)
        return weight, bias.to(self._device, self._dtype)


def _parts(layer: nn.Module) -> tuple[nn.Conv2d | nn.ConvTranspose2d, nn.Module]:
    """A layer's convolution, and what stands behind it."""
    convolution, behind, *_ = layer.children()
    if not isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d):
        raise TypeError(f"no layer of a pix2pix network: {type(layer).__name__}")
    return convolution, behind


def _folded(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias, float32, of a layer's convolution with the batch norm behind it, if there is one."""
    convolution, norm = _parts(layer)
    weight = convolution.weight.detach().double()
    bias = weight.new_zeros(convolution.out_channels)
    if convolution.bias is not None:
        bias = convolution.bias.detach().double()
    if isinstance(norm, nn.BatchNorm2d):
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None:
            raise TypeError("a batch norm without running statistics")
        scale = norm.weight.detach().double() / (variance.double() + norm.eps).sqrt()
        outputs = (1, -1, 1, 1) if isinstance(convolution, nn.ConvTranspose2d) else (-1, 1, 1, 1)
        weight = weight * scale.view(outputs)
        bias = (bias - mean.double()) * scale + norm.bias.detach().double()
    return weight.float(), bias.float()


class PlainModel:
    """Paints canvases, as `engine.model.Model` does. Hold `lock` while painting.

    Args:
        lock: of everything that shares the device; one of its own by default.
    """

    def __init__(self, loaded: LoadedModel, backend: Backend, lock: RLock | None = None) -> None:
        if not isinstance(loaded.generator, Pix2PixGenerator):
            raise TypeError(f"no plain generator: {type(loaded.generator).__name__}")
        self.spec, self.backend, self.encoder = loaded.spec, backend, loaded.encoder
        self.lock = lock or threading.RLock()
        self.network = PlainNetwork(loaded.generator, backend)

    def let_go(self) -> int:
        """Nothing is kept that could be made again."""
        return 0

    @property
    def previews(self) -> bool:
        """Whether there are live previews: every pixel depends on every other, so there are none."""
        return False

    def padded(self, width: int, height: int) -> tuple[int, int]:
        """(H, W) that is painted for a canvas of width × height.

        Raises:
            EngineError: a side less than 1.
        """
        if width < 1 or height < 1:
            raise EngineError(
                f"a canvas of {width}×{height}", "both sides must be at least 1", "Give another size."
            )
        stride = self.network.stride
        return height + -height % stride, width + -width % stride

    def canvas(self, width: int, height: int) -> Canvas:
        """A new canvas, all of the first class."""
        first = self.spec.labels.labels[0].id
        return Canvas(width, height, self.padded(width, height), [1], instance_edges=False, label=first)

    def preview(self, canvas: Canvas, most_bytes: int) -> Preview | None:
        """There are none."""
        del canvas, most_bytes
        return None

    @torch.inference_mode()
    def paint(self, canvas: Canvas, style: Style, preview: Preview | None = None) -> Picture:
        """The frame: uint8 (h, w, 3), RGB. Style and preview have nothing to say here."""
        del style, preview
        canvas.refresh()
        cells = torch.from_numpy(np.ascontiguousarray(canvas.levels[0].cells)).to(self.backend.device)
        picture = to_bytes(self.network.picture(cells)).numpy()[0]
        canvas.changed = None
        return picture[: canvas.height, : canvas.width].copy()

    def paint_near_change(self, canvas: Canvas, style: Style, preview: Preview) -> Picture | None:
        """Nothing can be painted near a change alone."""
        del canvas, style, preview
        return None

    def paint_many(self, canvases: Sequence[Canvas], styles: Sequence[Style]) -> list[Picture]:
        """The frames of several canvases, one after the other: each as if painted alone."""
        return [self.paint(canvas, style) for canvas, style in zip(canvases, styles, strict=True)]
