"""Every figure of the evaluation at known answers."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from models.labels import load_label_set
from training.evaluation import inception
from training.evaluation.artefacts import repetitions, spectral_traces, strongest_repeat
from training.evaluation.colour import ciede2000, luma, mean_colour, to_lab
from training.evaluation.features import FeatureSpace, nearest, pairwise_distances, pooled
from training.evaluation.looking import Looks, pairwise_colours, thumbnail
from training.evaluation.reading import agreement, confusion, reading
from training.evaluation.similarity import MOST_PSNR, psnr, ssim
from training.evaluation.statistics import Bootstrap, Figure, mmd2

LABELS = load_label_set("landscape17")
BOOTSTRAP = Bootstrap(400)
YY, XX = np.mgrid[:256, :256]


def grey(values: np.ndarray) -> np.ndarray:
    """Brightness in 0…1, (H, W) → uint8 (H, W, 3)."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def noise(strength: float, seed: int = 0) -> np.ndarray:
    return strength * np.random.default_rng(seed).standard_normal((256, 256))


# -- Colour

# Sharma, Wu & Dalal 2005, table 1: L, a, b of two colours, and their difference.
SHARMA = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def test_ciede2000_at_the_published_pairs() -> None:
    one, other, expected = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    np.testing.assert_allclose(ciede2000(one, other), expected, atol=5e-5)
    np.testing.assert_allclose(ciede2000(other, one), expected, atol=5e-5)
    assert not ciede2000(one, one).any()


def test_lab_of_known_colours() -> None:
    known = {
        (0, 0, 0): (0, 0, 0),
        (255, 255, 255): (100, 0, 0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 0, 255): (32.30, 79.19, -107.86),
        (128, 128, 128): (53.59, 0, 0),
    }
    np.testing.assert_allclose(to_lab(np.array(list(known))), np.array(list(known.values())), atol=0.03)
    half = np.zeros((2, 2, 3), np.uint8)
    half[0] = 200
    np.testing.assert_allclose(mean_colour(half), to_lab(np.array([100, 100, 100])))


# -- Likeness


def test_psnr_and_ssim_at_known_answers() -> None:
    picture = grey(0.5 + noise(0.1))
    darker = (picture.astype(int) - 10).clip(0).astype(np.uint8)
    assert psnr(picture, picture) == MOST_PSNR
    assert psnr(picture, darker) == pytest.approx(20 * np.log10(255 / 10), abs=1e-6)
    assert ssim(picture, picture) == pytest.approx(1)
    assert abs(ssim(picture, grey(0.5 + noise(0.1, 1)))) < 0.05, "independent noise is not alike"
    # Two flat pictures differ in their means alone: (2·a·b + C₁) / (a² + b² + C₁).
    a, b = 100 / 255, 150 / 255
    flat = [np.full((16, 16, 3), value, np.uint8) for value in (100, 150)]
    assert ssim(*flat) == pytest.approx((2 * a * b + 1e-4) / (a * a + b * b + 1e-4))


# -- Reading


def test_scores_of_a_known_matrix() -> None:
    truth = np.array([[1, 1, 1, 1, 8, 8, 8, 8, 0, 0]])
    found = np.array([[1, 1, 1, 8, 8, 8, 8, 8, 8, 1]])
    read = reading([confusion(truth, found, 17)], LABELS, BOOTSTRAP)
    assert read.by_class == {"sky": 0.75, "grass": 0.8}, "what stands on unlabelled pixels does not count"
    assert read.miou.value == pytest.approx(0.775)
    assert read.accuracy.value == pytest.approx(7 / 8)
    assert read.strict_miou.value == pytest.approx((3 / 5 + 4 / 6) / 2), "there it does"
    assert read.strict_accuracy.value == pytest.approx(7 / 10)
    assert "sea" in read.left_out
    assert "unlabeled" not in read.left_out


