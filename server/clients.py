"""Who asks: a token, or an address. Limits count by it, and logs may name it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final

CLIENT: Final = "scenebrush.client"
_IPV6_PREFIX: Final = 64  # what one household or one rented machine has: its last 64 bits are free to choose


def client_of(scope: Mapping[str, Any]) -> str:
    """`token:ID`, or `address:ADDRESS` of the peer; an IPv6 address counts by its /64.

    The peer is what uvicorn takes it for: behind trusted proxies the last address in X-Forwarded-For that is
    none of theirs.
    """
    known = scope.get(CLIENT)
    return known if isinstance(known, str) else address_client(scope)


def address_client(scope: Mapping[str, Any]) -> str:
    """The peer's address as a client."""
    peer = scope.get("client")
    if not peer:
        return "address:local"  # a Unix socket
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    except ValueError:
        return "address:unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"address:{ipaddress.ip_network((address, _IPV6_PREFIX), strict=False)}"
        address = address.ipv4_mapped
    return f"address:{address}"
