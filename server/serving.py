"""Runs an app under uvicorn, with the settings that a Scenebrush server needs."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import structlog
import uvicorn
from fastapi import FastAPI

from server.guard.connections import BoundedConfig, Bounds, look_at, room_for
from server.services import Services
from server.settings import Settings

log = structlog.get_logger(__name__)

_LOOK_EVERY_TICKS = 5  # of uvicorn's, ten a second


WEDGED: Final = 70
"""The exit status of a process whose device does not answer (EX_SOFTWARE): to be started again."""
_MESSAGES = 4  # of a socket that have come and were not read; a whole map may be one


class DrainingServer(uvicorn.Server):
    """On SIGTERM or Ctrl+C, live painters hear `bye` before their sockets close; then uvicorn's own shutdown
    waits for requests under way. When the device is wedged they hear it too, and the process leaves at once:
    nothing can end the thread that hangs, and only a new process can use the device again."""

    def __init__(
        self, config: BoundedConfig, services: Services, on_started: Callable[[str], None] | None
    ) -> None:
        super().__init__(config)
        self._dropped = config.dropped
        self._services = services
        self._on_started = on_started
        self._leaving: asyncio.Task[None] | None = None
        services.worker.on_wedged = self._give_up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log.info("listening", url=self.url)
            if self._on_started is not None:
                self._on_started(self.url)

    async def on_tick(self, counter: int) -> bool:
        if counter % _LOOK_EVERY_TICKS == 0:
            look_at(self.server_state.connections, asyncio.get_running_loop().time(), self._dropped)
        return await super().on_tick(counter)

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the studio."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"http://{name}:{port}{self._services.settings.root_path}"

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        started = asyncio.get_running_loop().time()
        await self._services.drain()
        # One time limit for both: what the painters took is no longer there for the requests.
        left = self._services.settings.drain_timeout - (asyncio.get_running_loop().time() - started)
        self.config.timeout_graceful_shutdown = max(1, round(left))
        await super().shutdown(sockets)

    def _give_up(self) -> None:
        self._leaving = asyncio.get_running_loop().create_task(self._leave_wedged())

    async def _leave_wedged(self) -> None:
        try:
            await self._services.give_up()
        finally:
            log.error("leaving with status 70, to be started again")
            _leave_now(WEDGED)


def _leave_now(status: int) -> NoReturn:
    """Leave without waiting for any thread."""
    sys.stderr.flush()
    os._exit(status)


def make_server(
    app: FastAPI, settings: Settings, on_started: Callable[[str], None] | None = None
) -> DrainingServer:
    """A server that has not started; `run()` blocks until it is told to stop."""
    bounds = Bounds(
        settings.head_timeout,
        settings.request_timeout,
        settings.send_timeout,
        room_for(settings.max_connections),
    )
    services: Services = app.state.services
    config = BoundedConfig(
        app,
        bounds,
        lambda why: services.metrics.dropped.labels(why).inc(),
        host=settings.host,
        port=settings.port,
        workers=1,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=settings.ping_interval,
        ws_ping_timeout=settings.ping_timeout,
        ws_max_queue=_MESSAGES,
        ws_per_message_deflate=False,  # maps come as runs and pictures compressed: it would only cost time
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
    )
    return DrainingServer(config, services, on_started)
