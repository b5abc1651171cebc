"""What Ray reads from the environment. It reads some of it while it is imported, so this comes before."""

from __future__ import annotations

import os
from typing import Final

from server.settings import Settings

_OURS: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_DEDUP_LOGS": "0",  # log lines of several replicas are no repetitions
    "RAY_worker_niceness": "0",  # painting is what this machine is for
}


def prepare(settings: Settings) -> None:
    """Set what is not set otherwise, for this process and those that Ray starts."""
    for name, value in _OURS.items():
        os.environ.setdefault(name, value)
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(
        settings.trusted_proxies
    )  # read by uvicorn in Serve's proxies
