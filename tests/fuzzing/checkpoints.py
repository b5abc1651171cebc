"""Model files: ours, public ones that are imported, and label sets.

An input is a byte that names the reader, and the file. What is accepted must be whole: a spec that comes back
as itself, and tensors that hold numbers alone. Nothing but the documented errors may be raised, and nothing
of a file may run or take more memory than the file has.
"""

from __future__ import annotations

import atexit
import io
import json
import pickletools
import random
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save

from models.checkpoint import SPEC_KEY, CheckpointError, load, load_segmenter, parameter_count, read_spec
from models.importing import import_model
from models.labels import BUILTIN_SETS, LabelError, LabelSet, load_label_set, read_label_set
from models.readings import ImportOptions
from models.segmenter import UNet
from models.spec import ModelSpec, SpecError
from models.state_files import read_state
from tests import tiny
from tests.fuzzing.harness import ACCEPTED, Target
from tests.fuzzing.mutation import spoilt
from tests.public_checkpoints import State, encoder_state, oasis_state, spade_state
from tests.server.fuzz import mutated

OPTIONS = ImportOptions(labels=3, dont_care=False, instance=False, upsampling="normal", size=64)
OASIS = ImportOptions(labels=3, dont_care=False, z_dim=2, size=64)
_TINY = {"ngf": 1, "hidden": 2, "label_nc": 3, "dont_care": False, "instance": False}


# -- Judging


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="scenebrush-fuzzing-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def written(data: bytes, name: str) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _model(data: bytes) -> None:
    path = written(data, "model.safetensors")
    spec = read_spec(path)
    assert ModelSpec.from_json(spec.to_json()).to_json() == spec.to_json()
    assert parameter_count(path) * 2 <= len(data) * 8
    model = load(path)
    _check_values(model.generator)
    if model.encoder is not None:
        _check_values(model.encoder)


def _segmenter(data: bytes) -> None:
    _check_values(load_segmenter(written(data, "segmenter.safetensors")).network)


def _spec(data: bytes) -> None:
    spec = ModelSpec.from_json(data.decode("utf-8", "surrogateescape"))
    assert ModelSpec.from_json(spec.to_json()).to_json() == spec.to_json()
    assert spec.native[0] > 0


def _spade(data: bytes) -> None:
    _check_values(import_model(written(data, "latest_net_G.pth"), "model", OPTIONS).generator)


def _oasis(data: bytes) -> None:
    _check_values(import_model(written(data, "best_EMA.pth"), "model", OASIS).generator)


def _state(data: bytes) -> None:
    state = read_state(written(data, "latest_net_E.pth"))
    assert sum(value.numel() * value.element_size() for value in state.values()) <= len(data)


def _state_safetensors(data: bytes) -> None:
    state = read_state(written(data, "state.safetensors"))
    assert all(isinstance(name, str) for name in state)


def _labels_json(data: bytes) -> None:
    _check_labels(read_label_set(written(data, "labels.json")))


def _labels_toml(data: bytes) -> None:
    _check_labels(read_label_set(written(data, "labels.toml")))


def _check_labels(labels: LabelSet) -> None:
    again = LabelSet.from_json(json.loads(json.dumps(labels.to_json())))
    assert again == labels
    assert again.hash == labels.hash
    assert len(labels.palette()) == 768


def _check_values(network: torch.nn.Module) -> None:
    for name, value in network.state_dict().items():
        assert value.device.type == "cpu", name
        assert torch.isfinite(value).all(), name


def _checkpoint_refusal(error: CheckpointError) -> str:
    """The kind of a refusal, which says what, why and what next."""
    assert error.what
    assert error.why
    assert error.next.strip()
    return "checkpoint"


READERS: tuple[Callable[[bytes], None], ...] = (
    _model, _segmenter, _spec, _spade, _oasis, _state, _state_safetensors, _labels_json, _labels_toml
)  # fmt: skip


def judge(data: bytes) -> str:
    """Let the reader that the input names read it."""
    if not data:
        return "empty"
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except CheckpointError as error:
        return _checkpoint_refusal(error)
    except SpecError:
        return "spec"
    except LabelError:
        return "labels"
    return ACCEPTED


# -- Making


