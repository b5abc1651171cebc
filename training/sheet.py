"""Contact sheets: what a model makes of the first pictures of a split, beside the truth.

python -m training.sheet MODEL DATA OUT.jpg [--split test] [--count 24]
python -m training.sheet MODEL painted OUT.jpg
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from models.checkpoint import LoadedModel, load
from models.encoder import Encoder
from models.generator import Generator, StyledSpadeGenerator
from models.labels import LabelSet, load_label_set
from models.noise import style_from_seed
from models.published import OasisGenerator, SpadeGenerator
from models.spade import StyleField
from training.data import Pair, centred, fitted, read_pairs, to_float
from training.scenes import SCENES, hand_painted

PAINTED = "landscape17"  # label set of the maps in scenes.py


@dataclass(frozen=True)
class Networks:
    """A model that is still being trained, on any device: as much of a `LoadedModel` as it takes to paint."""

    generator: Generator
    encoder: Encoder | None


Model = LoadedModel | Networks


def to_bytes(picture: Tensor) -> np.ndarray:
    """float (3, H, W) in [−1, 1] → uint8 (H, W, 3)."""
    return ((picture.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()


def colored(labels: np.ndarray, label_set: LabelSet) -> np.ndarray:
    """Class ids uint8 (H, W) → display colours uint8 (H, W, 3)."""
    return np.frombuffer(label_set.palette(), np.uint8).reshape(256, 3)[labels]


def is_random(generator: Generator) -> bool:
    """Whether a seed changes anything: a pix2pix, or a SPADE without VAE, paints one picture of one map."""
    return generator.style_dim > 0


@torch.no_grad()
def own_style(encoder: Encoder | None, photo: np.ndarray) -> Tensor | None:
    """The style code of a photo, uint8 (H, W, 3), by a model's encoder: float32 (D,), or None without one."""
    if encoder is None:
        return None
    device = next(encoder.parameters()).device
    return encoder(to_float(photo).unsqueeze(0).to(device))[0][0].float()


@torch.no_grad()
def paint(model: Model, labels: np.ndarray, code: Tensor | None = None, seed: int = 0) -> np.ndarray:
    """Paint a map with the plain networks, whatever the architecture.

    Args:
        labels: uint8 (H, W), class ids of the model's label set. Sides that the model does not paint are
            extended at the right and lower edge, and the picture is cropped, as the engine does it.
        code: the style code (D,), for OASIS its z; None draws it from the seed. Without meaning for models
            that have none.
        seed: of the noise field and, without a code, of the style.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: a map larger than the one size of a model that starts from its style code.
    """
    generator = model.generator
    device = generator.conv_img.weight.device
    height, width = labels.shape
    ids = _extended(torch.from_numpy(labels.astype(np.int64)), generator).unsqueeze(0).to(device)
    if code is None:
        code = generator.code_from_normal(style_from_seed(seed, generator.style_dim).to(device))
    return to_bytes(_forward(generator, ids, code.to(device), seed)[0, :, :height, :width])


def _extended(ids: Tensor, generator: Generator) -> Tensor:
    """A map (H, W) with its right and lower edge repeated up to the next size that the generator paints."""
    height, width = ids.shape
    if generator.start_grid is None:
        down, right = -height % generator.stride, -width % generator.stride
    else:
        down, right = (
            cells * generator.stride - side
            for cells, side in zip(generator.start_grid, ids.shape, strict=True)
        )
        if down < 0 or right < 0:
            rows, columns = (cells * generator.stride for cells in generator.start_grid)
            raise ValueError(f"a {width}×{height} map: this model paints {columns}×{rows} pixels and less")
    # (F.pad repeats edges of floats only; 255 is far from where those lose count.)
    return F.pad(ids[None, None].float(), (0, right, 0, down), mode="replicate")[0, 0].long()


def _forward(generator: Generator, ids: Tensor, code: Tensor, seed: int) -> Tensor:
    """ids int64 (1, H, W), code (D,) → (1, 3, H, W) in [−1, 1]."""
    if isinstance(generator, StyledSpadeGenerator):
        return generator(ids, StyleField(code.view(1, 1, -1)), generator.noise(seed, *ids.shape[1:]))
    if isinstance(generator, OasisGenerator):
        return generator(ids, code.unsqueeze(0))
    if isinstance(generator, SpadeGenerator):
        return generator(ids, None, code.unsqueeze(0) if generator.style_dim else None)
    return generator(ids)


