"""The operations in plain torch against formulas in float64; no bit depends on what else is in the batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu

from engine import torch_backend
from engine.backend import Modulation
from engine.torch_backend import TorchBackend

DTYPES = [torch.float32, torch.bfloat16]
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 2e-2}  # of a result's root mean square
BACKENDS = {dtype: TorchBackend(torch.device("cpu"), dtype) for dtype in DTYPES}

either = pytest.mark.parametrize("dtype", DTYPES, ids=["fp32", "bf16"])


def close(result: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    error = (result.double() - expected).square().mean().sqrt()
    assert error <= TOLERANCE[dtype] * expected.square().mean().sqrt().clamp_min(1e-3)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 1).repeat_interleave(2, 2)


@either
@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 3),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    fin=st.integers(1, 40),
    fout=st.integers(1, 40),
    kernel=st.sampled_from([1, 3]),
    leak=st.booleans(),
    adding=st.sampled_from(["nothing", "another", "itself", "half"]),
    single=st.booleans(),
    bias=st.booleans(),
)
def test_convolution(
    dtype: torch.dtype,
    images: int,
    height: int,
    width: int,
    fin: int,
    fout: int,
    kernel: int,
    leak: bool,
    adding: str,
    single: bool,
    bias: bool,
) -> None:
    torch.manual_seed(images + 7 * fin)
    backend = BACKENDS[dtype]
    if adding == "half":
        height, width = 2 * height, 2 * width
    x = torch.randn(images, height, width, fin).to(dtype)
    weight = torch.randn(fout, fin, kernel, kernel) / (fin * kernel**2) ** 0.5
    offset = torch.randn(fout) if bias else None
    stored = torch.float32 if single else dtype
    small = (images, height // 2, width // 2) if adding == "half" else (images, height, width)
    add = None if adding == "nothing" else torch.randn(*small, fout).to(stored)
    planes = x.double().permute(0, 3, 1, 2)
    expected = conv2d(
        leaky_relu(planes, 0.2) if leak else planes,
        weight.double(),
        None if offset is None else offset.double(),
        padding=kernel // 2,
    ).permute(0, 2, 3, 1)
    if add is not None:
        expected = expected + (doubled(add) if adding == "half" else add).double()
    out = torch.full((images, height, width, fout), torch.nan, dtype=stored)
    if add is not None and adding == "itself":
        add = out.copy_(add)
    before = x.clone()
    packed = backend.pack(weight, offset)
    backend.convolve(x, packed, out=out, add=add, add_doubled=adding == "half", leak=leak)
    close(out, expected, dtype)
    assert torch.equal(x, before)


def random_modulation(
    size: tuple[int, int, int],
    channels: int,
    dtype: torch.dtype,
    *,
    styles: int,
    noises: int,
    per_image: bool,
) -> Modulation:
    """styles: none; one for each image; or several, blended."""
    images, blended = size[0] if per_image else 1, styles > 1
    return Modulation(
        index=torch.randint(0, 50, size, dtype=torch.int32),
        table=torch.randn(50, 2 * channels).to(dtype),
        pre=torch.randn(images, 2, channels),
        post=torch.randn(styles if blended else size[0], 2, channels) if styles else None,
        noise=torch.randn(images, *size[1:], noises) if noises else None,
        strength=torch.randn(channels, noises) if noises else None,
        blend=torch.randint(0, styles, size, dtype=torch.int32) if blended else None,
    )


def plainly_modulated(x: Tensor, m: Modulation, activate: bool) -> Tensor:
    """The formula of `engine.backend.Modulation` as it stands, x at its full size."""
    v = x.double()
    if m.noise is not None and m.strength is not None:
        v = v + m.noise.double() @ m.strength.double().T
    v = v * m.pre[:, None, None, 0].double() + m.pre[:, None, None, 1].double()
    scale, shift = m.table[m.index.long()].double().chunk(2, dim=-1)
    v = v * scale + shift
    if m.post is not None:
        post = m.post[:, None, None] if m.blend is None else m.post[m.blend.long()]
        v = v * post[..., 0, :].double() + post[..., 1, :].double()
    return leaky_relu(v, 0.2) if activate else v


@either
@settings(max_examples=30, deadline=None)
@given(
    images=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.integers(1, 40),
    styles=st.sampled_from([0, 1, 7]),
    noises=st.integers(0, 8),
    per_image=st.booleans(),
    twice=st.booleans(),
    activate=st.booleans(),
)
def test_modulation(
    dtype: torch.dtype,
    images: int,
    height: int,
    width: int,
    channels: int,
    styles: int,
    noises: int,
    per_image: bool,
    twice: bool,
    activate: bool,
) -> None:
    torch.manual_seed(channels)
    x = torch.randn(images, height, width, channels).to(dtype)
    full = doubled(x) if twice else x
    size = (images, *full.shape[1:3])
    m = random_modulation(size, channels, dtype, styles=styles, noises=noises, per_image=per_image)
    expected = plainly_modulated(full, m, activate)
    out = torch.full_like(full, torch.nan) if twice else x  # in place where nothing is doubled
    BACKENDS[dtype].modulate(x, m, doubled=twice, activate=activate, out=out)
    close(out, expected, dtype)


@either
@pytest.mark.parametrize("side", [(16, 204), (1, 400), (30, 10), (31, 12)])
def test_pieces_of_large_pictures_meet(
    dtype: torch.dtype, side: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_backend, "_VALUES", 80)
    backend, (height, width) = BACKENDS[dtype], side
    x = torch.randn(1, *side, 2).to(dtype)
    m = random_modulation((1, *side), 2, dtype, styles=5, noises=1, per_image=True)
    out = torch.full_like(x, torch.nan)
    backend.modulate(x, m, doubled=False, activate=True, out=out)
    close(out, plainly_modulated(x, m, True), dtype)
    small = x[:, : (height + 1) // 2, : (width + 1) // 2].contiguous()
    backend.modulate(small, m, doubled=True, activate=True, out=out)
    close(out, plainly_modulated(doubled(small)[:, :height, :width], m, True), dtype)
    packed = backend.pack(torch.ones(2, 2, 1, 1), torch.randn(2))
    apart, together = torch.full_like(x, torch.nan), torch.full_like(x, torch.nan)
    backend.convolve(x, packed, out=apart, add=small, add_doubled=True)
    monkeypatch.undo()
    backend.convolve(x, packed, out=together, add=small, add_doubled=True)
    assert torch.equal(apart, together)


def test_a_picture_is_not_rounded_to_half() -> None:
    """The last convolution: float32 sums of half-precision factors, and a bias that is not rounded either."""
    torch.manual_seed(0)
    x, weight = torch.randn(1, 9, 8, 24).bfloat16(), (torch.randn(3, 24, 3, 3) / 15).bfloat16().float()
    bias, out = torch.randn(3), torch.empty(1, 9, 8, 3)
    backend = BACKENDS[torch.bfloat16]
    backend.convolve(x, backend.pack(weight, bias), out=out, leak=True)
    planes = leaky_relu(x.float(), 0.2).permute(0, 3, 1, 2).double()
    expected = conv2d(planes, weight.double(), bias.double(), padding=1).permute(0, 2, 3, 1)
    close(out, expected, torch.float32)


@pytest.mark.parametrize("half", [False, True])
def test_bias_and_addend_are_rounded_together(half: bool) -> None:
    torch.manual_seed(0)
    backend, bias, size = BACKENDS[torch.bfloat16], torch.randn(40), (3, 2) if half else (6, 4)
    x, add = torch.zeros(1, 6, 4, 8).bfloat16(), torch.randn(1, *size, 40).bfloat16()
    out = torch.empty(1, 6, 4, 40).bfloat16()
    backend.convolve(x, backend.pack(torch.zeros(40, 8, 3, 3), bias), out=out, add=add, add_doubled=half)
    assert torch.equal(out, ((doubled(add) if half else add).float() + bias).bfloat16())


@either
@pytest.mark.parametrize(("fin", "fout", "kernel"), [(16, 24, 3), (130, 67, 3), (48, 3, 1), (64, 64, 3)])
def test_no_bit_depends_on_the_batch(dtype: torch.dtype, fin: int, fout: int, kernel: int) -> None:
    torch.manual_seed(0)
    backend = BACKENDS[dtype]
    packed = backend.pack(torch.randn(fout, fin, kernel, kernel), torch.randn(fout))
    x = torch.randn(4, 9, 13, fin).to(dtype)
    together = torch.empty(4, 9, 13, fout, dtype=dtype)
    backend.convolve(x, packed, out=together)
    for i in range(4):
        alone = torch.empty(1, 9, 13, fout, dtype=dtype)
        backend.convolve(x[i : i + 1], packed, out=alone)
        assert torch.equal(alone[0], together[i])


@either
@pytest.mark.parametrize("fin", [1, 3, 10, 37, 128])
@pytest.mark.parametrize("fout", [1, 2, 6, 10, 24, 130])
def test_a_row_depends_on_nothing_else(dtype: torch.dtype, fin: int, fout: int) -> None:
    """Few outputs are where a library's matrix product would round by a row's place."""
    torch.manual_seed(0)
    backend = BACKENDS[dtype]
    weight, bias = torch.randn(fout, fin, 3, 3) / (9 * fin) ** 0.5, torch.randn(fout)
    packed = backend.pack_places(weight, bias)
    inputs = torch.randn(200, fin).to(dtype)
    row = torch.randint(0, 200, (1, 9), dtype=torch.int32)
    rows = row.repeat(600, 1)
    out, alone = torch.empty(600, fout, dtype=dtype), torch.empty(1, fout, dtype=dtype)
    backend.tabulate(inputs, rows, packed, out=out)
    backend.tabulate(inputs, row, packed, out=alone)
    assert torch.equal(out, alone.expand_as(out))
    others = torch.randint(0, 200, (600, 9), dtype=torch.int32)
    others[411] = row[0]
    backend.tabulate(inputs, others, packed, out=out)
    assert torch.equal(out[411], alone[0])
    gathered = inputs[others.long()].double().view(600, 3, 3, fin)
    close(out, torch.einsum("nkli,oikl->no", gathered, weight.double()) + bias.double(), dtype)
    backend.tabulate(inputs, rows[:0], packed, out=out[:0])
