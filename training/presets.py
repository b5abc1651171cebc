"""Styles by name: the codes of training pictures whose metadata say that they show that light or season.

python -m training.presets MODEL DATA OUT [--report SHEET.jpg]

A name stands for the code of one real picture, the one nearest to the mean of all that its rule admits: a
mean of codes is the code of no picture, and paints a light that the generator never had to paint.

A rule reads a picture's line in meta.jsonl: `light` (noon, day, golden, sunset, dusk), `sun_el` (the sun's
height in degrees), `weather` (clear, fair, broken, overcast, hazy), `season` (spring, summer, dry, autumn,
winter), `snowy`. A picture whose line lacks what a rule asks for does not match it. With --report, a contact
sheet: the label maps of the first validation pictures, then a row for each name, its picture first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.checkpoint import CheckpointError, LoadedModel, load, save
from models.encoder import Encoder
from models.labels import LabelSet
from models.spec import ModelSpec, NamedStyle, SpecError
from training.data import DataError, Pair, Split, fitted, read_pairs
from training.layouts import listing_of
from training.sheet import colored, common_size, own_style, paint

REPORTED = 3  # label maps on a report
DIGITS = 5  # after the point, of a code's numbers: far finer than a picture's last bit, and short to send


class PresetError(ValueError):
    """No styles could be named: says what is missing and what to do."""


@dataclass(frozen=True)
class Preset:
    """A style to look for.

    where: what a picture's metadata must hold, all of it. A set: one of these words; a pair of numbers: at
    least the first and at most the second; true or false: just that.
    """

    id: str
    title: str
    where: Mapping[str, frozenset[str] | tuple[float, float] | bool]

    def matches(self, meta: Mapping[str, Any]) -> bool:
        return all(key in meta and _fits(meta[key], wanted) for key, wanted in self.where.items())

    @property
    def rule(self) -> str:
        """The rule in words."""
        return ", ".join(f"{key} {_in_words(wanted)}" for key, wanted in self.where.items())


def _fits(value: object, wanted: frozenset[str] | tuple[float, float] | bool) -> bool:
    if isinstance(wanted, bool):
        return value is wanted
    if isinstance(wanted, tuple):
        low, high = wanted
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
    return isinstance(value, str) and value in wanted


def _in_words(wanted: frozenset[str] | tuple[float, float] | bool) -> str:
    if isinstance(wanted, bool):
        return str(wanted).lower()
    return f"{wanted[0]:g}…{wanted[1]:g}" if isinstance(wanted, tuple) else " or ".join(sorted(wanted))


def _any(words: str) -> frozenset[str]:
    return frozenset(words.split())


_BRIGHT = _any("clear fair")
_DRY = _any("clear fair broken")
_GREEN = _any("spring summer")

PRESETS = (
    # The pictures know no clock: a morning is a clear one with the sun still low, before or after noon.
    Preset(
        "morning", "Morning", {"light": _any("day"), "sun_el": (18, 28), "weather": _BRIGHT, "season": _GREEN}
    ),
    Preset("noon", "Noon", {"light": _any("noon"), "sun_el": (48, 90), "weather": _BRIGHT, "season": _GREEN}),
    Preset(
        "golden-hour",
        "Golden hour",
        {"light": _any("golden"), "sun_el": (6, 11), "weather": _BRIGHT, "season": _GREEN},
    ),
    Preset("sunset", "Sunset", {"light": _any("sunset"), "weather": _DRY, "snowy": False}),
    Preset("dusk", "Dusk", {"light": _any("dusk"), "weather": _DRY, "snowy": False}),
    Preset("overcast", "Overcast", {"light": _any("day noon"), "weather": _any("overcast"), "snowy": False}),
    Preset("haze", "Haze", {"light": _any("day noon golden"), "weather": _any("hazy"), "snowy": False}),
    Preset("autumn", "Autumn", {"light": _any("day golden"), "weather": _BRIGHT, "season": _any("autumn")}),
    Preset("winter-light", "Winter light", {"light": _any("day golden"), "weather": _BRIGHT, "snowy": True}),
)


@dataclass(frozen=True)
class Choice:
    """The picture that a preset is named after.

    code: its style code; candidates: how many the preset's rule admits; distance: from the mean of their
    codes to this one, mean_distance to each of them on average.
    """

    preset: Preset
    pair: Pair
    code: tuple[float, ...]
    candidates: int
    distance: float
    mean_distance: float

    @property
    def style(self) -> NamedStyle:
        return NamedStyle(self.preset.id, self.preset.title, self.code)


def choose(
    encoder: Encoder | None, pairs: Sequence[Pair], presets: Sequence[Preset] = PRESETS
) -> tuple[list[Choice], list[Preset]]:
    """The presets' pictures, in the presets' order, and the presets that no picture matches.

    Args:
        encoder: a model's style encoder.
        pairs: training pictures; of equally near ones the first wins.

    Raises:
        PresetError: the model has no encoder.
    """
    admitted = {preset.id: [pair for pair in pairs if preset.matches(pair.meta)] for preset in presets}
    wanted = {pair.name: pair for found in admitted.values() for pair in found}
    codes = {name: _code(encoder, pair) for name, pair in wanted.items()}
    chosen = [_nearest(preset, admitted[preset.id], codes) for preset in presets if admitted[preset.id]]
    return chosen, [preset for preset in presets if not admitted[preset.id]]


def _code(encoder: Encoder | None, pair: Pair) -> Tensor:
    """A picture's style code, the mean of its distribution: float64 (D,). One picture at a time, so that no
    code depends on what it was encoded with."""
    code = own_style(encoder, pair.image)
    if code is None or not code.numel():
        raise PresetError("the model has no style encoder: there is nothing to read a picture's style with")
    return code.double().cpu()


def _nearest(preset: Preset, pairs: Sequence[Pair], codes: Mapping[str, Tensor]) -> Choice:
    candidates = torch.stack([codes[pair.name] for pair in pairs])
    distances = (candidates - candidates.mean(0)).norm(dim=1)
    best = int(distances.argmin())
    return Choice(
        preset,
        pairs[best],
        tuple(round(value, DIGITS) for value in candidates[best].tolist()),
        len(pairs),
        float(distances[best]),
        float(distances.mean()),
    )


def with_styles(spec: ModelSpec, choices: Sequence[Choice]) -> ModelSpec:
    """The spec with the chosen styles in place of those that it had; its provenance says whose they are."""
    named = {
        choice.preset.id: {"picture": choice.pair.name, "of": choice.candidates, "rule": choice.preset.rule}
        for choice in choices
    }
    return replace(
        spec,
        styles=tuple(choice.style for choice in choices),
        provenance={**spec.provenance, "styles": named},
    )


def add_presets(model: Path, data: Path, out: Path) -> tuple[list[Choice], list[Preset]]:
    """Write a model again, with named styles from a source's training pictures.

    Returns:
        What `choose` does.

    Raises:
        CheckpointError: the model cannot be read.
        DataError: the pictures cannot.
        PresetError: the model has no style encoder, or no training picture matches any preset.
    """
    loaded = load(model)
    choices, missing = choose(loaded.encoder, read_pairs(data, "train"))
    if not choices:
        raise PresetError(
            f"no training picture in {data} matches a preset. They need metadata: lines in meta.jsonl with "
            "light, sun_el, weather, season and snowy, as training/presets.py says"
        )
    _write(out, loaded, with_styles(loaded.spec, choices))
    return choices, missing


def _write(out: Path, model: LoadedModel, spec: ModelSpec) -> None:
    """The model's own weights under another spec, in the smaller type if that loses nothing."""
    networks = [model.generator, *([model.encoder] if model.encoder is not None else [])]
    weights = [
        module.weight for network in networks for module in network.modules() if isinstance(module, nn.Conv2d)
    ]
    small = all(torch.equal(weight.half().float(), weight) for weight in weights)
    save(out, spec, model.generator, model.encoder, torch.float16 if small else torch.float32)


