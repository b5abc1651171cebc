"""One .safetensors file is one model: its tensors, and its spec in the header.

A painter holds `generator.*` and, most of them, `encoder.*`; a segmenter, which reads photos, `segmenter.*`.

Nothing here runs code from a file, and a file's claims are held against its tensors before memory is taken.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.encoder import Encoder, SpadeEncoder, StyleEncoder
from models.generator import Generator, StyledSpadeGenerator
from models.labels import LabelSet
from models.pix2pix import DEEPEST, SHALLOWEST, Pix2PixGenerator
from models.published import STATISTICS, UPSAMPLINGS, OasisGenerator, SpadeGenerator
from models.segmenter import FCN, STAGES, Segmenter, UNet
from models.spec import (
    ModelSpec,
    SpecError,
    bool_option,
    choice_option,
    int_option,
    ints_option,
)

SPEC_KEY = "scenebrush.spec"
_DTYPES = {"F16", "BF16", "F32", "I64"}
_WIDEST = 1024  # of a published generator's last block; its first one is 16 times as wide


class CheckpointError(ValueError):
    """A file that is not a model we can use. Says what was found, why it will not do, and what to do next."""

    def __init__(self, what: str, why: str, next: str) -> None:
        super().__init__(f"{what}: {why}. {next}")
        self.what, self.why, self.next = what, why, next


@dataclass(frozen=True)
class LoadedModel:
    """Networks in evaluation mode, float32, on the CPU, and their spec. Not every model has an encoder."""

    spec: ModelSpec
    generator: Generator
    encoder: Encoder | None


@dataclass(frozen=True)
class LoadedSegmenter:
    """A segmenter in evaluation mode, float32, on the CPU, and its spec."""

    spec: ModelSpec
    network: Segmenter


Networks = tuple[Generator, Encoder | None]


def styled_spade(spec: ModelSpec) -> Networks:
    """The built-in family from its options."""
    options = spec.options
    if spec.style_dim < 1:
        raise SpecError("entry 'style_dim' is 0: this architecture needs a style code")
    widths = ints_option(options, "widths", 1, 4096, longest=9)
    generator = StyledSpadeGenerator(
        spec.labels.channels,
        widths,
        int_option(options, "hidden", 1, 1024),
        spec.style_dim,
        int_option(options, "noise_channels", 1, 15),
    )
    _check_stride(spec, generator)
    return generator, StyleEncoder(ints_option(options, "encoder_widths", 1, 4096, longest=7), spec.style_dim)


def spade(spec: ModelSpec) -> Networks:
    """A published SPADE model from its options. `start_grid` and `encoder_width` belong to models with a VAE;
    the encoder is a file of its own there, which not everyone has."""
    options = spec.options
    if spec.style_dim and spec.largest is None:
        raise SpecError("option 'start_grid' is missing: a VAE's style code starts on a fixed grid")
    width = int_option(options, "width", 1, _WIDEST)
    upsampling = choice_option(options, "upsampling", UPSAMPLINGS)
    if upsampling == "most" and width % 2:
        raise SpecError(f"option 'width' is {width}, but upsampling 'most' halves it")
    generator = SpadeGenerator(
        spec.labels.channels,
        width,
        upsampling=upsampling,
        instance_edges=bool_option(options, "instance_edges"),
        style_dim=spec.style_dim,
        start_grid=_cells(spec),
        statistics=choice_option(options, "statistics", STATISTICS),
        hidden=int_option(options, "hidden", 1, 1024),
        kernel=_odd_option(options, "kernel", 7),
    )
    _check_stride(spec, generator)
    if options.get("encoder_width") is None or not spec.style_dim:
        return generator, None
    return generator, SpadeEncoder(int_option(options, "encoder_width", 1, _WIDEST), spec.style_dim)


def oasis(spec: ModelSpec) -> Networks:
    """A published OASIS model from its options; spec.style_dim is the length of its z."""
    options = spec.options
    generator = OasisGenerator(
        spec.labels.channels,
        int_option(options, "width", 1, _WIDEST),
        style_dim=spec.style_dim,
        statistics=choice_option(options, "statistics", STATISTICS),
        hidden=int_option(options, "hidden", 1, 1024),
        kernel=_odd_option(options, "kernel", 7),
    )
    _check_stride(spec, generator)
    return generator, None


def pix2pix(spec: ModelSpec) -> Networks:
    """A pix2pix baseline from its options: a map in, a picture out, and nothing to choose."""
    if spec.style_dim:
        raise SpecError(f"entry 'style_dim' is {spec.style_dim}: this architecture has no style code")
    generator = Pix2PixGenerator(
        spec.labels.channels,
        int_option(spec.options, "width", 1, _WIDEST),
        int_option(spec.options, "depth", SHALLOWEST, DEEPEST),
    )
    _check_stride(spec, generator)
    return generator, None


def unet_segmenter(spec: ModelSpec) -> Segmenter:
    """A U-Net segmenter from its options."""
    return UNet(spec.labels.channels, ints_option(spec.options, "widths", 1, 4096, longest=9))


def fcn_segmenter(spec: ModelSpec) -> Segmenter:
    """An FCN-8s segmenter from its options."""
    widths = ints_option(spec.options, "widths", 1, 4096, longest=STAGES)
    layers = ints_option(spec.options, "layers", 1, 16, longest=STAGES)
    if len(widths) != STAGES or len(layers) != STAGES:
        raise SpecError(
            f"options 'widths' and 'layers' hold {len(widths)} and {len(layers)}, expected {STAGES}"
        )
    return FCN(spec.labels.channels, widths, layers, int_option(spec.options, "top", 1, 4096))


def _cells(spec: ModelSpec) -> tuple[int, int] | None:
    if spec.largest is None:
        return None
    width, height = spec.largest
    return height // spec.stride, width // spec.stride


def _odd_option(options: Mapping[str, Any], name: str, high: int) -> int:
    value = int_option(options, name, 1, high)
    if value % 2 == 0:
        raise SpecError(f"option {name!r} is {value}, expected an odd number")
    return value


def _check_stride(spec: ModelSpec, network: Generator | Segmenter) -> None:
    if network.stride != spec.stride:
        kind = "segmenter" if isinstance(network, UNet | FCN) else "generator"
        raise SpecError(f"entry 'stride' is {spec.stride}, but the {kind}'s options make it {network.stride}")


ARCHITECTURES: Mapping[str, Callable[[ModelSpec], Networks]] = {
    "styled-spade": styled_spade,
    "spade": spade,
    "oasis": oasis,
    "pix2pix": pix2pix,
}
SEGMENTERS: Mapping[str, Callable[[ModelSpec], Segmenter]] = {
    "unet-segmenter": unet_segmenter,
    "fcn-segmenter": fcn_segmenter,
}


def read_spec(path: Path) -> ModelSpec:
    """A file's spec, from its header alone.

    Raises:
        CheckpointError: no such file, not safetensors, truncated, or without a spec of ours.
    """
    return _read_header(path)[0]


def load(path: Path) -> LoadedModel:
    """Read a model that paints.

    Raises:
        CheckpointError: as `read_spec`; a segmenter; or keys, shapes, types or values that do not fit the
            spec, named.
    """
    spec, shapes = _read_header(path)
    if spec.architecture in SEGMENTERS:
        raise CheckpointError(
            str(path),
            f"a segmenter ({spec.architecture}), which reads photos and paints none",
            "Give it where a segmenter is asked for; to paint, name a model of another architecture.",
        )
    try:
        generator, encoder = empty_networks(spec)
    except SpecError as error:
        raise _bad_spec(path, error) from error
    _fill(path, _together(generator, encoder), shapes)
    return LoadedModel(spec, generator, encoder)


def load_segmenter(path: Path) -> LoadedSegmenter:
    """Read a segmenter.

    Raises:
        CheckpointError: as `read_spec`; a model that paints; or keys, shapes, types or values that do not fit
            the spec, named.
    """
    spec, shapes = _read_header(path)
    if spec.architecture not in SEGMENTERS:
        raise CheckpointError(
            str(path),
            f"a model that paints ({spec.architecture}), no segmenter",
            f"Name a segmenter's file: {' or '.join(SEGMENTERS)}, as the recipes 'segment' write them.",
        )
    try:
        network = empty_segmenter(spec)
    except SpecError as error:
        raise _bad_spec(path, error) from error
    _fill(path, nn.ModuleDict({"segmenter": network}), shapes)
    return LoadedSegmenter(spec, network)


def _fill(path: Path, networks: nn.ModuleDict, shapes: Mapping[str, list[int]]) -> None:
    """Give empty networks the file's values, in evaluation mode; raises CheckpointError."""
    _compare(path, {name: list(value.shape) for name, value in networks.state_dict().items()}, shapes)
    networks.load_state_dict(_read_tensors(path, networks.state_dict()), assign=True)
    networks.eval().requires_grad_(False)


