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
        answer = httpx.post(f"{server.url}/generate", files={"mask": image_file(square)})
        problem = answer.json()
        assert (answer.status_code, problem["type"].rpartition(":")[2]) == (422, "picture-too-large")
        assert "256×128" in problem["next"]
        for asked, size in (({"width": 256, "height": 128}, (256, 128)), ({"width": 100}, (100, 100))):
            answer = httpx.post(f"{server.url}/generate", files={"mask": image_file(square)}, data=asked)
            assert answer.status_code == 200, answer.text
            assert Image.open(io.BytesIO(answer.content)).size == size
        one.epoch += 1
        document = {"epoch": one.epoch, "width": 256, "height": 256, "seed": 1}
        one.say(type="open", model=None, label_set=library.spec().labels.hash, **document)
        assert one.hear("error")["code"] == "picture-too-large"
        one.open(label_set=library.spec().labels.hash, width=256, height=128)
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
