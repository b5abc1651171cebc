"""The perceptual loss of pix2pixHD and SPADE: features of a VGG-19 that was trained on photos (Wang et al.
2018, sec. 3.3; Johnson et al. 2016).

Its weights are no part of this project: torchvision's file is used where this machine has it, and fetched
only when a recipe says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VGG19_Weights

_POOL = 0
# Simonyan & Zisserman 2015, table 1, column E, as far as relu5_1: channels, and where it halves.
_LAYERS = (64, 64, _POOL, 128, 128, _POOL, 256, 256, 256, 256, _POOL, 512, 512, 512, 512, _POOL, 512)
# The layers compared and what they weigh: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1.
WEIGHTS: dict[int, float] = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what the published weights were trained with
_PUBLISHED = VGG19_Weights.IMAGENET1K_V1


class PerceptualError(ValueError):
    """VGG weights that cannot be used: says which file, what is wrong with it and what to do."""


class Perceptual(nn.Module):
    """VGG-19 as far as relu5_1, frozen, numbered as torchvision numbers its `features`."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _LAYERS:
            if width == _POOL:
                layers.append(nn.MaxPool2d(2, 2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        self.layers = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    @staticmethod
    def read(path: Path) -> Perceptual:
        """The network with the weights of a file in torchvision's format (a state dict, `features.N.weight`).

        Raises:
            PerceptualError: not such a file, or weights of another network.
        """
        network, again = Perceptual(), "Fetch torchvision's vgg19 weights again."
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            wanted = {name: state[f"features.{name}"] for name in network.layers.state_dict()}
            network.layers.load_state_dict(wanted)
        except KeyError as error:
            raise PerceptualError(f"{path}: no tensor {error} in it, so not a VGG-19. {again}") from error
        except Exception as error:  # unpickling fails in many ways
            raise PerceptualError(f"{path}: not readable as VGG-19 weights ({error}). {again}") from error
        return network.eval().requires_grad_(False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """picture (B, 3, H, W) in [−1, 1] → the compared layers' activations, from H×W down to H/16×W/16."""
        x = ((picture + 1) / 2 - self.mean) / self.std
        found: list[Tensor] = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in WEIGHTS:
                found.append(x)
        return found

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [−1, 1], sides of at least 16 → the weighted sum over layers of the mean
        absolute difference, a scalar, float32. The gradient goes to `fake` alone."""
        with torch.no_grad():
            wanted = self.features(real)
        terms = [
            weight * F.l1_loss(f.float(), r.float())
            for weight, f, r in zip(WEIGHTS.values(), self.features(fake), wanted, strict=True)
        ]
        return torch.stack(terms).sum()


def cached_weights() -> Path:
    """Where torchvision keeps its VGG-19 file on this machine, there or not."""
    name = PurePosixPath(urlsplit(_PUBLISHED.url).path).name
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def perceptual_network(file: str, *, download: bool, say: Callable[[str], None]) -> Perceptual | None:
    """The network for the perceptual loss, or None, said once, where its weights are not on this machine.

    Args:
        file: a weights file in torchvision's format; "" for torchvision's own place.
        download: whether torchvision may fetch the file (about 550 MB) if it is not there.
        say: takes one line for whoever watches.

    Raises:
        PerceptualError: a named file that is not there, or one that cannot be used or fetched.
    """
    path = Path(file).expanduser() if file else cached_weights()
    if file and not path.is_file():
        raise PerceptualError(f"{path}: there is no such file. Correct loss.vgg_file, or leave it empty.")
    if not path.is_file() and download:
        say("VGG-19: fetching torchvision's weights, about 550 MB")
        try:
            _PUBLISHED.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:  # no network; not the file that it should be
            raise PerceptualError(
                f"VGG-19's weights could not be fetched ({error}). Fetch torchvision's file another way and "
                "name it with loss.vgg_file, or set loss.vgg_download=false to train without."
            ) from error
    if path.is_file():
        return Perceptual.read(path)
    say(
        f"VGG-19: no weights at {path}, so training goes on without the perceptual loss. For it, put "
        "torchvision's file there, name one with loss.vgg_file, or set loss.vgg_download=true."
    )
    return None
