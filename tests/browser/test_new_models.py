"""Model files replaced under a page that paints: it goes on by itself."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from models.checkpoint import load, save
from tests.browser.conftest import House, Studio
from tests.tiny import tiny_networks


def put(house: House, path: Path, content: bytes) -> None:
    """Write a file in the place of another, and have the server look."""
    aside = path.with_suffix(".part")
    aside.write_bytes(content)
    aside.replace(path)
    assert house.server is not None
    house.server.process.send_signal(signal.SIGHUP)


def test_new_weights_and_a_new_label_set_reach_the_page(
    studio: Studio, house: House, models_dir: Path, tmp_path: Path
) -> None:
    path = models_dir / "lights.safetensors"
    before, loaded = path.read_bytes(), load(path)
    city = load(models_dir / "city.safetensors")
    save(tmp_path / "again", loaded.spec, *tiny_networks(7))
    save(tmp_path / "other", replace(city.spec, id="lights"), city.generator, city.encoder)
    studio.page.get_by_label("Model").select_option("lights")
    studio.settle()
    picture, labels, shown = studio.picture, studio.labels, studio.read("s.frame.count")
    try:
        put(house, path, (tmp_path / "again").read_bytes())
        studio.until(f"s.frame.count > {shown}")
        studio.settle()
        anew = studio.picture
        assert anew != picture, "painted anew, without a hand"

        put(house, path, (tmp_path / "other").read_bytes())
        studio.until(f"s.studio.model.label_set.hash === '{city.spec.labels.hash}'")
        studio.settle()
        assert studio.read("s.studio.model.id") == "lights"
        assert studio.picture != anew
        assert (studio.labels == labels).all(), "the painting keeps its own labels"
        assert studio.page.locator("#notices .notice.error").count() == 0
    finally:
        put(house, path, before)
        studio.until(f"s.studio.model.label_set.hash === '{loaded.spec.labels.hash}'")
