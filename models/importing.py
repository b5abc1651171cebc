"""Public SPADE and OASIS checkpoints become models of ours: weights in float32, the spec in the header.

A file is data: nothing in it is run, and its claims are held against its tensors (state_files.py). What it
does not say is settled by readings.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.checkpoint import CheckpointError, LoadedModel, check_values, empty_networks, save
from models.labels import Label, LabelError, LabelSet, distinct_color, group_of, load_label_set
from models.readings import TITLES, Family, ImportOptions, Settled, Tensors, look, settle
from models.spec import ModelSpec, SpecError
from models.state_files import State, folded, read_state

LICENCES: Mapping[Family, str] = {"spade": "CC BY-NC-SA 4.0", "oasis": "AGPL-3.0 (derived)"}
_PAPERS: Mapping[Family, str] = {"spade": "SPADE, Park et al. 2019", "oasis": "OASIS, Schönfeld et al. 2021"}
_OTHER = "It is of another model, or options do not fit it; docs/importing.md says what is read."


@dataclass(frozen=True)
class _File:
    """A file's tensors under our names, and what it calls them itself."""

    path: Path
    state: State
    names: Mapping[str, str]

    def called(self, name: str) -> str:
        """The file's own name for a tensor, also for one that it lacks."""
        return self.names.get(name, name)


def import_model(
    path: Path,
    model_id: str,
    options: ImportOptions | None = None,
    *,
    encoder: Path | None = None,
    name: str | None = None,
    licence: str | None = None,
) -> LoadedModel:
    """Read a public checkpoint: latest_net_G.pth (SPADE), best_EMA.pth (OASIS), or such a .safetensors.

    Args:
        path: the generator's file.
        model_id: id of the new model, see `ModelSpec`.
        options: what the file does not say; needed where `readings.PRESETS` does not know it.
        encoder: the file of a SPADE VAE's encoder, latest_net_E.pth.
        name: for people; by default the family and the data set.
        licence: by default that of the original project.

    Raises:
        CheckpointError: a file that is none, is broken or hostile, or can be read in several ways.
    """
    options = options or ImportOptions()
    file = _read(path)
    tensors = look(path, file.state)
    settled = settle(path, tensors, options)
    encoder_file = None if encoder is None else _read_encoder(encoder, tensors)
    try:
        spec = ModelSpec(
            id=model_id,
            name=name or f"{TITLES[tensors.family]} {settled.preset.title if settled.preset else path.stem}",
            architecture=tensors.family,
            labels=_label_set(tensors.family, settled, options),
            native_size=settled.size,
            stride=settled.stride,
            style_dim=settled.reading.z_dim or tensors.style_dim,
            licence=licence or LICENCES[tensors.family],
            provenance=_provenance(tensors, settled, path, encoder),
            options=_options(tensors, settled, encoder_file),
        )
        networks = empty_networks(spec)
    except (SpecError, LabelError) as error:
        raise CheckpointError(str(path), f"it makes no model of ours: {error}", _OTHER) from error
    for network, source in zip(networks, (file, encoder_file), strict=True):
        if network is not None and source is not None:
            _fill(network, source)
    return LoadedModel(spec, *networks)


def write_model(model: LoadedModel, output: Path, *, replace: bool = False) -> None:
    """Write an imported model, its weights as exact as they were; the file appears whole or not at all.

    Raises:
        CheckpointError: another ending than .safetensors, no such folder, or a file that stands there.
    """
    check_output(output, replace=replace)
    save(output, model.spec, model.generator, model.encoder, convolutions=torch.float32)


def check_output(output: Path, *, replace: bool) -> None:
    """What `write_model` asks of a place, to be asked before a long import. Raises CheckpointError."""
    if output.suffix != ".safetensors":
        raise CheckpointError(str(output), "models are .safetensors files", "Give it that ending.")
    if not output.parent.is_dir():
        raise CheckpointError(str(output), "there is no such folder", "Make it first.")
    if output.exists() and not (replace and output.is_file()):
        raise CheckpointError(str(output), "it exists already", "Give another name, or --force.")


# -- Files


def _read(path: Path) -> _File:
    raw = read_state(path)
    state = folded(path, raw)
    names = {name: f"{name}_orig" for name in state.keys() - raw.keys()}
    if any(".first_norm." in name for name in state):  # OASIS's name for the norm without parameters
        names |= {_ours(name): name for name in state if _ours(name) != name}
        state = {_ours(name): value for name, value in state.items()}
    return _File(path, state, names)


def _ours(name: str) -> str:
    return name.replace(".first_norm.", ".param_free_norm.")


