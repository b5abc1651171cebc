"""What an evaluation finds out, as it stands in metrics.json."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from training.evaluation.statistics import Figure

FORMAT = "scenebrush.evaluation.v1"
Better = Literal["lower", "higher", "as real"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Reference(_Part):
    """What a figure is to be held against. what: which pictures it was taken of, and how."""

    what: str
    figure: Figure


class Measure(_Part):
    """One row of the table.

    key: for programs. title, unit, about: for people. better: which way is good. references: the same of real
    pictures, and chance. values: by the model's column; None where a model has no such figure. detail: by
    column (and "real"), the figure by class.
    """

    key: str
    title: str
    unit: str = ""
    better: Better
    about: str
    digits: int = 3
    references: list[Reference] = []
    values: dict[str, Figure | None]
    detail: dict[str, dict[str, float]] = {}


class Section(_Part):
    """Measures that belong together. note: what to know of all of them."""

    title: str
    note: str = ""
    measures: list[Measure]


class ModelEntry(_Part):
    """One column. sha256: of the file. style: where the style of its pictures comes from."""

    column: str
    id: str
    name: str
    architecture: str
    file: str
    sha256: str
    style: str


class JudgeEntry(_Part):
    """The segmenter that looked at the pictures."""

    id: str
    name: str
    architecture: str
    file: str
    sha256: str


class Settings(_Part):
    """Everything else that decides on the figures."""

    split: str
    pictures: int
    sizes: dict[str, int]
    label_set: str
    training_pictures: int
    painted_maps: int
    diversity_maps: int
    diversity_seeds: int
    resamples: int
    painter: str
    torch: str
    scenebrush: str


class Document(_Part):
    """metrics.json."""

    format: Literal["scenebrush.evaluation.v1"] = FORMAT
    data: str
    settings: Settings
    judge: JudgeEntry
    models: list[ModelEntry]
    sections: list[Section]
    classes_left_out: list[str]
    notes: list[str]

    def measure(self, key: str) -> Measure:
        """One measure by its key; raises KeyError."""
        found = {measure.key: measure for section in self.sections for measure in section.measures}
        return found[key]
