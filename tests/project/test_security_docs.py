"""docs/security.md names tests that exist and settings that there are."""

import ast
import re
from pathlib import Path

from server.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| (?P<threat>.+?) \| (?P<defence>.+?) \| (?P<settings>.*?) ?\| `(?P<test>[^`]+)` \|$", re.MULTILINE
)


def test_every_threat_names_a_test_that_exists() -> None:
    section = TEXT.partition("## What is defended")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    rows = [match for line in lines if (match := ROW.fullmatch(line))]
    assert len(rows) == len(lines) > 30
    for row in rows:
        file, _, name = row["test"].partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row["test"]


def test_every_setting_that_is_named_is_one() -> None:
    named = set(re.findall(r"SCENEBRUSH_[A-Z_]+", TEXT))
    assert named <= {f"SCENEBRUSH_{name.upper()}" for name in Settings.model_fields}


def test_all_that_guards_is_explained() -> None:
    for name in (
        "require_token",
        "tokens_file",
        "client_rate",
        "client_burst",
        "client_requests",
        "client_sockets",
        "hsts",
        "head_timeout",
        "request_timeout",
        "send_timeout",
        "live_hours",
        "max_connections",
    ):
        assert f"SCENEBRUSH_{name.upper()}" in TEXT, name
