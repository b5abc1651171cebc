"""What lies in the repository: no addresses of package indexes, no large files, a sound Dockerfile."""

import ast
import importlib.metadata
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.project.python_imports import imports

ROOT = Path(__file__).parents[2]

# Spelled in pieces, so that this file does not hold what it forbids.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("download", "pytorch", "org"),
        ("deb", "debian", "org"),
        ("docker", "io"),
    ]
]
INSTALL_ADDRESSES = re.compile(
    r'"resolved":\s*"http'
    r"|--(?:extra-)?index" + r"-url\b"
    r"|--find" + r"-links\b"
    r"|^registry\s*=",
    re.MULTILINE,
)
SHIPPED_ROOMS = ["models", "engine", "server", "training"]
BUILT_IN_WEIGHTS = {"landscape": 16_000_000, "segmenter": 8_000_000}  # bytes
LARGEST_FILE = 1500 * 1024
PIN = re.compile(r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")


def tracked() -> list[Path]:
    """Files that are in git, or would be with the next commit."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def texts() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in tracked():
        try:
            found.append((path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:  # pictures and weights
            continue
    return found


@pytest.fixture(scope="module")
def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["project"]


def test_no_package_index_is_named() -> None:
    for name, text in texts():
        named = [host for host in INDEX_HOSTS if host in text]
        assert not named, (
            f"{name} names {named}; where packages come from is the installing machine's business"
        )
        address = INSTALL_ADDRESSES.search(text)
        assert not address, f"{name} holds an install address: {address.group()!r}"


@pytest.mark.parametrize(
    "parts", [('"resolved"', ': "http://x/y.tgz"'), ("pip --extra-index", "-url x"), ("registry", "=x")]
)
def test_install_addresses_are_recognised(parts: tuple[str, str]) -> None:
    assert INSTALL_ADDRESSES.search("".join(parts))


def test_only_the_built_in_weights_are_large() -> None:
    weights = sorted((ROOT / "models" / "weights").glob("*.safetensors"))
    assert weights, "models/weights holds no model"
    for path in weights:
        size, limit = path.stat().st_size, BUILT_IN_WEIGHTS[path.stem]
        assert size <= limit, f"{path.name} has {size} bytes; {limit} is the limit"
    large = [path for path in tracked() if path.stat().st_size > LARGEST_FILE and path not in weights]
    assert not large, f"large files in git: {[path.relative_to(ROOT).as_posix() for path in large]}"


def test_constraints_are_exact_and_portable() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(PIN.match(pin) for pin in pins), "one exact version a line, without a local part such as +cpu"
    names = [normalised(pin.partition("==")[0]) for pin in pins]
    assert len(names) == len(set(names))
    assert not [name for name in names if name.startswith(("nvidia-", "cuda-"))], (
        "torch pins its CUDA packages itself"
    )


def test_constraints_cover_what_the_project_asks_for(project: dict[str, object]) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normalised(line.partition("==")[0]) for line in lines if not line.startswith("#")}
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    names = _names(project["dependencies"], *extras.values()) - {"scenebrush"}  # extras name extras
    assert names <= pinned, f"without an exact version: {sorted(names - pinned)}"


def _names(*requirements: list[str]) -> set[str]:
    lines = [line for group in requirements for line in group]
    return {normalised(match.group()) for line in lines if (match := re.match(r"[\w.-]+", line))}


def test_every_imported_library_is_declared(project: dict[str, object]) -> None:
    """The tests' environment holds more than a user's would, so a forgotten dependency shows only here."""
    dependencies = project["dependencies"]
    assert isinstance(dependencies, list)
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    # torch brings triton where it has CUDA; elsewhere the engine does without.
    everywhere = _names(dependencies) | {"triton"}
    training = everywhere | _names(extras["train"], extras["evaluate"])
    # transformers brings huggingface_hub; both are asked for when somebody wants the pretrained segmenter.
    segmenting = everywhere | _names(extras["segment"]) | {"huggingface-hub"}
    special = {"engine/pretrained.py": segmenting, "server/segmenting.py": segmenting}
    special["server/otlp.py"] = everywhere | _names(extras["telemetry"])
    # Ray is imported in these, and these where it is asked for.
    clustering = everywhere | _names(extras["ray"])
    special |= {f"server/cluster/{name}.py": clustering for name in ("deployments", "launch", "router")}
    owners = importlib.metadata.packages_distributions()
    ours = set(SHIPPED_ROOMS)
    for path in [path for room in SHIPPED_ROOMS for path in (ROOT / room).rglob("*.py")]:
        packages = {package for _, package in imports(ast.parse(path.read_text(encoding="utf-8")))}
        for package in packages - ours - sys.stdlib_module_names:
            distributions = {normalised(name) for name in owners.get(package, [package])}
            declared = training if path.is_relative_to(ROOT / "training") else everywhere
            declared = special.get(path.relative_to(ROOT).as_posix(), declared)
            assert distributions & declared, (
                f"{path.relative_to(ROOT)} imports {package}, which pyproject.toml lacks"
            )


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def dockerfile() -> list[tuple[str, str]]:
    """Instructions and their arguments, continued lines joined and comments left out."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (keyword, rest.strip())
        for line in joined.splitlines()
        if line
        for keyword, _, rest in [line.partition(" ")]
    ]


def test_container_copies_what_its_build_context_holds(project: dict[str, object]) -> None:
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[:1] == "!"
    }
    copied = {
        source
        for keyword, rest in dockerfile()
        if keyword == "COPY" and "--from" not in rest
        for source in shlex.split(rest)[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    with (ROOT / "pyproject.toml").open("rb") as file:
        shipped = tomllib.load(file)["tool"]["hatch"]["build"]["only-include"]
    assert set(shipped) <= copied, "the wheel built in the container would lack a room"
    assert project["readme"] in copied


def test_container_keeps_its_promises() -> None:
    instructions = dockerfile()
    final = instructions[max(i for i, (keyword, _) in enumerate(instructions) if keyword == "FROM") :]
    last = dict(final)
    user = last["USER"].partition(":")[0]
    assert user.isdecimal(), "Kubernetes' runAsNonRoot cannot check a user's name"
    assert int(user) != 0
    assert last["ENTRYPOINT"] == '["scenebrush"]', "a shell as process 1 would swallow SIGTERM"
    assert last["CMD"] == '["serve"]'
    assert last["EXPOSE"] == "8000"
    assert ("ARG", "TORCH_INDEX=") in instructions
    assert "SCENEBRUSH_HOST=0.0.0.0" in last["ENV"]


def test_one_version(project: dict[str, object]) -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert headings, "the changelog is empty"
    assert headings[0] == "[Unreleased]"
    released = r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})"
    assert all(re.fullmatch(released, heading) for heading in headings[1:])
    kinds = set(re.findall(r"^### (.+)$", changelog, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    versions = [match.group(1) for heading in headings if (match := re.fullmatch(released, heading))]
    assert not versions or versions[0] == project["version"]
