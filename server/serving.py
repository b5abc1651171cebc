"""Runs an app under uvicorn, with the settings that a Scenebrush server needs."""

from __future__ import annotations

import socket as sockets

import uvicorn
from fastapi import FastAPI

from server.services import Services
from server.settings import Settings


class DrainingServer(uvicorn.Server):
    """On SIGTERM or Ctrl+C, live painters hear `bye` before their sockets close; then uvicorn's own shutdown
    waits for requests under way."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def shutdown(self, sockets: list[sockets.socket] | None = None) -> None:
        await self._services.drain()
        await super().shutdown(sockets)


def make_server(app: FastAPI, settings: Settings) -> DrainingServer:
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
    return DrainingServer(config, app.state.services)
