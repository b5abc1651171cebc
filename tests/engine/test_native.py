"""The compiled kernels against plain formulas in float64; and no bit depends on what else is in the batch."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu

from engine.backend import Modulation, Packed
from engine.backends import backend_for
from engine.device import Compute
from engine.native import NativeBackend, build, supported

DTYPES = [torch.float32, torch.bfloat16]
TOLERANCE = {torch.float32: 4e-6, torch.bfloat16: 2.5e-2}  # of a result's root mean square
BACKENDS = {dtype: NativeBackend(dtype) for dtype in DTYPES if supported(dtype)[0]}

pytestmark = pytest.mark.skipif(torch.float32 not in BACKENDS, reason=supported(torch.float32)[1])


@pytest.fixture(params=DTYPES, ids=["fp32", "bf16"])
def backend(request: pytest.FixtureRequest) -> NativeBackend:
    if request.param not in BACKENDS:
        pytest.skip(supported(request.param)[1])
    return BACKENDS[request.param]


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def close(result: Tensor, expected: Tensor, dtype: torch.dtype) -> None:
    error = (result.double() - expected).abs()
    scale = expected.square().mean().sqrt().clamp_min(1e-3)
    assert error.square().mean().sqrt() <= TOLERANCE[dtype] * scale
    assert error.max() <= 8 * TOLERANCE[dtype] * scale.clamp_min(expected.abs().max() / 8)


def same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit."""
    return a.dtype == b.dtype and torch.equal(
        a.contiguous().flatten().view(torch.uint8), b.contiguous().flatten().view(torch.uint8)
    )


def convolved(backend: NativeBackend, x: Tensor, packed: Packed, fout: int, **options: object) -> Tensor:
    out = torch.full((*x.shape[:3], fout), torch.nan, dtype=options.pop("dtype", backend.dtype))  # type: ignore[arg-type]
    backend.convolve(x, packed, out=out, **options)  # type: ignore[arg-type]
    return out


def packed_for(backend: NativeBackend, tile: int, weight: Tensor, bias: Tensor | None) -> Packed:
    """Weights for Winograd tiles of this many outputs a side, whatever the backend would choose."""
    with patch.object(backend, "_tile", lambda *_: tile):
        return backend.pack(weight, bias)


def plainly_convolved(
    x: Tensor, weight: Tensor, bias: Tensor | None, add: Tensor | None, doubled: bool, leak: bool
) -> Tensor:
    """In float64, on the values that the backend is given."""
    planes = x.double().permute(0, 3, 1, 2)
    planes = leaky_relu(planes, 0.2) if leak else planes
    result = conv2d(
        planes, weight.double(), None if bias is None else bias.double(), padding=weight.shape[2] // 2
    ).permute(0, 2, 3, 1)
    if add is None:
        return result
    return result + (add.repeat_interleave(2, 1).repeat_interleave(2, 2) if doubled else add).double()


channels = st.one_of(st.integers(1, 40), st.sampled_from([48, 64, 65, 96, 127, 130, 200]))


