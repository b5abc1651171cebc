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

from server.services import Services
from server.settings import Settings

log = structlog.get_logger(__name__)


WEDGED: Final = 70
"""The exit status of a process whose device does not answer (EX_SOFTWARE): to be started again."""


class DrainingServer(uvicorn.Server):
    """On SIGTERM or Ctrl+C, live painters hear `bye` before their sockets close; then uvicorn's own shutdown
    waits for requests under way. When the device is wedged they hear it too, and the process leaves at once:
    nothing can end the thread that hangs, and only a new process can use the device again."""

    def __init__(
        self, config: uvicorn.Config, services: Services, on_started: Callable[[str], None] | None
    ) -> None:
        super().__init__(config)
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
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        workers=1,
        ws="auto",
        ws_max_size=settings.max_message_bytes,
        ws_per_message_deflate=False,  # maps come as runs and pictures compressed: it would only cost time
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
    )
    return DrainingServer(config, app.state.services, on_started)
