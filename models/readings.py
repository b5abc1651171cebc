"""What a public checkpoint says about itself, what it does not, and how the rest is settled.

Tensors tell width, kernel, norm and VAE. They do not tell how input channels divide into labels, "don't
care", instance edges and noise, nor how often the trunk doubles, nor the size of the training pictures: the
published files are known by their channels, and any other needs options.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from models.checkpoint import CheckpointError
from models.labels import LabelSet
from models.published import UPSAMPLINGS, Statistics, Upsampling
from models.state_files import State

Family = Literal["spade", "oasis"]
TITLES: dict[Family, str] = {"spade": "SPADE", "oasis": "OASIS"}
_STRIDES: dict[Upsampling, int] = {"normal": 32, "more": 64, "most": 128}
_PUBLISHED_NOISE = 64  # OASIS's z_dim


@dataclass(frozen=True)
class ImportOptions:
    """What the user says of a file, where it does not say so itself; None leaves it to the file.

    labels: number of classes (without one added for "don't care"), or the label set itself. dont_care: one
    more class follows (SPADE) or stands before (OASIS). instance: one more channel holds instance edges.
    upsampling: see `SpadeGenerator`. z_dim: length of OASIS's noise. size: width of the training pictures in
    pixels (1…8192), aspect: their width / height.
    """

    labels: int | LabelSet | None = None
    dont_care: bool | None = None
    instance: bool | None = None
    upsampling: Upsampling | None = None
    z_dim: int | None = None
    size: int | None = None
    aspect: float | None = None

    @property
    def classes(self) -> int | None:
        return self.labels.channels if isinstance(self.labels, LabelSet) else self.labels


@dataclass(frozen=True)
class Tensors:
    """What a generator's tensors say. style_dim, cells: the VAE's code, the start grid's cells; 0 without."""

    family: Family
    channels: int
    width: int
    hidden: int
    kernel: int
    statistics: Statistics
    most: bool
    style_dim: int
    cells: int


@dataclass(frozen=True)
class Reading:
    """One way to understand the channels and the trunk of a file."""

    classes: int
    dont_care: bool
    instance: bool
    upsampling: Upsampling
    z_dim: int

    def options(self, family: Family) -> str:
        """The command line's options that say it."""
        care = f"--labels {self.classes} --{'' if self.dont_care else 'no-'}dont-care"
        if family == "oasis":
            return f"{care} --z-dim {self.z_dim}"
        return f"{care} --{'' if self.instance else 'no-'}instance --upsampling {self.upsampling}"


@dataclass(frozen=True)
class Preset:
    """A published model: its data set, the label set's name here, its reading, its pictures."""

    title: str
    labels: str
    reading: Reading
    size: int = 256
    aspect: float = 1.0


PRESETS: dict[tuple[Family, int], Preset] = {
    ("spade", 184): Preset("COCO-Stuff", "coco182", Reading(182, True, True, "normal", 0)),
    ("spade", 151): Preset("ADE20K", "ade150", Reading(150, True, False, "normal", 0)),
    ("spade", 36): Preset("Cityscapes", "cityscapes35", Reading(35, False, True, "more", 0), 512, 2.0),
    ("oasis", 247): Preset("COCO-Stuff", "coco182", Reading(182, True, False, "normal", 64)),
    ("oasis", 215): Preset("ADE20K", "ade150", Reading(150, True, False, "normal", 64)),
    ("oasis", 99): Preset("Cityscapes", "cityscapes35", Reading(35, False, False, "normal", 64), 512, 2.0),
}


@dataclass(frozen=True)
class Settled:
    """A file understood: its reading, the published model that it is (or None), its pictures' width."""

    reading: Reading
    preset: Preset | None
    size: int
    start_grid: tuple[int, int]

    @property
    def stride(self) -> int:
        return _STRIDES[self.reading.upsampling]


def look(path: Path, state: State) -> Tensors:
    """Read from a generator's tensors what they say (spectral norm folded).

    Raises:
        CheckpointError: not a generator, or a layer is missing or of a kind that none has.
    """
    family = _family(path, state)
    norm = ("head_0" if family == "spade" else "body.0") + ".norm_0"
    hidden, channels, kernel, _ = _shape(path, state, f"{norm}.mlp_shared.0.weight", 4)
    _, fin, _, _ = _shape(path, state, "conv_img.weight", 4)
    most = any(name.startswith("up_4.") for name in state)
    width = 2 * fin if most else fin
    batch = any(name.startswith(f"{norm}.param_free_norm.running_") for name in state)
    style_dim, cells = 0, 0
    if "fc.weight" in state and state["fc.weight"].ndim == 2:
        fout, style_dim = _shape(path, state, "fc.weight", 2)
        cells = fout // (16 * width) if width else 0
    return Tensors(
        family, channels, width, hidden, kernel, "batch" if batch else "instance", most, style_dim, cells
    )


