"""Compiles a file of kernels for this very processor, once, and loads it.

The library is kept in the user's cache folder under a name that says what it was built from, by what and for
which processor; whatever changes makes another file. A file that others could have written, or that is not
whole, is never loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from engine.device import cpu_flags, cpu_parts

SOURCE = Path(__file__).with_name("kernels.cpp")
# No -ffast-math: NaN stays NaN, and sums keep their order.
FLAGS = ("-std=c++20", "-O3", "-march=native", "-ffp-contract=fast", "-fPIC", "-shared")
MACHINES = {"x86_64", "AMD64", "aarch64", "arm64"}
COMPILE_SECONDS = 120
ONE_THREAD = "one thread paints, which is slower: this torch has no OpenMP runtime with GOMP_parallel"


class Unavailable(Exception):
    """Why there is no library."""


@cache
def load(source: Path = SOURCE) -> tuple[ctypes.CDLL | None, str]:
    """The compiled kernels, and what slows them or ""; or None, and the reason why there are none.

    The first call may compile.

    Args:
        source: C++ that exports, among others, `scenebrush_use_openmp(GOMP_parallel or null)`.
    """
    try:
        return _loaded(source)
    except Unavailable as error:
        return None, str(error)


def _loaded(source: Path) -> tuple[ctypes.CDLL, str]:
    if not sys.platform.startswith("linux") or platform.machine() not in MACHINES:
        raise Unavailable(f"no kernels for {sys.platform} on {platform.machine()}")
    compiler = find_compiler()
    try:
        library = ctypes.CDLL(str(built(compiler, source)))
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{compiler} did not build the kernels: {_said(error)}") from error
    openmp = _openmp()
    library.scenebrush_use_openmp(openmp)
    return library, "" if openmp else ONE_THREAD


def _said(error: Exception) -> str:
    """What a compiler printed, or the error itself."""
    if isinstance(error, subprocess.CalledProcessError):
        return (error.stderr or "").strip()[-500:] or str(error)
    return str(error)


def find_compiler() -> str:
    """$CXX, or the first C++ compiler on the path."""
    for name in (os.environ.get("CXX"), "g++", "c++", "clang++"):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise Unavailable("no C++ compiler (g++, c++, clang++ or $CXX)")


def built(compiler: str, source: Path = SOURCE) -> Path:
    """The library's file, compiled unless it is there already and whole."""
    folder = cache_folder()
    file = folder / f"{source.stem}-{_fingerprint(compiler, source)}.so"
    if not (file.is_file() and _is_ours(file) and _is_whole(file)):
        _compile(compiler, file, source)
    return file


def _compile(compiler: str, file: Path, source: Path) -> None:
    # Beside its place and then renamed: two processes may build at once, and neither ever sees half a file.
    handle, name = tempfile.mkstemp(suffix=".so", dir=file.parent)
    os.close(handle)
    try:
        command = [compiler, *FLAGS, "-o", name, str(source)]
        subprocess.run(  # noqa: S603 - our own source and flags, and the user's compiler
            command, check=True, capture_output=True, text=True, timeout=COMPILE_SECONDS
        )
        _seal(Path(name))
        Path(name).chmod(0o700)
        Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)


def cache_folder() -> Path:
    """A folder that only we can write to: in the user's cache, or a new temporary one."""
    place = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with contextlib.suppress(OSError, RuntimeError):
        folder = Path(place).expanduser() / "scenebrush"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_ours(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path(_temporary_folder().name)


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Kept until this process ends."""
    return tempfile.TemporaryDirectory(prefix="scenebrush-")


def _is_ours(path: Path) -> bool:
    """Owned by this user, a link nowhere, and nobody else may write to it."""
    status = path.lstat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022 and not path.is_symlink()


def _seal(file: Path) -> None:
    """Append the digest of what a file holds; nobody reads a library beyond its end."""
    content = file.read_bytes()
    file.write_bytes(content + hashlib.sha256(content).digest())


def _is_whole(file: Path) -> bool:
    """Whether a file holds what was sealed. A full disk or a power cut may leave less, which can crash the
    process that loads it."""
    content = file.read_bytes()
    size = hashlib.sha256().digest_size
    return hashlib.sha256(content[:-size]).digest() == content[-size:]


def _fingerprint(compiler: str, source: Path) -> str:
    version = subprocess.run(  # noqa: S603 - the user's compiler
        [compiler, "--version"], check=True, capture_output=True, text=True, timeout=COMPILE_SECONDS
    ).stdout
    processor = [platform.machine(), *sorted(cpu_flags()), *sorted(cpu_parts())]
    parts = [source.read_text(), compiler, version, *FLAGS, *processor]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _openmp() -> ctypes.c_void_p | None:
    """GOMP_parallel of the OpenMP runtime that torch uses, be it libgomp, libomp or libiomp5: all have it.

    None where there is none: then one thread works. A second runtime would bring threads of its own, which
    spin while torch's work, and the other way round.
    """
    for library in _where_torch_looks():
        with contextlib.suppress(OSError, AttributeError):
            return ctypes.cast(ctypes.CDLL(library).GOMP_parallel, ctypes.c_void_p)
    return None


def _where_torch_looks() -> list[str | None]:
    """Where the linker finds torch's functions: first in what is global in this process, for instance
    preloaded, and then in all the libraries that torch was linked to."""
    return [None, importlib.import_module("torch._C").__file__]
