"""From a run to a servable checkpoint: what tasks share when they export averaged weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.encoder import Encoder
from models.generator import StyledSpadeGenerator
from training.data import Batch, Pair, to_float
from training.distributed import Draws, Stream
from training.task import Task

PRIOR_PICTURES = 1_000
NATIVE = 256  # pixels; larger pictures are trained on in crops
STATISTICS_BATCH = 4


def model_id(folder: Path) -> str:
    """A model id from a folder's name: lower case, everything that an id may not hold turned into '-'."""
    return re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")[:64] or "model"


def native_side(pairs: Sequence[Pair], stride: int) -> int:
    """Side of an export's native size: as the smallest of the first training pictures allows, at most NATIVE
    pixels, a multiple of the stride; pictures that are smaller are enlarged."""
    smallest = min(min(pair.labels.shape) for pair in pairs[:PRIOR_PICTURES])
    return max(min(smallest, NATIVE) // stride, 1) * stride


@torch.no_grad()
def codes_of(encoder: Encoder, pairs: Sequence[Pair]) -> Tensor:
    """Mean style codes of the first PRIOR_PICTURES pictures: float32 (M, D)."""
    device = next(encoder.parameters()).device
    codes = [
        encoder(to_float(pair.image).unsqueeze(0).to(device))[0].float() for pair in pairs[:PRIOR_PICTURES]
    ]
    return torch.cat(codes)


def fit_prior(generator: StyledSpadeGenerator, codes: Tensor) -> None:
    """Set the generator's prior to the mean and covariance of codes (M, D), so that seeds give lights like
    theirs."""
    spread = min(1, len(codes) - 1)  # of a single picture there is none
    covariance = torch.cov(codes.T.double(), correction=spread) + 1e-6 * torch.eye(
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
def refresh_statistics(
    task: Task, network: nn.Module, paint: Callable[[Batch, Draws], Any], side: int
) -> None:
    """Measure the batch statistics of averaged weights: the trained network's belong to other weights.

    Args:
        network: holds the averaged weights.
        paint: passes a batch through it.
        side: of the crops, in pixels.
    """
    run = task.recipe.run
    with measuring_statistics(network):
        for first in range(0, run.statistics_batches * STATISTICS_BATCH, STATISTICS_BATCH):
            batch = task.batch(STATISTICS_BATCH, side, first, Stream.STATISTICS_DATA)
            paint(batch, Draws(run.seed, first, STATISTICS_BATCH, task.fabric.device, Stream.STATISTICS))
