"""What the published families' tasks share: spectral norm in training and folded in the file, the rates, the
sheet, the export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from models.checkpoint import CheckpointError, load, save
from models.encoder import SpadeEncoder
from models.published import PublishedGenerator
from models.spec import ModelSpec
from models.spectral import folded_state, settle
from training.averaging import averaged
from training.data import Batch, Pair, centred
from training.distributed import Draws
from training.export import refresh_statistics
from training.recipe import Section
from training.sheet import Networks, contact_sheet
from training.task import Context, Task, TrainingError

# How far from 1 the norms of a file's weights may be, to start from it: a folded spectral norm leaves 1.
_NEAR_ONE = 0.1


class Optimiser(Section):
    """Adam with a learning rate for each side (TTUR: Heusel et al. 2017)."""

    generator_rate: float = Field(1e-4, gt=0)
    discriminator_rate: float = Field(4e-4, gt=0)
    betas: tuple[float, float] = (0.0, 0.999)


class PublishedTask(Task):
    """A published generator against a discriminator.

    networks: "generator", "discriminator" and, in a SPADE with VAE, "encoder"; the generator and the encoder
    are trained together and averaged.
    """

    Optimiser = Optimiser
    architecture: str
    generator: PublishedGenerator
    discriminator: nn.Module
    encoder: SpadeEncoder | None

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.generator, self.encoder = self._painter(live=True)
        self.discriminator = self._discriminator()
        self._check_crops()
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        if self.encoder is not None:
            self.networks["encoder"] = self.encoder
        for network in self.networks.values():
            glorot(network)
            self.placed(network)
        rates = self.recipe.optimiser
        painting = [p for name in self._painters for p in self.networks[name].parameters()]
        self.optimisers = {
            "generator": torch.optim.Adam(painting, rates.generator_rate, rates.betas),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), rates.discriminator_rate, rates.betas
            ),
        }
        for name in self._painters:
            self.averaging(name)

    # -- what each family says
    @abstractmethod
    def _painter(self, *, live: bool) -> tuple[PublishedGenerator, SpadeEncoder | None]:
        """New networks that paint; `live`: under spectral norm, else plain, as in a file."""

    @abstractmethod
    def _discriminator(self) -> nn.Module:
        """A new discriminator."""

    @abstractmethod
    def _paint(self, generator: PublishedGenerator, batch: Batch, draws: Draws) -> Tensor:
        """Pictures (B, 3, S, S) of a batch's given maps, in random styles."""

    @property
    @abstractmethod
    def crop_multiple(self) -> int:
        """What the crops' sides must be multiples of."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """The generator's options in a spec."""

    # -- what they share
    @property
    def _painters(self) -> list[str]:
        return ["generator"] if self.encoder is None else ["generator", "encoder"]

    def _check_crops(self) -> None:
        sides = [crop.side for crop in self.recipe.data.crops]
        wrong = [side for side in sides if side % self.crop_multiple]
        if wrong:
            raise TrainingError(
                f"data.crops has sides of {wrong[0]} pixels, but this task's networks halve a picture to "
                f"1/{self.crop_multiple}: choose multiples of {self.crop_multiple}"
            )
        if self.generator.start_grid is not None and len(set(sides)) > 1:
            raise TrainingError(
                f"data.crops has sides of {sides} pixels, but with network.style_dim > 0 the start grid is "
                "fixed: choose one side, or network.style_dim=0"
            )

    def start_from(self, path: Path) -> None:
        try:
            model = load(path)
            if model.spec.architecture != self.architecture:
                raise TrainingError(
                    f"run.init_from = {str(path)!r} is a {model.spec.architecture} model, not "
                    f"{self.architecture}"
                )
            _unfold(self.generator, model.generator.state_dict())
            if self.encoder is not None and model.encoder is not None:
                _unfold(self.encoder, model.encoder.state_dict())
            elif self.encoder is not None:
                self.say(f"{path} has no style encoder: that one starts from nothing")
        except (CheckpointError, KeyError, RuntimeError, ValueError) as error:
            if isinstance(error, TrainingError):
                raise
            raise TrainingError(f"run.init_from = {str(path)!r} does not fit: {error}") from error

    def _folded(self) -> Networks:
        """The painting networks as they are now, as plain ones in evaluation mode."""
        generator, encoder = self._painter(live=False)
        for plain, name in ((generator, "generator"), (encoder, "encoder")):
            if plain is not None:
                settle(self.networks[name])
                plain.load_state_dict(folded_state(self.networks[name]))
                plain.to(device=self.fabric.device, memory_format=torch.channels_last)
                plain.eval().requires_grad_(False)
        return Networks(generator, encoder)

    @torch.no_grad()
    def sheet(self, pairs: Sequence[Pair]) -> np.ndarray:
        if self.generator.start_grid is not None:
            side = self.recipe.largest_crop
            pairs = [centred(pair, *(min(side, own) for own in pair.labels.shape)) for pair in pairs]
        with averaged(self, self._painters):
            return contact_sheet(self._folded(), pairs, self.labels, seeds=(1, 2), across=2)

    @torch.no_grad()
    def export(
        self, path: Path, model_id: str, name: str, licence: str, provenance: Mapping[str, Any]
    ) -> None:
        side = self.recipe.largest_crop
        with averaged(self, self._painters):
            model = self._folded()
            generator = model.generator

            def paint(batch: Batch, draws: Draws) -> None:
                self._paint(generator, batch, draws)

            refresh_statistics(self, generator, paint, side)
            spec = ModelSpec(
                id=model_id,
                name=name,
                architecture=self.architecture,
                labels=self.labels,
                native_size=side,
                stride=generator.stride,
                style_dim=generator.style_dim,
                licence=licence,
                provenance=provenance,
                options=self._options(),
            )
            save(path, spec, generator, model.encoder, convolutions=torch.float32)


@torch.no_grad()
def glorot(network: nn.Module) -> None:
    """First values of weights and biases (Glorot & Bengio 2010; Park et al. 2019, app. A)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(_weight(module))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    settle(network)


def _weight(module: nn.Module) -> Tensor:
    """A layer's own weight, before any spectral norm."""
    return module.parametrizations.weight.original if is_parametrized(module, "weight") else module.weight


@torch.no_grad()
def _unfold(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give a network under spectral norm the values of a plain one. Raises ValueError where a weight's norm
    is not 1: it was trained without spectral norm, and would be another network under it."""
    own = network.state_dict()
    for name, value in state.items():
        key = name.removesuffix(".weight") + ".parametrizations.weight.original"
        own[key if key in own else name].copy_(value)
    settle(network)
    for name, module in network.named_modules():
        if is_parametrized(module, "weight"):
            norm = float(_weight(module).flatten(1).norm() / module.weight.flatten(1).norm())
            if abs(norm - 1) > _NEAR_ONE:
                raise ValueError(f"{name} has a norm of {norm:.2f}, so it was trained without spectral norm")
