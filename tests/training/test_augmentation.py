"""Pictures and their maps stay together, whatever is done to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from training.augmentation import AS_IS, Augmentation, random_colours, random_window, shown
from training.data import Pair, Pairs, random_batch

TURNED = Augmentation(scale=(0.4, 2.0), rotation=40)


def twin(height: int, width: int, seed: int = 0) -> Pair:
    """A pair whose photo shows the ids of its map: blobs of ids 0…2, a hundred grey values each."""
    coarse = np.random.default_rng(seed).integers(0, 3, (height // 8 + 1, width // 8 + 1)).astype(np.uint8)
    labels = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    return Pair("1", np.repeat(labels[..., None] * np.uint8(100), 3, 2), labels, {})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 90), st.integers(20, 90), st.integers(8, 20), st.booleans())
def test_a_window_shows_nothing_outside(seed: int, height: int, width: int, crop: int, turned: bool) -> None:
    rng = np.random.default_rng(seed)
    image, labels = np.full((height, width, 3), 200, np.uint8), np.full((height, width), 7, np.uint8)
    place = (int(rng.integers(height)), int(rng.integers(width)))
    window = random_window(labels.shape, crop, TURNED if turned else Augmentation(scale=(0.4, 2)), rng, place)
    assert 0 <= window.top <= height - window.outer
    assert 0 <= window.left <= width - window.outer
    assert window.top <= place[0] < window.top + window.outer
    assert window.left <= place[1] < window.left + window.outer
    photo, mask = shown(image, labels, window, crop)
    assert photo.shape == (3, crop, crop)
    assert (photo == 200).all()
    assert (mask == torch.full((crop, crop), 7)).all()


@pytest.mark.parametrize("change", [Augmentation(scale=(0.5, 2.0)), Augmentation(rotation=30), TURNED])
def test_photo_and_map_show_the_same_place(change: Augmentation) -> None:
    pair = twin(96, 128)
    agree = []
    for seed in range(12):
        window = random_window(pair.labels.shape, 48, change, np.random.default_rng(seed))
        photo, mask = shown(pair.image, pair.labels, window, 48)
        assert set(mask.unique().tolist()) <= {0, 1, 2}  # nearest: no id between two
        agree.append(((photo[0].float() / 100).round() == mask).float().mean())
    assert np.mean(agree) > 0.85  # borders are mixed in the photo only


def test_as_it_is_nothing_is_resampled() -> None:
    pair = twin(40, 60)
    window = random_window(pair.labels.shape, 24, AS_IS, np.random.default_rng(3))
    photo, mask = shown(pair.image, pair.labels, window, 24)
    place = np.s_[window.top : window.top + 24, window.left : window.left + 24]
    assert np.array_equal(photo.permute(1, 2, 0).numpy(), pair.image[place])
    assert np.array_equal(mask.numpy(), pair.labels[place])


def test_the_shorter_side_sets_how_much_is_seen() -> None:
    rng = np.random.default_rng(0)
    assert random_window((100, 300), 50, Augmentation(short_side=50), rng).inner == 100
    assert random_window((100, 300), 50, Augmentation(short_side=200), rng).inner == 25
    assert random_window((20, 30), 50, AS_IS, rng).inner == 20  # smaller than the crop: enlarged


def test_colours_change_the_photo_only() -> None:
    pairs = [twin(40, 40)]
    settings = Augmentation(brightness=0.4, contrast=0.3, saturation=0.3, hue=0.1)
    plain, changed = (
        random_batch(pairs, 4, 32, np.random.default_rng(1), value) for value in (AS_IS, settings)
    )
    assert not torch.equal(plain.real, changed.real)
    assert not torch.equal(plain.whole, changed.whole)
    assert changed.real.min() >= -1
    assert changed.real.max() <= 1
    assert torch.equal(changed.labels, changed.given)
    assert random_colours(AS_IS, np.random.default_rng(0)) is None


def test_rare_classes_come_as_often_as_others() -> None:
    common = [
        Pair(str(k), np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.uint8), {}) for k in range(19)
    ]
    spot = np.ones((32, 32), np.uint8)
    spot[3:5, 28:30] = 2
    pairs = Pairs([*common, Pair("rare", np.zeros((32, 32, 3), np.uint8), spot, {})])
    assert pairs.holders[2].tolist() == [19]

    def held(settings: Augmentation) -> float:
        batch = random_batch(pairs, 200, 8, np.random.default_rng(0), settings)
        return float((batch.labels == 2).flatten(1).any(1).float().mean())

    assert held(Augmentation()) < 0.03
    assert 0.4 < held(Augmentation(balance=1.0)) < 0.6


def test_what_is_told_can_be_crude_and_lack_a_class() -> None:
    pairs = [twin(64, 64, seed) for seed in range(4)]
    batch = random_batch(pairs, 8, 48, np.random.default_rng(0), Augmentation(drop=1.0), unlabelled=9)
    for labels, told in zip(batch.labels, batch.given, strict=True):
        gone = labels[told == 9].unique()
        assert len(gone) == 1
        assert torch.equal(told == 9, labels == gone[0])
    batch = random_batch(pairs, 8, 48, np.random.default_rng(0), Augmentation(crude=1.0))
    assert not torch.equal(batch.labels, batch.given)


def test_equal_generators_give_equal_batches_whatever_is_done() -> None:
    pairs = Pairs(twin(64, 80, seed) for seed in range(4))
    everything = Augmentation(
        scale=(0.5, 1.5), rotation=10, brightness=0.2, hue=0.05, crude=0.5, drop=0.5, balance=0.5
    )
    one, same = (random_batch(pairs, 6, 32, np.random.default_rng(7), everything, 0) for _ in range(2))
    for name in ("real", "whole", "labels", "given"):
        assert torch.equal(getattr(one, name), getattr(same, name))


@pytest.mark.parametrize("wrong", [{"scale": (2.0, 1.0)}, {"crude": 1.5}, {"rotation": 90}, {"tilt": 1}])
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Augmentation.model_validate(wrong)