def _read_encoder(path: Path, tensors: Tensors) -> _File:
    if not tensors.style_dim:
        raise CheckpointError(
            str(path), "the generator has no VAE, so it takes no style from photos", "Leave --encoder out."
        )
    file = _read(path)
    if "fc_mu.weight" not in file.state or "layer1.0.weight" not in file.state:
        raise CheckpointError(
            str(path),
            f"not a SPADE encoder; its tensors are {', '.join(list(file.state)[:3])[:200]}…",
            "Bring the generator's own encoder, …_E.pth.",
        )
    return file


def _fill(network: nn.Module, file: _File) -> None:
    """Give a network without values those of a file, float32, ready to paint. Raises CheckpointError."""
    expected = network.state_dict()
    state = {name: torch.zeros((), dtype=torch.int64) for name in expected if _is_counter(name)} | file.state
    differ = sorted(expected.keys() ^ state.keys())
    if differ:
        word = "missing" if differ[0] in expected else "unexpected"
        more = f" ({len(differ) - 1} more differ)" if len(differ) > 1 else ""
        raise CheckpointError(str(file.path), f"tensor {file.called(differ[0])!r} is {word}{more}", _OTHER)
    values = {name: _value(file, name, state[name], like) for name, like in expected.items()}
    network.load_state_dict(values, assign=True)
    network.eval().requires_grad_(False)


def _is_counter(name: str) -> bool:
    return name.endswith(".num_batches_tracked")  # says nothing at inference; old files lack it


def _value(file: _File, name: str, value: Tensor, like: Tensor) -> Tensor:
    called = f"tensor {file.called(name)!r}"
    if value.shape != like.shape:
        raise CheckpointError(
            str(file.path), f"{called} has shape {list(value.shape)}, expected {list(like.shape)}", _OTHER
        )
    if value.dtype.is_floating_point != like.dtype.is_floating_point or value.dtype.is_complex:
        raise CheckpointError(str(file.path), f"{called} is {value.dtype}, expected {like.dtype}", _OTHER)
    value = value.to(like.dtype).contiguous()
    check_values(file.path, name, value, file.called(name))
    return value


# -- The spec


def _options(tensors: Tensors, settled: Settled, encoder: _File | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "width": tensors.width,
        "hidden": tensors.hidden,
        "kernel": tensors.kernel,
        "statistics": tensors.statistics,
    }
    rows, columns = settled.start_grid
    if rows != columns and not tensors.style_dim:
        options["native_grid"] = [rows, columns]  # of training pictures that were no squares
    if tensors.family == "oasis":
        return options
    options |= {"upsampling": settled.reading.upsampling, "instance_edges": settled.reading.instance}
    if tensors.style_dim:
        options["start_grid"] = list(settled.start_grid)
    if encoder is not None:
        options["encoder_width"] = encoder.state["layer1.0.weight"].shape[0]
    return options


def _provenance(tensors: Tensors, settled: Settled, path: Path, encoder: Path | None) -> dict[str, Any]:
    height, width = (settled.stride * cells for cells in settled.start_grid)
    provenance = {
        "imported from": path.name,
        "sha256": _sha256(path),
        "architecture": _PAPERS[tensors.family],
        "data": settled.preset.title if settled.preset else "unknown",
        "training pictures": f"{width}×{height}",
        "read as": settled.reading.options(tensors.family),
    }
    if encoder is not None:
        provenance |= {"encoder from": encoder.name, "encoder sha256": _sha256(encoder)}
    return provenance


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _label_set(family: Family, settled: Settled, options: ImportOptions) -> LabelSet:
    """The model's labels, where a label's id is its one-hot channel: "don't care" last for SPADE, first for
    OASIS."""
    count = settled.reading.classes
    if isinstance(options.labels, LabelSet):
        base = options.labels
    elif settled.preset is not None:
        base = load_label_set(settled.preset.labels)
    else:
        labels = (Label(i, f"label {i}", distinct_color(i), group_of("")) for i in range(count))
        base = LabelSet(f"{count} labels", tuple(labels))
    if sorted(base.by_id) != list(range(count)):
        raise LabelError(f"label set {base.name!r} should have the ids 0…{count - 1}, all of them")
    if not settled.reading.dont_care:
        return base
    own, shift = (count, 0) if family == "spade" else (0, 1)
    care = Label(own, "don't care" if "unlabeled" in base.by_name else "unlabeled", (0, 0, 0), "other")
    labels = [Label(label.id + shift, label.name, label.color, label.group) for label in base.labels]
    labels.insert(own, care)
    return LabelSet(f"{base.name} and {care.name}", tuple(labels), care.id)
