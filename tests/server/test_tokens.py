"""Tokens: what is kept of them, how their file is written, and how a running server follows it."""

import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.errors import Problem
from server.guard.store import TokenStore, tokens_path
from server.guard.tokens import (
    TokenFile,
    UnreadableTokensError,
    find_token,
    make_token,
    read_tokens,
    write_tokens,
)
from server.settings import Settings

DAY = 24 * 60 * 60


class Clock:
    """Both clocks of a store."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "tokens.json"


def test_a_token_is_an_id_and_256_random_bits() -> None:
    token, given = make_token("Anna", 100.5, None)
    prefix, token_id, secret = given.split("_", 2)
    assert (prefix, token_id, len(secret)) == ("sb", token.id, 43)
    assert (token.name, token.created, token.expires) == ("Anna", 100, None)
    assert make_token("Anna", 100.5, None)[1] != given


def test_only_the_hash_of_the_secret_is_kept(path: Path) -> None:
    given = TokenFile(path).add("Anna", 0)
    text = path.read_text()
    assert given.split("_", 2)[2] not in text
    assert {*json.loads(text)["tokens"][0]} == {"id", "name", "hash", "created", "expires"}


def test_a_token_is_found_by_all_of_it_and_in_its_time() -> None:
    token, given = make_token("Anna", 0, 3)
    other, _ = make_token("Ben", 0, None)
    tokens = (other, token)
    assert find_token(tokens, given, 3 * DAY - 1) is token
    assert find_token(tokens, given, 3 * DAY) is None
    wrong = [
        f"{given[:-1]}{'A' if given[-1] != 'A' else 'B'}",
        f"sb_{other.id}_{given.split('_', 2)[2]}",
        given[3:],
        given.upper(),
        f"{given}A",
        "",
    ]
    assert [find_token(tokens, text, 0) for text in wrong] == [None] * len(wrong)


def test_the_file_is_the_owners_alone(path: Path) -> None:
    TokenFile(path).add("Anna", 0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o620)
    with pytest.raises(UnreadableTokensError, match="chmod 600"):
        read_tokens(path)


def test_a_full_disk_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = TokenFile(path)
    file.add("Anna", 0)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        file.add("Ben", 0)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]


def test_what_is_written_is_on_the_disk_before_it_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    plain_sync, plain_replace = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        plain_sync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        done.append("rename")
        return plain_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    path.parent.mkdir()
    write_tokens(path, ())
    assert done == ["file", "rename", "folder"]


def test_two_commands_at_once_lose_nothing(path: Path) -> None:
    names = [f"painter {number}" for number in range(12)]
    threads = [threading.Thread(target=TokenFile(path).add, args=(name, 0)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(token.name for token in read_tokens(path)) == sorted(names)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"tokens": [',
        b'{"format": "other", "version": 1, "tokens": []}',
        b'{"format": "scenebrush-tokens", "version": 2, "tokens": []}',
        b'{"format": "scenebrush-tokens", "version": 1, "tokens": [{"id": "0123456789ab"}]}',
        b"\xff" * 10,
    ],
)
def test_a_file_that_cannot_be_believed_lets_nobody_in(path: Path, content: bytes) -> None:
    given = TokenFile(path).add("Anna", 0)
    clock = Clock()
    store = TokenStore(path, clock, clock)
    assert store.find(given)
    path.write_bytes(content)
    clock.later(1)
    with pytest.raises(Problem) as refusal:
        store.find(given)
    assert (refusal.value.status, refusal.value.code) == (503, "tokens-unreadable")
    assert store.broken
    with pytest.raises(UnreadableTokensError):
        read_tokens(path)


def test_an_id_that_comes_twice_is_not_believed(path: Path) -> None:
    token, _ = make_token("Anna", 0, None)
    path.parent.mkdir()
    write_tokens(path, (token, token))
    with pytest.raises(UnreadableTokensError, match="twice"):
        read_tokens(path)


def test_why_a_file_cannot_be_read_repeats_nothing_of_it(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"format": "scenebrush-tokens", "version": 1, "tokens": ["sb_secret"]}')
    with pytest.raises(UnreadableTokensError) as error:
        read_tokens(path)
    assert "secret" not in str(error.value)


def test_a_running_server_follows_the_file(path: Path) -> None:
    clock = Clock()
    store, file = TokenStore(path, clock, clock), TokenFile(path)
    given = file.add("Anna", clock.now)
    token = store.find(given)
    assert token
    second = file.add("Ben", clock.now, days=1)
    assert store.find(second) is None  # not looked at again so soon
    clock.later(1)
    ben = store.find(second)
    assert ben
    file.revoke("Anna")
    clock.later(1)
    assert store.find(given) is None
    assert (store.holds(token), store.holds(ben)) == (False, True)
    clock.later(DAY)
    assert not store.holds(ben)
    path.unlink()
    clock.later(1)
    assert store.find(second) is None
    assert not store.broken


def test_an_unchanged_file_is_not_read_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    given = TokenFile(path).add("Anna", 0)
    store = TokenStore(path, clock, clock)
    assert store.find(given)

    def unwanted(_path: Path) -> Any:
        raise AssertionError("read again")

    monkeypatch.setattr("server.guard.store.read_tokens", unwanted)
    clock.later(10)
    assert store.find(given)


def test_where_the_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert tokens_path(Settings()) == tmp_path / "scenebrush" / "tokens.json"
    assert tokens_path(Settings(data_dir=Path("/data"))) == Path("/data/tokens.json")
    both = Settings(data_dir=Path("/data"), tokens_file=Path("/run/t.json"))
    assert tokens_path(both) == Path("/run/t.json")


def test_the_command_line_gives_out_and_takes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENEBRUSH_TOKENS_FILE", str(path))

    def call(*words: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["token", *words])
        assert result.exit_code == code, result.output
        return result

    added = call("add", "Anna", "--days", "3")
    given = added.stdout.strip()
    store = TokenStore(path)
    token = store.find(given)
    assert token
    assert token.expires == token.created + 3 * DAY
    assert "SCENEBRUSH_REQUIRE_TOKEN" in added.stderr
    secret = given.split("_", 2)[2]
    listed = call("list", "--json").stdout
    assert json.loads(listed) == [
        {"id": token.id, "name": "Anna", "created": token.created, "expires": token.expires}
    ]
    assert "Anna" in call("list").stdout
    assert "There is a token of that name" in call("add", "Anna", code=1).stderr
    assert "does not fit" in call("add", "a\nb", code=1).stderr
    unknown = call("revoke", given, code=1)
    assert "no such token" in unknown.stderr
    assert secret not in unknown.output + listed + call("list").output
    call("revoke", token.id)
    assert json.loads(call("list", "--json").stdout) == []
    path.write_text("{")
    assert "cannot be read" in call("list", code=1).stderr
