"""The built-in task: what its steps move, what it learns, what it starts from, and the train command."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine import Library
from models.checkpoint import load, load_segmenter
from models.labels import load_label_set
from tests.training.conftest import cpu, tiny_recipe
from training.cli import _label_set, train
from training.data import DataError, Pair, read_pairs
from training.distributed import Draws, Stream
from training.export import codes_of, model_id
from training.recipe import Recipe
from training.run import Run
from training.task import Context, TrainingError
from training.tasks.builtin import BuiltinTask

LABELS = load_label_set("landscape17")


def nothing(*_: object) -> None:
    """Reports to nobody."""


@pytest.fixture(scope="module")
def pairs(source: Path) -> list[Pair]:
    return read_pairs(source, "train")


def new_run(folder: Path, recipe: Recipe, pairs: list[Pair]) -> tuple[Run, BuiltinTask]:
    run = Run(folder, recipe, pairs, LABELS, cpu())
    run.start(nothing)
    assert isinstance(run.task, BuiltinTask)
    return run, run.task


def test_steps_train_every_network_but_the_judge(tmp_path: Path, recipe: Recipe, pairs: list[Pair]) -> None:
    run, task = new_run(tmp_path, recipe, pairs)

    def weights() -> dict[str, torch.Tensor]:
        return {
            f"{name}.{key}": value.clone()
            for name, network in task.networks.items()
            for key, value in network.state_dict().items()
        }

    before = weights()
    judge = {name: value.clone() for name, value in task.segmenter.state_dict().items()}
    list(run.steps())
    after = weights()
    still = [
        name
        for name, value in before.items()
        if value.dtype.is_floating_point and torch.equal(value, after[name]) and "prior" not in name
    ]
    assert not still, "every trained tensor has moved"
    assert all(torch.equal(value, task.segmenter.state_dict()[name]) for name, value in judge.items())


def test_learning_lowers_the_colour_error(tmp_path: Path, pairs: list[Pair]) -> None:
    recipe = tiny_recipe(
        run__pictures=320,
        data__crops=[{"from": 0.0, "side": 32, "batch": 4}],
        loss__two_styles=0.0,
        optimiser__generator_rate=4e-3,
    )
    run, task = new_run(tmp_path, recipe, pairs)
    errors = [
        figures["low_frequency"] / task.low_frequency_at(4 * i) for i, figures in enumerate(run.steps())
    ]
    assert np.mean(errors[-10:]) < 0.8 * np.mean(errors[:5])


def test_the_warm_up_fades(make_context: Callable[[Recipe], Context]) -> None:
    weights: dict[str, Any] = {"loss__low_frequency": [14.0, 6.0], "loss__low_frequency_until": 0.5}
    task = BuiltinTask(make_context(tiny_recipe(run__pictures=100, **weights)))
    assert [task.low_frequency_at(seen) for seen in (0, 25, 50, 100)] == [14, 10, 6, 6]


def test_two_kinds_of_step(tmp_path: Path, pairs: list[Pair]) -> None:
    """Two styles in a picture have no photo to be compared with; LabelMix comes every so often."""
    for share, compared in ((0.0, True), (1.0, False)):
        recipe = tiny_recipe(run__pictures=6, loss__two_styles=share, loss__label_mix_every=2)
        steps = list(new_run(tmp_path / str(share), recipe, pairs)[0].steps())
        assert [("texture" in step, "label_mix" in step) for step in steps] == [
            (compared, True),
            (compared, False),
            (compared, True),
        ]
        assert all(math.isfinite(value) for step in steps for value in step.values())


def test_the_judge_is_kept_and_taken_up(tmp_path: Path, recipe: Recipe, pairs: list[Pair]) -> None:
    reports: list[tuple[str, int, int]] = []
    run = Run(tmp_path, recipe, pairs, LABELS, cpu())
    run.start(lambda what, done, total, figures: reports.append((what, done, total)))
    assert reports == [("segmenter", 16, 32), ("segmenter", 32, 32)]
    kept = load_segmenter(tmp_path / "segmenter.safetensors")
    assert kept.spec.architecture == "unet-segmenter"
    again = Run(tmp_path, recipe, pairs, LABELS, cpu())
    again.start(lambda *_: pytest.fail("it is not trained again"))
    for one, other in ((run.task, again.task), (run.task, kept)):
        expected = one.segmenter.state_dict()  # type: ignore[attr-defined]
        network = other.network if other is kept else other.segmenter  # type: ignore[attr-defined]
        assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_a_folder_cannot_be_called_as_the_judges_file(
    tmp_path: Path, recipe: Recipe, pairs: list[Pair]
) -> None:
    for name in ("segmenter", "Segmenter!"):
        with pytest.raises(TrainingError, match="call the run's folder otherwise"):
            Run(tmp_path / name, recipe, pairs, LABELS, cpu())


@pytest.mark.parametrize("ignore", [None, 0])
def test_class_zero_counts_unless_it_is_the_ignored_one(
    make_context: Callable[[Recipe], Context], ignore: int | None
) -> None:
    """Published sets have a real class at id 0: nothing may be dropped into it."""
    made = make_context(tiny_recipe(data__drop=1.0))
    task = BuiltinTask(replace(made, labels=replace(made.labels, ignore=ignore)))
    batch = task.batch(4, 64, 0, Stream.DATA)
    assert bool((batch.given == 0).any()) is (ignore == 0)


def test_an_export_is_painted_and_is_where_a_run_can_start(
    tmp_path: Path, recipe: Recipe, pairs: list[Pair]
) -> None:
    run, task = new_run(tmp_path / "run", recipe, pairs)
    list(run.steps())
    path = tmp_path / "mine.safetensors"
    trained = {name: value.clone() for name, value in task.generator.state_dict().items()}
    task.export(path, "mine", "Mine", "CC0-1.0", {"data": "examples", **run.provenance()})
    assert all(torch.equal(value, trained[name]) for name, value in task.generator.state_dict().items())
    loaded = load(path)
    assert loaded.spec.stride == 8
    assert loaded.spec.provenance["pictures_seen"] == 12
    painter = Library([tmp_path], device="cpu", precision="fp32").painter("mine", 64, 64)
    painter.set_map(pairs[0].labels[:64, :64].copy())
    assert painter.render().std() > 0
    assert loaded.encoder is not None
    codes = codes_of(loaded.encoder, run.pairs)
    torch.testing.assert_close(loaded.generator.prior_mean, codes.mean(0), atol=1e-2, rtol=1e-2)

    on = recipe.with_overrides({"run.init_from": str(path), "run.seed": 5})
    _, second = new_run(tmp_path / "second", on, pairs)
    for name, value in loaded.generator.state_dict().items():
        assert torch.equal(value, second.generator.state_dict()[name])
        assert torch.equal(value, second.averages["generator"].state[name])
    other = on.with_overrides({"network.widths": [8, 8, 8, 16]})
    with pytest.raises(TrainingError, match=r"mine.safetensors' does not fit"):
        new_run(tmp_path / "third", other, pairs)
    missing = on.with_overrides({"run.init_from": "nowhere.safetensors"})
    with pytest.raises(TrainingError, match=r"nowhere\.safetensors"):
        new_run(tmp_path / "fourth", missing, pairs)


def test_a_folder_of_ones_own(tmp_path: Path, source: Path) -> None:
    """Names that are no numbers, pictures of several sizes, 255 for what is not labelled."""
    data = tmp_path / "data"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    for i, pair in enumerate(read_pairs(source, "train", 3)):
        height, width = 256 - 30 * i, 256 - 50 * i
        labels = pair.labels[:height, :width].copy()
        labels[:9] = 255
        Image.fromarray(pair.image[:height, :width]).save(data / "images" / f"hut {i}.png")
        Image.fromarray(labels).save(data / "labels" / f"hut {i}.png")
    recipe = tiny_recipe(run__pictures=4, run__name="My hut", run__licence="CC0-1.0")
    path = train(data, tmp_path / "run", recipe, precision="32-true", accelerator="cpu")
    spec = load(path).spec
    assert (spec.native_size, spec.id, spec.name, spec.licence) == (152, "run", "My hut", "CC0-1.0")
    large = tiny_recipe(data__crops=[{"from": 0.0, "side": 200, "batch": 2}])
    with pytest.raises(DataError, match=r"hut 2 is 156×196, smaller than .*200×200"):
        train(data, tmp_path / "other", large, accelerator="cpu")
    with pytest.raises(ValueError, match="16-mixed"):
        train(data, tmp_path / "third", recipe, precision="16-mixed")


def test_the_command_trains_and_continues(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run [/b]"  # no markup
    for pictures in (4, 8):
        recipe = tiny_recipe(run__pictures=pictures, run__save_every=2)
        path = train(source, folder, recipe, precision="bf16-mixed", accelerator="cpu")
        spec = load(path).spec
        assert spec.provenance["pictures_seen"] == pictures
        assert (spec.name, spec.licence) == (folder.name, "not stated")
    said = capsys.readouterr().out
    assert "continued after 4 pictures" in said
    assert "6/8" in said
    assert "images/s" in said
    assert {path.name for path in (folder / "sheets").iterdir()} == {"0000004.png", "0000008.png"}


def test_a_machine_without_the_accelerator_is_said(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(**_: object) -> None:
        raise RuntimeError("`CUDAAccelerator` can not run on your system")

    monkeypatch.setattr("training.cli.Fabric", refuses)
    with pytest.raises(TrainingError, match=r"--accelerator cuda with --devices 2: .* can not run"):
        train(source, tmp_path / "run", tiny_recipe(), accelerator="cuda", devices=2)


def test_a_models_id_comes_from_the_folder() -> None:
    assert model_id(Path("/x/My Run!")) == "my-run"
    assert model_id(Path("/x/äöü")) == "model"


def test_the_label_set_is_said_or_the_datas_own(tmp_path: Path) -> None:
    """By name, from a file, from the data, or the built-in one."""
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(LABELS.to_json()))
    data = tmp_path / "data"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    assert _label_set(data, "folder", str(path)).hash == LABELS.hash
    assert _label_set(data, "folder", "ade150").name == "ade150"
    assert _label_set(data, "folder", None).hash == LABELS.hash
    (data / "labels.toml").write_text('set = "cityscapes35"')
    assert _label_set(data, "folder", None).name == "cityscapes35"


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"data__crops": [{"from": 0.0, "side": 100, "batch": 2}]},
            "100 pixels.* multiples of 8 and at least 32",
        ),
        (
            {"data__crops": [{"from": 0.0, "side": 16, "batch": 2}]},
            "16 pixels.* multiples of 8 and at least 32",
        ),
        (
            {"optimiser__segmenter_side": 8, "network__segmenter_widths": [4] * 4},
            "segmenter_side = 8, .* 16 or more",
        ),
    ],
)
def test_crops_that_do_not_fit_are_refused(
    make_context: Callable[[Recipe], Context], overrides: dict[str, Any], words: str
) -> None:
    with pytest.raises(TrainingError, match=words):
        BuiltinTask(make_context(tiny_recipe(**overrides)))


def test_one_picture_is_enough_to_export(tmp_path: Path, recipe: Recipe, pairs: list[Pair]) -> None:
    """Its style code has no spread, and is what every seed gives."""
    _, task = new_run(tmp_path, recipe, pairs[:1])
    task.export(tmp_path / "one.safetensors", "one", "One", "CC0-1.0", {})
    generator = load(tmp_path / "one.safetensors").generator
    assert float(generator.prior_scale.abs().max()) < 0.01
    code = generator.code_from_normal(torch.ones(1, generator.style_dim))
    torch.testing.assert_close(code[0], generator.prior_mean, atol=0.02, rtol=0)


def test_differentiable_augmentation_reaches_the_discriminator_alone(
    make_context: Callable[[Recipe], Context],
) -> None:
    """Real and generated pictures and their maps go through the same changes, once a step."""
    policy = ["colour", "translation", "cutout"]
    made = make_context(tiny_recipe(data__differentiable=policy))
    task = BuiltinTask(made)
    task.prepare(nothing)
    seen: dict[str, list[torch.Tensor]] = {"discriminator": [], "segmenter": []}
    for name, taken in seen.items():
        getattr(task, name).down[0].register_forward_hook(
            lambda module, given, out, taken=taken: taken.append(given[0].detach())
        )
    batch, draws = task.batch(2, 32, 0, Stream.DATA), Draws(1, 0, 2, torch.device("cpu"))
    judged, changed = task.judged(batch, batch.real, Draws(1, 0, 2, torch.device("cpu")), 0)
    assert torch.equal(judged.real, changed), "one change for both"
    assert not torch.equal(judged.real, batch.real)
    hidden = (judged.labels == LABELS.ignore).float().mean()
    assert 0.1 < hidden < 0.6
    task.step(batch, 0, draws)
    assert all((picture == 0).all(1).any() for picture in seen["discriminator"]), "each has a hole"
    assert not any((picture == 0).all(1).any() for picture in seen["segmenter"])

    with pytest.raises(TrainingError, match="'cutout', which needs a label for what is not seen"):
        BuiltinTask(replace(made, labels=replace(LABELS, ignore=None)))


def test_small_pictures_are_enlarged_where_the_recipe_says_so(tmp_path: Path) -> None:
    """They train; sheets leave them out, and the native size is at least the stride."""
    data = tmp_path / "data"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 255, (6, 20, 3), np.uint8)).save(data / "images" / f"{name}.png")
        Image.fromarray(rng.integers(0, 9, (6, 20), np.uint8)).save(data / "labels" / f"{name}.png")
    recipe = tiny_recipe(run__pictures=4, data__short_side=32)
    path = train(data, tmp_path / "run", recipe, precision="32-true", accelerator="cpu")
    assert load(path).spec.native_size == 8
    assert not (tmp_path / "run" / "sheets").exists()
