"""Frames recorded as CUDA graphs: the trunk's hundred or so launches become one.

A graph reads and writes fixed memory. So a frame of a kind seen before – one batch, one size – owns buffers
for all that changes from picture to picture (start, pattern numbers, styles, noise), and its activations. The
tables are too large for that and grow as somebody paints: a graph is good for the tables that it was recorded
with, in the same places and as long. Where they lie for the first time the trunk runs without one, and it is
recorded when they lie there again.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from engine.backend import Backend
from engine.modulation import Extras, Level, TableLevel
from engine.network import Network
from engine.room import ran_out
from engine.trunk import Trunk, Workspace

_MOST_FRAMES = 4  # kinds of frames kept
_MOST_RECORDINGS = 8  # of one kind: places where tables have been
_MOST_BYTES = 1 << 30  # of memory they keep, beyond one
_MOST_PIXELS = 1 << 20  # of a batch; larger ones are bound by their arithmetic, not by launches
_Tables = tuple[tuple[int, int], ...]  # where each lies, and how many rows it has
_Recording = tuple[Callable[[], object], Tensor]
_LOG = logging.getLogger(__name__)


class Frames(Protocol):
    """What paints frames: a `Trunk`, or one that records."""

    def run(
        self, start: Tensor, levels: Sequence[Level], extras: Extras, keep: Sequence[Tensor] = ()
    ) -> Tensor:
        """`Trunk.run`."""
        ...

    def let_go(self) -> int:
        """`Trunk.let_go`, and what is recorded."""
        ...


class Recorder(Protocol):
    """Records launches, to repeat them."""

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        """Record without running: what replays it, and where the result then is."""
        ...


class CudaRecorder:
    """Records on a stream of its own. All its graphs share one pool for what lives only inside them, so they
    must be replayed one at a time, and a result read before the next."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._newest: object = None  # a pool that no graph holds any more cannot be taken up again

    def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], object], Tensor]:
        graph = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                result = work()
            finally:
                graph.capture_end()
        current.wait_stream(self._stream)
        self._newest = graph
        return graph.replay, result


def frames_of(network: Network, backend: Backend, trunk: Trunk) -> Frames:
    """What paints a model's frames on a backend."""
    if backend.device.type != "cuda":
        return trunk
    return RecordedTrunk(network, backend, trunk, CudaRecorder(backend.device))


class RecordedTrunk:
    """A trunk whose frames are recorded when their kind comes a second time.

    Args:
        plain: what paints frames that cannot be recorded: those without tables, those with styles by region,
            and very large ones.
    """

    def __init__(self, network: Network, backend: Backend, plain: Trunk, recorder: Recorder) -> None:
        self._network, self._backend, self._plain = network, backend, plain
        self._recorder: Recorder | None = recorder
        self._frames: OrderedDict[object, _Frame] = OrderedDict()

    @property
    def nbytes(self) -> int:
        """Bytes of the buffers kept for frames."""
        return sum(frame.nbytes for frame in self._frames.values())

    def let_go(self) -> int:
        """Forget all recordings and what they were made of; how many bytes of buffers that was."""
        held = self.nbytes
        self._frames.clear()
        return held + self._plain.let_go()

    def run(
        self, start: Tensor, levels: Sequence[Level], extras: Extras, keep: Sequence[Tensor] = ()
    ) -> Tensor:
        """`Trunk.run`, the same bytes; the result is good until the next run."""
        tables = [level for level in levels if isinstance(level, TableLevel)]
        pixels = start.shape[0] * levels[-1].size[0] * levels[-1].size[1]
        by_region = len(extras.blends) > 0  # whose tables change as somebody paints
        if self._recorder is None or len(tables) < len(levels) or by_region or pixels > _MOST_PIXELS:
            return self._plain.run(start, levels, extras, keep)
        frame = self._frame(start, tables, extras, keep)
        frame.load(start, tables, extras)
        if frame.wants_recording:
            try:
                frame.record(self._recorder)
            except Exception as error:  # whatever it was, frames can be painted without
                if ran_out(error):  # there may be room again
                    self._frames.clear()
                    raise
                _LOG.warning("frames are not recorded, which is slower: %s: %s", type(error).__name__, error)
                self._recorder = None
                self._frames.clear()
                return self._plain.run(start, levels, extras, keep)
        result = frame.run(keep)
        self._trim()
        return result

    def _frame(
        self, start: Tensor, levels: Sequence[TableLevel], extras: Extras, keep: Sequence[Tensor]
    ) -> _Frame:
        """The frame of this kind."""
        shapes = [part.shape for part in (start, *(level.index for level in levels), *extras.noises)]
        kind = (*shapes, bool(keep))
        if kind not in self._frames:
            trunk = Trunk(self._network, self._backend, Workspace(self._backend.device, self._backend.dtype))
            self._frames[kind] = _Frame(trunk, start, levels, extras, keep)
        self._frames.move_to_end(kind)
        return self._frames[kind]

    def _trim(self) -> None:
        while len(self._frames) > 1 and (len(self._frames) > _MOST_FRAMES or self.nbytes > _MOST_BYTES):
            self._frames.popitem(last=False)


