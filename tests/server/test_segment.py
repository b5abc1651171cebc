"""POST /segment: what a segmenter sees, in a model's labels; and the pretrained one, which is optional."""

import asyncio
import base64
import io
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import EngineError, Library
from engine.pretrained import PretrainedSegmenter, class_names
from models.labels import Label, LabelSet, load_label_set
from server import segmenting
from server.device import Tools
from server.errors import Problem
from server.segmenting import ADE20K, REVISION, Segmenters, in_labels, map_size
from tests.server.conftest import LANDSCAPE, Client, run
from tests.server.photographs import pillow, png, samples
from tests.server.tiny_server import problem, tiny_library

JSON = {"Accept": "application/json"}


@pytest.fixture
def library() -> Library:
    return tiny_library()


def map_of(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.mode == "P"
    assert bytes(image.getpalette() or [])[: 3 * 17] == LANDSCAPE.palette()[: 3 * 17]
    return np.asarray(image)


def test_a_photo_gives_a_map_of_its_size(client: Client, library: Library) -> None:
    photo = samples(1, 90, 70)

    async def main() -> None:
        async with client() as http:
            answer = await http.post("/segment", files={"image": png(photo)})
            assert answer.headers["content-type"] == "image/png"
            assert answer.headers["x-model"] == "tiny"
            assert answer.headers["x-segmenter"] == "reader"
            assert answer.headers["x-label-set"] == LANDSCAPE.hash
            assert np.array_equal(map_of(answer.content), library.segment(photo, "reader"))

    run(main())


def test_the_json_answer_reports_what_was_seen(client: Client) -> None:
    photo = samples(2, 200, 100)

    async def main() -> None:
        async with client() as http:
            files = {"image": pillow(photo, "JPEG")}
            said = (await http.post("/segment", files=files, data={"max_side": "50"}, headers=JSON)).json()
            labels = map_of(base64.b64decode(said["map"]))
            assert labels.shape == (25, 50) == (said["height"], said["width"])
            assert (said["photo_width"], said["photo_height"]) == (200, 100)
            assert (said["model"], said["segmenter"], said["label_set"]) == ("tiny", "reader", LANDSCAPE.hash)
            counts = {one["id"]: one["share"] for one in said["shares"]}
            assert counts == {int(i): float((labels == i).mean()) for i in np.unique(labels)}
            assert [one["share"] for one in said["shares"]] == sorted(counts.values(), reverse=True)
            assert all(one["exact"] and one["seen"] == one["became"] for one in said["converted"])
            assert sum(one["share"] for one in said["converted"]) == pytest.approx(1)
            body = {"image": base64.b64encode(files["image"]).decode(), "max_side": 50}
            assert (await http.post("/segment", json=body, headers=JSON)).json() == said

    run(main())


def test_maps_are_as_large_as_the_limits_let_them() -> None:
    assert map_size((300, 200), None, 1 << 20) == (300, 200)
    assert map_size((300, 200), 150, 1 << 20) == (150, 100)
    assert map_size((300, 200), 900, 1 << 20) == (300, 200)
    width, height = map_size((6000, 4000), None, 1 << 22)
    assert 0.99 * (1 << 22) < width * height <= 1 << 22
    assert width / height == pytest.approx(1.5, rel=0.01)
    assert map_size((5000, 2), 10, 1 << 20) == (10, 1)


def test_labels_are_converted_by_meaning_and_reported() -> None:
    city = LabelSet(
        "small",
        (Label(3, "sea", (0, 0, 1), "x"), Label(7, "hovel", (0, 0, 2), "x"), Label(9, "bed", (1, 0, 0), "x")),
    )
    seen = np.array([[3, 3, 3, 7], [3, 3, 7, 9]], np.uint8)
    reading = in_labels(seen, city, LANDSCAPE)
    house, sea, nothing = (LANDSCAPE.by_name[name].id for name in ("house", "sea", "unlabeled"))
    assert np.array_equal(reading.map, [[sea, sea, sea, house], [sea, sea, house, nothing]])
    found = [(one.source.name, one.target.name, one.exact, one.share) for one in reading.conversions]
    assert found == [
        ("sea", "sea", True, 0.625),
        ("hovel", "house", False, 0.25),
        ("bed", "unlabeled", False, 0.125),
    ]


def test_what_cannot_be_read_is_said(client: Client) -> None:
    photo = png(samples(3, 30, 30))

    async def main() -> None:
        async with client(max_photo_pixels=4096) as http:
            problem(
                await http.post("/segment", data={"model": "tiny"}, files={"x": photo}), 422, "invalid-value"
            )
            problem(await http.post("/segment", json={}), 422, "no-file")
            problem(await http.post("/segment", files={"image": b"%PDF"}), 415, "unsupported-photo")
            problem(
                await http.post("/segment", files={"image": png(samples(1, 65, 64))}), 413, "photo-too-large"
            )
            problem(
                await http.post("/segment", files={"image": photo}, data={"max_side": "0"}),
                422,
                "invalid-value",
            )
            problem(
                await http.post("/segment", files={"image": photo}, data={"model": "x"}), 404, "unknown-model"
            )
            unknown = await http.post("/segment", files={"image": photo}, data={"segmenter": "x"})
            assert "reader" in problem(unknown, 404, "unknown-segmenter")["detail"]

    run(main())


def test_models_lists_the_segmenters(client: Client, library: Library) -> None:
    async def main() -> None:
        async with client() as http:
            (entry,) = (await http.get("/models")).json()["segmenters"]
            assert entry == {
                "id": "reader",
                "name": "Reader",
                "label_set": LANDSCAPE.hash,
                "licence": "Apache-2.0",
                "default": True,
            }

    run(main())


# The pretrained one


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A UPerNet of ADE20K's classes with weights from a seed: what is fetched, a thousandth of its size."""
    import torch  # noqa: PLC0415
    from transformers import ConvNextConfig, UperNetConfig, UperNetForSemanticSegmentation  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("pretrained") / ADE20K
    names = dict(enumerate(label.name for label in load_label_set("ade150").labels))
    backbone = ConvNextConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3", "stage4"]
    )
    config = UperNetConfig(
        backbone_config=backbone,
        hidden_size=8,
        auxiliary_in_channels=8,
        auxiliary_channels=4,
        id2label=names,
        label2id={name: number for number, name in names.items()},
    )
    torch.manual_seed(0)
    UperNetForSemanticSegmentation(config).save_pretrained(folder)
    return folder


