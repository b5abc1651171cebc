"""Importing: what a public file says is read, what it does not say is asked for, and no file does harm."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import resource
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoint import SPEC_KEY, CheckpointError, load, read_spec
from models.importing import import_model, write_model
from models.labels import LabelError, LabelSet, convert, load_label_set, read_label_set
from models.pickles import NoStateDict
from models.readings import ImportOptions
from models.spec import ModelSpec, SpecError
from models.state_files import _check_archive
from tests.public_checkpoints import encoder_state, oasis_state, spade_state
from tests.tiny import tiny_spec, write_tiny_model

TINY: dict[str, Any] = {"ngf": 1, "hidden": 2}
ADE: dict[str, Any] = {"label_nc": 150, "instance": False, **TINY}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An ADE20K model as published, but for its width."""
    return written(tmp_path, spade_state(**ADE))


def written(folder: Path, value: object, name: str = "latest_net_G.pth", *, legacy: bool = True) -> Path:
    torch.save(value, folder / name, _use_new_zipfile_serialization=not legacy)
    return folder / name


def refused(path: Path, **said: Any) -> str:
    encoder = said.pop("encoder", None)
    with pytest.raises(CheckpointError) as caught:
        import_model(path, "model", ImportOptions(**said), encoder=encoder)
    assert caught.value.what == str(encoder if caught.value.what == str(encoder) else path)
    assert caught.value.why
    assert caught.value.next.rstrip()
    return str(caught.value)


# -- Presets, labels, spec


@pytest.mark.parametrize(
    ("state", "base", "ignore", "shift", "size", "stride"),
    [
        (spade_state(label_nc=182, **TINY), "coco182", 182, 0, 256, 32),
        (spade_state(**ADE), "ade150", 150, 0, 256, 32),
        (spade_state(label_nc=35, dont_care=False, **TINY), "cityscapes35", 0, 0, 512, 64),
        (oasis_state(semantic_nc=183, **TINY), "coco182", 0, 1, 256, 32),
        (oasis_state(semantic_nc=151, **TINY), "ade150", 0, 1, 256, 32),
        (oasis_state(semantic_nc=35, **TINY), "cityscapes35", 0, 0, 512, 32),
    ],
)
def test_published_models_are_known_by_their_channels(
    tmp_path: Path, state: dict[str, Tensor], base: str, ignore: int, shift: int, size: int, stride: int
) -> None:
    spec = import_model(written(tmp_path, state), "model").spec
    assert (spec.native_size, spec.stride, spec.labels.ignore) == (size, stride, ignore)
    for label in load_label_set(base).labels:
        assert spec.labels.by_id[label.id + shift].name == label.name
        assert spec.labels.by_id[label.id + shift].color == label.color
    assert sorted(spec.labels.by_id) == list(range(spec.labels.channels))
    assert spec.style_dim == (64 if spec.architecture == "oasis" else 0)

    ours = load_label_set("landscape17")
    there, back = convert(ours, spec.labels), convert(spec.labels, ours)
    for label in ours.labels:
        if label.name in {"unlabeled", "sky", "tree", "road"}:
            assert there[label.id].exact
            assert back[there[label.id].target].target == label.id
    assert back[ignore].target == ours.ignore


