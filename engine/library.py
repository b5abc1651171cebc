"""The models at hand, loaded when first used and kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.backends import backend_for
from engine.canvas import LabelMap
from engine.device import choose
from engine.errors import EngineError, UnknownModel
from engine.model import Model, Picture
from engine.modulation import TableCache
from engine.painter import Painter, Quality
from engine.plain import PlainModel
from engine.segmenting import SegmenterModel
from models.checkpoint import (
    SEGMENTERS,
    CheckpointError,
    LoadedModel,
    load,
    load_segmenter,
    parameter_count,
    read_spec,
)
from models.pix2pix import Pix2PixGenerator
from models.spec import ModelSpec

BUILTIN = Path(__file__).resolve().parent.parent / "models" / "weights"


class Library:
    """Every model in some folders, by id; earlier folders win.

    Reading a header is cheap and happens at once; weights are read when a painter first needs them.

    Args:
        directories: folders of .safetensors files, of models that paint and of segmenters, which read photos;
            folders that do not exist are passed over.
        default: id of the model to use when none is named; the first one found by default.
        device, precision: see `engine.device.choose`.
        threads: CPU threads; torch's own choice by default.
        cache_mb: most MiB of modulation tables kept, over all models.
        session_mb: most MiB that one painter keeps between pictures.

    Raises:
        EngineError: no usable model in any folder, no model called `default`, or no such device.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        default: str | None = None,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        cache_mb: int = 512,
        session_mb: int = 128,
    ) -> None:
        self._session_bytes = session_mb << 20
        if threads:
            torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = False  # equal requests must give equal bytes: no kernel swaps
        torch.backends.cudnn.deterministic = True
        self._compute = choose(device, precision)
        if self._compute.precision == "fp32":  # TF32, cuDNN's default, keeps ten bits of the 23
            torch.backends.cudnn.conv.fp32_precision = "ieee"  # pyright: ignore[reportAttributeAccessIssue]
            torch.backends.cuda.matmul.fp32_precision = "ieee"
        # Products of half-precision factors are summed in float32 to the end.
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        self._paths: dict[str, Path] = {}
        self._specs: dict[str, ModelSpec] = {}
        self._parameters: dict[str, int] = {}
        self._loaded: dict[str, Model | PlainModel] = {}
        self._segmenters: dict[str, ModelSpec] = {}
        self._segmenter_paths: dict[str, Path] = {}
        self._reading: dict[str, SegmenterModel] = {}
        self._backend, note = backend_for(self._compute)
        self._cache, self._lock = TableCache(cache_mb << 20), threading.RLock()
        self.problems: list[str] = [note] if note else []
        for path in (path for directory in directories for path in sorted(directory.glob("*.safetensors"))):
            self._add(path)
        foreign = (path for directory in directories for path in sorted(directory.glob("*.pth")))
        self.problems += [f"{path}: a PyTorch file. Import it first: scenebrush import" for path in foreign]
        if not self._specs:
            places = ", ".join(str(directory) for directory in directories)
            raise EngineError(
                "no model", f"no usable .safetensors file in {places}", "Put one there, or train one."
            )
        self.default_id = default or next(iter(self._specs))
        self.spec(self.default_id)

    @staticmethod
    def builtin(
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        extra_directory: Path | None = None,
        default: str | None = None,
        cache_mb: int = 512,
        session_mb: int = 128,
    ) -> Library:
        """The models that come with the project and, before them, those of one more folder; the default is
        the built-in one unless another is named."""
        directories = [extra_directory, BUILTIN] if extra_directory else [BUILTIN]
        default = default or _first_id(BUILTIN)
        return Library(directories, default, device, precision, threads, cache_mb, session_mb)

    def _add(self, path: Path) -> None:
        try:
            spec, parameters = read_spec(path), parameter_count(path)
        except CheckpointError as error:
            self.problems.append(str(error))
            return
        reads = spec.architecture in SEGMENTERS
        paths = self._segmenter_paths if reads else self._paths
        if spec.id in paths:
            kind = "segmenter" if reads else "model"
            self.problems.append(f"{path}: a {kind} called {spec.id!r} was already found in {paths[spec.id]}")
            return
        paths[spec.id] = path
        if reads:
            self._segmenters[spec.id] = spec
            return
        self._specs[spec.id], self._parameters[spec.id] = spec, parameters

    @property
    def device_name(self) -> str:
        return self._compute.name

    @property
    def precision(self) -> str:
        return self._compute.precision

    def specs(self) -> list[ModelSpec]:
        """All models, in the order found."""
        return list(self._specs.values())

    def spec(self, model_id: str | None = None) -> ModelSpec:
        """One model's spec; the default's for None. Raises UnknownModel."""
        found = self._specs.get(model_id or self.default_id)
        if found is None:
            raise UnknownModel(
                f"model {model_id!r}", "there is no such model", f"There are: {', '.join(self._specs)}."
            )
        return found

    def parameters(self, model_id: str | None = None) -> int:
        """How many values a model's file holds. Raises UnknownModel."""
        return self._parameters[self.spec(model_id).id]

    def path(self, model_id: str | None = None) -> Path:
        """The file of a model. Raises UnknownModel."""
        return self._paths[self.spec(model_id).id]

    def painter(self, model_id: str | None, width: int, height: int) -> Painter:
        """A new painter on a canvas of width × height pixels.

        Raises:
            UnknownModel: no such model.
            CheckpointError: the file changed or is broken.
            EngineError: a side smaller than 1.
        """
        return Painter(self._model(self.spec(model_id).id), width, height, self._session_bytes)

    def render_many(self, painters: Sequence[Painter], quality: Quality = "exact") -> list[Picture]:
        """Paint several painters' pictures, those with equal `batch_key` in one forward pass; each as if
        painted alone.

        Previews are small, and painted one by one.
        """
        if quality == "live" and any(painter.previews for painter in painters):
            return [painter.render("live") for painter in painters]
        groups: dict[tuple[str, int, int], list[int]] = {}
        for i, painter in enumerate(painters):
            groups.setdefault(painter.batch_key, []).append(i)
        pictures: dict[int, Picture] = {}
        for members in groups.values():
            painted = Painter.render_together([painters[i] for i in members])
            pictures.update(zip(members, painted, strict=True))
        return [pictures[i] for i in range(len(painters))]

    @property
    def cached_bytes(self) -> int:
        """Bytes of modulation tables that the last frame left, over all models. From any thread."""
        return self._cache.held

    @property
    def loaded(self) -> list[str]:
        """Ids of the models whose weights are in memory, in the order in which they were loaded. From any
        thread."""
        return list(self._loaded)

    def _model(self, model_id: str) -> Model | PlainModel:
        with self._lock:
            if model_id not in self._loaded:
                self._loaded[model_id] = self._ready(load(self._paths[model_id]))
            return self._loaded[model_id]

    def _ready(self, loaded: LoadedModel) -> Model | PlainModel:
        if isinstance(loaded.generator, Pix2PixGenerator):
            return PlainModel(loaded, self._backend, self._lock)
        return Model(loaded, self._backend, self._cache, self._lock)

    def style_of(self, photo: Picture, model_id: str | None = None) -> tuple[float, ...]:
        """The style code of a photo, by the model's encoder (the mean of its distribution).

        Args:
            photo: uint8 (H, W, 3), RGB, any size.

        Raises:
            UnknownModel: no such model.
            EngineError: a model without encoder, or something else than a picture.
        """
        model = self._model(self.spec(model_id).id)
        if model.encoder is None:
            raise EngineError(
                f"the style of a photo by model {model.spec.id!r}",
                "its file holds no style encoder",
                "Use a seed or a style code.",
            )
        _check_photo(photo)
        pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1).unsqueeze(0).float() / 127.5 - 1
        with self._lock, torch.inference_mode():
            mean, _ = model.encoder(pixels)
        return tuple(float(value) for value in mean[0])

    def segmenters(self) -> list[ModelSpec]:
        """All segmenters, the default one first: one that lies beside the default model, if there is any."""
        beside = self.path().parent
        return sorted(
            self._segmenters.values(), key=lambda spec: self._segmenter_paths[spec.id].parent != beside
        )

    def segmenter(self, segmenter_id: str | None = None) -> ModelSpec:
        """One segmenter's spec; the default's for None.

        Raises:
            UnknownModel: no such segmenter.
            EngineError: there is none at all.
        """
        found = self.segmenters()
        if not found:
            raise EngineError(
                "a photo's label map", "there is no segmenter", "Put a segmenter's file beside the models."
            )
        if segmenter_id is None:
            return found[0]
        if segmenter_id not in self._segmenters:
            names = ", ".join(spec.id for spec in found)
            raise UnknownModel(
                f"segmenter {segmenter_id!r}", "there is no such segmenter", f"There are: {names}."
            )
        return self._segmenters[segmenter_id]

    def segment(self, photo: Picture, segmenter_id: str | None = None) -> LabelMap:
        """The label map of a photo.

        Args:
            photo: uint8 (H, W, 3), RGB, any size.

        Returns:
            uint8 (H, W), ids of the segmenter's own label set.

        Raises:
            UnknownModel: no such segmenter.
            CheckpointError: its file changed or is broken.
            EngineError: there is no segmenter, or something else than a picture.
        """
        spec = self.segmenter(segmenter_id)
        _check_photo(photo)
        with self._lock:
            if spec.id not in self._reading:
                loaded = load_segmenter(self._segmenter_paths[spec.id])
                self._reading[spec.id] = SegmenterModel(loaded, self._compute.device)
            return self._reading[spec.id].read(photo)

    def warm_up(self) -> None:
        """Load the default model and paint once at its own size, so that the first painter waits for
        nothing."""
        self.painter(None, *self.spec().native).render()


def _check_photo(photo: Picture) -> None:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
        raise EngineError(
            f"a photo of {photo.dtype} {photo.shape}", "expected uint8 (H, W, 3)", "Convert it."
        )


def _first_id(directory: Path) -> str | None:
    """The id of a folder's first model that paints, or None."""
    for path in sorted(directory.glob("*.safetensors")):
        with contextlib.suppress(CheckpointError):
            spec = read_spec(path)
            if spec.architecture not in SEGMENTERS:
                return spec.id
    return None
