"""For those who keep the server running: is it alive, is it ready, how is it doing."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Response

from server.errors import Problem
from server.schemas import Health, Ready, problem_responses
from server.services import ServicesOf
from server.worker import wedged

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])


@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", summary="Is it alive?", responses=problem_responses(503))
async def healthz(services: ServicesOf) -> Health:
    """Answers 200 while the process runs, its event loop turns and its device answers; otherwise it wants to
    be started again."""
    if services.worker.wedged:
        raise wedged()
    return Health()


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", summary="Is it ready?", responses=problem_responses(503))
async def readyz(services: ServicesOf) -> Ready:
    """Answers 200 once the default model is warmed up, and 503 before that and while the server stops;
    `waiting_for` says what has yet to happen."""
    worker, library = services.worker, services.library
    if worker.broken:
        raise _not_ready(
            "The model did not load; the log says why.",
            "Mend the model or the settings; restart.",
            ["somebody to mend the model or the settings, and restart", *library.awaits],
        )
    if worker.wedged:
        raise _not_ready(
            "The device does not answer.",
            "Wait for the server to be started again.",
            ["the server to be started again"],
        )
    if worker.draining:
        raise _not_ready("The server is stopping.", "Send work to another server.", ["the server to stop"])
    if not worker.ready:
        raise _not_ready(
            "The model is being loaded and warmed up.",
            "Ask again in a second.",
            library.awaits or ("the first turn at the device",),
        )
    about = worker.about
    if about is None:
        raise _not_ready(
            "None of the machines that paint answers.",
            "Ask again in a second.",
            ["one of the machines that paint to answer"],
        )
    return Ready(model=library.default_id, device=about.name, precision=about.precision)


def _not_ready(why: str, next_step: str, waiting_for: Sequence[str]) -> Problem:
    return Problem(
        503,
        "not-ready",
        "Not ready",
        why,
        next_step,
        headers={"Retry-After": "1"},
        extra={"waiting_for": list(waiting_for)},
    )


@metrics_router.get("/metrics", summary="How is it doing?", response_class=Response)
async def metrics(services: ServicesOf) -> Response:
    """Prometheus metrics in the text format."""
    return Response(services.metrics.exposition(), media_type=services.metrics.content_type)
