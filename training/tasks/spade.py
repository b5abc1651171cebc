"""SPADE: a generator of the map, and of a style if it has a VAE, against patches at two scales (Park et al.
2019, "Semantic Image Synthesis with Spatially-Adaptive Normalization"; the losses are pix2pixHD's, Wang et
al. 2018, with a hinge)."""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from models.discriminator import MultiScaleDiscriminator
from models.encoder import SpadeEncoder
from models.published import PublishedGenerator, SpadeGenerator
from models.spade import one_hot
from models.spec import MAX_STYLE_DIM
from models.spectral import spectral_convolution
from training import adversarial, losses
from training.data import Batch
from training.distributed import Draws
from training.perceptual import Perceptual, PerceptualError, perceptual_network
from training.recipe import Section
from training.task import Report, TrainingError
from training.tasks.published import PublishedTask

_NO_CLASS = -1  # one-hot nowhere
_STRIDES = {"normal": 32, "more": 64, "most": 128}


class Network(Section):
    """Channels of the networks' narrowest stages, 64 as published."""

    # (Bounds as in models/checkpoint.py, which would refuse to read what is beyond them.)
    width: int = Field(64, ge=1, le=1024)
    hidden: int = Field(128, ge=1, le=1024)  # of the label layer in each norm
    kernel: Literal[1, 3, 5, 7] = 3  # of the norms' convolutions
    upsampling: Literal["normal", "more", "most"] = "normal"
    style_dim: int = Field(0, ge=0, le=MAX_STYLE_DIM)  # of the VAE's style code, 256 as published; 0: no VAE
    encoder_width: int = Field(64, ge=1, le=1024)
    discriminator_width: int = Field(64, ge=1)
    discriminator_layers: int = Field(4, ge=2)
    discriminator_scales: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _halves(self) -> Self:
        if self.upsampling == "most" and self.width % 2:
            raise ValueError(f'width {self.width} is odd: upsampling "most" halves it')
        return self


class Loss(Section):
    """Weights of the terms, and where VGG's weights are."""

    adversarial: float = Field(1.0, ge=0)
    matching: float = Field(10.0, ge=0)
    kl: float = Field(0.05, ge=0)  # with a VAE
    vgg: float = Field(10.0, ge=0)
    vgg_file: str = ""  # in torchvision's format; "": where torchvision keeps it
    vgg_download: bool = False  # whether torchvision may fetch it


class SpadeTask(PublishedTask):
    """See the module."""

    Network, Loss = Network, Loss
    architecture = "spade"
    perceptual: Perceptual | None = None

    @property
    def crop_multiple(self) -> int:
        return _STRIDES[self.recipe.network.upsampling]

    def _painter(self, *, live: bool) -> tuple[PublishedGenerator, SpadeEncoder | None]:
        network = self.recipe.network
        convolution = spectral_convolution if live else nn.Conv2d
        cells = self.recipe.largest_crop // self.crop_multiple
        generator = SpadeGenerator(
            self.labels.channels,
            network.width,
            upsampling=network.upsampling,
            style_dim=network.style_dim,
            start_grid=(cells, cells) if network.style_dim else None,
            hidden=network.hidden,
            kernel=network.kernel,
            convolution=convolution,
        )
        if not network.style_dim:
            return generator, None
        return generator, SpadeEncoder(network.encoder_width, network.style_dim, convolution)

    def _discriminator(self) -> nn.Module:
        network = self.recipe.network
        return MultiScaleDiscriminator(
            self.labels.channels + 3,
            network.discriminator_width,
            network.discriminator_layers,
            network.discriminator_scales,
        )

    def _options(self) -> dict[str, Any]:
        network, generator = self.recipe.network, self.generator
        options: dict[str, Any] = {
            "width": network.width,
            "hidden": network.hidden,
            "kernel": network.kernel,
            "statistics": "batch",
            "upsampling": network.upsampling,
            "instance_edges": False,
        }
        if generator.start_grid is not None:
            options |= {"start_grid": list(generator.start_grid), "encoder_width": network.encoder_width}
        return options

    def prepare(self, report: Report) -> None:
        """Read VGG's weights, if they are to be had."""
        weights = self.recipe.loss
        if not weights.vgg:
            return
        try:
            network = perceptual_network(weights.vgg_file, download=weights.vgg_download, say=self.say)
        except PerceptualError as error:
            raise TrainingError(str(error)) from error
        self.perceptual = self.placed(network) if network is not None else None

    def _paint(self, generator: PublishedGenerator, batch: Batch, draws: Draws) -> Tensor:
        style = draws.normal(len(batch.given), generator.style_dim) if generator.style_dim else None
        return generator(batch.given, None, style)

    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        factor = self.recipe.rate_at(seen)
        fake, terms = self._encoded(batch, draws)
        self.discriminator.requires_grad_(False)
        judged, changed = self.judged(batch, fake, draws, _NO_CLASS)
        terms |= self._generator_terms(judged, changed) | self._likeness(batch, fake)
        figures = self.update("generator", terms, factor)
        self.discriminator.requires_grad_(True)
        terms = self._discriminator_terms(judged, changed.detach())
        return figures | self.update("discriminator", terms, factor)

    def _encoded(self, batch: Batch, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch's maps painted, with a VAE in the style of their own photos, and what that costs: the
        divergence of the photos' styles from the prior (Park et al. 2019, sec. 3)."""
        if self.encoder is None:
            with self.fabric.autocast():
                return self._paint(self.generator, batch, draws), {}
        with self.fabric.autocast():
            mean, log_variance = (value.float() for value in self.encoder(batch.real))
            # The reparameterisation trick (Kingma & Welling 2014): a differentiable draw.
            code = mean + draws.normal(*mean.shape) * torch.exp(0.5 * log_variance)
            fake = self.generator(batch.given, None, code)
        divergence = mean.shape[1] * losses.kl_loss(mean, log_variance)
        return fake, {"kl": self.recipe.loss.kl * divergence}

    def _judged(self, batch: Batch, fake: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """The discriminator's activations for the real pictures and for the generated ones, both beside the
        map that the generator was given."""
        condition = one_hot(batch.given, self.labels.channels)
        pictures = torch.cat([batch.real, fake])
        with self.fabric.autocast():
            found = self.discriminator(torch.cat([torch.cat([condition, condition]), pictures], dim=1))
        return adversarial.halves(found)

    def _generator_terms(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        weights = self.recipe.loss
        on_real, on_fake = self._judged(batch, fake)
        return {
            "adversarial": weights.adversarial * adversarial.hinge_generator(on_fake),
            "matching": weights.matching * adversarial.matching(on_fake, on_real),
        }

    def _likeness(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        """How far VGG's features of the generated pictures are from the photos', where there is a VGG."""
        if self.perceptual is None:
            return {}
        with self.fabric.autocast():
            return {"vgg": self.recipe.loss.vgg * self.perceptual(fake, batch.real)}

    def _discriminator_terms(self, batch: Batch, fake: Tensor) -> dict[str, Tensor]:
        on_real, on_fake = self._judged(batch, fake)
        return {
            "discriminator_real": adversarial.hinge_real(on_real),
            "discriminator_fake": adversarial.hinge_fake(on_fake),
        }
