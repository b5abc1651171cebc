"""The models at hand, loaded when first used and kept."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from engine.backends import backend_for
from engine.canvas import LabelMap
from engine.catalogue import first_id, look
from engine.device import DeviceMemory, choose, memory_of, touch
from engine.errors import EngineError, ModelChanged, UnknownModel
from engine.model import Model, Picture
from engine.modulation import RowCount, TableCache
from engine.painter import Painter, Quality
from engine.plain import PlainModel
from engine.reloading import Held, Readers, Update, paint_alike, read_again
from engine.room import give_back, with_room
from engine.segmenting import SegmenterModel
from engine.shelf import Place, Shelf
from models.checkpoint import load, load_segmenter
from models.pix2pix import Pix2PixGenerator
from models.spec import ModelSpec

BUILTIN = Path(__file__).resolve().parent.parent / "models" / "weights"
Painting = Model | PlainModel
T = TypeVar("T")


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
        max_models: most models and segmenters in memory at once; what was not used for longest makes room.

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
        max_models: int = 4,
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
        self._backend, note = backend_for(self._compute)
        self._cache_bytes = cache_mb << 20
        self._cache, self._lock = TableCache(self._cache_bytes), threading.RLock()
        self._shelf = Shelf(max_models, self._lock, self.shed)
        self.shed_count, self.shed_bytes = 0, 0
        self._directories, self._notes = list(directories), [note] if note else []
        found = look(self._directories)
        self._file_problems = found.problems
        if not found.models:
            places = ", ".join(str(directory) for directory in directories)
            raise EngineError(
                "no model", f"no usable .safetensors file in {places}", "Put one there, or train one."
            )
        readers = self._readers
        self._models = {id_: Held(one, readers.place(one)) for id_, one in found.models.items()}
        self._segmenters = {id_: Held(one, readers.segmenter(one)) for id_, one in found.segmenters.items()}
        # Those whose file has been replaced, for as long as somebody holds their spec.
        self._replaced: dict[int, tuple[weakref.ref[ModelSpec], Place[Painting]]] = {}
        self.default_id = default or next(iter(self._models))
        self.spec(self.default_id)
        self._awaits = (
            "the device answers",
            f"model {self.default_id}: weights are loaded",
            f"model {self.default_id}: kernels are ready, a first picture is painted",
        )

    @staticmethod
    def builtin(
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        extra_directory: Path | None = None,
        default: str | None = None,
        cache_mb: int = 512,
        session_mb: int = 128,
        max_models: int = 4,
    ) -> Library:
        """The models that come with the project and, before them, those of one more folder; the default is
        the built-in one unless another is named."""
        directories = [extra_directory, BUILTIN] if extra_directory else [BUILTIN]
        default = default or first_id(BUILTIN)
        return Library(directories, default, device, precision, threads, cache_mb, session_mb, max_models)

    @property
    def device_name(self) -> str:
        return self._compute.name

    @property
    def precision(self) -> str:
        return self._compute.precision

    def specs(self) -> list[ModelSpec]:
        """All models, in the order found."""
        return [held.entry.spec for held in self._models.values()]

    def spec(self, model_id: str | None = None) -> ModelSpec:
        """One model's spec; the default's for None. Raises UnknownModel.

        Whoever keeps it can paint with the weights that it was read with, also when they are replaced.
        """
        return self._held(model_id).entry.spec

    def _held(self, model_id: str | None) -> Held[Painting]:
        models = self._models
        found = models.get(model_id or self.default_id)
        if found is None:
            raise UnknownModel(
                f"model {model_id!r}", "there is no such model", f"There are: {', '.join(models)}."
            )
        return found

    def parameters(self, model_id: str | None = None) -> int:
        """How many values a model's file holds. Raises UnknownModel."""
        return self._held(model_id).entry.parameters

    def path(self, model_id: str | None = None) -> Path:
        """The file of a model. Raises UnknownModel."""
        return self._held(model_id).entry.path

    def painter(self, model: str | ModelSpec | None, width: int, height: int) -> Painter:
        """A new painter on a canvas of width × height pixels.

        Args:
            model: an id, None for the default; or what `spec` gave, for just those weights.

        Raises:
            UnknownModel: no such model.
            ModelChanged: other weights have taken the place of those, by other rules.
            CheckpointError: the file changed or is broken.
            EngineError: a side smaller than 1.
            OutOfMemory: not enough memory, even without what can be made again.
        """
        place = self._place(model)
        return self.with_room(lambda: Painter(place, width, height, self._session_bytes))

    def _place(self, model: str | ModelSpec | None) -> Place[Painting]:
        if not isinstance(model, ModelSpec):
            return self._held(model).place
        now, replaced = self._models.get(model.id), self._replaced.get(id(model))
        if now is not None and now.entry.spec is model:
            return now.place
        if replaced is not None and replaced[0]() is model:
            return replaced[1]
        # Its weights were never read, or the spec comes from another process.
        if now is not None and paint_alike(now.entry.spec, model):
            return now.place
        raise ModelChanged(
            f"model {model.id!r}", "its file has been replaced or removed", "Fetch /models again."
        )

    def render_many(self, painters: Sequence[Painter], quality: Quality = "exact") -> list[Picture]:
        """Paint several painters' pictures, those with equal `batch_key` in one forward pass; each as if
        painted alone.

        Previews are small, and painted one by one.
        """
        if quality == "live" and any(painter.previews for painter in painters):
            return [painter.render("live") for painter in painters]
        groups: dict[object, list[int]] = {}
        for i, painter in enumerate(painters):
            groups.setdefault((painter.place, painter.batch_key), []).append(i)
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
    def _readers(self) -> Readers:
        """How places of files are made."""
        return Readers(self._shelf, self._read, self._read_segmenter)

    @property
    def table_rows(self) -> RowCount:
        """Rows of modulation tables that were found and that were computed, over all models. From any
        thread."""
        return self._cache.rows

    @property
    def device_memory(self) -> DeviceMemory | None:
        """What torch holds of a GPU's memory; None where pictures are painted on the CPU. From any thread."""
        return memory_of(self._compute.device)

    @property
    def awaits(self) -> tuple[str, ...]:
        """What `warm_up` has yet to bring about, in its order, in words; empty once it is through. From any
        thread."""
        return self._awaits

    def _read(self, path: Path) -> Painting:
        loaded = load(path)
        if isinstance(loaded.generator, Pix2PixGenerator):
            return PlainModel(loaded, self._backend, self._lock)
        return Model(loaded, self._backend, self._cache, self._lock)

    def _read_segmenter(self, path: Path) -> SegmenterModel:
        return SegmenterModel(load_segmenter(path), self._compute.device)

    # Memory

    def make_room(self, cache_mb: int) -> None:
        """Keep that many MiB of modulation tables from the next frame on, if that is more than the library
        was made with: many painters use more of them at a time. From any thread."""
        self._cache.budget = max(self._cache_bytes, cache_mb << 20)

    def shed(self) -> int:
        """Let go of everything that can be made again: tables, previews, noise fields, working memory,
        recordings. How many bytes that was. Waits for the picture that is being painted; from any thread."""
        with self._lock:
            freed = sum(place.let_go() for place in self._shelf.places()) + self._cache.clear()
            self.shed_count, self.shed_bytes = self.shed_count + 1, self.shed_bytes + freed
        give_back(self._compute.device)
        return freed

    def with_room(self, work: Callable[[], T]) -> T:
        """Do some work on the device that may be begun again; if memory runs out, shed, and do it once more.
        Raises OutOfMemory."""
        return with_room(work, self.shed)

    @property
    def loaded(self) -> list[str]:
        """Ids of the models and segmenters in memory."""
        held = (*self._models.values(), *self._segmenters.values())
        return [one.entry.spec.id for one in held if one.place.loaded]

    def unload(self, model_id: str) -> bool:
        """Take a model out of memory; its painters read it again when they paint next. Waits for the picture
        that is being painted. Whether it was there, and could go. Raises UnknownModel."""
        return self._held(model_id).place.unload()

    # Other files

    @property
    def problems(self) -> list[str]:
        """Why files were passed over, and what makes painting slow here."""
        return [*self._notes, *self._file_problems]

    @property
    def file_problems(self) -> list[str]:
        """Why files were passed over, for whoever may not know where they lie."""
        folders = [f"{directory}/" for directory in self._directories]
        problems = self._file_problems
        for folder in folders:
            problems = [problem.replace(folder, "") for problem in problems]
        return problems

    def look_again(self) -> Update:
        """Look through the folders again, and read what takes the place of models in memory. Beside the
        device's thread; nothing changes before `adopt`."""
        return read_again(
            look(self._directories),
            self._models,
            self._segmenters,
            self.default_id,
            self._readers,
            self.with_room,
        )

    def adopt(self, update: Update) -> None:
        """Paint with the files as they were found, from the next picture on. Between two pictures."""
        with self._lock:
            for spec, place in update.replaced(self._models):
                key = id(spec)
                over = partial(self._forget_replaced, key)
                self._replaced[key] = weakref.ref(spec, over), place
                place.fix()
            self._models, self._segmenters = update.models, update.segmenters
            self._file_problems = update.problems

    def _forget_replaced(self, key: int, _gone: object) -> None:
        self._replaced.pop(key, None)

    # Reading photos

    def style_of(self, photo: Picture, model: str | ModelSpec | None = None) -> tuple[float, ...]:
        """The style code of a photo, by the model's encoder (the mean of its distribution).

        Args:
            photo: uint8 (H, W, 3), RGB, any size. model: as for `painter`.

        Raises:
            UnknownModel, ModelChanged, OutOfMemory: as for `painter`.
            EngineError: a model without encoder, or something else than a picture.
        """
        return self.with_room(lambda: self._style_of(photo, self._place(model)))

    def _style_of(self, photo: Picture, place: Place[Painting]) -> tuple[float, ...]:
        with self._lock, torch.inference_mode():
            model = place.take()
            if model.encoder is None:
                raise EngineError(
                    f"the style of a photo by model {model.spec.id!r}",
                    "its file holds no style encoder",
                    "Use a seed or a style code.",
                )
            _check_photo(photo)
            pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1).unsqueeze(0).float() / 127.5 - 1
            mean, _ = model.encoder(pixels)
        return tuple(float(value) for value in mean[0])

    def segmenters(self) -> list[ModelSpec]:
        """All segmenters, the default one first: one that lies beside the default model, if there is any."""
        beside = self.path().parent
        found = sorted(self._segmenters.values(), key=lambda held: held.entry.path.parent != beside)
        return [held.entry.spec for held in found]

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
        return self._segmenters[segmenter_id].entry.spec

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
            OutOfMemory: as for `painter`.
        """
        place = self._segmenters[self.segmenter(segmenter_id).id].place
        _check_photo(photo)
        return self.with_room(lambda: self._segment(photo, place))

    def _segment(self, photo: Picture, place: Place[SegmenterModel]) -> LabelMap:
        with self._lock:
            return place.take().read(photo)

    def warm_up(self) -> None:
        """Load the default model and paint once at its own size, so that the first painter waits for
        nothing. `awaits` says how far it is."""
        touch(self._compute.device)
        self._awaits = self._awaits[-2:]
        painter = self.painter(None, *self.spec().native)
        self._awaits = self._awaits[-1:]
        painter.render()
        self._awaits = ()


def _check_photo(photo: Picture) -> None:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
        raise EngineError(
            f"a photo of {photo.dtype} {photo.shape}", "expected uint8 (H, W, 3)", "Convert it."
        )
