"""The losses: known values, what they must be blind to, and what they must not."""

from __future__ import annotations

import math

import pytest
import torch

from training import losses


def test_class_weights_balance_and_ignore() -> None:
    labels = torch.tensor([[[0, 1, 1, 1], [0, 1, 1, 2]]])
    weights = losses.class_weights(labels, 4, ignore=0)
    torch.testing.assert_close(weights, torch.tensor([0.0, 6 / (2 * 5), 6 / 2, 0.0]))
    rare = torch.ones(1, 100, 100, dtype=torch.int64)
    rare[0, 0, 0] = 2
    assert losses.class_weights(rare, 3, ignore=0)[2] == losses.BALANCE_LIMIT


def test_adversarial_losses_at_known_scores() -> None:
    labels = torch.tensor([[[1, 2], [2, 1]]])
    flat = torch.zeros(1, 4, 2, 2)
    assert float(losses.fake_loss(flat)) == pytest.approx(math.log(4))
    assert float(losses.real_loss(flat, labels, 3, ignore=0)) == pytest.approx(math.log(4))
    right = torch.nn.functional.one_hot(labels + 1, 4).permute(0, 3, 1, 2) * 20.0
    assert float(losses.real_loss(right, labels, 3, ignore=0)) < 1e-3
    fake = torch.zeros(1, 4, 2, 2)
    fake[:, 0] = 20
    assert float(losses.fake_loss(fake)) < 1e-3
    assert float(losses.real_loss(fake, labels, 3, ignore=0)) > 10


def test_unlabelled_pixels_do_not_count() -> None:
    labels = torch.tensor([[[0, 0], [1, 1]]])
    scores = torch.randn(1, 4, 2, 2)
    changed = scores.clone()
    changed[:, :, 0] = torch.randn(1, 4, 2)
    one, other = (float(losses.real_loss(s, labels, 3, ignore=0)) for s in (scores, changed))
    assert one == other


def test_label_mix_takes_whole_classes() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 5, (3, 16, 16))
    mask = losses.label_mix(labels, 5)
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    for picture in range(3):
        for label in range(5):
            assert len(mask[picture, 0][labels[picture] == label].unique()) <= 1
    assert torch.equal(losses.label_mix_at(mask, (8, 8)), mask[:, :, ::2, ::2])
    real, fake = torch.ones(3, 2, 16, 16), torch.zeros(3, 2, 16, 16)
    assert torch.equal(losses.mixed_target(real, fake, mask), mask.expand(-1, 2, -1, -1))


def test_kl_of_the_prior_is_zero_and_closed_form_elsewhere() -> None:
    zero = torch.zeros(2, 3)
    assert float(losses.kl_loss(zero, zero)) == 0
    assert float(losses.kl_loss(zero + 2, zero)) == pytest.approx(2.0)
    assert float(losses.kl_loss(zero, zero + math.log(4))) == pytest.approx(0.5 * (4 - 1 - math.log(4)))


def test_low_frequency_loss_is_blind_to_texture() -> None:
    flat = torch.zeros(1, 3, 64, 64)
    checker = flat.clone()
    checker[..., ::2, ::2] = checker[..., 1::2, 1::2] = 1
    checker[..., ::2, 1::2] = checker[..., 1::2, ::2] = -1
    everywhere = torch.ones(1, 1, 64, 64)
    assert float(losses.low_frequency_l1(checker, flat, everywhere)) < 1e-6
    assert float(losses.low_frequency_l1(flat + 0.5, flat, everywhere)) == pytest.approx(0.5)
    half = everywhere.clone()
    half[..., 32:] = 0
    right = flat + 0.5 * (1 - half)
    assert float(losses.low_frequency_l1(right, flat, half)) == 0
    assert float(losses.low_frequency_l1(right, flat, everywhere)) == pytest.approx(0.25)


def test_feature_loss_is_relative_and_looks_only_inside() -> None:
    real = [torch.full((1, 2, 8, 8), 4.0)]
    fake = [real[0].clone()]
    fake[0][..., :4] = 6.0
    inside = torch.zeros(1, 1, 16, 16)
    inside[..., 8:] = 1
    assert float(losses.feature_loss(fake, real, inside)) == 0
    everywhere = float(losses.feature_loss(fake, real, torch.ones_like(inside)))
    assert everywhere == pytest.approx(0.5 * 2 / 4.0, rel=1e-3)