def empty_networks(spec: ModelSpec) -> Networks:
    """The networks that a spec describes, without values: on the meta device, so that no claim takes memory.

    Raises:
        SpecError: options that describe no network.
    """
    with torch.device("meta"), _Unfilled():
        return ARCHITECTURES[spec.architecture](spec)


def empty_segmenter(spec: ModelSpec) -> Segmenter:
    """The segmenter that a spec describes, without values: on the meta device, as `empty_networks`.

    Raises:
        SpecError: options that describe no network.
    """
    if spec.style_dim:
        raise SpecError(f"entry 'style_dim' is {spec.style_dim}: a segmenter has no style code")
    with torch.device("meta"), _Unfilled():
        network = SEGMENTERS[spec.architecture](spec)
    _check_stride(spec, network)
    return network


def save(
    path: Path,
    spec: ModelSpec,
    generator: nn.Module,
    encoder: nn.Module | None,
    convolutions: torch.dtype = torch.float16,
) -> None:
    """Write a model: convolution weights in the type given, everything else as it is; the file appears whole
    or not at all.

    Raises:
        OSError: it could not be written; a full disk, say.
    """
    _write(path, spec, _together(generator, encoder), convolutions)


def save_segmenter(
    path: Path, spec: ModelSpec, network: Segmenter, convolutions: torch.dtype = torch.float16
) -> None:
    """Write a segmenter, as `save` does. With float32 it comes back exactly as it was."""
    _write(path, spec, nn.ModuleDict({"segmenter": network}), convolutions)


