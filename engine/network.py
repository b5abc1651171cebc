"""A generator taken apart: what of it reads only labels, what reads the style, and what is left, the trunk.

Built once for each model from `models.generator`, which stays the reference for what it computes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.backend import Backend, Packed
from engine.patterns import EDGE, OUTSIDE, STYLE
from models.generator import ModulatedGenerator, StyledSpadeGenerator
from models.published import OasisGenerator
from models.spade import SpadeBlock, SpadeNorm, StyledSpadeBlock, StyledSpadeNorm

_NEAR_THE_PICTURE = 4  # pixels per cell


class LabelConv:
    """A convolution that reads a label map and what stands beside it, an edge channel or a style code.

    On a one-hot map it is a sum of table rows, one for each cell in its window: no products at all.

    Args:
        conv: k × k, padding k // 2; its input channels are [style code,] classes [, edge].
        classes: N, label channels. style_dim: D, channels of a style code before them.
    """

    def __init__(self, conv: nn.Conv2d, classes: int, style_dim: int, backend: Backend) -> None:
        weight = conv.weight.detach().float().to(backend.device)  # (O, D + N [+ 1], k, k)
        fout, fin = weight.shape[:2]
        self.kernel, self.fout = conv.kernel_size[0], fout
        by_place = weight.permute(2, 3, 1, 0).reshape(self.kernel**2, fin, fout)
        self.bias = _bias(conv).to(backend.device)
        outside = by_place.new_zeros(self.kernel**2, 1, fout)
        rows = torch.cat([outside, by_place[:, style_dim : style_dim + classes]], 1).flatten(0, 1)
        self._places = torch.arange(self.kernel**2, device=backend.device)
        self._first_class = self._places * (classes + 1)
        self._first_edge = rows.shape[0] if fin > style_dim + classes else None
        if self._first_edge is not None:
            rows = torch.cat([rows, by_place[:, -1]])
        self._rows = rows.contiguous()  # the first one is zero
        self._style = by_place[:, :style_dim].contiguous() if style_dim else None
        self.style_weight = weight[:, :style_dim].contiguous() if style_dim else None  # (O, D, k, k)

    def style_rows(self, codes: Tensor | None) -> Tensor | None:
        """What each of some style codes adds at each place of the window: float32 (S, D) → (k², S, O)."""
        if self._style is None or codes is None:
            return None
        return torch.matmul(codes.to(self._style.device), self._style)

    def rows(self, cells: Tensor, styles: Tensor | None) -> Tensor:
        """The convolution at windows given by their cells.

        Args:
            cells: integer (n, k²), see `patterns.cells_of`; OUTSIDE where there is no map.
            styles: `style_rows` of the style codes that the cells name, or None.

        Returns:
            float32 (n, O), bias included.
        """
        table = self._rows
        wanted = [(cells & (EDGE - 1)) + self._first_class]
        if self._first_edge is not None:
            wanted.append(((cells & EDGE) != 0) * (self._first_edge + self._places))
        if styles is not None:
            first = table.shape[0] + self._places * styles.shape[1]
            wanted.append((cells != OUTSIDE) * (first + cells // STYLE))
            table = torch.cat([table, styles.flatten(0, 1)])
        return F.embedding_bag(torch.cat(wanted, 1).long(), table, mode="sum") + self.bias


@dataclass(frozen=True, eq=False)
class Norm:
    """One SPADE norm: γ and β of the labels, and beside them statistics, style and noise.

    shared: the hidden layer, before its ReLU. head: the second layer, (hidden → 2·C), scale = 1 + γ first,
    then shift = β, for windows of hidden rows; head_conv: the same for a whole map, where k ≤ 3.
    statistics: float32 (1, 2, C), 1/σ and −μ/σ of the running statistics, or None for instance norm.
    style: the layer that maps a style code to its scale and shift (built-in family), or None.
    strength: float32 (C, J), how much of each noise field is added, or None.
    """

    channels: int
    level: int
    shared: LabelConv
    head: Packed
    head_conv: Packed | None
    statistics: Tensor | None
    style: nn.Linear | None
    strength: Tensor | None

    @property
    def has_patterns(self) -> bool:
        """Whether its windows are the 5×5 ones that `engine.patterns` numbers."""
        return self.shared.kernel == 3


@dataclass(frozen=True, eq=False)
class Stage:
    """One residual block. `level`: which resolution it works at; `doubled`: its input comes at half of
    that."""

    number: int
    level: int
    doubled: bool
    norm_0: Norm
    conv_0: Packed
    norm_1: Norm
    conv_1: Packed
    conv_s: Packed | None
    norm_s: Norm | None

    @property
    def norms(self) -> list[Norm]:
        return [norm for norm in (self.norm_0, self.norm_1, self.norm_s) if norm is not None]


class Network:
    """The parts of one generator on a backend, weights packed.

    stages: the blocks, in order. factors: pixels per cell at each level, coarsest first.
    styled_labels: its convolutions read labels and style together (OASIS). styled_norms: its norms read the
    style after the labels (built-in family).
    """

    def __init__(self, generator: ModulatedGenerator, backend: Backend) -> None:
        self._backend, self._classes = backend, generator.label_channels
        self.stride, self.style_dim = generator.stride, generator.style_dim
        self.start_grid = generator.start_grid
        self._styled = generator if isinstance(generator, StyledSpadeGenerator) else None
        self.instance_edges = generator.instance_edges
        self.styled_labels = isinstance(generator, OasisGenerator)
        self.styled_norms = self._styled is not None
        # A norm that divides by the frame's own deviation enlarges what was rounded before it.
        self._sensitive = not all(
            isinstance(module, nn.BatchNorm2d)
            for name, module in generator.named_modules()
            if name.endswith("param_free_norm")
        )
        self.factors: list[int] = []
        self.stages: list[Stage] = []
        factor = generator.stride
        for number, (block, doubled) in enumerate(generator.stages):
            factor = factor // 2 if doubled else factor
            if factor not in self.factors:
                self.factors.append(factor)
            self.stages.append(self._stage(number, block, doubled, len(self.factors) - 1))
        self.conv_img = self._packed(generator.conv_img, 1)
        self.start = self._label_conv(generator.fc) if isinstance(generator.fc, nn.Conv2d) else None
        self._start_of_style = generator.fc if isinstance(generator.fc, nn.Linear) else None

    @property
    def norms(self) -> list[Norm]:
        """Every norm, in the order of the stages."""
        return [norm for stage in self.stages for norm in stage.norms]

    def code_from_normal(self, normal: Tensor) -> Tensor:
        """Standard normal draws (D,) → a style code (D,)."""
        return normal if self._styled is None else self._styled.code_from_normal(normal)

    def start_of_style(self, code: Tensor) -> Tensor:
        """The start activation where a style code makes it (VAE): float32 (D,) → (1, h, w, C)."""
        if self._start_of_style is None or self.start_grid is None:
            raise ValueError("this network starts from its label map")
        start = self._start_of_style(code).view(1, -1, *self.start_grid).permute(0, 2, 3, 1)
        return start.contiguous().to(self._backend.device, self._backend.dtype)

    def post(self, norm: Norm, code: Tensor) -> Tensor:
        """A norm's scale and shift for one style code: float32 (D,), already through `mapped` → (1, 2, C)."""
        if norm.style is None:
            raise ValueError("this norm reads no style")
        affine = F.linear(code, norm.style.weight.float(), norm.style.bias.float()).view(1, 2, -1)
        return affine + torch.tensor([1.0, 0.0]).view(1, 2, 1)

    def mapped(self, code: Tensor) -> Tensor:
        """A style code as the norms read it: float32 (D,) → (D,)."""
        return code if self._styled is None else self._styled.style_map(code)

    def noise(self, seed: int, height: int, width: int) -> list[Tensor]:
        """The noise field of every stage for an H×W picture: float32 (1, h, w, J) each; empty without
        noise."""
        if self._styled is None:
            return []
        fields = self._styled.noise(seed, height, width)
        return [field.permute(0, 2, 3, 1).contiguous().to(self._backend.device) for field in fields]

    def _stage(self, number: int, block: SpadeBlock | StyledSpadeBlock, doubled: bool, level: int) -> Stage:
        factor = self.factors[level]
        noises = (block.noise_0, block.noise_1) if isinstance(block, StyledSpadeBlock) else (None, None)
        shortcut = getattr(block, "conv_s", None)
        norm_s = getattr(block, "norm_s", None)
        return Stage(
            number,
            level,
            doubled,
            self._norm(block.norm_0, level, noises[0]),
            self._packed(block.conv_0, factor),
            self._norm(block.norm_1, level, noises[1]),
            self._packed(block.conv_1, factor),
            self._packed(shortcut, factor) if isinstance(shortcut, nn.Conv2d) else None,
            self._norm(norm_s, level, None) if norm_s is not None else None,
        )

    def _norm(self, norm: nn.Module, level: int, noise: Tensor | None) -> Norm:
        if isinstance(norm, StyledSpadeNorm):
            head, style = norm.mlp_gamma_beta, norm.style
            weight, bias = head.weight.detach().float(), _bias(head)
        elif isinstance(norm, SpadeNorm):
            style = None
            weight = torch.cat(
                [norm.mlp_gamma.weight.detach().float(), norm.mlp_beta.weight.detach().float()]
            )
            bias = torch.cat([_bias(norm.mlp_gamma), _bias(norm.mlp_beta)])
        else:
            raise TypeError(f"no SPADE norm: {type(norm).__name__}")
        channels, kernel = weight.shape[0] // 2, weight.shape[2]
        bias = torch.cat([1 + bias[:channels], bias[channels:]])
        shared = norm.mlp_shared[0]
        if not isinstance(shared, nn.Conv2d):
            raise TypeError("the hidden layer of a SPADE norm is a convolution")
        return Norm(
            channels,
            level,
            self._label_conv(shared),
            self._backend.pack_places(weight, bias),
            self._backend.pack(weight, bias, careful=self._is_delicate(self.factors[level]))
            if kernel in {1, 3}
            else None,
            _statistics(norm.param_free_norm, self._backend.device),
            style,
            None
            if noise is None
            else noise.detach().float().flatten(1).contiguous().to(self._backend.device),
        )

    def _packed(self, conv: nn.Module, factor: int) -> Packed:
        if not isinstance(conv, nn.Conv2d):
            raise TypeError(f"no convolution: {type(conv).__name__}")
        bias = None if conv.bias is None else _bias(conv)
        return self._backend.pack(conv.weight.detach().float(), bias, careful=self._is_delicate(factor))

    def _is_delicate(self, factor: int) -> bool:
        """Whether a convolution at so many pixels per cell should round little: many others follow it."""
        return self._sensitive or factor > _NEAR_THE_PICTURE

    def _label_conv(self, conv: nn.Conv2d) -> LabelConv:
        style_dim = self.style_dim if self.styled_labels else 0
        return LabelConv(conv, self._classes, style_dim, self._backend)


def _bias(conv: nn.Conv2d) -> Tensor:
    """float32 (O,), zeros where there is none."""
    return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().float()


def _statistics(norm: nn.Module, device: torch.device) -> Tensor | None:
    """A batch norm's running statistics as a scale and a shift, float32 (1, 2, C); None for instance norm."""
    if not isinstance(norm, nn.BatchNorm2d):
        return None
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise TypeError("a batch norm without running statistics")
    scale = (variance.double() + norm.eps).rsqrt()
    return torch.stack([scale, -mean.double() * scale]).float().unsqueeze(0).to(device)
