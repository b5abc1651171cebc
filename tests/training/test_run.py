"""The loop: it trains, stops and goes on to the bit, refuses nonsense, notices a collapse. It is tried with a
task of one number, and with the built-in one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.labels import load_label_set
from tests.training.conftest import cpu, tiny_recipe
from training import journal as journals
from training.averaging import Average, averaged
from training.data import Batch, Pair, read_pairs
from training.distributed import Draws
from training.files import write_atomically
from training.journal import Journal, due
from training.recipe import Recipe, Section
from training.run import Run, Watch
from training.task import Context, Task, TrainingError
from training.tasks import TASKS

LABELS = load_label_set("landscape17")


def nothing(*_: object) -> None:
    """Reports to nobody."""


def new_run(folder: Path, recipe: Recipe, pairs: Sequence[Pair]) -> Run:
    run = Run(folder, recipe, list(pairs), LABELS, cpu())
    run.start(nothing)
    return run


@pytest.fixture(scope="module")
def pairs(source: Path) -> list[Pair]:
    return read_pairs(source, "train")


class Number(Task):
    """One number that is pulled towards a draw; its losses can be set from outside."""

    class Network(Section):
        size: int

    class Optimiser(Section):
        rate: float

    class Loss(Section):
        weight: float

    said: ClassVar[dict[str, float]] = {}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.networks["number"] = self.placed(nn.Linear(1, self.recipe.network.size))
        self.optimisers["number"] = torch.optim.Adam(
            self.networks["number"].parameters(), self.recipe.optimiser.rate
        )
        self.averaging("number")

    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        target = draws.normal(len(batch.labels), 1)
        loss = (self.networks["number"](batch.real.mean((1, 2, 3))[:, None]) - target).square().mean()
        figures = self.update("number", {"pull": self.recipe.loss.weight * loss}, self.recipe.rate_at(seen))
        return figures | {name: torch.tensor(value) for name, value in self.said.items()}

    def sheet(self, pairs: Sequence[Pair]) -> np.ndarray | None:
        return np.full((8, 8, 3), len(pairs), np.uint8)

    def export(
        self, path: Path, model_id: str, name: str, licence: str, provenance: Mapping[str, Any]
    ) -> None:
        path.write_text(json.dumps(provenance))


@pytest.fixture
def number(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """The recipe of `Number`: ten steps of two pictures."""
    real = type(TASKS).__getitem__
    monkeypatch.setattr(
        type(TASKS), "__getitem__", lambda self, name: Number if name == "segment" else real(self, name)
    )
    document = tiny_recipe("builtin").to_json()
    document |= {
        "task": "segment",
        "network": {"size": 1},
        "optimiser": {"rate": 0.1},
        "loss": {"weight": 1.0},
    }
    document["run"] |= {"pictures": 20, "collapse_steps": 3, "log_every": 4}
    document["data"] |= {"crops": [{"from": 0.0, "side": 8, "batch": 2}]}
    from training.recipe import recipe_from  # noqa: PLC0415

    yield recipe_from(document, "test")
    Number.said.clear()


def tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor in a state, by its path."""
    if isinstance(value, Tensor):
        return {name: value}
    entries = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    return {
        path: tensor for key, entry in entries for path, tensor in tensors(entry, f"{name}/{key}").items()
    }


def test_a_killed_run_goes_on_to_the_bit(tmp_path: Path, recipe: Recipe, pairs: list[Pair]) -> None:
    whole = new_run(tmp_path / "whole", recipe, pairs)
    figures = list(whole.steps())
    assert len(figures) == 6
    assert all(math.isfinite(value) for step in figures for value in step.values())

    first = new_run(tmp_path / "killed", recipe, pairs)
    steps = first.steps()
    for _ in range(3):
        next(steps)
    first.save()
    next(steps)  # lost: it was not saved
    second = Run(tmp_path / "killed", recipe, pairs, LABELS, cpu())
    assert second.start(nothing), "it goes on"
    assert second.seen == 6
    assert list(second.steps()) == figures[3:]
    one, other = tensors(whole.task.state()), tensors(second.task.state())
    assert len(one) > 100
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_state_is_whole_or_not_there(
    tmp_path: Path, number: Recipe, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, number, pairs)
    run.save()
    kept = run.state_path.read_bytes()

    def dies(value: object, file: Any) -> None:
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", dies)
    next(run.steps())
    with pytest.raises(OSError, match="no space left"):
        run.save()
    assert run.state_path.read_bytes() == kept
    assert not list(tmp_path.glob("*.partial")), "half a state does not keep the disk full"


