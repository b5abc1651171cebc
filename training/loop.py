"""The training loop of the built-in model: first the segmenter, then the generator against the discriminator.

A run is a folder: `recipe.json`, `segmenter.pt`, `state.pt` (everything needed to go on, written atomically),
`log.jsonl`, `sheets/`. Randomness is a function of (seed, pictures seen), so a killed run goes on where it
stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from models.discriminator import SegmentationDiscriminator
from models.encoder import StyleEncoder, sample_code
from models.generator import StyledSpadeGenerator, feathered
from models.labels import LabelSet
from models.segmenter import UNet
from models.spade import StyleField, resize_labels
from training import losses
from training.data import Batch, Pair, fitted, random_batch
from training.recipe import NETWORKS, Recipe

Report = Callable[[int, dict[str, float]], None]


class TrainingError(RuntimeError):
    """A run that cannot go on, and why."""


@dataclass
class Networks:
    """The networks of a run: generator, style encoder, discriminator, frozen segmenter."""

    generator: StyledSpadeGenerator
    encoder: StyleEncoder
    discriminator: SegmentationDiscriminator
    segmenter: UNet

    @staticmethod
    def build(recipe: Recipe, classes: int) -> Networks:
        return Networks(
            StyledSpadeGenerator(
                classes, recipe.widths, recipe.hidden, recipe.style_dim, recipe.noise_channels
            ),
            StyleEncoder(recipe.encoder_widths, recipe.style_dim),
            SegmentationDiscriminator(classes, recipe.discriminator_widths),
            UNet(classes, recipe.segmenter_widths),
        )


class Average(nn.Module):
    """Exponential moving average of a module's parameters, with a half-life in pictures; buffers are
    copied."""

    def __init__(self, source: nn.Module, half_life: int) -> None:
        super().__init__()
        self.half_life = half_life
        self.state = {name: value.detach().clone() for name, value in source.state_dict().items()}

    @torch.no_grad()
    def update(self, source: nn.Module, seen: int, pictures: int) -> None:
        """Mix in the source after a step of `pictures`; early in a run the average is shorter, so that it can
        follow."""
        keep = 0.5 ** (pictures / min(self.half_life, max(seen / 4, 1)))
        for name, value in source.state_dict().items():
            if value.dtype.is_floating_point:
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)


def seeded(seed: int, seen: int) -> np.random.Generator:
    """Seed torch for the step that starts after `seen` pictures and return the step's own generator for the
    data."""
    rng = np.random.default_rng((seed, seen))
    torch.manual_seed(int(rng.integers(2**63)))
    return rng


def write_atomically(value: Any, path: Path) -> None:
    """torch.save that leaves either the old file or the new one, never half of one."""
    partial = path.with_suffix(".partial")
    torch.save(value, partial)
    partial.replace(path)


def _keep_recipe(path: Path, recipe: Recipe) -> None:
    """Write the recipe down, unless the networks of the one that is there are others."""
    if path.exists():
        before = json.loads(path.read_text())
        now = json.loads(json.dumps(recipe.to_json()))
        changed = [name for name in NETWORKS if before.get(name) != now[name]]
        if changed:
            name = changed[0]
            raise TrainingError(
                f"{path.parent} holds a run with {name} = {before.get(name)}, not {now[name]}: "
                "continue it with its own recipe, or choose a new folder"
            )
    path.write_text(json.dumps(recipe.to_json(), indent=1))


def painter_rates(recipe: Recipe) -> tuple[float, float]:
    """Learning rates of `painter_groups`."""
    return recipe.generator_rate, recipe.style_rate


def painter_groups(painter: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """The painter's parameters in two groups: the trunk, and whatever makes or reads style codes."""
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in painter.named_parameters():
        is_style = name.startswith(("encoder.", "generator.style_map.")) or ".style." in name
        groups[is_style].append(parameter)
    return [{"params": group, "lr": rate} for group, rate in zip(groups, painter_rates(recipe), strict=True)]


