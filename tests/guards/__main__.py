"""`python -m tests.guards [WORD …]`: takes away one rule after the other in a copy of the checkout, and
demands that its test fails there. Words choose the rules whose name or file holds one of them.

Importing torch and pytest takes longer than most tests, so it is done once: every try is a fork of this
process, in which neither the server nor a test has been imported.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.guards.rules import RULES, Rule

ROOT = Path(__file__).parents[2]
CHANGED = ("server", "tests")
BESIDE = (
    "models", "engine", "training", "static", "templates", "examples", "docs", "benchmarks", "deploy",
    "pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "Dockerfile", "node_modules",
)  # fmt: skip
_FAILED = 1  # pytest's exit code: tests were run and some failed
_AT_ONCE = 2
_LONGEST = 300  # seconds for one try; a rule whose loss makes its test hang is missed too
_PLUGINS = ("-p", "pytest_timeout", "-p", "_hypothesis_pytestplugin")


def main(words: Sequence[str]) -> int:
    """The exit code: 0 if every rule is missed by its test."""
    rules = [rule for rule in RULES if not words or any(word in f"{rule.name} {rule.file}" for word in words)]
    _import_what_never_changes()
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        copies = [Path(folder) / str(number) for number in range(_AT_ONCE)]
        for copy in copies:
            _copy(copy)
        print(f"{len(rules)} rules; first their tests as everything stands …", flush=True)
        whole = _start(copies[0], sorted({rule.test for rule in rules}))
        if _code_of(os.waitpid(whole, 0)[1]) != 0:
            print((copies[0] / "output").read_text(errors="replace")[-5000:])
            return 1
        unmissed = _try_all(rules, copies)
    print(f"{len(rules) - len(unmissed)} of {len(rules)} rules are missed when they are gone")
    for rule in unmissed:
        print(f"  nothing misses {rule.name!r} ({rule.file}): {rule.test} does not fail")
    return 1 if unmissed else 0


def _try_all(rules: Sequence[Rule], copies: list[Path]) -> list[Rule]:
    """The rules that nothing misses."""
    waiting, free, unmissed = list(rules), list(copies), list[Rule]()
    running: dict[int, tuple[Rule, Path, str, float]] = {}
    while waiting or running:
        while waiting and free:
            rule, copy = waiting.pop(0), free.pop()
            whole = (copy / rule.file).read_text(encoding="utf-8")
            (copy / rule.file).write_text(without(rule, whole), encoding="utf-8")
            running[_start(copy, [rule.test])] = rule, copy, whole, time.monotonic()
        child, status = os.wait()
        rule, copy, whole, started = running.pop(child)
        (copy / rule.file).write_text(whole, encoding="utf-8")
        free.append(copy)
        missed = _code_of(status) == _FAILED
        if not missed:
            unmissed.append(rule)
            print((copy / "output").read_text(errors="replace")[-1500:])
        said = "missed" if missed else "NOT MISSED"
        print(f"  {said:10} {time.monotonic() - started:5.1f} s  {rule.name} ({rule.file})", flush=True)
    return unmissed


def without(rule: Rule, text: str) -> str:
    """The file's text without the rule. Raises ValueError unless its text stands there exactly once."""
    found = text.count(rule.text)
    if found != 1:
        raise ValueError(f"{rule.name}: its text stands {found} times in {rule.file}")
    return text.replace(rule.text, rule.instead)


def _copy(copy: Path) -> None:
    for name in CHANGED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        if (ROOT / name).exists():
            (copy / name).symlink_to((ROOT / name).resolve())


def _import_what_never_changes() -> None:
    import alembic  # noqa: F401, PLC0415
    import cv2  # noqa: F401, PLC0415
    import fastapi  # noqa: F401, PLC0415
    import httpx  # noqa: F401, PLC0415
    import pytest  # noqa: F401, PLC0415
    import sqlalchemy.orm  # noqa: F401, PLC0415
    import typer.testing  # noqa: F401, PLC0415
    import uvicorn  # noqa: F401, PLC0415
    import websockets.sync.client  # noqa: F401, PLC0415

    import engine  # noqa: F401, PLC0415


def _start(copy: Path, tests: Sequence[str]) -> int:
    """The process id of a fork that runs these tests in the copy."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 3
    try:
        code = _run_here(copy, tests)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _run_here(copy: Path, tests: Sequence[str]) -> int:
    import pytest  # noqa: PLC0415

    signal.alarm(_LONGEST)
    with (copy / "output").open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(copy)
    # No bytecode: a file that was changed back within a second would not be compiled anew.
    os.environ |= {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    sys.dont_write_bytecode = True
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
    for name in list(sys.modules):
        if name.partition(".")[0] in CHANGED:
            del sys.modules[name]
    arguments = ["-q", "-x", "--network", "-p", "no:cacheprovider", f"--rootdir={copy}", *_PLUGINS, *tests]
    return int(pytest.main(arguments))


def _code_of(status: int) -> int:
    """The exit code; one that took too long counts as failed."""
    return _FAILED if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
