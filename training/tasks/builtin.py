"""The built-in model: first a segmenter as judge, then the generator and the style encoder against the
discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from models.checkpoint import (
    CheckpointError,
    load,
    load_segmenter,
    save,
    save_segmenter,
    segmenter_spec,
)
from models.discriminator import SegmentationDiscriminator
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator, feathered
from models.segmenter import UNet
from models.spade import StyleField, resize_labels
from models.spec import MAX_STYLE_DIM, ModelSpec
from training import losses
from training.averaging import averaged
from training.data import Batch, Pair
from training.distributed import Draws, Stream, gathered, own_share
from training.export import codes_of, fit_prior, model_id, native_side, refresh_statistics
from training.patterned import fastest
from training.recipe import Section, Width
from training.sheet import Networks, contact_sheet
from training.task import Context, Report, Task, TrainingError

BETAS = (0.0, 0.99)  # of Adam
PAINTER = ("generator", "encoder")
JUDGE = "segmenter.safetensors"  # in the run's folder


class Network(Section):
    """Channels of the networks' stages; see their classes in models/."""

    # (Bounds as in models/checkpoint.py, which would refuse to read what is beyond them.)
    widths: tuple[Width, ...] = Field(min_length=1, max_length=9)
    hidden: int = Field(ge=1, le=1024)
    style_dim: int = Field(ge=1, le=MAX_STYLE_DIM)
    noise_channels: int = Field(ge=1, le=15)
    encoder_widths: tuple[Width, ...] = Field(min_length=1, max_length=7)
    discriminator_widths: tuple[Width, ...] = Field(min_length=1, max_length=9)
    segmenter_widths: tuple[Width, ...] = Field(min_length=1, max_length=9)


class Optimiser(Section):
    """Learning rates of Adam, and the segmenter's schooling."""

    generator_rate: float
    style_rate: float  # of the encoder and the style layers
    discriminator_rate: float
    segmenter_rate: float
    segmenter_pictures: int = Field(ge=0)
    segmenter_side: int = Field(ge=8)  # pixels, at most the recipe's largest crop
    segmenter_batch: int = Field(ge=1)


class Loss(Section):
    """Weights of the terms."""

    adversarial: float
    label_mix: float
    label_mix_every: int = Field(ge=1)  # steps
    texture: float
    feature_texture: float
    feature: float
    autocorrelation: float
    low_frequency: tuple[float, float]  # falls from the first to the second …
    low_frequency_until: float = Field(gt=0, le=1)  # … over this share of the run
    kl: float
    two_styles: float = Field(ge=0, le=1)  # share of the steps that put two styles into a picture


