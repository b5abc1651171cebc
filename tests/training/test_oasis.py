"""The OASIS task: its losses by hand, what learns from what, and that its export is the network trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 – its usual name
from torch import Tensor

from engine import Library
from models.published import OasisGenerator
from tests.training.conftest import tiny_recipe
from tests.training.painting import (
    Make,
    batch_of,
    convolution,
    exported,
    gradients,
    live,
    started,
    steps,
)
from training import losses
from training.distributed import Draws
from training.recipe import Recipe, load_recipe
from training.task import TrainingError
from training.tasks.oasis import OasisTask

JUDGE = {  # of which the discriminator alone learns
    "network__discriminator_width": 4,
    "optimiser__generator_rate": 1e-9,
    "optimiser__discriminator_rate": 2e-3,
}
FAST = {"optimiser__generator_rate": 1e-2, "optimiser__discriminator_rate": 1e-2}


def tiny(**overrides: object) -> Recipe:
    """Far from the run's end, where rates would fall."""
    return tiny_recipe("oasis", **{"run__pictures": 10_000} | overrides)


def draws_for(task: OasisTask, seen: int = 0, pictures: int = 2) -> Draws:
    return Draws(task.recipe.run.seed, seen, pictures, task.fabric.device)


def test_the_loss_on_real_pictures_by_hand() -> None:
    """Three of four pixels are class 1, one is class 2: they weigh 4 / (2·3) and 4 / (2·1), so that both
    classes count the same; class 0 is not labelled and counts nothing."""
    scores = torch.tensor([[0.5, 1.0, 2.0, -1.0], [0.0, 3.0, 1.0, 1.0], [1.0, 0.0, 0.5, 2.0]])
    probabilities = scores.softmax(1)
    grid = F.pad(scores, (0, 0, 0, 1)).T.view(1, 4, 2, 2)  # the fourth pixel is class 2 with scores 0
    labels = torch.tensor([[[1, 1], [1, 2]]])
    ones = -(probabilities[:, 2].log().sum()) * 4 / (2 * 3)
    two = -torch.tensor(1 / 4).log() * 4 / (2 * 1)
    found = losses.real_loss(grid, labels, classes=3, ignore=0)
    torch.testing.assert_close(found, (ones + two) / 4)
    unlabelled = torch.tensor([[[1, 1], [1, 0]]])
    expected = -(probabilities[:, 2].log().mean()) * 3 / 4  # one class: weight 3 / (1·3), of four pixels
    torch.testing.assert_close(losses.real_loss(grid, unlabelled, classes=3, ignore=0), expected)


def test_the_loss_on_generated_pictures_by_hand() -> None:
    scores = torch.randn(2, 4, 3, 3)
    expected = -scores.softmax(1)[:, 0].log().mean()
    torch.testing.assert_close(losses.fake_loss(scores), expected)


def test_label_mix_compares_the_mixture_with_its_parts(make_context: Make) -> None:
    task = started(make_context(tiny()))
    task.discriminator.eval()  # three readings of one and the same discriminator
    batch, draws = batch_of(task), draws_for(task)
    fake = torch.rand_like(batch.real)
    with torch.no_grad():
        found = task._discriminator_terms(batch, fake, draws)["label_mix"]
        mask = losses.label_mix(batch.labels, 17, draws_for(task))
        assert 0 < mask.mean() < 1
        mixed = task.discriminator(torch.where(mask.bool(), batch.real, fake))
        parts = torch.where(mask.bool(), task.discriminator(batch.real), task.discriminator(fake))
    assert found > 0
    torch.testing.assert_close(found, 10 * F.mse_loss(mixed, parts), rtol=1e-4, atol=0)


def test_the_generators_gradient_comes_through_the_discriminator(make_context: Make) -> None:
    task = started(make_context(tiny()))
    batch, draws = batch_of(task), draws_for(task)
    before = {name: value.clone() for name, value in task.generator.named_parameters()}
    task.step(batch, 0, draws)
    moved = [
        name for name, value in task.generator.named_parameters() if not torch.equal(value, before[name])
    ]
    assert len(moved) > 0.9 * len(before)
    assert all(parameter.requires_grad for parameter in task.discriminator.parameters())

    task.discriminator.zero_grad()
    task.generator.zero_grad()
    task.discriminator.requires_grad_(False)
    fake = task._paint(task.generator, batch, draws_for(task))
    terms = task._generator_terms(batch, fake)
    terms["adversarial"].backward()
    assert all(gradients(task.generator.conv_img))
    assert all(gradients(task.generator.fc))
    assert not any(gradients(task.discriminator))


