"""From a run to a servable checkpoint: averaged weights, fresh batch statistics, the prior of the style
codes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import save
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.spade import StyleField
from models.spec import ModelSpec
from training.data import Pair, to_float
from training.loop import Run, seeded

PRIOR_PICTURES = 1_000
NATIVE = 256  # pixels; larger pictures are trained on in crops


@torch.no_grad()
def codes_of(encoder: StyleEncoder, pairs: Sequence[Pair]) -> Tensor:
    """Mean style codes of pictures: float32 (len(pairs), D)."""
    device = next(encoder.parameters()).device
    codes = [encoder(to_float(pair.image).unsqueeze(0).to(device))[0].float() for pair in pairs]
    return torch.cat(codes)


def fit_prior(generator: StyledSpadeGenerator, codes: Tensor) -> None:
    """Set the generator's prior to the mean and covariance of codes (M, D), so that seeds give lights like
    theirs."""
    covariance = torch.cov(codes.T.double()) + 1e-6 * torch.eye(
        codes.shape[1], dtype=torch.float64, device=codes.device
    )
    generator.prior_mean.copy_(codes.mean(0))
    generator.prior_scale.copy_(torch.linalg.cholesky(covariance).float())


@contextmanager
def measuring_statistics(network: nn.Module) -> Generator[None]:
    """Inside, every batch norm averages its statistics over all batches that pass, equally."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    yield
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


@torch.no_grad()
def refresh_statistics(run: Run, side: int, size: int = 4) -> None:
    """Measure the batch statistics of the averaged generator: the trained one's belong to other weights."""
    generator, encoder = run.networks.generator, run.networks.encoder
    with measuring_statistics(generator):
        for i in range(run.recipe.statistics_batches):
            rng = seeded(run.recipe.seed, 2**41 + i)
            batch = run.batch(size, side, rng)
            code, _ = encoder(batch.whole)
            grids = generator.grids(side, side)
            noise = [torch.randn(size, generator.noise_channels, h, w, device=code.device) for h, w in grids]
            generator(batch.given, StyleField(code.float().unsqueeze(1)), noise)


def export(
    run: Run,
    path: Path,
    model_id: str,
    name: str,
    licence: str,
    provenance: Mapping[str, Any],
) -> ModelSpec:
    """Write the run's averaged generator and style encoder as one checkpoint.

    Args:
        run: a run, as resumed.
        path: the file to write.
        model_id, name, licence, provenance: see `ModelSpec`; recipe and pictures seen are added to the
        provenance.

    Returns:
        The spec written.
    """
    recipe = run.recipe
    with run.averaged() as (generator, encoder):
        fit_prior(generator, codes_of(encoder, run.pairs[:PRIOR_PICTURES]))
        # Crops as large as the smallest training picture allows, at most NATIVE pixels.
        smallest = min(min(pair.labels.shape) for pair in run.pairs)
        side = min(smallest, NATIVE) // generator.stride * generator.stride
        refresh_statistics(run, side)
        spec = ModelSpec(
            id=model_id,
            name=name,
            architecture="styled-spade",
            labels=run.labels,
            native_size=side,
            stride=generator.stride,
            style_dim=recipe.style_dim,
            licence=licence,
            provenance={**provenance, "pictures_seen": run.seen, "recipe": recipe.to_json()},
            options={
                "widths": list(recipe.widths),
                "hidden": recipe.hidden,
                "noise_channels": recipe.noise_channels,
                "encoder_widths": list(recipe.encoder_widths),
            },
        )
        save(path, spec, generator, encoder)
    return spec
