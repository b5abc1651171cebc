"""Fault tests start servers of their own: settings of the shell that runs them must not reach those."""

import os

import pytest


@pytest.fixture(autouse=True, scope="package")
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("SCENEBRUSH_") or name == "WEB_CONCURRENCY"]:
        del os.environ[name]
