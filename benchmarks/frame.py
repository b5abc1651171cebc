"""Frame time of a model: the engine against the plain network, alternating in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from engine import Library
from models.checkpoint import load
from models.generator import StyledSpadeGenerator
from models.noise import style_from_seed
from models.spade import StyleField


@dataclass(frozen=True)
class FrameTime:
    """Median seconds of a frame: the engine's, the plain network's (fp32, as published), and their ratio."""

    size: int
    engine_s: float
    engine_p95_s: float
    plain_s: float
    ratio: float


def painted_map(size: int) -> np.ndarray:
    """A landscape as a hand would paint it: bands of sky, mountains, trees, water, grass; uint8 map."""
    y, x = np.mgrid[0:size, 0:size] / size
    labels = np.full((size, size), 1, np.uint8)
    labels[y > 0.42 - 0.14 * np.sin(5 * x) ** 2] = 3
    labels[y > 0.5 + 0.02 * np.sin(31 * x)] = 11
    labels[y > 0.58] = 14
    labels[y > 0.75 + 0.1 * (x - 0.5)] = 8
    labels[(x - 0.2) ** 2 + (y - 0.15) ** 2 < 0.01] = 2
    return labels


def alternated(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of `rounds` calls of each, taken in turns after one warm-up of each."""
    one(), other()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, kept in zip((one, other), times, strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return times


def plain_network(path: Path, device: str, labels: np.ndarray) -> Callable[[], object]:
    """The bare generator in fp32, default memory layout, as a call that paints `labels`."""
    generator: StyledSpadeGenerator = load(path).generator.to(device)
    ids = torch.from_numpy(labels.astype(np.int64)).unsqueeze(0).to(device)
    code = generator.code_from_normal(style_from_seed(1, generator.style_dim).to(device)).view(1, 1, -1)
    noise = generator.noise(1, *labels.shape)

    @torch.inference_mode()
    def paint() -> object:
        return generator(ids, StyleField(code), noise)[0].cpu()

    return paint


def frame_time(library: Library, size: int, rounds: int = 15) -> FrameTime:
    """Time the default model of a library at size × size pixels."""
    labels = painted_map(size)
    painter = library.painter(None, size, size)
    painter.set_map(labels)
    painter.set_style(1)
    device = "cuda" if "CPU" not in library.device_name else "cpu"
    plain = plain_network(library.path(), device, labels)
    ours, theirs = alternated(painter.render, plain, rounds)
    engine_s, plain_s = statistics.median(ours), statistics.median(theirs)
    return FrameTime(size, engine_s, float(np.percentile(ours, 95)), plain_s, plain_s / engine_s)


def measure(library: Library, sizes: tuple[int, ...] = (256, 512)) -> list[dict[str, float]]:
    """`frame_time` at each size, as JSON rows."""
    return [asdict(frame_time(library, size)) for size in sizes]
