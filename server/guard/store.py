"""The tokens as a running server sees them: read again when their file has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from server.errors import Problem
from server.guard.tokens import Token, UnreadableTokensError, find_token, read_tokens
from server.settings import Settings

log = structlog.get_logger(__name__)

_LOOK_EVERY: Final = 0.5  # seconds; one stat
_RETRY_AFTER: Final = "30"
_FILE: Final = "tokens.json"

Mark = tuple[int, int, int, int]
"""Modification time, inode, size and mode: a file that has changed differs in one of them."""


class TokenStore:
    """Knows which tokens hold now. A file that cannot be believed lets nobody in.

    Args:
        path: the file of tokens.
        now: seconds since 1970, for the dates in the file.
        clock: seconds that only go forward.
    """

    def __init__(
        self, path: Path, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._now = now
        self._clock = clock
        self._looked = float("-inf")
        self._mark: Mark | None = None
        self._read_once = False
        self._tokens: dict[str, Token] = {}
        self.broken = False

    def find(self, given: str) -> Token | None:
        """The token that was given, if it holds. Raises Problem, 503, while the file cannot be believed."""
        self.look()
        if self.broken:
            raise unreadable()
        return find_token(self._tokens.values(), given, self._now())

    def holds(self, token: Token) -> bool:
        """Whether a token that was found holds still."""
        self.look()
        return not self.broken and self._tokens.get(token.id) == token and not token.is_over(self._now())

    def look(self) -> None:
        """Read the file again if it has changed; never raises."""
        if self._clock() < self._looked + _LOOK_EVERY:
            return
        self._looked = self._clock()
        mark = _mark_of(self._path)
        if mark == self._mark and self._read_once:
            return
        self._mark, self._read_once = mark, True
        try:
            self._tokens = {token.id: token for token in read_tokens(self._path)}
        except UnreadableTokensError as error:
            self._tokens, self.broken = {}, True
            self._say_broken(error)
            return
        self.broken = False
        log.info("tokens read", path=str(self._path), count=len(self._tokens))
        if not self._tokens:
            log.warning("a token is needed and none is given out: scenebrush token add NAME")

    def _say_broken(self, error: UnreadableTokensError) -> None:
        log.error(
            "the file of tokens cannot be read, so nobody is let in", path=str(self._path), why=str(error)
        )


def _mark_of(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode


def tokens_path(settings: Settings) -> Path:
    """Where the tokens lie: as set, else in the data folder. Raises Problem for a user without a home."""
    if settings.tokens_file is not None:
        return settings.tokens_file
    if settings.data_dir is not None:
        return settings.data_dir / _FILE
    # As the XDG Base Directory Specification has it, which asks for absolute paths.
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    try:
        return (data if data.is_absolute() else Path.home() / ".local" / "share") / "scenebrush" / _FILE
    except RuntimeError:
        raise Problem(
            500,
            "no-home",
            "There is no folder for the file of tokens",
            "The user has no home folder, and neither XDG_DATA_HOME nor SCENEBRUSH_DATA_DIR is set.",
            "Set SCENEBRUSH_TOKENS_FILE.",
        ) from None


def unreadable() -> Problem:
    """Nobody can be let in; the log says why."""
    return Problem(
        503,
        "tokens-unreadable",
        "Nobody can be let in just now",
        "The server's file of tokens cannot be read. Its log says why.",
        "Tell whoever runs this server, and try again later.",
        headers={"Retry-After": _RETRY_AFTER},
    )
