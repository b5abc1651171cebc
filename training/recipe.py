"""Everything that a training run depends on, in one immutable value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

# What a run's tensors depend on: a run cannot be continued with another value of these.
NETWORKS = (
    "widths",
    "hidden",
    "style_dim",
    "noise_channels",
    "encoder_widths",
    "discriminator_widths",
    "segmenter_widths",
)


@dataclass(frozen=True)
class Recipe:
    """The built-in model's recipe. Rates are Adam's; weights are factors of the loss terms; sizes count
    pictures."""

    seed: int = 1
    # networks
    widths: tuple[int, ...] = (256, 256, 192, 128, 64, 32)
    hidden: int = 32
    style_dim: int = 64
    noise_channels: int = 4
    encoder_widths: tuple[int, ...] = (32, 64, 128, 192, 256)
    discriminator_widths: tuple[int, ...] = (48, 96, 160, 256, 256)
    segmenter_widths: tuple[int, ...] = (32, 64, 96, 128, 128)
    # schedule: the share of the run from which on a crop size and batch size hold
    pictures: int = 30_000
    crops: tuple[tuple[float, int, int], ...] = ((0.0, 128, 8), (0.5, 192, 4), (0.7, 256, 2))
    segmenter_pictures: int = 12_000
    # optimisation
    generator_rate: float = 4e-4
    style_rate: float = 1e-3  # of the encoder and the style layers; 3e-3 made a run diverge
    discriminator_rate: float = 4e-4
    decay_from: float = 0.8  # share of the run after which rates fall linearly to a twentieth
    ema_half_life: int = 1_000
    # losses
    adversarial: float = 1.0
    label_mix: float = 10.0
    label_mix_every: int = 4
    texture: float = 4.0
    feature_texture: float = 4.0
    feature: float = 1.0
    low_frequency: tuple[float, float] = (14.0, 6.0)  # falls from the first to the second …
    low_frequency_until: float = 0.6  # … over this share of the run
    kl: float = 0.01
    # data
    crude: float = 0.25
    drop: float = 0.1
    two_styles: float = 0.06
    # export
    statistics_batches: int = 60  # of four crops, to measure the averaged weights' batch statistics on

    def crop_at(self, seen: int) -> tuple[int, int]:
        """(crop side, batch size) after `seen` pictures."""
        share = seen / max(self.pictures, 1)
        side, batch = next((side, batch) for start, side, batch in reversed(self.crops) if share >= start)
        return side, batch

    def rate_at(self, seen: int) -> float:
        """Factor of both learning rates after `seen` pictures."""
        share = min(seen / max(self.pictures, 1), 1.0)
        return 1.0 if share < self.decay_from else max(0.05, (1 - share) / (1 - self.decay_from))

    def low_frequency_at(self, seen: int) -> float:
        """Weight of the low-frequency loss after `seen` pictures: strong as a warm-up, weak afterwards."""
        first, last = self.low_frequency
        done = min(seen / max(self.pictures * self.low_frequency_until, 1), 1.0)
        return first + (last - first) * done

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def with_overrides(self, **values: Any) -> Recipe:
        """A copy with the given fields changed.

        Raises:
            ValueError: a name that is no field.
        """
        unknown = values.keys() - {field.name for field in fields(self)}
        if unknown:
            raise ValueError(f"no such recipe value: {', '.join(sorted(unknown))}")
        return replace(self, **values)