def test_rare_classes_are_named_and_do_not_count() -> None:
    truth = np.full((100, 100), 1)
    truth[0, :19] = 8  # 0.19 %
    truth[1, :20] = 13  # 0.20 %
    found = np.where(truth == 8, 1, truth)
    read = reading([confusion(truth, found, 17)], LABELS, BOOTSTRAP)
    assert set(read.by_class) == {"sky", "sea"}
    assert "grass" in read.left_out
    assert read.miou.value > 0.99


def test_pictures_are_what_is_resampled() -> None:
    """Half of the pictures read wholly right, half wholly wrong: the interval is that of a coin, not of a
    million pixels."""
    truth = np.full((64, 64), 1)
    pictures = [confusion(truth, np.full_like(truth, 1 if i % 2 else 8), 17) for i in range(20)]
    accuracy = reading(pictures, LABELS, BOOTSTRAP).accuracy
    assert accuracy.value == 0.5
    assert accuracy.low == pytest.approx(0.28, abs=0.05)
    assert accuracy.high == pytest.approx(0.72, abs=0.05)


def test_a_resample_without_a_class_does_not_read_it_wrong() -> None:
    """Every picture is read perfectly, and grass is in one alone: a third of the resamples have none."""
    pictures = [np.full((8, 8), 8 if i == 0 else 1) for i in range(10)]
    read = reading([confusion(one, one, 17) for one in pictures], LABELS, BOOTSTRAP)
    assert read.by_class == {"sky": 1, "grass": 1}
    for figure in (read.miou, read.strict_miou):
        assert (figure.value, figure.low, figure.high) == (1, 1, 1)


def test_agreement_of_maps() -> None:
    one = np.ones((10, 10), np.uint8)
    half = one.copy()
    half[:5] = 8
    assert agreement(one, one, 17) == 1
    assert agreement(one, half, 17) == pytest.approx((0.5 + 0) / 2)
    assert agreement(half, one, 17) == agreement(one, half, 17)


# -- Features and their distance


def test_pooling_forgets_places_and_nothing_else() -> None:
    stage = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    elsewhere = stage.flip(-1).roll(3, dims=-2)
    np.testing.assert_allclose(pooled([stage]), pooled([elsewhere]))
    assert not np.allclose(pooled([stage]), pooled([stage.flip(1)])), "channels have names"
    np.testing.assert_allclose(pooled([stage])[:3], stage[0].mean((1, 2)).numpy(), rtol=1e-5)


def test_feature_space_measures_in_real_spreads() -> None:
    rng = np.random.default_rng(0)
    sizes = [4, 40]
    real = rng.standard_normal((50, 44)) * rng.uniform(0.5, 2, 44) + rng.uniform(-9, 9, 44)
    here = FeatureSpace(real, sizes).of(real)
    np.testing.assert_allclose(here.mean(0), 0, atol=1e-12)
    assert (here**2).sum(1).mean() == pytest.approx(1)
    assert (here[:, :4] ** 2).sum(1).mean() == pytest.approx(0.5), (
        "stages weigh the same, whatever their width"
    )
    scaled = real * 7 + 3
    np.testing.assert_allclose(FeatureSpace(scaled, sizes).of(scaled), here, atol=1e-9)
    real[:, 2] = 5.0
    other = real.copy()
    other[:, 2] = 1e6
    grown = FeatureSpace(real, sizes).of(other)
    assert np.isfinite(grown).all()
    assert (grown[:, 2] > 100).all(), "silent in real pictures, and loud in others: that is a difference"
    real[:, :3] = other[:, :3] = 5.0  # most of the stage never varies, and so does its median
    other[:, 1] = 1e6
    assert not FeatureSpace(real, sizes).of(other)[:, 1].any()


def test_a_feature_that_hardly_varies_is_not_blown_up() -> None:
    real = np.random.default_rng(0).standard_normal((50, 10))
    real[:, 3] *= 1e-6
    moved = real.copy()
    moved[:, 3] += 1e-3
    space = FeatureSpace(real, [10])
    assert np.abs(space.of(moved) - space.of(real)).max() < 0.01