def make(rng: random.Random) -> bytes:
    """A file for one of the readers: as it should be, or with a fault where it matters."""
    reader = rng.choice([_model, _model, *READERS])
    file = _FILES[reader](rng)
    if rng.random() < 0.05:
        reader = rng.choice(READERS)
    return bytes([READERS.index(reader)]) + (mutated(rng, file) if rng.random() < 0.3 else file)


def _model_file(rng: random.Random) -> bytes:
    return _other_header(rng, _ours())


def _segmenter_file(rng: random.Random) -> bytes:
    return _other_header(rng, _our_segmenter())


@cache
def _ours() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return tiny.write_tiny_model(Path(folder)).read_bytes()


@cache
def _our_segmenter() -> bytes:
    from models.checkpoint import save_segmenter, segmenter_spec  # noqa: PLC0415

    labels = load_label_set("landscape17")
    network = UNet(labels.channels, [2, 3])
    spec = segmenter_spec(
        network, labels, model_id="eye", name="Eye", native_size=32, licence="MIT", provenance={}
    )
    with tempfile.TemporaryDirectory() as folder:
        save_segmenter(Path(folder) / "eye.safetensors", spec, network)
        return (Path(folder) / "eye.safetensors").read_bytes()


def _other_header(rng: random.Random, file: bytes) -> bytes:
    """The same tensors under a header that says something else, now and then of the right length."""
    length = int.from_bytes(file[:8], "little")
    header, tensors = json.loads(file[8 : 8 + length]), file[8 + length :]
    match rng.randrange(5):
        case 0 | 1 | 2:
            spec = spoilt(rng, json.loads(header["__metadata__"][SPEC_KEY]), rng.choice([0, 1, 1, 2, 3]))
            header["__metadata__"][SPEC_KEY] = json.dumps(spec)
        case 3:
            header = spoilt(rng, header, rng.choice([1, 1, 3]))
        case _:
            tensors = _other_values(rng, tensors)
    said = json.dumps(header).encode()
    said += b" " * (-len(said) % 8)
    claimed = len(said) if rng.random() < 0.97 else rng.choice([0, 1, 2**31, 2**63, len(said) + 8])
    return struct.pack("<Q", claimed) + said + tensors


def _other_values(rng: random.Random, tensors: bytes) -> bytes:
    changed = bytearray(tensors)
    at = rng.randrange(max(1, len(changed) - 4))
    changed[at : at + 4] = rng.choice(
        [b"\xff\xff\xff\xff", b"\0\0\x80\x7f", b"\0\0\xc0\xff", b"\0\x7c\0\x7c"]
    )
    return bytes(changed[: len(tensors)])


