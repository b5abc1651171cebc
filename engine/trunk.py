"""What is left of a generator when its labels are tables: residual blocks of convolutions between
modulations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.backend import Backend
from engine.modulation import Extras, Level
from engine.network import Network, Stage


class Workspace:
    """Activation memory, kept and reused: a frame of a size seen before allocates nothing.

    A tensor is a view of the smallest free piece of memory that is large enough. So the windows of previews,
    each of another size, fit into what the exact frame took; and there are few sizes of pieces.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self._free: list[Tensor] = []  # flat
        self._taken: dict[int, Tensor] = {}  # by address
        self._frame_size: tuple[int, ...] = ()

    def begin(self, *size: int) -> None:
        """A frame of this size follows, or part of one: nothing is taken any more, whatever went wrong
        before. Memory of another size is let go."""
        self._taken.clear()
        if size and size != self._frame_size:
            self._frame_size = size
            self._free.clear()

    def take(self, *shape: int) -> Tensor:
        """A tensor of arbitrary contents."""
        wanted = math.prod(shape)
        fitting = [piece for piece in self._free if piece.numel() >= wanted]
        if fitting:
            piece = min(fitting, key=Tensor.numel)
            self._free = [other for other in self._free if other is not piece]
        else:
            piece = torch.empty(_in_quarters(wanted), device=self._device, dtype=self._dtype)
        self._taken[piece.data_ptr()] = piece
        return piece[:wanted].view(shape)

    def give(self, tensor: Tensor) -> None:
        """It is not needed any more."""
        self._free.append(self._taken.pop(tensor.data_ptr()))

    def let_go(self) -> int:
        """Let go of all memory, between frames; how many bytes that was."""
        held = self.nbytes
        self._free.clear()
        self._taken.clear()
        return held

    @property
    def nbytes(self) -> int:
        return sum(piece.nbytes for piece in (*self._free, *self._taken.values()))


def _in_quarters(size: int) -> int:
    """The next larger one of four sizes to each doubling."""
    step = 1 << max(0, size.bit_length() - 3)
    return -(-size // step) * step


class Trunk:
    """Runs a network's blocks (Park et al. 2019, fig. 4; and the built-in family's)."""

    def __init__(self, network: Network, backend: Backend, workspace: Workspace) -> None:
        self._network, self._backend, self.workspace = network, backend, workspace

    def run(
        self, start: Tensor, levels: Sequence[Level], extras: Extras, keep: Sequence[Tensor] = ()
    ) -> Tensor:
        """Paint a batch.

        Args:
            start: (B, h, w, C), activation of the start grid.
            levels: the modulation, by level of the network.
            keep: where each stage's output goes, or nothing for memory that is reused at once.

        Returns:
            float32 (B, H, W, 3), before the tanh.
        """
        x = start
        for stage in self._network.stages:
            y = self.block(stage, x, levels[stage.level], extras, keep[stage.number] if keep else None)
            if not keep and x is not start:
                self.workspace.give(x)
            x = y
        picture = self.picture(x)
        if not keep:
            self.workspace.give(x)
        return picture

    def let_go(self) -> int:
        """Let go of its working memory, between frames; how many bytes that was."""
        return self.workspace.let_go()

    def picture(self, x: Tensor) -> Tensor:
        """The last convolution: (B, H, W, C) → float32 (B, H, W, 3)."""
        picture = torch.empty(*x.shape[:3], 3, device=x.device)
        self._backend.convolve(x, self._network.conv_img, leak=True, out=picture)
        return picture

    def block(
        self, stage: Stage, x: Tensor, level: Level, extras: Extras, out: Tensor | None = None
    ) -> Tensor:
        """One residual block: (B, h, w, fin), or half as large if the stage doubles it → (B, h, w, fout)."""
        space, convolve = self.workspace, self._backend.convolve
        fin, middle, fout = stage.conv_0.fin, stage.conv_0.fout, stage.conv_1.fout
        size = (x.shape[0], *level.size)
        out = space.take(*size, fout) if out is None else out
        modulated = space.take(*size, fin)
        shortcut, small = x, stage.doubled
        if stage.conv_s is not None and stage.norm_s is not None:
            level.apply(stage.norm_s, stage.number, x, extras, doubled=small, activate=False, out=modulated)
            convolve(modulated, stage.conv_s, out=out)
            shortcut, small = out, False
        elif stage.conv_s is not None:
            # A 1×1 convolution and doubling commute: a quarter of the work before it.
            shortcut = space.take(*x.shape[:3], fout)
            convolve(x, stage.conv_s, out=shortcut)
        level.apply(
            stage.norm_0, stage.number, x, extras, doubled=stage.doubled, activate=True, out=modulated
        )
        y = space.take(*size, middle)
        convolve(modulated, stage.conv_0, out=y)
        space.give(modulated)
        level.apply(stage.norm_1, stage.number, y, extras, doubled=False, activate=True, out=y)
        convolve(y, stage.conv_1, add=shortcut, add_doubled=small, out=out)
        space.give(y)
        if shortcut is not x and shortcut is not out:
            space.give(shortcut)
        return out


def to_bytes(raw: Tensor) -> Tensor:
    """The last convolution's values, float32 (…, 3) → uint8 on the CPU, through tanh and from −1 … 1 to 0 …
    255."""
    return torch.tanh(raw).add_(1).mul_(127.5).round_().clamp_(0, 255).byte().cpu()