def test_nearest_is_the_nearest() -> None:
    known = np.array([[0.0, 0.0], [3.0, 4.0], [10.0, 0.0]])
    numbers, distances = nearest(np.array([[3.0, 0.0], [9.0, 0.0]]), known)
    assert numbers.tolist() == [0, 2]
    np.testing.assert_allclose(distances, [3, 1])
    rng = np.random.default_rng(0)
    for kind, size in ((np.float64, 3), (np.float32, 3072)):
        queries, known = (rng.uniform(0, 5, (n, size)).astype(kind) for n in (300, 40))
        distances = np.linalg.norm(queries[:, None] - known, axis=2)
        numbers, found = nearest(queries, known)
        assert np.array_equal(numbers, distances.argmin(1))
        np.testing.assert_allclose(found, distances.min(1), rtol=1e-5)
        assert not nearest(known[:7], known)[1].any(), "a copy is no distance away, to the bit"
    white, black = np.full((40, 40, 3), 255, np.uint8), np.zeros((40, 40, 3), np.uint8)
    assert np.linalg.norm(thumbnail(white) - thumbnail(black)) == pytest.approx(255)


def test_every_two_are_compared_in_little_memory() -> None:
    rows = np.random.default_rng(0).standard_normal((300, 500))
    tracemalloc.start()
    try:
        found = pairwise_distances(rows)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20 * rows.nbytes, "not the differences of all pairs at once: 150 times the rows"
    one, other = np.triu_indices(300, 1)
    np.testing.assert_allclose(found[:299], np.linalg.norm(rows[0] - rows[1:], axis=1))
    assert found[-1] == pytest.approx(np.linalg.norm(rows[298] - rows[299]))
    assert len(found) == len(one)
    colours = list(SHARMA[:, :3])
    one, other = np.triu_indices(len(colours), 1)
    expected = ciede2000(SHARMA[one, :3], SHARMA[other, :3])
    np.testing.assert_allclose(pairwise_colours(colours), expected)


def test_mmd_at_a_known_answer() -> None:
    """Two pictures each: h(1, 2) = k(x₁, x₂) + k(y₁, y₂) − k(x₁, y₂) − k(x₂, y₁), k = (x·y + 1)³."""
    x, y = np.array([[1.0], [0.0]]), np.array([[2.0], [1.0]])
    expected = (1 + 27 - 8 - 1) * 1.0
    assert mmd2(x, y, BOOTSTRAP).value == pytest.approx(expected)


def samples(seed: int, n: int = 60, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((n, 12)) + shift) / np.sqrt(12)


def test_halves_of_one_distribution_cannot_be_told_apart_and_different_ones_can() -> None:
    same = [mmd2(samples(2 * i), samples(2 * i + 1), BOOTSTRAP) for i in range(20)]
    held = [figure.low <= 0 <= figure.high for figure in same if figure.low is not None]
    assert sum(held) >= 18, "95 % of intervals hold 0, or a few more"
    assert abs(np.mean([figure.value for figure in same])) < 0.02
    other = mmd2(samples(0), samples(1, shift=0.8), BOOTSTRAP)
    assert other.low is not None
    assert other.low > 0.1


def test_mmd_has_no_bias_from_few_pictures_or_from_partners() -> None:
    """Copies of the other set, shuffled or in place, cost nothing on average; a biased estimate would be
    above 0 for independent small sets, and one with partners' terms below for equal ones."""
    few = [mmd2(samples(i, 6), samples(i + 500, 6), BOOTSTRAP).value for i in range(300)]
    assert abs(np.mean(few)) < 3 * np.std(few) / np.sqrt(len(few))
    x = samples(3)
    assert mmd2(x, x.copy(), BOOTSTRAP).value == pytest.approx(0, abs=1e-12)


