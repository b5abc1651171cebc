"""Several processes train as one; randomness does not know how many they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from models.labels import load_label_set
from tests.training.conftest import cpu, tiny_recipe
from tests.training.sharing import BATCH, STEPS, figures
from training import distributed
from training.data import read_pairs
from training.distributed import Draws, Stream, SyncedBatchNorm2d, generator_for
from training.recipe import names
from training.run import Feed, Run
from training.task import TrainingError

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """FOLDER/RECIPE.json: the figures of two processes, started once for all recipes."""
    folder = tmp_path_factory.mktemp("shared")
    command = [sys.executable, "-m", "tests.training.sharing", str(folder), "2", *names()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", names())
def test_two_processes_train_as_one(name: str, shared: Path, tmp_path: Path) -> None:
    """The losses of five steps, and the averaged weights after them, at the same global batch."""
    alone = figures(tmp_path, cpu(), name)
    together = json.loads((shared / f"{name}.json").read_text())
    assert len(alone) == len(together) == STEPS
    for step, other in zip(alone, together, strict=True):
        assert other == pytest.approx(step, rel=1e-4, abs=1e-6)


def pretend(monkeypatch: pytest.MonkeyPatch, rank: int, processes: int) -> None:
    monkeypatch.setattr(distributed, "world", lambda: (rank, processes))


def test_each_process_draws_its_own_share_of_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(pictures: int) -> list[torch.Tensor]:
        draws = Draws(3, 40, pictures, CPU)
        own = [draws.normal(pictures, 2, 3), draws.uniform(pictures), draws.integers(0, 9, pictures, 5)]
        return [*own, draws.shared_normal(4), torch.rand(2), torch.tensor(draws.rng.random())]

    whole = drawn(4)
    shares = []
    for rank in (0, 1):
        pretend(monkeypatch, rank, 2)
        shares.append(drawn(2))
    for number, value in enumerate(whole):
        first, second = (share[number] for share in shares)
        together = torch.cat([first, second]) if number < 3 else first
        assert torch.equal(value, together)
        assert number < 3 or torch.equal(first, second), "what is shared is equal"
    assert len({float(x) for x in whole[0].flatten()}) == 24, "no two numbers are the same"


def test_draws_depend_on_seed_picture_and_purpose_alone() -> None:
    first = Draws(1, 8, 2, CPU).normal(2, 6)
    assert torch.equal(first, Draws(1, 8, 2, CPU).normal(2, 6))
    assert torch.equal(first[1], Draws(1, 9, 1, CPU).normal(1, 6)[0]), "picture 9 of another batch"
    for other in (Draws(2, 8, 2, CPU), Draws(1, 10, 2, CPU), Draws(1, 8, 2, CPU, Stream.PREPARE)):
        assert not torch.equal(first, other.normal(2, 6))
    with pytest.raises(ValueError, match="draws for 3 pictures, in a step of 2"):
        Draws(1, 8, 2, CPU).normal(3, 6)
    assert generator_for(1, Stream.DATA, 5).random() != generator_for(1, Stream.STEP, 5).random()


def test_one_process_is_left_alone() -> None:
    value = torch.randn(3, 4, requires_grad=True)
    assert distributed.world() == (0, 1)
    assert distributed.global_sum(value) is value
    assert distributed.gathered(value) is value
    assert torch.equal(distributed.own_share(value), value)
    assert torch.equal(distributed.global_mean(value), value.mean())
    assert float(distributed.global_mean(value[:0]).detach()) == 0
    norm, plain = distributed.synchronise(nn.BatchNorm2d(4)), nn.BatchNorm2d(4)
    assert isinstance(norm, SyncedBatchNorm2d)
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(norm(x), plain(x))
    assert torch.equal(norm.running_var, plain.running_var)


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_sees_the_batch_of_all(
    monkeypatch: pytest.MonkeyPatch, momentum: float | None, affine: bool
) -> None:
    """Two processes played one after the other: the first tells what it would send, the second hears it."""
    torch.manual_seed(0)
    x = 3 + 2 * torch.randn(4, 3, 6, 5)
    plain = nn.BatchNorm2d(3, momentum=momentum, affine=affine)
    if affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    norms = []
    for _ in range(2):
        norm = nn.BatchNorm2d(3, momentum=momentum, affine=affine)
        norm.load_state_dict(plain.state_dict())
        norms.append(distributed.synchronise(norm))
    expected = [plain(x), plain(x + 1)]

    for shift in (0, 1):
        halves = (x + shift).chunk(2)
        sent = [torch.stack(torch.var_mean(h, (0, 2, 3), correction=0)[::-1]) for h in halves]
        monkeypatch.setattr(distributed, "gathered", lambda value, sent=sent: torch.stack(sent))
        for rank, (norm, half) in enumerate(zip(norms, halves, strict=True)):
            pretend(monkeypatch, rank, 2)
            torch.testing.assert_close(norm(half), expected[shift].chunk(2)[rank], atol=1e-5, rtol=1e-5)
    for norm in norms:
        torch.testing.assert_close(norm.state_dict(), plain.state_dict(), atol=1e-5, rtol=1e-5)


def test_a_batch_that_cannot_be_shared_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: Path
) -> None:
    recipe = tiny_recipe("segment")
    run = Run(tmp_path, recipe, read_pairs(source), load_label_set("landscape17"), cpu())
    pretend(monkeypatch, 0, 3)
    with pytest.raises(TrainingError, match="a batch of 2 pictures cannot be shared by 3 processes"):
        run.task.batch(2, 32, 0, Stream.DATA)


def test_pictures_read_ahead_are_the_same(tmp_path: Path, source: Path) -> None:
    recipe = tiny_recipe("segment")
    task = Run(tmp_path, recipe, read_pairs(source), load_label_set("landscape17"), cpu()).task
    with Feed(task, 0) as slow, Feed(task, 3) as ahead:
        for seen in (0, 2, 4, 8, 10):  # in order, and after a gap
            one, other = slow.batch(seen), ahead.batch(seen)
            side, size = recipe.crop_at(seen)
            assert one.real.shape == (size, 3, side, side)
            for name in ("real", "whole", "labels", "given"):
                assert torch.equal(getattr(one, name), getattr(other, name))
    assert BATCH % 2 == 0
