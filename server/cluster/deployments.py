"""The two deployments of a cluster and how they are wired: Ray Serve calls these classes."""

from __future__ import annotations

import asyncio
import os
from contextvars import Context
from typing import Any, Final, cast

import structlog
from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve import Application
from ray.serve.handle import DeploymentHandle
from ray.serve.metrics import Gauge

from server import logs
from server.app import create_app
from server.cluster.device import ClusterDevice, ReplicaGoneError
from server.cluster.metrics import PaintersByReplica
from server.cluster.placing import Route
from server.cluster.replica import Replica
from server.cluster.wire import Answer, Facts
from server.device import ThreadDevice, Work
from server.errors import Problem
from server.memory import MemoryPolicy, MemoryWatch, limit_of, resident_bytes
from server.segmenting import Segmenters, default_folder
from server.services import GPU_BATCH, Services, batch_size, open_library
from server.settings import Settings

log = structlog.get_logger(__name__)

APPLICATION: Final = "scenebrush"
_ONGOING: Final = 1000
"""Calls that a replica or an ingress takes at once. The app's own limits are tighter, and refuse in words."""
_PATIENCE: Final = 60.0
_ROUTER: Final = "server.cluster.router.PlacingRouter"
_STATS_EVERY: Final = 1.0
_HEALTH_EVERY: Final = 2.0
_LOGS: Final = {"log_level": "WARNING", "enable_access_log": False}
"""Serve's own lines; the server's have their own format and level."""


class ModelReplica:
    """A Replica, as Ray Serve runs it: one process with its own device."""

    async def __init__(self, settings: Settings) -> None:
        logs.configure(settings.log_format, settings.log_level)
        library = await asyncio.to_thread(open_library, settings)
        segmenters = Segmenters(library, settings.pretrained_segmenter or default_folder())
        device = ThreadDevice(library, segmenters, settings.painter_cache_mb)
        self._replica = Replica(
            serve.get_replica_context().replica_id.unique_id,
            library,
            device,
            batch=batch_size(settings, library),
            # As many as all ingresses let in; and the ones that a dead ingress left make room first.
            painters=settings.max_painters * settings.ray_ingresses,
            idle=settings.idle_timeout,
            watchdog=settings.watchdog_seconds,
            replicas=lambda: serve.get_replica_context().world_size,
        )
        self._gauges = ReplicaGauges()
        await self._replica.start()
        memory = MemoryPolicy(limit_of(settings.memory_mb))
        watch = MemoryWatch(memory, self._replica, lambda: device.between(library.shed), resident_bytes)
        self._watching = asyncio.create_task(watch.keep())
        log.info("replica ready", replica=self._replica.name, pid=os.getpid(), device=library.device_name)

    async def do(self, route: Route, work: Work) -> Answer:
        return await self._replica.do(route, work)

    async def forget(self, route: Route, small: bool) -> None:
        self._replica.forget(route, small=small)

    async def facts(self, _route: Route) -> Facts:
        return self._replica.facts()

    def check_health(self) -> None:
        self._replica.check()

    def record_routing_stats(self) -> dict[str, Any]:
        """What the router is told of this replica, about once a second; and Ray's metrics."""
        facts = self._replica.facts()
        self._gauges.set(facts)
        return {"models": list(facts.models)}

    async def __del__(self) -> None:
        self._watching.cancel()
        await self._replica.stop()


class ReplicaGauges:
    """What a replica counts, among the metrics that Ray offers on each machine. Ray adds which replica."""

    def __init__(self) -> None:
        self._painters = Gauge("scenebrush_replica_documents", "Live documents kept on the device.")
        self._queued = Gauge("scenebrush_replica_queued", "Pieces of work that wait for the device.")
        self._painted = Gauge("scenebrush_replica_pictures", "Pictures painted since the replica began.")
        self._uses = Gauge("scenebrush_replica_uses", "Uses of the device since the replica began.")
        self._cached = Gauge("scenebrush_replica_cached_bytes", "Bytes of modulation tables kept.")

    def set(self, facts: Facts) -> None:
        self._painters.set(facts.painters)
        self._queued.set(facts.queued)
        self._painted.set(facts.painted)
        self._uses.set(facts.uses)
        self._cached.set(facts.cached_bytes)


