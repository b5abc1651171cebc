"""What /metrics asks other parts of the server when it is read."""

from __future__ import annotations

from collections.abc import Mapping

from engine import Library
from server.metrics import Metrics
from server.version import scenebrush_version
from server.worker import DeviceWorker


def watch_server(metrics: Metrics, worker: DeviceWorker, library: Library) -> None:
    """Show the state of the worker and of the library. All values are read from the event loop."""
    scheduler = worker.scheduler
    metrics.state(
        "scenebrush_build_info",
        "Always 1; the labels say what runs, and on what.",
        version=scenebrush_version(),
        device=library.device_name,
        precision=library.precision,
    )
    metrics.watch(
        "scenebrush_ready",
        "1 while work is taken, as /readyz says.",
        lambda: float(worker.ready and not (worker.draining or worker.broken or worker.wedged)),
    )
    metrics.watch(
        "scenebrush_draining", "1 once the server has been told to stop.", lambda: float(worker.draining)
    )
    metrics.watch("scenebrush_queued", "Requests waiting for the device.", lambda: scheduler.queued)
    metrics.watch("scenebrush_painters", "Live painters connected.", lambda: scheduler.painters)
    metrics.watch("scenebrush_documents", "Live documents kept on the device.", lambda: worker.documents)
    metrics.watch(
        "scenebrush_load_level",
        "How far live painting is cut back: 0 not at all, 1 fewer frames, 2 smaller ones too.",
        lambda: int(worker.level),
    )
    metrics.watch_count(
        "scenebrush_superseded_renders",
        "Revisions that no frame shows, since a newer one came before their turn.",
        lambda: scheduler.superseded,
    )
    metrics.watch_count(
        "scenebrush_memory_sheds",
        "Times that everything which can be made again was let go, for want of memory.",
        lambda: library.shed_count,
    )
    metrics.watch("scenebrush_cached_bytes", "Bytes of modulation tables kept.", lambda: library.cached_bytes)
    metrics.watch_counts(
        "scenebrush_table_rows",
        "Rows of modulation tables that maps asked for: found, or computed.",
        "result",
        lambda: {"found": library.table_rows.found, "computed": library.table_rows.computed},
    )
    metrics.watch_gauges(
        "scenebrush_device_memory_bytes",
        "Bytes of the GPU's memory: allocated by tensors, reserved by torch. Not on a CPU.",
        "kind",
        lambda: _device_memory(library),
    )


def _device_memory(library: Library) -> Mapping[str, float]:
    memory = library.device_memory
    return {} if memory is None else {"allocated": memory.allocated, "reserved": memory.reserved}
