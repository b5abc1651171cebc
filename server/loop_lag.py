"""How late the event loop comes: what everybody on it waits for, whatever they wait for besides."""

from __future__ import annotations

import asyncio
from typing import Final

from prometheus_client import Histogram

_PERIOD: Final = 0.5  # seconds


async def measure_lag(lag: Histogram, period: float = _PERIOD) -> None:
    """Sleep, and note by how many seconds the loop woke it late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + period
        await asyncio.sleep(period)
        lag.observe(max(0.0, loop.time() - due))
