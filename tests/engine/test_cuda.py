"""The engine on CUDA: what a CPU can tell of it, and, where there is a GPU, the rest."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.backend import Modulation
from engine.backends import backend_for
from engine.cuda import CudaBackend, PlainPasses, passes_for
from engine.device import Compute, Precision
from engine.model import Model, Style
from engine.modulation import TableCache
from engine.torch_backend import TorchBackend
from tests.engine.painting import (
    CPU,
    FAMILIES,
    blocky,
    decibels,
    engine_of,
    family,
    noise,
    painter_of,
    raw_of,
)
from tests.engine.triton_cases import close, half, some_modulation

ROOT = Path(__file__).parents[2]
DTYPES = [torch.float32, torch.bfloat16]
needs_triton = pytest.mark.skipif(not importlib.util.find_spec("triton"), reason="needs Triton")


def alone(*arguments: str, **environment: str) -> str:
    """What a Python of its own prints, warnings being errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cpu_does_without_triton_and_dynamo() -> None:
    paint = (
        "import sys, engine; engine.Library.builtin(device='cpu').painter(None, 32, 32).render();"
        "heavy = {'triton', 'torch._dynamo', 'engine.triton_kernels'}; print(heavy & set(sys.modules))"
    )
    assert alone("-c", paint).strip() == "set()"


@needs_triton
def test_the_kernels_compute_what_torch_does() -> None:
    alone(str(Path(__file__).with_name("triton_cases.py")), "interpret", TRITON_INTERPRET="1")


@needs_triton
def test_the_kernels_compile_for_gpus(tmp_path: Path) -> None:
    alone(str(Path(__file__).with_name("triton_cases.py")), "compile", TRITON_CACHE_DIR=str(tmp_path))


def test_without_triton_plain_torch_modulates_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "engine.triton_kernels", raising=False)
    passes, reason = passes_for(CPU, torch.float32)
    assert isinstance(passes, PlainPasses)
    assert "slower" in reason
    assert "triton" in reason
    assert "plain" in CudaBackend(CPU, torch.float32, passes).name


def test_kernels_that_compute_something_else_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(PlainPasses):
        def finish(self, y: Tensor, *others: object, out: Tensor, **options: object) -> None:
            out.copy_(y)

    monkeypatch.setitem(sys.modules, "engine.triton_kernels", Wrong(CPU, torch.float32))  # type: ignore[arg-type]
    passes, reason = passes_for(CPU, torch.float32)
    assert type(passes) is PlainPasses
    assert "something else" in reason


def here(dtype: torch.dtype) -> CudaBackend:
    """The CUDA backend on a CPU, which has products as well."""
    return CudaBackend(CPU, dtype, PlainPasses(CPU, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(1, 1), (4, 6), (7, 5)])
