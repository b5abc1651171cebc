"""Spectral norm, live and folded, and the discriminators of the published recipes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 – its usual name
from torch import Tensor, nn

from models.discriminator import MultiScaleDiscriminator, OasisDiscriminator, PatchDiscriminator
from models.encoder import SpadeEncoder
from models.published import OasisGenerator, SpadeGenerator
from models.spectral import folded_state, settle, spectral_convolution


def largest_singular_value(weight: Tensor) -> float:
    return float(torch.linalg.svdvals(weight.detach().flatten(1).double())[0])


def convolutions(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("shape", [(5, 3, 3), (40, 2, 3), (6, 6, 1), (1, 7, 4)])
def test_settled_weights_have_norm_one(shape: tuple[int, int, int]) -> None:
    fout, fin, kernel = shape
    torch.manual_seed(0)
    layer = spectral_convolution(fin, fout, kernel, bias=False).eval()
    original = layer.parametrizations.weight.original
    with torch.no_grad():
        original.copy_(torch.randn_like(original))  # what the vectors are of is gone
    assert abs(largest_singular_value(layer.weight) - 1) > 1e-2
    settle(layer)
    assert largest_singular_value(layer.weight) == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(layer.weight, original / largest_singular_value(original), rtol=1e-5, atol=0)


def test_folding_leaves_the_network_as_it_is() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(spectral_convolution(3, 4, 3), nn.BatchNorm2d(4))
    layer.train()
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    state = folded_state(layer)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert all(module.training for module in layer.modules())
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    plain.load_state_dict(state)  # strict: every name and shape is a plain network's
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(plain.eval()(x), layer.eval()(x), atol=1e-6, rtol=0)


def test_generators_in_training_fold_into_the_published_ones() -> None:
    torch.manual_seed(0)
    labels, style = torch.randint(0, 5, (2, 64, 64)), torch.randn(2, 6)
    live = OasisGenerator(5, 2, style_dim=6, hidden=4, convolution=spectral_convolution)
    plain = OasisGenerator(5, 2, style_dim=6, hidden=4)
    for _ in range(2):
        live(labels, style)  # moves the singular vectors and the batch statistics
    plain.load_state_dict(folded_state(live))
    torch.testing.assert_close(plain.eval()(labels, style), live.eval()(labels, style), atol=1e-5, rtol=0)

    spade = SpadeGenerator(5, 2, hidden=4, convolution=spectral_convolution)
    folded = SpadeGenerator(5, 2, hidden=4)
    folded.load_state_dict(folded_state(spade))
    torch.testing.assert_close(folded.eval()(labels), spade.eval()(labels), atol=1e-5, rtol=0)

    encoder, photo = SpadeEncoder(2, 6, spectral_convolution), torch.rand(1, 3, 64, 64)
    read = SpadeEncoder(2, 6)
    read.load_state_dict(folded_state(encoder))
    torch.testing.assert_close(read.eval()(photo), encoder.eval()(photo), atol=1e-5, rtol=0)


def test_only_the_blocks_are_normalised_in_a_generator() -> None:
    """As in the published checkpoints: conv_0, conv_1 and conv_s of every block, nothing else."""
    generator = SpadeGenerator(3, 2, hidden=4, convolution=spectral_convolution)
    found = {name.split(".parametrizations")[0] for name in generator.state_dict() if "original" in name}
    assert {name.split(".")[-1] for name in found} == {"conv_0", "conv_1", "conv_s"}
    assert len(found) == 2 * 7 + 4  # four of the seven blocks change the width


def test_a_patch_discriminator_is_its_layers() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(5, 4, layers=3).eval()
    x = torch.randn(2, 5, 32, 40)
    activations = discriminator(x)
    y = x
    for level, (layer, found) in enumerate(zip(discriminator.layers, activations[:-1], strict=True)):
        y = F.conv2d(y, layer[0].weight, layer[0].bias, stride=1 if level == 2 else 2, padding=2)
        if level:
            y = (y - y.mean((2, 3), keepdim=True)) / (y.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
        y = F.leaky_relu(y, 0.2)
        torch.testing.assert_close(found, y, atol=1e-5, rtol=1e-4)
    scores = F.conv2d(y, discriminator.head.weight, discriminator.head.bias, padding=2)
    torch.testing.assert_close(activations[-1], scores, atol=1e-5, rtol=1e-4)


def test_a_patch_is_seventy_pixels_and_widths_stop_at_eight_times() -> None:
    """The receptive field of four layers (Isola et al. 2017), measured with a gradient."""
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, 2, layers=4)
    for module in discriminator.modules():
        if isinstance(module, nn.InstanceNorm2d):
            module.forward = lambda x: x  # it would look at the whole picture
    x = torch.randn(1, 3, 192, 192, requires_grad=True)
    scores = discriminator(x)[-1]
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70
    deep = PatchDiscriminator(3, 2, layers=6)
    assert [module.out_channels for module in convolutions(deep)] == [2, 4, 8, 16, 16, 16, 1]


def test_scales_have_their_own_weights_and_a_halved_picture() -> None:
    torch.manual_seed(0)
    discriminator = MultiScaleDiscriminator(3, 4, layers=3, scales=2).eval()
    x = torch.randn(1, 3, 32, 32)
    fine, coarse = discriminator(x)
    assert len(fine) == len(coarse) == 4
    halved = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    for found, expected in zip(coarse, discriminator.scales[1](halved), strict=True):
        assert torch.equal(found, expected)
    assert fine[-1].shape[2] > coarse[-1].shape[2]


def test_the_oasis_discriminator_speaks_for_every_pixel() -> None:
    torch.manual_seed(0)
    discriminator = OasisDiscriminator(5, 4)
    scores = discriminator(torch.randn(2, 3, 64, 128))
    assert scores.shape == (2, 6, 64, 128)
    normalised = [name for name in discriminator.state_dict() if "original" in name]
    assert len(normalised) == 3 * 12, "three convolutions in each of twelve blocks"
    picture = torch.randn(1, 3, 64, 64, requires_grad=True)
    discriminator(picture)[0, 1, 10, 50].backward()
    assert picture.grad is not None
    assert (picture.grad.abs().sum(1) > 0).all(), "a pixel's judge has seen the whole picture"


def test_the_oasis_discriminator_has_the_published_widths() -> None:
    discriminator = OasisDiscriminator(17, 1)
    down = [block.conv_0.out_channels for block in discriminator.down]
    up = [(block.conv_0.in_channels, block.conv_0.out_channels) for block in discriminator.up]
    assert down == [2, 2, 4, 4, 8, 8]
    assert up == [(8, 8), (16, 4), (8, 4), (8, 2), (4, 2), (4, 1)]
