"""Reading pairs and cutting batches from them."""

from __future__ import annotations

import io
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.labels import load_label_set
from training.augmentation import Augmentation
from training.data import DataError, fitted, random_batch, read_pairs, split_of, to_float


def test_splits_follow_the_seed() -> None:
    assert [split_of(name) for name in ("100000", "100001", "100002", "100020", "hut")] == [
        "test",
        "validation",
        "train",
        "test",
        "train",
    ]


def test_the_example_pairs(source: Path) -> None:
    pairs = read_pairs(source)
    assert len(pairs) == 32
    assert {split: len(read_pairs(source, split)) for split in ("train", "validation", "test")} == {
        "train": 24,
        "validation": 4,
        "test": 4,
    }
    for pair in pairs:
        assert pair.image.shape == (256, 256, 3)
        assert pair.labels.shape == (256, 256)
        assert pair.labels.min() >= 1
        assert pair.labels.max() <= 16
        assert pair.meta["seed"] == int(pair.name)


def test_shards_read_like_folders(source: Path, tmp_path: Path) -> None:
    names = [pair.name for pair in read_pairs(source)]
    for i, part in enumerate((names[:20], names[20:])):
        with tarfile.open(tmp_path / f"shard-{i}.tar", "w") as archive:
            archive.add(source / "meta.jsonl", f"meta-{i}.jsonl")
            for name in part:
                archive.add(source / "images" / f"{name}.jpg", f"images/{name}.jpg")
                archive.add(source / "labels" / f"{name}.png", f"labels/{name}.png")
    for one, other in zip(read_pairs(source, "train", 5), read_pairs(tmp_path, "train", 5), strict=True):
        assert (one.name, one.meta) == (other.name, other.meta)
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.labels, other.labels)


def write_pair(folder: Path, image: bytes, labels: bytes) -> Path:
    for kind, data in (("images", image), ("labels", labels)):
        (folder / kind).mkdir()
        (folder / kind / "1.png").write_bytes(data)
    return folder


