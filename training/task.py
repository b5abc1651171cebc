"""What a training task is: networks, their optimisers, one step, a contact sheet, an export.

The loop (run.py) knows nothing of losses and networks, a task nothing of folders, processes and saved states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from models.labels import LabelSet
from training import distributed
from training.averaging import Average
from training.data import Batch, Pair, random_batch
from training.diffaugment import NUMBERS, DiffAugment
from training.distributed import Draws, Stream, generator_for
from training.recipe import Recipe, Section

Report = Callable[[str, int, int, Mapping[str, float]], None]
"""Called with what is being done, how much of it is done, of how much, and figures to show."""
ModuleT = TypeVar("ModuleT", bound=nn.Module)


class TrainingError(RuntimeError):
    """A run that cannot go on: what happened, why, and what to do."""


@dataclass(frozen=True)
class Context:
    """What a task is given.

    fabric: device, precision, processes. labels: the set that the maps are in. pairs: the training pairs, fit
    for the recipe's crops and for the labels. folder: the run's. say: prints a line, in the first process
    only.
    """

    fabric: Fabric
    recipe: Recipe
    labels: LabelSet
    pairs: Sequence[Pair]
    folder: Path
    say: Callable[[str], None]


class Task(ABC):
    """Something that can be trained.

    A subclass declares what stands in its recipe's sections [network], [optimiser] and [loss], builds its
    networks in `__init__` and fills `networks`, `optimisers` and `averages`; torch's generator is seeded
    then.

    networks: trained ones by name; saved and restored. optimisers: by name; learning rates at construction
    are the recipe's, and `update` scales them. averages: by the name of the network that they follow; the
    loop updates them. Batch norms see all processes' pictures once a network went through `placed`.
    """

    Network: ClassVar[type[Section]]
    Optimiser: ClassVar[type[Section]]
    Loss: ClassVar[type[Section]]

    def __init__(self, context: Context) -> None:
        self.fabric, self.recipe, self.labels = context.fabric, context.recipe, context.labels
        self.pairs, self.folder, self.say = context.pairs, context.folder, context.say
        self.networks: dict[str, nn.Module] = {}
        self.optimisers: dict[str, Optimizer] = {}
        self.averages: dict[str, Average] = {}

    # -- what a task is
    def start_from(self, path: Path) -> None:
        """Take first weights from a model file ([run] init_from); before the first step of a new run.

        Raises:
            TrainingError: this task cannot, or the file's networks are others.
        """
        raise TrainingError(
            f"run.init_from = {str(path)!r}: the task {self.recipe.task!r} starts from no model"
        )

    def prepare(self, report: Report) -> None:  # noqa: B027 – most tasks have nothing to prepare
        """Whatever comes before the first step: a frozen judge, a perceptual network. Called in every
        session, before a saved state is taken up; what it makes is kept in the run's folder."""

    @abstractmethod
    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        """Update everything once.

        Args:
            batch: this process's pictures, on the device.
            seen: pictures before this step, over all processes.
            draws: the only randomness there is.

        Returns:
            Detached scalars by name, averaged over the processes. Where there is a discriminator,
            "adversarial", "discriminator_real" and "discriminator_fake" are among them: the run is stopped
            when they show that one side has won.
        """

    @abstractmethod
    def sheet(self, pairs: Sequence[Pair]) -> np.ndarray | None:
        """A contact sheet of the averaged networks, uint8 (H, W, 3); None if there is nothing to show.
        Called in the first process only."""

    def validate(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Figures of the averaged networks on held-out pairs, of which there may be none, for `metrics.json`;
        default none. Called once, at the end, in the first process only."""
        del pairs
        return {}

    @abstractmethod
    def export(
        self, path: Path, model_id: str, name: str, licence: str, provenance: Mapping[str, Any]
    ) -> None:
        """Write the averaged networks as one model file; arguments as in `ModelSpec`. Called in the first
        process only, under `distributed.alone`."""

    # -- what tasks share
    def placed(self, network: ModuleT) -> ModuleT:
        """A network on the run's device, channels last, its batch norms synchronised."""
        network.to(device=self.fabric.device, memory_format=torch.channels_last)
        distributed.synchronise(network)
        return network

    def averaging(self, name: str) -> None:
        """Follow `networks[name]` with an average of the recipe's half-life."""
        self.averages[name] = Average(self.networks[name], self.recipe.run.ema_half_life)

    def update(self, optimiser: str, losses: Mapping[str, Tensor], factor: float) -> dict[str, Tensor]:
        """One optimiser's step down the sum of some losses.

        Args:
            losses: scalars by name; each the mean over this process's own pictures (distributed.py).
            factor: of the optimiser's learning rates, usually `recipe.rate_at(seen)`.

        Returns:
            The losses, detached and averaged over the processes.
        """
        step = self.optimisers[optimiser]
        step.zero_grad(set_to_none=True)
        self.fabric.backward(torch.stack([loss.float() for loss in losses.values()]).sum())
        distributed.average_gradients(p for group in step.param_groups for p in group["params"])
        for group, rate in zip(step.param_groups, _rates(step), strict=True):
            group["lr"] = rate * factor
        step.step()
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        return dict(zip(losses, distributed.global_average(values).unbind(), strict=True))

    def batch(self, size: int, side: int, number: int, stream: Stream) -> Batch:
        """This process's share of `size` random crops of `side` pixels, as the recipe has them.

        Picture `number` + k of a stream is always the same one, whatever batch and process it falls in.
        """
        return self.together([self.picture(side, n, stream) for n in self.own(size, number)])

    def own(self, size: int, number: int) -> range:
        """The numbers of this process's pictures in a batch of `size` that begins with picture `number`.

        Raises:
            TrainingError: a batch that the processes cannot share equally.
        """
        rank, processes = distributed.world()
        if size % processes:
            raise TrainingError(
                f"a batch of {size} pictures cannot be shared by {processes} processes: set data.crops to "
                f"batches that are multiples of {processes}, or use fewer devices"
            )
        own = size // processes
        return range(number + rank * own, number + (rank + 1) * own)

    def picture(self, side: int, number: int, stream: Stream) -> Batch:
        """A batch of one, on the CPU: picture `number` of a stream. May be called in any thread."""
        rng = generator_for(self.recipe.run.seed, stream, number)
        return random_batch(self.pairs, 1, side, rng, self.recipe.data, self.labels.ignore)

    def together(self, pictures: Sequence[Batch]) -> Batch:
        """Batches of one as one batch, on the run's device."""
        fields = ([getattr(picture, name) for picture in pictures] for name in Batch.__dataclass_fields__)
        return Batch(*(torch.cat(tensors) for tensors in fields)).to(self.fabric.device)

    def unseen_has_a_label(self) -> None:
        """For tasks whose discriminator names classes: raise TrainingError where the recipe hides parts of
        pictures from it and the label set has no id for them."""
        moving = {"translation", "cutout"} & set(self.recipe.data.differentiable)
        if moving and self.labels.ignore is None:
            raise TrainingError(
                f"data.differentiable has {min(moving)!r}, which needs a label for what is not seen; the "
                f"label set {self.labels.name!r} has none"
            )

    def judged(self, batch: Batch, fake: Tensor, draws: Draws, unseen: int) -> tuple[Batch, Tensor]:
        """A batch and the pictures (B, 3, S, S) generated for it, as the discriminator is to see them: both
        through the same differentiable augmentation, their maps moved along. Once a step.

        Args:
            unseen: the id in the maps where nothing of a picture is left.
        """
        policy = self.recipe.data.differentiable
        if not policy:
            return batch, fake
        change = DiffAugment(policy, draws.uniform(len(batch.labels), NUMBERS))
        labels, given = (change.labels(maps, unseen) for maps in (batch.labels, batch.given))
        return Batch(change(batch.real), batch.whole, labels, given), change(fake)

    # -- state
    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on, for torch.save."""
        return {
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimisers": {name: step.state_dict() for name, step in self.optimisers.items()},
            "averages": {name: average.state for name, average in self.averages.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up `state`. Rates, decays and whatever else an optimiser is told stay the recipe's, which may
        have been changed."""
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name])
        for name, step in self.optimisers.items():
            _rates(step)
            told = [
                {key: group[key] for key in group.keys() - {"params", "lr"}} for group in step.param_groups
            ]
            step.load_state_dict(state["optimisers"][name])
            for group, settings in zip(step.param_groups, told, strict=True):
                group.update(settings)
        for name, average in self.averages.items():
            average.state = dict(state["averages"][name])


def _rates(optimiser: Optimizer) -> list[float]:
    """Full learning rates of an optimiser's groups: what `lr` was before the first update."""
    return [group.setdefault("rate", group["lr"]) for group in optimiser.param_groups]
