"""Random checkpoints in the exact layout of the public ones: names, shapes and order of their tensors.

Weights come from a seed; spectral norm's u and v are those of a few power iterations, batch statistics are
plausible, and the modulation is strong enough that a wrong label shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

State = dict[str, Tensor]

SPADE_BLOCKS = {
    "head_0": (16, 16),
    "G_middle_0": (16, 16),
    "G_middle_1": (16, 16),
    "up_0": (16, 8),
    "up_1": (8, 4),
    "up_2": (4, 2),
    "up_3": (2, 1),
}
OASIS_BLOCKS = {
    f"body.{i}": pair for i, pair in enumerate([(16, 16), (16, 16), (16, 8), (8, 4), (4, 2), (2, 1)])
}


class Writer:
    """Collects tensors under a prefix-free name, drawing them from one generator."""

    def __init__(self, seed: int, spectral: bool, statistics: str, kernel: int, hidden: int) -> None:
        self.state: State = {}
        self.random = torch.Generator().manual_seed(seed)
        self.spectral, self.statistics, self.kernel, self.hidden = spectral, statistics, kernel, hidden

    def normal(self, *shape: int, std: float = 1.0) -> Tensor:
        return torch.randn(shape, generator=self.random) * std

    def layer(
        self, name: str, fin: int, fout: int, kernel: int, gain: float = 1.0, mean: float = 0.0
    ) -> None:
        """A plain convolution with bias whose output has about `gain` times its input's deviation."""
        self.state[f"{name}.weight"] = self.normal(
            fout, fin, kernel, kernel, std=gain / math.sqrt(fin * kernel**2)
        )
        self.state[f"{name}.bias"] = mean + self.normal(fout, std=0.1)

    def spectral_layer(self, name: str, fin: int, fout: int, kernel: int, bias: bool) -> None:
        if bias:
            self.state[f"{name}.bias"] = self.normal(fout, std=0.1)
        weight = self.normal(fout, fin, kernel, kernel, std=1 / math.sqrt(fin * kernel**2))
        if not self.spectral:
            self.state[f"{name}.weight"] = weight
            return
        u, v = self.normal(fout), self.normal(fin * kernel**2)
        for _ in range(3):
            v = torch.nn.functional.normalize(weight.flatten(1).T @ u, dim=0)
            u = torch.nn.functional.normalize(weight.flatten(1) @ v, dim=0)
        self.state |= {f"{name}.weight_orig": weight, f"{name}.weight_u": u, f"{name}.weight_v": v}

    def norm(self, name: str, free: str, channels: int, condition: int, active: int) -> None:
        if self.statistics == "batch":
            self.state[f"{name}.{free}.running_mean"] = self.normal(channels, std=0.3)
            self.state[f"{name}.{free}.running_var"] = 0.5 + torch.rand(channels, generator=self.random)
            self.state[f"{name}.{free}.num_batches_tracked"] = torch.tensor(1000)
        gain = math.sqrt(condition / active)  # a one-hot map has one 1 at a pixel, whatever its channels
        self.layer(f"{name}.mlp_shared.0", condition, self.hidden, self.kernel, gain)
        self.layer(f"{name}.mlp_gamma", self.hidden, channels, self.kernel, 0.3)
        self.layer(f"{name}.mlp_beta", self.hidden, channels, self.kernel, 0.5)

    def block(self, name: str, free: str, fin: int, fout: int, condition: int, active: int = 1) -> None:
        middle = min(fin, fout)
        self.spectral_layer(f"{name}.conv_0", fin, middle, 3, bias=True)
        self.spectral_layer(f"{name}.conv_1", middle, fout, 3, bias=True)
        if fin != fout:
            self.spectral_layer(f"{name}.conv_s", fin, fout, 1, bias=False)
        self.norm(f"{name}.norm_0", free, fin, condition, active)
        self.norm(f"{name}.norm_1", free, middle, condition, active)
        if fin != fout:
            self.norm(f"{name}.norm_s", free, fin, condition, active)


def spade_state(
    *,
    ngf: int = 64,
    label_nc: int = 182,
    dont_care: bool = True,
    instance: bool = True,
    most: bool = False,
    z_dim: int = 0,
    start_grid: tuple[int, int] = (8, 8),
    spectral: bool = True,
    statistics: str = "batch",
    kernel: int = 3,
    hidden: int = 128,
    seed: int = 0,
) -> State:
    """A SPADE generator's state dict; the full-size COCO-Stuff model by default. One for `normal` and `more`.

    z_dim > 0 makes a VAE's: `fc` is then linear, for `start_grid` (h, w) alone.
    """
    writer = Writer(seed, spectral, statistics, kernel, hidden)
    condition = label_nc + dont_care + instance
    if z_dim:
        fout = 16 * ngf * start_grid[0] * start_grid[1]
        writer.state["fc.weight"] = writer.normal(fout, z_dim, std=1 / math.sqrt(z_dim))
        writer.state["fc.bias"] = writer.normal(fout, std=0.1)
    else:
        writer.layer("fc", condition, 16 * ngf, 3, math.sqrt(condition))
    for name, (fin, fout) in SPADE_BLOCKS.items():
        writer.block(name, "param_free_norm", fin * ngf, fout * ngf, condition)
    if most:
        writer.block("up_4", "param_free_norm", ngf, ngf // 2, condition)
    writer.layer("conv_img", ngf // 2 if most else ngf, 3, 3)
    return writer.state


def oasis_state(
    *,
    ngf: int = 64,
    semantic_nc: int = 151,
    z_dim: int = 64,
    spectral: bool = True,
    statistics: str = "batch",
    kernel: int = 3,
    hidden: int = 128,
    seed: int = 0,
) -> State:
    """An OASIS generator's state dict; the full-size ADE20K model by default."""
    writer = Writer(seed, spectral, statistics, kernel, hidden)
    condition = z_dim + semantic_nc
    writer.layer("fc", condition, 16 * ngf, 3, math.sqrt(condition / (z_dim + 1)))
    for name, (fin, fout) in OASIS_BLOCKS.items():
        writer.block(name, "first_norm", fin * ngf, fout * ngf, condition, z_dim + 1)
    writer.layer("conv_img", ngf, 3, 3)
    return writer.state


def encoder_state(*, nef: int = 64, z_dim: int = 256, spectral: bool = True, seed: int = 0) -> State:
    """A SPADE VAE encoder's state dict (crops of 256 pixels and more)."""
    writer = Writer(seed, spectral, "instance", 3, 0)
    widths: Sequence[int] = (3, *(nef * factor for factor in (1, 2, 4, 8, 8, 8)))
    for level in range(1, 7):
        writer.spectral_layer(f"layer{level}.0", widths[level - 1], widths[level], 3, bias=False)
    for name in ("fc_mu", "fc_var"):
        fin = 8 * nef * 16
        writer.state[f"{name}.weight"] = writer.normal(z_dim, fin, std=1 / math.sqrt(fin))
        writer.state[f"{name}.bias"] = writer.normal(z_dim, std=0.1)
    return writer.state
