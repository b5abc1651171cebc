"""Spectral norm (Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks"): live in
training, folded into plain weights in a model.

A normalised weight is W / σ(W) (their eq. 8), σ the largest singular value of W as a matrix (out, rest). In
training, torch keeps the singular vectors u and v that belong to it and improves them by one power iteration
a forward (their algorithm 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import is_parametrized


def spectral_convolution(*arguments: Any, **options: Any) -> nn.Module:
    """`nn.Conv2d` under spectral norm; takes its arguments."""
    return spectral_norm(nn.Conv2d(*arguments, **options))


@torch.no_grad()
def settle(network: nn.Module) -> None:
    """Give every spectral norm in a network the exact singular vectors of its weight as it is now.

    An average of weights has singular vectors of its own, which are not the average of theirs; after this,
    a forward in evaluation mode divides by the σ of the weights that are there.
    """
    for _, module in _normalised(network):
        weight = _original(module)
        u, v = _singular_vectors(weight.flatten(1))
        norm = cast("Any", module).parametrizations.weight[0]
        norm._u.copy_(u)  # noqa: SLF001 – torch gives no other way to set them
        norm._v.copy_(v)  # noqa: SLF001


@torch.no_grad()
def folded_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of the same network without spectral norms, its weights divided by their σ: names and shapes
    of plain convolutions, copies, in the network's own types.

    σ is uᵀWv with the vectors that are there, as in a forward in evaluation mode.
    """
    state = {
        name: value.detach().clone()
        for name, value in network.state_dict().items()
        if ".parametrizations." not in name
    }
    for name, module in _normalised(network):
        weight, norm = _original(module), cast("Any", module).parametrizations.weight[0]
        u, v = (vector.double().cpu() for vector in (norm._u, norm._v))  # noqa: SLF001
        sigma = torch.dot(u, weight.detach().flatten(1).double().cpu() @ v)
        state[f"{name}.weight"] = weight.detach() / sigma.item()
    return state


def _normalised(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module) for name, module in network.named_modules() if is_parametrized(module, "weight"))


def _original(module: nn.Module) -> Tensor:
    return cast("Any", module).parametrizations.weight.original


def _singular_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """The first left and right singular vectors of a matrix (m, n): float32 (m,), (n,). Through the smaller
    of WWᵀ and WᵀW, in float64: exact enough, and far cheaper than a full decomposition."""
    w = matrix.detach().double().cpu()
    if w.shape[0] <= w.shape[1]:
        u = torch.linalg.eigh(w @ w.T).eigenvectors[:, -1]
        return u.float(), nn.functional.normalize(w.T @ u, dim=0).float()
    v = torch.linalg.eigh(w.T @ w).eigenvectors[:, -1]
    return nn.functional.normalize(w @ v, dim=0).float(), v.float()
