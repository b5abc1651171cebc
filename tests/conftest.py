"""What every test shares: no network beyond loopback, and torch threads that suit a small machine."""

import os
from pathlib import Path

import pytest

from tests import network

ROOT = Path(__file__).parent.parent

# Read once, when torch is first imported, by the tests and by the servers that they start. More threads than
# cores make small renders slower; and pictures are equal byte for byte only for an equal thread count.
os.environ.setdefault("OMP_NUM_THREADS", "2")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--network",
        action="store_true",
        help="leave the network on; as a rule the suite cuts itself off, to prove that nothing needs one",
    )


def pytest_configure(config: pytest.Config) -> None:
    # As early as this: threads that exist already would stay in the old namespace.
    config.stash[network.ISOLATION] = "none" if config.getoption("--network") else network.cut_off()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Playwright keeps an event loop running in this thread once a browser has started, and no test of a
    # coroutine could start its own: the browser comes last.
    items.sort(key=lambda item: item.path.is_relative_to(ROOT / "tests" / "browser"))


def pytest_report_header(config: pytest.Config) -> str:
    return f"network: {network.HEADER[config.stash[network.ISOLATION]]}"


@pytest.fixture(scope="session")
def isolation(pytestconfig: pytest.Config) -> network.Isolation:
    """How this run is cut off from the network: "namespace", "guard" or "none"."""
    return pytestconfig.stash[network.ISOLATION]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
