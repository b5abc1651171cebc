"""`scenebrush serve --ray`: a cluster of this machine alone, or the one that RAY_ADDRESS names."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import ray
import structlog
from ray import serve
from ray.serve.handle import DeploymentHandle

from server.cluster.deployments import APPLICATION, build
from server.settings import LOOPBACK_HOSTS, Settings

log = structlog.get_logger(__name__)


def serve_cluster(settings: Settings, on_started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl+C. Raises Problem where settings do not fit."""
    app = build(settings)
    _connect(settings)
    try:
        told_to_stop = _signals()  # after Ray, which sets its own
        port = settings.port or _free_port(settings.host)
        where = "EveryNode" if "RAY_ADDRESS" in os.environ else "HeadOnly"
        serve.start(
            proxy_location=where,
            http_options={"host": settings.host, "port": port},
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        studio = serve.run(app, name=APPLICATION, route_prefix="/")
        on_started(f"http://{settings.host}:{port}{settings.root_path}")
        told_to_stop.wait()
        log.info("stopping")
        _drain(studio, settings.drain_timeout)
    finally:
        serve.shutdown()
        ray.shutdown()


def _signals() -> threading.Event:
    told_to_stop = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        told_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return told_to_stop


def _drain(studio: DeploymentHandle[Any], seconds: float) -> None:
    """Painters hear `bye` from every ingress that still answers."""
    try:
        studio.broadcast("drain").results(timeout_s=seconds)
    except Exception as error:  # an ingress that is gone has nobody to tell
        log.warning("not every painter was told", error=type(error).__name__)


def _connect(settings: Settings) -> None:
    if "RAY_ADDRESS" in os.environ:
        ray.init(namespace=APPLICATION)
        return
    # A studio for this machine keeps Ray's own ports from the others too.
    address = "127.0.0.1" if settings.host in LOOPBACK_HOSTS else None
    ray.init(namespace=APPLICATION, include_dashboard=False, _node_ip_address=address)


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]
