"""Sharing as the routes see it: off the event loop and off the device's thread, and bounded everywhere."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import structlog
from sqlalchemy import URL

from server.errors import Problem
from server.limits import Limits
from server.settings import Settings
from server.sharing.database import PIECE, UnusableDatabase
from server.sharing.project import ProjectLimits, rewrite
from server.sharing.store import Added, ShareStore, StoreLimits
from server.worker import busy

log = structlog.get_logger(__name__)

_THREADS: Final = 2
_RETRY_AFTER: Final = 5.0
_MOST_WAITING: Final = 64
"""Calls that may wait for these threads."""
_SWEEP_EVERY: Final = 15 * 60.0
_SWEEPS_AT_ONCE: Final = 20
_DATABASE: Final = "shares.sqlite3"

P = ParamSpec("P")
T = TypeVar("T")


class Sharing:
    """Keeps shared paintings. Use within one event loop; `keep` runs beside the server until it ends.

    Args:
        store: where they lie.
        limits: how large a project may be.
        uploads: how many may be on their way or be read at once.
    """

    def __init__(self, store: ShareStore, limits: ProjectLimits, uploads: int) -> None:
        self.max_bytes = limits.max_bytes
        self._store = store
        self._limits = limits
        self._free_uploads = uploads
        self._threads = ThreadPoolExecutor(_THREADS, "sharing")
        # Alone, so that pictures are written anew beside painting and not instead of it, and nobody who only
        # opens a painting waits for them.
        self._rewriter = ThreadPoolExecutor(1, "sharing-rewrite")
        self._waiting = 0
        self._counting = threading.Lock()

    @contextmanager
    def upload(self) -> Generator[None]:
        """Let one project in, whose bytes arrive and are read meanwhile. Raises Problem, 503, when as many
        are under way as may be."""
        if not self._free_uploads:
            raise busy(_RETRY_AFTER)
        self._free_uploads -= 1
        try:
            yield
        finally:
            self._free_uploads += 1

    async def add(self, project: bytes) -> Added:
        """Share a project: it is read strictly, written anew, and that is kept. Call it within upload().
        Raises Problem."""
        file = await asyncio.get_running_loop().run_in_executor(
            self._rewriter, rewrite, project, self._limits
        )
        return await self._run(self._store.add, file)

    async def find(self, share_id: str) -> int:
        """The size of its file. Raises Problem."""
        return await self._run(self._store.find, share_id)

    async def read(self, share_id: str, size: int) -> AsyncGenerator[bytes]:
        """Its file, piece by piece. Raises Problem."""
        for number in range(-(-size // PIECE)):
            yield await self._run(self._store.read, share_id, number)

    async def remove(self, share_id: str, token: str) -> None:
        """Forget it. Raises Problem."""
        await self._run(self._store.remove, share_id, token)

    async def keep(self, every: float = _SWEEP_EVERY) -> None:
        """Make the database ready, then forget, again and again, what has expired. Ends when it is
        cancelled."""
        while True:
            try:
                await self._sweep()
            except Problem as problem:
                log.warning("expired paintings could not be deleted", why=problem.detail)
            except Exception:
                # Whatever it is: to stop here would keep for ever what was to be kept for days.
                log.exception("expired paintings could not be deleted")
            await asyncio.sleep(every)

    async def _sweep(self) -> None:
        # In small transactions, between which others get their turn.
        for _ in range(_SWEEPS_AT_ONCE):
            gone = await self._run(self._store.sweep)
            if not gone:
                return
            log.info("expired paintings were deleted", count=gone)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._counting:
            if self._waiting >= _MOST_WAITING:
                raise busy(_RETRY_AFTER)
            self._waiting += 1
        future = self._threads.submit(work, *args, **kwargs)
        # When it really ends: whoever waits for it may be gone by then.
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _future: object) -> None:
        with self._counting:
            self._waiting -= 1

    async def close(self) -> None:
        """Finish what runs and let go of the database."""
        for pool in (self._rewriter, self._threads):
            await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        self._store.close()


def open_sharing(settings: Settings) -> Sharing | None:
    """Sharing as the settings want it, None if they want none. Raises UnusableDatabase."""
    if not settings.sharing:
        return None
    folder = settings.data_dir if settings.data_dir is not None else _default_folder()
    address = settings.database_url or URL.create("sqlite", database=str(folder / _DATABASE))
    kept = StoreLimits(settings.share_days, settings.share_max_count, settings.share_total_bytes)
    project = ProjectLimits(
        Limits(settings.max_side, settings.max_pixels), settings.max_photo_pixels, settings.share_max_bytes
    )
    return Sharing(ShareStore(address, kept), project, settings.share_uploads)


def _default_folder() -> Path:
    """As the XDG Base Directory Specification has it. Raises UnusableDatabase for a user without a home."""
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    try:
        return (data if data.is_absolute() else Path("~/.local/share").expanduser()) / "scenebrush"
    except RuntimeError:
        raise UnusableDatabase(
            "There is no home folder in which shared paintings could be kept. Name a folder in "
            "SCENEBRUSH_DATA_DIR."
        ) from None
