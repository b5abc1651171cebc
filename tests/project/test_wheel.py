"""The wheel, installed in an empty environment, serves the studio from another directory.

What stands in for a container: no right to write a file, the health check's own line from the Dockerfile, and
SIGTERM at the end.
"""

import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.serving import Server, serve

SHIPPED = ["models", "engine", "server", "training", "static", "templates"]
# As on a read-only root, writing a file is an error. Sixteen bytes are the room in which Python tries whether
# TMPDIR, /dev/shm in the container, can be written to.
NO_FILE_GROWS = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
os.execv(sys.argv[1], sys.argv[1:])
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheel")


@pytest.fixture(scope="module")
def wheel(workshop: Path, root: Path) -> Path:
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *options,
        "--wheel-dir",
        str(workshop / "dist"),
        str(root),
    ]
    subprocess.run(command, check=True)
    (built,) = (workshop / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(workshop: Path, wheel: Path) -> Path:
    """An environment that holds the wheel, and borrows the dependencies of the one that runs the tests."""
    place = workshop / "env"
    venv.create(place, symlinks=True)
    python = str(place / "bin" / "python")
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        "--quiet",
    ]
    subprocess.run([*install, str(wheel)], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    # The folder is put on the path, and the .pth files in it are not read: the checkout itself stays unseen.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def elsewhere(workshop: Path) -> Path:
    folder = workshop / "elsewhere"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def server(environment: Path, elsewhere: Path) -> Iterator[Server]:
    command = [
        str(environment / "bin" / "python"),
        "-c",
        NO_FILE_GROWS,
        str(environment / "bin" / "scenebrush"),
    ]
    settings = {"TMPDIR": "/dev/shm", "PYTHONDONTWRITEBYTECODE": "1"}  # as the Dockerfile sets them
    with serve([*command, "serve"], cwd=elsewhere, settings=settings) as running:
        yield running


def test_wheel_holds_what_serves_and_nothing_else(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(SHIPPED)
    data = [
        *(root / "static").rglob("*.*"),
        *(root / "templates").rglob("*.*"),
        *(root / "models" / "weights").glob("*.safetensors"),
        *(root / "models" / "label_sets").glob("*.toml"),
        *(root / "engine" / "native").glob("*.cpp"),
        *(root / "server" / "sharing" / "migrations").rglob("*.py"),
    ]
    assert any(path.name == "kernels.cpp" for path in data)
    wanted = {path.relative_to(root).as_posix() for path in data}
    assert wanted
    assert wanted <= names, f"left out: {sorted(wanted - names)}"
    assert not [name for name in names if name.endswith((".pyc", ".map", ".tar"))]


def test_wheel_says_what_it_is(environment: Path) -> None:
    program = (
        "import importlib.metadata, json, models, server, training;"
        "licence = importlib.metadata.metadata('scenebrush')['License-Expression'];"
        "print(json.dumps([licence, models.__file__, server.__file__, training.__file__]))"
    )
    command = [environment / "bin" / "python", "-c", program]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    licence, *files = json.loads(ran.stdout)
    assert licence == "Apache-2.0"
    assert all(Path(file).is_relative_to(environment) for file in files), (
        f"the checkout was imported: {files}"
    )


def test_kernels_are_compiled_from_the_wheel(environment: Path, workshop: Path) -> None:
    program = (
        "import json; from engine.native import build;"
        "library, why = build.load();"
        "print(json.dumps([build.__file__, library is not None, why]))"
    )
    cache = workshop / "cache"
    cache.mkdir(mode=0o700)
    command = [environment / "bin" / "python", "-c", program]
    ran = subprocess.run(
        command,
        cwd="/",
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    file, compiled, why = json.loads(ran.stdout)
    assert Path(file).is_relative_to(environment)
    if not compiled and not (shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")):
        pytest.skip(why)
    assert compiled, why
    assert list(cache.rglob("*.so")), "they were compiled here, not found"


def test_tables_of_shared_paintings_are_made_from_the_wheel(environment: Path, workshop: Path) -> None:
    program = (
        "import sys; from server.sharing import database;"
        "engine = database.open_engine('sqlite:///' + sys.argv[1]); database.upgrade(engine);"
        "print(database.__file__)"
    )
    path = workshop / "shares.sqlite3"
    command = [environment / "bin" / "python", "-c", program, path]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert Path(ran.stdout.strip()).is_relative_to(environment)
    with closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert {"shares", "share_pieces"} <= {name for (name,) in names}


def test_page_loads_from_another_directory(server: Server) -> None:
    page = httpx.get(f"{server.url}/")
    assert page.status_code == 200
    sources = re.findall(r"""(?:src|href)=["']([^"'#]+\.(?:js|css))["']""", page.text)
    assert sources
    for source in sources:
        assert httpx.get(httpx.URL(f"{server.url}/").join(source)).status_code == 200, (
            f"{source} is not there"
        )


def test_paints_without_writing_a_file(server: Server, root: Path) -> None:
    mask = (root / "examples" / "lake.png").read_bytes()
    answer = httpx.post(f"{server.url}/generate", files={"mask": ("lake.png", mask, "image/png")}, timeout=60)
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(answer.content)) as photo:
        assert photo.size == (256, 256)


def test_health_check_of_the_container(server: Server, root: Path) -> None:
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    match = re.search(r"^HEALTHCHECK.*\\\n\s*CMD (\[.*\])$", text, re.MULTILINE)
    assert match
    program, *arguments = json.loads(match.group(1))
    assert program == "python"
    port = str(httpx.URL(server.url).port)
    healthy = subprocess.run(
        [sys.executable, *arguments], env=os.environ | {"SCENEBRUSH_PORT": port}, check=False
    )
    assert healthy.returncode == 0
    sick = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"SCENEBRUSH_PORT": "1"},
        capture_output=True,
        check=False,
    )
    assert sick.returncode == 1


def test_leaves_when_asked(server: Server, elsewhere: Path) -> None:
    """Runs last: it ends the server of this file."""
    code = server.stop()
    assert code in {0, -signal.SIGTERM}, server.said
    assert "Traceback" not in server.said
    assert not list(elsewhere.iterdir()), "the server left files where it was started"
