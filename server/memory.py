"""How much memory the process may take, and what happens when it takes more.

Passing the limit, the server lets go of what can be made again. While that is not enough it takes in nobody
new; those who paint go on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import structlog

from server.errors import Problem

log = structlog.get_logger(__name__)

_EVERY: Final = 1.0  # seconds between two looks
_SHED_EVERY: Final = 30.0
"""Seconds until it is worth while to let go again: what painters need at once comes back at once."""
_SHARE: Final = 0.9  # of what the machine or container has
_RETRY_AFTER: Final = 10
_CGROUPS: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")
_STATM: Final = Path("/proc/self/statm")


class MemoryPolicy:
    """When to let go, and when to refuse. Takes numbers and the time, and does nothing itself.

    Args:
        limit: bytes; 0 for none.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.refuses = False
        """Whether new painters and work are turned away: letting go was not enough."""
        self._above = False
        self._shed_at = -_SHED_EVERY

    def seen(self, resident: int, now: float) -> bool:
        """So many bytes are taken at the moment: whether to let go now.

        The first time above the limit nobody is refused yet: letting go may do.
        """
        if not self.limit or resident <= self.limit:
            self._above = self.refuses = False
            return False
        self.refuses, self._above = self._above, True
        if self.refuses and now - self._shed_at < _SHED_EVERY:
            return False
        self._shed_at = now
        return True


class Gate(Protocol):
    """Who takes in painters and work."""

    short_of_memory: bool


@dataclass(frozen=True, slots=True)
class MemoryWatch:
    """Looks at the process once a second.

    policy: decides. gate: is told whether to take in anybody. shed: lets go, on the device's thread; how many
    bytes that was. resident: bytes taken now, 0 where nobody can say.
    """

    policy: MemoryPolicy
    gate: Gate
    shed: Callable[[], Awaitable[int]]
    resident: Callable[[], int]

    async def keep(self, every: float = _EVERY) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("the memory could not be looked after")
            await asyncio.sleep(every)

    async def look(self) -> None:
        """Look once, and do what is to be done."""
        resident = self.resident()
        refused, shed = self.policy.refuses, self.policy.seen(resident, asyncio.get_running_loop().time())
        self.gate.short_of_memory = self.policy.refuses
        if self.policy.refuses != refused:
            log.warning(
                "short of memory: nobody new is taken in" if self.policy.refuses else "enough memory again",
                mib=resident >> 20,
                limit_mib=self.policy.limit >> 20,
            )
        if shed:
            freed = await self.shed()
            log.warning("memory was let go", mib=freed >> 20, was_mib=resident >> 20)


def low_memory() -> Problem:
    """What newcomers hear meanwhile."""
    return Problem(
        503,
        "low-memory",
        "The server is short of memory",
        "It takes in nobody new until there is enough again; whoever paints goes on.",
        f"Try again in {_RETRY_AFTER} s.",
        headers={"Retry-After": str(_RETRY_AFTER)},
        extra={"retry_after": _RETRY_AFTER},
    )


def limit_of(memory_mb: int | None) -> int:
    """Bytes that the process may take: as set, else nine tenths of what there is; 0 for no limit."""
    return memory_mb << 20 if memory_mb is not None else int(_SHARE * available())


def available(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP, meminfo: Path = _MEMINFO) -> int:
    """Bytes of memory that this process can have: its container's, else the machine's; 0 where no file
    says."""
    limits = [limit for limit in (_of_group(cgroups, membership), _of_machine(meminfo)) if limit]
    return min(limits, default=0)


def _of_group(cgroups: Path, membership: Path) -> int:
    """The least limit of the control groups around this process, version 2 or 1."""
    names = [cgroups / "memory" / "memory.limit_in_bytes", cgroups / "memory.max"]
    for line in _text(membership).splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" or "memory" in controllers.split(","):
            base = cgroups if number == "0" else cgroups / "memory"
            name = "memory.max" if number == "0" else "memory.limit_in_bytes"
            inside = Path(path.strip().lstrip("/"))
            names += [base / part / name for part in (inside, *inside.parents)]
    said = [_text(name).strip() for name in names]
    # Version 1 says "no limit" by a number close to 2⁶³.
    return min((int(one) for one in said if one.isdecimal() and int(one) < 1 << 60), default=0)


def _of_machine(meminfo: Path) -> int:
    for line in _text(meminfo).splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) << 10
    return 0


def resident_bytes() -> int:
    """Bytes that this process takes now; 0 where no file says."""
    fields = _text(_STATM).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