def common_size(pairs: Sequence[Pair], multiple: int) -> list[Pair]:
    """The middles of pairs, all of the largest size that every one of them has, a multiple of `multiple`."""
    height, width = (min(pair.labels.shape[axis] for pair in pairs) // multiple * multiple for axis in (0, 1))
    return [centred(pair, height, width) for pair in pairs]


@torch.no_grad()
def contact_sheet(
    model: Model,
    pairs: Sequence[Pair],
    label_set: LabelSet,
    seeds: Sequence[int] = (1,),
    across: int = 4,
) -> np.ndarray:
    """One cell a pair: label map, photo, the map in the photo's own style where the model has an encoder,
    then in each seed's style; of a model without any randomness, its one picture.

    Returns:
        uint8 (rows · H, across · columns · W, 3); unused cells are black.
    """
    pairs = common_size(pairs, model.generator.stride)
    return _grid([_cell(model, pair, label_set, seeds) for pair in pairs], across)


@torch.no_grad()
def painted_sheet(model: Model, label_set: LabelSet, side: int = 256, across: int = 8) -> np.ndarray:
    """The crude maps of scenes.py, every one beside the picture of it in the style of the seed of its number.

    Returns:
        uint8 (rows · side, across · 2 · side, 3).

    Raises:
        ValueError: another label set than that of the maps.
    """
    if label_set.hash != load_label_set(PAINTED).hash:
        raise ValueError(
            f"the painted maps are in {PAINTED!r}: no model of {label_set.name!r} can paint them"
        )
    maps = [hand_painted(number, side) for number in range(len(SCENES))]
    pictures = [paint(model, ids, None, number) for number, ids in enumerate(maps)]
    cells = [
        np.concatenate([colored(ids, label_set), picture], 1)
        for ids, picture in zip(maps, pictures, strict=True)
    ]
    return _grid(cells, across)


def _grid(cells: Sequence[np.ndarray], across: int) -> np.ndarray:
    height, width, _ = cells[0].shape
    rows = math.ceil(len(cells) / across)
    sheet = np.zeros((rows * height, across * width, 3), np.uint8)
    for i, cell in enumerate(cells):
        row, column = divmod(i, across)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = cell
    return sheet


def _cell(model: Model, pair: Pair, label_set: LabelSet, seeds: Sequence[int]) -> np.ndarray:
    own = own_style(model.encoder, pair.image)
    painted = [] if own is None else [paint(model, pair.labels, own)]
    if is_random(model.generator):
        painted += [paint(model, pair.labels, None, seed) for seed in seeds]
    else:
        painted.append(paint(model, pair.labels))
    return np.concatenate([colored(pair.labels, label_set), pair.image, *painted], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="label map, photo, the photo's own style, seeds' styles")
    parser.add_argument("model", type=Path, help="a .safetensors file")
    parser.add_argument(
        "data", type=Path, help="folder of images/ and labels/, or of .tar shards; or the word painted"
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", choices=["train", "validation", "test"], default="test")
    parser.add_argument("--count", type=int, default=24, help="the first so many pictures, never chosen")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--across", type=int, default=3)
    parser.add_argument("--width", type=int, default=100_000, help="reduce a wider sheet to so many pixels")
    arguments = parser.parse_args()
    model = load(arguments.model)
    labels = model.spec.labels
    if arguments.data == Path("painted"):
        sheet = painted_sheet(model, labels, across=arguments.across)
    else:
        pairs = fitted(read_pairs(arguments.data, arguments.split, arguments.count, labels=labels), labels, 1)
        sheet = contact_sheet(model, pairs, labels, arguments.seeds, arguments.across)
    picture = Image.fromarray(sheet)
    picture.thumbnail((arguments.width, picture.height))
    picture.save(arguments.out, quality=88)


if __name__ == "__main__":
    main()