def test_what_an_import_records(tmp_path: Path, file: Path) -> None:
    model = import_model(file, "ade")
    assert model.spec.licence == "CC BY-NC-SA 4.0"
    assert model.spec.name == "SPADE ADE20K"
    assert model.spec.provenance["imported from"] == "latest_net_G.pth"
    assert model.spec.provenance["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert model.spec.provenance["read as"] == "--labels 150 --dont-care --no-instance --upsampling normal"
    assert model.encoder is None
    assert not model.generator.training
    write_model(model, tmp_path / "ade.safetensors")
    again = load(tmp_path / "ade.safetensors")
    assert again.spec == model.spec == read_spec(tmp_path / "ade.safetensors")
    assert again.encoder is None
    for (name, value), found in zip(
        model.generator.state_dict().items(), again.generator.state_dict().values(), strict=True
    ):
        assert torch.equal(value, found), f"{name}: an import is exact"

    named = import_model(file, "ade", name="Mine", licence="MIT").spec
    assert (named.name, named.licence) == ("Mine", "MIT")
    oasis = import_model(written(tmp_path, oasis_state(**TINY), "best_EMA.pth"), "oasis").spec
    assert oasis.licence == "AGPL-3.0 (derived)"


def test_a_safetensors_file_is_read_too(tmp_path: Path, file: Path) -> None:
    state = {name: value.clone() for name, value in spade_state(**ADE).items()}
    save_file(state, tmp_path / "G.safetensors")
    one, other = import_model(tmp_path / "G.safetensors", "a"), import_model(file, "b")
    assert torch.equal(one.generator.conv_img.weight, other.generator.conv_img.weight)
    assert "already" in refused(write_tiny_model(tmp_path))


def test_half_and_double_precision_become_single(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.float64):
        state = {name: value.to(dtype) if value.ndim else value for name, value in spade_state(**ADE).items()}
        model = import_model(written(tmp_path, state), "model")
        assert {value.dtype for value in model.generator.parameters()} == {torch.float32}


def test_counters_may_lack(tmp_path: Path) -> None:
    state = {name: value for name, value in spade_state(**ADE).items() if "num_batches" not in name}
    assert import_model(written(tmp_path, state), "model").generator.stride == 32


# -- Readings


def test_an_ambiguous_file_lists_its_readings(tmp_path: Path) -> None:
    path = written(tmp_path, spade_state(label_nc=20, dont_care=False, instance=True, **TINY))
    said = refused(path)
    assert "21 input channels" in said
    assert "8 ways" in said
    for reading in (
        "--labels 21 --no-dont-care --no-instance --upsampling normal",
        "--labels 20 --no-dont-care --instance --upsampling more",
        "--labels 20 --dont-care --no-instance --upsampling normal",
        "--labels 19 --dont-care --instance --upsampling more",
    ):
        assert reading in said
    said = refused(path, labels=20, upsampling="more")
    assert "2 ways" in said
    assert "--size" in refused(path, labels=20, upsampling="more", instance=True)
    spec = import_model(
        path, "model", ImportOptions(labels=20, upsampling="more", instance=True, size=512, aspect=2)
    ).spec
    assert (spec.labels.channels, spec.labels.ignore, spec.stride, spec.native_size) == (20, None, 64, 512)
    assert spec.options["instance_edges"] is True
    assert spec.provenance["training pictures"] == "512×256"


def test_options_may_contradict_a_preset(tmp_path: Path, file: Path) -> None:
    said = {"labels": 150, "instance": True, "upsampling": "normal", "size": 256}
    spec = import_model(file, "model", ImportOptions(**said)).spec
    assert spec.options["instance_edges"] is True
    assert spec.labels.by_id[0].name == "label 0", "another 150 labels than ADE20K's"
    assert import_model(file, "model", ImportOptions(labels=150)).spec.labels.by_id[0].name == "wall"
    more = import_model(file, "model", ImportOptions(upsampling="more", size=512)).spec
    assert (more.stride, more.labels.by_id[0].name) == (64, "wall")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"labels": 149}, ["151 input channels", "--labels 149"]),
        ({"labels": 150, "dont_care": False, "instance": False}, ["--dont-care False"]),
        ({"upsampling": "most"}, ["--upsampling most"]),
        ({"z_dim": 64}, ["--z-dim says nothing about SPADE"]),
        ({"size": 16}, ["no cell"]),
        ({"size": 10**9}, ["--size"]),
        ({"aspect": 0.0}, ["--aspect"]),
        ({"aspect": float("nan")}, ["--aspect"]),
        ({"labels": load_label_set("landscape17")}, ["--labels 17"]),
    ],
)
def test_options_that_the_file_contradicts(file: Path, said: dict[str, Any], words: list[str]) -> None:
    message = refused(file, **said)
    assert all(word in message for word in words), message