def report(choices: Sequence[Choice], missing: Sequence[Preset]) -> str:
    """What was chosen, as lines to print."""
    width = max(len(preset.id) for preset in [*(choice.preset for choice in choices), *missing])
    lines = [
        f"{choice.preset.id:{width}}  picture {choice.pair.name}, nearest to the mean of {choice.candidates} "
        f"({choice.distance:.2f}; on average {choice.mean_distance:.2f})"
        for choice in choices
    ]
    lines += [f"{preset.id:{width}}  left out: no training picture has {preset.rule}" for preset in missing]
    return "\n".join(lines)


def report_sheet(model: LoadedModel, choices: Sequence[Choice], maps: Sequence[Pair]) -> np.ndarray:
    """uint8 (H, W, 3): the maps, then a row for each choice: its picture, and the maps in its style."""
    shown = common_size([*maps, *(choice.pair for choice in choices)], model.generator.stride)
    drawn, pictures = shown[: len(maps)], [pair.image for pair in shown[len(maps) :]]
    rows = [[np.zeros_like(drawn[0].image), *(colored(pair.labels, model.spec.labels) for pair in drawn)]]
    for choice, picture in zip(choices, pictures, strict=True):
        code = torch.tensor(choice.code)
        rows.append([picture, *(paint(model, pair.labels, code) for pair in drawn)])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def _maps(data: Path, labels: LabelSet) -> Sequence[Pair]:
    """The first validation pictures, or training pictures where there are none; maps in a label set."""
    held = {item.split for item in listing_of(data).items}
    split: Split = "validation" if "validation" in held else "train"
    return fitted(read_pairs(data, split, REPORTED, labels=labels), labels, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description="give a model named styles: the codes of training pictures with that light and season"
    )
    parser.add_argument("model", type=Path, help="a .safetensors file")
    parser.add_argument("data", type=Path, help="folder of images/ and labels/, or of .tar shards")
    parser.add_argument("out", type=Path, help="the .safetensors file to write; may be MODEL itself")
    parser.add_argument("--report", type=Path, help="a picture to write: what each style makes of some maps")
    arguments = parser.parse_args()
    try:
        choices, missing = add_presets(arguments.model, arguments.data, arguments.out)
        print(report(choices, missing))  # noqa: T201 – the command's answer
        if arguments.report:
            written = load(arguments.out)
            sheet = report_sheet(written, choices, _maps(arguments.data, written.spec.labels))
            Image.fromarray(sheet).save(arguments.report, quality=90)
    except (CheckpointError, DataError, PresetError, SpecError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
