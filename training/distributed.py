"""Several processes that train as one, and randomness that does not know how many they are.

Every process holds the same weights and works on its share of a batch. A loss is the mean over a process's
own pictures; the mean of that over the processes is the loss of the whole batch, which is what gradients are
averaged for. Whatever else is taken over a batch (counts of classes, batch statistics) goes through
`global_sum` and its relations. With one process all of these do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

_alone: ContextVar[bool] = ContextVar("alone", default=False)


def world() -> tuple[int, int]:
    """(number of this process, number of processes)."""
    if _alone.get() or not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


@contextmanager
def alone() -> Generator[None]:
    """Inside, this process works by itself: sheets and exports are made by the first one only."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


class _GlobalSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        # Every process's loss depends on the total: the gradients of all of them come together.
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total


def global_sum(value: Tensor) -> Tensor:
    """Sum of a tensor over all processes, element by element; differentiable. The same shape everywhere."""
    return value if world()[1] == 1 else _GlobalSum.apply(value)


def global_mean(values: Tensor) -> Tensor:
    """Mean over the elements of all processes' tensors, of which each may have another number (0 too);
    differentiable, a scalar in float32. The mean of no elements is 0.

    As a loss it is a process's own: it is scaled such that the mean over the processes is the whole's.
    """
    _, processes = world()
    if processes == 1:
        return values.float().mean() if values.numel() else values.float().sum()
    count = torch.tensor(float(values.numel()), device=values.device)
    return values.float().sum() * processes / global_sum(count).clamp(min=1)


def global_average(value: Tensor) -> Tensor:
    """Mean of a tensor over the processes, element by element; differentiable."""
    _, processes = world()
    return value if processes == 1 else global_sum(value) / processes


def gathered(value: Tensor) -> Tensor:
    """All processes' tensors one after the other: (B, …) → (processes · B, …); differentiable."""
    rank, processes = world()
    if processes == 1:
        return value
    before = value.new_zeros(rank * value.shape[0], *value.shape[1:])
    after = value.new_zeros((processes - rank - 1) * value.shape[0], *value.shape[1:])
    return global_sum(torch.cat([before, value, after]))


def own_share(value: Tensor) -> Tensor:
    """This process's rows of a tensor over all pictures: (processes · B, …) → (B, …)."""
    rank, processes = world()
    size = value.shape[0] // processes
    return value[rank * size : (rank + 1) * size]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over the processes, in one message."""
    _, processes = world()
    if processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= processes
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm (Ioffe & Szegedy 2015) whose batch is that of all processes, on any device.

    With one process, and in evaluation, it is torch's own. torch's SyncBatchNorm refuses the CPU.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h, w); B·h·w must be the same in every process."""
        _, processes = world()
        if processes == 1 or not self.training:
            return super().forward(input)
        x = input.float()
        variance, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
        means, variances = gathered(torch.stack([mean, variance]).unsqueeze(0)).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        self._follow(mean.detach(), variance.detach(), processes * x.numel() // x.shape[1])
        scale = torch.rsqrt(variance + self.eps)
        shift = -mean * scale
        if self.affine:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        return (x * scale[:, None, None] + shift[:, None, None]).to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Running statistics, as torch keeps them: the variance unbiased, momentum None for a plain mean."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / max(count - 1, 1), momentum)


def synchronise(module: nn.Module) -> nn.Module:
    """Let every batch norm of a module (B, C, h, w) see the batch of all processes; the module itself."""
    for norm in module.modules():
        if type(norm) is nn.BatchNorm2d:
            # Same state and same numerics with one process: only the forward is another one.
            norm.__class__ = SyncedBatchNorm2d
    return module


class Stream(IntEnum):
    """What random numbers are for; equal numbers of two streams have nothing to do with each other."""

    START = 0  # the networks' first values
    DATA = 1
    STEP = 2
    PREPARE = 3
    PREPARE_DATA = 4
    STATISTICS = 5
    STATISTICS_DATA = 6


def generator_for(seed: int, stream: Stream, number: int) -> np.random.Generator:
    """numpy's generator for one use: a pure function of its arguments."""
    return np.random.default_rng((seed, int(stream), number))


class Draws:
    """A step's randomness, a pure function of (seed, stream, pictures seen).

    Every picture has a stream of numbers of its own, by its number in the run: what is drawn for it depends
    neither on its batch nor on the process that has it. Numbers are drawn on the CPU, so that devices agree.

    Making one also seeds torch's own generator, for what cannot take draws (it is then the same in every
    process).

    Args:
        seed: the recipe's.
        seen: pictures seen before this step, over all processes.
        pictures: B, the pictures of this process in this step.
        device: where the tensors are wanted.
        stream: what the numbers are for.
    """

    def __init__(
        self, seed: int, seen: int, pictures: int, device: torch.device, stream: Stream = Stream.STEP
    ) -> None:
        rank, _ = world()
        self.rng = generator_for(seed, stream, seen)
        """For decisions that are the same for the whole batch: numpy's, equal in every process."""
        self.device = device
        torch.manual_seed(int(self.rng.integers(2**63)))
        self._shared = torch.Generator().manual_seed(int(self.rng.integers(2**63)))
        numbers = range(seen + rank * pictures, seen + (rank + 1) * pictures)
        self._own = [_torch_generator(seed, stream, number) for number in numbers]

    def normal(self, pictures: int, *shape: int) -> Tensor:
        """Standard normal, float32 (pictures, *shape): one draw for each of this process's pictures."""
        return self._each(pictures, lambda generator: torch.randn(shape, generator=generator))

    def uniform(self, pictures: int, *shape: int) -> Tensor:
        """Uniform in [0, 1), float32 (pictures, *shape)."""
        return self._each(pictures, lambda generator: torch.rand(shape, generator=generator))

    def integers(self, low: int, high: int, pictures: int, *shape: int) -> Tensor:
        """Uniform among low … high − 1, int64 (pictures, *shape)."""
        return self._each(pictures, lambda generator: torch.randint(low, high, shape, generator=generator))

    def shared_normal(self, *shape: int) -> Tensor:
        """Standard normal, float32 `shape`: one draw for the whole batch, equal in every process."""
        return torch.randn(shape, generator=self._shared).to(self.device)

    def _each(self, pictures: int, draw: Callable[[torch.Generator], Tensor]) -> Tensor:
        if pictures != len(self._own):
            raise ValueError(f"draws for {pictures} pictures, in a step of {len(self._own)} in this process")
        return torch.stack([draw(generator) for generator in self._own]).to(self.device, non_blocking=True)


def _torch_generator(seed: int, stream: Stream, number: int) -> torch.Generator:
    state = np.random.SeedSequence((seed, int(stream), 1, number)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
