"""Which replica does a piece of work. Pure policy: every ingress decides alone, from what it knows, and needs
no state that all share.

- A painter stays where it is. A new one, or one whose replica is gone, goes where rendezvous hashing (Thaler
  & Ravishankar 1998) of its key says: painters spread evenly, and a replica more or less moves only those
  that it gains or loses.
- A painter leaves a replica that has much more to do than the one that hashing prefers, so that replicas that
  come later take their share.
- Everything else goes to the replica with the least to do.
- Both prefer replicas that have loaded the model, as long as those are not much busier than the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

SPARE: Final = 3
"""How much more work may wait at a replica that has the model, or the painter, than at one that has not."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a piece of work wants to go. It travels with the work.

    painter: its live painter's key, if there is one.
    home: the replica that has the painter, as far as the ingress knows.
    model: the model that it needs.
    ingress: where it came from.
    stay: it is for `home` alone, however busy that is; elsewhere it does nothing.
    """

    painter: str | None = None
    home: str | None = None
    model: str | None = None
    ingress: str = ""
    stay: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A running replica, as an ingress sees it: the models that it has loaded, None while that is unknown,
    and the work that it has."""

    id: str
    models: Collection[str] | None = None
    ongoing: int = 0


def place(candidates: Sequence[Candidate], route: Route) -> Candidate | None:
    """The replica for a piece of work; None if there is none at all."""
    if not candidates:
        return None
    home = next((one for one in candidates if one.id == route.home), None)
    if home is not None and route.stay:
        return home
    able = _with_model(candidates, route.model)
    if route.painter is None:
        return min(able, key=lambda one: (one.ongoing, one.id))
    painter = route.painter
    favourite = max(able, key=lambda one: weight(painter, one.id))
    if home is None or home.ongoing > favourite.ongoing + SPARE:
        return favourite
    return home


def weight(painter: str, replica: str) -> bytes:
    """How much a painter prefers a replica: the same everywhere, and unrelated for every pair."""
    return blake2b(f"{painter}\0{replica}".encode(), digest_size=8).digest()


def _with_model(candidates: Sequence[Candidate], model: str | None) -> Sequence[Candidate]:
    """Those that may have the model and are not much busier than the least busy; all if there are none."""
    least = min(one.ongoing for one in candidates)
    idle = [one for one in candidates if one.ongoing <= least + SPARE]
    return [one for one in idle if one.models is None or model in one.models] or candidates
