"""REST clients: pictures of random maps from POST /generate, one after the other."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import numpy as np
from PIL import Image

from server.loadtool.target import Paintable, Target

_CELLS: Final = 12  # of a random map's side
_THINK: Final = 0.25  # seconds between two requests
_LONGEST_PAUSE: Final = 30.0
REFUSED: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(slots=True)
class RestJournal:
    """What REST clients met: seconds of answers that were pictures, refusals, and errors by kind."""

    latencies: list[float] = field(default_factory=list[float])
    refusals: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])


class RestClients:
    """So many clients, each with a request under way, or thinking, or waiting as it was told to."""

    def __init__(self, target: Target, model: Paintable, size: int, count: int, seed: int) -> None:
        self.journal = RestJournal()
        self._target, self._model, self._size = target, model, size
        self._count, self._seed = count, seed

    async def run(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Ask until cancelled."""
        if not self._count:
            return
        pool = ThreadPoolExecutor(self._count, "rest")
        try:
            await asyncio.gather(*(self._client(pool, number, clock) for number in range(self._count)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _client(self, pool: ThreadPoolExecutor, number: int, clock: Callable[[], float]) -> None:
        rng = np.random.default_rng((self._seed, number))
        loop = asyncio.get_running_loop()
        while True:
            body = random_request(self._model, self._size, rng)
            began = clock()
            try:
                status, retry_after = await loop.run_in_executor(pool, self._ask, body)
            except (OSError, http.client.HTTPException) as error:
                self.journal.errors[type(error).__name__] += 1
                await asyncio.sleep(1.0)
                continue
            self._note(status, clock() - began)
            await asyncio.sleep(max(_THINK, min(retry_after, _LONGEST_PAUSE)))

    def _ask(self, body: bytes) -> tuple[int, float]:
        """Status, and the seconds that a refusal says to wait."""
        headers = {"Content-Type": "application/json", "Accept": "image/jpeg"}
        status, answered, _ = self._target.request("POST", "/generate", body, headers)
        return status, _seconds(answered.get("Retry-After")) if status in REFUSED else 0.0

    def _note(self, status: int, seconds: float) -> None:
        if status == HTTPStatus.OK:
            self.journal.latencies.append(seconds)
        else:
            counter = self.journal.refusals if status in REFUSED else self.journal.errors
            counter[f"http {status}"] += 1


def _seconds(retry_after: str | None) -> float:
    """What a Retry-After says; none for a date, which a proxy may send."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


def random_request(model: Paintable, size: int, rng: np.random.Generator) -> bytes:
    """The JSON body of a request for a picture of a random map."""
    cells = rng.choice(np.array(model.label_ids, np.uint8), (_CELLS, _CELLS))
    place = np.arange(size) * _CELLS // size
    png = io.BytesIO()
    Image.fromarray(cells[np.ix_(place, place)]).save(png, "PNG")
    fields = {"mask": base64.b64encode(png.getvalue()).decode(), "model": model.model}
    return json.dumps(fields | {"width": size, "height": size, "seed": int(rng.integers(2**31))}).encode()
