"""What is measured: a model in the engine beside its plain network; how they are timed and compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from benchmarks.maps import LabelMap
from benchmarks.public_models import Plain, best_plain
from benchmarks.report import Errors
from engine import Library, Painter
from engine.catalogue import Entry
from engine.library import BUILTIN
from engine.model import Model
from engine.reloading import Held
from engine.shelf import Place
from models.checkpoint import LoadedModel

SEED = 1


class MemoryLibrary(Library):
    """A library that also holds models that are in no file, and can forget its tables."""

    def __init__(self, device: str, precision: str, cache_mb: int = 512) -> None:
        super().__init__([BUILTIN], None, device, precision, None, cache_mb)

    def add(self, loaded: LoadedModel) -> None:
        """Pack a model's weights, under its own id."""
        spec = loaded.spec
        with patch("engine.library.load", lambda _: loaded):
            place = Place(self._shelf, None, self._read(Path(spec.id)))
        entry = Entry(Path(spec.id), spec, parameters=0, stamp=(0, 0, 0))
        self._models[spec.id] = Held(entry, place)

    def forget_tables(self) -> None:
        """As if nothing had been painted yet; weights stay packed."""
        budget, self._cache.budget = self._cache.budget, -1
        self._cache.trim()
        self._cache.budget = budget

    def model(self, model_id: str | None) -> Model:
        """What painters of a model paint with."""
        model = self._held(model_id).place.take()
        if not isinstance(model, Model):
            raise TypeError(f"{model_id!r} is painted by another path")
        return model

    @property
    def torch_device(self) -> torch.device:
        return self._compute.device

    @property
    def half(self) -> torch.dtype | None:
        """The half-precision type this library computes with, or None."""
        return None if self._compute.precision == "fp32" else self._compute.dtype

    @property
    def backend_name(self) -> str:
        return self._backend.name


def painter_of(library: Library, model_id: str | None, labels: LabelMap, seed: int = SEED) -> Painter:
    """A painter that has painted a map once."""
    height, width = labels.shape
    painter = library.painter(model_id, width, height)
    painter.set_map(labels)
    painter.set_style(seed)
    painter.render()
    return painter


def values(library: MemoryLibrary, painter: Painter) -> Tensor:
    """A painter's exact picture, float32 (H, W, 3) in [−1, 1], before it is rounded to bytes (after, if the
    engine has no such place)."""
    trunk, seen = library.model(painter.spec.id).trunk, list[Tensor]()
    run = trunk.run

    def noted(*arguments: object, **named: object) -> Tensor:
        raw = run(*arguments, **named)
        seen.append(torch.tanh(raw.float())[0, : painter.height, : painter.width].cpu())
        return raw

    with patch.object(trunk, "run", noted):
        picture = painter.render()
    return seen[0] if len(seen) == 1 else torch.from_numpy(picture) / 127.5 - 1


def errors(found: Tensor, wanted: Tensor) -> Errors:
    """Of two pictures in [−1, 1]."""
    difference = (found.double() - wanted.double()).abs()
    return Errors(float(difference.max()), float(difference.mean()), psnr(float((difference**2).mean()), 2))


def psnr(mean_square: float, peak: float) -> float:
    """In dB, at most 200: equal pictures have no finite one."""
    return min(200.0, 10 * np.log10(peak**2 / mean_square)) if mean_square else 200.0


@dataclass(frozen=True)
class Timed:
    """Something to time, and what happens before each time without being timed."""

    run: Callable[[], object]
    before: Callable[[], object] = lambda: None


def alternated(calls: Mapping[str, Timed], rounds: int) -> dict[str, float]:
    """Median seconds of each call, all taken in turns, after one warm-up of each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(rounds + 1):
        for name, call in calls.items():
            call.before()
            start = time.perf_counter()
            call.run()
            elapsed = time.perf_counter() - start
            if round_:
                times[name].append(elapsed)
    return {name: statistics.median(kept) for name, kept in times.items()}


class Subject:
    """A model's plain networks.

    Args:
        loaded: the model, float32, on the CPU.
        device, half: where to compute, and the half precision that the hardware multiplies, if any.
        labels: any map of the size to measure, to choose the best plain network with.
    """

    def __init__(
        self, loaded: LoadedModel, device: torch.device, half: torch.dtype | None, labels: LabelMap
    ) -> None:
        self.loaded, self._device, self._half, self._labels = loaded, device, half, labels

    @cached_property
    def public(self) -> Plain:
        """fp32, planes: what the published programs run."""
        return Plain(self.loaded.generator, self._device, torch.float32, channels_last=False)

    @cached_property
    def best(self) -> Plain:
        """The fastest that the plain network can be made by choosing type and memory layout."""
        code = torch.zeros(self.loaded.spec.style_dim)
        return best_plain(
            self.loaded.generator, self._device, self._half, torch.from_numpy(self._labels), code
        )

    def publicly(self, painter: Painter) -> Callable[[], Tensor]:
        """The published network on a painter's map and style."""
        return _painting(self.public, painter)

    def at_best(self, painter: Painter) -> Callable[[], Tensor]:
        """The best plain network on a painter's map and style."""
        return _painting(self.best, painter)

    def reference(self, painter: Painter) -> Tensor:
        """The published network's picture in full fp32: (H, W, 3) in [−1, 1]."""
        return _painting(self.public, painter, "ieee")()


def _painting(plain: Plain, painter: Painter, cuda_fp32: str = "tf32") -> Callable[[], Tensor]:
    return plain.painting(torch.from_numpy(painter.labels), torch.tensor(painter.style), SEED, cuda_fp32)