@given(
    images=st.integers(1, 3), height=st.integers(1, 19), width=st.integers(1, 19),
    fin=channels, fout=channels, kernel=st.sampled_from([1, 3]),
    bias=st.booleans(), leak=st.booleans(), single=st.booleans(),
    adding=st.sampled_from(["nothing", "another", "itself", "half"]), tile=st.sampled_from([2, 4]),
    count=st.integers(1, 3), seed=st.integers(0, 2**16),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("dtype", list(BACKENDS))
def test_convolution(
    dtype: torch.dtype, images: int, height: int, width: int, fin: int, fout: int, kernel: int, bias: bool,
    leak: bool, single: bool, adding: str, tile: int, count: int, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    backend = BACKENDS[dtype]
    if adding == "half":
        height, width = height + height % 2, width + width % 2
    stored = torch.float32 if single else dtype
    x = torch.randn(images, height, width, fin).to(dtype)
    weight = torch.randn(fout, fin, kernel, kernel) / (fin * kernel * kernel) ** 0.5
    offset = torch.randn(fout) if bias else None
    small = (images, height // 2, width // 2) if adding == "half" else (images, height, width)
    add = torch.randn(*small, fout).to(stored) if adding != "nothing" else None
    expected = plainly_convolved(x, weight, offset, add, adding == "half", leak)
    out = torch.full((images, height, width, fout), torch.nan, dtype=stored)
    if adding == "itself" and add is not None:
        add = out.copy_(add)
    packed = packed_for(backend, tile, weight, offset)
    with threads(count):
        backend.convolve(x, packed, out=out, add=add, add_doubled=adding == "half", leak=leak)
    close(out, expected, dtype)


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize(("fin", "fout", "side", "kernel"), [
    (16, 24, 9, 3), (130, 67, 5, 3), (64, 64, 40, 3), (256, 256, 12, 3), (48, 96, 33, 1), (300, 128, 3, 1),
])  # fmt: skip
def test_no_bit_depends_on_batch_or_threads(
    backend: NativeBackend, fin: int, fout: int, side: int, kernel: int, tile: int
) -> None:
    torch.manual_seed(0)
    packed = packed_for(backend, tile, torch.randn(fout, fin, kernel, kernel), torch.randn(fout))
    x = torch.randn(5, side, side, fin).to(backend.dtype)
    with threads(1):
        alone = [convolved(backend, image[None], packed, fout) for image in x]
        together = convolved(backend, x, packed, fout)
    with threads(2):
        shared = convolved(backend, x, packed, fout)
    assert same(torch.cat(alone), together)
    assert same(together, shared)


@pytest.mark.parametrize(
    ("kernel", "fin", "fout", "distinct"), [(3, 128, 70, 40), (3, 33, 256, 300), (5, 1, 3, 9), (1, 6, 20, 1)]
)
def test_table_rows(backend: NativeBackend, kernel: int, fin: int, fout: int, distinct: int) -> None:
    """They are the convolution, and a row depends on nothing but its own window."""
    torch.manual_seed(0)
    places, rows = kernel**2, 150
    weight = torch.randn(fout, fin, kernel, kernel) / (fin * places) ** 0.5
    bias = torch.randn(fout)
    packed = backend.pack_places(weight, bias)
    inputs = torch.randn(distinct, fin).to(backend.dtype)
    windows = torch.randint(0, distinct, (rows, places), dtype=torch.int32)
    out = torch.empty(rows, fout, dtype=backend.dtype)
    backend.tabulate(inputs, windows, packed, out=out)
    gathered = inputs[windows.long()].view(rows, kernel, kernel, fin).permute(0, 3, 1, 2)
    close(
        out, torch.einsum("nikl,oikl->no", gathered.double(), weight.double()) + bias.double(), backend.dtype
    )
    order = torch.randperm(distinct)
    elsewhere = torch.empty(distinct, dtype=torch.int32)
    elsewhere[order] = torch.arange(distinct, dtype=torch.int32)
    for count, start in [(1, 0), (1, 149), (7, 3), (65, 80)]:
        some = torch.empty(count, fout, dtype=backend.dtype)
        moved = elsewhere[windows[start : start + count].long()]
        backend.tabulate(inputs[order].contiguous(), moved.contiguous(), packed, out=some)
        assert same(some, out[start : start + count])
    backend.tabulate(inputs, windows[:0], packed, out=out[:0])


def test_padding_is_exactly_zero(backend: NativeBackend) -> None:
    """A picture in the middle of a black one gives what it gives alone."""
    torch.manual_seed(0)
    packed = backend.pack(torch.randn(16, 16, 3, 3), None)
    x = torch.randn(1, 6, 8, 16).to(backend.dtype)
    black = torch.zeros(1, 14, 16, 16, dtype=backend.dtype)
    black[:, 4:10, 4:12] = x
    assert same(convolved(backend, black, packed, 16)[:, 4:10, 4:12], convolved(backend, x, packed, 16))


def test_nan_stays_near(backend: NativeBackend) -> None:
    torch.manual_seed(0)
    packed = backend.pack(torch.randn(32, 16, 3, 3), None)
    x = torch.randn(2, 12, 12, 16).to(backend.dtype)
    clean = convolved(backend, x, packed, 32)
    x[0, 5, 6, 3] = torch.nan
    out = convolved(backend, x, packed, 32)
    assert out[0, 4:7, 5:8].isnan().all()
    # Winograd's tiles of 4 × 4 carry it up to three pixels further than the sum would.
    out[0, 4:8, 4:8] = clean[0, 4:8, 4:8]
    assert same(out, clean)


def test_halves_round_to_nearest_even() -> None:
    """A 1×1 convolution by 1 that adds float32 offsets is a conversion."""
    if torch.bfloat16 not in BACKENDS:
        pytest.skip(supported(torch.bfloat16)[1])
    torch.manual_seed(0)
    values = torch.cat([torch.randn(500), 1 + torch.arange(64) / 512, torch.tensor([torch.inf, -torch.inf])])
    packed = BACKENDS[torch.bfloat16].pack(torch.zeros(len(values), 2, 1, 1), values)
    out = convolved(BACKENDS[torch.bfloat16], torch.zeros(1, 1, 1, 2).bfloat16(), packed, len(values))
    assert same(out.flatten(), values.bfloat16())


def plainly_modulated(x: Tensor, m: Modulation, doubled: bool, activate: bool) -> Tensor:
    v = x.double()
    if doubled:
        v = v.repeat_interleave(2, 1).repeat_interleave(2, 2)
    if m.noise is not None and m.strength is not None:
        v = v + m.noise.double() @ m.strength.double().T
    v = v * m.pre[:, 0, None, None].double() + m.pre[:, 1, None, None].double()
    scale, shift = m.table.double()[m.index.long()].chunk(2, dim=-1)
    v = v * scale + shift
    if m.post is not None:
        post = m.post[:, None, None] if m.blend is None else m.post[m.blend.long()]
        v = v * post[..., 0, :].double() + post[..., 1, :].double()
    return leaky_relu(v, 0.2) if activate else v


def random_modulation(
    dtype: torch.dtype, shape: tuple[int, int, int, int], noises: int, styles: int, shared: bool
) -> Modulation:
    """styles: none; one for each image; or several, blended."""
    images, height, width, channels = shape
    one = 1 if shared else images
    blended = styles > 1
    return Modulation(
        index=torch.randint(0, 11, (images, height, width), dtype=torch.int32),
        table=torch.randn(13, 2 * channels).to(dtype),
        pre=torch.randn(one, 2, channels),
        post=torch.randn(styles if blended else images, 2, channels) if styles else None,
        noise=torch.randn(one, height, width, noises) if noises else None,
        strength=torch.randn(channels, noises) if noises else None,
        blend=torch.randint(0, styles, (images, height, width), dtype=torch.int32) if blended else None,
    )


@given(
    images=st.integers(1, 3), height=st.integers(1, 9), width=st.integers(1, 9), channels=channels,
    noises=st.sampled_from([0, 0, 1, 3, 8]), styles=st.sampled_from([0, 1, 7]), shared=st.booleans(),
    doubled=st.booleans(), activate=st.booleans(), count=st.integers(1, 2), seed=st.integers(0, 2**16),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("dtype", list(BACKENDS))
def test_modulation(
    dtype: torch.dtype, images: int, height: int, width: int, channels: int, noises: int, styles: int,
    shared: bool, doubled: bool, activate: bool, count: int, seed: int,
) -> None:  # fmt: skip
    torch.manual_seed(seed)
    if doubled:
        height, width = 2 * height, 2 * width
    shape = (images, height, width, channels)
    m = random_modulation(dtype, shape, noises, styles, shared)
    x = torch.randn(images, height // (1 + doubled), width // (1 + doubled), channels).to(dtype)
    expected = plainly_modulated(x, m, doubled, activate)
    out = torch.full(shape, torch.nan, dtype=dtype)
    with threads(count):
        BACKENDS[dtype].modulate(x, m, doubled=doubled, activate=activate, out=out)
    close(out, expected, dtype)
    if not doubled:
        BACKENDS[dtype].modulate(x, m, doubled=False, activate=activate, out=x)
        assert same(x, out)


def test_one_blend_is_one_style_to_the_bit(backend: NativeBackend) -> None:
    torch.manual_seed(0)
    m = random_modulation(backend.dtype, (3, 6, 5, 40), 3, 1, True)
    blend = torch.arange(3, dtype=torch.int32).view(3, 1, 1).repeat(1, 6, 5)
    x = torch.randn(3, 6, 5, 40).to(backend.dtype)
    one, other = torch.empty_like(x), torch.empty_like(x)
    backend.modulate(x, m, doubled=False, activate=True, out=one)
    backend.modulate(x, replace(m, blend=blend), doubled=False, activate=True, out=other)
    assert same(one, other)


@pytest.mark.parametrize("wrong", [torch.zeros(1, 4, 4), torch.zeros(1, 4, 3, dtype=torch.int32)])
def test_blends_of_another_kind_are_refused(backend: NativeBackend, wrong: Tensor) -> None:
    m = random_modulation(backend.dtype, (1, 4, 4, 40), 0, 3, True)
    x = torch.randn(1, 4, 4, 40).to(backend.dtype)
    with pytest.raises(ValueError, match="blend is"):
        backend.modulate(x, replace(m, blend=wrong), doubled=False, activate=True, out=x)


def test_modulation_keeps_nan_in_its_place(backend: NativeBackend) -> None:
    torch.manual_seed(0)
    m = random_modulation(backend.dtype, (1, 4, 4, 40), 0, 0, True)
    x = torch.randn(1, 4, 4, 40).to(backend.dtype)
    x[0, 1, 2, 3], x[0, 2, 2, 35] = torch.nan, torch.nan
    out = torch.zeros_like(x)
    backend.modulate(x, m, doubled=False, activate=True, out=out)
    assert out.isnan().equal(x.isnan())


@pytest.mark.parametrize("wrong", ["shape", "type", "stride", "alias", "odd"])
def test_wrong_calls_are_refused(backend: NativeBackend, wrong: str) -> None:
    dtype = backend.dtype
    packed = backend.pack(torch.zeros(8, 8, 3, 3), None)
    x, out, add = torch.zeros(1, 5, 6, 8, dtype=dtype), torch.zeros(1, 5, 6, 8, dtype=dtype), None
    if wrong == "shape":
        x = x[..., :7].contiguous()
    elif wrong == "type":
        x = x.half()
    elif wrong == "stride":
        x = x.transpose(1, 2).contiguous().transpose(1, 2)
    elif wrong == "alias":
        out = x
    elif wrong == "odd":
        add = torch.zeros(1, 2, 3, 8, dtype=dtype)
    with pytest.raises(ValueError, match=r"must be|into|doubles"):
        backend.convolve(x, packed, out=out, add=add, add_doubled=add is not None)


def test_other_kernels_are_refused(backend: NativeBackend) -> None:
    with pytest.raises(ValueError, match="must be 1×1 or 3×3"):
        backend.pack(torch.zeros(8, 8, 5, 5), None)


def test_scratch_memory_is_kept_and_bounded(backend: NativeBackend) -> None:
    packed = backend.pack(torch.zeros(64, 512, 3, 3), None)
    with threads(2):
        convolved(backend, torch.zeros(1, 192, 192, 512, dtype=backend.dtype), packed, 64)
        size = backend.scratch_bytes
        convolved(backend, torch.zeros(1, 8, 8, 512, dtype=backend.dtype), packed, 64)
    assert 0 < backend.scratch_bytes == size <= 16 << 20


# ------------------------------------------------------------------------------------------------ building


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a compiler that makes haste."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "FLAGS", tuple(flag.replace("-O3", "-O0") for flag in build.FLAGS))
    return tmp_path / "scenebrush"


def test_built_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = build.find_compiler()
    file = build.built(compiler)
    assert file.parent == home
    assert home.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in home.iterdir()] == [file.name]
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    assert build.built(compiler) == file


def test_a_file_that_others_may_write_to_is_built_anew(home: Path) -> None:
    compiler = build.find_compiler()
    file = build.built(compiler)
    file.write_bytes(b"not a library")
    file.chmod(0o777)
    assert build.built(compiler) == file
    assert file.stat().st_mode & 0o777 == 0o700
    assert ctypes.CDLL(str(file)).scenebrush_lanes() in {4, 8, 16}


def test_a_damaged_file_is_built_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the larger part of one would end this process with a bus error."""
    compiler = build.find_compiler()
    file = build.built(compiler)
    whole = file.read_bytes()
    monkeypatch.setattr(build, "_compile", lambda _, file, __: file.write_bytes(whole))
    for damaged in (b"", b"not a library", whole[: len(whole) // 2], whole[:-1], bytes(len(whole))):
        file.write_bytes(damaged)
        assert build.built(compiler) == file
        assert file.read_bytes() == whole
    library, reason = build.load.__wrapped__()
    assert library is not None, reason
    assert library.scenebrush_lanes() in {4, 8, 16}
    assert [each.name for each in home.iterdir()] == [file.name]


@pytest.mark.parametrize("spoilt", ["open", "linked", "a file"])
def test_a_folder_that_is_not_ours_alone_is_not_used(home: Path, tmp_path: Path, spoilt: str) -> None:
    if spoilt == "open":
        home.mkdir()
        home.chmod(0o777)
    elif spoilt == "linked":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        home.symlink_to(tmp_path / "elsewhere")
    else:
        home.write_text("")
    folder = build.cache_folder()
    assert folder != home
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == os.getuid()


def test_no_compiler_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    library, reason = build.load.__wrapped__()
    assert library is None
    assert "no C++ compiler" in reason


@pytest.mark.usefixtures("home")
def test_a_compiler_that_fails_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho no such processor >&2\nexit 1\n')
    broken.chmod(0o700)
    monkeypatch.setenv("CXX", str(broken))
    library, reason = build.load.__wrapped__()
    assert library is None
    assert "no such processor" in reason


@pytest.mark.usefixtures("home")
def test_without_torch_s_threads_one_works_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 40, 40, 64), torch.randn(64, 64, 3, 3)
    threaded = BACKENDS[torch.float32]
    expected = convolved(threaded, x, threaded.pack(weight, None), 64)
    monkeypatch.setattr(build, "_where_torch_looks", lambda: ["no such library", "libm.so.6"])
    found = build.load.__wrapped__()
    monkeypatch.setattr("engine.native.backend.load", lambda: found)
    backend, note = backend_for(Compute(torch.device("cpu"), "fp32"))
    assert isinstance(backend, NativeBackend)
    assert "one thread paints" in note
    with threads(2):
        result = convolved(backend, x, backend.pack(weight, None), 64)
    close(result, expected.double(), torch.float32)


@pytest.mark.parametrize("name", ["libiomp5.so", "libomp.so"])
def test_the_runtime_that_torch_was_linked_to_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    compiler, runtime, linked = build.find_compiler(), tmp_path / name, tmp_path / "torch.so"
    (tmp_path / "runtime.cpp").write_text('extern "C" void GOMP_parallel() {}')
    (tmp_path / "torch.cpp").write_text("int torch;")
    for source, *options in (
        ("runtime.cpp", f"-Wl,-soname,{name}", "-o", runtime),
        ("torch.cpp", "-Wl,--no-as-needed", runtime, f"-Wl,-rpath,{tmp_path}", "-o", linked),
    ):
        subprocess.run([compiler, "-shared", "-fPIC", tmp_path / source, *options], check=True)
    monkeypatch.setattr(build, "_where_torch_looks", lambda: [str(linked)])
    found = build._openmp()
    assert found is not None
    assert found.value == ctypes.cast(ctypes.CDLL(str(runtime)).GOMP_parallel, ctypes.c_void_p).value


def test_one_openmp_runtime() -> None:
    """Our threads are torch's own: loading the kernels brings no second runtime into a fresh process."""
    program = (
        "from engine.native import load; load(); "
        "print(*{l.split()[-1] for l in open('/proc/self/maps') if 'omp' in l.split()[-1].rsplit('/')[-1]})"
    )
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert len(result.stdout.split()) == 1
