"""Contact sheets: what a model makes of the first pictures of a split, beside the truth.

python -m training.sheet MODEL DATA OUT.jpg [--split test] [--count 24]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from models.checkpoint import load
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.labels import LabelSet
from models.noise import style_from_seed
from models.spade import StyleField
from training.data import Pair, centred, read_pairs, to_float


def to_bytes(picture: Tensor) -> np.ndarray:
    """float (3, H, W) in [−1, 1] → uint8 (H, W, 3)."""
    return ((picture.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()


def colored(labels: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Class ids uint8 (H, W) → display colours uint8 (H, W, 3)."""
    return np.frombuffer(label_set.palette(), np.uint8).reshape(256, 3)[labels]


@torch.no_grad()
def paint(generator: StyledSpadeGenerator, labels: np.ndarray, code: Tensor, seed: int = 0) -> np.ndarray:
    """uint8 (H, W) class ids and a style code (D,) → uint8 (H, W, 3)."""
    device = generator.prior_mean.device
    ids = torch.from_numpy(labels.astype(np.int64)).unsqueeze(0).to(device)
    style = StyleField(code.to(device).view(1, 1, -1))
    return to_bytes(generator(ids, style, generator.noise(seed, *labels.shape))[0])


def common_size(pairs: Sequence[Pair], multiple: int) -> list[Pair]:
    """The middles of pairs, all of the largest size that every one of them has, a multiple of `multiple`."""
    height, width = (min(pair.labels.shape[axis] for pair in pairs) // multiple * multiple for axis in (0, 1))
    return [centred(pair, height, width) for pair in pairs]


@torch.no_grad()
def contact_sheet(
    generator: StyledSpadeGenerator,
    encoder: StyleEncoder,
    pairs: Sequence[Pair],
    label_set: LabelSet,
    seeds: Sequence[int] = (1,),
    across: int = 4,
) -> np.ndarray:
    """One cell a pair: label map, photo, the map in the photo's own style, then in each seed's style.

    Returns:
        uint8 (rows · H, across · (3 + len(seeds)) · W, 3); unused cells are black.
    """
    pairs = common_size(pairs, generator.stride)
    cells = [_cell(generator, encoder, pair, label_set, seeds) for pair in pairs]
    height, width, _ = cells[0].shape
    rows = math.ceil(len(cells) / across)
    sheet = np.zeros((rows * height, across * width, 3), np.uint8)
    for i, cell in enumerate(cells):
        row, column = divmod(i, across)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
    return sheet


def _cell(
    generator: StyledSpadeGenerator,
    encoder: StyleEncoder,
    pair: Pair,
    label_set: LabelSet,
    seeds: Sequence[int],
) -> np.ndarray:
    device = generator.prior_mean.device
    own, _ = encoder(to_float(pair.image).unsqueeze(0).to(device))
    drawn = [
        generator.code_from_normal(style_from_seed(seed, generator.style_dim).to(device)) for seed in seeds
    ]
    painted = [paint(generator, pair.labels, own[0].float())]
    painted += [paint(generator, pair.labels, code, seed) for seed, code in zip(seeds, drawn, strict=True)]
    return np.concatenate([colored(pair.labels, label_set), pair.image, *painted], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="label map, photo, the photo's own style, seeds' styles")
    parser.add_argument("model", type=Path, help="a .safetensors file")
    parser.add_argument("data", type=Path, help="folder of images/ and labels/, or of .tar shards")
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=["train", "validation", "test"], default="test")
    parser.add_argument("--count", type=int, default=24, help="the first so many pictures, never chosen")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--across", type=int, default=3)
    parser.add_argument("--width", type=int, default=100_000, help="reduce a wider sheet to so many pixels")
    arguments = parser.parse_args()
    model = load(arguments.model)
    pairs = read_pairs(arguments.data, arguments.split, arguments.count)
    sheet = contact_sheet(
        model.generator, model.encoder, pairs, model.spec.labels, arguments.seeds, arguments.across
    )
    picture = Image.fromarray(sheet)
    picture.thumbnail((arguments.width, picture.height))
    picture.save(arguments.out, quality=88)


if __name__ == "__main__":
    main()
