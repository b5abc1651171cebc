"""A pix2pix baseline behind the server: the real engine, no style, no noise, no instances, no previews."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import Library
from server import protocol
from tests.server.conftest import Client, image_file, run
from tests.server.test_live import Page, page, served
from tests.tiny import write_tiny_pix2pix


@pytest.fixture
def library(tmp_path: Path) -> Library:
    write_tiny_pix2pix(tmp_path, "baseline")
    return Library([tmp_path], device="cpu", precision="fp32", threads=1)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def painted(library: Library, ids: np.ndarray) -> np.ndarray:
    painter = library.painter(None, ids.shape[1], ids.shape[0])
    painter.set_map(ids)
    return painter.render()


def test_it_is_listed_and_generates(client: Client, library: Library, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            (model,) = (await http.get("/models")).json()["models"]
            assert (model["id"], model["style_dim"], model["instance_edges"]) == ("baseline", 0, False)
            files = {"mask": image_file(scene)}
            one = await http.post("/generate", files=files, data={"format": "png", "seed": "1"})
            assert one.status_code == 200, one.text
            np.testing.assert_array_equal(pixels(one.content), painted(library, scene))
            other = await http.post("/generate", files=files, data={"format": "png", "seed": "2"})
            np.testing.assert_array_equal(pixels(other.content), pixels(one.content), "no seed changes it")

    run(main())


def test_what_it_does_not_read_is_refused(client: Client, scene: np.ndarray) -> None:
    async def main() -> None:
        async with client() as http:
            mask = {"mask": image_file(scene)}
            style = await http.post("/generate", files=mask, data={"style": "[1.0]"})
            assert style.status_code == 422
            assert "the model has 0 values" in style.json()["detail"]
            things = {**mask, "instances": image_file(scene)}
            instances = await http.post("/generate", files=things)
            assert instances.status_code == 422
            assert "instance" in instances.text

    run(main())


def test_it_is_painted_live(library: Library, scene: np.ndarray) -> None:
    class Gate:
        def set(self) -> None: ...

    library.gate = Gate()  # type: ignore[attr-defined]  # what the tests' server opens at its end
    with served(library) as server, page(server) as one:
        height, width = scene.shape
        one.open(label_set=library.spec().labels.hash, width=width, height=height, format="png")
        one.revision += 1
        one.socket.send(protocol.encode_labels(one.epoch, one.revision, 0, 0, scene, whole=True))
        np.testing.assert_array_equal(pixels(last_frame(one)), painted(library, scene))
        changed = scene.copy()
        changed[4:12, 4:20] = 11
        one.revision += 1
        one.socket.send(
            protocol.encode_labels(one.epoch, one.revision, 4, 4, np.ascontiguousarray(changed[4:12, 4:20]))
        )
        np.testing.assert_array_equal(pixels(last_frame(one)), painted(library, changed))


def last_frame(one: Page) -> bytes:
    """The picture of the newest revision; every frame of this model is exact."""
    while (frame := one.frame(timeout=20)).revision != one.revision:
        assert frame.exact
    assert frame.exact
    return frame.picture
