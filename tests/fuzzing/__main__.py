"""Inputs by the million, offline: `python -m tests.fuzzing all --inputs 1000000 --seed 7`.

Every target but the HTTP one runs in a process of its own, one after the other; one that dies counts as a
crash, the input that it died of is kept, and another goes on. Inputs that fail are written to a folder, one
for each target; moved to tests/fuzzing/corpus they are regression tests. `--replay FILE` judges one again.

Where atheris is installed (pip install atheris), libFuzzer leads the run by the coverage of server/ and
models/; `--no-guide` does without.
"""
# ruff: noqa: T201 - a script that prints its report

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzzing.harness import Place, Report, bound_memory, explore, explore_guided, save
from tests.fuzzing.targets import SHARES, load_guided, load_target

_GIB = 8
_MOST_DEATHS = 20
_MEMORY = "/dev/shm"


def main() -> int:
    options = _options()
    if options.replay is not None:
        print(load_target(options.target).judge(options.replay.read_bytes()))
        return 0
    if options.child is not None:
        _child(options)
        return 0
    if options.table:
        print("\n".join(Report.from_json(line).row() for line in options.json.read_text().splitlines()))
        return 0
    names = list(SHARES) if options.target == "all" else [options.target]
    faults = 0
    for name in names:
        share = SHARES[name] if options.target == "all" else 1.0
        inputs = max(1, round(options.inputs * share))
        report = _schema(inputs, options) if name == "schema" else _supervised(name, inputs, options)
        print(report.text(), flush=True)
        if options.json is not None:
            with options.json.open("a") as file:
                file.write(report.to_json() + "\n")
        faults += len(report.crashes) + report.hangs
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        prog="python -m tests.fuzzing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("target", choices=[*SHARES, "all"])
    options.add_argument("--inputs", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--keep", type=Path, default=Path("fuzzing-failures"), help="folder for inputs that fail"
    )
    options.add_argument("--json", type=Path, help="file to which each report is added as a line of JSON")
    options.add_argument("--table", action="store_true", help="print the rows of that file instead")
    options.add_argument("--no-guide", action="store_true")
    options.add_argument("--replay", type=Path, metavar="FILE")
    options.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    return options.parse_args()


def _supervised(name: str, inputs: int, options: argparse.Namespace) -> Report:
    """One target in processes of its own, until all inputs were judged."""
    whole = Report(name, options.seed)
    # In memory where that is to be had: files by the million are no work for a disk.
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="scenebrush-fuzzing-", dir=memory) as folder:
        for attempt in range(_MOST_DEATHS):
            child = Path(folder) / str(attempt)
            child.mkdir()
            left, seed = inputs - whole.inputs, options.seed + attempt
            code = _run_child(name, left, seed, child, options)
            if (child / "report").exists():
                return _joined(whole, Report.from_json((child / "report").read_text()))
            done, data = Place(child / "place").read()
            save(options.keep, name, data, "died")
            whole.inputs += done + 1
            said = (child / "log").read_text(errors="replace").strip().splitlines()
            whole.crashes[f"died {code} after {done} inputs: {said[-1] if said else ''}"[:200]] = 1
            if whole.inputs >= inputs:
                break
    return whole


def _run_child(name: str, inputs: int, seed: int, folder: Path, options: argparse.Namespace) -> int:
    command = [sys.executable, "-m", "tests.fuzzing", name, "--inputs", str(inputs), "--seed", str(seed)]
    command += ["--keep", str(options.keep), "--child", str(folder)]
    command += ["--no-guide"] if options.no_guide else []
    # One thread: what is measured is the time of the processor, and the inputs are small.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    with (folder / "log").open("wb") as log:
        return subprocess.run(command, stdout=log, stderr=log, env=environment, check=False).returncode


def _joined(whole: Report, last: Report) -> Report:
    """The last process's report, with what the ones before it died of. Their verdicts are gone."""
    last.inputs += whole.inputs
    last.crashes |= whole.crashes
    return last


def _child(options: argparse.Namespace) -> None:
    place, report = options.child / "place", options.child / "report"
    guided = not options.no_guide and importlib.util.find_spec("atheris") is not None
    target = load_guided(options.target) if guided else load_target(options.target)
    bound_memory(_GIB)
    if guided:
        explore_guided(target, options.inputs, options.seed, options.keep, place, report)
    report.write_text(explore(target, options.inputs, options.seed, options.keep, place).to_json())


def _schema(inputs: int, options: argparse.Namespace) -> Report:
    from tests.fuzzing.schema import explore_schema  # noqa: PLC0415 – schemathesis takes a while to load

    return explore_schema(inputs, options.seed, options.keep)


if __name__ == "__main__":
    sys.exit(main())
