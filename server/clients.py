"""Who asks, as the server tells its clients apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CLIENT: Final = "scenebrush.client"
"""The scope's key of who asks."""


def client_of(scope: Mapping[str, Any]) -> str:
    """Who sent the request or opened the socket: what the guard found out, else the peer's address."""
    known = scope.get(CLIENT)
    if isinstance(known, str):
        return known
    peer = scope.get("client")
    return f"address:{peer[0]}" if peer else "address:"
