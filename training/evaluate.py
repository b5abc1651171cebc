"""Does a picture show what its map says? A segmenter that was trained on real pairs reads generated pictures.

    python -m training.evaluate MODEL SEGMENTER DATA [--split test]

prints mean intersection over union and pixel accuracy of the segmenter's reading, for the real pictures (the
floor of its own mistakes) and for pictures generated from the same maps, each in its own photo's style.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.checkpoint import LoadedModel, load
from models.labels import LabelSet
from models.segmenter import UNet
from models.spade import resize_labels
from training.data import Pair, read_pairs, to_float
from training.sheet import common_size, paint

RARE = 0.002  # classes with a smaller share of the pixels are left out of the mean, and named


@dataclass(frozen=True)
class Reading:
    """What the segmenter made of pictures: mIoU and accuracy in 0…1, IoU by class name, classes left out."""

    miou: float
    accuracy: float
    by_class: dict[str, float]
    left_out: list[str]


def confusion(truth: np.ndarray, found: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by (true class, found class): int64 (classes, classes)."""
    pairs = truth.astype(np.int64).ravel() * classes + found.astype(np.int64).ravel()
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def reading(matrix: np.ndarray, labels: LabelSet) -> Reading:
    """Scores of a confusion matrix (Long et al. 2015, sec. 5); pixels of the ignored class do not count."""
    matrix = matrix.copy()
    if labels.ignore is not None:
        matrix[labels.ignore] = 0
    hits, truth, found = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    share = truth / max(truth.sum(), 1)
    iou = hits / np.maximum(truth + found - hits, 1)
    names = {label.id: label.name for label in labels.labels if label.id != labels.ignore}
    kept = [number for number in names if share[number] >= RARE]
    return Reading(
        miou=float(np.mean(iou[kept])) if kept else 0.0,
        accuracy=float(hits.sum() / max(truth.sum(), 1)),
        by_class={names[number]: round(float(iou[number]), 4) for number in kept},
        left_out=[names[number] for number in names if number not in kept],
    )


@torch.no_grad()
def read_pictures(
    segmenter: UNet, pairs: Sequence[Pair], picture: Callable[[Pair], Tensor], labels: LabelSet
) -> Reading:
    """Let the segmenter read `picture(pair)`, float (3, H, W) in [−1, 1], hold it against the pair's map."""
    matrix = np.zeros((labels.channels, labels.channels), np.int64)
    for pair in pairs:
        scores = segmenter(picture(pair).unsqueeze(0))
        truth = resize_labels(torch.from_numpy(pair.labels.astype(np.int64)).unsqueeze(0), *scores.shape[-2:])
        matrix += confusion(truth.numpy(), scores.argmax(1).numpy(), labels.channels)
    return reading(matrix, labels)


def evaluate(model: LoadedModel, segmenter: UNet, pairs: Sequence[Pair]) -> dict[str, Reading]:
    """Readings of the real pictures and of pictures generated from their maps in their own styles."""
    labels = model.spec.labels
    pairs = common_size(pairs, math.lcm(model.generator.stride, segmenter.stride))

    def generated(pair: Pair) -> Tensor:
        code, _ = model.encoder(to_float(pair.image).unsqueeze(0))
        return to_float(paint(model.generator, pair.labels, code[0]))

    return {
        "real": read_pictures(segmenter, pairs, lambda pair: to_float(pair.image), labels),
        "generated": read_pictures(segmenter, pairs, generated, labels),
    }


def load_segmenter(path: Path, classes: int) -> UNet:
    """A run's `segmenter.pt`, built as the `recipe.json` beside it says, in evaluation mode."""
    recipe = json.loads((path.parent / "recipe.json").read_text())
    segmenter = UNet(classes, recipe["segmenter_widths"])
    segmenter.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return segmenter.eval().requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description="mIoU of a segmenter on real and on generated pictures")
    parser.add_argument("model", type=Path, help="a .safetensors file")
    parser.add_argument("segmenter", type=Path, help="a run's segmenter.pt")
    parser.add_argument("data", type=Path, help="folder of images/ and labels/, or of .tar shards")
    parser.add_argument("--split", choices=["train", "validation", "test"], default="validation")
    parser.add_argument("--limit", type=int, default=None, help="only the first so many pictures")
    arguments = parser.parse_args()
    model = load(arguments.model)
    segmenter = load_segmenter(arguments.segmenter, model.spec.labels.channels)
    pairs = read_pairs(arguments.data, arguments.split, arguments.limit)
    readings = evaluate(model, segmenter, pairs)
    document = {"split": arguments.split, "pictures": len(pairs)} | {
        k: asdict(v) for k, v in readings.items()
    }
    document["ratio"] = readings["generated"].miou / max(readings["real"].miou, 1e-9)
    print(json.dumps(document, indent=1))  # noqa: T201 – the command's answer


if __name__ == "__main__":
    main()