def _family(path: Path, state: State) -> Family:
    if any(name.startswith("head_0.") for name in state):
        return "spade"
    if any(name.startswith("body.0.norm_0.") for name in state):
        return "oasis"
    if "fc_mu.weight" in state:
        raise CheckpointError(
            str(path), "it is a style encoder", "Import its generator (…_G.pth), with this file as --encoder."
        )
    raise CheckpointError(
        str(path),
        f"neither a SPADE nor an OASIS generator; its tensors are {', '.join(list(state)[:3])[:200]}…",
        "A discriminator (…_D.pth) cannot paint: bring the generator, …_G.pth or …_EMA.pth.",
    )


def _shape(path: Path, state: State, name: str, axes: int) -> tuple[int, ...]:
    if name not in state:
        raise CheckpointError(str(path), f"tensor {name!r} is missing", "Export the whole generator again.")
    shape = tuple(state[name].shape)
    if len(shape) != axes or 0 in shape:
        raise CheckpointError(
            str(path), f"tensor {name!r} has shape {list(shape)}, expected {axes} axes", "Export it again."
        )
    return shape


def settle(path: Path, tensors: Tensors, options: ImportOptions) -> Settled:
    """Decide how a file is to be understood.

    Raises:
        CheckpointError: options that the file contradicts, or several readings that it allows, listed.
    """
    _refuse_useless(path, tensors, options)
    preset = PRESETS.get((tensors.family, tensors.channels))
    if preset is not None and not _agrees(preset.reading, options, ignore_upsampling=True):
        preset = None
    readings = [
        reading
        for reading in _readings(tensors, options, preset)
        if _agrees(reading, options) and _fits_grid(tensors, reading, options, preset)
    ]
    if not readings:
        raise _contradiction(path, tensors, options)
    if len(readings) > 1:
        raise _ambiguous(path, tensors, readings)
    return _sized(path, tensors, options, readings[0], preset)


def _refuse_useless(path: Path, tensors: Tensors, options: ImportOptions) -> None:
    if options.size is not None and not 1 <= options.size <= 8192:
        raise CheckpointError(str(path), f"--size {options.size} is outside 1…8192", "Give another.")
    if options.aspect is not None and not 0.05 <= options.aspect <= 20:
        raise CheckpointError(str(path), f"--aspect {options.aspect:g} is outside 0.05…20", "Give another.")
    foreign: dict[str, object] = (
        {"--z-dim": options.z_dim}
        if tensors.family == "spade"
        else {"--instance": options.instance or None, "--upsampling": options.upsampling}
    )
    for name, value in foreign.items():
        if value is not None:
            raise CheckpointError(
                str(path), f"{name} says nothing about {TITLES[tensors.family]} files", "Leave it out."
            )


def _agrees(reading: Reading, options: ImportOptions, *, ignore_upsampling: bool = False) -> bool:
    said = (
        (options.classes, reading.classes),
        (options.dont_care, reading.dont_care),
        (options.instance, reading.instance),
        (options.z_dim, reading.z_dim),
        (None if ignore_upsampling else options.upsampling, reading.upsampling),
    )
    return all(option is None or option == value for option, value in said)


def _readings(tensors: Tensors, options: ImportOptions, preset: Preset | None) -> Iterator[Reading]:
    """Every reading of the channels: labels + don't care + instance edges, or z + labels + don't care."""
    upsamplings = _upsamplings(tensors, options, preset)
    if preset is not None:
        known = preset.reading
        for upsampling in upsamplings:
            yield Reading(known.classes, known.dont_care, known.instance, upsampling, known.z_dim)
    elif tensors.family == "spade":
        for dont_care, instance, upsampling in product((False, True), (False, True), upsamplings):
            classes = tensors.channels - dont_care - instance
            if classes > 0:
                yield Reading(classes, dont_care, instance, upsampling, 0)
    else:
        for dont_care in (False, True):
            for z_dim in _noise_lengths(tensors, options, dont_care):
                classes = tensors.channels - z_dim - dont_care
                if classes > 0 and z_dim >= 0:
                    yield Reading(classes, dont_care, False, "normal", z_dim)


