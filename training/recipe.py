"""Everything that a training run depends on, in one immutable value, read from TOML.

A recipe names its task and fills five sections. [run] and [data] are the same for every task; a task says
what stands in [network], [optimiser] and [loss]. Every value can be overridden as `section.name=VALUE`.
"""

from __future__ import annotations

import copy
import difflib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.augmentation import Augmentation

RECIPES = Path(__file__).parent / "recipes"
SECTIONS = ("run", "data", "network", "optimiser", "loss")


class RecipeError(ValueError):
    """A recipe that cannot be used: names the entry and what is wrong with it."""


Width = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a stage: what is larger, a model file may not say (models/checkpoint.py)."""


class Section(BaseModel):
    """A part of a recipe: immutable, and every name is known."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RunSettings(Section):
    """[run]: how long, how often, when to stop. Sizes and intervals count pictures."""

    seed: int = Field(1, ge=0)
    pictures: int = Field(ge=1)
    init_from: str | None = None  # a model file that the networks start from
    name: str | None = Field(None, max_length=200)  # of the finished model; the folder's by default
    licence: str = Field("not stated", max_length=200)  # of the finished model, as it stands in its file
    decay_from: float = Field(0.8, ge=0, le=1)  # share of the run after which rates fall linearly …
    decay_to: float = Field(0.05, ge=0, le=1)  # … to this factor
    ema_half_life: int = Field(1_000, ge=1)
    statistics_batches: int = Field(60, ge=1)  # of four crops, to measure an export's batch statistics on
    log_every: int = Field(200, ge=1)
    save_every: int = Field(1_000, ge=1)
    sheet_every: int = Field(2_000, ge=1)
    collapse_below: float = 0.01  # both of the discriminator's losses: it has won
    collapse_above: float = 100.0  # the generator's adversarial loss: it has lost
    collapse_steps: int = Field(500, ge=1)  # for so many steps on end


class Crop(Section):
    """From a share of the run on: crops of `side` pixels in batches of `batch`, over all processes."""

    start: float = Field(alias="from", ge=0, lt=1)
    side: int = Field(ge=8)
    batch: int = Field(ge=1)


