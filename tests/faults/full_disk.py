"""A small disk that can be full, seen by the processes that run on it.

Where this user may mount, it is a tmpfs of 1 MiB in a mount namespace of those processes alone. Elsewhere it
is a folder, and what they may write is limited to nothing (RLIMIT_FSIZE) while it is full: the error then has
another number, EFBIG, and means the same.
"""

import resource
import subprocess
from collections.abc import Sequence
from pathlib import Path

_MOUNT = 'mount -t tmpfs -o size=1m none "$0" && exec "$@"'
_FILLER = "filler"
_FILL = f'head -c 2M /dev/zero >"$0/{_FILLER}" 2>&-'
_EMPTY = f'rm "$0/{_FILLER}"'


def _namespace() -> tuple[str, ...] | None:
    """How a command gets a mount namespace of its own here, None if it cannot."""
    for how in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        try:
            tried = subprocess.run(
                [*how, "sh", "-c", "mount -t tmpfs none /tmp"], capture_output=True, check=False
            )
        except FileNotFoundError:
            return None
        if tried.returncode == 0:
            return how
    return None


class Disk:
    """Args: folder: where it is mounted; it exists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._namespace = _namespace()

    def command(self, command: Sequence[str], *, log: str | None = None) -> tuple[str, ...]:
        """The command on this disk; what it prints goes to the disk's file `log`."""
        there: tuple[str, ...] = tuple(command)
        if log is not None:
            there = ("sh", "-c", f'exec "$@" >>"$0/{log}" 2>&1', str(self.folder), *there)
        if self._namespace is None:
            return there
        return (*self._namespace, "sh", "-c", _MOUNT, str(self.folder), *there)

    def script(self, text: str) -> list[str]:
        """A shell script on this disk: $0 is its folder, `fill` and `empty` are commands.

        A disk of a script's own: what another left is not on it.
        """
        fill, empty = (_FILL, _EMPTY) if self._namespace else ("ulimit -S -f 0", "ulimit -S -f unlimited")
        return [
            *self.command(
                ["sh", "-c", f"fill() {{ {fill}; }}; empty() {{ {empty}; }}\n{text}", str(self.folder)]
            )
        ]

    def seen_by(self, process: int) -> Path:
        """The folder, as that process has it."""
        return Path(f"/proc/{process}/root{self.folder}") if self._namespace else self.folder

    def fill(self, process: int) -> None:
        """Nothing more fits, for that process."""
        if not self._namespace:
            resource.prlimit(process, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            return
        try:
            with (self.seen_by(process) / _FILLER).open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass
        except OSError:
            return
        raise AssertionError("the disk took everything")

    def empty(self, process: int) -> None:
        """There is room again."""
        if self._namespace:
            (self.seen_by(process) / _FILLER).unlink()
        else:
            endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(process, resource.RLIMIT_FSIZE, endless)