def _spec_file(rng: random.Random) -> bytes:
    spec = spoilt(rng, json.loads(tiny.tiny_spec().to_json()), rng.choice([0, 1, 2, 4]))
    text = json.dumps(spec, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return rng.choice([text, text, text, b"[" * rng.randrange(9000), b'{"a":' * rng.randrange(5000)])


@cache
def _states() -> dict[str, State]:
    spade, oasis = spade_state(**_TINY), oasis_state(ngf=1, hidden=2, semantic_nc=3, z_dim=2)
    return {"spade": spade, "oasis": oasis, "encoder": encoder_state(nef=1, z_dim=2)}


@cache
def _torch_file(kind: str, legacy: bool) -> bytes:
    out = io.BytesIO()
    torch.save(_states()[kind], out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def _public_file(kind: str, rng: random.Random) -> bytes:
    match rng.randrange(6):
        case 0:
            return _torch_file(kind, rng.random() < 0.5)
        case 1 | 2:
            return _other_zip(rng, _torch_file(kind, legacy=False))
        case 3:
            return _spoilt_pickle(rng, _torch_file(kind, legacy=True), 4000)
        case _:
            return _other_state(rng, _states()[kind])


def _other_zip(rng: random.Random, file: bytes) -> bytes:
    """The archive with another pickle in it, or records that are gone, longer or packed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                content = _spoilt_pickle(rng, content, len(content))
            elif rng.random() < 0.01:
                content = mutated(rng, content)
            packed = zipfile.ZIP_DEFLATED if rng.random() < 0.005 else zipfile.ZIP_STORED
            if rng.random() > 0.003:
                new.writestr(zipfile.ZipInfo(entry.filename), content, packed)
    return out.getvalue()


_OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
_BAD_PIECES = (
    b"cos\nsystem\n", b"(S'true'\ntR", b"c__builtin__\nexec\n", b"ccollections\nOrderedDict\n", b")R", b"2",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n", b"cbuiltins\nbytearray\n", b"h\x00",
    b"J\xff\xff\xff\x7f", b"(l.", b"}q\x00h\x00", b"X\xff\xff\xff\x00", b"B\xff\xff\xff\x7f",
    b"\x8a\x08" + b"\x7f" * 8,
)  # fmt: skip


def _spoilt_pickle(rng: random.Random, data: bytes, until: int) -> bytes:
    """Some of its opcodes are others, as far as that place."""
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(min(until, len(changed)))
        piece = rng.choice([rng.choice(_OPCODES), rng.choice(_BAD_PIECES), rng.randbytes(1)])
        changed[at : at + rng.choice([0, 0, 1, len(piece)])] = piece
    return bytes(changed)


def _other_state(rng: random.Random, state: State) -> bytes:
    """Tensors that are missing, too many, of another shape or type, or hold no numbers."""
    changed: dict[object, object] = dict(state)
    for _ in range(rng.choice([1, 1, 2])):
        name = rng.choice(list(state))
        value = state[name]
        match rng.randrange(7):
            case 0:
                changed.pop(name, None)
            case 1:
                changed[rng.choice(["module." + name, "", 7, None, name + ".x"])] = value
            case 2:
                changed[name] = value.flatten()[: rng.randrange(3)]
            case 3:
                changed[name] = value.to(
                    rng.choice([torch.int64, torch.float16, torch.complex64, torch.bool])
                )
            case 4:
                changed[name] = rng.choice([None, 1, "x", [value], value.to_sparse(), {"state": value}])
            case 5:
                changed[name] = torch.full_like(
                    value.float(), rng.choice([float("nan"), float("inf"), 0.0, -1.0])
                )
            case _:
                changed[name] = value.reshape(-1)[:1].expand(
                    rng.choice([3, 10**6]), *([2] * rng.randrange(4))
                )
    out = io.BytesIO()
    with_zip = rng.random() < 0.5
    torch.save(changed, out, _use_new_zipfile_serialization=with_zip)
    return out.getvalue()


def _state_safetensors_file(rng: random.Random) -> bytes:
    plain = {name: value.clone() for name, value in _states()["encoder"].items()}
    file = save(plain, metadata={"made": "for tests"})
    length = int.from_bytes(file[:8], "little")
    header = spoilt(rng, json.loads(file[8 : 8 + length]), rng.choice([0, 1, 2]))
    said = json.dumps(header).encode()
    return struct.pack("<Q", len(said)) + said + file[8 + length :]


def _labels_file(rng: random.Random) -> bytes:
    labels = load_label_set(rng.choice(BUILTIN_SETS)).to_json()
    return json.dumps(spoilt(rng, labels, rng.choice([0, 1, 2, 4]))).encode()


def _toml_file(rng: random.Random) -> bytes:
    text = (Path(__file__).parents[2] / "models" / "label_sets" / "landscape17.toml").read_bytes()
    lines = text.split(b"\n")
    for _ in range(rng.choice([0, 1, 2])):
        at = rng.randrange(len(lines))
        strange = [
            b"id = -1",
            b"id = 1.5",
            b"color = []",
            b"name = 7",
            b"[[label]]",
            b"[label]",
            b"ignore = 999",
            b"= ",
        ]
        lines[at] = rng.choice([*strange, mutated(rng, lines[at])])
    return b"\n".join(lines)


_FILES: dict[Callable[[bytes], None], Callable[[random.Random], bytes]] = {
    _model: _model_file,
    _segmenter: _segmenter_file,
    _spec: _spec_file,
    _spade: lambda rng: _public_file("spade", rng),
    _oasis: lambda rng: _public_file("oasis", rng),
    _state: lambda rng: _public_file("encoder", rng),
    _state_safetensors: _state_safetensors_file,
    _labels_json: _labels_file,
    _labels_toml: _toml_file,
}

TARGET = Target("checkpoints", make, judge)
