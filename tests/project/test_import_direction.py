"""The house's rooms import in one direction: server → engine → models, training → models and engine.

In the page: main → ui → tools → document, view → document; net knows only bytes; document stands alone.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.project.python_imports import imports

ROOT = Path(__file__).parents[2]

# room: what it may import besides itself
PYTHON_ROOMS: dict[str, set[str]] = {
    "models": set(),
    "engine": {"models"},
    "server": {"engine", "models"},
    "training": {"engine", "models"},
    "benchmarks": {"engine", "models", "server", "training"},
}
# `scenebrush train` is a command like the others; the trainer is imported when it is called, nowhere else.
EXCEPTIONS = {("server/cli.py", "training")}

MODELS_LIBRARIES = {"numpy", "safetensors", "torch"}
WEB_LIBRARIES = {
    "fastapi",
    "httpx",
    "jinja2",
    "prometheus_client",
    "starlette",
    "structlog",
    "typer",
    "uvicorn",
}
DEVICE_LIBRARIES = {"lightning_fabric", "torch", "torchvision"}

JAVASCRIPT_ROOMS: dict[str, set[str]] = {
    "core": set(),
    "document": set(),
    "net": {"core"},
    "tools": {"core", "document"},
    "view": {"core", "document"},
    "ui": {"core", "document", "tools", "view"},
}

SPECIFIER = re.compile(
    r"""(?mx)
    ^\s*(?:import|export)\b [^;'"`]*? \bfrom\s* ["'](?P<from>[^"']+)["']  # import … from "x", export …
    | ^\s*import\s* ["'](?P<bare>[^"']+)["']                               # import "x"
    | \bimport\s*\(\s* (?P<dynamic>[^)\s]+)                                # import("x")
    """
)
COMMENT = re.compile(r"/\*.*?\*/|^\s*//.*?$", re.DOTALL | re.MULTILINE)


def python_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def at_module_level(tree: ast.Module) -> set[str]:
    """Packages that importing the module brings in; imports for type checkers only are left out."""
    body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    plain = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom | ast.If | ast.Try)]
    return {package for node in plain for _, package in imports(node)}


def violations(room: str, allowed: set[str]) -> list[str]:
    found: list[str] = []
    for path in python_files(room):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=name)
        for line, package in imports(tree):
            other_room = package in PYTHON_ROOMS.keys() | {"tests"} and package != room
            if other_room and package not in allowed and (name, package) not in EXCEPTIONS:
                found.append(
                    f"{name}:{line} imports {package}; {room} may import {sorted(allowed) or 'no room'}"
                )
    return found


@pytest.mark.parametrize("room", PYTHON_ROOMS)
def test_rooms_import_in_one_direction(room: str) -> None:
    assert python_files(room) or room == "benchmarks", (
        f"{room}/ holds no Python: the rooms in this test are out of date"
    )
    found = violations(room, PYTHON_ROOMS[room])
    assert not found, "\n".join(found)


def test_exceptions_are_still_needed_and_stay_inside_functions() -> None:
    for name, package in EXCEPTIONS:
        tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
        assert package in {found for _, found in imports(tree)}, f"{name} no longer imports {package}"
        assert package not in at_module_level(tree), (
            f"{name} imports {package} at its top; serving must not need it"
        )


def test_models_know_only_tensors() -> None:
    known = MODELS_LIBRARIES | {"models"} | sys.stdlib_module_names
    for path in python_files("models"):
        foreign = {package for _, package in imports(ast.parse(path.read_text(encoding="utf-8")))} - known
        assert not foreign, (
            f"{path.relative_to(ROOT)} imports {sorted(foreign)}; models/ knows {sorted(MODELS_LIBRARIES)}"
        )


# The evaluation's report is a page, filled in from a template; it is a file, and nobody serves it.
WEB_EXCEPTIONS = {("training/evaluation/report.py", "jinja2")}


@pytest.mark.parametrize("room", ["engine", "training"])
def test_no_web_below_the_server(room: str) -> None:
    for path in python_files(room):
        web = {package for _, package in imports(ast.parse(path.read_text(encoding="utf-8")))} & WEB_LIBRARIES
        name = path.relative_to(ROOT).as_posix()
        web = {package for package in web if (name, package) not in WEB_EXCEPTIONS}
        assert not web, f"{name} imports {sorted(web)}; only server/ knows the web"


def test_server_leaves_tensors_to_the_engine() -> None:
    for path in python_files("server"):
        tensors = {
            package for _, package in imports(ast.parse(path.read_text(encoding="utf-8")))
        } & DEVICE_LIBRARIES
        assert not tensors, (
            f"{path.relative_to(ROOT)} imports {sorted(tensors)}; the event loop never runs torch"
        )


@pytest.mark.parametrize(
    "source",
    [
        "import server",
        "from server.app import x",
        "def f():\n    import server.cli",
        "__import__('server')",
        "resources.files('server')",
    ],
)
def test_the_walk_sees_every_form_of_import(source: str) -> None:
    assert [package for _, package in imports(ast.parse(source))] == ["server"]


def javascript_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.js"))


def specifiers(source: str) -> list[str]:
    """The module specifiers that a source imports or re-exports from."""
    matches = SPECIFIER.finditer(COMMENT.sub("", source))
    return [(m["from"] or m["bare"] or m["dynamic"].strip("\"'`")) for m in matches]


def javascript_violations(path: Path, base: Path) -> list[str]:
    """What a page module imports that its room may not: other rooms, packages, addresses, missing files."""
    room = path.relative_to(base).parts[0]
    name = path.relative_to(base).as_posix()
    found: list[str] = []
    for specifier in specifiers(path.read_text(encoding="utf-8")):
        target = (path.parent / specifier).resolve()
        if not specifier.startswith(("./", "../")):
            found.append(f"{name} imports {specifier!r}; without a bundler only relative paths resolve")
        elif not target.is_file():
            found.append(f"{name} imports {specifier!r}; there is no such file")
        elif target.parent == base.parent / "vendor":
            continue  # a library of somebody else's, which touches neither page nor network
        elif not target.is_relative_to(base):
            found.append(f"{name} imports {specifier!r}, outside static/js")
        elif room in JAVASCRIPT_ROOMS:
            other = target.relative_to(base).parts[0]
            if other != room and other not in JAVASCRIPT_ROOMS[room]:
                found.append(
                    f"{name} imports {specifier!r}; {room} may import {sorted(JAVASCRIPT_ROOMS[room])}"
                )
    return found


def test_page_rooms_import_in_one_direction() -> None:
    base = ROOT / "static" / "js"
    files = javascript_files(base)
    rooms = {path.relative_to(base).parts[0] for path in files if path.parent != base}
    assert rooms, "static/js holds no modules"
    assert rooms <= JAVASCRIPT_ROOMS.keys(), (
        f"rooms without a rule: {sorted(rooms - JAVASCRIPT_ROOMS.keys())}"
    )
    found = [line for path in files for line in javascript_violations(path, base)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("room", "source", "complaint"),
    [
        ("document", 'import { rle } from "../net/protocol.js";', "document may import"),
        ("net", 'export * from "../document/map.js";', "net may import"),
        ("view", 'const m = await import("../ui/panel.js");', "view may import"),
        ("tools", 'import {\n  a,\n  b,\n} from "../view/stage.js";', "tools may import"),
        ("core", 'import confetti from "confetti";', "only relative paths"),
        ("core", 'import "./missing.js";', "no such file"),
    ],
)
def test_page_violations_are_seen(tmp_path: Path, room: str, source: str, complaint: str) -> None:
    for target in ["net/protocol.js", "document/map.js", "ui/panel.js", "view/stage.js"]:
        (tmp_path / target).parent.mkdir(exist_ok=True)
        (tmp_path / target).touch()
    module = tmp_path / room / "module.js"
    module.parent.mkdir(exist_ok=True)
    module.write_text(source, encoding="utf-8")
    (complaints,) = javascript_violations(module, tmp_path)
    assert complaint in complaints
