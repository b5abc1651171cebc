"""The label sets that the studio recognises in files, whatever models the server has.

They lie in static/label-sets/sets.json.
`python -m tests.js.test_label_sets` writes the file anew, after a label set or its meanings have changed.
"""

import json
from pathlib import Path
from typing import Any

from models.labels import load_label_set, meanings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "static" / "label-sets" / "sets.json"


def label_sets() -> list[dict[str, Any]]:
    """Every set in models/label_sets, as /models tells them."""
    found: list[dict[str, Any]] = []
    for path in sorted((ROOT / "models" / "label_sets").glob("*.toml")):
        labels = load_label_set(path.stem)
        said: dict[str, Any] = {"hash": labels.hash, **labels.to_json()}
        for label in said["labels"]:
            label["concepts"] = list(meanings(label["name"]))
        found.append(said)
    return found


def test_the_file_holds_every_set_as_it_is() -> None:
    assert json.loads(FILE.read_text()) == label_sets(), "python -m tests.js.test_label_sets writes it anew"


if __name__ == "__main__":
    text = json.dumps(label_sets(), ensure_ascii=False, separators=(",", ":"))
    FILE.write_text(text.replace(',{"id"', ',\n{"id"') + "\n")