def test_noise_and_labels_of_oasis_are_told_apart(tmp_path: Path) -> None:
    path = written(tmp_path, oasis_state(semantic_nc=11, z_dim=32, **TINY))
    message = refused(path)
    assert "43 input channels" in message
    assert "--z-dim 0" in message
    assert "any other" in message
    message = refused(path, z_dim=32)
    assert "--labels 11 --no-dont-care --z-dim 32" in message
    assert "--labels 10 --dont-care --z-dim 32" in message
    spec = import_model(path, "model", ImportOptions(z_dim=32, labels=10, size=256)).spec
    assert (spec.labels.channels, spec.labels.ignore, spec.style_dim) == (11, 0, 32)
    assert spec.labels.by_id[1].name == "label 0"
    assert "--instance says nothing" in refused(path, z_dim=32, labels=10, instance=True)
    assert "--upsampling says nothing" in refused(path, z_dim=32, labels=10, upsampling="more")
    assert "no VAE" in refused(path, z_dim=32, labels=10, size=256, encoder=path)


def test_the_size_tells_how_often_a_vae_doubles(tmp_path: Path) -> None:
    state = spade_state(label_nc=20, dont_care=False, instance=False, z_dim=3, start_grid=(4, 4), **TINY)
    path = written(tmp_path, state)
    assert "2 ways" in refused(path, labels=20)
    for size, stride in ((128, 32), (256, 64)):
        assert import_model(path, "model", ImportOptions(labels=20, size=size)).spec.stride == stride
    assert "16 cells" in refused(path, labels=20, size=512)
    published = written(tmp_path, spade_state(z_dim=3, start_grid=(4, 4), **TINY))
    assert "give --size and --aspect" in refused(published)


def test_pictures_that_are_no_squares_are_known_from_the_grid(tmp_path: Path) -> None:
    city: dict[str, Any] = {"label_nc": 35, "dont_care": False, **TINY}
    with_vae = import_model(written(tmp_path, spade_state(z_dim=3, start_grid=(4, 8), **city)), "model").spec
    assert (with_vae.native, with_vae.largest) == ((512, 256), (512, 256))
    for state in (spade_state(**city), oasis_state(semantic_nc=35, **TINY)):
        spec = import_model(written(tmp_path, state), "model").spec
        assert (spec.native, spec.largest, spec.native_size) == ((512, 256), None, 512)
        assert ModelSpec.from_json(spec.to_json()) == spec
    square = import_model(written(tmp_path, spade_state(**ADE)), "model").spec
    assert (square.native, square.largest) == ((256, 256), None)
    without_grid = {name: value for name, value in spec.options.items() if name != "native_grid"}
    before = replace(spec, options=without_grid)
    assert before.native == (512, 512), "files of an earlier version say only how wide"


@pytest.mark.parametrize(
    ("state", "raw", "own"),
    [
        (
            spade_state(**ADE),
            {0: "unlabeled", 1: "wall", 150: "flag"},
            {0: 150} | {i: i - 1 for i in range(1, 151)},
        ),
        (oasis_state(**TINY), {0: "unlabeled", 1: "wall", 150: "flag"}, {}),
        (spade_state(**TINY), {0: "person", 255: "unlabeled"}, {255: 182}),
        (
            oasis_state(semantic_nc=183, **TINY),
            {0: "person", 255: "unlabeled"},
            {255: 0} | {i: i + 1 for i in range(182)},
        ),
    ],
)
def test_a_data_sets_own_annotation_is_renumbered_as_documented(
    tmp_path: Path, state: dict[str, Tensor], raw: dict[int, str], own: dict[int, int]
) -> None:
    """docs/importing.md, "Sending a data set's own annotation"."""
    labels = import_model(written(tmp_path, state), "model").spec.labels
    for value, name in raw.items():
        assert labels.by_id[own.get(value, value)].name == name
    none = next(value for value, name in raw.items() if name == "unlabeled")
    assert own.get(none, none) == labels.ignore


@pytest.mark.parametrize("grid", [[8], [0, 8], [8, 10**6], [256, 256], "big", None])
def test_a_grid_that_is_none_is_refused_with_the_header(grid: object) -> None:
    with pytest.raises(SpecError, match=r"grid|native size"):
        replace(tiny_spec(), stride=64, options={"native_grid": grid})


