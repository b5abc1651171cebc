"""Refuses connections beyond loopback, in every Python that starts with this folder on PYTHONPATH.

The fallback for systems that grant no network namespace. Python imports a module of this name at start; audit
hooks cannot be removed, so code under test cannot undo it. Sockets opened by C++ libraries are not seen: the
namespace, where it can be had, is the stronger proof.
"""

import errno
import ipaddress
import sys

NAMES = {None, "", "localhost", b"", b"localhost"}
EVENTS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.connect": 1, "socket.sendto": 1}


def is_local(host: object) -> bool:
    if host in NAMES:
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event not in EVENTS:
        return
    target = arguments[EVENTS[event]]
    if event in {"socket.connect", "socket.sendto"}:
        if not isinstance(target, tuple):  # a Unix socket's path
            return
        target = target[0]
    if not is_local(target):
        raise OSError(errno.ENETUNREACH, f"the test suite runs without a network; {event} wanted {target!r}")


sys.addaudithook(refuse)
