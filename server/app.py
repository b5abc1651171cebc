"""Puts the server together. `create_app(settings, library)` makes an app that owns all its state."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from engine import Library
from server import errors
from server.darkroom import Darkroom
from server.device import Device, ThreadDevice
from server.gauges import watch_server
from server.guard.gate import Gate
from server.guard.guard import open_guard
from server.guard.patience import Patience
from server.limits import Limits
from server.loop_lag import measure_lag
from server.memory import MemoryPolicy, MemoryWatch, limit_of, resident_bytes
from server.metrics import Metrics
from server.middleware import BodyLimit, HostGuard, OriginGuard, RequestContext, RootPath
from server.reloading import Reloader, on_hangup
from server.rendering import Rendered, RenderRequest
from server.resources import find_page
from server.routes import docs, edit, generate, health, live, models, segment, session, shares, studio, styles
from server.scheduler import Turn
from server.schemas import problem_responses
from server.segmenting import Segmenters, default_folder
from server.services import Services, batch_size
from server.settings import Settings, refuse_several_workers
from server.sharing.service import open_sharing
from server.tracing import open_tracer
from server.version import scenebrush_version
from server.worker import DeviceWorker

log = structlog.get_logger(__name__)

_CODEC_THREADS = 2
_PHOTOS = 2  # held decoded at once


def create_app(settings: Settings, library: Library, device: Device | None = None) -> FastAPI:
    """The ASGI app. The device is warmed up in its lifespan; until then /readyz says 503.

    Args:
        device: where it paints, if not in a thread of this process; then only headers are read here.
    """
    services = _services(settings, library, device)
    app = FastAPI(
        title="Scenebrush",
        summary="Paint a label map, see the photo.",
        version=scenebrush_version(),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.docs else None,
        redirect_slashes=False,
        responses=problem_responses(401, 429),  # the guard's, on every address
        lifespan=_lifespan,
    )
    app.state.services = services
    errors.install(app, services.metrics.refuse_by)
    _add_routes(app, services)
    _add_middleware(app, services)
    return app


def _services(settings: Settings, library: Library, device: Device | None) -> Services:
    metrics = Metrics()
    tracer = open_tracer(settings.otlp_endpoint, os.environ, metrics)

    def observe(request: RenderRequest, rendered: Rendered, turn: Turn) -> None:
        source = "live" if turn.painter is not None else "rest"
        quality = "exact" if rendered.exact else "live"
        metrics.render_seconds.labels(request.model, source, quality).observe(rendered.seconds)
        metrics.wait_seconds.labels(source).observe(turn.waited)

    segmenters = Segmenters(library, settings.pretrained_segmenter or default_folder())
    worker = DeviceWorker(
        device or ThreadDevice(library, segmenters, settings.painter_cache_mb),
        library,
        places=settings.queue_length,
        uploads=settings.max_uploads,
        max_painters=settings.max_painters,
        # Several machines make batches of what meets there.
        batch=batch_size(settings, library) if device is None else 1,
        observe=observe,
        watchdog=settings.watchdog_seconds,
    )
    watch_server(metrics, worker, library)
    return Services(
        settings=settings,
        limits=Limits(settings.max_side, settings.max_pixels),
        library=library,
        worker=worker,
        metrics=metrics,
        tracer=tracer,
        page=find_page(),
        codec_pool=ThreadPoolExecutor(_CODEC_THREADS, "codec"),
        painters=set(),
        darkroom=Darkroom(_PHOTOS, max(1, settings.queue_length // 2)),
        segmenters=segmenters,
        sharing=open_sharing(settings),
        guard=open_guard(settings, metrics),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    refuse_several_workers(os.environ, sys.argv)
    services: Services = app.state.services
    # Beside the first requests: /healthz and the page answer while the model loads.
    beside = [
        asyncio.create_task(_warm_up(services)),
        asyncio.create_task(services.guard.keep()),
        asyncio.create_task(_memory_watch(services).keep()),
        asyncio.create_task(measure_lag(services.metrics.lag_seconds)),
    ]
    if services.sharing is not None:
        beside.append(asyncio.create_task(services.sharing.keep()))
    reloader = Reloader(services)
    try:
        with on_hangup(reloader):
            yield
    finally:
        await reloader.stop()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await services.worker.stop()
        if services.sharing is not None:
            await services.sharing.close()
        services.codec_pool.shutdown(cancel_futures=True)
        services.darkroom.close()
        await services.tracer.close()
        log.info("stopped")


def _memory_watch(services: Services) -> MemoryWatch:
    worker, library = services.worker, services.library
    policy = MemoryPolicy(limit_of(services.settings.memory_mb))
    return MemoryWatch(policy, worker, lambda: worker.between(library.shed), resident_bytes)


async def _warm_up(services: Services) -> None:
    try:
        await services.worker.start()
    except Exception:
        log.exception("the model did not load")
        await services.fail()
        return
    library = services.library
    for problem in library.problems:
        log.warning("a model file was passed over", problem=problem)
    log.info("ready", model=library.default_id, device=library.device_name, precision=library.precision)


def _add_routes(app: FastAPI, services: Services) -> None:
    app.include_router(studio.router)
    studio.mount_assets(app, services.page)
    app.include_router(generate.router)
    app.include_router(edit.router)
    app.include_router(segment.router)
    app.include_router(styles.router)
    app.include_router(models.router)
    app.include_router(health.router)
    app.include_router(live.router)
    app.include_router(session.router)
    if services.sharing is not None:
        app.include_router(shares.router)
        app.include_router(shares.page_router)
    if services.settings.metrics:
        app.include_router(health.metrics_router)
    if services.settings.docs:
        app.include_router(docs.router)
        docs.mount_files(app)


def _add_middleware(app: FastAPI, services: Services) -> None:
    """The last one added is the outermost."""
    settings = services.settings
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, timeout=settings.body_timeout)
    app.add_middleware(Patience, seconds=settings.request_timeout)
    app.add_middleware(Gate, guard=services.guard)  # inside CORS, which answers preflights without a token
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[
                "X-Seed",
                "X-Model",
                "X-Painted-Size",
                "X-Exact",
                "X-Segmenter",
                "X-Label-Set",
                "X-Request-ID",
                "Server-Timing",
                "Location",
                "Retry-After",
            ],
        )
    app.add_middleware(OriginGuard, allowed=settings.origins)
    app.add_middleware(HostGuard, hosts=settings.hosts)
    app.add_middleware(RequestContext, metrics=services.metrics, tracer=services.tracer, hsts=settings.hsts)
    if settings.root_path:
        app.add_middleware(RootPath, root_path=settings.root_path)