class RayReplicas:
    """The way to the replicas through a handle of Ray Serve (device.Replicas)."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    async def do(self, route: Route, work: Work) -> Answer:
        return await self._call("do", route, work)

    async def forget(self, route: Route, small: bool) -> None:
        await self._call("forget", route, small)

    async def facts(self) -> Facts:
        return await self._call("facts", Route())

    async def _call(self, method: str, *arguments: object) -> Any:
        # Serve's router knows a call by the request in whose context it is made, and forgets the second of
        # two that wait under one name. Ours are made for many at once: each in a context of its own.
        loop = asyncio.get_running_loop()
        return await loop.create_task(self._call_alone(method, *arguments), context=Context())

    async def _call_alone(self, method: str, *arguments: object) -> Any:
        response = getattr(self._handle, method).remote(*arguments)
        try:
            return await response
        except asyncio.CancelledError:
            response.cancel()
            raise
        except RayActorError as error:
            raise ReplicaGoneError(type(error).__name__) from None


class Ingress:
    """The app behind Ray Serve's proxies: pages, sockets, sessions and label maps, and nothing of torch's."""

    def __init__(self, settings: Settings, replicas: DeploymentHandle[Any]) -> None:
        self._settings = settings
        self._replicas = replicas

    def __serve_build_asgi_app__(self) -> FastAPI:
        logs.configure(self._settings.log_format, self._settings.log_level)
        # Headers only: an ingress needs no device, and the machine that it is on may have none.
        library = open_library(self._settings.model_copy(update={"device": "cpu", "precision": "auto"}))
        device = ClusterDevice(
            RayReplicas(self._replicas),
            uses=_uses(self._settings),
            # Before the app's own watchdog: a replica that hangs is no reason for this process to leave.
            patience=min(_PATIENCE, self._settings.watchdog_seconds / 2),
        )
        app = create_app(self._settings, library, device)
        self._services: Services = app.state.services
        self._services.metrics.registry.register(PaintersByReplica(device))
        return app

    async def drain(self) -> None:
        """Tell live painters to come back, and take no more work."""
        await self._services.drain()


def application(arguments: dict[str, Any]) -> Application:
    """What a Serve config file names: `import_path: server.cluster.deployments:application`.

    Its `args` are settings by name; what they leave out comes from the environment of the head node. Raises
    ValidationError, Problem.
    """
    return build(Settings.model_validate(arguments))


def build(settings: Settings) -> Application:
    """The application of these settings. Raises Problem where they do not fit a cluster."""
    _check(settings)
    # Serve annotates its decorators in part.
    deployment, as_ingress = cast("Any", serve.deployment), cast("Any", serve.ingress())
    replicas = deployment(
        ModelReplica,
        name="Painters",
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": settings.ray_cpus, "num_gpus": settings.ray_gpus},
        request_router_config={
            "request_router_class": _ROUTER,
            "request_routing_stats_period_s": _STATS_EVERY,
        },
        health_check_period_s=_HEALTH_EVERY,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=settings.drain_timeout,
        logging_config=_LOGS,
        **_scale(settings),
    )
    ingress = deployment(
        as_ingress(Ingress),
        name="Studio",
        num_replicas=settings.ray_ingresses,
        max_ongoing_requests=_ONGOING,
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=_HEALTH_EVERY,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=settings.drain_timeout,
        logging_config=_LOGS,
    )
    return ingress.bind(settings, replicas.bind(settings))


def _uses(settings: Settings) -> int:
    """Uses under way at once: what all replicas paint together, and as much again, so that none waits."""
    batch = settings.batch or (GPU_BATCH if settings.ray_gpus else 1)
    return 2 * batch * max(settings.ray_replicas, settings.ray_max_replicas or 0)


def _scale(settings: Settings) -> dict[str, Any]:
    """A fixed number of replicas, or bounds for as many as the work asks for."""
    least, most = settings.ray_replicas, settings.ray_max_replicas
    if most is None or most <= least:
        return {"num_replicas": least}
    return {
        "autoscaling_config": {
            "min_replicas": least,
            "max_replicas": most,
            "target_ongoing_requests": settings.ray_ongoing,
        }
    }


def _check(settings: Settings) -> None:
    if settings.sharing and settings.ray_ingresses > 1 and settings.database_url is None:
        raise Problem(
            422,
            "invalid-value",
            "Shared paintings need a database of their own",
            f"With {settings.ray_ingresses} ingresses each machine would keep its own file, and know nothing "
            "of the links of the others.",
            "Set SCENEBRUSH_DATABASE_URL to a database that all of them reach, or one ingress.",
        )
