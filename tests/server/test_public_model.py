"""A public model behind the server: the real engine, no style, edges between things, another label set."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from engine import Library
from models.importing import import_model, write_model
from models.readings import ImportOptions
from server import protocol
from tests.public_checkpoints import spade_state
from tests.server.conftest import Client, image_file, run
from tests.server.test_live import Page, page, served

SIDE = 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("public")
    torch.save(spade_state(ngf=2, hidden=4), folder / "latest_net_G.pth")
    write_model(import_model(folder / "latest_net_G.pth", "coco"), folder / "coco.safetensors")
    return folder


@pytest.fixture
def library(folder: Path) -> Library:
    return Library([folder], device="cpu", precision="fp32", threads=1)


@pytest.fixture
def street() -> np.ndarray:
    """Two things of one class, side by side before a wall."""
    ids = np.full((SIDE, SIDE), 170, np.uint8)
    ids[24:48, 8:56] = 2
    return ids


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def test_instances_reach_the_network(client: Client, street: np.ndarray) -> None:
    things = np.zeros((SIDE, SIDE), np.uint16)
    things[:, 32:] = 1000

    async def main() -> None:
        async with client() as http:
            (model,) = (await http.get("/models")).json()["models"]
            assert (model["instance_edges"], model["style_dim"]) == (True, 0)
            assert len(model["label_set"]["labels"]) == 183
            files = {"mask": image_file(street)}
            fields = {"format": "png", "seed": "1"}
            one = await http.post("/generate", files=files, data=fields)
            two = await http.post(
                "/generate", files={**files, "instances": image_file(things)}, data={**fields, "style": "[]"}
            )
            assert (one.status_code, two.status_code) == (200, 200), two.text
            change = np.abs(pixels(one.content) - pixels(two.content)).max(2)
            assert change.max() > 8
            again = await http.post("/generate", files=files, data=fields)
            assert again.content == one.content

    run(main())


def test_it_is_painted_live(folder: Path, library: Library, street: np.ndarray) -> None:
    class Gate:
        def set(self) -> None: ...

    library.gate = Gate()  # type: ignore[attr-defined]  # what the tests' server opens at its end
    with served(library) as server, page(server) as one:
        one.open(label_set=library.spec().labels.hash, width=SIDE, height=SIDE, style=[])
        send(one, street)
        first = last_frame(one)
        one.patch(value=60)
        assert last_frame(one) != first
        one.revision += 1
        undone = street[4:8, 4:8]
        one.socket.send(protocol.encode_labels(one.epoch, one.revision, 4, 4, undone))
        assert last_frame(one) == first


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """A VAE's model, which paints 256×128 pixels."""
    folder = tmp_path_factory.mktemp("wide")
    state = spade_state(ngf=2, hidden=4, label_nc=35, dont_care=False, z_dim=3, start_grid=(2, 4))
    torch.save(state, folder / "latest_net_G.pth")
    options = ImportOptions(labels=35, size=256, aspect=2.0)
    write_model(import_model(folder / "latest_net_G.pth", "wide", options), folder / "wide.safetensors")
    return Library([folder], device="cpu", precision="fp32", threads=1)


@pytest.fixture
def library_of_one_size(wide: Library) -> Library:
    class Gate:
        def set(self) -> None: ...

    wide.gate = Gate()  # type: ignore[attr-defined]
    return wide


def test_a_model_that_paints_one_size_says_so_everywhere(library_of_one_size: Library) -> None:
    library = library_of_one_size
    with served(library) as server, page(server) as one:
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        (model,) = httpx.get(f"{server.url}/models").json()["models"]
        sizes = [model[name] for name in ("native_width", "native_height", "largest_width", "largest_height")]
        assert sizes == [256, 128, 256, 128]
        square = np.zeros((256, 256), np.uint8)
        square[:100, 60:] = 7
        fields = {"seed": "3", "format": "png"}

        def generated(ids: np.ndarray, **asked: int) -> httpx.Response:
            files = {"mask": image_file(ids)}
            answer = httpx.post(f"{server.url}/generate", files=files, data={**fields, **asked}, timeout=60)
            assert answer.status_code == 200, answer.text
            return answer

        for asked, size, painted in (
            ({"width": 256, "height": 128}, (256, 128), "256x128"),
            ({"width": 100}, (100, 100), "100x100"),
            ({}, (256, 256), "128x128"),
            ({"width": 640, "height": 320}, (640, 320), "256x128"),
        ):
            answer = generated(square, **asked)
            assert Image.open(io.BytesIO(answer.content)).size == size
            assert answer.headers["x-painted-size"] == painted
        # What is enlarged is the picture of the smaller map.
        small = Image.fromarray(pixels(generated(square[1::2, 1::2]).content).astype(np.uint8))
        large = small.resize((256, 256), Image.Resampling.LANCZOS)
        assert np.array_equal(pixels(generated(square).content), np.asarray(large))
        ready = one.open(label_set=library.spec().labels.hash, width=256, height=256, seed=3)
        assert (ready["width"], ready["paints_width"], ready["paints_height"]) == (256, 128, 128)
        send(one, square)
        assert np.array_equal(pixels(last_frame(one)), np.asarray(small))
        one.revision = 0
        ready = one.open(label_set=library.spec().labels.hash, width=256, height=128)
        assert (ready["paints_width"], ready["paints_height"]) == (256, 128)
        send(one, square[:128])
        assert last_frame(one)


def send(one: Page, ids: np.ndarray) -> None:
    one.revision += 1
    one.socket.send(protocol.encode_labels(one.epoch, one.revision, 0, 0, ids, whole=True))


def last_frame(one: Page) -> bytes:
    """The exact picture of the newest revision."""
    while not ((frame := one.frame(timeout=20)).exact and frame.revision == one.revision):
        assert frame.revision <= one.revision
    return frame.picture