def segmenter_spec(
    network: Segmenter,
    labels: LabelSet,
    *,
    model_id: str,
    name: str,
    native_size: int,
    licence: str,
    provenance: Mapping[str, Any],
) -> ModelSpec:
    """The spec of a segmenter that has been built: its architecture and options are read off the network."""
    return ModelSpec(
        id=model_id,
        name=name,
        architecture="unet-segmenter" if isinstance(network, UNet) else "fcn-segmenter",
        labels=labels,
        native_size=native_size,
        stride=network.stride,
        style_dim=0,
        licence=licence,
        provenance=provenance,
        options=network.options,
    )


def _write(path: Path, spec: ModelSpec, networks: nn.ModuleDict, convolutions: torch.dtype) -> None:
    convolved = {
        f"{name}.weight"
        for name, module in networks.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }
    tensors = {
        name: (value.to(convolutions) if name in convolved else value).detach().cpu().contiguous()
        for name, value in networks.state_dict().items()
    }
    handle, name = tempfile.mkstemp(".partial", f"{path.stem}.", path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        save_file(tensors, partial, metadata={SPEC_KEY: spec.to_json()})
        partial.chmod(0o644)  # safetensors writes 0600; a model is for every user of the machine
        partial.replace(path)
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def parameter_count(path: Path) -> int:
    """Number of values in a file's tensors (buffers included), from the header alone; raises
    CheckpointError."""
    return sum(torch.Size(shape).numel() for shape in _read_header(path)[1].values())


def _together(generator: nn.Module, encoder: nn.Module | None) -> nn.ModuleDict:
    return nn.ModuleDict({"generator": generator} | ({"encoder": encoder} if encoder is not None else {}))


class _Unfilled(TorchFunctionMode):
    """Inside, tensors are not filled with random values: on the meta device, torch would import its compiler,
    a thousand modules, to do so."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ in {"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_"}:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _read_header(path: Path) -> tuple[ModelSpec, dict[str, list[int]]]:
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(SPEC_KEY)
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 – not a mapping
            shapes = {name: list(part.get_shape()) for name, part in slices.items()}
            strange = sorted({part.get_dtype() for part in slices.values()} - _DTYPES)
    except FileNotFoundError as error:
        raise CheckpointError(str(path), "there is no such file", "Check the path.") from error
    except (SafetensorError, OSError) as error:
        if foreign := foreign_kind(path):
            raise CheckpointError(
                str(path),
                f"{foreign}, no safetensors file",
                "Import it: scenebrush import; see docs/importing.md.",
            ) from error
        raise CheckpointError(
            str(path),
            f"not a readable safetensors file ({error})",
            "It may be cut short: fetch or export it again.",
        ) from error
    if text is None:
        raise CheckpointError(
            str(path),
            "a safetensors file without a Scenebrush spec",
            "Import it first; see docs/importing.md.",
        )
    if strange:
        raise CheckpointError(str(path), f"holds tensors of type {strange}", f"Use {sorted(_DTYPES)}.")
    try:
        spec = ModelSpec.from_json(text)
        known = sorted([*ARCHITECTURES, *SEGMENTERS])
        if spec.architecture not in known:
            raise SpecError(f"architecture {spec.architecture[:60]!r}: this version knows {known}")
    except SpecError as error:
        raise _bad_spec(path, error) from error
    return spec, shapes


def _bad_spec(path: Path, error: SpecError) -> CheckpointError:
    return CheckpointError(
        str(path), f"its spec is wrong: {error}", "Export the model again with this version."
    )


def _compare(path: Path, expected: Mapping[str, list[int]], found: Mapping[str, list[int]]) -> None:
    again = "The spec in the header and the tensors belong to different models: export it again."
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        key, word = (missing[0], "missing") if missing else (extra[0], "unexpected")
        count = len(missing) + len(extra) - 1
        raise CheckpointError(
            str(path), f"tensor {key!r} is {word}" + (f" ({count} more differ)" if count else ""), again
        )
    for name, shape in expected.items():
        if found[name] != shape:
            raise CheckpointError(
                str(path), f"tensor {name!r} has shape {found[name]}, expected {shape}", again
            )


def _read_tensors(path: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    with safe_open(path, framework="pt") as file:
        for name, wanted in like.items():
            value: Tensor = file.get_tensor(name)
            if value.dtype.is_floating_point != wanted.dtype.is_floating_point:
                raise CheckpointError(
                    str(path), f"tensor {name!r} is {value.dtype}", f"It should be {wanted.dtype}."
                )
            check_values(path, name, value)
            tensors[name] = value.to(wanted.dtype)
    return tensors


def check_values(path: Path, name: str, value: Tensor, called: str | None = None) -> None:
    """Raises CheckpointError if a tensor holds what none may: NaN, infinity, a variance below zero.

    `called` is the file's own name for it.
    """
    if not torch.isfinite(value).all():
        held = "NaN or infinity"
    elif name.endswith(".running_var") and (value < 0).any():
        held = "negative values"
    else:
        return
    raise CheckpointError(str(path), f"tensor {(called or name)!r} holds {held}", "Use an earlier export.")


def kind_of_head(head: bytes) -> str:
    """What a file's first bytes say that it is: "zip", "pickle" or ""."""
    if head.startswith(b"PK\x03\x04"):
        return "zip"
    return "pickle" if head[:1] == b"\x80" and 1 < int.from_bytes(head[1:2], "big") < 6 else ""


def foreign_kind(path: Path) -> str | None:
    """What a file is that should be a safetensors file, in words, or None if that cannot be told."""
    try:
        with path.open("rb") as file:
            kind = kind_of_head(file.read(8))
    except OSError:
        return None
    return {"zip": "a zip archive, as torch writes them", "pickle": "a pickle, as torch wrote them"}.get(kind)
