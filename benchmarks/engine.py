"""`make bench-engine`: the engine against plain networks of the published sizes, and the built-in model.

Prints a table and writes benchmarks/results/engine.json, a list of rows (`benchmarks.report.Row`). What every
row means stands in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from benchmarks import maps
from benchmarks.public_models import WIDTH, ade_oasis, calibrate, coco_spade, trunk_macs
from benchmarks.report import BEST, PUBLIC, Errors, Row, compared, show
from benchmarks.subjects import MemoryLibrary, Subject, Timed, alternated, errors, painter_of, psnr, values
from engine import Painter
from engine.device import cpu_flags
from models.checkpoint import LoadedModel, load
from server.scheduler import Scheduler

RESULTS = Path(__file__).parent / "results" / "engine.json"
REGIONS = 12
BATCH = 8  # pictures that the server paints together on a GPU
GROWN = 32  # pixels around an edit within which a preview is judged
FLAGS = {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16"}

PARTS = {
    "warm": "the exact frame of a map seen before",
    "painted": "the same, of a hand-painted example",
    "cold": "patterns, tables and frame of a map never seen",
    "dab": "a dab of 24 pixels, then the exact frame",
    "live": "a dab of 24 pixels, then its preview",
    "fp32": "the exact frame in fp32",
    "noise": "a map that no table can serve",
    "oasis": "OASIS for ADE20K",
    "z": "a new z for OASIS",
    "matmul": "the trunk against the machine's own matrix product",
    "builtin": "the built-in model at two sizes",
    "styles": "the built-in model in several styles by region, against one style",
    "sizes": "time against the map's size",
    "regions": "time against the number of regions",
    "painters": "several painters on one device",
    "memory": "peak resident memory of each model, in a process of its own",
}


@dataclass(frozen=True)
class Options:
    """What to measure, and how large: what is published by default."""

    only: frozenset[str] = frozenset(PARTS)
    width: int = WIDTH
    size: int = 256
    rounds: int = 5
    seconds: float = 3.0
    device: str = "auto"


@dataclass(frozen=True)
class Case:
    """Something the engine does, timed against a plain network on the same map.

    measured: its errors once it has been timed, given the exact picture's own.
    """

    name: str
    painter: Painter
    library: MemoryLibrary
    timed: Timed
    measured: Callable[[Errors], Errors] = lambda exact: exact
    missing: Callable[[], str] = lambda: ""
    baselines: tuple[str, ...] = (PUBLIC, BEST)


class Bench:
    """Runs the parts, one after another; models and libraries are made once, when first needed."""

    def __init__(self, options: Options) -> None:
        self.options = options
        # A smaller network or map, or another device, is not what the targets were set for.
        on_cpu = self.library.torch_device.type == "cpu"
        self.judged = on_cpu and options.width == WIDTH and options.size == 256

    # What is measured

    @cached_property
    def library(self) -> MemoryLibrary:
        """The precision that this machine chooses."""
        return MemoryLibrary(self.options.device, "auto")

    @cached_property
    def single(self) -> MemoryLibrary:
        """fp32."""
        return MemoryLibrary(self.options.device, "fp32")

    @cached_property
    def coco(self) -> Subject:
        return self._published(coco_spade(self.options.width))

    @cached_property
    def oasis(self) -> Subject:
        return self._published(ade_oasis(self.options.width))

    def _published(self, loaded: LoadedModel) -> Subject:
        size, labels = max(64, self.options.size // 2), loaded.spec.labels
        several = [maps.regions(size, REGIONS, labels, seed).astype(np.int64) for seed in range(1, 9)]
        calibrate(loaded.generator, torch.from_numpy(np.stack(several)))
        self.library.add(loaded)
        device, half = self.library.torch_device, self.library.half
        return Subject(loaded, device, half, maps.regions(self.options.size, REGIONS, labels))

    def _map(self, subject: Subject, count: int = REGIONS, seed: int = 0) -> maps.LabelMap:
        return maps.regions(self.options.size, count, subject.loaded.spec.labels, seed)

    def rows(self) -> Iterator[Row]:
        """Everything asked for."""
        only = self.options.only
        if only & {"warm", "painted", "cold", "dab", "live", "fp32"}:
            yield from self.exact()
        for name, part in (
            ("noise", self.noise), ("oasis", self.styled), ("z", self.new_z), ("matmul", self.trunk),
            ("builtin", self.builtin), ("styles", self.styles), ("sizes", self.sizes),
            ("regions", self.regions), ("painters", self.painters), ("memory", self.memory),
        ):  # fmt: skip
            if name in only:
                yield from part()

    # Against the plain networks

    def exact(self) -> Iterator[Row]:
        """The cases on the COCO-size model that one plain frame is the baseline of."""
        coco, library, only = self.coco, self.library, self.options.only
        smooth = self._map(coco)
        cases: dict[str, Callable[[], Case]] = {
            "warm": lambda: _warm("exact, warm", library, coco, smooth),
            "painted": lambda: _warm(
                "painted, exact, warm",
                library,
                coco,
                maps.painted(self.options.size, coco.loaded.spec.labels),
            ),
            "cold": lambda: _cold(library, coco, smooth),
            "dab": lambda: _dab(library, coco, smooth),
            "live": lambda: _live(library, coco, smooth),
            "fp32": lambda: _warm("exact fp32, warm", self._with_single(coco), coco, smooth),
        }
        wanted = [make() for name, make in cases.items() if name in only]
        yield from self._against(coco, wanted)

    def _with_single(self, subject: Subject) -> MemoryLibrary:
        if self.library.half is None:
            return self.library
        self.single.add(subject.loaded)
        return self.single

    def noise(self) -> Iterator[Row]:
        labels = maps.noise(self.options.size, self.coco.loaded.spec.labels)
        yield from self._against(self.coco, [_warm("noise of 1 pixel", self.library, self.coco, labels)])

    def styled(self) -> Iterator[Row]:
        case = _warm("OASIS, exact, warm", self.library, self.oasis, self._map(self.oasis))
        yield from self._against(self.oasis, [case])

    def builtin(self) -> Iterator[Row]:
        path = self.library.path()
        for size in (self.options.size, 2 * self.options.size):
            loaded = load(path)
            labels = maps.painted(size, loaded.spec.labels)
            subject = Subject(loaded, self.library.torch_device, self.library.half, labels)
            case = _warm(f"built-in, {size}²", self.library, subject, labels)
            yield from self._against(subject, [case], rate=True)

    def styles(self) -> Iterator[Row]:
        for size in (self.options.size, 2 * self.options.size):
            labels = maps.painted(size, self.library.spec().labels)
            one, several = (painter_of(self.library, None, labels) for _ in range(2))
            several.set_regions([style.code for style in self.library.spec().styles[:3]])
            several.set_style_plane(maps.quarters(size))
            calls = {name: Timed(each.render, each.render) for name, each in (("1", one), ("4", several))}
            times = alternated(calls, self.options.rounds)
            yield compared(
                f"built-in, 3 regions, {size}²", self.library.default_id, "one style",
                times["1"], times["4"], judged=False,
            )  # fmt: skip

    def _against(self, subject: Subject, cases: list[Case], *, rate: bool = False) -> Iterator[Row]:
        """Time the plain networks and the cases in turns; a row for each case and baseline."""
        painter, model = cases[0].painter, subject.loaded.spec.id
        plain = {PUBLIC: Timed(subject.publicly(painter)), BEST: Timed(subject.at_best(painter))}
        times = alternated(plain | {case.name: case.timed for case in cases}, self.options.rounds)
        for case in cases:
            if reason := self._absent(case):
                yield compared(case.name, model, None, None, None, judged=False, **{"n/a": reason})
                continue
            wanted = subject.reference(case.painter)
            found = case.measured(errors(values(case.library, case.painter), wanted))
            engine_s = times[case.name]
            for baseline in case.baselines:
                details: dict[str, object] = {"precision": case.library.precision, "std": float(wanted.std())}
                details |= {"frames/s": 1 / engine_s} if rate else {}
                details |= {"plain": subject.best.precision} if baseline == BEST else {}
                yield compared(
                    case.name, model, baseline, times[baseline], engine_s, found,
                    judged=self.judged, **details,
                )  # fmt: skip

    def _absent(self, case: Case) -> str:
        half_only = case.name in {"exact, warm", "OASIS, exact, warm"}
        if half_only and self.library.half is None:
            return "no bf16 in hardware"
        return case.missing()

    # The engine alone

    def trunk(self) -> Iterator[Row]:
        """What share of the machine's own matrix product the trunk reaches: multiply-adds as published."""
        if self.library.half is None:
            yield compared(
                "trunk", "coco-spade", None, None, None, judged=False, **{"n/a": "no bf16 in hardware"}
            )
            return
        size, device = self.options.size, self.library.torch_device
        macs = trunk_macs(self.coco.loaded.generator, size, size)
        one, other = (torch.randn(2048, 2048).to(device, self.library.half) for _ in range(2))

        @torch.inference_mode()
        def product() -> None:
            (one @ other)[0, 0].item()  # waits for the device

        warm = _warm("frame", self.library, self.coco, self._map(self.coco))
        timed = {"product": Timed(product), "frame": warm.timed}
        if device.type == "cpu":
            timed["int8"] = Timed(_int8_product())
        times = alternated(timed, 3 * self.options.rounds)
        rates = {name: 2048**3 / seconds for name, seconds in times.items() if name != "frame"}
        rate = rates.pop("product")
        int8 = {f"{name} GMAC/s": each / 1e9 for name, each in rates.items()}
        yield compared(
            "trunk", "coco-spade", "matrix product", macs / rate, times["frame"],
            judged=self.judged, **{"GMAC": macs / 1e9, "GMAC/s of 2048³": rate / 1e9}, **int8,
        )  # fmt: skip

    def new_z(self) -> Iterator[Row]:
        painter = painter_of(self.library, "ade-oasis" if self.oasis else None, self._map(self.oasis))
        seeds = itertools.count(100)

        def paint() -> None:
            painter.set_style(next(seeds))
            painter.render()

        times = alternated({"warm": Timed(painter.render), "new z": Timed(paint)}, self.options.rounds)
        rebuilt = (times["new z"] - times["warm"]) * 1e3
        yield compared(
            "OASIS, new z", "ade-oasis", None, None, times["new z"], **{"of it tables, ms": rebuilt}
        )

    def sizes(self) -> Iterator[Row]:
        for factor in (1, 2, 4):
            size = factor * self.options.size
            labels = maps.regions(size, REGIONS, self.coco.loaded.spec.labels)
            yield self._warm_and_cold(f"{size}², {REGIONS} regions", labels)

    def regions(self) -> Iterator[Row]:
        for count in (2, 12, 50, 200):
            yield self._warm_and_cold(f"{count} regions", self._map(self.coco, count))
        labels = maps.noise(self.options.size, self.coco.loaded.spec.labels)
        yield self._warm_and_cold("noise of 1 pixel", labels)

    def _warm_and_cold(self, case: str, labels: maps.LabelMap) -> Row:
        cold = _cold(self.library, self.coco, labels)
        warm = Timed(cold.painter.render, cold.painter.render)
        times = alternated({"cold": cold.timed, "warm": warm}, min(3, self.options.rounds))
        tables = self.library.cached_bytes / 2**20
        details = {"cold, ms": times["cold"] * 1e3, "tables, MiB": tables}
        return compared(case, "coco-spade", None, None, times["warm"], judged=False, **details)

    def painters(self) -> Iterator[Row]:
        for model in (self.library.default_id, self.coco.loaded.spec.id):
            for count in (1, 4, 16):
                for batched in (False, True) if count > 1 else (False,):
                    yield self._painters(model, count, batched=batched)

    def _painters(self, model: str, count: int, *, batched: bool) -> Row:
        """The server's policy among painters that all paint on, for some seconds."""
        labels = self.library.spec(model).labels
        painters = [
            painter_of(self.library, model, maps.regions(self.options.size, REGIONS, labels, seed))
            for seed in range(count)
        ]
        crowd = Crowd(self.library, painters, batch=BATCH if batched else 1)
        crowd.paint(0)  # memory for a batch
        elapsed = crowd.paint(self.options.seconds)
        how = "together" if batched else "in turns"
        case = f"{count} painters, {how}" if count > 1 else "1 painter"
        frames = crowd.frames.values()
        seconds = elapsed / sum(frames)
        details = {
            "frames/s in all": 1 / seconds,
            "p95, ms": float(np.percentile(crowd.waits, 95)) * 1e3,
            "fairness": min(frames) / max(frames),
        }
        return compared(case, model, None, None, seconds, judged=False, **details)

    def memory(self) -> Iterator[Row]:
        options = self.options
        for model, how in itertools.product(("coco-spade", "ade-oasis", "builtin"), ("engine", "plain")):
            arguments = [
                model,
                how,
                "--size",
                options.size,
                "--width",
                options.width,
                "--device",
                options.device,
            ]
            command = [sys.executable, "-m", "benchmarks.memory", *map(str, arguments)]
            ran = subprocess.run(command, cwd=RESULTS.parents[2], capture_output=True, text=True, check=True)
            name = self.library.default_id if model == "builtin" else model
            yield compared(f"memory, {how}", name, None, None, None, judged=False, **json.loads(ran.stdout))