def test_a_fetched_network_reads_photos_in_the_models_labels(client: Client, network: Path) -> None:
    photo = samples(4, 120, 80)

    async def main() -> None:
        async with client(pretrained_segmenter=network) as http:
            listed = (await http.get("/models")).json()["segmenters"]
            assert [(one["id"], one["licence"], one["default"]) for one in listed] == [
                ("reader", "Apache-2.0", True),
                (ADE20K, "MIT", False),
            ]
            data = {"segmenter": ADE20K}
            said = (await http.post("/segment", files={"image": png(photo)}, data=data, headers=JSON)).json()
            seen = PretrainedSegmenter(network, 150).read(photo)
            wanted = in_labels(seen, load_label_set("ade150"), LANDSCAPE)
            assert np.array_equal(map_of(base64.b64decode(said["map"])), wanted.map)
            assert {one["seen"]["name"] for one in said["converted"]} == {
                load_label_set("ade150").by_id[int(i)].name for i in np.unique(seen)
            }
            edit = await http.post(
                "/edit",
                files={"image": png(photo), "region": png(np.full((80, 120, 1), 1, np.uint8))},
                data={"action": "resample", "segmenter": ADE20K},
            )
            assert edit.headers["x-segmenter"] == ADE20K

    run(main())


def test_without_its_files_the_answer_says_how_to_fetch_them(client: Client, tmp_path: Path) -> None:
    async def main() -> None:
        async with client(pretrained_segmenter=tmp_path / "nothing") as http:
            answer = await http.post(
                "/segment", files={"image": png(samples(1, 9, 9))}, data={"segmenter": ADE20K}
            )
            said = problem(answer, 404, "segmenter-not-fetched")
            assert "scenebrush segmenter fetch" in said["next"]

    run(main())


