"""Files of tensors that others wrote: read without running anything in them, and without believing their
claims."""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.checkpoint import SPEC_KEY, CheckpointError, foreign_kind, kind_of_head
from models.pickles import NoStateDict, check_old_format, check_pickle

State = dict[str, Tensor]
_PREFIX = "module."  # data-parallel training leaves it before every key
_SPECTRAL = ("_orig", "_u", "_v")


def read_state(path: Path) -> State:
    """A state dict: tensors by name, on the CPU, as the file has them, without a `module.` prefix.

    Reads .safetensors, and torch's files of both formats; their pickles are looked through first
    (pickles.py), then read with `weights_only=True`.

    Raises:
        CheckpointError: no such file, cut short, with code, or anything but named, dense tensors; or tensors
            larger than the file that claims to hold them.
    """
    if not path.is_file():
        raise CheckpointError(str(path), "there is no such file", "Check the path.")
    raw = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    state = _checked(path, raw)
    while state and all(name.startswith(_PREFIX) for name in state):
        state = {name.removeprefix(_PREFIX): value for name, value in state.items()}
    return state


def _read_safetensors(path: Path) -> object:
    try:
        with safe_open(path, framework="pt") as file:
            if SPEC_KEY in (file.metadata() or {}):
                raise CheckpointError(
                    str(path),
                    "it is a Scenebrush model already",
                    "Use it as it is: scenebrush serve --models-dir <its folder>",
                )
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 – not a mapping
    except (SafetensorError, OSError) as error:
        if foreign := foreign_kind(path):
            raise _unreadable(
                path, f"{foreign}, no safetensors file", "Give it the ending .pth, and import that."
            ) from error
        raise _unreadable(path, f"not a readable safetensors file ({error})") from error