def test_a_label_set_of_ones_own(tmp_path: Path) -> None:
    labels = load_label_set("landscape17")
    path = written(tmp_path, spade_state(label_nc=17, instance=False, **TINY))
    said: dict[str, Any] = {"upsampling": "normal", "size": 256, "labels": labels, "dont_care": True}
    spec = import_model(path, "model", ImportOptions(**said)).spec
    assert spec.labels.labels[:17] == labels.labels
    assert spec.labels.by_id[17].name == "don't care", "landscape17 has an 'unlabeled' already"
    gap = LabelSet("gap", labels.labels[:5] + labels.labels[6:])
    assert "ids 0…16" in refused(path, **said | {"labels": gap})
    many = written(tmp_path, spade_state(label_nc=300, instance=False, **TINY))
    assert "254" in refused(many, labels=300, dont_care=True, upsampling="normal", size=256)


def test_label_sets_are_read_from_files(tmp_path: Path) -> None:
    labels = load_label_set("landscape17")
    (tmp_path / "own.json").write_text(json.dumps(labels.to_json()))
    assert read_label_set(tmp_path / "own.json") == labels
    (tmp_path / "own.toml").write_text('[[label]]\nid = 0\nname = "sky"\n')
    assert read_label_set(tmp_path / "own.toml").by_id[0].name == "sky"
    for text in ("{", "[]", '{"labels": 3}', '{"labels": [{"id": "x"}]}', "[" * 100_000):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(LabelError):
            read_label_set(tmp_path / "bad.json")
    with pytest.raises(LabelError, match="none"):
        read_label_set(tmp_path / "none.toml")


# -- Files that will not do


def without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.pop(name)


def with_(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("up_0.conv_0.bias"), ["'up_0.conv_0.bias' is missing"]),
        (without("conv_img.weight"), ["'conv_img.weight' is missing"]),
        (without("up_0.conv_0.weight_v"), ["'up_0.conv_0.weight_v' is missing", "expected [144]"]),
        (without("up_0.conv_0.weight_orig"), ["'up_0.conv_0.weight' is missing"]),
        (with_("up_0.conv_0.weight_u", torch.zeros(3)), ["weight_u", "[3]", "[8]"]),
        (with_("up_0.conv_0.weight_u", torch.zeros(8)), ["spectral norm", "'up_0.conv_0.weight'", "0.0"]),
        (with_("extra.weight", torch.zeros(1)), ["'extra.weight' is unexpected"]),
        (with_("up_1.norm_0.mlp_beta.bias", torch.zeros(5)), ["mlp_beta.bias", "[5]", "expected [8]"]),
        (with_("up_1.conv_0.bias", torch.tensor([float("nan")] * 4)), ["up_1.conv_0.bias", "NaN"]),
        (with_("up_1.conv_0.bias", torch.zeros(4, dtype=torch.int64)), ["up_1.conv_0.bias", "int64"]),
        (with_("up_1.conv_0.bias", torch.zeros(4, dtype=torch.complex64)), ["up_1.conv_0.bias", "complex64"]),
        (with_("up_1.norm_0.param_free_norm.running_var", -torch.ones(8)), ["running_var", "negative"]),
        (with_("up_1.conv_0.bias", "text"), ["up_1.conv_0.bias", "str"]),
        (with_("epoch", 3), ["epoch", "int"]),
        (with_("fc.weight", torch.zeros(16, 0, 3, 3)), ["fc.weight", "[16, 0, 3, 3]"]),
        (with_("conv_img.weight", torch.zeros(3, 0, 3, 3)), ["conv_img.weight"]),
        (with_("head_0.norm_0.mlp_shared.0.weight", torch.zeros(2, 151)), ["mlp_shared.0.weight", "4 axes"]),
        (with_("fc.weight", torch.zeros(1).expand(16, 151, 3, 3)), ["fc.weight", "more than"]),
        (with_("fc.weight", torch.zeros(1).expand(10**6, 10**6, 3, 3)), ["fc.weight", "more than"]),
        (with_("fc.weight", torch.zeros(16, 151).to_sparse()), ["_rebuild_sparse_tensor"]),
        (with_("fc.weight", torch.zeros(16, 151, 3, 3, device="meta")), ["_rebuild_meta_tensor"]),
        (with_("fc.weight", bytearray(8)), ["bytearray"]),
        (
            with_("up_1.conv_0.weight", torch.zeros(4, 8, 3, 3)),
            ["up_1.conv_0.weight'", "conv_0.weight_orig'"],
        ),
    ],
)
@pytest.mark.parametrize("legacy", [True, False])
def test_a_mismatch_names_key_found_and_expected(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: list[str], legacy: bool
) -> None:
    state: dict[str, Any] = dict(spade_state(**ADE))
    change(state)
    message = refused(written(tmp_path, state, legacy=legacy))
    assert all(word in message for word in words), message


