"""The SPADE task: its losses by hand, what learns from what, VGG or none, the VAE, and that its export is the
network trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from engine import Library
from models.checkpoint import save
from models.encoder import SpadeEncoder
from models.published import SpadeGenerator
from models.spade import one_hot
from tests.training.conftest import tiny_recipe
from tests.training.painting import (
    Make,
    batch_of,
    convolution,
    exported,
    gradients,
    live,
    quiet,
    started,
    steps,
)
from training import adversarial
from training.distributed import Draws
from training.perceptual import Perceptual
from training.recipe import Recipe, RecipeError, load_recipe
from training.task import TrainingError
from training.tasks.spade import SpadeTask

FAST = {"optimiser__generator_rate": 1e-2, "optimiser__discriminator_rate": 1e-2}
VAE = {"network__style_dim": 5}


@pytest.fixture(autouse=True)
def no_vgg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's place is empty, whatever this machine has."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def tiny(**overrides: object) -> Recipe:
    """Far from the run's end, where rates would fall."""
    return tiny_recipe("spade", **{"run__pictures": 10_000} | overrides)


def draws_for(task: SpadeTask, seen: int = 0, pictures: int = 2) -> Draws:
    return Draws(task.recipe.run.seed, seen, pictures, task.fabric.device)


def two_scales(*scores: list[float]) -> list[list[Tensor]]:
    return [[torch.full((1, 1), 99.0), torch.tensor(values)] for values in scores]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (adversarial.hinge_real, (0 + 0.5 + 4) / 3 + (1 + 0) / 2),
        (adversarial.hinge_fake, (3 + 1.5 + 0) / 3 + (1 + 2) / 2),
        (adversarial.hinge_generator, -(2 + 0.5 - 3) / 3 - (0 + 1) / 2),
    ],
)
def test_the_hinge_by_hand(loss: Callable[..., Tensor], expected: float) -> None:
    assert float(loss(two_scales([2.0, 0.5, -3.0], [0.0, 1.0]))) == pytest.approx(expected)


def test_feature_matching_by_hand() -> None:
    """Layers of any size count the same, scales add up, scores do not count."""
    fake = [
        [torch.zeros(1, 2, 4, 4), torch.ones(1, 8, 2, 2), torch.zeros(1, 1, 2, 2)],
        [torch.zeros(1, 1)] * 2,
    ]
    real = [
        [torch.full((1, 2, 4, 4), 3.0), torch.full((1, 8, 2, 2), 0.5), torch.full((1, 1, 2, 2), 77.0)],
        [torch.full((1, 1), 0.25), torch.full((1, 1), 77.0)],
    ]
    for tensor in (fake[0][0], real[0][0]):
        tensor.requires_grad_()
    found = adversarial.matching(fake, real)
    assert float(found.detach()) == pytest.approx(3 + 0.5 + 0.25)
    found.backward()
    assert fake[0][0].grad is not None
    assert real[0][0].grad is None


def test_the_weights_of_the_terms(make_context: Make) -> None:
    task = started(make_context(tiny(**VAE)))
    task.discriminator.eval()
    batch = batch_of(task)
    fake = torch.rand_like(batch.real)
    found = task._generator_terms(batch, fake)
    condition = one_hot(batch.given, 17)
    on_real, on_fake = (
        task.discriminator(torch.cat([condition, picture], 1)) for picture in (batch.real, fake)
    )
    hinge = -sum(scale[-1].mean() for scale in on_fake)
    distances = [
        (f - r).abs().mean()
        for fakes, reals in zip(on_fake, on_real, strict=True)
        for f, r in zip(fakes[:-1], reals[:-1], strict=True)
    ]
    assert len(distances) == 2 * 3
    torch.testing.assert_close(found["adversarial"], hinge, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["matching"], 10 * sum(distances), rtol=1e-4, atol=0)
    terms = task._discriminator_terms(batch, fake)
    real = sum((1 - scale[-1]).clamp(min=0).mean() for scale in on_real)
    torch.testing.assert_close(terms["discriminator_real"], real, rtol=1e-4, atol=1e-5)


