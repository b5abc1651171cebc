"""Photo → label map: any size, one's own ids, the same every time, in bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import interpolate

from engine import EngineError, Library, UnknownModel, segmenting
from engine.segmenting import SCALES, SegmenterModel, reading_size
from models.checkpoint import LoadedSegmenter, read_spec, save_segmenter, segmenter_spec
from models.labels import LabelSet, load_label_set
from models.segmenter import FCN, UNet
from tests.tiny import write_tiny_model

LABELS = load_label_set("landscape17")


def write_segmenter(folder: Path, segmenter_id: str = "eye", seed: int = 0, native: int = 64) -> Path:
    torch.manual_seed(seed)
    network = UNet(17, [4, 8, 8]).eval() if seed % 2 else FCN(17, [4, 4, 8, 8, 8], [1] * 5, 8).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    spec = segmenter_spec(
        network,
        LABELS,
        model_id=segmenter_id,
        name="Eye",
        native_size=native,
        licence="Apache-2.0",
        provenance={},
    )
    path = folder / f"{segmenter_id}.safetensors"
    save_segmenter(path, spec, network)
    return path


def some_photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.fixture(params=[0, 1], ids=["fcn", "unet"])
def library(request: pytest.FixtureRequest, tmp_path: Path) -> Library:
    write_tiny_model(tmp_path, "painter")
    write_segmenter(tmp_path, seed=request.param)
    return Library([tmp_path], device="cpu")


@pytest.fixture(scope="module")
def builtin() -> Library:
    return Library.builtin(device="cpu")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (64, 64), (33, 70), (250, 187)])
def test_any_size(library: Library, size: tuple[int, int]) -> None:
    photo = some_photo(*size)
    found = library.segment(photo)
    assert found.shape == size
    assert found.dtype == np.uint8
    assert set(np.unique(found)) <= set(LABELS.by_id) - {LABELS.ignore}
    assert np.array_equal(found, library.segment(photo, "eye"))
    if size[0] > 1:
        assert len(np.unique(found)) > 1, "a wrong pixel could not be seen"


def test_a_photo_is_not_changed(library: Library) -> None:
    photo = some_photo(50, 60)
    before = photo.copy()
    library.segment(photo)
    library.segment(photo[:, ::2])  # nor does it need to lie in one piece
    assert np.array_equal(photo, before)


def test_strips_meet(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = some_photo(190, 130)
    whole = library.segment(photo)
    for strip in (1, 16 * 130 * 7):
        monkeypatch.setattr(segmenting, "_STRIP", strip)
        assert np.array_equal(library.segment(photo), whole)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (6000, 4000), (90, 400), (20, 10), (1, 10_000)])
def test_a_photo_of_any_size_is_read_at_about_one(tmp_path: Path, width: int, height: int) -> None:
    spec = read_spec(write_segmenter(tmp_path))
    for scale in SCALES:
        h, w = reading_size(spec, width, height, scale)
        assert h * w <= 1.1 * (64 * scale) ** 2 + max(h, w)
        if min(width, height) > 10:
            assert w / h == pytest.approx(width / height, rel=0.1)


def test_scores_are_enlarged_as_torch_does() -> None:
    values = torch.randn(3, 8, 10)
    for height, width in ((8, 10), (24, 30), (33, 11), (5, 7)):
        expected = interpolate(values[None], (height, width), mode="bilinear")[0]
        ours = segmenting._enlarged(values, (8, 10), height, width, torch.arange(height))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    part = segmenting._enlarged(values, (8, 10), 33, 11, torch.arange(9, 20))
    whole = segmenting._enlarged(values, (8, 10), 33, 11, torch.arange(33))
    assert torch.equal(part, whole[:, 9:20])


def test_classes_without_a_label_are_never_found() -> None:
    """A set may skip ids, and what is ignored in training has a score that means nothing."""
    few = LabelSet("few", tuple(label for label in LABELS.labels if label.id in {0, 3, 16}), ignore=0)
    network = UNet(17, [4, 8]).eval()
    nn.init.zeros_(network.head.weight)
    network.head.bias.data = torch.linspace(5, 1, 17)
    spec = segmenter_spec(network, few, model_id="few", name="Few", native_size=32, licence="", provenance={})
    found = SegmenterModel(LoadedSegmenter(spec, network), torch.device("cpu")).read(some_photo(20, 30))
    assert (found == 3).all()


# Which one


def test_segmenters_are_found_beside_models(tmp_path: Path) -> None:
    own, builtin = tmp_path / "own", tmp_path / "builtin"
    own.mkdir()
    builtin.mkdir()
    write_tiny_model(own, "other")
    write_tiny_model(builtin, "painter")
    write_segmenter(own, "another", seed=1)
    first, second = write_segmenter(own, "eye", seed=2), write_segmenter(builtin, "eye", seed=4)
    write_segmenter(builtin, "third", seed=6)
    library = Library([own, builtin], default="painter", device="cpu")
    assert [spec.id for spec in library.specs()] == ["other", "painter"], "none of them paints"
    assert [spec.id for spec in library.segmenters()] == ["third", "another", "eye"]
    assert library.segmenter().id == "third", "beside the default model"
    assert library.segmenter("eye").labels == LABELS
    assert any(str(second) in problem and str(first) in problem for problem in library.problems)
    photo = some_photo(64, 64)
    assert np.array_equal(library.segment(photo), library.segment(photo, "third"))
    assert not np.array_equal(library.segment(photo, "another"), library.segment(photo, "eye"))


def test_what_cannot_be_segmented_is_said(library: Library, folder: Path) -> None:
    photo = some_photo(20, 30)
    with pytest.raises(UnknownModel, match=r"segmenter 'x'.*eye"):
        library.segment(photo, "x")
    with pytest.raises(UnknownModel):
        library.segmenter("painter")
    for wrong in (photo[..., :2], photo[..., 0], photo.astype(float), photo[:0]):
        with pytest.raises(EngineError, match=r"expected uint8 \(H, W, 3\)"):
            library.segment(wrong)
    with pytest.raises(EngineError, match="there is no segmenter"):
        Library([folder], device="cpu").segment(photo)


# The built-in one


def test_the_built_in_segmenter_reads_pictures(builtin: Library, root: Path) -> None:
    assert [spec.id for spec in builtin.segmenters()] == ["segmenter"]
    right = total = 0
    for path in sorted((root / "examples/data/images").glob("*.jpg"))[:8]:
        labels = np.asarray(Image.open(root / f"examples/data/labels/{path.stem}.png"))
        right += np.count_nonzero(builtin.segment(np.asarray(Image.open(path))) == labels)
        total += labels.size
    assert right / total > 0.75


def test_a_photo_says_the_same_at_every_size(builtin: Library, root: Path) -> None:
    path = min((root / "examples/data/images").glob("*.jpg"))
    photo = Image.open(path)
    small = builtin.segment(np.asarray(photo))
    large = builtin.segment(np.asarray(photo.resize((1024, 1024), Image.Resampling.BICUBIC)))
    assert np.mean(large[2::4, 2::4] == small) > 0.95


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "painter")
    path = write_segmenter(tmp_path)
    library = Library([tmp_path], device="cpu")
    path.unlink()
    with pytest.raises(ValueError, match="no such file"):
        library.segment(some_photo(8, 8))
