"""What the server's tests share: an app on the fake engine, a client in the same loop, a real server."""

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import structlog
import uvicorn
from PIL import Image

from models.labels import load_label_set
from server import logs
from server.app import create_app
from server.settings import Settings
from tests.server.fake_engine import FakeLibrary

LANDSCAPE = load_label_set("landscape17")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415

    ours = ("SCENEBRUSH_", "OTEL_")
    for name in [name for name in os.environ if name.startswith(ours) or name == "WEB_CONCURRENCY"]:
        monkeypatch.delenv(name)


@pytest.fixture
def library() -> FakeLibrary:
    return FakeLibrary()


def palette_png(ids: np.ndarray, **options: Any) -> bytes:
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette(LANDSCAPE.palette())
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def image_file(pixels: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


@pytest.fixture
def scene() -> np.ndarray:
    """Sky over mountain over grass, 48 × 32."""
    ids = np.full((32, 48), 1, np.uint8)
    ids[12:22] = 3
    ids[22:] = 8
    return ids


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Everything logged as JSON from now on."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("uvicorn.error").level
    logs.configure("json", "debug")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:], root.level = before[0], before[1]
    logging.getLogger("uvicorn.error").setLevel(before[2])


Client = Callable[..., Any]


@pytest.fixture
def client(library: FakeLibrary) -> Client:
    """`async with client(settings…) as http:` talks to an app in the same loop, its lifespan running."""

    @asynccontextmanager
    async def open_client(*, ready: bool = True, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(Settings(**settings), library)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            base = f"http://localhost{app.state.services.settings.root_path}"
            async with httpx.AsyncClient(transport=transport, base_url=base) as http:
                http.app = app  # type: ignore[attr-defined]
                while ready and (await http.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.005)
                yield http

    return open_client


def run(main: Any) -> Any:
    return asyncio.run(main)


@contextmanager
def served(library: Any, **settings: Any) -> Iterator["Served"]:
    """A real uvicorn server in a thread, on a free port."""
    from server.serving import make_server  # noqa: PLC0415

    values = Settings(port=0, **settings)
    app = create_app(values, library)
    server = make_server(app, values)
    thread = threading.Thread(target=server.run, name="uvicorn", daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not (server.started and app.state.services.worker.ready):
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(server, app, port)
    finally:
        library.gate.set()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


class Served:
    def __init__(self, server: uvicorn.Server, app: Any, port: int) -> None:
        self.server = server
        self.app = app
        self.services = app.state.services
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.live = f"ws://127.0.0.1:{port}/live"


EXAMPLES = Path(__file__).parents[2] / "examples"