def test_torchs_own_words_for_a_full_disk_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(value: object, file: Any) -> None:
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(OSError, match=r"state\.pt could not be written: .*No space left on device"):
        write_atomically({}, tmp_path / "state.pt")


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    run = new_run(tmp_path, number, pairs)
    run.save()
    run.state_path.write_bytes(run.state_path.read_bytes()[:500])
    with pytest.raises(TrainingError, match=r"state\.pt cannot be read.*remove it to begin the run again"):
        new_run(tmp_path, number, pairs)


def test_a_recipe_that_cannot_be_run_leaves_no_trace(
    tmp_path: Path, number: Recipe, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its networks would be those of a run that never was, and the mended recipe refused."""

    def refuses(self: Number, context: Context) -> None:
        raise TrainingError("no such crops")

    with monkeypatch.context() as patched:
        patched.setattr(Number, "__init__", refuses)
        with pytest.raises(TrainingError, match="no such crops"):
            Run(tmp_path / "run", number, pairs, LABELS, cpu())
    assert not (tmp_path / "run").exists()
    new_run(tmp_path / "run", number.with_overrides({"network.size": 2}), pairs)


def test_a_run_that_was_killed_while_it_wrote_its_recipe_goes_on(
    tmp_path: Path, number: Recipe, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    def killed(file: int) -> None:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KilledError):
            new_run(tmp_path, number, pairs)
    assert new_run(tmp_path, number, pairs).seen == 0
    kept = (tmp_path / "recipe.toml").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        with pytest.raises(KilledError):
            new_run(tmp_path, number.with_overrides({"optimiser.rate": 0.4}), pairs)
    assert (tmp_path / "recipe.toml").read_bytes() == kept


def test_rates_may_change_and_networks_may_not(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    run = new_run(tmp_path, number, pairs)
    next(run.steps())
    run.save()
    kept = (tmp_path / "recipe.toml").read_text()
    with pytest.raises(TrainingError, match=r"network.size = 1, not 2"):
        new_run(tmp_path, number.with_overrides({"network.size": 2}), pairs)
    with pytest.raises(TrainingError, match="labels = landscape17, not ade150"):
        Run(tmp_path, number, [], load_label_set("ade150"), cpu())
    with pytest.raises(TrainingError, match="task = segment, not builtin"):
        new_run(tmp_path, tiny_recipe("builtin"), pairs)
    assert (tmp_path / "recipe.toml").read_text() == kept
    faster = new_run(tmp_path, number.with_overrides({"optimiser.rate": 0.4, "run.pictures": 400}), pairs)
    assert faster.seen == 2
    next(faster.steps())
    assert faster.task.optimisers["number"].param_groups[0]["lr"] == 0.4


def test_an_optimisers_other_settings_may_change_too(
    tmp_path: Path, number: Recipe, pairs: list[Pair]
) -> None:
    """A saved state holds decays as well as rates: those of the recipe are the ones that count."""
    run = new_run(tmp_path, number, pairs)
    next(run.steps())
    run.save()
    again = Run(tmp_path, number, pairs, LABELS, cpu())
    group = again.task.optimisers["number"].param_groups[0]
    group["betas"], group["weight_decay"] = (0.5, 0.7), 0.25
    assert again.start(nothing)
    next(again.steps())
    group = again.task.optimisers["number"].param_groups[0]
    assert (group["betas"], group["weight_decay"]) == ((0.5, 0.7), 0.25)


def test_rates_follow_the_schedule(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    run = new_run(tmp_path, number.with_overrides({"run.decay_from": 0.5, "run.decay_to": 0.3}), pairs)
    group = run.task.optimisers["number"].param_groups[0]
    rates = [round(group["lr"], 4) for _ in run.steps()]
    assert rates == [0.1] * 6 + [0.08, 0.06, 0.04, 0.03]


def test_a_figure_that_is_not_finite_stops_the_run_with_its_name(
    tmp_path: Path, number: Recipe, pairs: list[Pair]
) -> None:
    run = new_run(tmp_path, number.with_overrides({"loss.weight": math.nan}), pairs)
    with pytest.raises(TrainingError, match="pull is not finite after 2 pictures; there is no saved state"):
        list(run.steps())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ((0.001, 0.0, 3.0), "the discriminator has won: .* below 0.01 for 3 steps"),
        ((0.7, 0.7, 1e3), "the generator has lost: .* above 100 for 3 steps"),
    ],
)
def test_a_collapse_stops_the_run_with_the_reason(
    tmp_path: Path, number: Recipe, pairs: list[Pair], said: tuple[float, float, float], reason: str
) -> None:
    Number.said |= dict(zip(("discriminator_real", "discriminator_fake", "adversarial"), said, strict=True))
    run = new_run(tmp_path, number, pairs)
    steps = run.steps()
    next(steps)
    next(steps)
    run.save()
    resumed = new_run(tmp_path, number, pairs)  # the count goes on, too
    with pytest.raises(TrainingError, match=f"after 6 pictures {reason}.*state.pt is from before"):
        next(resumed.steps())


def test_one_bad_step_is_no_collapse(number: Recipe) -> None:
    watch = Watch()
    won = {"discriminator_real": 0.0, "discriminator_fake": 0.0, "adversarial": 1.0}
    for figures in (won, won, won | {"discriminator_fake": 0.5}, won, won, {"loss": 0.0}):
        watch.look(figures, number.run)
    assert watch == Watch(discriminator=2, generator=0)
    with pytest.raises(TrainingError, match="the discriminator has won"):
        watch.look(won, number.run)


def test_a_task_that_starts_from_no_model_says_so(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    with pytest.raises(TrainingError, match=r"'x.safetensors': the task 'segment' starts from no model"):
        new_run(tmp_path, number.with_overrides({"run.init_from": "x.safetensors"}), pairs)


def test_maps_are_looked_through_once_before_threads_share_them(
    tmp_path: Path, number: Recipe, pairs: list[Pair]
) -> None:
    for share in (0.0, 0.5):
        run = new_run(tmp_path / str(share), number.with_overrides({"data.balance": share}), pairs)
        assert ("holders" in vars(run.pairs)) is (share > 0)


def test_averages_follow_and_come_and_go(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    source = nn.Linear(1, 1)
    average = Average(source, half_life=100)
    nn.init.zeros_(source.weight)
    average.state["weight"].fill_(1.0)
    average.update(source, seen=10_000, pictures=100)
    assert float(average.state["weight"]) == pytest.approx(0.5)

    run = new_run(tmp_path, number, pairs)
    list(run.steps())
    network = run.task.networks["number"]
    trained = network.weight.detach().clone()
    with averaged(run.task, ["number"]):
        assert torch.equal(network.weight, run.task.averages["number"].state["weight"])
        assert not torch.equal(network.weight, trained)
        assert not network.training
    assert torch.equal(network.weight, trained)
    assert network.training


def test_the_journal_forgets_what_was_lost(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    run = new_run(tmp_path, number, pairs)
    journal = Journal(run, pairs[:3])
    for step, figures in enumerate(run.steps(), start=1):
        journal.note(figures)
        if step == 4:
            run.save()
            journal.sheet()
        if step == 7:
            break
    journal.close()
    log = tmp_path / "log.jsonl"
    log.write_text(log.read_text() + '{"seen": 14, "ra')  # cut off by the kill
    assert [json.loads(line)["seen"] for line in log.read_text().splitlines()[:-1]] == [4, 8, 12]

    run = new_run(tmp_path, number, pairs)
    journal = Journal(run, pairs[:3])
    for figures in run.steps():
        journal.note(figures)
    journal.write()
    metrics = journal.metrics(tmp_path / "mine.safetensors", {"miou": 0.5})
    journal.close()
    assert [json.loads(line)["seen"] for line in log.read_text().splitlines()] == [4, 8, 12, 16, 20]
    assert metrics["pictures"] == 20
    assert metrics["losses"].keys() == {"pull"}
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["0000008.png"]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("losses/pull")] == [4, 8, 12, 16, 20]
    assert [event.step for event in events.Images("sheet")] == [8]


def test_a_run_that_begins_again_has_one_curve(tmp_path: Path, number: Recipe, pairs: list[Pair]) -> None:
    """Killed before its first state: what it had written is not its own any more."""
    for steps in (7, 5):
        run = new_run(tmp_path, number, pairs)
        journal = Journal(run, pairs[:3])
        for _, figures in zip(range(steps), run.steps(), strict=False):
            journal.note(figures)
        journal.close()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["seen"] for line in lines] == [4, 8]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("losses/pull")] == [4, 8]


def test_without_tensorboard_the_rest_is_kept(
    tmp_path: Path, number: Recipe, pairs: list[Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "SummaryWriter", None)
    run = new_run(tmp_path, number, pairs)
    journal = Journal(run, pairs[:3])
    for figures in run.steps():
        journal.note(figures)
    journal.sheet()
    journal.close()
    assert not (tmp_path / "tensorboard").exists()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 5


def test_intervals_are_due_once() -> None:
    assert [seen for seen in range(3, 40, 3) if due(seen - 3, seen, 10)] == [12, 21, 30]