def test_the_discriminator_learns_nothing_into_the_generator(make_context: Make) -> None:
    task = started(make_context(tiny()))
    batch, draws = batch_of(task), draws_for(task)
    fake = task._paint(task.generator, batch, draws)
    terms = task._discriminator_terms(batch, fake.detach(), draws)
    sum(terms.values()).backward()
    assert all(gradients(task.discriminator))
    assert not any(gradients(task.generator))


def test_a_dozen_steps_teach_the_discriminator_and_then_a_dozen_the_generator(make_context: Make) -> None:
    """Each against the other that stands still."""
    task = started(make_context(tiny(**JUDGE)))
    sums = [step["discriminator_real"] + step["discriminator_fake"] for step in steps(task, 12, same=True)]
    assert np.mean(sums[-3:]) < 0.9 * np.mean(sums[:3])
    task.optimisers["discriminator"].param_groups[0]["rate"] = 0.0
    task.optimisers["generator"].param_groups[0]["rate"] = 1e-2
    figures = [step["adversarial"] for step in steps(task, 12, same=True)]
    assert np.mean(figures[-3:]) < 0.96 * np.mean(figures[:3])


def test_small_sets_are_augmented_before_the_discriminator(make_context: Make) -> None:
    """It never sees a picture whole, and the generator learns through what it sees."""
    task = started(make_context(tiny(data__differentiable=["cutout"], **JUDGE)))
    seen: list[Tensor] = []
    task.discriminator.register_forward_hook(lambda network, given, scores: seen.append(given[0].detach()))
    before = task.generator.conv_img.weight.detach().clone()
    task.optimisers["generator"].param_groups[0]["rate"] = 1e-2
    figures = steps(task, 1)[0]
    assert len(seen) == 3, "the generator's pictures, real and generated ones, the mixture"
    assert all((picture == 0).all(0).any() for pictures in seen for picture in pictures)
    assert all(np.isfinite(value) for value in figures.values())
    assert not torch.equal(task.generator.conv_img.weight, before)


def test_what_is_not_seen_needs_a_label(make_context: Make) -> None:
    given = make_context(tiny(data__differentiable=["cutout"]))
    nameless = replace(given, labels=replace(given.labels, ignore=None))
    with pytest.raises(TrainingError, match="'cutout', which needs a label for what is not seen"):
        OasisTask(nameless)
    OasisTask(replace(nameless, recipe=tiny(data__differentiable=["colour"])))


def test_z_is_one_vector_a_picture_or_one_a_class(make_context: Make) -> None:
    labels = torch.tensor([[[0, 1], [1, 2]], [[1, 1], [2, 2]]])
    task = started(make_context(tiny()))
    plain = task._noise(labels, draws_for(task))
    assert plain.shape == (2, 4)
    assert plain[0].std() > 0
    assert not torch.equal(plain[0], plain[1])
    task = started(make_context(tiny(loss__local_noise=1.0)))
    local = task._noise(labels, draws_for(task))
    assert local.shape == (2, 4, 2, 2)
    assert torch.equal(local[0, :, 0, 1], local[0, :, 1, 0]), "one z for a class"
    assert not torch.equal(local[0, :, 0, 0], local[0, :, 0, 1]), "another for another"
    assert not torch.equal(local[0, :, 0, 1], local[1, :, 0, 1]), "and another in another picture"
    assert steps(task, 1)[0]["adversarial"] > 0


def same_picture(first: OasisGenerator, second: OasisGenerator, labels: Tensor) -> None:
    z = torch.randn(len(labels), first.style_dim)
    one, other = first(labels, z), second(labels, z)
    assert one.std() > 0.01, "a picture in which errors would show"
    assert float((one - other).detach().abs().max()) < 1e-5


