"""Styles by region from the socket and from REST to the real engine: equal bytes, whatever way they came."""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from engine import Library
from server import protocol
from tests.server.conftest import Served, image_file, palette_png, served
from tests.server.test_live import Page, page
from tests.tiny import STYLE_DIM, write_tiny_model

WIDTH, HEIGHT = 48, 40
SEED = 5
REGIONS = [
    [1.5 - 0.5 * i for i in range(STYLE_DIM)],
    [-2.0] * STYLE_DIM,
    [0.25 * i for i in range(STYLE_DIM)],
]
Numbers = np.ndarray


class Gate:
    """What the tests' server opens at its end; this engine has none."""

    def set(self) -> None: ...


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("tiny")
    write_tiny_model(folder)
    library = Library([folder], device="cpu", precision="fp32", threads=1)
    library.gate = Gate()  # type: ignore[attr-defined]
    return library


@pytest.fixture(scope="module")
def server(library: Library) -> Iterator[Served]:
    with served(library) as running:
        yield running


@pytest.fixture
def scene() -> np.ndarray:
    ids = np.full((HEIGHT, WIDTH), 1, np.uint8)
    ids[15:] = 3
    ids[28:, 10:40] = 8
    return ids


@pytest.fixture
def where() -> np.ndarray:
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    numbers[:, 30:] = 1
    numbers[20:, :12] = 2
    return numbers


def direct(
    library: Library, ids: np.ndarray, numbers: Numbers | None = None, regions: Any = REGIONS, **changes: Any
) -> np.ndarray:
    """The engine's own picture, by a painter that has seen nothing else."""
    painter = library.painter(None, ids.shape[1], ids.shape[0])
    painter.set_map(ids)
    painter.set_style(changes.get("seed", SEED))
    if "style" in changes:
        painter.set_style(changes["style"])
    painter.set_regions(regions)
    if numbers is not None:
        painter.set_style_plane(numbers)
    return painter.render()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


class Regional(Page):
    """A page that paints styles by region, and takes exact pictures only."""

    def begin(self, ids: np.ndarray, numbers: Numbers, **changes: Any) -> None:
        fields = {"width": WIDTH, "height": HEIGHT, "seed": SEED, "regions": REGIONS, "quality": "exact"}
        self.open(**{**fields, **changes})
        self.revision = 0
        self.map(ids, more=True)
        self.plane(numbers)

    def map(self, ids: np.ndarray, *, more: bool = False) -> None:
        self.revision += 1
        self.socket.send(protocol.encode_labels(self.epoch, self.revision, 0, 0, ids, whole=True, more=more))

    def plane(self, numbers: Numbers) -> None:
        self.revision += 1
        self.socket.send(protocol.encode_styles(self.epoch, self.revision, 0, 0, numbers, whole=True))

    def cells(self, plane: np.ndarray, x: int, y: int, width: int, height: int, *, styles: bool) -> None:
        self.revision += 1
        piece = plane[y : y + height, x : x + width]
        encode = protocol.encode_styles if styles else protocol.encode_labels
        self.socket.send(encode(self.epoch, self.revision, x, y, piece))

    def style(self, *, more: bool = False, **changes: Any) -> None:
        self.revision += 1
        fields = {"seed": SEED, "style": None, "regions": REGIONS, "more": more, **changes}
        self.say(type="style", epoch=self.epoch, revision=self.revision, **fields)

    def newest(self) -> protocol.Frame:
        """The frame of the newest revision."""
        while (frame := self.frame(timeout=20)).revision != self.revision:
            assert frame.revision < self.revision
        return frame


@pytest.fixture
def painter(server: Served, scene: np.ndarray, where: np.ndarray) -> Iterator[Regional]:
    with page(server) as one:
        regional = Regional(one.socket)
        regional.begin(scene, where)
        yield regional


def test_a_live_frame_is_the_engines_own_picture(
    painter: Regional, library: Library, scene: np.ndarray, where: np.ndarray
) -> None:
    frame = painter.frame(timeout=20)
    assert frame.revision == 2  # the map and its styles were one batch: there is no frame of the map alone
    picture = pixels(frame.picture)
    assert np.array_equal(picture, direct(library, scene, where))
    plain = direct(library, scene)
    changed = np.abs(picture.astype(int) - plain).max(2) > 8
    assert changed[:, 36:].mean() > 0.5  # the region has another style …
    assert changed[:12, :20].mean() < 0.1  # … and far from it hardly anything has changed


def test_styles_painted_bit_by_bit_are_the_whole_plane(
    painter: Regional, library: Library, scene: np.ndarray, where: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    for _ in range(25):
        x, y = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT))
        size = min(int(rng.integers(1, 16)), WIDTH - x, HEIGHT - y)
        if styles := bool(rng.integers(3)):
            where[y : y + size, x : x + size] = rng.integers(len(REGIONS) + 1)
        else:
            scene[y : y + size, x : x + size] = rng.choice([1, 3, 8])
        painter.cells(where if styles else scene, x, y, size, size, styles=styles)
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene, where))
    where[:] = 0
    painter.plane(where)
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene))


def test_regions_change_come_and_go(
    painter: Regional, library: Library, scene: np.ndarray, where: np.ndarray
) -> None:
    other = [REGIONS[2], REGIONS[0], REGIONS[1]]
    painter.style(regions=other)
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene, where, other))
    painter.style(regions=REGIONS[:1], seed=9)
    left = np.where(where > 1, np.uint8(0), where)
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene, left, REGIONS[:1], seed=9))
    painter.style()
    again = painter.newest()
    assert np.array_equal(pixels(again.picture), direct(library, scene, where))
    painter.style(regions=[])
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene))
    # Renumbered in one batch: the third region is the second from now on.
    painter.style(regions=REGIONS)
    painter.newest()
    painter.style(regions=[REGIONS[0], REGIONS[2]], more=True)
    where[where == 2] = 1
    painter.cells(where, 0, 0, WIDTH, HEIGHT, styles=True)
    frame = painter.newest()
    expected = direct(library, scene, where, [REGIONS[0], REGIONS[2]])
    assert np.array_equal(pixels(frame.picture), expected)