def test_autocorrelation_loss_sees_a_weave_that_statistics_allow() -> None:
    torch.manual_seed(0)
    labels = torch.ones(1, 64, 64, dtype=torch.int64)
    real, other = torch.randn(2, 1, 3, 64, 64)
    # The same values as white noise, sorted into rows that repeat every eight pixels.
    weave = torch.randn(1, 3, 64, 8).repeat(1, 1, 1, 8)
    same, woven = (float(losses.autocorrelation_loss(fake, real, regions(labels))) for fake in (other, weave))
    assert woven > 1.5 * same
    moved = losses.autocorrelation_loss(real.roll((5, 9), (2, 3)), real, regions(labels))
    assert float(moved) < 1.2 * same
    assert float(losses.autocorrelation_loss(real, real, regions(labels))) == 0


def test_pixels_that_do_not_count_are_never_sampled() -> None:
    labels = torch.randint(0, 3, (2, 32, 32))
    inside = torch.rand(2, 32, 32) < 0.5
    rows = losses.RegionSampler(labels, classes=3, inside=inside).positions(32, 32)
    assert rows.numel()
    assert inside.flatten()[rows].all()
    nothing = losses.RegionSampler(labels, classes=3, inside=torch.zeros_like(inside))
    assert nothing.positions(32, 32).shape == (0, 256)
    picture = torch.randn(2, 3, 32, 32, requires_grad=True)
    loss = losses.autocorrelation_loss(picture, picture.detach() + 1, nothing)
    loss.backward()
    assert float(loss.detach()) == 0


def regions(labels: torch.Tensor) -> losses.RegionSampler:
    return losses.RegionSampler(labels, samples=256)


def test_region_samples_stay_in_their_region() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 4, (3, 8, 8)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    rows = regions(labels).positions(64, 64)
    picture = torch.arange(3).view(3, 1, 1).expand_as(labels)
    keys = (picture * 10 + labels).flatten()[rows]
    assert (keys == keys[:, :1]).all()
    expected = {int(b * 10 + k) for b in range(3) for k in labels[b].unique() if (labels[b] == k).sum() >= 48}
    assert set(keys[:, 0].tolist()) == expected


def test_texture_loss_sees_statistics_not_arrangement() -> None:
    torch.manual_seed(0)
    labels = torch.ones(2, 64, 64, dtype=torch.int64)
    real = torch.randn(2, 3, 64, 64)
    rearranged = real.roll((17, 23), (2, 3))
    blurred = torch.nn.functional.avg_pool2d(real, 5, 1, 2)
    same = float(losses.texture_loss(rearranged, real, regions(labels)))
    smooth = float(losses.texture_loss(blurred, real, regions(labels)))
    assert same < 0.15
    assert smooth > 2 * same


def test_texture_loss_compares_class_with_class() -> None:
    torch.manual_seed(0)
    labels = torch.ones(1, 64, 64, dtype=torch.int64)
    labels[:, :, 32:] = 2
    real = torch.randn(1, 3, 64, 64)
    real[..., 32:] *= 0.1
    swapped = real.roll(32, 3)
    right = float(losses.texture_loss(real.roll(16, 2), real, regions(labels)))
    wrong = float(losses.texture_loss(swapped, real, regions(labels)))
    assert wrong > 3 * right


def test_texture_loss_pulls_towards_the_texture() -> None:
    """Gradient descent on pixels alone: a blurred field regains the contrast of the real one."""
    torch.manual_seed(0)
    labels = torch.ones(1, 32, 32, dtype=torch.int64)
    real = torch.randn(1, 3, 32, 32)
    picture = (0.1 * torch.randn(1, 3, 32, 32)).requires_grad_()
    optimiser = torch.optim.Adam([picture], lr=0.05)
    for _ in range(80):
        optimiser.zero_grad()
        losses.texture_loss(picture, real, regions(labels)).backward()
        optimiser.step()
    assert 0.7 < float(picture.detach().std()) < 1.3


def test_no_region_large_enough_is_no_texture_loss() -> None:
    labels = torch.arange(256).view(1, 16, 16)
    fake = torch.zeros(1, 3, 16, 16, requires_grad=True)
    loss = losses.texture_loss(fake, torch.randn(1, 3, 16, 16), regions(labels))
    loss.backward()
    assert float(loss.detach()) == 0


def test_directions_have_unit_norm_and_no_mean() -> None:
    filters = losses.random_directions(6, 3, 5, torch.device("cpu"))
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), torch.ones(6))
    torch.testing.assert_close(filters.mean((1, 2, 3)), torch.zeros(6), atol=1e-6, rtol=0)
