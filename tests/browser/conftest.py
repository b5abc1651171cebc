"""A real server, a real Chromium, and a hand that paints with the mouse and reads what the page holds."""

from __future__ import annotations

import base64
import dataclasses
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page

from models.checkpoint import save
from models.encoder import StyleEncoder
from models.generator import StyledSpadeGenerator
from models.importing import import_model, write_model
from models.labels import load_label_set
from models.readings import ImportOptions
from models.spec import NamedStyle
from tests.public_checkpoints import spade_state
from tests.serving import CHECKOUT_COMMAND, Server, drain, free_port, wait_until_ready
from tests.tiny import STYLE_DIM, tiny_networks, tiny_spec

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    # CI runs as root, where Chromium's own sandbox cannot start.
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMED_STYLES = tuple(
    NamedStyle(title.lower().replace(" ", "-"), title, tuple(3.0 * (i == k) for i in range(STYLE_DIM)))
    for k, title in enumerate(
        ["Morning", "Noon", "Golden hour", "Sunset", "Dusk", "Overcast", "Haze", "Winter light"]
    )
)
PATIENCE = 30.0  # seconds; a busy machine paints slowly


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """SCENEBRUSH_CHROMIUM, or the first Chromium on the path."""
    named = os.environ.get("SCENEBRUSH_CHROMIUM")
    path = named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path:
        return path
    reason = "no Chromium: install one (`make setup` does on Debian), or name it in SCENEBRUSH_CHROMIUM"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser_type_launch_args(chromium_path: str) -> dict[str, Any]:
    return {"executable_path": chromium_path, "args": CHROMIUM_ARGUMENTS}


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, Any]:
    return {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models that paint 256 × 256 in milliseconds: `tiny`, `lights`, which is the same with
    named styles, `city` in another label set, and `coco`, a public one of 183 labels that has no style and
    reads instance edges, and `wide`, a VAE's, which paints 256 × 128 alone."""
    folder = tmp_path_factory.mktemp("models")
    save(folder / "tiny.safetensors", dataclasses.replace(tiny_spec(), native_size=256), *tiny_networks())
    lights = dataclasses.replace(tiny_spec("lights"), name="Lights", native_size=256, styles=NAMED_STYLES)
    save(folder / "lights.safetensors", lights, *tiny_networks())
    # The same family in a label set of its own.
    city = load_label_set("cityscapes35")
    options = tiny_spec().options
    torch.manual_seed(1)
    generator = StyledSpadeGenerator(
        len(city.labels), options["widths"], options["hidden"], STYLE_DIM, options["noise_channels"]
    )
    spec = dataclasses.replace(tiny_spec("city"), name="City", labels=city, native_size=256)
    save(folder / "city.safetensors", spec, generator, StyleEncoder(options["encoder_widths"], STYLE_DIM))
    torch.save(spade_state(ngf=4, hidden=8), folder / "latest_net_G.pth")
    coco = import_model(folder / "latest_net_G.pth", "coco", name="Tiny COCO")
    write_model(coco, folder / "coco.safetensors")
    state = spade_state(ngf=2, hidden=4, label_nc=35, dont_care=False, z_dim=3, start_grid=(2, 4))
    torch.save(state, folder / "latest_net_G.pth")
    options = ImportOptions(labels=35, size=256, aspect=2.0)
    wide = import_model(folder / "latest_net_G.pth", "wide", options, name="Wide")
    write_model(wide, folder / "wide.safetensors")
    (folder / "latest_net_G.pth").unlink()
    return folder


class House:
    """A server that can be stopped and started again at the same address."""

    def __init__(self, models_dir: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "SCENEBRUSH_MODELS_DIR": str(models_dir),
            "SCENEBRUSH_DEFAULT_MODEL": "tiny",
            "SCENEBRUSH_THREADS": "1",  # Chromium needs a core too
        }
        self.server: Server | None = None
        self.reader: threading.Thread | None = None

    def start(self) -> None:
        process = subprocess.Popen(
            [*CHECKOUT_COMMAND, "--host", "127.0.0.1", "--port", str(self.port)],
            cwd=ROOT,
            env=os.environ | self.settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.server = Server(process, self.url, bytearray())
        self.reader = threading.Thread(target=drain, args=(process, self.server.log), daemon=True)
        self.reader.start()
        wait_until_ready(self.server)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.server is None or self.reader is None:
            return
        self.server.process.send_signal(how)
        try:
            self.server.process.wait(20)
        except subprocess.TimeoutExpired:
            self.server.process.kill()
            self.server.process.wait()
        self.reader.join()
        self.server = None


@pytest.fixture(scope="session")
def house(models_dir: Path) -> Iterator[House]:
    house = House(models_dir)
    try:
        house.start()
        yield house
    finally:
        house.stop()


class Studio:
    """The page as a person has it: eyes on what it shows, a mouse and a keyboard."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self, *, newcomer: bool = False) -> Studio:
        """Visit the page, as somebody who has seen the guided start unless they are a `newcomer`."""
        if not newcomer:
            self.page.add_init_script("localStorage.setItem('scenebrush.guide', '\"seen\"')")
        self.page.goto(self.url)
        return self.settle()

    def read(self, expression: str) -> Any:
        """The value of an expression in the page, where `s` is the page's own handle, `window.scenebrush`."""
        return self.page.evaluate(f"(() => {{ const s = window.scenebrush; return {expression} }})()")

    def until(self, expression: str, patience: float = PATIENCE) -> Any:
        """Wait for a truthy value. Playwright's own wait_for_function needs eval, which the page forbids."""
        end = time.monotonic() + patience
        while not (value := self.read(expression)):
            assert time.monotonic() < end, f"in {patience:.0f} s this did not become true: {expression}"
            time.sleep(0.02)
        return value

    def settle(self) -> Studio:
        """Wait until the photo shows the newest state, and is the exact one."""
        self.until("s && s.settled && s.frame.exact && s.frame.newest")
        return self

    @property
    def labels(self) -> np.ndarray:
        """The label map, (H, W) uint8."""
        width, height, data = self.read(
            "[s.studio.document.map.width, s.studio.document.map.height, "
            "btoa(Array.from(s.labels, (id) => String.fromCharCode(id)).join(''))]"
        )
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width)

    @property
    def picture(self) -> bytes:
        """The encoded picture that was last shown, as it came from the server."""
        return base64.b64decode(
            self.read("btoa(Array.from(s.frame.picture, (byte) => String.fromCharCode(byte)).join(''))")
        )

    @property
    def label(self) -> int:
        return self.read("s.studio.state.label")

    def id_of(self, name: str) -> int:
        return self.read(f"s.studio.document.labelSet.labels.find((label) => label.name === '{name}').id")

    def choose(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).click()

    def do(self, action: str) -> None:
        self.button(action).click()

    def button(self, action: str) -> Locator:
        return self.page.locator(f"button[data-action={action}]")

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where on the page a point of the label map is; x and y run from 0 to 1."""
        box = self.page.locator("#labels").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def press(self, points: Sequence[tuple[float, float]], steps: int = 6) -> None:
        """Drag along the points and keep the button down."""
        mouse = self.page.mouse
        mouse.move(*self.at(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(*point), steps=steps)

    def drag(self, *points: tuple[float, float], steps: int = 6) -> None:
        self.press(points, steps)
        self.page.mouse.up()

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the page's console complains about; at the end there must be nothing. A test that provokes a
    complaint takes it out of the list."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    yield heard
    assert heard == []


@pytest.fixture
def studio(page: Page, house: House, complaints: list[str]) -> Studio:
    """The studio on a first visit, with the first photo shown."""
    return Studio(page, house.url).open()