def png(mode: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("image", "labels", "words"),
    [
        (png("RGB", (8, 8)), png("RGB", (8, 8)), "mode RGB"),
        (png("RGB", (8, 8)), png("L", (8, 9)), "8×8, map 8×9"),
        (b"no picture", png("L", (8, 8)), "cannot be decoded"),
    ],
)
def test_pairs_that_do_not_fit_are_named(tmp_path: Path, image: bytes, labels: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_pairs(write_pair(tmp_path, image, labels))


def shard(path: Path, count: int) -> bytes:
    """A tar file of so many pairs, and its bytes."""
    with tarfile.open(path, "w") as archive:
        for name in range(count):
            for kind, mode in (("images", "RGB"), ("labels", "L")):
                data = png(mode, (8, 8))
                member = tarfile.TarInfo(f"{kind}/{name}.png")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path.read_bytes()


def test_a_shard_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """tarfile itself stops without a word at a header that it cannot read."""
    path = tmp_path / "a.tar"
    whole = shard(path, 4)
    assert len(read_pairs(tmp_path)) == 4
    third = tarfile.BLOCKSIZE * 8
    assert whole[third : third + 12] == b"images/2.png"
    damaged = whole[:third] + b"\xff" * 100 + whole[third + 100 :]
    for content in (damaged, whole[:third], whole[: third + 100]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.tar is damaged or cut short after 4096 bytes"):
            read_pairs(tmp_path)
    path.write_bytes(whole[: third + 700])  # inside a picture
    with pytest.raises(DataError, match=r"a\.tar"):
        read_pairs(tmp_path)


def test_two_files_of_one_name_are_no_pair(tmp_path: Path) -> None:
    """Whichever came last would be taken, and perhaps put together with the other one's map."""
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        write_pair(tmp_path / part, png("RGB", (8, 8)), png("L", (8, 8)))
    with pytest.raises(DataError, match=r"one/images/1\.png and two/images/1\.png have the same name"):
        read_pairs(tmp_path, layout="folder")


@pytest.mark.parametrize("line", ["[1]", "0", "null", '"seed"', "{"])
def test_a_meta_file_of_other_things_is_named(tmp_path: Path, line: str) -> None:
    write_pair(tmp_path, png("RGB", (8, 8)), png("L", (8, 8)))
    (tmp_path / "meta.jsonl").write_text(f'{{"seed": 1, "sky": 2}}\n{line}\n')
    with pytest.raises(DataError, match=r"meta\.jsonl"):
        read_pairs(tmp_path)
    (tmp_path / "meta.jsonl").write_text('{"other": 1}\n\n{"seed": 1, "sky": 2}\n')
    assert read_pairs(tmp_path)[0].meta["sky"] == 2


def test_a_name_of_strange_digits_is_a_name() -> None:
    assert split_of("²") == "train"


def test_whatever_pillow_raises_names_the_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a damaged EXIF block, for instance, struct.error."""
    write_pair(tmp_path, png("RGB", (8, 8)), png("L", (8, 8)))

    def fails(*_: object, **__: object) -> None:
        raise struct.error("unpack requires a buffer of 2 bytes")

    monkeypatch.setattr("training.layouts.ImageOps.exif_transpose", fails)
    with pytest.raises(DataError, match="pair 1 cannot be decoded: unpack requires"):
        read_pairs(tmp_path)


def test_no_source_and_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        read_pairs(tmp_path / "x")
    with pytest.raises(DataError, match="no test pairs"):
        read_pairs(tmp_path, "test")
    (tmp_path / "a.tar").write_bytes(b"not a tar file" * 100)
    with pytest.raises(DataError, match="not a readable tar"):
        read_pairs(tmp_path)


def test_a_batch_is_a_function_of_its_generator(source: Path) -> None:
    pairs = read_pairs(source, limit=8)
    one, same, other = (
        random_batch(pairs, 4, 96, np.random.default_rng(seed), Augmentation(crude=0.5, drop=0.5), 0)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one.real, same.real)
    assert torch.equal(one.given, same.given)
    assert not torch.equal(one.real, other.real)
    assert one.real.shape == (4, 3, 96, 96)
    assert one.whole.shape == (4, 3, 128, 128)
    assert one.labels.shape == one.given.shape == (4, 96, 96)


def test_crops_show_the_same_place_in_photo_and_map(source: Path) -> None:
    pairs = read_pairs(source, limit=8)
    batch = random_batch(pairs, 8, 64, np.random.default_rng(5))
    assert torch.equal(batch.labels, batch.given)
    places = 0
    for real, labels in zip(batch.real, batch.labels, strict=True):
        for pair in pairs:
            for image, ids in ((pair.image, pair.labels), (pair.image[:, ::-1], pair.labels[:, ::-1])):
                whole = to_float(image)
                rows, columns = torch.nonzero((whole[:, :193, :193] == real[:, :1, :1]).all(0), as_tuple=True)
                for y, x in zip(rows.tolist(), columns.tolist(), strict=True):
                    if torch.equal(whole[:, y : y + 64, x : x + 64], real):
                        assert np.array_equal(ids[y : y + 64, x : x + 64], labels.numpy())
                        places += 1
    assert places >= 8


def test_ids_that_a_label_set_lacks_are_named(source: Path) -> None:
    pair = read_pairs(source, limit=1)[0]
    labels = load_label_set("landscape17")
    strange = pair.labels.copy()
    strange[:2, :3] = 99
    with pytest.raises(DataError, match=rf"{pair.name} holds id 99 \(6 pixels\)"):
        fitted([replace(pair, labels=strange)], labels, 64)
    strange[:2, :3] = 255
    mended = fitted([replace(pair, labels=strange)], labels, 64)[0]
    assert (mended.labels[:2, :3] == 0).all()
    assert np.array_equal(mended.labels[2:], pair.labels[2:])


def test_the_whole_picture_is_mirrored_with_its_crop(source: Path) -> None:
    pairs = read_pairs(source, limit=3)
    plain, mirrored = (
        random_batch(pairs, 4, 256, np.random.default_rng(3), Augmentation(flip=share)) for share in (0, 1)
    )
    for name in ("real", "whole", "labels"):
        assert torch.equal(getattr(plain, name).flip(-1), getattr(mirrored, name))
    assert plain.whole.min() >= -1
    assert plain.whole.max() <= 1
