"""The painter: patches, styles, sizes, errors – and equal bytes for equal requests, whatever came before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import MAX_SEED, EngineError, Library, Painter
from models.noise import style_from_seed
from models.spade import StyleField
from tests.tiny import STYLE_DIM, tiny_networks


def random_map(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 17, (height // 4 + 1, width // 4 + 1), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(4, 0).repeat(4, 1)[:height, :width])


def painted(library: Library, labels: np.ndarray, seed: int = 3, model: str = "first") -> np.ndarray:
    painter = library.painter(model, labels.shape[1], labels.shape[0])
    painter.set_map(labels)
    painter.set_style(seed)
    return painter.render()


def test_a_picture_is_the_networks_picture(folder: object) -> None:
    """fp32 through the engine against the bare network, fp32 weights rounded to fp16 as files hold them."""
    library = Library([folder], device="cpu", precision="fp32")  # type: ignore[list-item]
    labels = random_map(16, 24)
    generator, _ = tiny_networks()
    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = module.weight.data.half().float()
    with torch.no_grad():
        code = generator.code_from_normal(style_from_seed(3, STYLE_DIM)).view(1, 1, -1)
        plain = generator(
            torch.from_numpy(labels).long()[None], StyleField(code), generator.noise(3, 16, 24)
        )[0]
    expected = ((plain + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(painted(library, labels).astype(float) - expected).max() <= 0.51


def test_a_picture_is_rgb_bytes(library: Library) -> None:
    picture = painted(library, random_map(16, 24))
    assert picture.shape == (16, 24, 3)
    assert picture.dtype == np.uint8
    assert picture.flags["C_CONTIGUOUS"]
    assert picture.std() > 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_patches_make_the_picture_that_the_whole_map_makes(library: Library, data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    labels = random_map(height, width)
    painter = library.painter("first", width, height)
    painter.set_style(3)
    painter.set_map(labels)
    for _ in range(data.draw(st.integers(1, 3))):
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
        patch = np.full((h, w), data.draw(st.integers(0, 16)), np.uint8)
        labels[y : y + h, x : x + w] = patch
        painter.apply(x, y, patch)
        if data.draw(st.booleans()):
            painter.render()
    assert np.array_equal(painter.labels, labels)
    assert np.array_equal(painter.render(), painted(library, labels))


def test_undo_brings_the_earlier_picture_back_to_the_byte(library: Library) -> None:
    labels = random_map(32, 32)
    painter = library.painter(None, 32, 32)
    painter.set_map(labels)
    before = painter.render()
    painter.apply(4, 4, np.full((9, 9), 5, np.uint8))
    painter.set_style(9)
    assert not np.array_equal(painter.render(), before)
    painter.apply(4, 4, labels[4:13, 4:13])
    painter.set_style(0)
    assert np.array_equal(painter.render(), before)


def test_painters_do_not_disturb_each_other(library: Library) -> None:
    maps = [random_map(16, 16, seed) for seed in range(3)]
    alone = [painted(library, labels, seed) for seed, labels in enumerate(maps)]
    painters = [library.painter("first", 16, 16) for _ in maps]
    for seed, (painter, labels) in enumerate(zip(painters, maps, strict=True)):
        painter.set_map(labels)
        painter.set_style(seed)
    painted(library, maps[0], model="second")
    assert all(
        np.array_equal(painter.render(), picture) for painter, picture in zip(painters, alone, strict=True)
    )


def test_the_painter_keeps_its_own_copy(library: Library) -> None:
    labels = random_map(8, 8)
    painter = library.painter(None, 8, 8)
    painter.set_map(labels)
    before = painter.render()
    labels[:] = 3
    assert np.array_equal(painter.render(), before)
    painter.labels[:] = 3
    assert np.array_equal(painter.render(), before)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 7), (4, 33), (63, 8)])
def test_any_size_is_painted_by_extending_the_edge(library: Library, width: int, height: int) -> None:
    labels = random_map(height, width)
    padded = np.pad(labels, ((0, -height % 4), (0, -width % 4)), mode="edge")
    assert np.array_equal(painted(library, labels), painted(library, padded)[:height, :width])


def test_a_seed_sets_light_and_noise_and_a_code_sets_light(library: Library) -> None:
    labels = random_map(16, 16)
    painter = library.painter(None, 16, 16)
    painter.set_map(labels)
    painter.set_style(7)
    seven = painter.render()
    code = painter.style
    assert len(code) == STYLE_DIM
    painter.set_style(8)
    assert not np.array_equal(painter.render(), seven)
    painter.set_style(code)
    assert not np.array_equal(painter.render(), seven), "the noise is still seed 8's"
    painter.set_noise(7)
    assert np.array_equal(painter.render(), seven)


@pytest.mark.parametrize("seed", [np.uint8(7), np.array(7), torch.tensor(7)])
def test_any_whole_number_is_a_seed(library: Library, seed: object) -> None:
    one, other = library.painter(None, 8, 8), library.painter(None, 8, 8)
    one.set_style(7)
    other.set_style(seed)  # type: ignore[arg-type]
    assert one.style == other.style
    assert np.array_equal(one.render(), other.render())
    other.set_noise(seed)  # type: ignore[arg-type]
    assert np.array_equal(one.render(), other.render())


def test_any_sequence_array_or_tensor_is_a_code(library: Library) -> None:
    painter = library.painter(None, 8, 8)
    values = np.linspace(-1, 1, STYLE_DIM)
    learnt = torch.from_numpy(values).requires_grad_()
    for code in (values, values.astype(np.float32), values.tolist(), tuple(values), learnt):
        painter.set_style(np.zeros(STYLE_DIM))
        painter.set_style(code)  # type: ignore[arg-type]
        assert painter.style == pytest.approx(values)
    painter.set_style(values[::-1])
    assert painter.style == pytest.approx(values[::-1])
    painter.set_style(np.arange(STYLE_DIM, dtype=np.uint8))
    assert painter.style == tuple(range(STYLE_DIM))


def test_labels_may_be_a_tensor_and_places_any_whole_numbers(library: Library) -> None:
    painter = library.painter(None, 300, 8)
    patch = torch.full((2, 20), 3, dtype=torch.uint8)
    painter.apply(np.uint8(250), np.array(5), patch)  # type: ignore[arg-type]
    assert (painter.labels[5:7, 250:270] == 3).all()
    assert np.count_nonzero(painter.labels == 3) == patch.numel()


def code_of(length: int, value: float = 0.0) -> list[float]:
    return [value] * length


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: p.set_map(np.zeros((3, 3), np.uint8)), ["(3, 3)", "(8, 12)"]),
        (lambda p: p.set_map(np.full((8, 12), 17, np.uint8)), ["class id 17", "96 pixels"]),
        (lambda p: p.apply(10, 0, np.zeros((2, 3), np.uint8)), ["3×2 at (10, 0)", "12×8"]),
        (lambda p: p.apply(-1, 0, np.zeros((2, 3), np.uint8)), ["(-1, 0)"]),
        (lambda p: p.apply(0, 0, np.zeros((0, 3), np.uint8)), ["3×0"]),
        (lambda p: p.apply(0, 0, np.zeros((2, 3), np.int64)), ["int64"]),
        (lambda p: p.apply(0, 0, np.zeros(3, np.uint8)), ["uint8"]),
        (lambda p: p.apply(1.5, 0, np.zeros((2, 3), np.uint8)), ["x 1.5", "whole"]),
        (lambda p: p.apply(np.uint8(255), 0, np.zeros((2, 3), np.uint8)), ["(255, 0)"]),
        (lambda p: p.apply(0, 0, [[1, 2], [3]]), ["patch", "array"]),
        (lambda p: p.set_map([[1] * 12] * 8), ["int64"]),
        (lambda p: p.set_map([[1, 2]]), ["(1, 2)", "(8, 12)"]),
        (lambda p: p.set_map(None), ["map"]),
        (lambda p: p.render("quick"), ["'quick'", "exact and live"]),
        (lambda p: p.set_noise(1.5), ["1.5", "whole"]),
        (lambda p: p.set_noise(-1), ["-1"]),
        (lambda p: p.set_style(-1), ["-1"]),
        (lambda p: p.set_style(1.5), ["1.5", "whole"]),
        (lambda p: p.set_style(np.array(1.5)), ["1.5", "whole"]),
        (lambda p: p.set_style(torch.tensor(1.5)), ["1.5", "whole"]),
        (lambda p: p.set_style(None), ["None", "whole"]),
        (lambda p: p.set_style(MAX_SEED + 1), [str(MAX_SEED)]),
        (lambda p: p.set_style(code_of(3)), ["3 values", str(STYLE_DIM)]),
        (lambda p: p.set_style(np.zeros((1, STYLE_DIM))), [f"(1, {STYLE_DIM})"]),
        (lambda p: p.set_style("a" * STYLE_DIM), ["shape ()"]),
        (lambda p: p.set_style(["a"] * STYLE_DIM), ["no numbers"]),
        (lambda p: p.set_style([[1.0], *code_of(STYLE_DIM - 1)]), ["style code", "array"]),
        (lambda p: p.set_style(code_of(STYLE_DIM, float("nan"))), ["not finite"]),
        (lambda p: p.set_style(code_of(STYLE_DIM, float("inf"))), ["not finite"]),
        (lambda p: p.set_style(np.full(STYLE_DIM, 1e300)), ["±100"]),
        (lambda p: p.set_style(code_of(STYLE_DIM, 1e30)), ["±100"]),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    library: Library, act: object, words: list[str]
) -> None:
    painter = library.painter(None, 12, 8)
    painter.set_map(random_map(8, 12))
    before = painter.render()
    with pytest.raises(EngineError) as caught:
        act(painter)  # type: ignore[operator]
    assert all(word in str(caught.value) for word in words)
    assert caught.value.next
    assert np.array_equal(painter.render(), before)


def test_an_empty_canvas_is_refused(library: Library) -> None:
    with pytest.raises(EngineError, match="0×5"):
        library.painter(None, 0, 5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2), ("bf16", 24), ("fp16", 8)])
def test_the_gpu_paints_the_same_picture(folder: object, precision: str, tolerance: int) -> None:
    labels = random_map(32, 32)
    cpu = Library([folder], device="cpu", precision="fp32")  # type: ignore[list-item]
    gpu = Library([folder], device="cuda", precision=precision)  # type: ignore[list-item]
    one, other = painted(cpu, labels).astype(int), painted(gpu, labels).astype(int)
    assert np.abs(one - other).max() <= tolerance
    assert np.array_equal(painted(gpu, labels), painted(gpu, labels))


def test_painter_is_the_only_door() -> None:
    public = {name for name in vars(Painter) if not name.startswith("_")}
    state = {"labels", "style", "regions", "style_plane", "exact", "previews", "batch_key"}
    memory = {"place", "let_go"}
    style = {
        "set_style",
        "set_regions",
        "set_style_plane",
        "apply_style_plane",
        "set_style_field",
        "set_noise",
    }
    assert public == state | memory | style | {
        "set_map",
        "set_instances",
        "apply",
        "render",
        "render_together",
    }
