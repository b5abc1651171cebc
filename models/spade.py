"""Spatially-adaptive normalisation (Park et al. 2019, "Semantic Image Synthesis with Spatially-Adaptive
Normalization").

The label map sets a scale and a shift for every pixel and channel of a normalised activation (their eq. 1 and
2). `Spade*` is the published form; `StyledSpade*` is the built-in family's: a style code acts after it, noise
before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAK = 0.2  # slope of every LeakyReLU in the trunk


def one_hot(labels: Tensor, channels: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Label map → one-hot map: integer (B, H, W) of ids 0 … channels−1 → (B, channels, H, W), channels last
    in memory."""
    classes = torch.arange(channels, device=labels.device, dtype=labels.dtype)
    return (labels.unsqueeze(-1) == classes).to(dtype).permute(0, 3, 1, 2)


def resize_labels(labels: Tensor, height: int, width: int) -> Tensor:
    """Nearest resize of a map (…, H, W): pixel (y, x) takes (⌊y·H/height⌋, ⌊x·W/width⌋)."""
    if labels.shape[-2:] == (height, width):
        return labels
    rows = torch.arange(height, device=labels.device) * labels.shape[-2] // height
    columns = torch.arange(width, device=labels.device) * labels.shape[-1] // width
    return labels[..., rows[:, None], columns[None, :]]


def instance_edges(instances: Tensor) -> Tensor:
    """Where instances meet: integer (B, H, W) → bool (B, H, W), true on both pixels of every pair of
    4-neighbours whose ids differ."""
    across = instances[..., :, 1:] != instances[..., :, :-1]
    down = instances[..., 1:, :] != instances[..., :-1, :]
    edges = torch.zeros_like(instances, dtype=torch.bool)
    edges[..., :, 1:] |= across
    edges[..., :, :-1] |= across
    edges[..., 1:, :] |= down
    edges[..., :-1, :] |= down
    return edges


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm without parameters (Ulyanov et al. 2016), also for a single pixel: it is its own mean, so
    0."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h, w)."""
        return super().forward(input) if input.shape[2:].numel() > 1 else torch.zeros_like(input)


def statistics_of(kind: Literal["batch", "instance"]) -> Callable[[int], nn.Module]:
    """What builds a parameter-free norm from a number of channels."""
    return InstanceNorm if kind == "instance" else _batch_norm


def _batch_norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, affine=False)


class SpadeNorm(nn.Module):
    """y = BN(x) · (1 + γ) + β, with γ and β predicted from the label map (eq. 1).

    Args:
        channels: C of the activation.
        label_channels: channels of the map that the norm reads: one-hot, and what may stand beside it.
        hidden: width of the shared layer.
        statistics: the parameter-free norm, called with C: batch norm as published, or instance norm.
        kernel: side of the convolutions, odd.
    """

    def __init__(
        self,
        channels: int,
        label_channels: int,
        hidden: int = 128,
        statistics: Callable[[int], nn.Module] = _batch_norm,
        kernel: int = 3,
    ) -> None:
        super().__init__()
        padding = kernel // 2
        self.param_free_norm = statistics(channels)
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_channels, hidden, kernel, padding=padding), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, channels, kernel, padding=padding)
        self.mlp_beta = nn.Conv2d(hidden, channels, kernel, padding=padding)

    def forward(self, x: Tensor, onehot: Tensor) -> Tensor:
        """x (B, C, h, w) and the one-hot map at x's size (B, N, h, w) → (B, C, h, w)."""
        hidden = self.mlp_shared(onehot)
        return torch.addcmul(self.mlp_beta(hidden), self.param_free_norm(x), 1 + self.mlp_gamma(hidden))


class SpadeBlock(nn.Module):
    """The SPADE residual block (fig. 4): two normalised 3×3 convolutions, and a normalised 1×1 where widths
    differ.

    Args:
        fin, fout: channels in and out; the middle has min(fin, fout).
        norm: builds the norm for a number of channels.
        convolution: builds a convolution, e.g. one under spectral norm.
    """

    def __init__(
        self,
        fin: int,
        fout: int,
        norm: Callable[[int], nn.Module],
        convolution: Callable[..., nn.Module] = nn.Conv2d,
    ) -> None:
        super().__init__()
        middle = min(fin, fout)
        self.conv_0 = convolution(fin, middle, 3, padding=1)
        self.conv_1 = convolution(middle, fout, 3, padding=1)
        self.norm_0, self.norm_1 = norm(fin), norm(middle)
        if fin != fout:
            self.conv_s, self.norm_s = convolution(fin, fout, 1, bias=False), norm(fin)

    def forward(self, x: Tensor, onehot: Tensor) -> Tensor:
        """x (B, fin, h, w), one-hot map (B, N, h, w) → (B, fout, h, w). The shortcut has no activation."""
        shortcut = self.conv_s(self.norm_s(x, onehot)) if hasattr(self, "conv_s") else x
        y = self.conv_0(F.leaky_relu(self.norm_0(x, onehot), LEAK))
        y = self.conv_1(F.leaky_relu(self.norm_1(y, onehot), LEAK))
        return shortcut + y


