"""Access tokens, and the file that holds what is known of them.

A token is `sb_` + id + `_` + secret. The secret is 256 random bits, so the file keeps its plain SHA-256:
there is no dictionary of such secrets to try, and a slow hash would only slow the server down. Whoever reads
the file learns names and dates, and nothing to sign in with.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Generator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import Problem

PREFIX: Final = "sb_"
NAME_LENGTH: Final = 64
_SHAPE: Final = re.compile(r"sb_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6
_DAY: Final = 24 * 60 * 60
_MOST_BYTES: Final = 4 * 1024 * 1024
_OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token. `created` and `expires` are in seconds since 1970; None: never."""

    id: str
    name: str
    hash: str
    created: int
    expires: int | None

    def is_over(self, now: float) -> bool:
        """Whether its time has come."""
        return self.expires is not None and self.expires <= now


class UnreadableTokensError(Exception):
    """The file is there and cannot be believed. `str` says why, without anything that is in it."""


def make_token(name: str, now: float, days: int | None) -> tuple[Token, str]:
    """A new token: what to keep of it, and what to give away, once."""
    token_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    expires = None if days is None else int(now) + days * _DAY
    return Token(token_id, name, _hash(secret), int(now), expires), f"{PREFIX}{token_id}_{secret}"


def find_token(tokens: Iterable[Token], given: str, now: float) -> Token | None:
    """The token that was given, if it is one of these and its time is not over."""
    match = _SHAPE.fullmatch(given)
    if match is None:
        return None
    token = next((token for token in tokens if token.id == match[1]), None)
    if token is None or not hmac.compare_digest(token.hash, _hash(match[2])) or token.is_over(now):
        return None
    return token


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


# -- The file -------------------------------------------------------------------------------------


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    name: Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: int
    expires: int | None


class _File(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal["scenebrush-tokens"] = "scenebrush-tokens"
    version: Literal[1] = 1
    tokens: list[_Entry]


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens in a file; none where there is no file. Raises UnreadableTokensError."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS_MAY_WRITE:
                raise UnreadableTokensError("others than its owner may write it; mend that with chmod 600")
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UnreadableTokensError(error.strerror or type(error).__name__) from None
    if len(content) > _MOST_BYTES:
        raise UnreadableTokensError(f"it has more than {_MOST_BYTES} bytes")
    try:
        entries = _File.model_validate_json(content).tokens
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UnreadableTokensError(f"{where}: {first['type']}") from None
    if len({entry.id for entry in entries}) < len(entries):
        raise UnreadableTokensError("an id comes twice")
    return tuple(Token(**entry.model_dump()) for entry in entries)


def write_tokens(path: Path, tokens: Iterable[Token]) -> None:
    """Put a file of these tokens in the place of the old one, all of it or nothing. Raises OSError."""
    content = {
        "format": "scenebrush-tokens",
        "version": 1,
        "tokens": [asdict(token) for token in tokens],
    }
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """The new name outlives a power cut only when the folder was written too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- For whoever runs the server ------------------------------------------------------------------


class TokenFile:
    """A file of tokens, as the command line changes it: one change at a time. Raises Problem and OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tokens(self) -> tuple[Token, ...]:
        """All that are in it."""
        try:
            return read_tokens(self.path)
        except UnreadableTokensError as error:
            raise Problem(
                503,
                "tokens-unreadable",
                "The file of tokens cannot be read",
                f"{self.path}: {error}.",
                "Mend it, or remove it and give out new tokens.",
            ) from None

    def add(self, name: str, now: float, days: int | None = None) -> str:
        """A new token, which is known nowhere but in the answer."""
        name = name.strip()
        if not name.isprintable() or not 1 <= len(name) <= NAME_LENGTH:
            raise _unfit_name()
        with self._alone():
            tokens = self.tokens()
            if any(token.name == name for token in tokens):
                raise _name_taken(name)
            token, given = make_token(name, now, days)
            write_tokens(self.path, (*tokens, token))
        return given

    def revoke(self, id_or_name: str) -> Token:
        """Take one back; which it was."""
        with self._alone():
            tokens = self.tokens()
            gone = next((token for token in tokens if id_or_name in (token.id, token.name)), None)
            if gone is None:
                raise _no_such_token(id_or_name)
            write_tokens(self.path, [token for token in tokens if token is not gone])
        return gone

    @contextlib.contextmanager
    def _alone(self) -> Generator[None]:
        """Two commands at once would lose one's change."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self.path.with_name(f"{self.path.name}.lock")
        with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600), "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield


def _unfit_name() -> Problem:
    return Problem(
        422,
        "invalid-value",
        "The name does not fit",
        f"A name has 1 to {NAME_LENGTH} printable characters.",
        "Name the person or the program that gets the token.",
    )


def _name_taken(name: str) -> Problem:
    return Problem(
        422,
        "invalid-value",
        "There is a token of that name",
        f"A token is named {name!r} already, and names say whose token it is.",
        "Take another name, or revoke that token first.",
    )


def _no_such_token(id_or_name: str) -> Problem:
    # What was given may be a token itself, pasted by mistake: not to be repeated.
    shown = "that" if PREFIX in id_or_name else repr(id_or_name[:NAME_LENGTH])
    return Problem(
        404,
        "unknown-token",
        "There is no such token",
        f"No token has {shown} as its id or name.",
        "See: scenebrush token list",
    )