class Crowd:
    """Painters that share a device by the server's own policy, each with a newer map by the end of its turn.

    Args:
        batch: most pictures painted together.

    frames: how many each has been painted, by its seat. waits: seconds between two frames of one painter.
    """

    def __init__(self, library: MemoryLibrary, painters: Sequence[Painter], batch: int) -> None:
        self._library, self._brush = library, maps.Brush()
        self._seats = {str(number): painter for number, painter in enumerate(painters)}
        self._scheduler = Scheduler(places=1, uploads=1, batch=batch)
        for seat in self._seats:
            self._scheduler.join(seat)
            self._offer(seat)

    def paint(self, seconds: float) -> float:
        """Count anew, for so long and until everybody has had three frames; the seconds that it took."""
        began = time.perf_counter()
        self.frames = dict.fromkeys(self._seats, 0)
        self.waits: list[float] = []
        self._last = dict.fromkeys(self._seats, began)
        while time.perf_counter() - began < seconds or min(self.frames.values()) < 3:
            self._use_device()
        return time.perf_counter() - began

    def _use_device(self) -> None:
        seats = [turn.painter for turn in self._scheduler.next(time.perf_counter()) if turn.painter]
        painters = [self._seats[seat] for seat in seats]
        for seat, painter in zip(seats, painters, strict=True):
            painter.apply(*self._brush.dab(painter.labels))
            self._offer(seat)  # the brush moves on meanwhile
        self._library.render_many(painters)
        now = time.perf_counter()
        self._scheduler.finish(now)
        for seat in seats:
            number = self._scheduler.number_frame(seat)
            self._scheduler.sent(seat, number)
            self._scheduler.acknowledge(seat, number)
            self.waits.append(now - self._last[seat])
            self._last[seat] = now
            self.frames[seat] += 1

    def _offer(self, seat: str) -> None:
        key = self._seats[seat].batch_key
        self._scheduler.offer(seat, time.perf_counter(), key=key, live=False)


