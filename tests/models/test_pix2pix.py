"""pix2pix: what the paper says of its layers, patches and noise, and what we say of sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.pix2pix import PatchDiscriminator, Pix2PixGenerator


def labels(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 5, (batch, height, width), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("depth", "height", "width"), [(2, 4, 8), (3, 32, 24), (5, 32, 64), (7, 128, 128), (8, 256, 256)]
)
def test_any_multiple_of_the_stride_is_painted(depth: int, height: int, width: int) -> None:
    generator = Pix2PixGenerator(5, 2, depth).eval()
    assert generator.stride == 2**depth
    picture = generator(labels(1, height, width))
    assert picture.shape == (1, 3, height, width)
    assert picture.dtype == torch.float32
    assert picture.abs().max() <= 1


@pytest.mark.parametrize(("height", "width"), [(8, 12), (0, 8), (9, 8)])
def test_other_sizes_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"{width}×{height}.*multiples of 8"):
        Pix2PixGenerator(5, 2, 3)(labels(1, height, width))


def test_depths_out_of_range_are_refused() -> None:
    for depth in (1, 10):
        with pytest.raises(ValueError, match=f"depth of {depth}"):
            Pix2PixGenerator(5, 2, depth)


def test_the_papers_channels() -> None:
    """C64-C128-C256-C512-C512-C512-C512-C512 down, and up CD512-CD1024-CD1024-C1024-C1024-C512-C256-C128 with
    the skips counted in (app. 6.1.1)."""
    generator = Pix2PixGenerator(5, 64, 8)
    assert [layer[0].out_channels for layer in generator.down] == [64, 128, 256, 512, 512, 512, 512, 512]
    inputs = [layer[0].in_channels for layer in generator.up] + [generator.conv_img.in_channels]
    assert inputs == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    normalised = [isinstance(layer[1], nn.BatchNorm2d) for layer in generator.down]
    assert normalised == [False, True, True, True, True, True, True, False]
    deviation = torch.cat([p.flatten() for p in generator.parameters() if p.ndim == 4]).std()
    assert 0.019 < deviation < 0.021


@pytest.mark.parametrize("depth", [3, 5])
def test_one_picture_with_one_pixel_at_the_bottleneck_trains(depth: int) -> None:
    """Every weight gets a gradient: a batch norm over a single value would have made it 0."""
    generator = Pix2PixGenerator(5, 4, depth).train()
    generator(labels(1, 2**depth, 2**depth)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_dropout_is_the_only_noise_and_comes_from_outside() -> None:
    generator = Pix2PixGenerator(5, 4, 5).eval()
    map_ = labels(2, 64, 32)
    shapes = generator.dropout_shapes(64, 32)
    assert shapes == [(32, 4, 2), (16, 8, 4), (8, 16, 8)]
    torch.testing.assert_close(generator(map_), generator(map_), rtol=0, atol=0)
    masks = [torch.rand(2, *shape, generator=torch.Generator().manual_seed(1)) < 0.5 for shape in shapes]
    dropped = generator(map_, masks)
    assert not torch.equal(dropped, generator(map_))
    torch.testing.assert_close(dropped, generator(map_, masks), rtol=0, atol=0)


def test_dropout_keeps_the_mean() -> None:
    """What stays is enlarged: with everything kept, values are twice those without dropout."""
    generator = Pix2PixGenerator(5, 4, 2).eval()
    entered: list[Tensor] = []
    generator.conv_img.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
    map_ = labels(1, 8, 8)
    (shape,) = generator.dropout_shapes(8, 8)
    generator(map_)
    generator(map_, [torch.ones(1, *shape, dtype=torch.bool)])
    below, skip = entered[0].split(4, dim=1)
    torch.testing.assert_close(entered[1], torch.cat([2 * below, skip], dim=1))


def test_a_patch_is_70_pixels_wide() -> None:
    """How far a pixel of the answer sees: the span of its gradient in the picture (sec. 3.2.2)."""
    discriminator = PatchDiscriminator(5, 4).eval()
    picture = torch.randn(1, 3, 128, 128, requires_grad=True)
    answer = discriminator(picture, labels(1, 128, 128))
    assert answer.shape == (1, 1, 14, 14)
    answer[0, 0, 7, 7].backward()
    assert picture.grad is not None
    seen = picture.grad[0].abs().sum(0)
    for axis in (0, 1):
        assert len(seen.sum(axis).nonzero()) == 70


def test_the_discriminator_reads_the_map() -> None:
    discriminator = PatchDiscriminator(5, 4).eval()
    picture = torch.randn(1, 3, 32, 32)
    first, second = (discriminator(picture, labels(1, 32, 32, seed)) for seed in (0, 1))
    assert first.shape == (1, 1, 2, 2)
    assert not torch.equal(first, second)
