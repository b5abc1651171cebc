"""The documents tell the truth: links resolve, and the commands and programs they show are there and run."""

import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image

from tests.serving import serve

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def blocks(path: Path, language: str) -> list[str]:
    return [m["body"] for m in FENCE.finditer(path.read_text(encoding="utf-8")) if m["language"] == language]


def shell_lines(path: Path) -> list[str]:
    """Commands of a document's `sh` blocks, continued lines joined, comments left out."""
    joined = "\n".join(blocks(path, "sh")).replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def anchors(path: Path) -> set[str]:
    """The fragments under which a host such as GitHub shows a document's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {text.strip().replace(" ", "-") for text in plain}


def mentioned_commands(path: Path) -> list[list[str]]:
    """Every `make …` and `scenebrush …` that a document shows, in a block or in a line of prose."""
    text = [*shell_lines(path), *INLINE.findall(prose(path))]
    parts = [piece.strip() for line in text for piece in re.split(r"&&|\|", line)]
    words = [
        shlex.split(part)
        for part in parts
        if part.startswith(("make ", "scenebrush ", ".venv/bin/scenebrush "))
    ]
    return [[Path(first).name, *rest] for first, *rest in words]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_resolve(path: Path) -> None:
    for match in LINK.finditer(prose(path)):
        target, _, fragment = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = path.parent / target if target else path
        assert linked.exists(), f"{named(path)} links to {target}, which is not there"
        if fragment:
            assert fragment in anchors(linked), (
                f"{named(path)} links to #{fragment}, which {named(linked)} lacks"
            )


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))


@pytest.fixture(scope="module")
def commands() -> set[str]:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="scenebrush")
    group = typer.main.get_command(entry.load())
    return set(group.commands)


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_shown_commands_exist(path: Path, commands: set[str]) -> None:
    for program, *arguments in mentioned_commands(path):
        words = [argument for argument in arguments if not argument.startswith("-") and "=" not in argument]
        if program == "make":
            unknown = set(words) - make_targets()
            assert not unknown, f"{named(path)} shows make {sorted(unknown)}; there is no such task"
        elif words:
            assert words[0] in commands, (
                f"{named(path)} shows scenebrush {words[0]}; there is no such command"
            )


def test_every_task_is_documented() -> None:
    text = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    missing = [target for target in sorted(make_targets()) if f"`make {target}" not in text]
    assert not missing, f"docs/development.md says nothing of make {missing}"


def test_every_command_is_in_the_readme_or_its_help(commands: set[str]) -> None:
    assert {"serve", "render", "models", "train", "inspect"} <= commands


def test_help_lists_every_task() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^  make ([a-z-]+)", shown, re.MULTILINE)) == make_targets()


def test_every_task_but_help_runs_setup_first() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = dict(re.findall(r"^([a-z-]+):(.*?)## ", text, re.MULTILINE))
    halves = {name for name, needs in rules.items() if "setup" in needs.split()}
    for name, needs in rules.items():
        if name not in {"help", "setup"}:
            assert "setup" in needs.split() or set(needs.split()) <= halves, (
                f"make {name} may run before setup"
            )


def test_only_setup_installs() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    tasks = text[text.index("\nserve:") :]
    assert not re.search(r"\$\(PIP\)|pip install|npm (ci|install)|apt-get", tasks)


@pytest.mark.parametrize(("ci", "expected"), [("", 0), ("true", 2)])
def test_javascript_checks_without_node_are_skipped_aloud_and_fail_in_ci(ci: str, expected: int) -> None:
    command = ["make", "--old-file=setup", "check-js", "NPM="]
    ran = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"CI": ci}, capture_output=True, text=True, check=False
    )
    assert "SKIPPED: Node.js" in ran.stderr
    assert ran.returncode == expected, ran.stderr


def test_readme_program_runs(tmp_path: Path) -> None:
    (program,) = blocks(ROOT / "README.md", "python")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "lake.jpg") as photo:
        assert photo.size == (256, 256)
        assert photo.mode == "RGB"


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_readme_curl_line_runs(tmp_path: Path) -> None:
    (line,) = [line for line in shell_lines(ROOT / "README.md") if line.startswith("curl ")]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with serve(cwd=ROOT) as server:
        there = line.replace("http://127.0.0.1:8000", server.url)
        assert there != line
        subprocess.run([*shlex.split(there), "--fail", "--silent", "--show-error"], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "lake.jpg") as photo:
        assert photo.format == "JPEG"
        assert photo.size == (256, 256)


def test_readme_render_line_runs(tmp_path: Path) -> None:
    (line,) = [line for line in shell_lines(ROOT / "README.md") if line.startswith("scenebrush render ")]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    _, *arguments = shlex.split(line)
    subprocess.run([Path(sys.executable).with_name("scenebrush"), *arguments], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "lake.jpg") as photo:
        assert photo.size == (256, 256)
