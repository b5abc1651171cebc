"""A semantic segmenter of the transformers library, read from a folder. Needs the extra `segment`."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from engine.errors import EngineError

WEIGHTS: Final = "model.safetensors"
CONFIG: Final = "config.json"
SHORT_SIDE: Final = 512
"""Photos are brought to this shorter side, as at training (mmsegmentation's configuration for ADE20K)."""
LONG_SIDE: Final = 1024
# What ImageNet's pictures have, and every network that began with them expects.
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)


def available() -> bool:
    """Whether the extra `segment` is installed; nothing is imported."""
    return importlib.util.find_spec("transformers") is not None


class PretrainedSegmenter:
    """Photo → class numbers, by a network whose folder holds `config.json` and `model.safetensors`.

    Nothing in the folder is run, and nothing is fetched.

    Args:
        folder: what `transformers`' save_pretrained writes.
        classes: how many classes it must have.
        device: a torch device.

    Raises:
        EngineError: the extra is not installed, the folder holds no such network, or another number of
            classes.
    """

    def __init__(self, folder: Path, classes: int, device: str = "cpu") -> None:
        if not available():
            raise EngineError(
                "the pretrained segmenter",
                "the library transformers is not installed",
                "Install it: pip install 'scenebrush[segment]'",
            )
        missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
        if missing:
            raise _unusable(folder, f"it lacks {' and '.join(missing)}")
        found = class_names(folder)
        if len(found) != classes:
            raise _unusable(folder, f"it tells {len(found)} classes apart, not {classes}")
        self._classes, self._device = classes, device
        self._network = _load(folder).eval().requires_grad_(False).to(device)

    def read(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """uint8 RGB (H, W, 3) → class numbers, uint8 (H, W)."""
        pixels = torch.from_numpy(np.ascontiguousarray(photo)).to(self._device)
        x = pixels.permute(2, 0, 1)[None].float() / 255  # (1, 3, H, W)
        x = F.interpolate(x, size=_size(photo.shape), mode="bilinear", antialias=True, align_corners=False)
        mean = x.new_tensor(_MEAN).view(1, 3, 1, 1)
        deviation = x.new_tensor(_DEVIATION).view(1, 3, 1, 1)
        with torch.inference_mode():
            scores = self._network(pixel_values=(x - mean) / deviation).logits  # (1, classes, h, w)
            best = scores.argmax(1, keepdim=True).float()
            labels = F.interpolate(best, size=photo.shape[:2], mode="nearest-exact")
        return labels[0, 0].to(torch.uint8).cpu().numpy()


def class_names(folder: Path) -> Sequence[str]:
    """The classes that a folder's configuration names, in their order; empty if it names none."""
    try:
        config = cast("Mapping[str, Any]", json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        names = {int(number): str(name) for number, name in config["id2label"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()
    return [names[number] for number in sorted(names)] if sorted(names) == list(range(len(names))) else ()


def _load(folder: Path) -> Any:
    transformers = importlib.import_module("transformers")
    try:
        return transformers.AutoModelForSemanticSegmentation.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except Exception as error:
        # Whatever the library says of files that we did not write: they are no such network.
        raise _unusable(folder, f"transformers does not load it ({type(error).__name__})") from error


def _unusable(folder: Path, why: str) -> EngineError:
    return EngineError(
        f"the pretrained segmenter in {folder}", why, "Fetch it again: scenebrush segmenter fetch --force"
    )


def _size(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width at which a photo is read: multiples of 32, its shape kept."""
    height, width = shape[:2]
    scale = min(SHORT_SIDE / min(height, width), LONG_SIDE / max(height, width))
    sides = [max(64, round(side * scale / 32) * 32) for side in (height, width)]
    return sides[0], sides[1]