def test_oasis_files_are_told_of_in_their_own_names(tmp_path: Path) -> None:
    state = oasis_state(**TINY)
    state["body.1.norm_0.first_norm.running_var"] = torch.ones(3)
    assert "'body.1.norm_0.first_norm.running_var' has shape [3]" in refused(written(tmp_path, state))


class Trap:
    """Runs a command where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("legacy", [True, False])
def test_code_in_a_file_is_never_run(tmp_path: Path, legacy: bool) -> None:
    state: dict[str, Any] = dict(spade_state(**ADE))
    path = written(tmp_path, {"x": Trap(tmp_path / "sprung")} | state, legacy=legacy)
    message = refused(path)
    assert "system" in message
    assert "nothing of it was run" in message
    bare = tmp_path / "bare.pth"
    bare.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(bare)
    assert not (tmp_path / "sprung").exists()


class Blob:
    """A pickle's object that is made by calling a global."""

    def __init__(self, make: Callable[..., object], *arguments: object) -> None:
        self.make, self.arguments = make, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.make, self.arguments


def with_pickle(folder: Path, pickled: bytes, kind: str) -> Path:
    """A file of torch's whose object is that pickle."""
    path = folder / f"{kind}.pth"
    if kind == "bare":
        path.write_bytes(pickled)
        return path
    plain = written(folder, {"a": 1}, legacy=kind == "old")
    if kind == "old":
        path.write_bytes(plain.read_bytes().replace(pickle.dumps({"a": 1}, 2), pickled))
    else:
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w") as archive:
            for entry in source.infolist():
                pickle_here = entry.filename.endswith("data.pkl")
                archive.writestr(entry.filename, pickled if pickle_here else source.read(entry))
    return path


MANY = b"K\x01K\x00" * 200
MADE = b"ccollections\nOrderedDict\n"
HOSTILE = {
    "three gigabytes": (pickle.dumps(Blob(bytearray, 3 * 10**9), 2), "bytearray"),
    "nested": (pickle.dumps({"a": {"b": [Blob(bytearray, 3 * 10**9)]}}, 2), "bytearray"),
    "a dict copied": (b"\x80\x02(" + MADE + b"(](" + MANY + b"et" + b"Rt.", "OrderedDict made of something"),
    "a dict shared": (b"\x80\x02](}q\x01(" + MANY + b"u" + b"h\x01" * 100 + b"e.", "several places"),
    "tuples of tuples": (
        b"\x80\x02}K\x01K\x02\x86q\x00"
        + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(60))
        + b"K\x01s.",
        "several places",
    ),
    "a million": (b"\x80\x02](" + b"N" * 1_000_100 + b"e.", "million"),
}


@pytest.mark.parametrize("kind", ["bare", "old", "zip"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_file_takes_no_memory(tmp_path: Path, name: str, kind: str) -> None:
    pickled, word = HOSTILE[name]
    path = with_pickle(tmp_path, pickled, kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = refused(path)
    if kind != "bare":
        assert re.search(word, message), message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "KiB"


def test_other_archives_and_pickles_are_told_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("checkpoints/latest_net_G.pth", b"...")
    assert "unpack it" in refused(tmp_path / "all.zip")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(tmp_path / "all.zip", "all.zip")
    assert "unpack it" in refused(tmp_path / "all.tar")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps({"a": 1}))
    assert "as torch.save" in refused(tmp_path / "bare.pkl")
    renamed = tmp_path / "model.safetensors"
    for legacy in (True, False):
        renamed.write_bytes(written(tmp_path, spade_state(**ADE), legacy=legacy).read_bytes())
        assert "ending .pth" in refused(renamed)
        with pytest.raises(CheckpointError, match=r"scenebrush import"):
            read_spec(renamed)


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(3),
        [torch.zeros(3)],
        3,
        None,
        {},
        {"state_dict": spade_state(**ADE)},
        {3: torch.zeros(3)},
        {"a": None},
        OrderedDict(),
    ],
    ids=str,
)
def test_files_that_hold_something_else(tmp_path: Path, value: object) -> None:
    refused(written(tmp_path, value))


