"""What an ingress says of its cluster among its other metrics."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.cluster.device import ClusterDevice


class PaintersByReplica(Collector):
    """How many of this ingress's painters each replica has. Replicas that have none are left out, so that the
    names of those that are gone are not kept."""

    def __init__(self, device: ClusterDevice) -> None:
        self._device = device

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(
            "scenebrush_replica_painters",
            "Live painters by the replica that paints them.",
            labels=["replica"],
        )
        for replica, painters in self._device.homes.items():
            family.add_metric([replica], painters)
        yield family