class _Input:
    """A fixed place for what changes from picture to picture."""

    def __init__(self, like: Tensor) -> None:
        self.buffer = torch.empty_like(like)
        self._source: Tensor | None = None

    def load(self, source: Tensor) -> None:
        """Tensors handed to a trunk are not written to any more: the same one need not be copied again."""
        if source is not self._source:
            self.buffer.copy_(source)
            self._source = source


class _Frame:
    """One kind of frame: its buffers, its activations, and its recording."""

    def __init__(
        self,
        trunk: Trunk,
        start: Tensor,
        levels: Sequence[TableLevel],
        extras: Extras,
        keep: Sequence[Tensor],
    ) -> None:
        self._trunk = trunk
        self._start = _Input(start)
        self._indices = [_Input(level.index) for level in levels]
        self._noises = [_Input(noise) for noise in extras.noises]
        self._posts = {norm: _Input(post) for norm, post in extras.posts.items()}
        self._kept = [torch.empty_like(one) for one in keep]
        self._extras = Extras(
            {norm: post.buffer for norm, post in self._posts.items()}, [one.buffer for one in self._noises]
        )
        self._levels: list[TableLevel] = []
        self._tables: _Tables = ()
        # None where the tables have been once, and nothing is recorded yet.
        self._recordings: OrderedDict[_Tables, _Recording | None] = OrderedDict()

    @property
    def nbytes(self) -> int:
        inputs = [self._start, *self._indices, *self._noises, *self._posts.values()]
        buffers = [one.buffer for one in inputs] + self._kept
        return sum(one.nbytes for one in buffers) + self._trunk.workspace.nbytes

    def load(self, start: Tensor, levels: Sequence[TableLevel], extras: Extras) -> None:
        """Take a picture's inputs in."""
        self._start.load(start)
        for mine, level in zip(self._indices, levels, strict=True):
            mine.load(level.index)
        for mine, noise in zip(self._noises, extras.noises, strict=True):
            mine.load(noise)
        for norm, mine in self._posts.items():
            mine.load(extras.posts[norm])
        self._levels = [
            replace(level, index=mine.buffer) for mine, level in zip(self._indices, levels, strict=True)
        ]
        tables = (level.tables.table(norm) for level in levels for norm in level.tables.norms)
        self._tables = tuple((table.data_ptr(), table.shape[0]) for table in tables)

    @property
    def wants_recording(self) -> bool:
        """Whether the tables have been here before, and that was not recorded."""
        return self._recordings.get(self._tables, self) is None

    def record(self, recorder: Recorder) -> None:
        """Every kernel and all working memory is there since the frame that ran without a recording."""
        self._recordings[self._tables] = recorder.record(self._work)

    def run(self, keep: Sequence[Tensor]) -> Tensor:
        """Paint; copies of what is to be kept go to `keep`."""
        recording = self._recordings.setdefault(self._tables, None)
        self._recordings.move_to_end(self._tables)
        while len(self._recordings) > _MOST_RECORDINGS:
            self._recordings.popitem(last=False)
        if recording is None:
            result = self._work()
        else:
            replay, result = recording
            replay()
        for mine, target in zip(self._kept, keep, strict=True):
            target.copy_(mine)
        return result

    def _work(self) -> Tensor:
        return self._trunk.run(self._start.buffer, self._levels, self._extras, self._kept)
