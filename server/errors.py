"""What goes wrong, as the web says it: RFC 9457 problem documents with what, why and what next."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from http.client import responses
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from engine import EngineError, ModelChanged, OutOfMemory, UnknownModel

CLIENT_CLOSED_REQUEST: Final = 499  # nginx's number; nobody reads the answer, the log does
PROBLEM_TYPE: Final = "application/problem+json"
PROBLEM_URN: Final = "urn:scenebrush:problem:"


class Problem(Exception):
    """An answer that is not the one asked for. `code` is a stable slug, listed in docs/api.md."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        next_step: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        counted_as: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.next_step = next_step
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.counted_as = counted_as or code  # where metrics tell apart what clients need not

    def response(self, request_id: str = "") -> Response:
        body = {
            "type": PROBLEM_URN + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "next": self.next_step,
            **({"request_id": request_id} if request_id else {}),
            **self.extra,
        }
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        return Response(content, self.status, self.headers, PROBLEM_TYPE)


def from_engine(error: EngineError) -> Problem:
    """The engine refused its input: the client's to mend."""
    detail = f"{error.what[:1].upper()}{error.what[1:]}: {error.why}."
    if isinstance(error, UnknownModel):
        return Problem(404, "unknown-model", "Unknown model", detail, error.next)
    if isinstance(error, ModelChanged):
        return model_changed(detail)
    return Problem(422, "not-paintable", "This cannot be painted", detail, error.next)


def model_changed(detail: str) -> Problem:
    """What was asked for was meant for a model whose file has been replaced since."""
    return Problem(
        409,
        "model-changed",
        "The model has changed",
        detail,
        "Fetch /models again, convert the map to the model's labels, and ask again.",
    )


_SECONDS_TO_FREE: Final = 5


def out_of_memory(error: MemoryError) -> Problem:
    """There was no memory for this one request; others go on."""
    said = error.next if isinstance(error, OutOfMemory) else "Ask for less at once."
    return Problem(
        503,
        "out-of-memory",
        "Not enough memory",
        "There was not enough memory for this, even after the server had let go of what it can make again.",
        f"Try again in {_SECONDS_TO_FREE} s. {said}",
        headers={"Retry-After": str(_SECONDS_TO_FREE)},
        extra={"retry_after": _SECONDS_TO_FREE},
    )


def internal() -> Problem:
    """Something of ours failed; the log has the rest."""
    return Problem(
        500,
        "internal",
        "The server failed",
        "An unexpected error stopped this request. The server's log has the details under the request id.",
        "Try again; if it happens again, report it with the request id.",
    )


_FRAMEWORK: Final[dict[int, tuple[str, str, str]]] = {
    400: ("bad-request", "The request could not be read.", "Check how the request is put together."),
    404: ("not-found", "There is nothing at this address.", "See /docs for the addresses that there are."),
    405: (
        "method-not-allowed",
        "This address does not answer that method.",
        "The Allow header lists those it does.",
    ),
}


def from_status(status: int, detail: str, headers: Mapping[str, str] | None) -> Problem:
    """A framework's own error."""
    title = responses.get(status, "Error")
    code, sentence, next_step = _FRAMEWORK.get(
        status, (title.lower().replace(" ", "-"), detail or title, "See /docs for what this address takes.")
    )
    said = detail if detail and detail != title else sentence
    return Problem(status, code, title, said, next_step, headers=headers)


_MOST_LISTED: Final = 10
_LONGEST_NAME: Final = 64
_LONGEST_MESSAGE: Final = 200


def from_validation(errors: Sequence[Any]) -> Problem:
    """Values that do not fit. `errors` are pydantic's: the first are listed, without what was sent."""
    listed = [
        {"field": _field(error["loc"]), "error": str(error["msg"])[:_LONGEST_MESSAGE]}
        for error in errors[:_MOST_LISTED]
    ]
    detail = "; ".join(f"{entry['field']}: {entry['error']}" for entry in listed)
    if len(errors) > len(listed):
        detail += f"; and {len(errors) - len(listed)} more"
    return Problem(
        422,
        "invalid-value",
        "A value does not fit",
        detail,
        "Correct the fields named.",
        extra={"errors": listed},
    )


def _field(loc: Sequence[int | str]) -> str:
    name = ".".join(str(part)[: _LONGEST_NAME + 1] for part in loc) or "body"
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def problem_of(error: Exception) -> Problem:
    """The one place where domain and framework errors become answers."""
    match error:
        case Problem():
            return error
        case EngineError() | MemoryError():
            return out_of_memory(error) if isinstance(error, MemoryError) else from_engine(error)
        case HTTPException():
            return from_status(error.status_code, error.detail or "", error.headers)
        case RequestValidationError():
            return from_validation(error.errors())
        case ValidationError():
            return from_validation(error.errors(include_input=False, include_url=False))
        case _:
            return internal()


def install(app: FastAPI, tell: Callable[[str], None]) -> None:
    """Answer every error of the app and its framework with a problem document, and tell its code."""

    async def respond(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        tell(problem.counted_as)
        return problem.response(request_id(request))

    async def let_go(_request: Request, _error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(ClientDisconnect, let_go)
    for kind in (Problem, EngineError, MemoryError, HTTPException, RequestValidationError, ValidationError):
        app.add_exception_handler(kind, respond)


def request_id(request: Request) -> str:
    """The id that the middleware gave this request."""
    return str(request.scope.get("scenebrush.request_id", ""))