def test_other_networks_than_generators(tmp_path: Path, file: Path) -> None:
    encoder = written(tmp_path, encoder_state(nef=1, z_dim=3), "latest_net_E.pth")
    assert "style encoder" in refused(encoder)
    discriminator = written(tmp_path, {"scale_0.layer_0.weight": torch.zeros(4, 3, 4, 4)}, "latest_net_D.pth")
    assert "neither a SPADE nor an OASIS generator" in refused(discriminator)
    vae = written(tmp_path, spade_state(z_dim=3, **TINY), "vae.pth")
    assert "no VAE" in refused(file, encoder=encoder)
    assert "not a SPADE encoder" in refused(vae, encoder=file)
    other = written(tmp_path, encoder_state(nef=1, z_dim=4), "other.pth")
    assert "fc_mu" in refused(vae, encoder=other)
    small = encoder_state(nef=1, z_dim=3)
    for part in ("orig", "u", "v"):
        del small[f"layer6.0.weight_{part}"]
    assert "layer6" in refused(vae, encoder=written(tmp_path, small, "small.pth"))
    assert import_model(vae, "model").encoder is None, "style codes may come from elsewhere"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for legacy in (True, False):
        data = written(tmp_path, spade_state(**ADE), legacy=legacy).read_bytes()
        for size in (0, 1, 100, len(data) // 2, len(data) - 1):
            (tmp_path / "cut.pth").write_bytes(data[:size])
            refused(tmp_path / "cut.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    message = refused(tmp_path / "text.pth")
    assert "weights_only" not in message, "torch's advice to load it unsafely is not passed on"
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    refused(tmp_path / "text.safetensors")
    refused(tmp_path)
    refused(tmp_path / "missing.pth")


def test_a_byte_that_is_no_text_anywhere_in_an_archive(tmp_path: Path) -> None:
    """torch's reader quotes names of the file in its errors, which Python then cannot read as text."""
    path, odd = tmp_path / "x.pth", tmp_path / "odd.pth"
    torch.save({"a": torch.zeros(2)}, path)
    data, whole = path.read_bytes(), 0
    for at in range(len(data)):
        odd.write_bytes(data[:at] + b"\xe2" + data[at + 1 :])
        with suppress(CheckpointError, NoStateDict):
            _check_archive(odd)
            whole += 1
    assert 0 < whole < len(data)


def test_a_file_that_inflates_is_refused(tmp_path: Path) -> None:
    data = written(tmp_path, spade_state(**ADE), legacy=False)
    with zipfile.ZipFile(data) as source, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in source.infolist():
            bomb.writestr(entry.filename, source.read(entry), zipfile.ZIP_DEFLATED)
        bomb.writestr("archive/data/zeros", bytes(10**7), zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(tmp_path / "bomb.pth")


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("count", [b"J\x00\x00\x10\x00", b"\x8a\x06\x00\x00\x00\x00\x00\x10"])
def test_a_storage_larger_than_the_file_is_refused(tmp_path: Path, legacy: bool, count: bytes) -> None:
    """A pickle may claim a million values, or 2⁴⁴; memory is taken for what the file has."""

    def lie(data: bytes) -> bytes:
        return data.replace(b"M\xe8\x03", count)  # 1000 as the pickle writes it

    plain, claim = written(tmp_path, {"a": torch.zeros(1000)}, legacy=legacy), tmp_path / "claim.pth"
    if legacy:
        claim.write_bytes(lie(plain.read_bytes()))
    else:
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(claim, "w") as archive:
            for entry in source.infolist():
                archive.writestr(entry.filename, lie(source.read(entry)))
    assert claim.read_bytes() != plain.read_bytes()
    assert "cannot read" in refused(claim)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), legacy=st.booleans())
def test_damaged_files_never_crash(tmp_path: Path, data: st.DataObject, legacy: bool) -> None:
    state = {name: value for name, value in spade_state(**ADE).items() if name.startswith(("fc", "conv_img"))}
    whole = written(tmp_path, state, legacy=legacy).read_bytes()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, min(4000, len(whole) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.pth"
    path.write_bytes(damaged)
    with suppress(CheckpointError):  # any other exception fails the test
        import_model(path, "model")


# -- Writing


def test_a_model_is_written_whole_or_not_at_all(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = import_model(file, "model")
    out = tmp_path / "out"
    out.mkdir()
    for place, word in ((out / "model.pth", "ending"), (out / "none" / "m.safetensors", "folder")):
        with pytest.raises(CheckpointError, match=word):
            write_model(model, place)
    write_model(model, out / "model.safetensors")
    before = (out / "model.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="exists already"):
        write_model(model, out / "model.safetensors")

    def full_disk(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("models.checkpoint.save_file", full_disk)
        with pytest.raises(OSError, match="No space"):
            write_model(model, out / "model.safetensors", replace=True)
    assert [entry.name for entry in out.iterdir()] == ["model.safetensors"]
    assert (out / "model.safetensors").read_bytes() == before
    write_model(import_model(file, "other"), out / "model.safetensors", replace=True)
    assert read_spec(out / "model.safetensors").id == "other"


def test_a_file_written_at_the_same_time_is_left_alone(tmp_path: Path, file: Path) -> None:
    (tmp_path / "model.partial").write_text("somebody else's")
    write_model(import_model(file, "model"), tmp_path / "model.safetensors")
    assert (tmp_path / "model.partial").read_text() == "somebody else's"
    assert not list(tmp_path.glob("model.*.partial"))


def test_a_negative_variance_is_refused_when_painting_too(tmp_path: Path, file: Path) -> None:
    model, path = import_model(file, "model"), tmp_path / "model.safetensors"
    dict(model.generator.named_buffers())["up_1.norm_0.param_free_norm.running_var"][0] = -1
    write_model(model, path)
    with pytest.raises(CheckpointError, match=r"running_var.*negative"):
        load(path)


# -- The header of an imported model may lie too


def rewritten(path: Path, **options: Any) -> None:
    document = json.loads(read_spec(path).to_json())
    document |= options.pop("top", {})
    document["options"] |= options
    save_file(load_file(path), path, metadata={SPEC_KEY: json.dumps(document)})


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"width": 1024}, "tensor"),
        ({"width": 10**9}, "width"),
        ({"width": 1.5}, "width"),
        ({"upsampling": "more"}, "stride"),
        ({"upsampling": "most"}, "width"),
        ({"upsampling": ["normal"]}, "upsampling"),
        ({"statistics": "layer"}, "statistics"),
        ({"statistics": "instance"}, "unexpected"),
        ({"kernel": 2}, "odd"),
        ({"kernel": 99}, "kernel"),
        ({"hidden": 0}, "hidden"),
        ({"instance_edges": 1}, "instance_edges"),
        ({"instance_edges": True}, "shape"),
        ({"top": {"style_dim": 4}}, "start_grid"),
        ({"top": {"style_dim": 4}, "start_grid": [8]}, "start_grid"),
        ({"top": {"style_dim": 4}, "start_grid": [8, 10**6]}, "start_grid"),
        ({"top": {"style_dim": 4096}, "start_grid": [256, 256]}, "tensor"),
        ({"top": {"style_dim": 4}, "start_grid": [8, 8], "encoder_width": 10**6}, "encoder_width"),
        ({"top": {"architecture": "oasis"}}, "tensor"),
    ],
)
def test_a_lying_header_is_a_clear_error(
    tmp_path: Path, file: Path, options: dict[str, Any], word: str
) -> None:
    path = tmp_path / "model.safetensors"
    write_model(import_model(file, "model"), path)
    rewritten(path, **options)
    with pytest.raises(CheckpointError, match=word):
        load(path)