def test_bootstrap_is_seeded_and_covers_the_mean() -> None:
    values = np.random.default_rng(1).standard_normal(100)
    figure = BOOTSTRAP.each(values)
    assert figure == Bootstrap(400).each(values)
    assert figure != Bootstrap(400, seed=1).each(values)
    assert figure.value == values.mean()
    error = values.std() / 10
    assert figure.low == pytest.approx(values.mean() - 1.96 * error, abs=0.35 * error)
    assert figure.high == pytest.approx(values.mean() + 1.96 * error, abs=0.35 * error)
    counts = BOOTSTRAP.counts(7)
    assert (counts.sum(1) == 7).all()
    assert counts[0].tolist() == np.bincount(BOOTSTRAP.picks(7)[0], minlength=7).tolist()
    with pytest.raises(ValueError, match="200 or more"):
        Bootstrap(50)


# -- Traces


def test_noise_and_natural_spectra_have_no_traces() -> None:
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None, :])
    frequency[0, 0] = 1
    natural = np.fft.ifft2(np.fft.fft2(noise(1)) / frequency).real
    for picture in (grey(0.5 + noise(0.1)), grey(0.5 + 0.12 * natural / natural.std())):
        found = spectral_traces(picture)
        assert found.nyquist == pytest.approx(1, abs=0.25)
        assert found.grid == pytest.approx(1, abs=0.25)
        assert found.weave == pytest.approx(1, abs=0.15)
        assert 0.3 < found.edges < 1.8


@pytest.mark.parametrize("values", [np.full((256, 256), 0.5), XX / 255 * 0.8], ids=["flat", "gradient"])
def test_smooth_pictures_have_no_traces(values: np.ndarray) -> None:
    found = spectral_traces(grey(values))
    assert found.nyquist == pytest.approx(1, abs=0.2)
    assert found.grid == pytest.approx(1, abs=0.2)
    assert found.edges == pytest.approx(1, abs=0.2)
    assert repetitions(grey(values), np.ones((256, 256), np.uint8))[0].value < 0.01


def test_a_chequerboard_peaks_at_nyquist_only() -> None:
    found = spectral_traces(grey(0.5 + 0.02 * ((XX + YY) % 2) + 0.05 * (XX % 2) + noise(0.05)))
    assert found.nyquist > 5
    assert found.grid == pytest.approx(1, abs=0.3)


def test_a_grid_peaks_at_its_period_and_steps_at_their_edges() -> None:
    lines = spectral_traces(grey(0.4 + 0.1 * ((XX % 32 == 0) | (YY % 32 == 0)) + noise(0.02)))
    assert lines.grid > 3
    assert lines.edges > 10
    other = spectral_traces(grey(0.4 + 0.1 * ((XX % 20 == 0) | (YY % 20 == 0)) + noise(0.02)))
    assert other.grid < 0.5 * lines.grid, "another period is another trace"
    heights = np.random.default_rng(5).uniform(0.4, 0.6, (8, 8)).repeat(32, 0).repeat(32, 1)
    steps = spectral_traces(grey(heights + noise(0.002)))
    assert steps.edges > 10
    assert steps.grid < 1.5, "steps of random height hide from the plain spectrum"


def test_streaks_in_both_directions_are_a_weave_and_in_one_are_none() -> None:
    def streaks(seed: int) -> np.ndarray:
        kernel = np.fft.fft(np.isin(np.arange(256), range(12)) / 12)
        return np.fft.ifft(np.fft.fft(noise(0.3, seed), axis=1) * kernel, axis=1).real

    across, down = streaks(1), streaks(2).T
    woven = spectral_traces(grey(0.5 + across + down)).weave
    trunks = spectral_traces(grey(0.5 + down + noise(0.1))).weave
    assert woven > 4
    assert trunks < 2.5
    assert woven > 2 * trunks


