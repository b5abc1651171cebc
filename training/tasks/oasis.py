"""OASIS: a generator of map and noise against a discriminator that names the class of every pixel, and
nothing else (Schönfeld et al. 2021, "You Only Need Adversarial Supervision for Semantic Image Synthesis")."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.discriminator import OasisDiscriminator
from models.encoder import SpadeEncoder
from models.published import OasisGenerator, PublishedGenerator
from models.spec import MAX_STYLE_DIM
from models.spectral import spectral_convolution
from training import losses
from training.data import Batch
from training.distributed import Draws
from training.recipe import Section
from training.task import Context
from training.tasks.published import PublishedTask


class Network(Section):
    """Channels of the networks' narrowest stages, 64 as published; the widest have 16 and 8 times as many."""

    # (Bounds as in models/checkpoint.py, which would refuse to read what is beyond them.)
    width: int = Field(64, ge=1, le=1024)
    hidden: int = Field(128, ge=1, le=1024)  # of the label layer in each norm
    kernel: Literal[1, 3, 5, 7] = 3  # of the norms' convolutions
    noise: int = Field(64, ge=1, le=MAX_STYLE_DIM)  # channels of z
    discriminator_width: int = Field(64, ge=1)


class Loss(Section):
    """Weights of the terms, and how z is drawn."""

    adversarial: float = Field(1.0, ge=0)
    label_mix: float = Field(10.0, ge=0)
    # Share of the steps in which every class of a picture has a z of its own; 0 as published: one a picture.
    local_noise: float = Field(0.0, ge=0, le=1)


class OasisTask(PublishedTask):
    """See the module."""

    Network, Loss = Network, Loss
    architecture = "oasis"
    crop_multiple = OasisDiscriminator.STRIDE

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.unseen_has_a_label()

    def _painter(self, *, live: bool) -> tuple[PublishedGenerator, SpadeEncoder | None]:
        network = self.recipe.network
        generator = OasisGenerator(
            self.labels.channels,
            network.width,
            style_dim=network.noise,
            hidden=network.hidden,
            kernel=network.kernel,
            convolution=spectral_convolution if live else nn.Conv2d,
        )
        return generator, None

    def _discriminator(self) -> nn.Module:
        return OasisDiscriminator(self.labels.channels, self.recipe.network.discriminator_width)

    def _options(self) -> dict[str, Any]:
        network = self.recipe.network
        return {
            "width": network.width,
            "hidden": network.hidden,
            "kernel": network.kernel,
            "statistics": "batch",
        }

    def _paint(self, generator: PublishedGenerator, batch: Batch, draws: Draws) -> Tensor:
        return generator(batch.given, self._noise(batch.given, draws))

    def _noise(self, labels: Tensor, draws: Draws) -> Tensor:
        """z, standard normal: one vector a picture, (B, D), as in training there (sec. 3.3); or, in some
        steps, one for each of its classes, (B, D, H, W)."""
        count, channels = len(labels), self.recipe.network.noise
        if draws.rng.random() >= self.recipe.loss.local_noise:
            return draws.normal(count, channels)
        z = draws.normal(count, self.labels.channels, channels)
        picture = torch.arange(count, device=labels.device)[:, None, None]
        return z[picture, labels].permute(0, 3, 1, 2)

    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        factor = self.recipe.rate_at(seen)
        with self.fabric.autocast():
            fake = self._paint(self.generator, batch, draws)
        self.discriminator.requires_grad_(False)
        judged, changed = self.judged(batch, fake, draws, self.labels.ignore or 0)
        figures = self.update("generator", self._generator_terms(judged, changed), factor)
        self.discriminator.requires_grad_(True)
        terms = self._discriminator_terms(judged, changed.detach(), draws)
        return figures | self.update("discriminator", terms, factor)

    def _generator_terms(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """Every pixel should be taken for a real one of its class (sec. 3.1)."""
        with self.fabric.autocast():
            scores = self.discriminator(fake)
        loss = losses.real_loss(scores, batch.given, self.labels.channels, self.labels.ignore)
        return {"adversarial": self.recipe.loss.adversarial * loss}

    def _discriminator_terms(self, batch: Batch, fake: Tensor, draws: Draws) -> dict[str, Tensor]:
        """Real pixels by their class, generated ones as such (sec. 3.1), and of a mixed picture what is said
        of its parts (sec. 3.2)."""
        classes, weight = self.labels.channels, self.recipe.loss.label_mix
        with self.fabric.autocast():
            on_real, on_fake = self.discriminator(torch.cat([batch.real, fake])).chunk(2)
        terms = {
            "discriminator_real": losses.real_loss(on_real, batch.labels, classes, self.labels.ignore),
            "discriminator_fake": losses.fake_loss(on_fake),
        }
        if weight:
            mask = losses.label_mix(batch.labels, classes, draws)
            with self.fabric.autocast():
                on_mixed = self.discriminator(mask * batch.real + (1 - mask) * fake)
            parts = mask * on_real.float() + (1 - mask) * on_fake.float()
            terms["label_mix"] = weight * (on_mixed.float() - parts).square().mean()
        return terms
