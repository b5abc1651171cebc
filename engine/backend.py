"""What the engine asks of a device: three operations on activations, and nothing else.

Activations are (B, h, w, C), contiguous, so that a pixel's channels lie side by side: a norm gathers a table
row for each pixel, and a convolution is matrix products over rows. All arithmetic is float32 (products of
half-precision factors accumulate in float32), rounded once where a result is stored.

Results are reproducible bit for bit: equal input, equal output, whatever else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

LEAK = 0.2  # slope of every LeakyReLU in the trunk


@dataclass(frozen=True, slots=True)
class Modulation:
    """One SPADE norm applied to one batch.

    v = x + noise·strengthᵀ;  v = v·pre₀ + pre₁;  v = v·scale[p] + shift[p];  v = v·post[k]₀ + post[k]₁

    with p the pattern number at the pixel (Park et al. 2019, eq. 1, where scale = 1 + γ and shift = β), and k
    the image's number, or the number of the blend of styles at the pixel.

    index: int32 (B, h, w), pattern numbers: rows of `table`.
    table: the backend's dtype, (R, 2·C): scale, then shift.
    pre: float32 (1 or B, 2, C): the parameter-free norm, 1/σ and −μ/σ.
    post: float32 (K, 2, C), the style's scale and shift (built-in family), or None.
    noise, strength: float32 (1 or B, h, w, J) and (C, J), or None.
    blend: int32 (B, h, w), rows of `post`; None where an image has one style, and K is B.
    """

    index: Tensor
    table: Tensor
    pre: Tensor
    post: Tensor | None = None
    noise: Tensor | None = None
    strength: Tensor | None = None
    blend: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """A convolution's weights as a backend wants them: O × I channels, k × k, and its data."""

    fin: int
    fout: int
    kernel: int
    data: Any


class Backend(Protocol):
    """Where and how the trunk is computed."""

    @property
    def name(self) -> str:
        """For people: "native (AVX-512 BF16)", "torch", "CUDA"."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype:
        """Type of activations, tables and weights."""
        ...

    def pack(self, weight: Tensor, bias: Tensor | None, *, careful: bool = False) -> Packed:
        """Prepare weights: float32 (O, I, k, k), stride 1, padding k // 2; bias float32 (O,).

        `careful`: round no more than a direct convolution would, even where that takes longer.
        """
        ...

    def modulate(
        self, x: Tensor, modulation: Modulation, *, doubled: bool, activate: bool, out: Tensor
    ) -> None:
        """Normalise and modulate x (B, h, w, C), or (B, h/2, w/2, C) to be doubled first (nearest), into
        `out`.

        `activate` ends with LeakyReLU. `out` may be x itself unless doubled.
        """
        ...

    def convolve(
        self,
        x: Tensor,
        weights: Packed,
        *,
        out: Tensor,
        add: Tensor | None = None,
        add_doubled: bool = False,
        leak: bool = False,
    ) -> None:
        """Convolve x (B, h, w, I), after LeakyReLU if `leak`, into `out` (B, h, w, O), this dtype or float32.

        The bias and `add` – (B, h, w, O), which may be `out` itself, or (B, h/2, w/2, O) to be doubled – are
        added.
        """
        ...

    def pack_places(self, weight: Tensor, bias: Tensor) -> Packed:
        """Prepare the same for `tabulate`: float32 (O, I, k, k), any odd k; bias float32 (O,)."""
        ...

    def tabulate(self, inputs: Tensor, windows: Tensor, weights: Packed, *, out: Tensor) -> None:
        """A convolution at windows that are put together from a few distinct inputs.

        out[i] = bias + Σ_j inputs[windows[i, j]] · W_j over the k² places j of a window, in raster order. A
        row's result depends neither on the others nor on its place.

        Args:
            inputs: (m, I). windows: int32 (n, k²), rows of `inputs`. out: (n, O).
        """
        ...
