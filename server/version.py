"""Which Scenebrush this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def scenebrush_version() -> str:
    """The installed version, or "dev" in a checkout that is not installed."""
    try:
        return version("scenebrush")
    except PackageNotFoundError:
        return "dev"
