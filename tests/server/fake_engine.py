"""A quick, deterministic stand-in for engine.Library: each class in its colour, shaded by the pixel's style.

It keeps the interface and the checks of the real one, and can be slow, broken or paused for tests. Its
previews are without the style.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine import MAX_REGIONS, MAX_STYLE, EngineError, UnknownModel, paints_styles_by_region
from engine.device import DeviceMemory
from engine.modulation import RowCount
from models.labels import LabelSet, load_label_set
from models.spec import ModelSpec, NamedStyle

STYLE_DIM = 4
DEVICE_THREAD = "device"
NAMED_STYLES = (
    NamedStyle("noon", "Noon", (2.0, 0.5, 0.0, 0.0)),
    NamedStyle("golden-hour", "Golden hour", (-1.25, 0.0, 0.0, 3.0)),
)


def fake_spec(
    model_id: str = "fake",
    labels: LabelSet | None = None,
    style_dim: int = STYLE_DIM,
    options: dict[str, Any] | None = None,
    architecture: str = "fake",
) -> ModelSpec:
    return ModelSpec(
        id=model_id,
        name=f"{model_id.title()} colours",
        architecture=architecture,
        labels=labels or load_label_set("landscape17"),
        stride=8,
        native_size=64,
        style_dim=style_dim,
        licence="Apache-2.0",
        provenance={"made": "for tests"},
        options=options or {},
    )


class FakePainter:
    def __init__(self, library: "FakeLibrary", spec: ModelSpec, width: int, height: int) -> None:
        self.library, self.spec, self.width, self.height = library, spec, width, height
        self.labels: np.ndarray | None = None
        self.style: tuple[float, ...] = (0.0,) * spec.style_dim
        self.noise = 0
        self.regions: tuple[tuple[float, ...], ...] = ()
        self.style_plane = np.zeros((height, width), np.uint8)
        self.instances: np.ndarray | None = None
        self.painted = False
        self.exact = True
        self.colours = np.frombuffer(spec.labels.palette(), np.uint8).reshape(256, 3)

    def set_map(self, labels: np.ndarray) -> None:
        if labels.shape != (self.height, self.width) or labels.dtype != np.uint8:
            raise EngineError(f"a map of {labels.shape}", "it has another shape", "Send another.")
        self.labels = labels.copy()
        self.library.calls.append(("set_map", labels.shape))

    def apply(self, x: int, y: int, labels: np.ndarray) -> None:
        assert self.labels is not None
        height, width = labels.shape
        assert x + width <= self.width
        assert y + height <= self.height
        self.labels[y : y + height, x : x + width] = labels
        self.library.calls.append(("apply", (x, y, width, height)))

    def set_style(self, style: int | Sequence[float]) -> None:
        if isinstance(style, int):
            self.noise = style
            self.style = tuple(np.random.default_rng(style).normal(size=self.spec.style_dim).tolist())
        elif len(style) != self.spec.style_dim:
            raise EngineError(
                f"a style code of {len(style)} values",
                f"the model has {self.spec.style_dim}",
                "Send as many.",
            )
        elif max(map(abs, style), default=0) > MAX_STYLE:
            raise EngineError("the style code", f"it holds values beyond ±{MAX_STYLE:g}", "Send others.")
        else:
            self.style = tuple(style)

    def set_noise(self, seed: int) -> None:
        self.noise = seed

    def set_regions(self, codes: Sequence[Sequence[float]]) -> None:
        if codes and not paints_styles_by_region(self.spec):
            raise EngineError("regions", "the model has one style", "Send none.")
        if len(codes) > MAX_REGIONS or self.style_plane.max() > len(codes):
            raise EngineError(f"{len(codes)} regions", "numbers need others", "Send others.")
        if any(len(code) != self.spec.style_dim or max(map(abs, code)) > MAX_STYLE for code in codes):
            raise EngineError("a region's style code", "it is none of this model's", "Send others.")
        self.regions = tuple(tuple(code) for code in codes)
        self.library.calls.append(("set_regions", (len(codes),)))

    def set_style_plane(self, numbers: np.ndarray) -> None:
        if numbers.shape != (self.height, self.width):
            raise EngineError(f"styles of {numbers.shape}", "they have another shape", "Send others.")
        self._put_styles(0, 0, numbers)
        self.library.calls.append(("set_style_plane", numbers.shape))

    def apply_style_plane(self, x: int, y: int, numbers: np.ndarray) -> None:
        self._put_styles(x, y, numbers)
        self.library.calls.append(("apply_style_plane", (x, y, *numbers.shape[::-1])))

    def _put_styles(self, x: int, y: int, numbers: np.ndarray) -> None:
        if numbers.dtype != np.uint8 or numbers.max() > len(self.regions):
            raise EngineError(f"style number {numbers.max()}", "there is no such region", "Send others.")
        height, width = numbers.shape
        self.style_plane[y : y + height, x : x + width] = numbers

    def set_instances(self, instances: np.ndarray | None) -> None:
        if instances is not None and instances.shape != (self.height, self.width):
            raise EngineError(f"instances of {instances.shape}", "they have another shape", "Send others.")
        if not self.spec.options.get("instance_edges"):
            raise EngineError("an instance map", "the model reads none", "Leave it out.")
        self.instances = instances

    @property
    def batch_key(self) -> tuple[str, int, int]:
        return self.spec.id, -(-self.width // self.spec.stride), -(-self.height // self.spec.stride)

    def render(self, quality: str = "exact") -> np.ndarray:
        self.library.work(quality)
        return self.paint(quality)

    def paint(self, quality: str) -> np.ndarray:
        assert self.labels is not None
        if self.library.poison is not None and (self.labels == self.library.poison).any():
            raise RuntimeError("poisoned")
        if self.library.wedge is not None and (self.labels == self.library.wedge).any():
            threading.Event().wait()  # for ever, as a driver that does not come back
        self.exact = quality == "exact" or not (self.library.previews and self.painted)
        self.painted = True
        picture = self.colours[self.labels].astype(np.int32)
        if self.exact:
            codes = (self.style, *self.regions)
            shades = np.array([int(sum(code) * 10) for code in codes], np.int32)
            picture += shades[self.style_plane][:, :, None] + self.noise % 7
        if self.instances is not None:
            picture[:, 1:][self.instances[:, 1:] != self.instances[:, :-1]] = 0
        self.library.rendered += 1
        self.library.qualities.append(quality)
        return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8))


@dataclass
class FakeLibrary:
    """`gate` pauses rendering, `exact_gate` that of exact pictures; `seconds` slows it, `failure` is raised
    by the next `failing` renders, and every render of a map that holds `poison` fails, of one that holds
    `wedge` never ends. With `previews`, live pictures but a painter's first are previews."""

    seconds: float = 0.0
    previews: bool = False
    poison: int | None = None
    wedge: int | None = None
    cached_bytes: int = 4096
    table_rows: RowCount = field(default_factory=lambda: RowCount(found=90, computed=10))
    device_memory: DeviceMemory | None = None
    awaits: tuple[str, ...] = ("model fake: weights are loaded",)
    failure: Exception | None = None
    failing: int = 1
    warm_up_failure: Exception | None = None
    rendered: int = 0
    gate: threading.Event = field(default_factory=threading.Event)
    exact_gate: threading.Event = field(default_factory=threading.Event)
    warm_up_gate: threading.Event = field(default_factory=threading.Event)
    calls: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    qualities: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    device_name: str = "cpu"
    precision: str = "fp32"
    problems: list[str] = field(default_factory=list)
    file_problems: list[str] = field(default_factory=list)
    shed_count: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self.exact_gate.set()
        self.warm_up_gate.set()
        things = fake_spec("things", load_label_set("coco182"), 0, {"instance_edges": True})
        # Its architecture says that it paints styles by region, the option that it has an encoder of photos.
        family = fake_spec(architecture="styled-spade", options={"encoder_widths": [4]})
        named = replace(family, styles=NAMED_STYLES)
        city = fake_spec("city", load_label_set("cityscapes35"))
        self._specs = {spec.id: spec for spec in (named, city, things)}

    def add(self, spec: ModelSpec) -> None:
        """One model more, last in the list."""
        self._specs[spec.id] = spec

    @property
    def default_id(self) -> str:
        return "fake"

    def specs(self) -> list[ModelSpec]:
        return list(self._specs.values())

    def spec(self, model_id: str | None = None) -> ModelSpec:
        if (model_id or "fake") not in self._specs:
            raise UnknownModel(f"model {model_id!r}", "there is no such model", "See GET /models.")
        return self._specs[model_id or "fake"]

    def parameters(self, model_id: str | None = None) -> int:
        return len(self.spec(model_id).labels.labels)

    @property
    def loaded(self) -> list[str]:
        return [self.default_id]

    def painter(self, model: str | ModelSpec | None, width: int, height: int) -> FakePainter:
        return FakePainter(self, model if isinstance(model, ModelSpec) else self.spec(model), width, height)

    def with_room(self, work: Callable[[], Any]) -> Any:
        return work()

    def shed(self) -> int:
        self.shed_count += 1
        return self.cached_bytes

    def make_room(self, cache_mb: int) -> None:
        """It keeps no tables."""

    def render_many(self, painters: Sequence[FakePainter], quality: str = "exact") -> list[np.ndarray]:
        self.work(quality)
        self.batches.append(len(painters))
        return [painter.paint(quality) for painter in painters]

    def work(self, quality: str) -> None:
        """One use of the device."""
        assert threading.current_thread().name.startswith(DEVICE_THREAD), "rendering on another thread"
        self.gate.wait(10)
        if quality == "exact":
            self.exact_gate.wait(10)
        time.sleep(self.seconds)
        if self.failure is not None:
            failure, self.failing = self.failure, self.failing - 1
            if not self.failing:
                self.failure, self.failing = None, 1
            raise failure

    def segmenters(self) -> list[ModelSpec]:
        return [fake_spec("reader")]

    def segment(self, photo: np.ndarray, segmenter_id: str | None = None) -> np.ndarray:
        """Each pixel is the label whose colour is nearest."""
        assert segmenter_id in (None, "reader")
        self.work("exact")
        labels = fake_spec().labels.labels
        colours = np.array([label.color for label in labels], np.int32)
        nearest = np.square(photo[:, :, None].astype(np.int32) - colours).sum(3).argmin(2)
        return np.array([label.id for label in labels], np.uint8)[nearest]

    def style_of(self, photo: np.ndarray, model: str | ModelSpec | None = None) -> tuple[float, ...]:
        self.work("exact")
        return (*(photo.reshape(-1, 3).mean(0) / 255).tolist(), 0.0)

    def warm_up(self) -> None:
        self.warm_up_gate.wait(10)
        if self.warm_up_failure is not None:
            raise self.warm_up_failure
        self.awaits = ()