class Run:
    """One training run in a folder.

    Args:
        folder: where its files live; made if missing. An existing run is continued.
        recipe: its networks must be those of the folder's recipe; schedule, rates, weights may differ.
        pairs: training pairs, see `training.data.fitted`.
        labels: their label set.
        fabric: device, precision, processes.
    """

    def __init__(
        self, folder: Path, recipe: Recipe, pairs: list[Pair], labels: LabelSet, fabric: Fabric
    ) -> None:
        self.folder, self.recipe, self.labels, self.fabric = folder, recipe, labels, fabric
        self.largest_crop = max(side for _, side, _ in recipe.crops)
        self.pairs = fitted(pairs, labels, self.largest_crop)
        folder.mkdir(parents=True, exist_ok=True)
        _keep_recipe(folder / "recipe.json", recipe)
        seeded(recipe.seed, -1 % 2**32)
        self.networks = Networks.build(recipe, labels.channels)
        for network in vars(self.networks).values():
            network.to(device=fabric.device, memory_format=torch.channels_last)
        painter = nn.ModuleDict({"generator": self.networks.generator, "encoder": self.networks.encoder})
        self.painter = painter
        self.generator_step = torch.optim.Adam(painter_groups(painter, recipe), betas=(0.0, 0.99))
        self.discriminator_step = torch.optim.Adam(
            self.networks.discriminator.parameters(), lr=recipe.discriminator_rate, betas=(0.0, 0.99)
        )
        self.average = Average(painter, recipe.ema_half_life)
        self.seen = 0
        self.seconds = 0.0

    # -- state
    def save(self) -> None:
        """Write `state.pt`."""
        state = {
            "seen": self.seen,
            "seconds": self.seconds,
            "painter": self.painter.state_dict(),
            "discriminator": self.networks.discriminator.state_dict(),
            "average": self.average.state,
            "generator_step": self.generator_step.state_dict(),
            "discriminator_step": self.discriminator_step.state_dict(),
        }
        write_atomically(state, self.folder / "state.pt")

    def resume(self) -> bool:
        """Take up `state.pt` if it is there; true if the run had begun."""
        path = self.folder / "state.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location=self.fabric.device, weights_only=True)
        self.painter.load_state_dict(state["painter"])
        self.networks.discriminator.load_state_dict(state["discriminator"])
        self.generator_step.load_state_dict(state["generator_step"])
        self.discriminator_step.load_state_dict(state["discriminator_step"])
        self.average.state = state["average"]
        self.seen, self.seconds = state["seen"], state["seconds"]
        return True

    def batch(self, size: int, side: int, rng: np.random.Generator) -> Batch:
        """`size` crops of `side` pixels as the recipe has them, on the run's device."""
        recipe = self.recipe
        batch = random_batch(self.pairs, size, side, rng, recipe.crude, recipe.drop, self.labels.ignore)
        return batch.to(self.fabric.device)

    @contextmanager
    def averaged(self) -> Generator[tuple[StyledSpadeGenerator, StyleEncoder]]:
        """The averaged networks in evaluation mode, in place; the trained ones are back afterwards."""
        trained = {name: value.clone() for name, value in self.painter.state_dict().items()}
        self.painter.load_state_dict(self.average.state)
        self.painter.eval()
        try:
            with self.fabric.autocast():
                yield self.networks.generator, self.networks.encoder
        finally:
            self.painter.load_state_dict(trained)
            self.painter.train()

    # -- segmenter
    def train_segmenter(self, report: Report) -> None:
        """Train the frozen judge on the real pairs, or load it where the folder has one."""
        path, segmenter, recipe = self.folder / "segmenter.pt", self.networks.segmenter, self.recipe
        if path.exists():
            segmenter.load_state_dict(torch.load(path, map_location=self.fabric.device, weights_only=True))
        else:
            optimiser = torch.optim.Adam(segmenter.parameters(), lr=2e-3)
            side, size = min(128, self.largest_crop), 16
            for seen in range(0, recipe.segmenter_pictures, size):
                rng = seeded(recipe.seed, 2**40 + seen)
                batch = random_batch(self.pairs, size, side, rng).to(self.fabric.device)
                optimiser.param_groups[0]["lr"] = 2e-3 * (1 - seen / recipe.segmenter_pictures) ** 0.9
                loss, accuracy = self._segmenter_loss(batch)
                optimiser.zero_grad(set_to_none=True)
                self.fabric.backward(loss)
                optimiser.step()
                report(seen, {"segmenter": float(loss.detach()), "accuracy": accuracy})
            write_atomically(segmenter.state_dict(), path)
        segmenter.eval().requires_grad_(False)

    def _segmenter_loss(self, batch: Batch) -> tuple[Tensor, float]:
        with self.fabric.autocast():
            scores = self.networks.segmenter(batch.real)
        labels = resize_labels(batch.labels, *scores.shape[-2:])
        weights = losses.class_weights(labels, self.labels.channels, self.labels.ignore)
        accuracy = (scores.detach().argmax(1) == labels).float().mean()
        return losses.segmentation_loss(scores, labels, weights.sqrt()), float(accuracy)

    # -- generator and discriminator
    def steps(self) -> Iterator[dict[str, float]]:
        """Train until the recipe's pictures are seen; yields every step's figures."""
        self.painter.train()
        self.networks.discriminator.train()
        while self.seen < self.recipe.pictures:
            started = time.perf_counter()
            side, size = self.recipe.crop_at(self.seen)
            rng = seeded(self.recipe.seed, self.seen)
            batch = self.batch(size, side, rng)
            figures = self._step(
                batch.to(self.fabric.device), mixed=bool(rng.random() < self.recipe.two_styles)
            )
            self.seen += size
            self.average.update(self.painter, self.seen, size)
            self.seconds += time.perf_counter() - started
            broken = [name for name, value in figures.items() if not np.isfinite(value)]
            if broken:
                raise TrainingError(
                    f"{', '.join(broken)} is not finite after {self.seen} pictures; state.pt is from before"
                )
            yield figures

    def _step(self, batch: Batch, mixed: bool) -> dict[str, float]:
        factor = self.recipe.rate_at(self.seen)
        for group, rate in zip(self.generator_step.param_groups, painter_rates(self.recipe), strict=True):
            group["lr"] = rate * factor
        self.discriminator_step.param_groups[0]["lr"] = self.recipe.discriminator_rate * factor
        with self.fabric.autocast():
            fake, latent = self._paint(batch, mixed)
        figures = self._generator_update(batch, fake, latent, mixed)
        return figures | self._discriminator_update(batch, fake.detach())

    def _paint(self, batch: Batch, mixed: bool) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        mean, log_variance = self.networks.encoder(batch.whole)
        code = sample_code(mean.float(), log_variance.float())
        style = StyleField(code.unsqueeze(1))
        if mixed:
            half = self._halves(batch.given)
            style = StyleField(torch.stack([code, code.roll(1, 0)], dim=1), feathered(half, 2))
        generator = self.networks.generator
        grids = generator.grids(*batch.given.shape[-2:])
        noise = [torch.randn(len(code), generator.noise_channels, h, w, device=code.device) for h, w in grids]
        return generator(batch.given, style, noise), (mean.float(), log_variance.float())

    @staticmethod
    def _halves(labels: Tensor) -> Tensor:
        """A style map cut in two by a random line through each picture: int64, like `labels`, values 0 and
        1."""
        batch, height, width = labels.shape
        y = torch.linspace(-1, 1, height, device=labels.device).view(1, -1, 1)
        x = torch.linspace(-1, 1, width, device=labels.device).view(1, 1, -1)
        normal = torch.randn(batch, 2, 1, 1, device=labels.device)
        return (normal[:, 0] * y + normal[:, 1] * x > 0).long()

    def _generator_update(
        self, batch: Batch, fake: Tensor, latent: tuple[Tensor, Tensor], mixed: bool
    ) -> dict[str, float]:
        recipe, networks = self.recipe, self.networks
        networks.discriminator.requires_grad_(False)
        with self.fabric.autocast():
            scores = networks.discriminator(fake)
            seen_fake = networks.segmenter.features(fake)[1]
            with torch.no_grad():
                seen_real = networks.segmenter.features(batch.real)[1]
        given = resize_labels(batch.given, *scores.shape[-2:])
        terms = {
            "adversarial": recipe.adversarial
            * losses.real_loss(scores, given, self.labels.channels, self.labels.ignore),
            "kl": recipe.kl * losses.kl_loss(*latent),
        }
        if not mixed:  # two lights in one picture have no photo to be compared with
            regions = losses.RegionSampler(batch.labels)
            down = len(networks.segmenter.down)
            terms |= {
                "texture": recipe.texture * losses.texture_loss(fake, batch.real, regions),
                "feature_texture": recipe.feature_texture
                * losses.feature_texture_loss(seen_fake[:3], seen_real[:3], regions),
                "feature": recipe.feature
                * losses.feature_loss(seen_fake[down - 2 : down + 2], seen_real[down - 2 : down + 2]),
                "low_frequency": recipe.low_frequency_at(self.seen)
                * losses.low_frequency_l1(fake, batch.real),
            }
        self.generator_step.zero_grad(set_to_none=True)
        self.fabric.backward(torch.stack(list(terms.values())).sum())
        self.generator_step.step()
        networks.discriminator.requires_grad_(True)
        return {name: float(value.detach()) for name, value in terms.items()}

    def _discriminator_update(self, batch: Batch, fake: Tensor) -> dict[str, float]:
        discriminator, classes = self.networks.discriminator, self.labels.channels
        with self.fabric.autocast():
            real_scores, fake_scores = discriminator(torch.cat([batch.real, fake])).chunk(2)
        labels = resize_labels(batch.labels, *real_scores.shape[-2:])
        terms = {
            "discriminator_real": losses.real_loss(real_scores, labels, classes, self.labels.ignore),
            "discriminator_fake": losses.fake_loss(fake_scores),
        }
        if (self.seen // len(fake)) % self.recipe.label_mix_every == 0:
            mask = losses.label_mix(batch.labels, classes)
            with self.fabric.autocast():
                mixed_scores = discriminator(mask * batch.real + (1 - mask) * fake)
            half = losses.label_mix_at(mask, labels.shape[-2:])
            target = losses.mixed_target(real_scores, fake_scores, half)
            terms["label_mix"] = (
                self.recipe.label_mix * (mixed_scores.float() - target.float()).square().mean()
            )
        self.discriminator_step.zero_grad(set_to_none=True)
        self.fabric.backward(torch.stack(list(terms.values())).sum())
        self.discriminator_step.step()
        return {name: float(value.detach()) for name, value in terms.items()}