def _int8_product() -> Callable[[], object]:
    """The same product in int8, summed in int32: what convolutions in int8 could reach."""
    one, other = (torch.randint(-127, 128, (2048, 2048), dtype=torch.int8) for _ in range(2))
    return lambda: torch._int_mm(one, other)  # noqa: SLF001


def _warm(name: str, library: MemoryLibrary, subject: Subject, labels: maps.LabelMap) -> Case:
    painter = painter_of(library, subject.loaded.spec.id, labels)
    # The case before may have made the library forget this map's tables.
    return Case(name, painter, library, Timed(painter.render, painter.render))


def _cold(library: MemoryLibrary, subject: Subject, labels: maps.LabelMap) -> Case:
    painter = painter_of(library, subject.loaded.spec.id, labels)
    return Case("exact, cold", painter, library, Timed(painter.render, library.forget_tables))


def _dab(library: MemoryLibrary, subject: Subject, labels: maps.LabelMap) -> Case:
    painter, brush = painter_of(library, subject.loaded.spec.id, labels), maps.Brush(seed=1)

    def paint() -> None:
        painter.apply(*dabs.pop())
        painter.render()

    def prepare() -> None:
        painter.render()
        dabs.append(brush.dab(painter.labels))

    dabs: list[tuple[int, int, maps.LabelMap]] = []
    return Case("dab, exact", painter, library, Timed(paint, prepare))


