"""One checkpoint, ready to paint: its network taken apart and packed, its tables, its working memory."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from threading import RLock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backend import Backend
from engine.canvas import Canvas
from engine.errors import EngineError
from engine.graphs import frames_of
from engine.modulation import DenseLevel, Extras, Level, TableCache, TableLevel
from engine.network import Network, Norm
from engine.preview import Preview
from engine.regions import BlendLevel, Blends, reach_of
from engine.trunk import Trunk, Workspace, to_bytes
from models.checkpoint import LoadedModel
from models.pix2pix import Pix2PixGenerator

Picture = NDArray[np.uint8]
_NOISE_BYTES = 64 << 20


@dataclass(eq=False)
class Style:
    """The style of one picture.

    code: float32 (D,). seed: of the noise field.
    regions: float32 (D,) each, the styles 1, 2 … of the canvas's style plane; `code` is its style 0.
    per_pixel: float32 (D, H, W) where every pixel has its own, in place of all these, or None.
    """

    code: Tensor
    seed: int = 0
    regions: tuple[Tensor, ...] = ()
    per_pixel: Tensor | None = None
    posts: dict[Norm, Tensor] = field(default_factory=dict["Norm", Tensor])

    @property
    def codes(self) -> list[Tensor]:
        """By their numbers in a style plane."""
        return [self.code, *self.regions]


class Model:
    """Paints canvases. Hold `lock` while painting: tables and working memory are shared.

    Args:
        lock: of everything that shares `cache`; one of its own by default.
    """

    def __init__(
        self, loaded: LoadedModel, backend: Backend, cache: TableCache, lock: RLock | None = None
    ) -> None:
        self.spec, self.backend, self._cache = loaded.spec, backend, cache
        self.lock = lock or threading.RLock()
        self.encoder = loaded.encoder
        if isinstance(loaded.generator, Pix2PixGenerator):
            raise TypeError("a generator without SPADE norms: see engine.plain")
        self.network = Network(loaded.generator, backend)
        self.workspace = Workspace(backend.device, backend.dtype)
        self.trunk = Trunk(self.network, backend, self.workspace)
        self.frames = frames_of(self.network, backend, self.trunk)
        self._noise: OrderedDict[tuple[int, int, int], list[Tensor]] = OrderedDict()
        self._tables = object()  # whose the tables are; another model of this id has others
        weakref.finalize(self, cache.drop, self._tables).atexit = False

    def let_go(self) -> int:
        """Forget what can be made again, tables, noise fields, working memory and recordings, between frames;
        how many bytes that was."""
        noise = sum(one.nbytes for part in self._noise.values() for one in part)
        self._noise.clear()
        return noise + self.frames.let_go() + self._cache.forget(self._tables)

    def padded(self, width: int, height: int) -> tuple[int, int]:
        """(H, W) that is painted for a canvas of width × height.

        Raises:
            EngineError: no side may be less than 1, and where a style code makes the start (VAE) the grid is
            fixed.
        """
        if width < 1 or height < 1:
            raise EngineError(
                f"a canvas of {width}×{height}", "both sides must be at least 1", "Give another size."
            )
        stride = self.network.stride
        if self.network.start_grid is None:
            return height + -height % stride, width + -width % stride
        most_height, most_width = (cells * stride for cells in self.network.start_grid)
        if width > most_width or height > most_height:
            raise EngineError(
                f"a canvas of {width}×{height}",
                f"model {self.spec.id!r} starts from its style code: {most_width}×{most_height} pixels",
                "Give that size, or a smaller one.",
            )
        return most_height, most_width

    def canvas(self, width: int, height: int) -> Canvas:
        """A new canvas, all of the first class."""
        first = self.spec.labels.labels[0].id
        network = self.network
        return Canvas(
            width,
            height,
            self.padded(width, height),
            network.factors,
            instance_edges=network.instance_edges,
            label=first,
            blends=self._blends(width, height) if network.styled_norms else None,
        )

    def _blends(self, width: int, height: int) -> Blends:
        """A canvas's blends of styles, which norms read after the labels."""
        row_bytes = [sum(8 * norm.channels for norm in norms) for norms in self._norms_by_level]
        size, reach = self.padded(width, height), reach_of(width, height)
        return Blends(size, reach, self.network.factors, row_bytes, self.backend.device)

    @property
    def previews(self) -> bool:
        """Whether there are live previews at all."""
        return self.backend.device.type == "cpu" and Preview.possible(self.network)

    def preview(self, canvas: Canvas, most_bytes: int) -> Preview | None:
        """Memory for live previews of a canvas, or None where they cannot be had or would take too much.

        A GPU paints the exact frame in a few milliseconds: there, that is what a live picture is.
        """
        if not self.previews:
            return None
        needed = canvas.nbytes + Preview.needs(self.network, self.backend, canvas.padded)
        if needed > most_bytes:
            return None
        return Preview(self.network, self.backend, canvas.padded)

    @torch.inference_mode()
    def paint(self, canvas: Canvas, style: Style, preview: Preview | None = None) -> Picture:
        """The whole frame at the chosen precision: uint8 (h, w, 3), RGB.

        Args:
            preview: takes what it needs to repaint near the next change.
        """
        return self._paint([canvas], [style], preview)[0]

    @torch.inference_mode()
    def paint_near_change(self, canvas: Canvas, style: Style, preview: Preview) -> Picture | None:
        """Like `paint`, but only near what has changed since, and approximately; None if that is not worth
        while, and nothing has been done."""
        canvas.refresh()
        changed = canvas.changed
        if changed is None or not preview.covers(changed):
            return None
        self.workspace.begin()
        with self._frame([canvas]) as frame:
            levels = self._levels([canvas], [style], frame)
            if not all(isinstance(level, TableLevel) for level in levels):
                return None
            extras = self.extras([canvas], [style])
            preview.update(self.trunk, self.start([canvas], [style]), levels, extras, changed)
        canvas.changed = None
        return _cropped(preview.picture, canvas)

    @torch.inference_mode()
    def paint_many(self, canvases: Sequence[Canvas], styles: Sequence[Style]) -> list[Picture]:
        """The frames of several canvases, together where one size and the tables serve all of them."""
        pictures: dict[int, Picture] = {}
        for members in self._groups(canvases, styles):
            painted = self._paint([canvases[i] for i in members], [styles[i] for i in members])
            pictures.update(zip(members, painted, strict=True))
        return [pictures[i] for i in range(len(canvases))]

    @contextmanager
    def _frame(self, canvases: Sequence[Canvas]) -> Generator[int]:
        """One frame's use of the tables, by its number."""

        def note_rows() -> None:
            for level in (level for canvas in canvases for level in canvas.levels):
                level.note(self._cache.frame)

        try:
            yield self._cache.begin_frame()
            self._cache.end_frame(note_rows)
        except BaseException:
            self._cache.clear()  # they may be half written, and everybody shares them
            raise

    def _levels(self, canvases: Sequence[Canvas], styles: Sequence[Style], frame: int) -> list[Level]:
        """Bring canvases and tables up to date: the batch's modulation by level."""
        for canvas in canvases:
            canvas.refresh()
        codes = self._codes(canvases[0], styles[0])
        if styles[0].per_pixel is not None:
            return [
                DenseLevel(self.backend, level.cells, style=styles[0].per_pixel[:, ::factor, ::factor])
                for level, factor in zip(canvases[0].levels, self.network.factors, strict=True)
            ]
        levels: list[Level] = []
        tables = self._cache.tables(self._tables, self._norms_by_level, self.backend, codes)
        for number, shared in enumerate(tables):
            if not all(norm.has_patterns for norm in shared.norms):
                levels.append(DenseLevel(self.backend, canvases[0].levels[number].cells, codes))
                continue
            for canvas in canvases:
                canvas.levels[number].prepare(shared, frame)
            indices = [canvas.levels[number].index for canvas in canvases]
            found = [index for index in indices if index is not None]
            if len(found) == len(indices):
                levels.append(TableLevel(self.backend, shared, _joined(found)))
            else:
                levels.append(DenseLevel(self.backend, canvases[0].levels[number].cells, codes))
        return levels

    def extras(self, canvases: Sequence[Canvas], styles: Sequence[Style]) -> Extras:
        """Styles and noise of a batch of pictures of one size, all with a style plane or all without."""
        height, width = canvases[0].padded
        both = list(zip(canvases, styles, strict=True))
        posts = {
            norm: _joined([self._acting(norm, canvas, style) for canvas, style in both])
            for norm in self.network.norms
            if norm.style is not None
        }
        fields = [self._noise_of(style.seed, height, width) for style in styles]
        alike = len({style.seed for style in styles}) == 1
        noises = fields[0] if alike else [torch.cat(level) for level in zip(*fields, strict=True)]
        by_level = zip(*(canvas.blend_levels for canvas in canvases), strict=True)
        return Extras(posts, noises, [_rows_of(levels) for levels in by_level])

    def start(self, canvases: Sequence[Canvas], styles: Sequence[Style]) -> Tensor:
        """The start grid's activation: (B, h, w, C)."""
        if self.network.start is None:
            return torch.cat([self.network.start_of_style(style.code) for style in styles])
        conv, factor = self.network.start, self.network.factors[0]
        starts: list[Tensor] = []
        for canvas, style in zip(canvases, styles, strict=True):
            level, codes = canvas.levels[0].cells, self._codes(canvas, style)
            per_pixel = None if style.per_pixel is None else style.per_pixel[:, ::factor, ::factor]
            map_ = DenseLevel(self.backend, level, codes, per_pixel)
            starts.append(map_.label_conv(conv, conv.style_rows(codes), 0, level.shape[0]))
        return torch.cat(starts).to(self.backend.dtype).contiguous()

    def _paint(
        self, canvases: Sequence[Canvas], styles: Sequence[Style], preview: Preview | None = None
    ) -> list[Picture]:
        self.workspace.begin(len(canvases), *canvases[0].padded)
        with self._frame(canvases) as frame:
            levels = self._levels(canvases, styles, frame)
            together = all(isinstance(level, TableLevel) for level in levels)
            if together or len(canvases) == 1:
                keep = preview.outputs if preview is not None else ()
                extras = self.extras(canvases, styles)
                raw = self.frames.run(self.start(canvases, styles), levels, extras, keep)
            else:
                raw = None
        if raw is None:
            return [self._paint([canvas], [style])[0] for canvas, style in zip(canvases, styles, strict=True)]
        pictures = to_bytes(raw).numpy()
        if preview is not None:
            preview.begin(pictures[0])
        for canvas in canvases:
            canvas.changed = None
        return [_cropped(picture, canvas) for picture, canvas in zip(pictures, canvases, strict=True)]

    def _groups(self, canvases: Sequence[Canvas], styles: Sequence[Style]) -> list[list[int]]:
        """Which can share a forward pass: equal sizes, equal styles where tables depend on them, and all with
        blends of styles or all without."""
        groups: OrderedDict[object, list[int]] = OrderedDict()
        for i, (canvas, style) in enumerate(zip(canvases, styles, strict=True)):
            codes = self._codes(canvas, style)
            of_codes = None if codes is None else codes.numpy().tobytes()
            key: object = (canvas.padded, of_codes, canvas.style_plane is not None)
            groups.setdefault(i if style.per_pixel is not None else key, []).append(i)
        return list(groups.values())

    @cached_property
    def _norms_by_level(self) -> list[list[Norm]]:
        return [
            [norm for norm in self.network.norms if norm.level == i] for i in range(len(self.network.factors))
        ]

    def _codes(self, canvas: Canvas, style: Style) -> Tensor | None:
        """The style codes that hidden layers read (OASIS)."""
        if not self.network.styled_labels or style.per_pixel is not None:
            return None
        return torch.stack(style.codes if canvas.style_plane is not None else style.codes[:1])

    def _acting(self, norm: Norm, canvas: Canvas, style: Style) -> Tensor:
        """A norm's scale and shift under a picture's style, or under each blend of its styles: (K, 2, C)."""
        posts = self._posts(style)[norm]
        if canvas.blend_levels:
            return canvas.blend_levels[norm.level].table(norm, posts)
        return posts[:1] if style.regions else posts

    def _posts(self, style: Style) -> dict[Norm, Tensor]:
        """Each norm's scale and shift under each of a style's codes: float32 (S, 2, C)."""
        if not style.posts:
            mapped = [self.network.mapped(code) for code in style.codes]
            style.posts = {
                norm: torch.cat([self.network.post(norm, code) for code in mapped]).to(self.backend.device)
                for norm in self.network.norms
                if norm.style is not None
            }
        return style.posts

    def _noise_of(self, seed: int, height: int, width: int) -> list[Tensor]:
        """A seed's noise fields; the last few are kept."""
        key = seed, height, width
        if key not in self._noise:
            self._noise[key] = self.network.noise(seed, height, width)
        self._noise.move_to_end(key)
        while (
            len(self._noise) > 1
            and sum(one.nbytes for part in self._noise.values() for one in part) > _NOISE_BYTES
        ):
            self._noise.popitem(last=False)
        return self._noise[key]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _rows_of(levels: Sequence[BlendLevel]) -> Tensor:
    """Which blend acts where on several canvases, whose tables stand one after the other: int32 (B, h, w)."""
    before = accumulate((level.count for level in levels[:-1]), initial=0)
    return _joined(
        [level.index + first if first else level.index for level, first in zip(levels, before, strict=True)]
    )


def _cropped(picture: Picture, canvas: Canvas) -> Picture:
    return picture[: canvas.height, : canvas.width].copy()