def test_without_the_extra_the_answer_says_how_to_install_it(
    client: Client, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)

    async def main() -> None:
        async with client(pretrained_segmenter=network) as http:
            assert [one["id"] for one in (await http.get("/models")).json()["segmenters"]] == ["reader"]
            answer = await http.post(
                "/segment", files={"image": png(samples(1, 9, 9))}, data={"segmenter": ADE20K}
            )
            assert "scenebrush[segment]" in problem(answer, 501, "extra-missing")["next"]

    run(main())


def test_files_that_are_no_such_network_are_refused(network: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="it lacks"):
        PretrainedSegmenter(tmp_path, 150)
    with pytest.raises(EngineError, match="150 classes apart, not 7"):
        PretrainedSegmenter(network, 7)
    broken = tmp_path / "broken"
    shutil.copytree(network, broken)
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(EngineError, match="does not load"):
        PretrainedSegmenter(broken, 150)
    (broken / "config.json").write_text("[]")
    assert class_names(broken) == ()


def test_no_pickle_is_read_and_no_code_is_run(network: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415

    folder = tmp_path / "pickled"
    shutil.copytree(network, folder)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(EngineError, match=r"lacks model\.safetensors"):
        PretrainedSegmenter(folder, 150)


class Hub:
    """Stands in for huggingface_hub: the download is a copy, or fails."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.asked: dict[str, Any] = {}

    def snapshot_download(self, repository: str, **asked: Any) -> None:
        self.asked = {"repository": repository, **asked}
        if self.folder is None:
            raise ConnectionError("no network")
        shutil.copytree(self.folder, asked["local_dir"])


def test_fetching_pins_the_revision_and_tries_what_came(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(network)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    folder = tmp_path / "kept" / ADE20K
    segmenting.fetch(folder)
    assert hub.asked["revision"] == REVISION
    assert len(REVISION) == 40
    assert all(not name.endswith((".bin", ".py")) for name in hub.asked["allow_patterns"])
    assert PretrainedSegmenter(folder, 150).read(samples(1, 20, 20)).shape == (20, 20)
    with pytest.raises(Problem, match="exists"):
        segmenting.fetch(folder)
    segmenting.fetch(folder, force=True)
    assert [path.name for path in folder.parent.iterdir()] == [ADE20K]


@pytest.mark.parametrize("broken", [False, True])
def test_a_download_that_fails_leaves_what_was_there(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(source if broken else None))
    folder = tmp_path / "kept" / ADE20K
    shutil.copytree(network, folder)
    with pytest.raises(EngineError if broken else Problem):
        segmenting.fetch(folder, force=True)
    assert (folder / "model.safetensors").is_file()
    assert [path.name for path in folder.parent.iterdir()] == [ADE20K]


def test_segmenting_waits_its_turn_and_leaves_the_loop_free(client: Client, library: Library) -> None:
    """While the device reads a photo, the server answers; a client that goes away takes its photo along."""
    import threading  # noqa: PLC0415

    gate, begun = threading.Event(), threading.Event()

    class Slow(Segmenters):
        def read(self, photo: Any, info: Any) -> Any:
            begun.set()
            assert threading.current_thread().name.startswith("device")
            gate.wait(10)
            return super().read(photo, info)

    async def main() -> None:
        async with client() as http:
            services = http.app.state.services  # type: ignore[attr-defined]
            services.worker._device._tools = Tools(library, Slow(library, Path("nowhere")))
            photo = {"image": png(samples(1, 16, 16))}
            first = asyncio.create_task(http.post("/segment", files=photo))
            while not begun.is_set():
                await asyncio.sleep(0.005)
            second = asyncio.create_task(http.post("/styles", files=photo))
            while not services.worker.scheduler.queued:
                await asyncio.sleep(0.005)
            assert (await http.get("/healthz")).status_code == 200
            second.cancel()
            while services.worker.scheduler.queued:
                await asyncio.sleep(0.005)
            gate.set()
            assert (await first).status_code == 200
            assert services.worker.scheduler.idle

    run(main())
