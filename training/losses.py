"""What the generator and the discriminator are trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from models.discriminator import FAKE
from models.spade import resize_labels
from training.distributed import Draws, global_average, global_mean, global_sum

REDUCTIONS = (4, 8, 16, 32)  # at which pictures are compared without their textures; none is smaller
BALANCE_LIMIT = 8.0  # how much more a rare class may weigh than an average one


def class_weights(labels: Tensor, classes: int, ignore: int | None) -> Tensor:
    """Inverse-frequency weights of the classes in a batch, that of all processes (Schönfeld et al. 2021, eq.
    1), limited; (classes,) float32."""
    counts = global_sum(torch.bincount(labels.flatten(), minlength=classes).float())
    if ignore is not None:
        counts[ignore] = 0
    present = (counts > 0).sum().clamp(min=1)
    weights = (counts.sum() / (present * counts.clamp(min=1))).clamp(max=BALANCE_LIMIT)
    return torch.where(counts > 0, weights, 0)


def segmentation_loss(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Class-balanced cross-entropy. scores (B, C, h, w), labels int64 (B, h, w), weights (C,) → mean over
    pixels."""
    return F.cross_entropy(scores.float(), labels, weight=weights, reduction="none").mean()


def real_loss(scores: Tensor, labels: Tensor, classes: int, ignore: int | None) -> Tensor:
    """A real (or to-be-taken-for-real) picture: every pixel is its class. scores (B, classes + 1, h, w)."""
    weights = F.pad(class_weights(labels, classes, ignore), (1, 0))
    return segmentation_loss(scores, labels + 1, weights)


def fake_loss(scores: Tensor) -> Tensor:
    """A generated picture: every pixel is FAKE. scores (B, classes + 1, h, w)."""
    target = torch.full_like(scores[:, 0], FAKE, dtype=torch.int64)
    return F.cross_entropy(scores.float(), target)


def label_mix(labels: Tensor, classes: int, draws: Draws | None = None) -> Tensor:
    """LabelMix (Schönfeld et al. 2021, sec. 3.2): a random side, real or fake, per class and picture.

    labels int64 (B, h, w) → float32 (B, 1, h, w): 1 where the real picture shows, 0 where the generated one
    does.
    """
    shape = (labels.shape[0], classes)
    side = draws.integers(0, 2, *shape) if draws else torch.randint(0, 2, shape, device=labels.device)
    return side.gather(1, labels.flatten(1)).view_as(labels).unsqueeze(1).float()


def low_frequency_l1(
    fake: Tensor, real: Tensor, inside: Tensor, levels: Sequence[int] = REDUCTIONS
) -> Tensor:
    """Mean absolute difference of area-reduced pictures (B, 3, H, W): colours and light, no texture.

    inside: float (B, 1, H, W), 1 where the pictures are to be compared, 0 elsewhere.
    """
    difference = inside * (fake - real)
    return torch.stack([F.avg_pool2d(difference, n).abs().mean() for n in levels]).mean()


def kl_loss(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) ‖ N(0, 1)) per picture and dimension (Kingma & Welling 2014, app. B); both (B,
    D)."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()


def feature_loss(fake: Sequence[Tensor], real: Sequence[Tensor], inside: Tensor) -> Tensor:
    """Mean absolute difference of features, layer by layer (Wang et al. 2018, eq. 4), each in units of its
    real size, where `inside`, float (B, 1, H, W), is 1."""
    terms: list[Tensor] = []
    for f, r in zip(fake, real, strict=True):
        weight = F.adaptive_avg_pool2d(inside, f.shape[2:])
        size = global_average(r.float().abs().mean()) + 1e-3
        terms.append((weight * (f.float() - r.float())).abs().mean() / size)
    return torch.stack(terms).mean()