def test_a_woven_texture_repeats_and_noise_does_not() -> None:
    whole = np.ones((256, 256), np.uint8)
    weave = 0.1 * np.sin(2 * np.pi * XX / 8) * np.sin(2 * np.pi * YY / 8)
    assert repetitions(grey(0.5 + weave), whole)[0].value > 0.97
    # Half of the variance is noise, which does not repeat: so does half of the autocorrelation.
    (half,) = repetitions(grey(0.5 + weave + noise(0.05)), whole)
    assert half.value == pytest.approx(0.5, abs=0.05)
    assert (half.label, half.size) == (1, 65_536)
    assert repetitions(grey(0.5 + noise(0.1)), whole)[0].value < 0.1


def test_repetition_is_measured_inside_regions() -> None:
    """A disc of weave on a gradient, bright against dark: its outline and the slope are no repetition."""
    disc = (XX - 128) ** 2 + (YY - 128) ** 2 < 70**2
    labels = np.where(disc, 8, 1).astype(np.uint8)
    labels[:20, :20] = 13  # too small to tell
    weave = 0.05 * np.sin(2 * np.pi * XX / 8) * np.sin(2 * np.pi * YY / 8)
    values = np.where(disc, 0.7 + weave, 0.1 + XX / 1000) + noise(0.01)
    found = {one.label: one.value for one in repetitions(grey(values), labels)}
    assert set(found) == {1, 8}
    assert found[8] > 0.8
    assert found[1] < 0.25


def test_a_slope_and_a_bowl_are_shading() -> None:
    bowl = (XX - 100.0) ** 2 / 40_000 + XX * YY / 200_000
    assert strongest_repeat(luma(grey(0.2 + bowl + noise(0.02))), np.ones((256, 256), bool)) < 0.15


def test_regions_that_repeat_more_are_counted() -> None:
    whole = np.ones((256, 256), np.uint8)
    weave = 0.5 + 0.1 * np.sin(2 * np.pi * XX / 8) * np.sin(2 * np.pi * YY / 8)
    plain = repetitions(grey(0.5 + noise(0.1)), whole)
    woven = repetitions(grey(weave), whole)
    real = Looks(repeats=[plain, plain, [], plain])
    made = Looks(repeats=[woven, plain, [], woven])
    beyond = made.repetition_beyond(real, BOOTSTRAP)
    assert beyond is not None
    assert beyond.value == pytest.approx(2 / 3)
    mean = made.repetition(BOOTSTRAP)
    assert mean is not None
    assert mean.value == pytest.approx((2 * woven[0].value + plain[0].value) / 3)
    assert Looks(repeats=[[]]).repetition(BOOTSTRAP) is None


# -- Inception


def test_fid_kid_and_is_of_known_features() -> None:
    """FID of normals: |difference of means|² + Σ (difference of deviations)²; IS of K certain classes: K."""
    made = torch.Generator().manual_seed(0)
    real = torch.randn(1000, 2, generator=made)
    generated = 2 * torch.randn(1000, 2, generator=made) + torch.tensor([3.0, 0.0])
    logits = 50 * torch.eye(4).repeat(10, 1)
    scores = inception.scores((real, logits), (generated, logits))
    assert scores.fid == pytest.approx(9 + 1 + 1, rel=0.1)
    assert scores.inception_score == pytest.approx(4, rel=1e-4)
    # torchmetrics' kernel divides by the number of features, as ours leaves to the features.
    terms = mmd2(real.double().numpy() / np.sqrt(2), generated.double().numpy() / np.sqrt(2), BOOTSTRAP)
    assert scores.kid == pytest.approx(terms.value, rel=0.02)


def test_other_weights_give_no_fid(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(inception.InceptionError, match="no file at"):
        inception.check_weights(path)
    torch.save({"fc.weight": torch.zeros(2)}, path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() != inception.SHA256
    with pytest.raises(inception.InceptionError, match="not the published Inception network"):
        inception.Inception(str(path))


def test_figures_are_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        Figure(value=float("nan"))
