"""What the routes of one app share. It lives on the app, never in a module."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, ParamSpec, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from engine import Library
from models.spec import ModelSpec
from server.darkroom import Darkroom
from server.guard.guard import Guard
from server.limits import Limits
from server.metrics import Metrics
from server.resources import Page
from server.segmenting import Segmenters
from server.settings import Settings
from server.sharing.service import Sharing
from server.tracing import Tracer
from server.worker import DeviceWorker

if TYPE_CHECKING:
    from server.painter import LivePainter

_BACK_SOON: Final = 2.0  # seconds until a page should come back
_BACK_AFTER_RESTART: Final = 5.0
_BACK_MUCH_LATER: Final = 60.0
_GOODBYE: Final = 2.0
GPU_BATCH: Final = 8

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Services:
    """One app's settings, models, device worker, and the small pool that reads and writes picture files."""

    settings: Settings
    limits: Limits
    library: Library
    worker: DeviceWorker
    metrics: Metrics
    tracer: Tracer
    page: Page
    codec_pool: ThreadPoolExecutor
    painters: set[LivePainter]
    darkroom: Darkroom
    segmenters: Segmenters
    sharing: Sharing | None
    """None where nothing is shared."""
    guard: Guard

    async def in_codec_pool(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run picture reading or writing off the event loop; both let go of Python's lock."""
        return await asyncio.get_running_loop().run_in_executor(
            self.codec_pool, lambda: work(*args, **kwargs)
        )

    async def drain(self) -> None:
        """Take no more work and tell live painters to come back; requests under way finish."""
        self.worker.draining = True
        await self._dismiss_painters("The server is stopping.", _BACK_SOON)

    async def fail(self) -> None:
        """The model did not load: whoever waits for it hears so."""
        self.worker.fail()
        await self._dismiss_painters("The server's model did not load.", _BACK_MUCH_LATER)

    async def give_up(self) -> None:
        """The device is wedged, and this process about to leave: live painters hear it, and come back to the
        next one with their own maps. Those that do not read are not waited for."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self._dismiss_painters("The server restarts.", _BACK_AFTER_RESTART)

    async def _dismiss_painters(self, reason: str, retry_after: float) -> None:
        # A page that does not read must not hold the others up.
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_timeout):
                await asyncio.gather(
                    *(painter.say_bye(reason, retry_after) for painter in list(self.painters))
                )


def open_library(settings: Settings) -> Library:
    """The models that the settings name. Raises EngineError."""
    return Library.builtin(
        device=settings.device,
        precision=settings.precision,
        threads=settings.threads,
        extra_directory=settings.models_dir,
        default=settings.default_model,
        cache_mb=settings.cache_mb,
        session_mb=settings.session_mb,
        max_models=settings.max_models,
    )


def reads_instances(spec: ModelSpec) -> bool:
    """Whether the model reads the edges between things, and so takes an instance map."""
    return bool(spec.options.get("instance_edges", False))


def batch_size(settings: Settings, library: Library) -> int:
    """Most pictures to paint together: as set, else what suits the device."""
    on_cpu = library.device_name.upper().startswith("CPU")
    return settings.batch or (1 if on_cpu else GPU_BATCH)


def services(connection: HTTPConnection) -> Services:
    """The services of the app that this request or socket came to."""
    found = connection.app.state.services
    if not isinstance(found, Services):
        raise TypeError("the app was not made by create_app")
    return found


ServicesOf = Annotated[Services, Depends(services)]