class RegionSampler:
    """Random pixels of every (picture, class) region, the same for real and fake.

    Args:
        labels: int64 (B, H, W).
        samples: pixels drawn (with replacement) from each region.
        smallest: regions of fewer pixels at the sampled resolution are passed over.
        classes: more than the largest id.
        inside: bool (B, H, W), the pixels that count; all of them by default.
        draws: where a training step's random numbers come from; torch's generator by default.
    """

    def __init__(
        self,
        labels: Tensor,
        samples: int = 256,
        smallest: int = 48,
        classes: int = 256,
        inside: Tensor | None = None,
        draws: Draws | None = None,
    ) -> None:
        self.labels = labels if inside is None else torch.where(inside, labels, classes)
        self.samples, self.smallest, self.classes, self.draws = samples, smallest, classes, draws
        self._positions: dict[tuple[int, int], Tensor] = {}

    def positions(self, height: int, width: int) -> Tensor:
        """Flat indices into (B, height, width): int64 (R, samples), one row a region."""
        if (height, width) not in self._positions:
            self._positions[height, width] = self._draw(resize_labels(self.labels, height, width))
        return self._positions[height, width]

    def _draw(self, labels: Tensor) -> Tensor:
        count = self.classes + 1  # the last one: pixels that do not count
        picture = torch.arange(labels.shape[0], device=labels.device)[:, None, None]
        order = (picture * count + labels).flatten().argsort(stable=True)  # whatever the batch
        sizes = torch.bincount((picture * count + labels).flatten(), minlength=labels.shape[0] * count)
        starts = sizes.cumsum(0) - sizes
        large = sizes >= self.smallest
        large[self.classes :: count] = False
        sizes, starts = sizes[large, None], starts[large, None]
        pick = self._fractions(labels.shape[0])[large] * sizes
        return order[starts + pick.long().clamp(max=sizes - 1)]

    def _fractions(self, pictures: int) -> Tensor:
        """Uniform in [0, 1), a row for every region that could be: (pictures · classes, samples)."""
        shape = (pictures, self.classes + 1, self.samples)
        drawn = self.draws.uniform(*shape) if self.draws else torch.rand(shape, device=self.labels.device)
        return drawn.flatten(0, 1)

    def directions(self, count: int, channels: int, kernel: int) -> Tensor:
        """Random filters to measure with, see `random_directions`."""
        return random_directions(count, channels, kernel, self.labels.device, self.draws)


def sliced_wasserstein(fake: Tensor, real: Tensor, regions: RegionSampler, directions: Tensor) -> Tensor:
    """How far apart the feature distributions of each region are, whatever the arrangement inside it.

    The sliced Wasserstein distance of Heitz et al. 2021 ("A Sliced Wasserstein Loss for Neural Texture
    Synthesis"), per label region, on random linear measurements of a neighbourhood. Each measurement is in
    units of its own spread in the real region, so that a calm sky counts as much as a forest.

    Args:
        fake, real: (B, C, h, w).
        directions: (P, C, k, k) filters, k odd.

    Returns:
        Scalar: mean of log(1 + d), d the absolute differences of the sorted measurements in those units; the
        logarithm keeps one very different region from drowning the others, and still pulls on it.
    """
    where = regions.positions(fake.shape[2], fake.shape[3])

    def measured(x: Tensor) -> Tensor:
        pad = directions.shape[-1] // 2
        mode = "reflect" if min(x.shape[2:]) > pad else "replicate"
        y = F.conv2d(F.pad(x, (pad,) * 4, mode=mode) if pad else x, directions.to(x.dtype))
        rows = y.permute(0, 2, 3, 1).reshape(-1, directions.shape[0]).float()
        # As an embedding, since its gradient is summed in a fixed order and that of rows[where] is not.
        return F.embedding(where, rows).sort(dim=1).values

    with torch.no_grad():
        target = measured(real)
        mean, square = (global_average(global_mean(value)) for value in (target, target.square()))
        overall = (square - mean.square()).clamp(min=0).sqrt()
        squares = (target - target.mean(1, keepdim=True)).square().sum(1, keepdim=True)
        spread = (squares / (regions.samples - 1)).sqrt() + 0.05 * overall + 1e-4
    return global_mean(torch.log1p((measured(fake) - target).abs() / spread))


