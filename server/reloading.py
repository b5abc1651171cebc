"""Other model files while the server runs: SIGHUP makes it look through its folders again.

Files are read beside the device's thread; that they take the place of others is one moment between two
pictures. Nobody who paints is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

import structlog

from server.services import Services

log = structlog.get_logger(__name__)


class Reloader:
    """Looks through the model folders when it is asked to, once at a time. Use within one event loop."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def ask(self) -> None:
        """Look through them soon. Asked meanwhile, it looks once more afterwards."""
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._reload_until_done())

    async def _reload_until_done(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            try:
                await self.reload()
            except Exception:
                log.exception("the models could not be looked through; those that were there stay")

    async def reload(self) -> None:
        """Look through the folders, paint with what is there now, and tell the live painters."""
        services = self._services
        update = await asyncio.to_thread(services.library.look_again)
        await services.worker.between(lambda: services.library.adopt(update))
        for problem in update.problems:
            log.warning("a model file was passed over", problem=problem)
        for painter in list(services.painters):
            try:
                await painter.model_changed()
            except Exception as error:  # its page went
                log.debug("a painter was not told", error=type(error).__name__)
        log.info("models looked through", changed=update.changed, models=len(update.models))

    async def stop(self) -> None:
        """Let go of what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


@contextmanager
def on_hangup(reloader: Reloader) -> Generator[None]:
    """Within, SIGHUP reloads the models, where there are such signals and this thread gets them."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, with_terminal = asyncio.get_running_loop(), has_terminal()

    def hung_up() -> None:
        if with_terminal and not has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)  # its terminal was closed: that means to stop, as ever
        else:
            reloader.ask()

    loop.add_signal_handler(hangup, hung_up)
    try:
        yield
    finally:
        loop.remove_signal_handler(hangup)


def has_terminal() -> bool:
    """Whether a terminal controls this process."""
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        return True
    return False
