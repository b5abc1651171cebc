"""The tables of shared paintings, and the database that they lie in: how it is opened and kept up to date."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import (
    URL,
    BigInteger,
    Connection,
    Engine,
    ForeignKey,
    LargeBinary,
    String,
    create_engine,
    event,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PIECE: Final = 256 * 1024
"""Bytes of a painting that are held at once when it is read."""
ID_LENGTH: Final = 22
WRITES: Final = "scenebrush_writes"
"""Execution option of a connection that will write."""

_MIGRATIONS: Final = Path(__file__).parent / "migrations"
_BUSY_MS: Final = 10_000


class UnusableDatabase(RuntimeError):
    """The setting names no database that can be used here. The message says why, and never repeats the
    address, which may hold a password."""


class Base(DeclarativeBase):
    """What the scripts in migrations/ make."""


class Share(Base):
    """A painting that was shared. Times are whole seconds since 1970."""

    __tablename__ = "shares"

    id: Mapped[str] = mapped_column(String(ID_LENGTH), primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    """SHA-256 of the token that deletes it, which is not kept."""
    created: Mapped[int] = mapped_column(BigInteger)
    expires: Mapped[int | None] = mapped_column(BigInteger, index=True)
    size: Mapped[int] = mapped_column(BigInteger)


class SharePiece(Base):
    """The next PIECE bytes of its file."""

    __tablename__ = "share_pieces"

    share: Mapped[str] = mapped_column(String(ID_LENGTH), ForeignKey("shares.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary(PIECE))


def open_engine(address: str | URL) -> Engine:
    """An engine for SQLAlchemy's address of a database; nothing is opened yet. Raises UnusableDatabase."""
    try:
        url = make_url(address)
        # hide_parameters: what is stored does not belong into logs.
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError, which repeats it
        raise UnusableDatabase(
            "SCENEBRUSH_DATABASE_URL is no address such as sqlite:////var/lib/scenebrush/shares.sqlite3 or "
            "postgresql+psycopg://user:password@host/name, or names a database that SQLAlchemy does not know."
        ) from None
    except ModuleNotFoundError as error:
        raise UnusableDatabase(
            f"SCENEBRUSH_DATABASE_URL names a driver that is not installed ({error.name}). Install it beside "
            "Scenebrush."
        ) from None
    if engine.dialect.is_async:
        raise UnusableDatabase(
            "SCENEBRUSH_DATABASE_URL names an asynchronous driver. Name a plain one, such as "
            "postgresql+psycopg."
        )
    if engine.dialect.name == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise UnusableDatabase("SCENEBRUSH_DATABASE_URL names a database in memory. Name a file.")
        _suit_sqlite(engine)
    return engine


def _suit_sqlite(engine: Engine) -> None:
    """Readers beside one writer, waiting instead of failing, whole transactions, deleted means gone, and
    what is committed is on the disk, whatever happens to process or power."""

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # the driver begins no transactions of its own, of half a script
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = EXTRA")  # FULL, and also where the disk can have no WAL
        cursor.execute("PRAGMA fullfsync = ON")  # macOS: through the disk's own cache too
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA secure_delete = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:  # pyright: ignore[reportUnusedFunction]
        # A writer takes its turn at once: one that has read first cannot wait for another, only fail.
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_file(name: str) -> None:
    """For its owner alone, wherever it lies. Raises OSError."""
    path = Path(name)
    if not name.startswith("file:") and not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        _sync_folders(path.parent)


def _sync_folders(folder: Path) -> None:
    """SQLite makes sure of what it creates; this file and its folders were created here."""
    for place in (folder, folder.parent):
        if os.name == "posix":
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def upgrade(engine: Engine) -> None:
    """Make the tables, or bring them up to date, as one transaction where the database can. Raises
    SQLAlchemyError, OSError or UnusableDatabase."""
    if engine.dialect.name == "sqlite":
        _make_file(str(engine.url.database))
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UnusableDatabase(f"Its tables are not those of this version ({error}).") from error
