"""`scenebrush serve --ray`: what it tells Ray, and what it says without it."""

import os
import sys

import pytest

from server import commands
from server.cluster import environment
from server.errors import Problem
from server.settings import Settings


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "prepare", lambda _settings: None)
    monkeypatch.setattr(commands.logs, "configure", lambda *_: None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Problem) as refused:
        commands.serve(Settings(ray=True))
    assert refused.value.code == "extra-missing"
    assert "scenebrush[ray]" in refused.value.next_step


def test_ray_reports_to_nobody_and_believes_the_proxies_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"RAY_DEDUP_LOGS": "1"})
    environment.prepare(Settings(trusted_proxies=("10.0.0.1", "10.0.0.2")))
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_DEDUP_LOGS"] == "1"  # what somebody has set stays
    assert os.environ["FORWARDED_ALLOW_IPS"] == "10.0.0.1,10.0.0.2"