def _read_torch(path: Path) -> object:
    try:
        _check_pickles(path)
    except NoStateDict as error:
        raise CheckpointError(
            str(path),
            f"it refers to {error.found[:80]}, which no state dict needs; nothing of it was run",
            "Bring a state dict: torch.save(network.state_dict(), …).",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file may be odd in ways that torch warns of before it refuses
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler meets hostile bytes: whatever it raises means the same
        raise _unreadable(path, f"torch cannot read it as tensors{_reason(error)}") from error


def _reason(error: Exception) -> str:
    """torch's reason in brackets, without its advice to load the file unsafely."""
    text = str(error)
    own = re.search(r"WeightsUnpickler error: (.+)", text)
    if own is None and "weights_only" in text:
        return ""
    return f" ({own[1][:200] if own else _first_line(error)})"


def _check_pickles(path: Path) -> None:
    """Raises NoStateDict, or CheckpointError for files that torch did not write."""
    with path.open("rb") as file:
        kind = kind_of_head(file.read(8))
        file.seek(0)
        if kind == "zip":
            _refuse_inflation(path)
            _check_archive(path)
            return
        if tarfile.is_tarfile(file):
            raise _unreadable(path, "an archive of a kind that torch no longer reads", _UNPACK)
        file.seek(0)
        try:
            check_old_format(file)
        except NoStateDict:
            raise
        except Exception as error:  # pickletools meets hostile bytes
            if kind == "pickle":
                raise _unreadable(
                    path, f"a pickle that torch cannot read as tensors ({_first_line(error)})", _WRITTEN
                ) from error
            raise _unreadable(path, "torch cannot read it as tensors") from error


def _check_archive(path: Path) -> None:
    """The very record that torch will unpickle, read by torch's own reader."""
    try:
        reader = cast("Any", torch)._C.PyTorchFileReader(str(path))  # noqa: SLF001
        data: bytes = reader.get_record("data.pkl")
    except (RuntimeError, UnicodeDecodeError) as error:  # the reader's own words may quote a name of the file
        raise _unreadable(
            path, f"a zip archive that torch cannot read as tensors ({_first_line(error)})", _UNPACK
        ) from error
    try:
        check_pickle(data)
    except NoStateDict:
        raise
    except Exception as error:
        raise _unreadable(path, f"torch cannot read it as tensors ({_first_line(error)})") from error


def _refuse_inflation(path: Path) -> None:
    """torch stores without compression; a compressed archive would unpack to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            inflated = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _unreadable(path, f"not a readable archive ({_first_line(error)})") from error
    if inflated > path.stat().st_size:
        raise CheckpointError(
            str(path), f"a compressed archive of {inflated:,} bytes", "Bring the file as torch.save wrote it."
        )


def _checked(path: Path, raw: object) -> State:
    if not isinstance(raw, Mapping):
        raise CheckpointError(
            str(path),
            f"it holds a {type(raw).__name__}, not a dict of tensors",
            "Bring a state dict: torch.save(network.state_dict(), …).",
        )
    state: State = {}
    for name, value in cast("Mapping[Any, Any]", raw).items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            called = repr(name[:80]) if isinstance(name, str) else f"under a {type(name).__name__}"
            raise CheckpointError(
                str(path),
                f"entry {called} is of type {type(value).__name__}, not a named tensor",
                "Bring the generator's bare state dict, not a training state around it.",
            )
        state[name] = _dense(path, name, value)
    held = sum(value.numel() * value.element_size() for value in state.values())
    if held > path.stat().st_size:
        raise CheckpointError(
            str(path), f"its tensors claim {held:,} bytes, more than the file has", "Export it again."
        )
    return state


def _dense(path: Path, name: str, value: Tensor) -> Tensor:
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise CheckpointError(
            str(path), f"tensor {name!r} is sparse, quantised or without values", "Export plain tensors."
        )
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise CheckpointError(
            str(path),
            f"tensor {name!r} claims {tuple(value.shape)}, more than the file has",
            "Export it again.",
        )
    return value.detach()


_AGAIN = "It may be cut short or of another kind: fetch or export it again."
_UNPACK = (
    "If checkpoints are packed in it, unpack it and bring the generator's own file (…_G.pth, …_EMA.pth)."
)
_WRITTEN = "Bring a state dict as torch.save(network.state_dict(), …) writes it."


def _unreadable(path: Path, why: str, next: str = _AGAIN) -> CheckpointError:
    return CheckpointError(str(path), why, next)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200] or type(error).__name__


def folded(path: Path, state: State) -> State:
    """Spectral norm (Miyato et al. 2018) folded away: weight = orig / (uᵀ · orig · v), with u and v as stored
    and orig as a matrix of one row per output channel. Other tensors come through as they are.

    Raises:
        CheckpointError: u or v missing or of the wrong size, a norm that is zero or not finite, or a weight
            that is there twice.
    """
    result: State = {}
    for name, value in state.items():
        layer, spectral, part = name.rpartition(".weight_")
        if spectral and f"_{part}" in _SPECTRAL and f"{layer}.weight_orig" in state:
            if f"{layer}.weight" in state:
                raise CheckpointError(
                    str(path),
                    f"it holds both {f'{layer}.weight'!r} and {f'{layer}.weight_orig'!r}",
                    "Export the state dict again: with spectral norm a layer has weight_orig alone.",
                )
            if part == "orig":
                result[f"{layer}.weight"] = _over_its_norm(path, state, f"{layer}.weight", value)
        else:
            result[name] = value
    return result


def _over_its_norm(path: Path, state: State, name: str, weight: Tensor) -> Tensor:
    matrix = weight.float().flatten(1) if weight.ndim >= 2 else weight.float().view(-1, 1)
    vectors: list[Tensor] = []
    for part, size in zip(("_u", "_v"), matrix.shape, strict=True):
        vector = state.get(name + part)
        found = "missing" if vector is None else f"of shape {list(vector.shape)}"
        if vector is None or vector.shape != (size,):
            raise CheckpointError(
                str(path),
                f"tensor {name + part!r} is {found}, expected [{size}]",
                "Spectral norm needs its u and v: export the whole state dict.",
            )
        vectors.append(vector.float())
    norm = vectors[0] @ (matrix @ vectors[1])
    if not torch.isfinite(norm) or norm == 0:
        raise CheckpointError(
            str(path), f"the spectral norm of {name!r} is {float(norm)}", "Use an earlier export."
        )
    return weight.float() / norm
