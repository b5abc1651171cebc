"""Model files replaced while people paint: nobody is dropped, nothing is mixed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from engine import Library
from models.checkpoint import save
from models.generator import StyledSpadeGenerator
from models.labels import load_label_set
from models.spec import ModelSpec
from server import protocol
from server.reloading import Reloader
from tests.server.conftest import LANDSCAPE, Client, Served, palette_png, run, served
from tests.server.fake_engine import FakeLibrary, fake_spec
from tests.server.test_live import Page, page, wait_for
from tests.tiny import STYLE_DIM, tiny_networks, tiny_spec, write_tiny_model

SIDE = 32
PATIENCE = 20.0


def ids() -> np.ndarray:
    labels = np.full((SIDE, SIDE), 1, np.uint8)
    labels[SIDE // 2 :, 4:] = 8
    return labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path, "one", 1)
    write_tiny_model(tmp_path, "two", 2)
    return tmp_path


@pytest.fixture
def real(folder: Path) -> Library:
    library = Library([folder], "one", device="cpu", precision="fp32", threads=1)
    library.gate = threading.Event()  # type: ignore[attr-defined]  # of the fake one, which a test server opens
    return library


def write_anew(folder: Path, spec: ModelSpec, seed: int) -> None:
    aside = folder / "aside"
    save(aside, spec, *tiny_networks(seed))
    aside.replace(folder / f"{spec.id}.safetensors")


def reload(server: Served) -> None:
    """What SIGHUP leads to, in the server's own loop."""
    loop = server.server.servers[0].get_loop()
    asyncio.run_coroutine_threadsafe(Reloader(server.services).reload(), loop).result(PATIENCE)


def opened(one: Page, model: str, label_set: str = LANDSCAPE.hash) -> dict[str, Any]:
    said = one.open(model=model, label_set=label_set, width=SIDE, height=SIDE, format="webp", quality="exact")
    one.revision += 1
    one.socket.send(protocol.encode_labels(one.epoch, one.revision, 0, 0, ids(), whole=True))
    return said


def exact(library: Library, model: str, seed: int) -> np.ndarray:
    painter = library.painter(model, SIDE, SIDE)
    painter.set_map(ids())
    painter.set_style(seed)
    return painter.render()


def generated(http: httpx.Client, model: str) -> np.ndarray:
    form = {"model": model, "seed": "3", "format": "png"}
    answer = http.post("/generate", files={"mask": palette_png(ids())}, data=form)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_live_painters_go_on_with_the_new_weights(real: Library, folder: Path) -> None:
    with served(real, memory_mb=0) as server, page(server) as one, page(server) as other:
        for painter, model in ((one, "two"), (other, "one")):
            assert opened(painter, model)["type"] == "ready"
        before, of_other = one.frame(timeout=PATIENCE), other.frame(timeout=PATIENCE)
        one.patch(3, 4, 4)
        one.frame(timeout=PATIENCE)
        write_anew(folder, tiny_spec("two"), 9)
        reload(server)
        after = one.frame(timeout=PATIENCE)
        assert (after.revision, after.exact) == (one.revision, True)
        assert after.picture != before.picture
        one.patch(1, 4, 4)
        undone = one.frame(timeout=PATIENCE)
        with httpx.Client(base_url=server.url) as http:
            assert (http.get("/models").json()["problems"], undone.revision) == ([], one.revision)
            assert len(http.get("/models").json()["models"]) == 2
        # The same document from its beginning gives the same bytes: nothing of the old weights is left.
        opened(one, "two")
        assert one.frame(timeout=PATIENCE).picture == undone.picture
        other.patch(3, 4, 4)
        other.patch(1, 4, 4)
        frame = other.frame(timeout=PATIENCE)
        while frame.revision != other.revision:
            frame = other.frame(timeout=PATIENCE)
        assert frame.picture == of_other.picture, "whose model has not changed"


def test_another_label_set_is_said_and_the_painter_stays(real: Library, folder: Path) -> None:
    city = load_label_set("cityscapes35")
    with served(real, memory_mb=0) as server, page(server) as one:
        opened(one, "two")
        one.frame(timeout=PATIENCE)
        generator = StyledSpadeGenerator(len(city.labels), [12, 8, 8], 6, STYLE_DIM, 2).eval()
        save(folder / "aside", replace(tiny_spec("two"), labels=city), generator, tiny_networks(2)[1])
        (folder / "aside").replace(folder / "two.safetensors")
        reload(server)
        said = one.hear("error", PATIENCE)
        assert (said["code"], said["fatal"]) == ("model-changed", False)
        one.patch(3, 4, 4)  # of a document that is over: nobody minds
        assert opened(one, "two", city.hash)["type"] == "ready"
        assert one.frame(timeout=PATIENCE).revision == one.revision


def test_a_model_that_is_gone_is_said(real: Library, folder: Path) -> None:
    with served(real, memory_mb=0) as server, page(server) as one:
        opened(one, "two")
        one.frame(timeout=PATIENCE)
        (folder / "two.safetensors").unlink()
        reload(server)
        assert one.hear("error", PATIENCE)["code"] == "model-changed"
        assert opened(one, "one")["type"] == "ready"
        one.frame(timeout=PATIENCE)


