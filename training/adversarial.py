"""What SPADE's discriminator and its generator are trained on: the hinge loss and feature matching, over
several scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

Activations = Sequence[Sequence[Tensor]]
"""Per scale, every layer's activation, the scores last, as `MultiScaleDiscriminator` gives them."""


def halves(found: Activations) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """What was found in a batch of two halves, as two batches."""
    split = [[activation.chunk(2) for activation in scale] for scale in found]
    first, second = ([[pair[half] for pair in scale] for scale in split] for half in (0, 1))
    return first, second


def hinge_real(found: Activations) -> Tensor:
    """The discriminator's loss on real pictures: Σ over scales of E[max(0, 1 − D(x))] (Lim & Ye 2017; Park et
    al. 2019, sec. 3)."""
    return torch.stack([F.relu(1 - scale[-1].float()).mean() for scale in found]).sum()


def hinge_fake(found: Activations) -> Tensor:
    """The discriminator's loss on generated pictures: Σ over scales of E[max(0, 1 + D(x))]."""
    return torch.stack([F.relu(1 + scale[-1].float()).mean() for scale in found]).sum()


def hinge_generator(found: Activations) -> Tensor:
    """The generator's loss: Σ over scales of −E[D(x)]."""
    return torch.stack([-scale[-1].float().mean() for scale in found]).sum()


def matching(fake: Activations, real: Activations) -> Tensor:
    """Feature matching (Wang et al. 2018, eq. 4 and 5): the mean absolute difference of each layer, summed
    over layers and scales. The scores themselves are no features; the gradient goes to `fake` alone."""
    terms = [
        F.l1_loss(f.float(), r.detach().float())
        for fake_scale, real_scale in zip(fake, real, strict=True)
        for f, r in zip(fake_scale[:-1], real_scale[:-1], strict=True)
    ]
    return torch.stack(terms).sum()