def random_directions(
    count: int, channels: int, kernel: int, device: torch.device, draws: Draws | None = None
) -> Tensor:
    """Random filters of unit norm, (count, channels, kernel, kernel); those wider than a pixel have mean
    0."""
    shape = (count, channels, kernel, kernel)
    filters = draws.shared_normal(*shape) if draws else torch.randn(shape, device=device)
    if kernel > 1:
        filters = filters - filters.mean((1, 2, 3), keepdim=True)
    return F.normalize(filters.flatten(1)).view_as(filters)


def texture_loss(fake: Tensor, real: Tensor, regions: RegionSampler, count: int = 24) -> Tensor:
    """Sliced Wasserstein distance of 5×5 patches at full size down to an eighth, pictures (B, 3, H, W)."""
    terms: list[Tensor] = []
    for _ in range(4):
        terms.append(sliced_wasserstein(fake, real, regions, regions.directions(count, 3, 5)))
        fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
    terms.append(sliced_wasserstein(fake, real, regions, regions.directions(8, 3, 1)))
    return torch.stack(terms).mean()


def feature_texture_loss(
    fake: Sequence[Tensor], real: Sequence[Tensor], regions: RegionSampler, count: int = 32
) -> Tensor:
    """Sliced Wasserstein distance of a frozen network's features, each layer (B, C, h, w)."""
    terms = [
        sliced_wasserstein(f, r, regions, regions.directions(count, f.shape[1], 1))
        for f, r in zip(fake, real, strict=True)
    ]
    return torch.stack(terms).mean()


LAGS = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (2, 0), (3, 0), (4, 0), (2, 2), (2, -2), (4, 4), (4, -4))
AROUND = 9  # pixels, side of the window whose mean is taken out


def autocorrelation_loss(fake: Tensor, real: Tensor, regions: RegionSampler) -> Tensor:
    """How differently two pictures (B, 3, H, W) repeat themselves inside each region.

    Mean absolute difference of the normalised autocorrelations of their brightness, at lags of up to four
    pixels, from full size down to an eighth. Distributions of filter answers allow a weave; this does not.
    """
    terms: list[Tensor] = []
    fake, real = fake.float().mean(1, keepdim=True), real.float().mean(1, keepdim=True)
    for _ in range(4):
        if min(fake.shape[2:]) < AROUND:
            break
        where = regions.positions(fake.shape[2], fake.shape[3])
        terms.append(global_mean((_autocorrelation(fake, where) - _autocorrelation(real, where)).abs()))
        fake, real = F.avg_pool2d(fake, 2), F.avg_pool2d(real, 2)
    return torch.stack(terms).mean() if terms else fake.sum() * 0


def _autocorrelation(x: Tensor, where: Tensor) -> Tensor:
    """x (B, 1, h, w), positions int64 (R, samples) → (R, len(LAGS)): means over each region's samples."""
    x = x - F.avg_pool2d(F.pad(x, (AROUND // 2,) * 4, mode="reflect"), AROUND, 1)
    height, width = x.shape[2:]
    around = F.pad(x, (4,) * 4)
    others = [around[:, :, 4 + dy : 4 + dy + height, 4 + dx : 4 + dx + width] for dy, dx in LAGS]
    products = torch.cat([x * x, *(x * other for other in others)], 1).permute(0, 2, 3, 1)
    means = F.embedding(where, products.reshape(-1, 1 + len(LAGS))).mean(1)
    return means[:, 1:] / (means[:, :1] + 1e-4)


def mixed_target(scores_real: Tensor, scores_fake: Tensor, mask: Tensor) -> Tensor:
    """What LabelMix consistency asks the discriminator to say of the mixed picture; mask (B, 1, h, w)."""
    return (mask * scores_real + (1 - mask) * scores_fake).detach()


def label_mix_at(mask: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """The mask (B, 1, H, W) at the scores' size, nearest: (B, 1, h, w)."""
    return resize_labels(mask[:, 0], *size).unsqueeze(1)