def test_the_export_is_the_average_that_was_trained(make_context: Make, tmp_path: Path) -> None:
    task = started(make_context(tiny(**FAST)))
    steps(task, 4)
    model = exported(task, tmp_path)
    assert isinstance(model.generator, OasisGenerator)
    assert (model.spec.architecture, model.spec.native_size, model.spec.stride) == ("oasis", 64, 32)
    labels = batch_of(task).given
    with live(task):
        same_picture(model.generator, task.generator, labels)
    assert task.generator.training, "the trained network is as it was"
    for name, layer in task.generator.named_modules():
        if name.endswith(("conv_0", "conv_1", "conv_s")):
            averaged = task.averages["generator"].state[f"{name}.parametrizations.weight.original"]
            sigma = torch.linalg.svdvals(averaged.flatten(1).double())[0]
            expected = (averaged / sigma).float()
            torch.testing.assert_close(
                model.generator.get_submodule(name).weight, expected, rtol=1e-4, atol=1e-6
            )
            assert not torch.allclose(averaged, convolution(task.generator, name)), f"{layer}: no average"


def test_an_average_is_of_the_weights_before_the_norm(make_context: Make) -> None:
    """Half of W and half of −3W is −W, whatever their norms are: averaging W/σ and −W/σ would give 0."""
    task = started(make_context(tiny(run__ema_half_life=1)))
    weight = convolution(task.generator, "body.0.conv_0")
    average = task.averages["generator"]
    average.restart(task.generator)
    first = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(-3)
    average.update(task.generator, 100, 1)
    found = average.state["body.0.conv_0.parametrizations.weight.original"]
    torch.testing.assert_close(found, -first)


def test_the_export_is_painted_by_the_engine(make_context: Make, tmp_path: Path) -> None:
    task = started(make_context(tiny(**FAST)))
    steps(task, 2)
    model = exported(task, tmp_path)
    painter = Library([tmp_path], device="cpu", precision="fp32").painter("mine", 64, 64)
    labels = batch_of(task).given[0].numpy()
    painter.set_map(labels.astype(np.uint8))
    z = torch.randn(1, 4)
    painter.set_style(z[0].tolist())
    with torch.no_grad():
        expected = model.generator(torch.from_numpy(labels)[None], z)[0].permute(1, 2, 0)
    expected_bytes = ((expected + 1) * 127.5).round().numpy()
    assert expected_bytes.std() > 1
    assert np.abs(painter.render().astype(float) - expected_bytes).max() <= 1


def test_a_run_can_start_from_a_model(make_context: Make, tmp_path: Path) -> None:
    first = started(make_context(tiny(**FAST)))
    steps(first, 2)
    model = exported(first, tmp_path)
    second = started(make_context(tiny()))
    second.start_from(tmp_path / "mine.safetensors")
    labels = batch_of(second).given
    second.generator.eval()
    with torch.no_grad():
        same_picture(model.generator, second.generator, labels)
    other = started(make_context(tiny(network__width=4)))
    with pytest.raises(TrainingError, match=r"mine\.safetensors' does not fit"):
        other.start_from(tmp_path / "mine.safetensors")


def test_a_model_without_spectral_norm_is_no_start(make_context: Make, tmp_path: Path) -> None:
    task = started(make_context(tiny()))
    with torch.no_grad():
        model = exported(task, tmp_path)
    model.generator.body[1].conv_0.weight.data.mul_(2)
    from models.checkpoint import save  # noqa: PLC0415

    save(tmp_path / "mine.safetensors", model.spec, model.generator, None, torch.float32)
    with pytest.raises(TrainingError, match=r"body\.1\.conv_0 has a norm of 2\.00.*without spectral norm"):
        task.start_from(tmp_path / "mine.safetensors")


def test_crops_that_six_halvings_do_not_fit(make_context: Make) -> None:
    recipe = tiny(data__crops=[{"from": 0.0, "side": 96, "batch": 2}])
    with pytest.raises(TrainingError, match=r"sides of 96 pixels.*multiples of 64"):
        started(make_context(recipe))


def test_the_sheet_shows_map_photo_and_two_seeds(make_context: Make) -> None:
    task = started(make_context(tiny()))
    sheet = task.sheet(task.pairs[:2])
    assert sheet.dtype == np.uint8
    assert sheet.shape == (256, 2 * 4 * 256, 3)
    assert not np.array_equal(sheet[:, 512:768], sheet[:, 768:1024]), "seeds differ"


def test_the_recipe_has_the_papers_values() -> None:
    recipe = load_recipe("oasis")
    assert (recipe.optimiser.generator_rate, recipe.optimiser.discriminator_rate) == (1e-4, 4e-4)
    assert recipe.optimiser.betas == (0.0, 0.999)
    assert (recipe.loss.label_mix, recipe.network.noise, recipe.network.width) == (10.0, 64, 64)
