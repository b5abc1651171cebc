"""What travels between ingress and replica besides the work itself: answers, errors as data, facts.

Exceptions do not travel as they are: many cannot be pickled, and a replica's traceback is of no use to
a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from engine import EngineError, UnknownModel
from models.checkpoint import CheckpointError
from server.errors import Problem
from server.rendering import PainterLostError

Kind = Literal["problem", "engine", "unknown-model", "checkpoint", "lost", "other"]


class ReplicaError(RuntimeError):
    """Something unexpected happened on a replica, whose log has the rest."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error on its way. `fields` are what its class is made of."""

    kind: Kind
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
    match error:
        case Problem():
            return Refusal("problem", _problem_fields(error))
        case PainterLostError():
            return Refusal("lost", {})
        case UnknownModel():
            return Refusal("unknown-model", _three(error))
        case EngineError():
            return Refusal("engine", _three(error))
        case CheckpointError():
            return Refusal("checkpoint", _three(error))
        case _:
            return Refusal("other", {"said": f"{type(error).__name__}: {error}"})


def error_of(refused: Refusal) -> Exception:
    """The error that was sent, to be raised here."""
    fields = refused.fields
    match refused.kind:
        case "problem":
            return Problem(**fields)
        case "lost":
            return PainterLostError()
        case "unknown-model":
            return UnknownModel(**fields)
        case "engine":
            return EngineError(**fields)
        case "checkpoint":
            return CheckpointError(**fields)
        case "other":
            return ReplicaError(fields["said"])


def _three(error: EngineError | CheckpointError) -> dict[str, Any]:
    return {"what": error.what, "why": error.why, "next": error.next}


def _problem_fields(problem: Problem) -> dict[str, Any]:
    names = ("status", "code", "title", "detail", "next_step", "headers", "extra")
    return {name: getattr(problem, name) for name in names}
