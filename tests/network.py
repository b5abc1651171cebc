"""Cuts a process and its children off from every network but loopback.

Where the kernel allows it the process moves into a network namespace of its own, which holds for compiled
code and for Chromium too; elsewhere an audit hook refuses connections (`offline/sitecustomize.py`).
"""

import ctypes
import fcntl
import os
import runpy
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

Isolation = Literal["namespace", "guard", "none"]

ISOLATION = pytest.StashKey[Isolation]()
HEADER: dict[Isolation, str] = {
    "namespace": "off (a namespace of its own, loopback only)",
    "guard": "off for Python (no namespace is permitted here)",
    "none": "on, as asked",
}
GUARD = Path(__file__).parent / "offline"

# <linux/sched.h>, <linux/sockios.h>, <linux/if.h>
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def cut_off() -> Isolation:
    """Leave the network, for good, by the strongest means that this system grants."""
    # A half-entered namespace, without loopback, would be a trap: a child tries first.
    trial = subprocess.run([sys.executable, __file__], capture_output=True, check=False)
    if trial.returncode == 0:
        enter_namespace()
        return "namespace"
    runpy.run_path(str(GUARD / "sitecustomize.py"))
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{GUARD}{os.pathsep}{inherited}" if inherited else str(GUARD)
    return "guard"


def enter_namespace() -> None:
    """Move into a new network namespace and bring its loopback up; OSError where that is not permitted."""
    uid, gid = os.getuid(), os.getgid()
    try:
        unshare(CLONE_NEWNET)
    except PermissionError:  # not root: own a user namespace first, under the same user and group
        unshare(CLONE_NEWUSER | CLONE_NEWNET)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def reaches(address: str) -> bool:
    """Whether this process has a route to the IPv4 address. Connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    enter_namespace()
    sys.exit(0 if reaches("127.0.0.1") else 1)
