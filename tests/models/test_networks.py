"""The networks against their formulas, written out a second time and plainly."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 – its usual name
from torch import Tensor, nn

from models.discriminator import SegmentationDiscriminator
from models.encoder import StyleEncoder
from models.generator import feathered
from models.noise import hash_normal, noise_field, style_from_seed
from models.segmenter import UNet
from models.spade import SpadeBlock, SpadeNorm, StyledSpadeNorm, StyleField, one_hot, resize_labels
from tests.tiny import STYLE_DIM, tiny_networks


def random_labels(*shape: int, classes: int = 5) -> Tensor:
    return torch.randint(0, classes, shape)


def test_one_hot_is_the_library_one_hot() -> None:
    labels = random_labels(2, 7, 9)
    expected = F.one_hot(labels, 5).permute(0, 3, 1, 2).float()
    assert torch.equal(one_hot(labels, 5), expected)
    assert torch.equal(one_hot(labels.byte(), 5), expected)


@pytest.mark.parametrize("size", [(4, 4), (8, 16), (3, 5), (16, 16), (32, 8)])
def test_labels_are_resized_as_the_library_resizes(size: tuple[int, int]) -> None:
    labels = random_labels(2, 16, 16)
    expected = F.interpolate(labels[:, None].float(), size=size, mode="nearest")[:, 0].long()
    assert torch.equal(resize_labels(labels, *size), expected)


def test_spade_norm_is_equation_one() -> None:
    torch.manual_seed(0)
    norm = SpadeNorm(6, 5, hidden=4)
    norm.param_free_norm.running_mean.normal_()
    norm.param_free_norm.running_var.uniform_(0.5, 2)
    norm.eval()
    x, onehot = torch.randn(2, 6, 8, 8), one_hot(random_labels(2, 8, 8), 5)
    hidden = F.conv2d(onehot, norm.mlp_shared[0].weight, norm.mlp_shared[0].bias, padding=1).clamp(min=0)
    gamma = F.conv2d(hidden, norm.mlp_gamma.weight, norm.mlp_gamma.bias, padding=1)
    beta = F.conv2d(hidden, norm.mlp_beta.weight, norm.mlp_beta.bias, padding=1)
    mean, var = (
        v[None, :, None, None] for v in (norm.param_free_norm.running_mean, norm.param_free_norm.running_var)
    )
    expected = (x - mean) / torch.sqrt(var + 1e-5) * (1 + gamma) + beta
    torch.testing.assert_close(norm(x, onehot), expected, atol=1e-5, rtol=1e-5)


def test_spade_norm_takes_instance_statistics() -> None:
    norm = SpadeNorm(6, 5, hidden=4, statistics=nn.InstanceNorm2d)
    nn.init.zeros_(norm.mlp_gamma.weight)
    nn.init.zeros_(norm.mlp_gamma.bias)
    nn.init.zeros_(norm.mlp_beta.weight)
    nn.init.zeros_(norm.mlp_beta.bias)
    y = norm(3 + 5 * torch.randn(2, 6, 8, 8), one_hot(random_labels(2, 8, 8), 5))
    torch.testing.assert_close(y.mean((2, 3)), torch.zeros(2, 6), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((2, 3), correction=0), torch.ones(2, 6), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("fin", "fout"), [(8, 8), (8, 4), (4, 8)])
def test_spade_block_is_the_published_block(fin: int, fout: int) -> None:
    torch.manual_seed(0)
    block = SpadeBlock(fin, fout, lambda channels: SpadeNorm(channels, 5, hidden=4)).eval()
    x, onehot = torch.randn(1, fin, 8, 8), one_hot(random_labels(1, 8, 8), 5)
    y = block.conv_0(F.leaky_relu(block.norm_0(x, onehot), 0.2))
    y = block.conv_1(F.leaky_relu(block.norm_1(y, onehot), 0.2))
    shortcut = x if fin == fout else F.conv2d(block.norm_s(x, onehot), block.conv_s.weight)
    torch.testing.assert_close(block(x, onehot), shortcut + y)
    expected = {
        "conv_0.weight",
        "norm_0.mlp_shared.0.weight",
        "norm_1.mlp_beta.bias",
        "norm_0.param_free_norm.running_var",
    }
    assert expected <= block.state_dict().keys(), "the public checkpoints' key names"


def test_styled_norm_applies_style_after_labels() -> None:
    norm = StyledSpadeNorm(6, 5, hidden=4, style_dim=3).eval()
    x, onehot = torch.randn(1, 6, 8, 8), one_hot(random_labels(1, 8, 8), 5)
    code = torch.randn(1, 1, 3)
    plain = norm(x, onehot, StyleField(torch.zeros(1, 1, 3)))
    scale, shift = norm.style(code)[0, 0].chunk(2)
    expected = plain * (1 + scale)[None, :, None, None] + shift[None, :, None, None]
    torch.testing.assert_close(norm(x, onehot, StyleField(code)), expected, atol=1e-5, rtol=1e-5)


def test_modulation_reads_only_the_five_by_five_window() -> None:
    """The fact that label tables rest on: change one label and gamma and beta move only within two pixels."""
    norm = StyledSpadeNorm(4, 5, hidden=4, style_dim=3).eval()
    labels = random_labels(1, 16, 16)
    changed = labels.clone()
    changed[0, 8, 8] = (changed[0, 8, 8] + 1) % 5
    x, style = torch.randn(1, 4, 16, 16), StyleField(torch.zeros(1, 1, 3))
    moved = (norm(x, one_hot(labels, 5), style) != norm(x, one_hot(changed, 5), style)).any(1)[0]
    rows, columns = torch.nonzero(moved, as_tuple=True)
    assert rows.min() >= 6
    assert rows.max() <= 10
    assert columns.min() >= 6
    assert columns.max() <= 10
    assert moved.any()


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 20), (32, 16)])
def test_generator_is_fully_convolutional(height: int, width: int) -> None:
    generator, _ = tiny_networks()
    with torch.no_grad():
        picture = generator(
            random_labels(2, height, width),
            StyleField(torch.zeros(2, 1, STYLE_DIM)),
            generator.noise(1, height, width),
        )
    assert picture.shape == (2, 3, height, width)
    assert picture.abs().max() <= 1


def test_generator_refuses_sides_that_do_not_fit() -> None:
    generator, _ = tiny_networks()
    with pytest.raises(ValueError, match="multiples of 4"):
        generator(random_labels(1, 6, 8), StyleField(torch.zeros(1, 1, STYLE_DIM)), [])


def test_style_and_noise_each_change_the_picture() -> None:
    generator, _ = tiny_networks()
    labels = torch.ones(1, 16, 16, dtype=torch.int64)
    with torch.no_grad():
        one = generator(labels, StyleField(torch.zeros(1, 1, STYLE_DIM)), generator.noise(1, 16, 16))
        light = generator(labels, StyleField(torch.ones(1, 1, STYLE_DIM)), generator.noise(1, 16, 16))
        texture = generator(labels, StyleField(torch.zeros(1, 1, STYLE_DIM)), generator.noise(2, 16, 16))
    assert (one - light).abs().mean() > 1e-3
    assert (one - texture).abs().mean() > 1e-3
    inside = one[0, :, 6:10, 6:10]
    assert inside.std((1, 2)).min() > 1e-3, "a flat region varies only through the noise field"


def test_two_styles_meet_at_a_feathered_border() -> None:
    generator, _ = tiny_networks()
    labels = torch.ones(1, 64, 64, dtype=torch.int64)
    codes = torch.randn(1, 2, STYLE_DIM)
    halves = torch.zeros(1, 64, 64, dtype=torch.int64)
    halves[:, :, 32:] = 1
    weights = feathered(halves, 2)
    torch.testing.assert_close(weights.sum(1), torch.ones(1, 64, 64))
    with torch.no_grad():
        noise = generator.noise(1, 64, 64)
        both = generator(labels, StyleField(codes, weights), noise)
        left, right = (generator(labels, StyleField(codes[:, i : i + 1]), noise) for i in (0, 1))
    torch.testing.assert_close(both[..., :8], left[..., :8], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both[..., -8:], right[..., -8:], atol=1e-5, rtol=1e-5)
    assert (left - right).abs().max() > 0.01


def test_noise_belongs_to_positions_and_seeds() -> None:
    small, large = noise_field(7, 2, 3, 20, 30), noise_field(7, 2, 3, 64, 64)
    assert torch.equal(small, large[..., :20, :30])
    assert not torch.equal(noise_field(8, 2, 3, 20, 30), small)
    assert not torch.equal(noise_field(7, 3, 3, 20, 30), small)


def test_noise_is_nearly_normal_and_white() -> None:
    field = noise_field(3, 0, 4, 256, 256)
    assert abs(float(field.mean())) < 0.01
    assert abs(float(field.std()) - 1) < 0.01
    for dy, dx in [(0, 1), (1, 0), (1, 1), (0, 2), (2, 0)]:
        shifted = field.roll((dy, dx), (2, 3))
        assert abs(float((field * shifted).mean())) < 0.01
    assert abs(float((field[0, 0] * field[0, 1]).mean())) < 0.01
    other = noise_field(4, 0, 4, 256, 256)
    assert abs(float((field * other).mean())) < 0.01


def test_noise_golden_values() -> None:
    """Pins the field for ever: a change here changes every picture that anyone has kept a seed for."""
    values = hash_normal(torch.arange(4), 42)
    torch.testing.assert_close(values, torch.tensor(GOLDEN_HASH), atol=1e-5, rtol=0)
    torch.testing.assert_close(style_from_seed(1, 4), torch.tensor(GOLDEN_STYLE), atol=1e-5, rtol=0)


GOLDEN_HASH = [-0.426252, -1.136671, 1.38701, -0.460081]
GOLDEN_STYLE = [-0.548038, 0.690122, -0.493911, -0.805142]


@pytest.mark.parametrize("size", [(64, 64), (128, 96)])
def test_encoder_reads_any_size(size: tuple[int, int]) -> None:
    encoder = StyleEncoder([8, 16], 5)
    mean, log_variance = encoder(torch.rand(2, 3, *size) * 2 - 1)
    assert mean.shape == log_variance.shape == (2, 5)


def test_encoder_sees_brightness() -> None:
    encoder = StyleEncoder([8, 16], 5)
    dark, _ = encoder(torch.full((1, 3, 64, 64), -0.5))
    bright, _ = encoder(torch.full((1, 3, 64, 64), 0.5))
    assert (dark - bright).abs().max() > 1e-3


def test_unet_and_discriminator_score_every_second_pixel() -> None:
    picture = torch.rand(2, 3, 32, 48)
    assert UNet(5, [4, 8, 8])(picture).shape == (2, 5, 16, 24)
    discriminator = SegmentationDiscriminator(5, [4, 8, 8])
    assert discriminator(picture).shape == (2, 6, 16, 24)


def test_discriminator_layers_have_unit_spectral_norm() -> None:
    discriminator = SegmentationDiscriminator(5, [8, 16])
    for _ in range(30):  # power iteration converges while training
        discriminator(torch.rand(1, 3, 16, 16))
    discriminator.eval()
    for layer in [*discriminator.down, *discriminator.up]:
        weight = layer[0].weight.detach().flatten(1)
        assert abs(float(torch.linalg.matrix_norm(weight, 2)) - 1) < 0.02
