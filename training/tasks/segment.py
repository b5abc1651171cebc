"""A segmenter, photo → label map: the judge of generated pictures, or of use by itself."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from models.checkpoint import CheckpointError, load_segmenter, save_segmenter, segmenter_spec
from models.segmenter import FCN, STAGES, Segmenter, UNet
from models.spade import resize_labels
from training import losses
from training.averaging import averaged
from training.data import Batch, Pair, to_float
from training.distributed import Draws
from training.evaluation.reading import confusion, reading
from training.evaluation.statistics import Bootstrap
from training.export import native_side, refresh_statistics
from training.recipe import Section, Width
from training.sheet import colored, common_size
from training.task import Context, Task, TrainingError

ACROSS = 2  # pairs beside each other on a sheet


class Network(Section):
    """Which segmenter, and its channels; see models/segmenter.py. `layers` and `top` are an FCN's."""

    kind: Literal["unet", "fcn"]
    # (Bounds as in models/checkpoint.py, which would refuse to read what is beyond them.)
    widths: tuple[Width, ...] = Field(min_length=1, max_length=9)
    layers: tuple[Annotated[int, Field(ge=1, le=16)], ...] | None = None
    top: Width | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "unet" and (self.layers or self.top):
            raise ValueError("'layers' and 'top' belong to kind = \"fcn\"")
        if self.kind == "fcn":
            if self.layers is None or self.top is None:
                raise ValueError("kind = \"fcn\" needs 'layers' and 'top'")
            if len(self.widths) != STAGES or len(self.layers) != STAGES:
                raise ValueError(f"an FCN has {STAGES} stages: give as many widths and layers")
        return self

    def build(self, classes: int) -> Segmenter:
        """The network, for so many classes."""
        if self.layers is None or self.top is None:
            return UNet(classes, self.widths)
        return FCN(classes, self.widths, self.layers, self.top)


class Optimiser(Section):
    """Of AdamW (Loshchilov & Hutter 2019)."""

    rate: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)


class Loss(Section):
    """Classes weigh (inverse frequency) ** balance: 0 for all alike, 1 for as much as they are rare."""

    balance: float = Field(0.5, ge=0, le=1)


class SegmentTask(Task):
    """Class-balanced cross-entropy; pixels without a label do not count."""

    Network, Optimiser, Loss = Network, Optimiser, Loss

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        rates = self.recipe.optimiser
        self.segmenter = self.placed(self.recipe.network.build(self.labels.channels))
        small = [crop.side for crop in self.recipe.data.crops if crop.side < self.segmenter.stride]
        if small:
            raise TrainingError(
                f"data.crops has crops of {small[0]} pixels, but this network halves them to nothing: it "
                f"needs {self.segmenter.stride} or more"
            )
        self.networks = {"segmenter": self.segmenter}
        self.optimisers = {
            "segmenter": torch.optim.AdamW(
                self.segmenter.parameters(), lr=rates.rate, weight_decay=rates.weight_decay
            )
        }
        self.averaging("segmenter")

    def start_from(self, path: Path) -> None:
        try:
            self.segmenter.load_state_dict(load_segmenter(path).network.state_dict())
        except (CheckpointError, RuntimeError) as error:
            raise TrainingError(f"run.init_from = {str(path)!r} does not fit: {error}") from error

    def step(self, batch: Batch, seen: int, draws: Draws) -> dict[str, Tensor]:
        del draws  # nothing here is random but the data
        with self.fabric.autocast():
            scores = self.segmenter(batch.real)
        labels = resize_labels(batch.labels, *scores.shape[-2:])
        weights = losses.class_weights(labels, self.labels.channels, self.labels.ignore)
        balanced = torch.where(weights > 0, weights**self.recipe.loss.balance, 0)
        loss = losses.segmentation_loss(scores, labels, balanced)
        return self.update("segmenter", {"cross_entropy": loss}, self.recipe.rate_at(seen))

    @torch.no_grad()
    def sheet(self, pairs: Sequence[Pair]) -> np.ndarray | None:
        """One cell a pair: the photo, its map, and the map that is read in it."""
        if min(min(pair.labels.shape) for pair in pairs) < self.segmenter.stride:
            return None
        with averaged(self, ["segmenter"]):
            cells = [self._cell(pair) for pair in common_size(pairs, self.segmenter.stride)]
        cells += [np.zeros_like(cells[0])] * (-len(cells) % ACROSS)
        rows = [np.concatenate(cells[i : i + ACROSS], axis=1) for i in range(0, len(cells), ACROSS)]
        return np.concatenate(rows)

    def _cell(self, pair: Pair) -> np.ndarray:
        found = torch.from_numpy(self._read(pair)).unsqueeze(0)
        whole = resize_labels(found, *pair.labels.shape)[0].numpy()
        return np.concatenate(
            [pair.image, colored(pair.labels, self.labels), colored(whole, self.labels)], axis=1
        )

    def _read(self, pair: Pair) -> np.ndarray:
        """The most probable class at half the pair's size: int64 (h, w)."""
        scores = self.segmenter(to_float(pair.image).unsqueeze(0).to(self.fabric.device))
        return scores[0].argmax(0).cpu().numpy()

    @torch.no_grad()
    def validate(self, pairs: Sequence[Pair]) -> dict[str, Any]:
        """mIoU and pixel accuracy of the averaged network on held-out pairs, and the IoU of every class that
        is not rare."""
        large = [pair for pair in pairs if min(pair.labels.shape) >= self.segmenter.stride]
        if not large:
            return {}
        with self._finished():
            matrices = [self._confusion(pair) for pair in large]
        found = reading(matrices, self.labels, Bootstrap(Bootstrap.LEAST))
        return {
            "pictures": len(large),
            "miou": round(found.miou.value, 4),
            "accuracy": round(found.accuracy.value, 4),
            "iou": found.by_class,
        }

    def _confusion(self, pair: Pair) -> np.ndarray:
        found = self._read(pair)
        truth = resize_labels(torch.from_numpy(pair.labels.astype(np.int64)).unsqueeze(0), *found.shape)[0]
        return confusion(truth.numpy(), found, self.labels.channels)

    @contextmanager
    def _finished(self) -> Generator[int]:
        """Inside, the network is as it is exported: averaged weights, fresh statistics. Yields the side that
        they were measured on."""
        side = native_side(self.pairs, self.segmenter.stride)
        with averaged(self, ["segmenter"]):
            refresh_statistics(self, self.segmenter, lambda batch, draws: self.segmenter(batch.real), side)
            yield side

    @torch.no_grad()
    def export(
        self, path: Path, model_id: str, name: str, licence: str, provenance: Mapping[str, Any]
    ) -> None:
        with self._finished() as side:
            spec = segmenter_spec(
                self.segmenter,
                self.labels,
                model_id=model_id,
                name=name,
                native_size=side,
                licence=licence,
                provenance=provenance,
            )
            save_segmenter(path, spec, self.segmenter)