def test_a_broken_file_changes_nothing_and_is_told_of(real: Library, folder: Path) -> None:
    with served(real, memory_mb=0) as server, page(server) as one, httpx.Client(base_url=server.url) as http:
        opened(one, "two")
        before = one.frame(timeout=PATIENCE).picture
        (folder / "aside").write_bytes(b"no model")
        (folder / "aside").replace(folder / "two.safetensors")
        reload(server)
        told = http.get("/models").json()
        assert any("two.safetensors" in problem for problem in told["problems"])
        assert str(folder) not in json.dumps(told)
        opened(one, "two")
        assert one.frame(timeout=PATIENCE).picture == before


def test_requests_under_way_finish_on_the_old_weights(real: Library, folder: Path) -> None:
    """Painted without a pause while the file is replaced over and over: every picture is one of the two."""
    with served(real, memory_mb=0) as server:
        expected: list[np.ndarray] = []
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
            for seed in (2, 9):
                write_anew(folder, tiny_spec("two"), seed)
                reload(server)
                expected.append(generated(http, "two"))
        over, pictures, failures = threading.Event(), [], []

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
                while not over.is_set():
                    try:
                        pictures.append(generated(http, "two"))
                    except Exception as error:
                        failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for seed in (2, 9, 2, 9):
            write_anew(folder, tiny_spec("two"), seed)
            reload(server)
        over.set()
        for thread in threads:
            thread.join()
        assert not failures
        assert pictures
        for picture in pictures:
            assert any(np.array_equal(picture, one) for one in expected), "mixed"


def test_a_queued_request_keeps_the_weights_it_was_made_for(real: Library, folder: Path) -> None:
    with served(real, memory_mb=0) as server:
        before = exact(real, "two", 3)
        busy, let_on = threading.Event(), threading.Event()

        def hold() -> None:
            busy.set()
            let_on.wait(PATIENCE)

        loop = server.server.servers[0].get_loop()
        asyncio.run_coroutine_threadsafe(server.services.worker.between(hold), loop)
        assert busy.wait(PATIENCE)
        answers: list[np.ndarray] = []
        with httpx.Client(base_url=server.url, timeout=PATIENCE) as http:
            asking = threading.Thread(target=lambda: answers.append(generated(http, "two")))
            asking.start()
            wait_for(lambda: server.services.worker.scheduler._running is not None)
            write_anew(folder, tiny_spec("two"), 9)
            update = real.look_again()
            real.adopt(update)
            let_on.set()
            asking.join()
            assert np.array_equal(answers[0], before)
            assert not np.array_equal(generated(http, "two"), before)


def test_a_signal_is_enough(library: FakeLibrary, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def look_again() -> SimpleNamespace:
        looked.append(threading.current_thread().name)
        return SimpleNamespace(problems=["two.safetensors: broken"], changed=["new"], models={})

    def adopt(_update: object) -> None:
        looked.append(threading.current_thread().name)
        library.add(fake_spec("new"))

    monkeypatch.setattr(library, "look_again", look_again, raising=False)
    monkeypatch.setattr(library, "adopt", adopt, raising=False)

    async def main() -> None:
        async with client(memory_mb=0) as http:
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                while "new" not in (await http.get("/models")).text:
                    await asyncio.sleep(0.01)
        assert not looked[0].startswith("device"), "files are read beside the device's thread"
        assert looked[1].startswith("device"), "and take effect between two pictures"

    run(main())


def test_asked_while_it_looks_it_looks_once_more(library: FakeLibrary, client: Client) -> None:
    looks = 0
    gate = threading.Event()

    def look_again() -> SimpleNamespace:
        nonlocal looks
        looks += 1
        gate.wait(PATIENCE)
        if looks == 1:
            raise OSError("a folder that cannot be read")
        return SimpleNamespace(problems=[], changed=[], models={})

    library.look_again, library.adopt = look_again, lambda _update: None  # type: ignore[attr-defined]

    async def main() -> None:
        async with client(memory_mb=0) as http:
            reloader = Reloader(http.app.state.services)
            for _ in range(5):
                reloader.ask()
                await asyncio.sleep(0)
            gate.set()
            async with asyncio.timeout(PATIENCE):
                while looks < 2:
                    await asyncio.sleep(0.01)
            await reloader.stop()
        assert looks == 2

    run(main())


def test_a_closed_terminal_ends_the_server_as_ever(
    library: FakeLibrary, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, ended = [True], []
    monkeypatch.setattr("server.reloading.has_terminal", lambda: terminal[0])
    monkeypatch.setattr(signal, "SIGTERM", signal.SIGUSR1)  # which the test can take

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: ended.append(True))
        async with client(memory_mb=0):
            terminal[0] = False
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                while not ended:
                    await asyncio.sleep(0.01)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)

    run(main())