@pytest.mark.parametrize(("fin", "fout", "kernel"), [(8, 16, 3), (16, 8, 1), (5, 3, 3), (3, 1, 1)])
def test_convolutions(size: tuple[int, int], fin: int, fout: int, kernel: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    cuda, plain = here(dtype), TorchBackend(CPU, dtype)
    weight = torch.randn(fout, fin, kernel, kernel) / (fin * kernel**2) ** 0.5
    x = torch.randn(2, *size, fin).to(dtype)
    same, small = torch.randn(2, *size, fout).to(dtype), torch.randn(2, *half(size), fout).to(dtype)
    for bias in (None, torch.randn(fout)):
        packed, expected_packed = cuda.pack(weight, bias), plain.pack(weight, bias)
        for add, doubled in ((None, False), (same, False), (small, True)):
            for leak in (False, True):
                out, expected = torch.empty(2, *size, fout, dtype=dtype), torch.empty_like(same)
                cuda.convolve(x, packed, out=out, add=add, add_doubled=doubled, leak=leak)
                plain.convolve(x, expected_packed, out=expected, add=add, add_doubled=doubled, leak=leak)
                torch.testing.assert_close(
                    out, expected, rtol=8 * torch.finfo(dtype).eps, atol=8 * torch.finfo(dtype).eps
                )
        into = same.clone()
        cuda.convolve(x, packed, out=into, add=into)
        cuda.convolve(x, packed, out=out, add=same)
        assert torch.equal(into, out), "into what is added"
        single = torch.empty(2, *size, fout)
        cuda.convolve(x, packed, out=single, leak=True)
        precise = TorchBackend(CPU, torch.float32)
        exact = torch.empty_like(single)
        precise.convolve(x.float(), precise.pack(weight.to(dtype).float(), bias), out=exact, leak=True)
        torch.testing.assert_close(single, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_image_of_a_batch_is_as_it_is_alone(dtype: torch.dtype) -> None:
    _as_alone(here(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_depends_on_neither_number_nor_place(dtype: torch.dtype) -> None:
    _rows(here(dtype))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_is_the_one_of_plain_torch(name: str) -> None:
    loaded = family(name)
    model = Model(loaded, here(torch.float32), TableCache(256 << 20))
    labels = some_labels(model)
    picture, reference = (raw_of(painter_of(one, labels)) for one in (model, engine_of(loaded, "torch fp32")))
    assert (picture - reference).abs().max() <= 1e-4


def some_labels(model: Model) -> np.ndarray:
    cells, stride = model.network.start_grid or (2, 3), model.network.stride
    return blocky(cells[0] * stride, cells[1] * stride, len(model.spec.labels.labels))


def _as_alone(backend: CudaBackend) -> None:
    torch.manual_seed(0)
    device, dtype = backend.device, backend.dtype
    packed = backend.pack(torch.randn(24, 12, 3, 3), torch.randn(24))
    x = torch.randn(3, 5, 7, 12).to(device, dtype)  # an image is no multiple of what libraries align to
    out, single = (torch.empty(batch, 5, 7, 24, device=device, dtype=dtype) for batch in (3, 1))
    backend.convolve(x, packed, out=out)
    for image in range(3):
        backend.convolve(x[image : image + 1].clone(), packed, out=single)
        assert torch.equal(out[image], single[0])


def _rows(backend: CudaBackend) -> None:
    torch.manual_seed(0)
    device, dtype = backend.device, backend.dtype
    for fin, fout in ((10, 24), (128, 256), (8, 2)):
        packed = backend.pack_places(torch.randn(fout, fin, 3, 3), torch.randn(fout))
        inputs = torch.randn(300, fin).to(device, dtype)
        windows = torch.randint(0, 300, (2500, 9), dtype=torch.int32).to(device)
        out = torch.empty(2500, fout, device=device, dtype=dtype)
        backend.tabulate(inputs, windows, packed, out=out)
        for rows in (slice(0, 1), slice(3, 40), slice(1020, 1030), slice(2499, 2500)):
            part = torch.empty(rows.stop - rows.start, fout, device=device, dtype=dtype)
            backend.tabulate(inputs, windows[rows], packed, out=part)
            assert torch.equal(part, out[rows])


# With a GPU


def on_gpu(name: str, precision: Precision, budget: int = 256 << 20) -> Model:
    backend, reason = backend_for(Compute(torch.device("cuda"), precision))
    assert not reason
    torch.backends.cudnn.deterministic = True
    if precision == "fp32":
        torch.backends.cudnn.conv.fp32_precision = "ieee"
    return Model(family(name), backend, TableCache(budget))


gpu = pytest.mark.gpu
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gpu_kernels_compute_what_torch_does(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    device = torch.device("cuda")
    fused, reason = passes_for(device, dtype)
    assert not reason
    for channels, style in itertools.product((3, 64, 130), ("one", "several")):
        for doubled in (False, True):
            m = some_modulation(2, (13, 11), channels, dtype, alone=True, style=style)
            parts = [getattr(m, name) for name in m.__slots__]
            there = Modulation(*(None if part is None else part.to(device) for part in parts))
            x = torch.randn(2, *(half((13, 11)) if doubled else (13, 11)), channels).to(dtype)
            expected = torch.empty(2, 13, 11, channels, dtype=dtype)
            out = expected.to(device)
            PlainPasses(CPU, dtype).modulate(x, m, doubled=doubled, activate=True, out=expected)
            fused.modulate(x.to(device), there, doubled=doubled, activate=True, out=out)
            close(out.cpu(), expected)


@gpu
@needs_gpu
@pytest.mark.parametrize(("precision", "least"), [("fp32", 80.0), ("fp16", 45.0), ("bf16", 35.0)])
@pytest.mark.parametrize("name", FAMILIES)
def test_gpu_picture_is_the_cpus(name: str, precision: Precision, least: float) -> None:
    model = on_gpu(name, precision)
    model.frames = model.trunk  # where `raw` listens
    for labels in (some_labels(model), noise(*some_labels(model).shape, len(model.spec.labels.labels))):
        reference = raw_of(painter_of(engine_of(family(name), "torch fp32"), labels))
        assert decibels(raw_of(painter_of(model, labels)).cpu(), reference) >= least


@gpu
@needs_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_gpu_products_depend_on_neither_batch_nor_place(dtype: torch.dtype) -> None:
    passes, _ = passes_for(torch.device("cuda"), dtype)
    backend = CudaBackend(torch.device("cuda"), dtype, passes)
    _as_alone(backend)
    _rows(backend)


@gpu
@needs_gpu
@pytest.mark.parametrize("name", FAMILIES)
def test_gpu_batch_and_recorded_frames_are_the_same_bytes(name: str) -> None:
    model, plain = on_gpu(name, "bf16"), on_gpu(name, "bf16")
    plain.frames = plain.trunk
    labels = some_labels(model)
    maps = [labels, labels[::-1].copy(), labels[:, ::-1].copy()]
    expected = [painter_of(plain, one).render() for one in maps]
    for _ in range(3):  # eagerly, while being recorded, replayed
        together = type(painter_of(model, labels)).render_together([painter_of(model, one) for one in maps])
        assert all(np.array_equal(one, other) for one, other in zip(together, expected, strict=True))
    for _ in range(3):
        assert np.array_equal(painter_of(model, labels).render(), expected[0])


@gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_gpu_tables_and_convolutions_agree(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    model = on_gpu("oasis", precision)
    model.frames = model.trunk
    labels = some_labels(model)
    with_tables = raw_of(painter_of(model, labels))
    monkeypatch.setattr("engine.canvas.most_windows", lambda *_: 0)
    without = raw_of(painter_of(model, labels))
    assert decibels(with_tables.cpu(), without.cpu()) >= (80 if precision == "fp32" else 35)


@gpu
@needs_gpu
def test_gpu_tables_stay_under_their_budget() -> None:
    model = on_gpu("normal", "bf16", budget := 1 << 20)
    canvas = model.canvas(64, 64)
    style = Style(torch.zeros(model.spec.style_dim))
    first = None
    for seed in [*range(12), 0]:
        canvas.put(0, 0, blocky(64, 64, len(model.spec.labels.labels), seed))
        picture = model.paint(canvas, style)
        first = picture if first is None else first
        model._cache.trim()
        assert model._cache.nbytes <= budget
    assert np.array_equal(picture, first)
    assert all(t.table(n).is_cuda for t in model._cache._all() for n in t.norms)
