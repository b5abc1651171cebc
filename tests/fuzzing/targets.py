"""The targets by name. Each is imported when it is asked for: coverage is measured of what comes in then."""

from __future__ import annotations

import importlib

from tests.fuzzing.harness import Target

MODULES = {
    "protocol": "tests.fuzzing.live",
    "labels": "tests.fuzzing.pictures",
    "checkpoints": "tests.fuzzing.checkpoints",
    "archives": "tests.fuzzing.packages",
    "credentials": "tests.fuzzing.credentials",
}
SHARES = {
    "protocol": 0.53,
    "labels": 0.24,
    "checkpoints": 0.06,
    "archives": 0.12,
    "schema": 0.03,
    "credentials": 0.02,
}
"""Of all inputs: what is quick to read gets more of them."""
ROOMS = ["server", "models"]


def load_target(name: str) -> Target:
    """The target of that name."""
    found = importlib.import_module(MODULES[name]).TARGET
    if not isinstance(found, Target):
        raise TypeError(f"{MODULES[name]} holds no target")
    return found


def load_guided(name: str) -> Target:
    """The same, with our own modules instrumented for coverage."""
    import atheris  # noqa: PLC0415 – not in every environment

    with atheris.instrument_imports(include=ROOMS, enable_loader_override=False):
        return load_target(name)
