"""pix2pix (Isola et al. 2017), the baseline that our tables compare with: a map's one picture, close to its
photo and real in every patch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from models.checkpoint import CheckpointError, load, save
from models.pix2pix import DEEPEST, KEPT, SHALLOWEST, PatchDiscriminator, Pix2PixGenerator
from models.spec import ModelSpec
from training.averaging import averaged
from training.data import Batch, Pair
from training.distributed import Draws
from training.export import native_side, refresh_statistics
from training.recipe import Section
from training.sheet import Networks, contact_sheet
from training.task import Context, Task, TrainingError

NO_CLASS = -1  # one-hot nowhere


class Network(Section):
    """Channels of the first layers, and how often the generator halves; see models/pix2pix.py."""

    width: int = Field(64, ge=1, le=1024)  # what models/checkpoint.py reads, as is the depth
    depth: int = Field(8, ge=SHALLOWEST, le=DEEPEST)  # crops must be multiples of 2 ** depth
    discriminator_width: int = Field(64, ge=1)


class Optimiser(Section):
    """Adam's learning rates and decays (app. 6.2)."""

    generator_rate: float = Field(2e-4, gt=0)
    discriminator_rate: float = Field(2e-4, gt=0)
    betas: tuple[float, float] = (0.5, 0.999)


class Loss(Section):
    """Weights of the generator's terms (eq. 4); the discriminator's loss is halved (sec. 3.3)."""

    adversarial: float = Field(1.0, ge=0)
    l1: float = Field(100.0, ge=0)  # λ


def real_or_not(logits: Tensor, real: bool) -> Tensor:
    """The GAN's cross-entropy (eq. 1), mean over patches: −log D if they should be real, else −log(1 − D),
    with D = σ(logits). logits: any shape."""
    logits = logits.float()
    return F.softplus(-logits if real else logits).mean()


class Pix2pixTask(Task):
    """Adversarial + λ·L1 (eq. 4), the adversarial part not saturating (sec. 3.3).

    The discriminator sees the map that the generator was given, beside either picture.
    """

    Network, Optimiser, Loss = Network, Optimiser, Loss

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        network, rates, classes = self.recipe.network, self.recipe.optimiser, self.labels.channels
        self.generator = self.placed(Pix2PixGenerator(classes, network.width, network.depth))
        self.discriminator = self.placed(PatchDiscriminator(classes, network.discriminator_width))
        self._check_crops()
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimisers = {
            name: torch.optim.Adam(self.networks[name].parameters(), lr=rate, betas=rates.betas)
            for name, rate in (
                ("generator", rates.generator_rate),
                ("discriminator", rates.discriminator_rate),
            )
        }
        self.averaging("generator")

    def _check_crops(self) -> None:
        stride, least = self.generator.stride, PatchDiscriminator.SMALLEST
        for side in (crop.side for crop in self.recipe.data.crops):
            if side % stride:
                raise TrainingError(
                    f"data.crops has crops of {side} pixels, but with network.depth = {self.generator.depth} "
                    f"sides are multiples of {stride}: change one of them"
                )
            if side < least:
                raise TrainingError(
                    f"data.crops has crops of {side} pixels, in which the discriminator finds no patch: it "
                    f"needs {least} or more"
                )

    def start_from(self, path: Path) -> None:
        try:
            self.generator.load_state_dict(load(path).generator.state_dict())
        except (CheckpointError, RuntimeError) as error:
            raise TrainingError(f"run.init_from = {str(path)!r} does not fit: {error}") from error

    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        weights, factor = self.recipe.loss, self.recipe.rate_at(seen)
        with self.fabric.autocast():
            fake = self.generator(batch.given, self._kept(batch, draws))
            judged, changed = self.judged(batch, fake, draws, NO_CLASS)
            self.discriminator.requires_grad_(False)
            logits = self.discriminator(changed, judged.given)
        terms = {
            "adversarial": weights.adversarial * real_or_not(logits, real=True),
            "l1": weights.l1 * F.l1_loss(fake, batch.real),
        }
        figures = self.update("generator", terms, factor)
        self.discriminator.requires_grad_(True)
        with self.fabric.autocast():
            on_real = self.discriminator(judged.real, judged.given)
            on_fake = self.discriminator(changed.detach(), judged.given)
        halves = {
            "discriminator_real": 0.5 * real_or_not(on_real, real=True),
            "discriminator_fake": 0.5 * real_or_not(on_fake, real=False),
        }
        return figures | self.update("discriminator", halves, factor)

    def _kept(self, batch: Batch, draws: Draws) -> list[Tensor]:
        """Dropout's masks for a batch."""
        count, height, width = batch.given.shape
        return [draws.uniform(count, *shape) < KEPT for shape in self.generator.dropout_shapes(height, width)]

    @torch.no_grad()
    def sheet(self, pairs: Sequence[Pair]) -> np.ndarray | None:
        fitting = [pair for pair in pairs if min(pair.labels.shape) >= self.generator.stride]
        if not fitting:
            return None
        with averaged(self, ["generator"]):
            return contact_sheet(Networks(self.generator, None), fitting, self.labels, across=2)

    @torch.no_grad()
    def export(
        self, path: Path, model_id: str, name: str, licence: str, provenance: Mapping[str, Any]
    ) -> None:
        network, generator = self.recipe.network, self.generator
        side = native_side(self.pairs, generator.stride)

        def paint(batch: Batch, draws: Draws) -> None:
            del draws  # a served model drops nothing out: its statistics are those without
            generator(batch.given)

        with averaged(self, ["generator"]):
            refresh_statistics(self, generator, paint, side)
            spec = ModelSpec(
                id=model_id,
                name=name,
                architecture="pix2pix",
                labels=self.labels,
                native_size=side,
                stride=generator.stride,
                style_dim=0,
                licence=licence,
                provenance=provenance,
                options={"width": network.width, "depth": network.depth},
            )
            save(path, spec, generator, None)
