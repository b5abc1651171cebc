"""Weights averaged over time: what a run shows and exports."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from training.task import Task


class Average:
    """Exponential moving average of a module's parameters and floating-point buffers, with a half-life in
    pictures; other buffers are copied. `state` has the names of the module's state dict."""

    def __init__(self, source: nn.Module, half_life: int) -> None:
        self.half_life = half_life
        self.restart(source)

    def restart(self, source: nn.Module) -> None:
        """Forget everything but the source's values of now."""
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


@contextmanager
def averaged(task: Task, names: Sequence[str]) -> Generator[None]:
    """Inside, a task's networks of these names hold their averages, in evaluation mode and under the run's
    precision; the trained ones are back afterwards. Put `torch.no_grad()` around it as you need."""
    networks = {name: task.networks[name] for name in names}
    trained = {
        name: {key: value.clone() for key, value in network.state_dict().items()}
        for name, network in networks.items()
    }
    modes = {name: network.training for name, network in networks.items()}
    for name, network in networks.items():
        network.load_state_dict(task.averages[name].state)
        network.eval()
    try:
        with task.fabric.autocast():
            yield
    finally:
        for name, network in networks.items():
            network.load_state_dict(trained[name])
            network.train(modes[name])