class DataSettings(Augmentation):
    """[data]: the crop schedule, and what is done to the pictures."""

    crops: tuple[Crop, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        starts = [crop.start for crop in self.crops]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise ValueError(f"crops begin at {starts}: the first must be 0 and they must rise")
        return self


@dataclass(frozen=True)
class Recipe:
    """A task's name and its settings. `network`, `optimiser` and `loss` are the task's own models."""

    task: str
    run: RunSettings
    data: DataSettings
    network: Any
    optimiser: Any
    loss: Any

    def share(self, seen: int) -> float:
        """Share of the run that is done after `seen` pictures, 0 … 1."""
        return min(seen / self.run.pictures, 1.0)

    def crop_at(self, seen: int) -> tuple[int, int]:
        """(crop side, batch size over all processes) after `seen` pictures."""
        share = seen / self.run.pictures
        crop = next(crop for crop in reversed(self.data.crops) if share >= crop.start)
        return crop.side, crop.batch

    @property
    def largest_crop(self) -> int:
        """Side of the largest crop, in pixels."""
        return max(crop.side for crop in self.data.crops)

    def rate_at(self, seen: int) -> float:
        """Factor of all learning rates after `seen` pictures."""
        share, run = self.share(seen), self.run
        return 1.0 if share <= run.decay_from else max(run.decay_to, (1 - share) / (1 - run.decay_from))

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain data, None left out, as `recipe_from` reads it."""
        sections = {
            name: getattr(self, name).model_dump(mode="json", by_alias=True, exclude_none=True)
            for name in SECTIONS
        }
        return {"task": self.task} | sections

    def to_toml(self) -> str:
        """The recipe as a file that `load_recipe` reads."""
        document = self.to_json()
        lines = [f"task = {_toml(document.pop('task'))}"]
        for section, values in document.items():
            lines += ["", f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in values.items())]
        return "\n".join(lines) + "\n"

    def with_overrides(self, overrides: Mapping[str, Any] | Sequence[str]) -> Recipe:
        """A copy with values changed: {"run.pictures": 100} or ["run.pictures=100"].

        Raises:
            RecipeError: no such entry, or a value that it cannot take.
        """
        return recipe_from(_overridden(self.to_json(), overrides), "the recipe")


def names() -> list[str]:
    """The recipes that come with the program."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> Recipe:
    """A recipe that comes with the program, by name, or one's own, by the path of a .toml file.

    Args:
        overrides: values set on top, see `Recipe.with_overrides`.

    Raises:
        RecipeError: no such recipe, no TOML, or an entry that is unknown, missing or of the wrong kind.
    """
    path = Path(name) if str(name).endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise RecipeError(f"no recipe {str(name)!r}: there are {', '.join(names())}, or give a .toml file")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # no UTF-8, or no TOML
        raise RecipeError(f"{path} is not TOML: {error}") from error
    return recipe_from(_overridden(document, overrides), str(name))


def recipe_from(document: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain data; `where` stands in messages. Raises RecipeError."""
    from training.tasks import TASKS  # noqa: PLC0415 – a task's module reads this one

    _known(where, "entry", document, ("task", *SECTIONS))
    task = document.get("task")
    if not isinstance(task, str) or task not in TASKS:
        raise RecipeError(f"{where}: task = {task!r}, expected one of {', '.join(TASKS)}")
    kinds = _kinds(task)
    return Recipe(
        task, **{name: _section(where, name, kind, document.get(name, {})) for name, kind in kinds.items()}
    )


def _kinds(task: str) -> dict[str, type[BaseModel]]:
    from training.tasks import TASKS  # noqa: PLC0415

    kind = TASKS[task]
    return {
        "run": RunSettings,
        "data": DataSettings,
        "network": kind.Network,
        "optimiser": kind.Optimiser,
        "loss": kind.Loss,
    }


def _section(where: str, name: str, kind: type[BaseModel], values: Any) -> BaseModel:
    if not isinstance(values, Mapping):
        raise RecipeError(f"{where}: {name} is no section; write [{name}] and its values below")
    fields = [field.alias or key for key, field in kind.model_fields.items()]
    _known(where, f"value in [{name}]", values, fields)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        entry = ".".join(map(str, (name, *first["loc"])))
        raise RecipeError(f"{where}: {entry}: {first['msg']}, found {first['input']!r}") from error


def _known(where: str, what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1, cutoff=0)
            raise RecipeError(f"{where}: no {what} is called {name!r}; the nearest is {nearest[0]!r}")


def _overridden(document: Mapping[str, Any], overrides: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """A copy of plain data with `section.name` values set; names are checked where the recipe is read."""
    result: dict[str, Any] = copy.deepcopy(dict(document))
    pairs = overrides.items() if isinstance(overrides, Mapping) else map(_assignment, overrides)
    for name, value in pairs:
        section, dot, entry = name.partition(".")
        if section not in SECTIONS or not dot:
            near = _sections_with(result, entry or section)
            hint = f"; did you mean {near!r}?" if near else f", SECTION one of {', '.join(SECTIONS)}"
            raise RecipeError(f"no recipe value {name!r}: write SECTION.NAME=VALUE{hint}")
        if isinstance(result.setdefault(section, {}), dict):  # else the section itself is refused later
            result[section][entry] = value
    return result


def _sections_with(document: Mapping[str, Any], entry: str) -> str | None:
    from training.tasks import TASKS  # noqa: PLC0415

    if document.get("task") not in list(TASKS):
        return None
    found = [
        f"{section}.{entry}"
        for section, kind in _kinds(document["task"]).items()
        if entry in kind.model_fields
    ]
    return found[0] if found else None


def _assignment(text: str) -> tuple[str, Any]:
    """ "section.name=VALUE" → name and value. What is no TOML value is taken as a word, so that a path needs
    no quotes inside the shell's."""
    name, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"{text!r} has no value: write SECTION.NAME=VALUE, such as run.pictures=50000")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


def _toml(value: Any) -> str:
    """Plain data as a TOML value; tables are written inline."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