def _live(library: MemoryLibrary, subject: Subject, labels: maps.LabelMap) -> Case:
    painter, brush = painter_of(library, subject.loaded.spec.id, labels), maps.Brush(seed=2)
    preview = Preview(painter, brush)
    return Case(
        "dab, live preview", painter, library, Timed(preview.paint, preview.prepare),
        lambda _: preview.errors(), preview.missing, (PUBLIC,),
    )  # fmt: skip


class Preview:
    """Dabs shown as previews, each held against the exact frame that follows."""

    def __init__(self, painter: Painter, brush: maps.Brush) -> None:
        self._painter, self._brush = painter, brush
        self._dab: tuple[int, int, maps.LabelMap] | None = None
        self._shown: np.ndarray | None = None
        self._before = painter.labels
        self._exact = True  # whether no picture was a preview
        self._found: list[Errors] = []

    def prepare(self) -> None:
        """Judge the preview before, settle, choose the next dab."""
        self._judge()
        self._painter.render()
        self._before = self._painter.labels
        self._dab = self._brush.dab(self._before)

    def paint(self) -> None:
        if self._dab is None:
            raise RuntimeError("prepare first")
        self._painter.apply(*self._dab)
        self._shown = self._painter.render("live")

    def missing(self) -> str:
        self._judge()
        return "every picture was exact" if self._exact else ""

    def errors(self) -> Errors:
        """The worst of all dabs, over the changed pixels and some around them."""
        self._judge()
        worst = min(self._found, key=lambda one: one.psnr_db or 0)
        return Errors(
            max(one.max_abs or 0 for one in self._found), max(one.mean_abs or 0 for one in self._found),
            worst.psnr_db,
        )  # fmt: skip

    def _judge(self) -> None:
        if self._shown is None:
            return
        self._exact = self._exact and self._painter.exact
        exact = self._painter.render()
        where = maps.near(self._before != self._painter.labels, GROWN)
        difference = np.abs(self._shown[where].astype(np.float64) - exact[where]) / 127.5
        self._found.append(
            Errors(float(difference.max()), float(difference.mean()), psnr(float((difference**2).mean()), 2))
        )
        self._shown = None


