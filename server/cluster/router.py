"""The one file that meets Ray Serve's request router, whose interface is alpha: it asks placing.py."""

from __future__ import annotations

from collections.abc import Sequence

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

from server.cluster.placing import Candidate, Route, place


class PlacingRouter(RequestRouter):
    """Sends each call to the replica that its Route, the call's first argument, asks for."""

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
        return Candidate(
            replica.replica_id.unique_id,
            models=replica.routing_stats.get("models"),
            ongoing=self.replica_queue_len_cache.get(replica.replica_id) or 0,
        )


def _route_of(arguments: Sequence[object]) -> Route:
    first = arguments[0] if arguments else None
    return first if isinstance(first, Route) else Route()