def _upsamplings(tensors: Tensors, options: ImportOptions, preset: Preset | None) -> tuple[Upsampling, ...]:
    if tensors.most:
        return ("most",)
    if tensors.family == "oasis":
        return ("normal",)
    if preset is not None and options.upsampling is None:
        return (preset.reading.upsampling,)
    return tuple(upsampling for upsampling in UPSAMPLINGS if upsampling != "most")


def _noise_lengths(tensors: Tensors, options: ImportOptions, dont_care: bool) -> tuple[int, ...]:
    if options.z_dim is not None:
        return (options.z_dim,)
    if options.classes is not None:
        return (tensors.channels - options.classes - dont_care,)
    return (_PUBLISHED_NOISE, 0)  # as examples: two at least, so that nothing is taken for granted


def _fits_grid(tensors: Tensors, reading: Reading, options: ImportOptions, preset: Preset | None) -> bool:
    """A VAE's start grid has as many cells as the pictures' size and the upsampling make."""
    size, aspect = _picture(reading, options, preset)
    if not tensors.cells or size is None:
        return True
    height, width = _grid(reading, size, aspect)
    return height * width == tensors.cells


def _picture(reading: Reading, options: ImportOptions, preset: Preset | None) -> tuple[int | None, float]:
    """Width and aspect of the training pictures; a preset's only for its own upsampling."""
    known = preset if preset is not None and preset.reading.upsampling == reading.upsampling else None
    size = options.size if options.size is not None else known.size if known else None
    aspect = options.aspect if options.aspect is not None else known.aspect if known else 1.0
    return size, aspect


def _grid(reading: Reading, size: int, aspect: float) -> tuple[int, int]:
    width = size // _STRIDES[reading.upsampling]
    return round(width / aspect), width


def _sized(
    path: Path, tensors: Tensors, options: ImportOptions, reading: Reading, preset: Preset | None
) -> Settled:
    size, aspect = _picture(reading, options, preset)
    if size is None:
        cells = f", {tensors.cells} cells to start from" if tensors.cells else ""
        raise CheckpointError(
            str(path),
            f"the size of its training pictures is not in it ({reading.upsampling} upsampling{cells})",
            "Say how wide they were, such as --size 256; pictures that are no squares need --aspect too.",
        )
    height, width = _grid(reading, size, aspect)
    if not (height and width):
        raise CheckpointError(
            str(path),
            f"pictures {size} pixels wide (width / height {aspect:g}) make no cell of its start grid",
            f"Sides are at least {_STRIDES[reading.upsampling]}: give another --size or --aspect.",
        )
    return Settled(reading, preset, width * _STRIDES[reading.upsampling], (height, width))


def _contradiction(path: Path, tensors: Tensors, options: ImportOptions) -> CheckpointError:
    parts = "labels + don't care + instance edges" if tensors.family == "spade" else "z + labels + don't care"
    trunk = ", five blocks that double" if tensors.family == "oasis" else ""
    trunk = ", a block up_4 (upsampling most)" if tensors.most else trunk
    grid = f", {tensors.cells} cells to start from" if tensors.cells else ""
    given = {
        "--labels": options.classes,
        "--dont-care": options.dont_care,
        "--instance": options.instance,
        "--upsampling": options.upsampling,
        "--z-dim": options.z_dim,
        "--size": options.size,
        "--aspect": options.aspect,
    }
    said = ", ".join(f"{name} {value}" for name, value in given.items() if value is not None)
    return CheckpointError(
        str(path),
        f"it has {tensors.channels} input channels ({parts}){trunk}{grid}, which does not go with "
        f"{said or 'the size of the published pictures (give --size and --aspect)'}",
        "Leave an option out to see the readings that the file allows.",
    )


def _ambiguous(path: Path, tensors: Tensors, readings: list[Reading]) -> CheckpointError:
    listed = "".join(f"\n    {reading.options(tensors.family)}" for reading in readings)
    free = not any(reading.z_dim == 0 for reading in readings) or tensors.family == "spade"
    others = "" if free else "\n  or any other --z-dim, with as many labels fewer or more."
    return CheckpointError(
        str(path),
        f"its {tensors.channels} input channels and its layers can be read in {len(readings)} ways"
        f"{'' if free else ' and more'}",
        f"Say which it is, and how wide its training pictures were (--size):{listed}{others}",
    )
