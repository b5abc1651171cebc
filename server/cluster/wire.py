"""What travels between ingress and replica besides the work itself: answers, errors as data, facts.

Exceptions do not travel as they are: many cannot be pickled, and a replica's traceback is of no use to
a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from engine import EngineError, ModelChanged, OutOfMemory, UnknownModel
from models.checkpoint import CheckpointError
from server.errors import Problem
from server.rendering import PainterLostError

Saying = EngineError | OutOfMemory | CheckpointError
"""Errors of what, why and next."""
_KINDS: Final[tuple[type[Saying], ...]] = (
    EngineError,
    UnknownModel,
    ModelChanged,
    OutOfMemory,
    CheckpointError,
)
_SAYING: Final = {kind.__name__: kind for kind in _KINDS}


class ReplicaError(RuntimeError):
    """Something unexpected happened on a replica, whose log has the rest."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error on its way: its class, "other" for those that nobody expects, and what it is made of."""

    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a piece of work, and on which replica."""

    replica: str
    result: object
    """A Rendered, what a call returned, or a Refusal."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a replica says of itself."""

    replica: str
    host: str
    pid: int
    device: str
    precision: str
    replicas: int
    """How many of them are wanted at present."""
    models: tuple[str, ...]
    """Ids of the models that are loaded."""
    painters: int
    queued: int
    painted: int
    """Pictures painted since it began."""
    uses: int
    """Uses of the device, each of one picture or of several painted together."""
    cached_bytes: int


def refusal(error: BaseException) -> Refusal:
    """The error as data."""
    kind = type(error).__name__
    if isinstance(error, Problem):
        return Refusal(Problem.__name__, _problem_fields(error))
    if isinstance(error, PainterLostError):
        return Refusal(PainterLostError.__name__, {})
    if isinstance(error, Saying) and kind in _SAYING:
        return Refusal(kind, {"what": error.what, "why": error.why, "next": error.next})
    return Refusal("other", {"said": f"{kind}: {error}"})


def error_of(refused: Refusal) -> Exception:
    """The error that was sent, to be raised here."""
    fields = refused.fields
    if refused.kind == Problem.__name__:
        return Problem(**fields)
    if refused.kind == PainterLostError.__name__:
        return PainterLostError()
    if refused.kind in _SAYING:
        return _SAYING[refused.kind](**fields)
    return ReplicaError(fields["said"])


def _problem_fields(problem: Problem) -> dict[str, Any]:
    names = ("status", "code", "title", "detail", "next_step", "headers", "extra")
    return {name: getattr(problem, name) for name in names}
