"""One fuzzing run: makes inputs, hands them to a reader, and keeps count of what became of them.

A `Target` turns bytes into a verdict: "accepted", or the kind of its refusal. Whatever else it raises is a
crash, more than a second of the processor is slow, and more than `HANG` seconds is a hang. Where atheris is
installed, its libFuzzer leads: half the inputs are made by the target, the others are mutations of those that
reached new code. Without it all of them are made.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil

CORPUS = Path(__file__).parent / "corpus"
"""Inputs that once failed, a folder for each target: each is a regression test (test_targets.py)."""
ACCEPTED = "accepted"
HANG = 10.0
"""Seconds of the processor, so that a busy machine makes no hang of what is none."""
LARGEST = 1 << 18
"""Bytes of the longest input."""
_WARM_UP = 10  # the memory's baseline is taken after the first tenth
_MOST_KEPT = 20
_PLACE = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads what strangers send.

    make: an input, valid or nearly so, from a source of chance. judge: what becomes of it; raises if that is
    nothing that is documented.
    """

    name: str
    make: Callable[[random.Random], bytes]
    judge: Callable[[bytes], str]


@dataclass
class Report:
    """What came of a run. Memory in MiB, times in seconds of the processor; crashes by what was raised."""

    target: str
    seed: int
    guided: bool = False
    inputs: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    crashes: dict[str, int] = field(default_factory=dict)
    hangs: int = 0
    slow: int = 0
    longest: float = 0.0
    rss_start: float = 0.0
    rss_warm: float = 0.0
    rss_end: float = 0.0
    seconds: float = 0.0

    @property
    def accepted(self) -> int:
        return self.verdicts[ACCEPTED]

    @property
    def refused(self) -> int:
        return self.verdicts.total() - self.accepted

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @staticmethod
    def from_json(text: str) -> Report:
        said: dict[str, Any] = json.loads(text)
        return Report(**{**said, "verdicts": Counter(said["verdicts"])})

    def row(self) -> str:
        """A row of the table in docs/security.md."""
        crashes = sum(self.crashes.values()) + self.hangs
        memory = f"{self.rss_start:.0f} / {self.rss_warm:.0f} / {self.rss_end:.0f}"
        how = "coverage" if self.guided else "made"
        counts = f"{self.inputs:,} | {self.accepted:,} | {self.refused:,} | {crashes}"
        return f"| {self.target}, {how} | {self.seed} | {counts} | {self.longest:.2f} s | {memory} |"

    def text(self) -> str:
        """For people."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.verdicts.most_common())
        guided = ", guided by coverage" if self.guided else ""
        memory = f"{self.rss_start:.0f} MiB at the start, {self.rss_warm:.0f} after the first tenth"
        crashes = f"{sum(self.crashes.values())} crashes, {self.hangs} hangs, {self.slow} slow"
        lines = [
            f"{self.target}: {self.inputs} inputs, seed {self.seed}{guided}, {self.seconds:.0f} s",
            f"  {self.accepted} accepted, {self.refused} refused: {kinds}",
            f"  {crashes}, longest {self.longest:.3f} s",
            f"  memory {memory}, {self.rss_end:.0f} at the end",
        ]
        lines += [f"  crash ×{count}: {said}" for said, count in self.crashes.items()]
        return "\n".join(lines)


class Hang(BaseException):
    """An input took too long. No Exception, so that no reader takes it for damage in the file."""


class Run:
    """Judges one input after the other. `keep` is the folder for inputs that fail."""

    def __init__(self, target: Target, report: Report, inputs: int, keep: Path, place: Place) -> None:
        self.report = report
        self._target = target
        self._inputs = inputs
        self._keep = keep
        self._place = place
        self._started = time.monotonic()
        self._before = signal.signal(signal.SIGPROF, _hang)
        report.rss_start = rss()

    @property
    def done(self) -> bool:
        return self.report.inputs >= self._inputs

    def one(self, data: bytes) -> None:
        """Judge it, whatever happens."""
        report = self.report
        self._place.note(report.inputs, data)
        before = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HANG)
        try:
            report.verdicts[self._target.judge(data)] += 1
        except Hang:
            report.hangs += 1
            self._save(data, "hang")
        except Exception as error:  # that is what is looked for
            self._crash(data, error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        took = time.process_time() - before
        report.longest = max(report.longest, took)
        report.slow += took > 1
        report.inputs += 1
        if report.inputs == self._inputs // _WARM_UP:
            report.rss_warm = rss()

    def finish(self) -> Report:
        signal.signal(signal.SIGPROF, self._before)
        self.report.rss_end = rss()
        self.report.seconds = time.monotonic() - self._started
        return self.report

    def _crash(self, data: bytes, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}: {str(error)[:160]}"
        where = said.partition(": ")[0]
        known = next((one for one in self.report.crashes if one.startswith(where)), said)
        self.report.crashes[known] = self.report.crashes.get(known, 0) + 1
        if known is said and len(self.report.crashes) <= _MOST_KEPT:
            self._save(data, type(error).__name__)

    def _save(self, data: bytes, why: str) -> None:
        save(self._keep, self._target.name, data, why)


class Place:
    """Where a run stands, in a file that outlives it: the input that a process died of is still there."""

    def __init__(self, path: Path) -> None:
        path.touch()
        os.truncate(path, _PLACE.size + LARGEST)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def note(self, done: int, data: bytes) -> None:
        self._map[_PLACE.size : _PLACE.size + min(len(data), LARGEST)] = data[:LARGEST]
        _PLACE.pack_into(self._map, 0, done, len(data))

    def read(self) -> tuple[int, bytes]:
        """Inputs before this one, and this one."""
        done, length = _PLACE.unpack_from(self._map)
        return done, bytes(self._map[_PLACE.size : _PLACE.size + length])


def _hang(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Hang


def save(folder: Path, target: str, data: bytes, why: str) -> Path:
    """Keep an input that failed, named after what it did and what it is."""
    path = folder / target / f"{why}-{sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def rss() -> float:
    """The memory that this process has now, in MiB."""
    return psutil.Process().memory_info().rss / 2**20


def explore(target: Target, inputs: int, seed: int, keep: Path, place: Path) -> Report:
    """A run on inputs that the target makes: input n of a seed is always the same."""
    run = Run(target, Report(target.name, seed), inputs, keep, Place(place))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of oddities in files, by those who read them
        while not run.done:
            run.one(target.make(random.Random(f"{seed}/{run.report.inputs}")))
    return run.finish()


def explore_guided(target: Target, inputs: int, seed: int, keep: Path, place: Path, report: Path) -> NoReturn:
    """A run that libFuzzer leads. It takes the process over: the report goes to a file."""
    import atheris  # noqa: PLC0415 – not in every environment

    warnings.simplefilter("ignore")
    run = Run(target, Report(target.name, seed, guided=True), inputs, keep, Place(place))

    def one(data: bytes) -> None:
        run.one(bytes(data))
        if run.done:
            report.write_text(run.finish().to_json())
            sys.stdout.flush()
            os._exit(0)

    def mutate(data: bytes, most: int, number: int) -> bytes:
        rng = random.Random(f"{seed}/{number}")
        return target.make(rng)[:most] if rng.random() < 0.5 else atheris.Mutate(data, most)

    flags = [f"-seed={seed % 2**31}", f"-max_len={LARGEST}", "-len_control=0", "-timeout=600"]
    flags += ["-rss_limit_mb=0", "-verbosity=0", "-print_final_stats=0"]
    flags += [f"-artifact_prefix={place.parent}/"]
    atheris.Setup([sys.argv[0], *flags], one, custom_mutator=mutate)
    atheris.Fuzz()
    raise AssertionError("libFuzzer came back")


def bound_memory(gib: int) -> None:
    """Let this process have that much address space: what a hostile file makes of it is an error then, and
    no trouble for the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (gib << 30, gib << 30))
