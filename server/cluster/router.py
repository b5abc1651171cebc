"""The one file that meets Ray Serve's request router, whose interface is alpha: it asks placing.py."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from server.cluster.placing import Candidate, Route, place


class PlacingRouter(RequestRouter):
    """Sends each call to the replica that its Route, the call's first argument, asks for.

    How busy replicas are is counted here, by the calls of this ingress that are under way: Serve's own
    numbers are estimates, and can be wrong for ten seconds.
    """

    def initialize_state(self, **_options: object) -> None:
        self._under_way: Counter[str] = Counter()
        self._lock = threading.Lock()  # calls may end in another thread than they begin

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """One group of one replica; Serve asks again while that one takes no more work."""
        if pending_request is None:
            return [candidate_replicas]
        chosen = place([self._seen(one) for one in candidate_replicas], _route_of(pending_request.args))
        return [[one for one in candidate_replicas if chosen and one.replica_id.unique_id == chosen.id]]

    def _seen(self, replica: RunningReplica) -> Candidate:
        name = replica.replica_id.unique_id
        return Candidate(name, models=replica.routing_stats.get("models"), ongoing=self._under_way[name])

    def on_send_request(self, replica_id: ReplicaID) -> None:
        super().on_send_request(replica_id)
        with self._lock:
            self._under_way[replica_id.unique_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        super().on_request_completed(replica_id, internal_request_id)
        with self._lock:
            self._under_way[replica_id.unique_id] -= 1
            if self._under_way[replica_id.unique_id] <= 0:  # also of replicas that are gone
                del self._under_way[replica_id.unique_id]


def _route_of(arguments: Sequence[object]) -> Route:
    first = arguments[0] if arguments else None
    return first if isinstance(first, Route) else Route()
