"""The one door to a model: a label map, a style and a noise field go in, a picture comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, SupportsIndex, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from engine.arguments import Values, are_within, array_of, whole_number
from engine.canvas import Canvas, InstanceMap, LabelMap
from engine.errors import EngineError
from engine.model import Model, Picture, Style
from engine.plain import PlainModel
from engine.preview import Preview
from engine.regions import MAX_REGIONS, StylePlane, paints_styles_by_region
from engine.room import with_room
from engine.shelf import Place
from models.noise import style_from_seed
from models.spec import MAX_STYLE

MAX_SEED = 2**32 - 1
LEAST_FOR_BLENDS = 8 << 20  # bytes that a painter may keep of blends of styles, however small its budget
Quality = Literal["exact", "live"]


class Painter:
    """Paints one label map, in one style or in several by region. Each painter is for one thread at a time;
    several may paint at once, and take turns.

    Equal map, styles, noise seed, model, device, precision and thread count give equal bytes, whatever was
    painted before.

    Args:
        model: the checkpoint, ready to paint, or its place in memory, where it is read again when it had to
            make room; of a `PlainModel`, style and noise change nothing.
        width, height: size of the map and of the picture in pixels; any size, painted on the next multiple of
            the model's stride and cropped.
        session_bytes: most that may be kept between pictures for live previews.

    Raises:
        EngineError: a side smaller than 1, or a size that the model cannot paint.
    """

    def __init__(
        self,
        model: Model | PlainModel | Place[Model | PlainModel],
        width: int,
        height: int,
        session_bytes: int = 0,
    ) -> None:
        self._place = model if isinstance(model, Place) else Place[Model | PlainModel].of(model, model.lock)
        model = self._place.take()
        self.spec = model.spec
        self.width, self.height = width, height
        self._known = np.zeros(256, bool)
        self._known[[label.id for label in self.spec.labels.labels]] = True
        self._canvas = model.canvas(width, height)
        self._style = Style(torch.zeros(self.spec.style_dim))
        self._session_bytes = session_bytes
        self._preview: Preview | None = None
        self._previewed: tuple[Style, int] | None = None  # the style and seed of what the preview holds
        self._exact = True
        self.set_style(0)
        self._place.join(self)

    @property
    def place(self) -> Place[Model | PlainModel]:
        """Where the model lies that it paints with."""
        return self._place

    @property
    def _model(self) -> Model | PlainModel:
        return self._place.take()

    def let_go(self) -> int:
        """Forget what follows from map and style, previews included; how many bytes that was. From any
        thread, with the model's lock."""
        preview = 0 if self._preview is None else self._preview.nbytes
        self._preview = self._previewed = None
        self._style.posts = {}
        return preview + self._canvas.let_go()

    @property
    def labels(self) -> LabelMap:
        """A copy of the label map, uint8 (H, W)."""
        return self._canvas.labels.copy()

    @property
    def style(self) -> tuple[float, ...]:
        """The painter's own style code; the mean where every pixel has one (`set_style_field`)."""
        return _numbers(self._style.code)

    @property
    def regions(self) -> tuple[tuple[float, ...], ...]:
        """The style codes of regions: numbers 1, 2 … of the style plane."""
        return tuple(_numbers(code) for code in self._style.regions)

    @property
    def style_plane(self) -> StylePlane:
        """A copy of the style plane, uint8 (H, W)."""
        plane = self._canvas.style_plane
        return np.zeros((self.height, self.width), np.uint8) if plane is None else plane.copy()

    @property
    def exact(self) -> bool:
        """Whether the last picture was the whole frame at the chosen precision, not a preview."""
        return self._exact

    @property
    def previews(self) -> bool:
        """Whether a live picture may be a preview: not on a GPU, and not for every model."""
        return self._model.previews

    @property
    def batch_key(self) -> tuple[str, int, int]:
        """Painters with equal keys can be painted together: model, and size of the padded canvas."""
        height, width = self._canvas.padded
        return self.spec.id, width, height

    def set_map(self, labels: LabelMap) -> None:
        """Replace the whole map.

        Args:
            labels: uint8 (H, W), ids of the model's label set.

        Raises:
            EngineError: another shape or type, or an id that the model does not know; the map stays as it
            was.
        """
        labels = array_of(labels, "the map")
        if labels.shape != (self.height, self.width):
            raise EngineError(
                f"a map of {labels.shape}",
                f"the canvas is ({self.height}, {self.width})",
                "Send one of its size.",
            )
        self.apply(0, 0, labels)

    def apply(self, x: SupportsIndex, y: SupportsIndex, labels: LabelMap) -> None:
        """Replace a rectangle of the map.

        Args:
            x, y: its left and top edge in pixels.
            labels: uint8 (h, w).

        Raises:
            EngineError: not inside the canvas, another type, or an unknown id; the map stays as it was.
        """
        x, y, labels = self._checked_patch(x, y, labels, "labels")
        self._check_ids(labels)
        self._canvas.put(x, y, labels)

    def _checked_patch(
        self, x: SupportsIndex, y: SupportsIndex, values: NDArray[np.uint8], what: str
    ) -> tuple[int, int, NDArray[np.uint8]]:
        """A rectangle of a plane of bytes, and where it goes."""
        x, y, values = whole_number(x, "x"), whole_number(y, "y"), array_of(values, "the patch")
        if values.ndim != 2 or values.dtype != np.uint8:
            raise EngineError(
                f"{what} of type {values.dtype} {values.shape}", "expected uint8 (h, w)", "Convert them."
            )
        height, width = values.shape
        if not (x >= 0 and y >= 0 and x + width <= self.width and y + height <= self.height and values.size):
            raise EngineError(
                f"a patch of {width}×{height} at ({x}, {y})",
                f"it does not lie inside the canvas of {self.width}×{self.height}",
                "Send a rectangle inside it.",
            )
        return x, y, values

    def _check_ids(self, labels: LabelMap) -> None:
        if self._known[labels].all():
            return
        counts = np.bincount(labels.ravel(), minlength=256)
        unknown = int(np.flatnonzero((counts > 0) & ~self._known)[0])
        raise EngineError(
            f"class id {unknown} ({counts[unknown]} pixels)",
            f"the label set {self.spec.labels.name!r} has no such id",
            f"Use its ids, {min(self.spec.labels.by_id)}…{max(self.spec.labels.by_id)}.",
        )

    def set_style(self, style: SupportsIndex | Values) -> None:
        """Set the light: of the whole picture, but for regions that have a style of their own.

        Args:
            style: a seed, 0 … MAX_SEED, which sets the style code drawn from it and the noise field; or a
                style code of `spec.style_dim` finite values, which leaves the noise as it is. Sequences,
                arrays and tensors will do; of these, one without dimensions is a seed.

        Raises:
            EngineError: a seed out of range, or a code of another length or with values that are not finite.
        """
        if isinstance(style, Sequence) or (isinstance(style, np.ndarray | torch.Tensor) and style.ndim):
            self._style = Style(self._checked_code(style), self._style.seed, self._style.regions)
            return
        seed = self._checked_seed(style)
        normal = style_from_seed(seed, self.spec.style_dim)
        self._style = Style(self._model.network.code_from_normal(normal), seed, self._style.regions)

    def set_regions(self, codes: Sequence[Values]) -> None:
        """Choose the styles that regions can take: numbers 1, 2 … of the style plane.

        Args:
            codes: at most `MAX_REGIONS` style codes, as `set_style` takes them.

        Raises:
            EngineError: too many, one that `set_style` would refuse, fewer than the style plane names, or a
                model without styles by region; everything stays as it was.
        """
        if len(codes) > MAX_REGIONS:
            raise EngineError(
                f"{len(codes)} regional styles", f"there are at most {MAX_REGIONS}", "Send fewer."
            )
        if len(codes):
            self._check_paints_styles_by_region()
        checked = tuple(self._checked_code(code) for code in codes)
        if self._canvas.style_plane is not None:
            self._check_style_numbers(self._canvas.style_plane, len(checked))
        self._style = Style(self._style.code, self._style.seed, checked, self._style.per_pixel)

    def set_style_plane(self, numbers: StylePlane) -> None:
        """Say for every pixel which style it takes; at first it is the painter's own everywhere.

        Where two styles meet, one gives way to the other over a sixteenth of the shorter side in the built-in
        family (`engine.regions`), and at once in OASIS.

        Args:
            numbers: uint8 (H, W): 0 for the painter's own style (`set_style`), k for the k-th of
                `set_regions`.

        Raises:
            EngineError: another shape or type, a number beyond the regions, or a model without styles by
                region; everything stays as it was.
        """
        numbers = array_of(numbers, "the style plane")
        if numbers.shape != (self.height, self.width):
            raise EngineError(
                f"a style plane of {numbers.shape}",
                f"the canvas is ({self.height}, {self.width})",
                "Send one of its size.",
            )
        self.apply_style_plane(0, 0, numbers)

    def apply_style_plane(self, x: SupportsIndex, y: SupportsIndex, numbers: StylePlane) -> None:
        """Replace a rectangle of the style plane.

        Args:
            x, y: its left and top edge in pixels.
            numbers: uint8 (h, w), as in `set_style_plane`.

        Raises:
            EngineError: not inside the canvas, or as in `set_style_plane`; everything stays as it was.
        """
        x, y, numbers = self._checked_patch(x, y, numbers, "style numbers")
        if numbers.any():
            self._check_paints_styles_by_region()
        self._check_style_numbers(numbers, len(self._style.regions))
        self._canvas.put_styles(x, y, numbers)

    def _check_paints_styles_by_region(self) -> None:
        if not paints_styles_by_region(self.spec):
            raise EngineError(
                "styles by region", f"model {self.spec.id!r} has one style at a time", "Use set_style."
            )

    @staticmethod
    def _check_style_numbers(numbers: StylePlane, regions: int) -> None:
        if numbers.max() <= regions:
            return
        number = int(numbers.max())
        raise EngineError(
            f"style number {number} ({np.count_nonzero(numbers == number)} pixels)",
            f"there are {regions} regional styles",
            f"Use numbers 0…{regions}, or set_regions first.",
        )

    def set_style_field(self, field: NDArray[np.float32]) -> None:
        """Give every pixel a style of its own, for models whose labels and style are read together (OASIS).

        It stands in place of the painter's own style and those of regions until `set_style`. No table can
        hold it: every norm is convolved, which takes several times as long.

        Args:
            field: float32 (D, H, W), finite.

        Raises:
            EngineError: another model, shape or type, or values out of range; the style stays as it was.
        """
        if not self._model.network.styled_labels:
            raise EngineError(
                "a style field", f"model {self.spec.id!r} has no style for each pixel", "Use set_style."
            )
        field, shape = array_of(field, "the style field"), (self.spec.style_dim, self.height, self.width)
        if field.shape != shape or not are_within(field, MAX_STYLE):
            raise EngineError(
                f"a style field of {field.dtype} {field.shape}",
                f"expected {shape}, finite values within ±{MAX_STYLE:g}",
                "Send such a one.",
            )
        height, width = self._canvas.padded
        around = ((0, 0), (0, height - self.height), (0, width - self.width))
        values = field.astype(np.float32)
        mean, per_pixel = values.mean((1, 2)), np.pad(values, around, mode="edge")
        own, regions = torch.from_numpy(mean), self._style.regions
        self._style = Style(own, self._style.seed, regions, torch.from_numpy(per_pixel))

    def _checked_code(self, style: Values) -> torch.Tensor:
        code = array_of(style, "the style code")
        if code.shape != (self.spec.style_dim,):
            found = f"{code.size} values" if code.ndim == 1 else f"shape {code.shape}"
            raise EngineError(
                f"a style code of {found}", f"the model has {self.spec.style_dim} values", "Send as many."
            )
        if not are_within(code, MAX_STYLE):
            raise EngineError(
                "the style code",
                f"it holds values that are no numbers, not finite or beyond ±{MAX_STYLE:g}",
                "Send others.",
            )
        return torch.from_numpy(code.astype(np.float32))

    def set_noise(self, seed: SupportsIndex) -> None:
        """Choose the noise field: the small shapes inside regions, at fixed places.

        Raises:
            EngineError: anything but a whole number from 0 to MAX_SEED; the noise stays as it was.
        """
        self._style.seed = self._checked_seed(seed)

    @staticmethod
    def _checked_seed(seed: object) -> int:
        number = whole_number(seed, "seed")
        if not 0 <= number <= MAX_SEED:
            raise EngineError(
                f"seed {number}", f"seeds are whole numbers from 0 to {MAX_SEED}", "Choose one of those."
            )
        return number

    def set_instances(self, instances: InstanceMap | None) -> None:
        """Say which pixels belong to one thing, for models that read the edges between things.

        Args:
            instances: uint16 (H, W), or None: every class is one thing, so that edges stand on label borders.

        Raises:
            EngineError: another shape or type, or a model that reads no instance edges.
        """
        if instances is None:
            self._canvas.put_instances(None)
            return
        instances = array_of(instances, "the instance map")
        if not self._model.network.instance_edges:
            raise EngineError("an instance map", f"model {self.spec.id!r} reads none", "Leave it out.")
        if instances.shape != (self.height, self.width) or instances.dtype != np.uint16:
            raise EngineError(
                f"an instance map of {instances.dtype} {instances.shape}",
                f"expected uint16 ({self.height}, {self.width})",
                "Send one of the canvas's size.",
            )
        self._canvas.put_instances(instances.copy())

    def render(self, quality: Quality = "exact") -> Picture:
        """Paint: uint8 (H, W, 3), RGB.

        Args:
            quality: "exact", the whole frame at the chosen precision; or "live", which may repaint only near
                what changed since the last picture. `exact` says afterwards which it was.

        Raises:
            EngineError: another quality.
            OutOfMemory: not enough memory, even without what can be made again; map and style stay.
        """
        if quality not in get_args(Quality):
            raise EngineError(
                f"quality {quality!r}", f"there are {' and '.join(get_args(Quality))}", "Choose one of those."
            )
        return with_room(self._render_live if quality == "live" else self._render_exact, self._place.shed)

    @staticmethod
    def render_together(painters: Sequence[Painter]) -> list[Picture]:
        """Exact pictures of painters of one model, those of one size in one forward pass where they can be.

        Raises:
            ValueError: painters of several models.
            OutOfMemory: as for `render`.
        """
        if len(painters) == 1:
            return [painters[0].render()]
        return with_room(lambda: Painter._render_batch(painters), painters[0].place.shed)

    @staticmethod
    def _render_batch(painters: Sequence[Painter]) -> list[Picture]:
        with painters[0].place.lock:
            models, canvases, styles = zip(*(painter._parts for painter in painters), strict=True)  # noqa: SLF001
            if len(set(models)) != 1:
                raise ValueError("painters of several models")
            for painter in painters:
                painter._previewed = None  # noqa: SLF001
            pictures = models[0].paint_many(canvases, styles)
            for painter in painters:
                painter._keep_within_budget()  # noqa: SLF001
                painter._exact = True  # noqa: SLF001
        return pictures

    @property
    def _parts(self) -> tuple[Model | PlainModel, Canvas, Style]:
        return self._model, self._canvas, self._style

    def _render_exact(self) -> Picture:
        with self._place.lock:
            model = self._place.take()
            self._previewed = None  # until it is painted, the preview's activations are of no frame
            picture = model.paint(self._canvas, self._style, self._preview)
            self._keep_within_budget()
            self._exact, self._previewed = True, (self._style, self._style.seed)
            return picture

    def _render_live(self) -> Picture:
        with self._place.lock:
            model = self._place.take()
            if self._preview is None:
                self._preview = model.preview(self._canvas, self._session_bytes)
                self._previewed = None
            if self._preview is None or self._previewed != (self._style, self._style.seed):
                return self._render_exact()
            held, self._previewed = self._previewed, None
            picture = model.paint_near_change(self._canvas, self._style, self._preview)
            if picture is None:
                return self._render_exact()
            self._keep_within_budget()
            self._exact, self._previewed = False, held
            return picture

    def _keep_within_budget(self) -> None:
        """A plane of many blends takes long to paint rather than much memory for ever."""
        preview = 0 if self._preview is None else self._preview.nbytes
        self._canvas.keep_blends_within(max(self._session_bytes - preview, LEAST_FOR_BLENDS))


def _numbers(code: torch.Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in code)
