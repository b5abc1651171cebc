"""Differentiable augmentation: what it changes, that it repeats, and that gradients pass."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.diffaugment import NUMBERS, DiffAugment


def pictures(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


def draws(count: int = 3, seed: int = 2) -> Tensor:
    return torch.rand(count, NUMBERS, generator=torch.Generator().manual_seed(seed))


def test_no_policy_changes_nothing() -> None:
    assert torch.equal(DiffAugment((), draws())(pictures()), pictures())


@pytest.mark.parametrize("policy", ["colour", "translation", "cutout"])
def test_each_is_a_function_of_its_draws_and_differentiable(policy: str) -> None:
    real = pictures().requires_grad_()
    change = DiffAugment((policy,), draws())
    changed = change(real)
    assert changed.shape == real.shape
    assert not torch.equal(changed, real)
    assert torch.equal(changed, change(real))
    assert not torch.equal(changed, DiffAugment((policy,), draws(seed=3))(real))
    changed.sum().backward()
    assert real.grad is not None
    assert (real.grad != 0).flatten(1).any(1).all()  # every picture's gradient flows


def test_the_middle_of_all_draws_leaves_colours_alone() -> None:
    assert torch.allclose(
        DiffAugment(("colour",), torch.full((3, NUMBERS), 0.5))(pictures()), pictures(), atol=1e-6
    )


def test_colours_by_their_formula() -> None:
    numbers = torch.full((3, NUMBERS), 0.5)
    numbers[:, 0] = 0.75
    assert torch.allclose(DiffAugment(("colour",), numbers)(pictures()), pictures() + 0.25, atol=1e-6)
    numbers[:, 0], numbers[:, 1] = 0.5, 0.0
    grey = DiffAugment(("colour",), numbers)(pictures())
    assert torch.allclose(grey, pictures().mean(1, keepdim=True).expand_as(grey), atol=1e-6)
    numbers[:, 1], numbers[:, 2] = 0.5, 0.0
    flatter = DiffAugment(("colour",), numbers)(pictures())
    assert torch.allclose(flatter.std((1, 2, 3)), pictures().std((1, 2, 3)) / 2, atol=1e-6)


def test_pictures_and_labels_move_together() -> None:
    labels = torch.randint(1, 9, (3, 16, 24), generator=torch.Generator().manual_seed(4))
    twin = labels.unsqueeze(1).expand(-1, 3, -1, -1).float()
    change = DiffAugment(("translation", "cutout"), draws())
    moved = change.labels(labels, 0)
    assert torch.equal(change(twin)[:, 0].long(), moved)
    assert (moved == 0).any()
    assert (moved != 0).any()


def test_translation_by_an_eighth_at_most() -> None:
    numbers = torch.tensor([[0.5, 0.5, 0.5, 0.0, 0.9999, 0.5, 0.5]])
    moved = DiffAugment(("translation",), numbers)(pictures(1))
    assert torch.equal(moved[..., :14, 3:], pictures(1)[..., 2:, :21])  # up by 2 of 16, right by 3 of 24
    assert (moved[..., 14:, :] == 0).all()
    assert (moved[..., :3] == 0).all()


def test_cutout_takes_a_square_of_half_the_side() -> None:
    numbers = torch.full((1, NUMBERS), 0.5)
    cut = DiffAugment(("cutout",), numbers)(torch.ones(1, 3, 16, 24))
    assert (cut[..., 4:12, 6:18] == 0).all()
    assert cut.sum() == 3 * (16 * 24 - 8 * 12)
