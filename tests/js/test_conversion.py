"""The studio converts label maps as `models.labels.convert`: tests/data/conversion.json holds both to it.

`python -m tests.js.test_conversion` writes the file anew, after the meanings of labels have changed.
"""

import json
from pathlib import Path
from typing import Any

from models.labels import convert, load_label_set, meanings

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "data" / "conversion.json"
SOURCES = ("ade150", "coco182")


def vectors() -> dict[str, Any]:
    """The target's labels as [name, concepts…], each source's as [target id, 0 or 1 for exact, name, …]."""
    target = load_label_set("landscape17")
    sources: dict[str, list[list[Any]]] = {}
    for name in SOURCES:
        source = load_label_set(name)
        matches = convert(source, target)
        sources[name] = [
            [matches[label.id].target, int(matches[label.id].exact), label.name, *meanings(label.name)]
            for label in source.labels
        ]
    assert [label.id for label in target.labels] == list(range(len(target.labels)))
    labels = [[label.name, *meanings(label.name)] for label in target.labels]
    return {"target": {"ignore": target.ignore, "labels": labels}, "sources": sources}


def test_the_vectors_are_what_convert_gives() -> None:
    assert json.loads(VECTORS.read_text()) == vectors(), "python -m tests.js.test_conversion writes them anew"


def test_starter_scenes_mean_what_the_models_mean() -> None:
    file = json.loads((ROOT / "static" / "scenes" / "scenes.json").read_text())
    assert file["labels"] == {name: list(meanings(name)) for name in file["labels"]}
    assert {shape["label"] for scene in file["scenes"] for shape in scene["shapes"]} <= set(file["labels"])


if __name__ == "__main__":
    VECTORS.write_text(
        json.dumps(vectors(), ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[") + "\n"
    )
