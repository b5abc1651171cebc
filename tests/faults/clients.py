"""Runs bad_client.py beside a test."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.faults.painter import LANDSCAPE, until
from tests.faults.server import FaultyServer

Manner = Literal["half", "still", "deaf", "chatty"]


class BadClient:
    """One that runs; what it says, word by word."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.words: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.words.append(line.strip())

    async def said(self, word: str) -> None:
        """Until it has said so."""
        await until(lambda: word in self.words, lambda: f"the client's {word!r} after {self.words}")

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """It neither reads nor answers from now on, and its line stays open: as a peer that has vanished."""
        self.process.send_signal(signal.SIGSTOP)


@contextmanager
def bad_client(server: FaultyServer, manner: Manner) -> Iterator[BadClient]:
    """Run one until the block is left."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("bad_client.py"))]
    process = subprocess.Popen(
        [*command, str(server.port), LANDSCAPE.hash, manner], stdout=subprocess.PIPE, text=True
    )
    client = BadClient(process)
    try:
        yield client
    finally:
        client.kill()
