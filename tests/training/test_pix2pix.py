"""The pix2pix task: its losses are the paper's, it learns, and what it exports is what it trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoint import load
from models.pix2pix import Pix2PixGenerator
from tests.training.conftest import tiny_recipe
from training.averaging import averaged
from training.data import Batch
from training.distributed import Draws, Stream
from training.recipe import Recipe, RecipeError, load_recipe
from training.sheet import Networks, paint
from training.task import Context, TrainingError
from training.tasks.pix2pix import NO_CLASS, Pix2pixTask, real_or_not

MakeContext = Callable[[Recipe], Context]


def draws(seen: int, batch: Batch) -> Draws:
    return Draws(1, seen, len(batch.labels), torch.device("cpu"))


def test_the_cross_entropy_is_that_of_a_sigmoid() -> None:
    logits = torch.tensor([[-3.0, 0.0], [0.5, 4.0]])
    probability = 1 / (1 + np.exp(-logits.numpy().astype(np.float64)))
    assert float(real_or_not(logits, real=True)) == pytest.approx(-np.log(probability).mean(), rel=1e-6)
    assert float(real_or_not(logits, real=False)) == pytest.approx(-np.log(1 - probability).mean(), rel=1e-6)
    assert torch.isfinite(real_or_not(torch.tensor([-1e4, 1e4]), real=True))


def test_a_steps_figures_are_the_papers(make_context: MakeContext) -> None:
    """Eq. 4 with λ = 100, the discriminator's halved (sec. 3.3), on the networks as they were before."""
    task = Pix2pixTask(make_context(tiny_recipe("pix2pix")))
    batch = task.batch(2, 32, 0, Stream.DATA)
    same = draws(0, batch)
    masks = [same.uniform(2, *shape) < 0.5 for shape in task.generator.dropout_shapes(32, 32)]
    with torch.no_grad():
        fake = task.generator.train()(batch.given, masks)
        on_fake = task.discriminator.train()(fake, batch.given)
        on_real = task.discriminator(batch.real, batch.given)
    figures = {name: float(value) for name, value in task.step(batch, 0, draws(0, batch)).items()}
    assert figures["l1"] == pytest.approx(100 * np.abs(fake.numpy() - batch.real.numpy()).mean(), rel=1e-4)
    assert figures["adversarial"] == pytest.approx(-float(on_fake.sigmoid().log().mean()), rel=1e-4)
    assert figures["discriminator_real"] == pytest.approx(
        -0.5 * float(on_real.sigmoid().log().mean()), rel=1e-4
    )
    assert figures["discriminator_fake"] == pytest.approx(
        -0.5 * float((1 - on_fake.sigmoid()).log().mean()), rel=1e-4
    )


def test_a_dozen_steps_come_closer_to_the_photos(make_context: MakeContext) -> None:
    recipe = tiny_recipe("pix2pix", network__width=8, optimiser__generator_rate=2e-3)
    task = Pix2pixTask(make_context(recipe))
    batch = task.batch(2, 32, 0, Stream.DATA)
    history = [float(task.step(batch, 0, draws(2 * i, batch))["l1"]) for i in range(12)]
    assert history[-1] < 0.75 * history[0]


def test_the_discriminator_learns_to_tell(make_context: MakeContext) -> None:
    recipe = tiny_recipe("pix2pix", optimiser__discriminator_rate=2e-3, optimiser__generator_rate=1e-6)
    task = Pix2pixTask(make_context(recipe))
    batch = task.batch(2, 32, 0, Stream.DATA)
    history = [task.step(batch, 0, draws(2 * i, batch)) for i in range(12)]
    names = ("discriminator_real", "discriminator_fake")
    first, last = (sum(float(step[name]) for name in names) for step in (history[0], history[-1]))
    assert last < 0.9 * first


def test_an_export_paints_what_the_averaged_generator_paints(
    make_context: MakeContext, tmp_path: Path
) -> None:
    task = Pix2pixTask(make_context(tiny_recipe("pix2pix")))
    task.step(batch := task.batch(2, 32, 0, Stream.DATA), 0, draws(0, batch))
    task.averages["generator"].update(task.generator, 2, 2)
    path = tmp_path / "baseline.safetensors"
    task.export(path, "baseline", "Baseline", "CC0-1.0", {"data": "tiny"})
    model = load(path)
    spec = model.spec
    assert (spec.architecture, spec.stride, spec.style_dim, spec.native) == ("pix2pix", 16, 0, (256, 256))
    assert spec.provenance == {"data": "tiny"}
    assert isinstance(model.generator, Pix2PixGenerator)
    labels = task.pairs[0].labels[:40, :56]
    with averaged(task, ["generator"]):
        task.generator.load_state_dict(
            task.averages["generator"].state
            | {k: v for k, v in model.generator.state_dict().items() if "running" in k}
        )
        expected = paint(Networks(task.generator, None), labels)
    found = paint(model, labels)
    assert found.shape == (40, 56, 3)
    assert np.abs(found.astype(int) - expected).max() <= 2, "convolutions are stored in half precision"


def test_a_sheet_shows_map_photo_and_picture(make_context: MakeContext) -> None:
    task = Pix2pixTask(make_context(tiny_recipe("pix2pix")))
    sheet = task.sheet(task.pairs[:3])
    assert sheet is not None
    assert sheet.shape == (2 * 256, 2 * 3 * 256, 3)
    np.testing.assert_array_equal(sheet[:256, 256:512], task.pairs[0].image)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"data__crops": [{"from": 0.0, "side": 40, "batch": 2}]}, "40 pixels.*multiples of 16"),
        ({"data__crops": [{"from": 0.0, "side": 16, "batch": 2}]}, "16 pixels.*no patch"),
    ],
)
def test_crops_that_do_not_fit_are_refused(
    make_context: MakeContext, overrides: dict[str, list[object]], words: str
) -> None:
    with pytest.raises(TrainingError, match=words):
        Pix2pixTask(make_context(tiny_recipe("pix2pix", **overrides)))


def test_the_recipe_and_its_bounds() -> None:
    assert load_recipe("pix2pix").loss.l1 == 100
    with pytest.raises(RecipeError, match="depth"):
        load_recipe("pix2pix", ["network.depth=10"])
    with pytest.raises(RecipeError, match=r"'lambda'.*nearest is"):
        load_recipe("pix2pix", ["loss.lambda=10"])


def test_differentiable_augmentation_reaches_the_discriminator(make_context: MakeContext) -> None:
    """Both pictures and the map go through it; the picture that L1 compares does not."""
    task = Pix2pixTask(make_context(tiny_recipe("pix2pix", data__differentiable=["cutout"])))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    task.discriminator.register_forward_pre_hook(lambda module, given: seen.append(given))
    batch = task.batch(2, 32, 0, Stream.DATA)
    task.step(batch, 0, draws(0, batch))
    assert len(seen) == 3
    for picture, labels in seen:
        hole = (picture == 0).all(1)
        assert hole.any((1, 2)).all()
        assert torch.equal(labels == NO_CLASS, (labels == NO_CLASS) & hole)
        assert (labels == NO_CLASS).any()
