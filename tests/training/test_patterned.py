"""Training by label patterns: the plain forward and its gradients, for any map, style and batch."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.native.build import load
from models.generator import StyledSpadeGenerator, feathered
from models.spade import StyleField
from training import patterned

CLASSES, STYLE = 5, 6


@pytest.fixture(autouse=True)
def _needs_a_compiler() -> None:
    library, reason = load(patterned.SOURCE)
    if library is None:
        pytest.skip(reason)


def generator_of(widths: tuple[int, ...], seed: int = 0) -> StyledSpadeGenerator:
    torch.manual_seed(seed)
    generator = StyledSpadeGenerator(CLASSES, widths, 3, STYLE, 2)
    return generator.train().to(memory_format=torch.channels_last)


def blobs(batch: int, height: int, width: int, seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(CLASSES, size=(batch, -(-height // 5), -(-width // 5)))
    return torch.from_numpy(coarse.repeat(5, 1).repeat(5, 2)[:, :height, :width].copy())


def trained(paint: patterned.Forward, generator: StyledSpadeGenerator, inputs: tuple, pull: torch.Tensor):
    """Output, gradients (style's too) and running statistics of one step."""
    labels, codes, weights, noise = inputs
    codes = codes.clone().requires_grad_()
    generator.zero_grad()
    out = paint(labels, StyleField(codes, weights), noise)
    (out * pull).sum().backward()
    gradients = {name: value.grad.clone() for name, value in generator.named_parameters()}
    return out.detach(), gradients | {"codes": codes.grad}, copy.deepcopy(generator.state_dict())


def a_step(generator: StyledSpadeGenerator, batch: int, height: int, width: int, mixed: bool, shared: bool):
    torch.manual_seed(3)
    labels = blobs(batch, height, width, seed=height + width)
    codes = torch.randn(batch, 2 if mixed else 1, STYLE)
    halves = (torch.arange(width) > width // 3).long().expand(batch, height, width)
    noise = [torch.randn(1 if shared else batch, 2, h, w) for h, w in generator.grids(height, width)]
    inputs = (labels, codes, feathered(halves, 2) if mixed else None, noise)
    return inputs, torch.randn(batch, 3, height, width)


@pytest.mark.parametrize("training", [True, False])
@settings(max_examples=12, deadline=None)
@given(
    widths=st.sampled_from([(8, 6), (12, 8, 8), (40, 33, 7)]),
    batch=st.integers(1, 3),
    cells=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    mixed=st.booleans(),
    shared=st.booleans(),
)
def test_output_gradients_and_statistics_are_those_of_the_plain_forward(
    training: bool, widths: tuple[int, ...], batch: int, cells: tuple[int, int], mixed: bool, shared: bool
) -> None:
    generator = generator_of(widths).train(training)
    start = copy.deepcopy(generator.state_dict())
    height, width = (generator.stride * n for n in cells)
    inputs, pull = a_step(generator, batch, height, width, mixed, shared)
    plain = trained(generator, generator, inputs, pull)
    generator.load_state_dict(start)
    fast = trained(patterned.PatternedSpade(generator), generator, inputs, pull)
    torch.testing.assert_close(fast[0], plain[0], rtol=0, atol=3e-4)
    for name, expected in plain[1].items():
        # The bias before a batch norm has a gradient of nothing but rounding.
        scale = max(float(expected.norm()), 1.0)
        assert float((fast[1][name] - expected).norm()) < 5e-3 * scale, name
    for name, expected in plain[2].items():
        torch.testing.assert_close(fast[2][name], expected, rtol=1e-4, atol=1e-5, msg=name)


def test_bfloat16_is_as_close_as_bfloat16_can_be() -> None:
    generator = generator_of((32, 16, 16))
    start = copy.deepcopy(generator.state_dict())
    inputs, pull = a_step(generator, 2, 32, 32, mixed=False, shared=False)
    exact = trained(generator, generator, inputs, pull)
    errors = []
    for paint in (generator, patterned.PatternedSpade(generator)):
        generator.load_state_dict(start)
        with torch.autocast("cpu", torch.bfloat16):
            found = trained(paint, generator, inputs, pull)
        errors.append([float((found[0] - exact[0]).norm() / exact[0].norm())])
        for name in ("conv_img.weight", "blocks.1.conv_0.weight", "blocks.2.norm_0.mlp_gamma_beta.weight"):
            errors[-1].append(float((found[1][name] - exact[1][name]).norm() / exact[1][name].norm()))
    for plain, fast in zip(*errors, strict=True):
        assert fast < 1.5 * plain + 0.01


def test_equal_steps_are_equal_to_the_bit_with_any_threads() -> None:
    generator = generator_of((96, 64, 40))
    start = copy.deepcopy(generator.state_dict())
    inputs, _ = a_step(generator, 2, 32, 48, mixed=False, shared=False)
    windows = patterned.windows_of(inputs[0])
    found = []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            generator.load_state_dict(start)
            torch.set_num_threads(1)
            norm = generator.blocks[2].norm_0
            x = torch.linspace(-2, 3, 2 * 64 * 32 * 48).view(2, 64, 32, 48).requires_grad_()
            table = patterned.table_of(norm, windows).detach().requires_grad_()
            strength = generator.blocks[2].noise_0.flatten(1)
            affine = norm.style(inputs[1]).detach().requires_grad_()
            torch.set_num_threads(count)
            arguments = (x, inputs[3][2], strength, table, affine, windows.index, None, norm.param_free_norm)
            y = patterned.StyledNorm.apply(*arguments)
            y.backward(y.detach().cos())
            found.append([y.detach(), x.grad, table.grad, affine.grad])
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


def test_numbers_of_windows_do_not_depend_on_the_hash() -> None:
    labels = blobs(2, 24, 31, seed=1)
    one, other = (patterned.windows_of(labels) for _ in range(2))
    for name in ("cells", "nine", "index"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.index.flatten()[0] == 0
    # The middle cell of the middle window of each pixel's pattern is the pixel's own class.
    own = one.cells[one.nine[one.index.long()][..., 4]][..., 4]
    assert torch.equal(own, labels + 1)


def test_sizes_that_differ_are_refused() -> None:
    """The kernels take the sizes from the activation and would read beside the others."""
    generator = generator_of((8, 8, 8))
    inputs, _ = a_step(generator, 1, 30, 30, mixed=False, shared=False)
    with pytest.raises(ValueError, match="activation, noise and windows are of different sizes"):
        patterned.PatternedSpade(generator)(inputs[0], StyleField(inputs[1]), inputs[3])


def test_without_a_compiler_the_plain_forward_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = generator_of((8, 8))
    assert isinstance(patterned.fastest(generator)[0], patterned.PatternedSpade)
    monkeypatch.setattr(patterned, "load", lambda source: (None, f"no compiler for {Path(source).name}"))
    paint, why = patterned.fastest(generator)
    assert paint is generator
    assert "no compiler for styled_norm.cpp" in why
