"""Shared paintings in a database: added, found, read, removed, and forgotten when their time is over.

Their bytes lie in the database too, in pieces: so one transaction makes or ends a share as a whole, a backup
of the database is a backup of everything, and reading one holds a piece at a time. Every call blocks: it
belongs in a thread.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import URL, delete, func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from server.errors import Problem
from server.sharing.database import (
    ID_LENGTH,
    PIECE,
    WRITES,
    Share,
    SharePiece,
    UnusableDatabase,
    open_engine,
    upgrade,
)

log = structlog.get_logger(__name__)

_ID_BYTES: Final = 16
_ID: Final = re.compile(f"[A-Za-z0-9_-]{{{ID_LENGTH}}}")
_TOKEN_BYTES: Final = 32
_DAY: Final = 24 * 60 * 60
_SWEPT_AT_ONCE: Final = 100
_RETRY_AFTER: Final = "5"
_SQLITE_FULL: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
)
_POSTGRES_FULL: Final = "53100"


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """For how many days paintings are kept (0: for ever), how many, and how many bytes in all."""

    days: int
    count: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Added:
    """A painting that is shared from now on. `expires` is in seconds since 1970."""

    id: str
    delete_token: str
    expires: int | None


class ShareStore:
    """The tables are made or brought up to date at the first call.

    Every method but close may raise Problem: 503 when the database does not answer, 507 when its disk is
    full.

    Args:
        address: the database's, as SQLAlchemy writes it. Raises UnusableDatabase.
        clock: seconds since 1970.
    """

    def __init__(
        self, address: str | URL, limits: StoreLimits, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = open_engine(address)
        self._limits = limits
        self._clock = clock
        self._writing = threading.Lock()
        self._upgrading = threading.Lock()  # Alembic works on one database at a time
        self._upgraded = False

    def add(self, file: bytes) -> Added:
        """Keep a file. Raises Problem, 507, when as many or as much is kept as may be."""
        share_id, token = secrets.token_urlsafe(_ID_BYTES), secrets.token_urlsafe(_TOKEN_BYTES)
        now = int(self._clock())
        expires = now + self._limits.days * _DAY if self._limits.days else None
        with self._session(write=True) as session:
            self._forget_expired(session)
            self._check_room(session, len(file))
            share = Share(id=share_id, token_hash=_hash(token), created=now, expires=expires, size=len(file))
            session.add(share)
            session.flush()  # before its pieces, which refer to it
            for number in range(-(-len(file) // PIECE)):
                piece = file[number * PIECE : (number + 1) * PIECE]
                session.add(SharePiece(share=share_id, number=number, data=piece))
        return Added(share_id, token, expires)

    def find(self, share_id: str) -> int:
        """The size of a shared painting's file. Raises Problem, 404, if there is none or no more."""
        _check_id(share_id)
        with self._session() as session:
            return self._found(session, share_id).size

    def read(self, share_id: str, number: int) -> bytes:
        """A piece of its file. Raises Problem, 404, when it is gone."""
        with self._session() as session:
            piece = session.get(SharePiece, (share_id, number))
            if piece is None:
                raise unknown_share()
            return piece.data

    def remove(self, share_id: str, token: str) -> None:
        """Forget it. Raises Problem: 404 as find does, 403 if it is another's token."""
        _check_id(share_id)
        with self._session(write=True) as session:
            share = self._found(session, share_id)
            if not hmac.compare_digest(share.token_hash, _hash(token)):
                raise _wrong_token()
            _forget(session, [share_id])

    def sweep(self) -> int:
        """Forget some of those whose time is over; how many."""
        with self._session(write=True) as session:
            return self._forget_expired(session)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def _session(self, *, write: bool = False) -> Generator[Session]:
        """A transaction: all of it or nothing. One writes at a time, so that limits are kept."""
        with _errors_said(), self._writing if write else nullcontext():
            self._upgrade()
            with self._engine.connect() as plain:
                connection = plain.execution_options(**{WRITES: write})
                with Session(connection) as session, session.begin():
                    yield session

    def _upgrade(self) -> None:
        with self._upgrading:
            if not self._upgraded:
                upgrade(self._engine)
                self._upgraded = True

    def _found(self, session: Session, share_id: str) -> Share:
        share = session.get(Share, share_id)
        # Some databases compare without case.
        if share is None or share.id != share_id or self._is_over(share):
            raise unknown_share()
        return share

    def _is_over(self, share: Share) -> bool:
        return share.expires is not None and share.expires <= self._clock()

    def _forget_expired(self, session: Session) -> int:
        over = select(Share.id).where(Share.expires <= int(self._clock())).limit(_SWEPT_AT_ONCE)
        ids = list(session.scalars(over))
        _forget(session, ids)
        return len(ids)

    def _check_room(self, session: Session, size: int) -> None:
        kept = session.execute(select(func.count(), func.coalesce(func.sum(Share.size), 0))).one()
        count, total = int(kept[0]), int(kept[1])
        if count >= self._limits.count or total + size > self._limits.total_bytes:
            raise Problem(
                507,
                "shares-full",
                "No more paintings can be shared",
                f"This server keeps {count} shared paintings of {total} bytes in all; "
                f"the most are {self._limits.count} and {self._limits.total_bytes}.",
                "Download the project instead, or try again when others have been deleted.",
            )


def _check_id(share_id: str) -> None:
    """Raise Problem, 404, for what was never an id: no database need be asked, and some take no such text."""
    if not _ID.fullmatch(share_id):
        raise unknown_share()


def _forget(session: Session, ids: list[str]) -> None:
    session.execute(delete(SharePiece).where(SharePiece.share.in_(ids)))
    session.execute(delete(Share).where(Share.id.in_(ids)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def unknown_share() -> Problem:
    """There is no such share, or no more."""
    return Problem(
        404,
        "unknown-share",
        "There is no such shared painting",
        "It was never there, was deleted, or its time is over.",
        "Check the link, or ask whoever sent it to share the painting again.",
    )


def _wrong_token() -> Problem:
    return Problem(
        403,
        "wrong-delete-token",
        "Not the token that deletes this painting",
        "The token was given out once, to whoever shared it.",
        "Use that token, or wait: most shared paintings are deleted in time.",
    )


@contextmanager
def _errors_said() -> Generator[None]:
    """Turn what a database raises into a Problem; the log has the rest, but nothing of what was stored."""
    try:
        yield
    except (SQLAlchemyError, OSError, UnusableDatabase) as error:
        if _is_full(error):
            log.warning("no room for shared paintings", error=str(error))
            raise _storage_full() from error
        log.exception("the database of shared paintings failed")
        raise _unavailable() from error


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    cause = error.orig if isinstance(error, DBAPIError) else None
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return getattr(cause, "sqlite_errorcode", None) in _SQLITE_FULL or state == _POSTGRES_FULL


def _storage_full() -> Problem:
    return Problem(
        507,
        "storage-full",
        "The server's storage is full",
        "The painting could not be written, and nothing of it is kept.",
        "Download the project instead, and tell whoever runs this server.",
    )


def _unavailable() -> Problem:
    return Problem(
        503,
        "sharing-unavailable",
        "Sharing does not work just now",
        "The server cannot reach its database of shared paintings.",
        "Try again later; painting goes on as usual.",
        headers={"Retry-After": _RETRY_AFTER},
    )