def machine(library: MemoryLibrary) -> Mapping[str, object]:
    """What the figures were measured on."""
    return {
        "device": library.device_name,
        "precision": library.precision,
        "backend": library.backend_name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "flags": sorted(cpu_flags() & FLAGS),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _parts(text: str) -> frozenset[str]:
    names = frozenset(text.split(","))
    if unknown := names - PARTS.keys():
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}"
        )
    return names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line's options."""
    default = Options()
    parser.add_argument(
        "--only", type=_parts, default=default.only, metavar="PART,…", help=f"some of {', '.join(PARTS)}"
    )
    parser.add_argument("--width", type=int, default=default.width, help="of the published networks")
    parser.add_argument("--size", type=int, default=default.size, help="side of the maps in pixels")
    parser.add_argument("--rounds", type=int, default=default.rounds, help="times that each thing is timed")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="for each number of painters")
    parser.add_argument("--device", default=default.device, help="auto, cpu, cuda")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the JSON goes")


def run(arguments: argparse.Namespace) -> None:
    """Measure, print the table, write the JSON."""
    console = Console() if sys.stdout.isatty() else Console(width=200)
    names = ("only", "width", "size", "rounds", "seconds", "device")
    bench = Bench(Options(**{name: getattr(arguments, name) for name in names}))
    facts, began, rows = machine(bench.library), time.perf_counter(), list[Row]()
    console.print(facts)
    for row in bench.rows():
        rows.append(row)
        console.print(f"{time.perf_counter() - began:5.0f} s  {row.case}", style="dim")
    reduced = "" if bench.options.width == WIDTH else f", width {bench.options.width} of {WIDTH}"
    show(console, f"the engine, {bench.options.size}²{reduced}", rows)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    document = [asdict(row) | {"machine": facts} for row in rows]
    arguments.output.write_text(json.dumps(document, indent=1, ensure_ascii=False))
    console.print(f"written to {arguments.output}")
