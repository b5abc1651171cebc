"""The segment task: its cross-entropy, its learning, its figures, its export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoint import load_segmenter
from models.segmenter import FCN, UNet
from tests.training.conftest import tiny_recipe
from training.data import Batch, centred, to_float
from training.distributed import Draws, Stream
from training.recipe import Recipe, RecipeError, load_recipe
from training.task import Context, TrainingError
from training.tasks.segment import SegmentTask

MakeContext = Callable[[Recipe], Context]
RECIPES = ("segment", "segment-fcn")
IGNORED = 0


def step(task: SegmentTask, batch: Batch, seen: int = 0) -> float:
    figures = task.step(batch, 0, Draws(1, seen, len(batch.labels), torch.device("cpu")))
    return float(figures["cross_entropy"])


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_the_cross_entropy_is_balanced_and_ignores(make_context: MakeContext, balance: float) -> None:
    task = SegmentTask(make_context(tiny_recipe("segment", loss__balance=balance)))
    batch = task.batch(2, 32, 0, Stream.DATA)
    batch.labels[0, :10] = IGNORED
    with torch.no_grad():
        scores = task.segmenter.train()(batch.real).double().numpy()
    truth = batch.labels.numpy()[:, ::2, ::2]
    exponents = np.exp(scores - scores.max(1, keepdims=True))
    probability = np.take_along_axis(exponents / exponents.sum(1, keepdims=True), truth[:, None], 1)[:, 0]
    counts = np.bincount(truth[truth != IGNORED], minlength=17)
    present = np.flatnonzero(counts)
    weights = np.zeros(17)
    weights[present] = np.minimum(counts.sum() / (len(present) * counts[present]), 8) ** balance
    expected = -(weights[truth] * np.log(probability)).sum() / truth.size
    assert step(task, batch) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", RECIPES)
def test_a_dozen_steps_read_better(make_context: MakeContext, name: str) -> None:
    task = SegmentTask(make_context(tiny_recipe(name, optimiser__rate=1e-2)))
    assert isinstance(task.segmenter, FCN if name == "segment-fcn" else UNet)
    batch = task.batch(2, 64, 0, Stream.DATA)
    history = [step(task, batch, 2 * i) for i in range(12)]
    assert history[-1] < 0.8 * history[0]


@pytest.mark.parametrize("name", RECIPES)
def test_an_export_reads_as_its_figures_say(make_context: MakeContext, tmp_path: Path, name: str) -> None:
    task = SegmentTask(make_context(tiny_recipe(name, optimiser__rate=1e-2)))
    batch = task.batch(2, 64, 0, Stream.DATA)
    for i in range(6):
        step(task, batch, 2 * i)
    task.averages["segmenter"].restart(task.segmenter)
    held_out = task.pairs[:3]
    before = {key: value.clone() for key, value in task.segmenter.state_dict().items()}
    figures = task.validate(held_out)
    path = tmp_path / "judge.safetensors"
    task.export(path, "judge", "Judge", "CC0-1.0", {"metrics": figures})
    for key, value in task.segmenter.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, msg="the run goes on as it was")
    loaded = load_segmenter(path)
    assert loaded.spec.native == (256, 256)
    assert loaded.spec.provenance["metrics"]["pictures"] == 3
    right = total = 0
    for pair in held_out:
        found = loaded.network(to_float(pair.image)[None])[0].argmax(0).numpy()
        truth = pair.labels[::2, ::2]
        right += int((found == truth)[truth != IGNORED].sum())
        total += int((truth != IGNORED).sum())
    assert figures["accuracy"] == pytest.approx(right / total, abs=0.01), "convolutions are stored in halves"
    assert 0 <= figures["miou"] <= figures["accuracy"] + 0.5
    assert set(figures["iou"]) <= {label.name for label in task.labels.labels}


def test_pictures_too_small_to_read_are_left_out(make_context: MakeContext) -> None:
    task = SegmentTask(make_context(tiny_recipe("segment-fcn")))
    assert task.validate([]) == {}
    small = centred(task.pairs[0], 16, 200)
    assert task.validate([small]) == {}
    assert task.sheet([task.pairs[0], small]) is None
    assert task.validate([small, task.pairs[0]])["pictures"] == 1


def test_a_sheet_shows_photo_map_and_reading(make_context: MakeContext) -> None:
    task = SegmentTask(make_context(tiny_recipe("segment")))
    sheet = task.sheet(task.pairs[:3])
    assert sheet is not None
    assert sheet.shape == (2 * 256, 2 * 3 * 256, 3)
    np.testing.assert_array_equal(sheet[:256, :256], task.pairs[0].image)
    palette = np.frombuffer(task.labels.palette(), np.uint8).reshape(256, 3)
    np.testing.assert_array_equal(sheet[:256, 256:512], palette[task.pairs[0].labels])
    assert not sheet[256:, 768:].any()


def test_crops_below_the_stride_are_refused(make_context: MakeContext) -> None:
    crops = [{"from": 0.0, "side": 16, "batch": 2}]
    with pytest.raises(TrainingError, match=r"16 pixels.*needs 32"):
        SegmentTask(make_context(tiny_recipe("segment-fcn", data__crops=crops)))


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("segment", "network.top=64", "belong to kind"),
        ("segment", "network.kind=fcn", "needs 'layers' and 'top'"),
        ("segment-fcn", "network.widths=[8, 8]", "5 stages"),
        ("segment-fcn", "network.kind=vgg", "'unet' or 'fcn'"),
        ("segment", "loss.balance=2", "balance"),
    ],
)
def test_wrong_recipes_say_what_is_wrong(name: str, override: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        load_recipe(name, [override])
