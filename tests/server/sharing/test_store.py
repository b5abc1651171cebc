"""Shared paintings in a real SQLite file: whole or not at all, within limits, and gone when it is time."""

import hashlib
import re
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.command import downgrade
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, event

from server.errors import Problem
from server.sharing import database
from server.sharing.database import PIECE, WRITES, Base, UnusableDatabase, open_engine, upgrade
from server.sharing.store import Added, ShareStore, StoreLimits

DAY = 24 * 60 * 60
LIMITS = StoreLimits(days=30, count=5, total_bytes=4 * PIECE)
FILE = bytes(range(256)) * 1500  # a piece and a half


class Clock:
    now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data 100%20" / "shares.sqlite3"


def address(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[ShareStore]:
    opened = ShareStore(address(path), LIMITS, clock)
    yield opened
    opened.close()


def content(store: ShareStore, added: Added) -> bytes:
    size = store.find(added.id)
    pieces = b"".join(store.read(added.id, number) for number in range(-(-size // PIECE)))
    assert len(pieces) == size
    return pieces


def refused(code: str, call: Any, *args: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        call(*args)
    assert caught.value.code == code
    return caught.value


def rows(path: Path) -> tuple[int, int]:
    """Shares and pieces that the file holds."""
    connection = sqlite3.connect(path)
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("shares", "share_pieces")
    ]
    connection.close()
    return counts[0], counts[1]


def test_what_is_added_is_found_read_and_removed(store: ShareStore, path: Path) -> None:
    first, other = store.add(FILE), store.add(b"small")
    assert content(store, first) == FILE
    assert content(store, other) == b"small"
    refused("wrong-delete-token", store.remove, first.id, other.delete_token)
    refused("wrong-delete-token", store.remove, first.id, "é\ud800")
    store.remove(first.id, first.delete_token)
    assert refused("unknown-share", store.find, first.id).status == 404
    refused("unknown-share", store.read, first.id, 0)
    refused("unknown-share", store.remove, first.id, first.delete_token)
    assert content(store, other) == b"small"
    assert rows(path) == (1, 1)


def test_ids_are_random_and_the_token_is_kept_as_its_hash_alone(store: ShareStore, path: Path) -> None:
    added = [store.add(b"x") for _ in range(3)]
    assert len({one.id for one in added} | {one.delete_token for one in added}) == 6
    for one in added:
        assert re.fullmatch(r"[\w-]{22}", one.id), "128 bits"
        assert re.fullmatch(r"[\w-]{43}", one.delete_token), "256 bits"
    store.close()
    raw = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert added[0].id.encode() in raw
    assert added[0].delete_token.encode() not in raw
    assert hashlib.sha256(added[0].delete_token.encode()).digest() in raw


@pytest.mark.parametrize("share_id", ["", "x" * 22, "x" * 23, "../../etc/passwd", "'; DROP TABLE shares"])
def test_other_ids_are_unknown(store: ShareStore, share_id: str) -> None:
    store.add(b"x")
    refused("unknown-share", store.find, share_id)
    refused("unknown-share", store.remove, share_id, "token")


@pytest.mark.parametrize("share_id", ["", "x" * 21, "x" * 21 + "\0", "x" * 21 + "é", "x" * 22 + "\n"])
def test_what_was_never_an_id_is_not_asked_of_the_database(
    store: ShareStore, share_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(**_: object) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(store, "_session", asked)
    refused("unknown-share", store.find, share_id)
    refused("unknown-share", store.remove, share_id, "token")


def test_an_id_in_other_letters_is_another(store: ShareStore) -> None:
    added = store.add(b"x")
    refused("unknown-share", store.find, added.id.swapcase())


def test_time_ends_a_share_before_anything_is_swept(store: ShareStore, clock: Clock, path: Path) -> None:
    added = store.add(b"x")
    assert added.expires == 1_000_000 + 30 * DAY
    clock.now = added.expires - 0.5
    assert content(store, added) == b"x"
    assert store.sweep() == 0
    clock.now = added.expires
    refused("unknown-share", store.find, added.id)
    refused("unknown-share", store.remove, added.id, added.delete_token)
    assert rows(path) == (1, 1)
    assert store.sweep() == 1
    assert rows(path) == (0, 0)


def test_no_days_is_for_ever(path: Path, clock: Clock) -> None:
    store = ShareStore(address(path), StoreLimits(0, 5, 100), clock)
    added = store.add(b"x")
    assert added.expires is None
    clock.now += 100 * 365 * DAY
    assert store.sweep() == 0
    assert content(store, added) == b"x"
    store.close()


def test_limits_of_number_and_bytes_hold_and_what_expired_makes_room(store: ShareStore, clock: Clock) -> None:
    store.add(bytes(3 * PIECE))
    assert refused("shares-full", store.add, bytes(PIECE + 1)).status == 507
    store.add(bytes(PIECE))
    refused("shares-full", store.add, b"x")
    clock.now += 30 * DAY
    for _ in range(5):
        store.add(b"x")
    refused("shares-full", store.add, b"x")


def test_limits_hold_when_many_add_at_once_from_two_servers(path: Path) -> None:
    stores = [ShareStore(address(path), LIMITS) for _ in range(2)]
    said: list[str] = []

    def add(store: ShareStore) -> None:
        try:
            store.add(bytes(PIECE))
            said.append("added")
        except Problem as problem:
            said.append(problem.code)

    threads = [threading.Thread(target=add, args=(stores[number % 2],)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert sorted(said) == ["added"] * 4 + ["shares-full"] * 6
    assert rows(path) == (4, 4)


def test_a_full_disk_is_said_and_nothing_half_is_kept(store: ShareStore, path: Path) -> None:
    kept = store.add(b"before")

    @event.listens_for(store._engine, "begin")
    def _small(connection: Any) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 30")

    problem = refused("storage-full", store.add, FILE)
    assert problem.status == 507
    assert rows(path) == (1, 1)
    assert content(store, kept) == b"before"
    assert store.add(b"small"), "and what fits is still taken"


def test_a_write_that_fails_on_the_way_leaves_nothing(store: ShareStore, path: Path) -> None:
    store.add(b"before")

    def break_second(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("INSERT INTO share_pieces"):
            raise OSError(5, "input/output error")

    event.listen(store._engine, "before_cursor_execute", break_second)
    assert refused("sharing-unavailable", store.add, FILE).headers["Retry-After"]
    assert rows(path) == (1, 1)


def test_a_database_that_does_not_answer_is_said_and_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "shares.sqlite3"
    path.mkdir()
    store = ShareStore(address(path), LIMITS)
    assert refused("sharing-unavailable", store.add, b"secret").status == 503
    assert refused("sharing-unavailable", store.find, "x" * 22).status == 503
    assert "secret" not in capsys.readouterr().out
    path.rmdir()
    assert content(store, store.add(b"x")) == b"x"
    store.close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shares.sqlite3"
    path.write_bytes(b"dear diary, " * 1000)
    store = ShareStore(address(path), LIMITS)
    refused("sharing-unavailable", store.add, b"x")
    store.close()
    assert path.read_bytes() == b"dear diary, " * 1000


def test_deleted_is_overwritten(store: ShareStore, path: Path) -> None:
    marker = b"a painting that nobody should find any more"
    added = store.add(marker * 3000)
    store.remove(added.id, added.delete_token)
    store.close()
    assert not list(path.parent.glob("*-wal")), "the last one out folds the log in"
    assert marker not in path.read_bytes()


def test_a_restart_keeps_everything(store: ShareStore, path: Path, clock: Clock) -> None:
    added = store.add(FILE)
    store.close()
    again = ShareStore(address(path), LIMITS, clock)
    assert content(again, added) == FILE
    again.remove(added.id, added.delete_token)
    again.close()


def test_the_file_is_its_owners_alone(store: ShareStore, path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    store.add(b"x")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_file_named_as_an_address_is_opened(tmp_path: Path) -> None:
    store = ShareStore(f"sqlite:///file:{tmp_path}/own.sqlite3?uri=true", LIMITS)
    store.add(b"x")
    store.close()
    assert [file.name for file in tmp_path.iterdir()] == ["own.sqlite3"]


def test_readers_go_on_while_one_writes(store: ShareStore) -> None:
    added = store.add(FILE)
    with store._engine.connect().execution_options(**{WRITES: True}) as writer:
        writer.exec_driver_sql("DELETE FROM share_pieces")
        assert content(store, added) == FILE
        assert writer.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert writer.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
        assert writer.exec_driver_sql("PRAGMA busy_timeout").scalar() == 10_000


def test_migrations_make_what_the_models_say(path: Path) -> None:
    engine = open_engine(address(path))
    upgrade(engine)
    upgrade(engine)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert differences == []
    config = Config()
    config.set_main_option("script_location", str(database._MIGRATIONS))
    with engine.connect() as connection, connection.begin():
        config.attributes["connection"] = connection
        downgrade(config, "base")
    with engine.connect() as connection:
        left = (
            connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        )
    assert left == ["alembic_version"]
    upgrade(engine)
    engine.dispose()


def test_tables_of_a_later_version_are_refused(store: ShareStore, path: Path, clock: Clock) -> None:
    store.add(b"x")
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    later = ShareStore(address(path), LIMITS, clock)
    refused("sharing-unavailable", later.add, b"x")
    later.close()
    assert rows(path) == (1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no address"),
        ("shares.db", "no address"),
        ("nosuch://host/name", "does not know"),
        ("postgresql+psycopg2://me:p@host:hunter2/name", "no address"),
        ("postgresql+psycopg2://me:hunter2@host/name", "not installed (psycopg2)"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite+aiosqlite:///shares.db", "."),
    ],
)
def test_addresses_of_no_use_are_refused_without_telling_passwords(text: str, said: str) -> None:
    with pytest.raises(UnusableDatabase) as caught:
        open_engine(text)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
