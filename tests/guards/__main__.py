"""`python -m tests.guards [WORD …]`: takes away one rule after the other in a copy of the checkout, and
demands that its test fails there. Words choose the rules whose name or file holds one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tests.guards.rules import RULES, Rule

ROOT = Path(__file__).parents[2]
CHANGED = ("server", "tests")
BESIDE = (
    "models", "engine", "training", "static", "templates", "examples", "docs", "benchmarks", "deploy",
    "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "Dockerfile", "node_modules",
)  # fmt: skip
_FAILED = 1  # pytest's exit code: tests were run and some failed
_AT_ONCE = 2
_LONGEST = 300.0  # seconds for one test; a rule whose loss makes its test hang is missed too late


def main(words: list[str]) -> int:
    """The exit code: 0 if every rule is missed by its test."""
    rules = [rule for rule in RULES if not words or any(word in f"{rule.name} {rule.file}" for word in words)]
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        copies: Queue[Path] = Queue()
        for number in range(_AT_ONCE):
            copies.put(copy := Path(folder) / str(number))
            _copy(copy)
        print(f"{len(rules)} rules; first their tests as everything stands …", flush=True)
        if _run(copy, sorted({rule.test for rule in rules})) != 0:
            print("some of the tests fail with every rule in place")
            return 1

        def is_missed(rule: Rule) -> bool:
            copy = copies.get()
            try:
                return _is_missed(copy, rule)
            finally:
                copies.put(copy)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            missed = list(pool.map(is_missed, rules))
    unmissed = [rule for rule, is_it in zip(rules, missed, strict=True) if not is_it]
    print(f"{len(rules) - len(unmissed)} of {len(rules)} rules are missed when they are gone")
    for rule in unmissed:
        print(f"  nothing misses {rule.name!r} ({rule.file}): {rule.test} does not fail")
    return 1 if unmissed else 0


def _copy(copy: Path) -> None:
    for name in CHANGED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        if (ROOT / name).exists():
            (copy / name).symlink_to((ROOT / name).resolve())


def _is_missed(copy: Path, rule: Rule) -> bool:
    file = copy / rule.file
    whole = file.read_text(encoding="utf-8")
    started = time.monotonic()
    file.write_text(without(rule, whole), encoding="utf-8")
    try:
        missed = _run(copy, [rule.test]) == _FAILED
    finally:
        file.write_text(whole, encoding="utf-8")
    said = "missed" if missed else "NOT MISSED"
    print(f"  {said:10} {time.monotonic() - started:5.1f} s  {rule.name} ({rule.file})", flush=True)
    return missed


def without(rule: Rule, text: str) -> str:
    """The file's text without the rule. Raises ValueError unless its text stands there exactly once."""
    found = text.count(rule.text)
    if found != 1:
        raise ValueError(f"{rule.name}: its text stands {found} times in {rule.file}")
    return text.replace(rule.text, rule.instead)


def _run(copy: Path, tests: list[str]) -> int:
    # No bytecode: a file that was changed back within a second would not be compiled anew.
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return _FAILED
    if done.returncode not in (0, _FAILED):
        print(done.stdout[-3000:], done.stderr[-2000:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