class BuiltinTask(Task):
    """The built-in family: see docs/training.md for what is learned from what."""

    Network, Optimiser, Loss = Network, Optimiser, Loss

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        if model_id(self.folder) == Path(JUDGE).stem:
            raise TrainingError(
                f"{self.folder}: {JUDGE} is the judge's file, call the run's folder otherwise"
            )
        self.unseen_has_a_label()
        network, rates, classes = self.recipe.network, self.recipe.optimiser, self.labels.channels
        self.generator = self.placed(
            StyledSpadeGenerator(
                classes, network.widths, network.hidden, network.style_dim, network.noise_channels
            )
        )
        self.paint, why = fastest(self.generator)
        if why:
            self.say(why)
        self.encoder = self.placed(StyleEncoder(network.encoder_widths, network.style_dim))
        self.discriminator = self.placed(SegmentationDiscriminator(classes, network.discriminator_widths))
        self.segmenter = self.placed(UNet(classes, network.segmenter_widths))
        self._check_crops()
        self.networks = {
            "generator": self.generator,
            "encoder": self.encoder,
            "discriminator": self.discriminator,
        }
        self.optimisers = {
            "painter": torch.optim.Adam(self._painter_groups(), betas=BETAS, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), lr=rates.discriminator_rate, betas=BETAS, fused=True
            ),
        }
        for name in PAINTER:
            self.averaging(name)

    def _check_crops(self) -> None:
        stride = self.generator.stride
        least = max(losses.REDUCTIONS[-1], self.discriminator.stride, self.segmenter.stride)
        for side in (crop.side for crop in self.recipe.data.crops):
            if side % stride or side < least:
                raise TrainingError(
                    f"data.crops has crops of {side} pixels, but with these networks sides are multiples of "
                    f"{stride} and at least {least}: choose another side, or fewer network.widths"
                )
        side = self.recipe.optimiser.segmenter_side
        if side < self.segmenter.stride:
            raise TrainingError(
                f"optimiser.segmenter_side = {side}, but the segmenter halves pictures to 1/"
                f"{self.segmenter.stride}: choose {self.segmenter.stride} or more"
            )

    def _painter_groups(self) -> list[dict[str, Any]]:
        """The painter's parameters in two groups: the trunk, and whatever makes or reads style codes."""
        trunk, style = list[nn.Parameter](), list(self.encoder.parameters())
        for name, parameter in self.generator.named_parameters():
            (style if name.startswith("style_map.") or ".style." in name else trunk).append(parameter)
        rates = self.recipe.optimiser
        return [
            {"params": trunk, "lr": rates.generator_rate},
            {"params": style, "lr": rates.style_rate},
        ]

    def start_from(self, path: Path) -> None:
        try:
            model = load(path)
            self.generator.load_state_dict(model.generator.state_dict())
            self.encoder.load_state_dict(model.encoder.state_dict() if model.encoder else {})
        except (CheckpointError, RuntimeError) as error:
            raise TrainingError(f"run.init_from = {str(path)!r} does not fit: {error}") from error

    # -- the judge
    def prepare(self, report: Report) -> None:
        """Train the frozen judge on the real pairs, or load it where the folder has one."""
        path = self.folder / JUDGE
        there = path.exists()
        self.fabric.barrier()
        if there:
            self.segmenter.load_state_dict(load_segmenter(path).network.state_dict())
        else:
            self._school(report)
            if self.fabric.is_global_zero:
                self._keep_judge(path)
        self.segmenter.eval().requires_grad_(False)

    def _keep_judge(self, path: Path) -> None:
        spec = segmenter_spec(
            self.segmenter,
            self.labels,
            model_id="segmenter",
            name=f"segmenter of {self.folder.resolve().name}",
            native_size=self.recipe.optimiser.segmenter_side,
            licence=self.recipe.run.licence,
            provenance={"recipe": self.recipe.to_json()},
        )
        save_segmenter(path, spec, self.segmenter, convolutions=torch.float32)  # to go on to the bit

    def _school(self, report: Report) -> None:
        rates, seed = self.recipe.optimiser, self.recipe.run.seed
        side, size = min(rates.segmenter_side, self.recipe.largest_crop), rates.segmenter_batch
        self.optimisers["segmenter"] = torch.optim.Adam(self.segmenter.parameters(), lr=rates.segmenter_rate)
        for seen in range(0, rates.segmenter_pictures, size):
            batch = self.batch(size, side, seen, Stream.PREPARE_DATA)
            Draws(seed, seen, len(batch.labels), self.fabric.device, Stream.PREPARE)
            loss, accuracy = self._segmenter_loss(batch)
            self.update("segmenter", {"segmenter": loss}, (1 - seen / rates.segmenter_pictures) ** 0.9)
            report("segmenter", seen + size, rates.segmenter_pictures, {"accuracy": accuracy})
        del self.optimisers["segmenter"]

    def _segmenter_loss(self, batch: Batch) -> tuple[Tensor, float]:
        with self.fabric.autocast():
            scores = self.segmenter(batch.real)
        labels = resize_labels(batch.labels, *scores.shape[-2:])
        weights = losses.class_weights(labels, self.labels.channels, self.labels.ignore)
        accuracy = (scores.detach().argmax(1) == labels).float().mean()
        return losses.segmentation_loss(scores, labels, weights.sqrt()), float(accuracy)

    # -- generator and discriminator
    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        mixed = bool(draws.rng.random() < self.recipe.loss.two_styles)
        with self.fabric.autocast():
            fake, latent = self._paint(batch, mixed, draws)
        judged, changed = self.judged(batch, fake, draws, self.labels.ignore or 0)
        scored = (changed, judged.given)
        figures = self._generator_update(batch, seen, fake, scored, latent, mixed, draws)
        return figures | self._discriminator_update(judged, seen, changed.detach(), draws)

    def _paint(self, batch: Batch, mixed: bool, draws: Draws) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        mean, log_variance = (value.float() for value in self.encoder(batch.whole))
        # The reparameterisation trick (Kingma & Welling 2014): a differentiable draw.
        code = mean + draws.normal(*mean.shape) * torch.exp(0.5 * log_variance)
        style = StyleField(code.unsqueeze(1))
        if mixed:
            other = own_share(gathered(code).roll(1, 0))
            half = _halves(batch.given, draws)
            style = StyleField(torch.stack([code, other], dim=1), feathered(half, 2))
        return self.paint(batch.given, style, self._noise(batch, draws)), (mean, log_variance)

    def _noise(self, batch: Batch, draws: Draws) -> list[Tensor]:
        count, height, width = batch.given.shape
        channels = self.generator.noise_channels
        return [draws.normal(count, channels, h, w) for h, w in self.generator.grids(height, width)]

    def _generator_update(
        self,
        batch: Batch,
        seen: int,
        fake: Tensor,
        scored: tuple[Tensor, Tensor],
        latent: tuple[Tensor, Tensor],
        mixed: bool,
        draws: Draws,
    ) -> dict[str, Tensor]:
        weights, segmenter = self.recipe.loss, self.segmenter
        self.discriminator.requires_grad_(False)
        with self.fabric.autocast():
            scores = self.discriminator(scored[0])
            seen_fake = segmenter.features(fake)[1]
            with torch.no_grad():
                seen_real = segmenter.features(batch.real)[1]
        given = resize_labels(scored[1], *scores.shape[-2:])
        terms = {
            "adversarial": weights.adversarial
            * losses.real_loss(scores, given, self.labels.channels, self.labels.ignore),
            "kl": weights.kl * losses.kl_loss(*latent),
        }
        if not mixed:  # two lights in one picture have no photo to be compared with
            # Where the given map was simplified into something else, the photo is no example of it.
            agreed = (batch.given == batch.labels) | (batch.given == self.labels.ignore)
            regions = losses.RegionSampler(
                batch.labels, classes=self.labels.channels, inside=agreed, draws=draws
            )
            inside = agreed.unsqueeze(1).float()
            down = len(segmenter.down)
            terms |= {
                "texture": weights.texture * losses.texture_loss(fake, batch.real, regions),
                "feature_texture": weights.feature_texture
                * losses.feature_texture_loss(seen_fake[:3], seen_real[:3], regions),
                "feature": weights.feature
                * losses.feature_loss(seen_fake[down - 2 : down + 2], seen_real[down - 2 : down + 2], inside),
                "low_frequency": self.low_frequency_at(seen)
                * losses.low_frequency_l1(fake, batch.real, inside),
                "autocorrelation": weights.autocorrelation
                * losses.autocorrelation_loss(fake, batch.real, regions),
            }
        figures = self.update("painter", terms, self.recipe.rate_at(seen))
        self.discriminator.requires_grad_(True)
        return figures

    def low_frequency_at(self, seen: int) -> float:
        """Weight of the low-frequency loss after `seen` pictures: strong as a warm-up, weak afterwards."""
        weights = self.recipe.loss
        first, last = weights.low_frequency
        return first + (last - first) * min(self.recipe.share(seen) / weights.low_frequency_until, 1.0)

    def _discriminator_update(self, batch: Batch, seen: int, fake: Tensor, draws: Draws) -> dict[str, Tensor]:
        classes, weights = self.labels.channels, self.recipe.loss
        with self.fabric.autocast():
            real_scores, fake_scores = self.discriminator(torch.cat([batch.real, fake])).chunk(2)
        labels = resize_labels(batch.labels, *real_scores.shape[-2:])
        terms = {
            "discriminator_real": losses.real_loss(real_scores, labels, classes, self.labels.ignore),
            "discriminator_fake": losses.fake_loss(fake_scores),
        }
        step = seen // self.recipe.crop_at(seen)[1]
        if weights.label_mix and step % weights.label_mix_every == 0:
            mask = losses.label_mix(batch.labels, classes, draws)
            with self.fabric.autocast():
                mixed_scores = self.discriminator(mask * batch.real + (1 - mask) * fake)
            half = losses.label_mix_at(mask, labels.shape[-2:])
            target = losses.mixed_target(real_scores, fake_scores, half)
            terms["label_mix"] = weights.label_mix * (mixed_scores.float() - target.float()).square().mean()
        return self.update("discriminator", terms, self.recipe.rate_at(seen))

    # -- results
    @torch.no_grad()
    def sheet(self, pairs: Sequence[Pair]) -> np.ndarray:
        with averaged(self, PAINTER):
            return contact_sheet(
                Networks(self.generator, self.encoder), pairs, self.labels, seeds=(1, 2), across=2
            )

    @torch.no_grad()
    def export(
        self, path: Path, model_id: str, name: str, licence: str, provenance: Mapping[str, Any]
    ) -> None:
        network, generator = self.recipe.network, self.generator
        side = native_side(self.pairs, generator.stride)

        def paint(batch: Batch, draws: Draws) -> None:
            code, _ = self.encoder(batch.whole)
            generator(batch.given, StyleField(code.float().unsqueeze(1)), self._noise(batch, draws))

        with averaged(self, PAINTER):
            fit_prior(generator, codes_of(self.encoder, self.pairs))
            refresh_statistics(self, generator, paint, side)
            spec = ModelSpec(
                id=model_id,
                name=name,
                architecture="styled-spade",
                labels=self.labels,
                native_size=side,
                stride=generator.stride,
                style_dim=network.style_dim,
                licence=licence,
                provenance=provenance,
                options={
                    "widths": list(network.widths),
                    "hidden": network.hidden,
                    "noise_channels": network.noise_channels,
                    "encoder_widths": list(network.encoder_widths),
                },
            )
            save(path, spec, generator, self.encoder)


def _halves(labels: Tensor, draws: Draws) -> Tensor:
    """A style map cut in two by a random line through each picture: int64, like `labels`, values 0 and 1."""
    batch, height, width = labels.shape
    y = torch.linspace(-1, 1, height, device=labels.device).view(1, -1, 1)
    x = torch.linspace(-1, 1, width, device=labels.device).view(1, 1, -1)
    normal = draws.normal(batch, 2, 1, 1)
    return (normal[:, 0] * y + normal[:, 1] * x > 0).long()