def test_the_divergence_by_hand(make_context: Make) -> None:
    """0.05 times KL(N(m, s²) ‖ N(0, 1)), summed over the code's dimensions, meant over pictures."""
    task = started(make_context(tiny(**VAE)))
    batch = batch_of(task)
    _, terms = task._encoded(batch, draws_for(task))
    mean, log_variance = task.encoder(batch.real)
    own, prior = (
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()),
        torch.distributions.Normal(0, 1),
    )
    expected = 0.05 * torch.distributions.kl_divergence(own, prior).sum(1).mean()
    torch.testing.assert_close(terms["kl"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("vae", [{}, VAE])
def test_the_generators_gradient_comes_through_the_discriminator(
    make_context: Make, vae: dict[str, int]
) -> None:
    task = started(make_context(tiny(**vae)))
    batch = batch_of(task)
    task.discriminator.requires_grad_(False)
    fake, _ = task._encoded(batch, draws_for(task))
    task._generator_terms(batch, fake)["adversarial"].backward()
    assert all(gradients(task.generator.conv_img))
    assert all(gradients(task.generator.fc))
    assert not any(gradients(task.discriminator))
    if task.encoder is not None:
        assert all(gradients(task.encoder.fc_mu))
        assert all(gradients(task.encoder.fc_var))
    task.generator.zero_grad()
    task.discriminator.requires_grad_(True)
    sum(task._discriminator_terms(batch, fake.detach()).values()).backward()
    assert all(gradients(task.discriminator))
    assert not any(gradients(task.generator))


def test_the_discriminator_reads_the_map(make_context: Make) -> None:
    task = started(make_context(tiny()))
    task.discriminator.eval()
    batch = batch_of(task)
    other = replace(batch, given=batch.given.flip(2))
    with torch.no_grad():
        one, two = (task._judged(b, b.real)[0][0][-1] for b in (batch, other))
    assert not torch.allclose(one, two, atol=1e-3)


def test_small_sets_are_augmented_before_the_discriminator(make_context: Make) -> None:
    """It never sees a picture whole, nor the map that belongs to what is cut out; VGG does."""
    task = started(make_context(tiny(data__differentiable=["cutout"])))
    seen: list[Tensor] = []
    task.discriminator.register_forward_hook(lambda network, given, found: seen.append(given[0].detach()))
    task.perceptual = Perceptual()
    task.perceptual.register_forward_hook(lambda network, given, loss: compared.append(given[1]))
    compared: list[Tensor] = []
    steps(task, 1)
    assert len(seen) == 2
    for pair in torch.cat(seen):
        cut = (pair[17:] == 0).all(0)
        assert 0.1 < cut.float().mean() < 0.6
        assert not pair[:17, cut].any(), "no class, in the one-hot map"
        assert bool((pair[:17].sum(0)[~cut] == 1).all())
    assert torch.equal(compared[0], batch_of(task).real)


def test_a_dozen_steps_teach_the_discriminator(make_context: Make) -> None:
    task = started(make_context(tiny(optimiser__generator_rate=1e-9, optimiser__discriminator_rate=1e-2)))
    figures = steps(task, 12)
    sums = [step["discriminator_real"] + step["discriminator_fake"] for step in figures]
    assert np.mean(sums[-3:]) < 0.9 * np.mean(sums[:3])


@pytest.mark.parametrize("vae", [{}, VAE])
def test_a_dozen_steps_teach_the_generator(make_context: Make, vae: dict[str, int]) -> None:
    """Against a discriminator that stands still."""
    task = started(
        make_context(tiny(optimiser__generator_rate=2e-2, optimiser__discriminator_rate=1e-9, **vae))
    )
    sums = [sum(step.values()) for step in steps(task, 12, same=True)]
    assert np.mean(sums[-3:]) < 0.9 * np.mean(sums[:3])


def test_without_vgg_it_is_said_once_and_training_runs(make_context: Make) -> None:
    said: list[str] = []
    task = SpadeTask(replace(make_context(tiny()), say=said.append))
    task.prepare(quiet)
    figures = steps(task, 2)
    assert "vgg" not in figures[0]
    assert all(np.isfinite(value) for step in figures for value in step.values())
    assert len(said) == 1
    assert "without the perceptual loss" in said[0]
    silent = SpadeTask(replace(make_context(tiny(loss__vgg=0.0)), say=said.append))
    silent.prepare(quiet)
    assert len(said) == 1, "who does not want the loss is not told that it is missing"


def test_vgg_weights_on_this_machine_are_used(make_context: Make, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, path = Perceptual(), tmp_path / "vgg19.pth"
    torch.save({f"features.{name}": value for name, value in network.layers.state_dict().items()}, path)
    said: list[str] = []
    task = SpadeTask(replace(make_context(tiny(loss__vgg_file=str(path))), say=said.append))
    task.prepare(quiet)
    assert not said
    batch, fake = batch_of(task), torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        terms = task._likeness(batch, fake)
        torch.testing.assert_close(terms["vgg"], 10 * network(fake, batch.real), rtol=1e-4, atol=0)
    assert steps(task, 1)[0]["vgg"] > 0
    assert "perceptual" not in task.state()["networks"], "frozen weights are in no saved state"


def test_a_named_file_that_is_not_there_stops_the_run(make_context: Make) -> None:
    with pytest.raises(TrainingError, match=r"nowhere\.pth: there is no such file"):
        started(make_context(tiny(loss__vgg_file="nowhere.pth")))


def same_picture(first: SpadeGenerator, second: SpadeGenerator, labels: Tensor) -> None:
    style = torch.randn(len(labels), first.style_dim) if first.style_dim else None
    one, other = first(labels, None, style), second(labels, None, style)
    assert one.std() > 0.01, "a picture in which errors would show"
    assert float((one - other).detach().abs().max()) < 1e-5


@pytest.mark.parametrize("vae", [{}, VAE, {"network__upsampling": "more"}])
def test_the_export_is_the_average_that_was_trained(
    make_context: Make, tmp_path: Path, vae: dict[str, object]
) -> None:
    task = started(make_context(tiny(**FAST, **vae)))
    steps(task, 3)
    model = exported(task, tmp_path)
    assert isinstance(model.generator, SpadeGenerator)
    batch = batch_of(task)
    with live(task):
        same_picture(model.generator, task.generator, batch.given)
        if task.encoder is not None:
            assert isinstance(model.encoder, SpadeEncoder)
            for found, expected in zip(model.encoder(batch.real), task.encoder(batch.real), strict=True):
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    averaged = task.averages["generator"].state["up_1.conv_s.parametrizations.weight.original"]
    sigma = torch.linalg.svdvals(averaged.flatten(1).double())[0]
    torch.testing.assert_close(
        model.generator.up_1.conv_s.weight, (averaged / sigma).float(), rtol=1e-4, atol=1e-6
    )
    assert not torch.allclose(averaged, convolution(task.generator, "up_1.conv_s"))
    assert model.spec.largest == ((64, 64) if task.encoder is not None else None)


@pytest.mark.parametrize("vae", [{}, VAE])
def test_the_export_is_painted_by_the_engine(
    make_context: Make, tmp_path: Path, vae: dict[str, object]
) -> None:
    task = started(make_context(tiny(**FAST, **vae)))
    steps(task, 2)
    model = exported(task, tmp_path)
    painter = Library([tmp_path], device="cpu", precision="fp32").painter("mine", 64, 64)
    labels = batch_of(task).given[0].numpy()
    painter.set_map(labels.astype(np.uint8))
    style = torch.randn(1, 5) if vae else None
    if style is not None:
        painter.set_style(style[0].tolist())
    with torch.no_grad():
        expected = model.generator(torch.from_numpy(labels)[None], None, style)[0].permute(1, 2, 0)
    expected_bytes = ((expected + 1) * 127.5).round().numpy()
    assert expected_bytes.std() > 1
    assert np.abs(painter.render().astype(float) - expected_bytes).max() <= 1


def test_a_run_can_start_from_a_model(make_context: Make, tmp_path: Path) -> None:
    first = started(make_context(tiny(**FAST, **VAE)))
    steps(first, 2)
    model = exported(first, tmp_path)
    second = started(make_context(tiny(**VAE)))
    second.start_from(tmp_path / "mine.safetensors")
    batch = batch_of(second)
    second.generator.eval()
    second.encoder.eval()
    with torch.no_grad():
        same_picture(model.generator, second.generator, batch.given)
        torch.testing.assert_close(
            model.encoder(batch.real)[0], second.encoder(batch.real)[0], atol=1e-5, rtol=1e-4
        )


def test_a_start_without_an_encoder_is_said(make_context: Make, tmp_path: Path) -> None:
    first = started(make_context(tiny(**VAE)))
    model = exported(first, tmp_path)
    options = {name: value for name, value in model.spec.options.items() if name != "encoder_width"}
    path = tmp_path / "alone.safetensors"
    save(path, replace(model.spec, options=options), model.generator, None, torch.float32)
    said: list[str] = []
    second = started(replace(make_context(tiny(**VAE)), say=said.append))
    second.start_from(path)
    assert f"{path} has no style encoder: that one starts from nothing" in said


@pytest.mark.parametrize("vae", [{}, VAE])
def test_the_sheet_shows_what_there_is(make_context: Make, vae: dict[str, object]) -> None:
    sheet = started(make_context(tiny(**vae)))
    pictures = sheet.sheet(sheet.pairs[:2])
    assert pictures.shape == ((64, 2 * 5 * 64, 3) if vae else (256, 2 * 3 * 256, 3))


def test_crops_that_the_networks_do_not_fit(make_context: Make) -> None:
    with pytest.raises(TrainingError, match=r"sides of 48 pixels.*multiples of 32"):
        started(make_context(tiny(data__crops=[{"from": 0.0, "side": 48, "batch": 2}])))
    both = [{"from": 0.0, "side": 32, "batch": 2}, {"from": 0.5, "side": 64, "batch": 2}]
    assert started(make_context(tiny(data__crops=both)))
    with pytest.raises(TrainingError, match=r"\[32, 64\] pixels.*network\.style_dim=0"):
        started(make_context(tiny(data__crops=both, **VAE)))
    with pytest.raises(RecipeError, match="width 3 is odd"):
        tiny(network__width=3, network__upsampling="most")


def test_the_recipe_has_the_papers_values() -> None:
    recipe = load_recipe("spade")
    assert (recipe.optimiser.generator_rate, recipe.optimiser.discriminator_rate) == (1e-4, 4e-4)
    assert recipe.optimiser.betas == (0.0, 0.999)
    loss = recipe.loss
    assert (loss.matching, loss.vgg, loss.kl, loss.vgg_download) == (10.0, 10.0, 0.05, False)
    assert (recipe.network.discriminator_scales, recipe.network.width) == (2, 64)