class StyleField:
    """Which style acts where: codes and, with several of them, how much each weighs at every pixel.

    Args:
        codes: (B, K, D) style codes.
        weights: (B, K, H, W) non-negative, summing to 1 over K at every pixel; None means K = 1 everywhere.
    """

    def __init__(self, codes: Tensor, weights: Tensor | None = None) -> None:
        self.codes = codes
        self.weights = weights
        self._resized: dict[tuple[int, int], Tensor] = {}

    def spread(self, values: Tensor, height: int, width: int) -> Tensor:
        """Per-code channel values (B, K, C) → per-pixel values, (B, C, h, w), or (B, C, 1, 1) for a single
        code."""
        if self.weights is None:
            return values[:, 0, :, None, None]
        weights = self._resized.get((height, width))
        if weights is None:
            weights = F.adaptive_avg_pool2d(self.weights, (height, width))
            self._resized[height, width] = weights
        return torch.einsum("bkhw,bkc->bchw", weights, values.to(weights.dtype))


class StyledSpadeNorm(nn.Module):
    """y = (BN(x) · (1 + γ) + β) · s + t: label modulation as above, then the style's scale and shift.

    γ and β read only labels and s and t only the style, so label tables hold under every light.

    Args:
        channels: C of the activation.
        label_channels: channels of the one-hot map.
        hidden: width of the shared label layer.
        style_dim: D of a style code.
    """

    def __init__(self, channels: int, label_channels: int, hidden: int, style_dim: int) -> None:
        super().__init__()
        self.channels = channels
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_channels, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma_beta = nn.Conv2d(hidden, 2 * channels, 3, padding=1)
        self.style = nn.Linear(style_dim, 2 * channels)
        nn.init.normal_(self.style.weight, std=0.5 * style_dim**-0.5)
        nn.init.zeros_(self.style.bias)

    def forward(self, x: Tensor, onehot: Tensor, style: StyleField) -> Tensor:
        """x (B, C, h, w), one-hot (B, N, h, w), style field with codes (B, K, D) → (B, C, h, w)."""
        gamma, beta = self.mlp_gamma_beta(self.mlp_shared(onehot)).chunk(2, dim=1)
        affine = style.spread(self.style(style.codes), x.shape[2], x.shape[3]).to(x.dtype)
        scale, shift = affine.chunk(2, dim=1)
        return torch.addcmul(shift, torch.addcmul(beta, self.param_free_norm(x), 1 + gamma), 1 + scale)


class StyledSpadeBlock(nn.Module):
    """The built-in family's residual block: noise → styled norm → LeakyReLU → 3×3, twice, beside a plain
    shortcut.

    Args:
        fin, fout: channels in and out; the middle has min(fin, fout).
        norm: builds the styled norm for a number of channels.
        noise_channels: independent noise fields mixed into every channel with learned strengths.
    """

    def __init__(
        self, fin: int, fout: int, norm: Callable[[int], StyledSpadeNorm], noise_channels: int
    ) -> None:
        super().__init__()
        middle = min(fin, fout)
        self.noise_0 = nn.Parameter(torch.empty(fin, noise_channels, 1, 1))
        self.noise_1 = nn.Parameter(torch.empty(middle, noise_channels, 1, 1))
        nn.init.normal_(self.noise_0, std=0.2)
        nn.init.normal_(self.noise_1, std=0.2)
        self.norm_0, self.norm_1 = norm(fin), norm(middle)
        self.conv_0 = nn.Conv2d(fin, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, fout, 3, padding=1)
        self.conv_s = nn.Conv2d(fin, fout, 1, bias=False) if fin != fout else nn.Identity()

    def forward(self, x: Tensor, onehot: Tensor, style: StyleField, noise: Tensor) -> Tensor:
        """x (B, fin, h, w), one-hot (B, N, h, w), noise (B or 1, noise_channels, h, w) → (B, fout, h, w)."""
        y = self.norm_0(x + F.conv2d(noise, self.noise_0.to(noise.dtype)), onehot, style)
        y = self.conv_0(F.leaky_relu(y, LEAK))
        y = self.norm_1(y + F.conv2d(noise, self.noise_1.to(noise.dtype)), onehot, style)
        return self.conv_s(x) + self.conv_1(F.leaky_relu(y, LEAK))
