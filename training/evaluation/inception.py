"""FID, KID and IS: the figures of that name, from the network that they are defined with, or none at all.

The weights are not part of the project. They are read from a file, or fetched when that is asked for, and
must be the published ones to the byte. The metrics are torchmetrics'; both come with the extra `evaluate`.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
DOWNLOAD = "download"


class InceptionError(ValueError):
    """FID cannot be computed here: says what is missing and how to get it."""


@dataclass(frozen=True)
class Scores:
    """Frechet inception distance (Heusel et al. 2017), kernel inception distance over all pairs (Bińkowski et
    al. 2018), inception score of one split (Salimans et al. 2016)."""

    fid: float
    kid: float
    inception_score: float


class Inception(nn.Module):
    """The published network: uint8 pictures → its last pooled features and its class scores.

    Args:
        weights: path of the published file, or `DOWNLOAD` to fetch it into torch's own cache.

    Raises:
        InceptionError: the extra is not installed, there is no such file, or it is another one.
    """

    def __init__(self, weights: str, device: torch.device | str = "cpu") -> None:
        super().__init__()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import (  # noqa: PLC0415 – an extra
                URL_INCEPTION_V3,
                FeatureExtractorInceptionV3,
            )
        except ImportError as error:
            raise InceptionError(
                "FID, KID and IS need torchmetrics: pip install 'scenebrush[evaluate]'"
            ) from error
        path = _downloaded(URL_INCEPTION_V3) if weights == DOWNLOAD else Path(weights)
        # Before anything of the file is read: it is a pickle, and torch-fidelity would run what it holds.
        check_weights(path)
        self._network = FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        ).to(device)
        self._device = device

    @torch.inference_mode()
    def forward(self, picture: np.ndarray) -> tuple[Tensor, Tensor]:
        """uint8 (H, W, 3) → features (2048,) and logits without bias (1008,), float32 on the CPU."""
        pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0).to(self._device)
        features, logits = self._network(pixels)
        return features[0].cpu(), logits[0].cpu()


def check_weights(path: Path) -> None:
    """Raises InceptionError unless a file holds the published weights, to the byte."""
    if not path.is_file():
        raise InceptionError(f"no file at {path}: name the published Inception weights, or say {DOWNLOAD!r}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != SHA256:
        raise InceptionError(
            f"{path} is not the published Inception network (SHA-256 {found[:9]}…, expected {SHA256[:9]}…): "
            "a distance from other weights would be no FID. Fetch the file again, or leave --inception out"
        )


def _downloaded(url: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=SHA256, progress=False)
    return path


class _Ready(nn.Module):
    """Stands where torchmetrics expects a network, and passes on features that were computed before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        return features


def scores(real: tuple[Tensor, Tensor], generated: tuple[Tensor, Tensor]) -> Scores:
    """The three figures from features (n, D) and logits (n, K), of real and of generated pictures."""
    from torchmetrics.image.fid import FrechetInceptionDistance  # noqa: PLC0415 – an extra
    from torchmetrics.image.inception import InceptionScore  # noqa: PLC0415
    from torchmetrics.image.kid import KernelInceptionDistance  # noqa: PLC0415

    n, width = min(len(real[0]), len(generated[0])), real[0].shape[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of memory, and of the deviation of a single split
        fid = FrechetInceptionDistance(feature=_Ready(width))
        kid = KernelInceptionDistance(feature=_Ready(width), subsets=1, subset_size=n)
        inception_score = InceptionScore(feature=_Ready(generated[1].shape[1]), splits=1)
        for metric in (fid, kid):
            metric.update(real[0], real=True)
            metric.update(generated[0], real=False)
        inception_score.update(generated[1])
        return Scores(
            fid=float(fid.compute()),
            kid=float(kid.compute()[0]),
            inception_score=float(inception_score.compute()[0]),
        )