def test_a_lost_patch_of_styles_is_mended_by_map_and_plane(
    painter: Regional, library: Library, scene: np.ndarray, where: np.ndarray
) -> None:
    painter.newest()
    painter.revision += 1  # a patch that is lost on the way
    where[:10, :10] = 3
    painter.cells(where, 20, 20, 4, 4, styles=True)
    assert painter.hear("resync")["expected"] == 3
    painter.style(style=REGIONS[1])
    painter.cells(where, 0, 0, 10, 10, styles=True)
    painter.map(scene, more=True)
    painter.style(style=REGIONS[1], more=True)
    painter.plane(where)
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene, where, style=REGIONS[1]))
    painter.map(scene)
    assert np.array_equal(
        pixels(painter.newest().picture), direct(library, scene, style=REGIONS[1])
    )  # a whole map alone has no styles on it


def test_what_is_refused_leaves_the_picture_as_it_is(
    painter: Regional, library: Library, scene: np.ndarray, where: np.ndarray
) -> None:
    painter.newest()
    painter.cells(np.full((HEIGHT, WIDTH), 4, np.uint8), 0, 0, 9, 9, styles=True)
    assert painter.hear("error")["code"] == "unknown-style-number"
    painter.style(regions=[[0.0]])
    assert painter.hear("error")["code"] == "wrong-style"
    scene[0:5, 0:5] = 8
    painter.cells(scene, 0, 0, 5, 5, styles=False)
    assert np.array_equal(pixels(painter.newest().picture), direct(library, scene, where))


def test_rest_paints_the_same_picture(
    server: Served, library: Library, painter: Regional, scene: np.ndarray, where: np.ndarray
) -> None:
    expected = direct(library, scene, where)
    files = {"mask": palette_png(scene), "style_map": palette_png(where)}
    fields = {"seed": str(SEED), "styles": json.dumps(REGIONS)}
    for extra in ({"format": "png"}, {"format": "webp", "lossless": "true"}):
        answer = httpx.post(f"{server.url}/generate", files=files, data={**fields, **extra}, timeout=30)
        assert answer.status_code == 200, answer.text
        assert np.array_equal(pixels(answer.content), expected)
    body = {name: base64.b64encode(file).decode() for name, file in files.items()}
    body |= {"seed": SEED, "styles": REGIONS, "format": "png"}
    answer = httpx.post(f"{server.url}/generate", json=body, headers={"accept": "application/json"})
    assert np.array_equal(pixels(base64.b64decode(answer.json()["image"])), expected)
    assert answer.json()["styles"] == REGIONS
    assert np.array_equal(pixels(painter.newest().picture), expected)


def test_an_embedded_map_brings_the_picture_back(
    server: Served, library: Library, scene: np.ndarray, where: np.ndarray
) -> None:
    files = {"mask": palette_png(scene), "style_map": palette_png(where[::2, ::2])}
    fields = {
        "seed": str(SEED),
        "styles": json.dumps(REGIONS),
        "format": "png",
        "embed_map": "true",
        "width": "96",
    }
    first = httpx.post(f"{server.url}/generate", files=files, data=fields, timeout=30)
    said = json.loads(Image.open(io.BytesIO(first.content)).text["scenebrush"])  # type: ignore[attr-defined]
    planes = {name: base64.b64decode(said[name]) for name in ("map", "style_map")}
    assert {Image.open(io.BytesIO(file)).size for file in planes.values()} == {(96, 80)}
    fields = {
        "seed": str(said["seed"]),
        "styles": json.dumps(said["styles"]),
        "style": json.dumps(said["style"]),
    }
    again = httpx.post(
        f"{server.url}/generate",
        files={"mask": planes["map"], "style_map": planes["style_map"]},
        data={**fields, "format": "png", "model": said["model"]},
        timeout=30,
    )
    assert np.array_equal(pixels(again.content), pixels(first.content))
    plain = httpx.post(f"{server.url}/generate", files=files, data={**fields, "format": "png"}, timeout=30)
    assert "map" not in json.loads(Image.open(io.BytesIO(plain.content)).text["scenebrush"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(256, 1024), (1024, 1024), (1000, 300)])
def test_large_canvases_of_any_shape_are_painted_whole(
    server: Served, library: Library, size: tuple[int, int]
) -> None:
    width, height = size
    ids = np.full((height, width), 1, np.uint8)
    ids[height // 2 :] = 8
    with page(server, max_size=None) as one:
        ready = one.open(width=width, height=height, seed=SEED, quality="exact")
        assert (ready["paints_width"], ready["paints_height"]) == size
        one.revision += 1
        one.socket.send(protocol.encode_labels(one.epoch, one.revision, 0, 0, ids, whole=True))
        frame = one.frame(timeout=60)
    assert (frame.width, frame.height) == size
    answer = httpx.post(
        f"{server.url}/generate",
        files={"mask": image_file(ids)},
        data={"seed": str(SEED), "format": "png"},
        timeout=60,
    )
    assert answer.headers["x-painted-size"] == f"{width}x{height}"
    assert np.array_equal(pixels(answer.content), pixels(frame.picture))
