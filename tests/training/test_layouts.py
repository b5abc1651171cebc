"""Sets in the layouts in which they are published, made tiny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.labels import LabelSet, load_label_set
from training import data
from training.data import DataError, StoredPair, fitted, random_batch, read_pairs
from training.datacheck import label_set_named
from training.layouts import LAYOUTS, Listing, colours_of, listing_of, with_unlabelled

PHOTO = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)


def save(path: Path, array: np.ndarray | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PHOTO if array is None else array).save(path, **options)


def values(*rows: int) -> np.ndarray:
    """A label file of stripes, 8 × 12."""
    return np.array(rows, np.uint8).repeat(8 // len(rows))[:, None].repeat(12, 1)


def ade20k(root: Path) -> None:
    for part, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        save(root / "images" / part / f"{name}.jpg")
        save(root / "annotations" / part / f"{name}.png", values(0, 1, 3, 150))


def coco(root: Path) -> None:
    for part, name in (("train2017", "000000000009"), ("val2017", "000000000139")):
        save(root / "images" / part / f"{name}.jpg")
        save(root / "stuffthingmaps_trainval2017" / part / f"{name}.png", values(0, 181, 255, 95))


def cityscapes(root: Path) -> None:
    for part in ("train", "val", "test"):
        for city in ("ulm", "bonn"):
            stem = f"{city}_000000_000019"
            save(root / "leftImg8bit" / part / city / f"{stem}_leftImg8bit.png")
            save(root / "gtFine" / part / city / f"{stem}_gtFine_labelIds.png", values(7, 23, 33, 0))
            save(root / "gtFine" / part / city / f"{stem}_gtFine_color.png")


def voc(root: Path) -> None:
    year = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_000032", "2007_000033", "2007_000042"):
        save(year / "JPEGImages" / f"{name}.jpg")
        picture = Image.fromarray(values(0, 15, 255, 20))
        picture.putpalette(load_label_set("voc21").palette())
        (year / "SegmentationClass").mkdir(exist_ok=True)
        picture.save(year / "SegmentationClass" / f"{name}.png")
    save(year / "JPEGImages" / "2012_004331.jpg")  # without a map, as most are
    lists = year / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n2007_000042\n")
    (lists / "val.txt").write_text("2007_000033\n")


def celeba(root: Path) -> None:
    for number in (0, 1, 2001):
        save(root / "CelebA-HQ-img" / f"{number}.jpg", PHOTO.repeat(2, 0).repeat(2, 1))
        for part, rows in (
            ("skin", (0, 255, 255, 255)),
            ("hair", (255, 255, 0, 0)),
            ("nose", (0, 0, 255, 0)),
        ):
            folder = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
            save(folder / f"{number:05}_{part}.png", np.repeat(values(*rows)[..., None], 3, 2))
    (root / "CelebA-HQ-to-CelebA-mapping.txt").write_text(
        "idx orig_idx orig_file\n0 119612 119613.jpg\n1 162770 162771.jpg\n2001 182637 182638.jpg\n"
    )


SETS = {
    "ade20k": (ade20k, [255, 0, 2, 149], {"train": 1, "validation": 1}),
    "coco-stuff": (coco, [0, 181, 255, 95], {"train": 1, "validation": 1}),
    "cityscapes": (cityscapes, [7, 23, 33, 0], {"train": 2, "validation": 2, "test": 2}),
    "voc": (voc, [0, 15, 255, 20], {"train": 2, "validation": 1}),
    "celebamask-hq": (celeba, [13, 13, 2, 1], {"train": 1, "validation": 1, "test": 1}),
}


@pytest.mark.parametrize("layout", SETS)
def test_a_published_set(tmp_path: Path, layout: str) -> None:
    make, ids, splits = SETS[layout]
    make(tmp_path)
    pairs = read_pairs(tmp_path)
    assert {split: len(read_pairs(tmp_path, split)) for split in splits} == splits
    assert len(pairs) == sum(splits.values())
    for pair in pairs:
        assert pair.image.shape == (8, 12, 3)
        assert np.array_equal(pair.labels, values(*ids))
    listing = listing_of(tmp_path)
    assert listing.layout == layout
    assert not listing.alone
    assert listing.labels is not None
    kept = fitted(pairs, listing.labels, 8)[0].labels
    assert set(np.unique(kept)) <= listing.labels.by_id.keys()
    assert np.array_equal(
        kept == listing.labels.ignore, np.isin(pairs[0].labels, (255, listing.labels.ignore))
    )


def test_every_published_layout_is_tried_here() -> None:
    assert LAYOUTS.keys() - SETS.keys() == {"folder", "shards"}


def test_partners_that_are_missing_are_named(tmp_path: Path) -> None:
    ade20k(tmp_path)
    save(tmp_path / "images" / "training" / "ADE_train_00000002.jpg")
    (alone,) = listing_of(tmp_path).alone
    assert alone.endswith("ADE_train_00000002.jpg")
    assert len(read_pairs(tmp_path)) == 2


def test_masks_of_no_known_part_are_no_partner(tmp_path: Path) -> None:
    celeba(tmp_path)
    save(tmp_path / "CelebA-HQ-img" / "3.jpg")
    save(tmp_path / "CelebAMask-HQ-mask-anno" / "0" / "00003_beard.png", values(0, 255))
    assert [Path(name).name for name in listing_of(tmp_path).alone] == ["3.jpg"]
    assert len(read_pairs(tmp_path)) == 3


def test_a_link_that_leads_nowhere_is_no_file(tmp_path: Path) -> None:
    ade20k(tmp_path)
    (tmp_path / "images" / "training" / "ADE_train_00000002.jpg").symlink_to(tmp_path / "gone.jpg")
    assert len(read_pairs(tmp_path)) == 2


def test_ids_are_brought_to_another_set_by_meaning(tmp_path: Path) -> None:
    ade20k(tmp_path)
    wanted = load_label_set("landscape17")
    pair = read_pairs(tmp_path, "train", labels=wanted)[0]
    # not labelled, wall (nothing like it in a landscape but a house), sky, flag (nothing at all)
    assert pair.labels[::2, 0].tolist() == [255, wanted.by_name["house"].id, wanted.by_name["sky"].id, 0]


def test_a_layout_can_be_named_and_must_exist(tmp_path: Path) -> None:
    coco(tmp_path)
    assert len(read_pairs(tmp_path, layout="coco-stuff")) == 2
    with pytest.raises(DataError, match="no train pairs"):
        read_pairs(tmp_path, "train", layout="voc")
    with pytest.raises(DataError, match="there are auto, shards, folder, ade20k"):
        read_pairs(tmp_path, layout="coco")


def test_a_set_without_an_id_for_none_gets_one() -> None:
    ade = with_unlabelled(load_label_set("ade150"))
    assert (ade.ignore, ade.channels) == (150, 151)
    assert with_unlabelled(ade) is ade
    landscape = load_label_set("landscape17")
    assert with_unlabelled(landscape) is landscape


# -- plain folders


def folder(root: Path, label_file: np.ndarray, legend: str = "") -> Path:
    save(root / "images" / "a.png")
    save(root / "labels" / "a.png", label_file)
    if legend:
        (root / "labels.toml").write_text(legend)
    return root


def coloured(labels: LabelSet, ids: np.ndarray) -> np.ndarray:
    return np.frombuffer(labels.palette(), np.uint8).reshape(256, 3)[ids]


def test_colours_of_a_label_set(tmp_path: Path) -> None:
    labels = load_label_set("landscape17")
    folder(tmp_path, coloured(labels, values(1, 8)))
    assert np.array_equal(read_pairs(tmp_path, labels=labels)[0].labels, values(1, 8))
    with pytest.raises(DataError, match="mode RGB, and nothing says what its colours mean"):
        read_pairs(tmp_path)


def test_a_legend_with_colours_and_ids_of_its_own(tmp_path: Path) -> None:
    legend = (
        'set = "landscape17"\n[ids]\n3 = "sky"\n4 = "none"\n[colours]\n"#010203" = "tree"\n"9, 8, 7" = 8\n'
    )
    folder(tmp_path / "grey", values(3, 4), legend)
    assert np.array_equal(read_pairs(tmp_path / "grey")[0].labels, values(1, 255))
    rgb = np.array([[1, 2, 3], [9, 8, 7]], np.uint8)[values(0, 1)]
    folder(tmp_path / "colour", rgb, legend)
    assert np.array_equal(read_pairs(tmp_path / "colour")[0].labels, values(11, 8))
    folder(tmp_path / "other", values(3, 5), legend)
    with pytest.raises(DataError, match=r"label map a: id 5 \(48 pixels\) means nothing in labels.toml"):
        read_pairs(tmp_path / "other")


def test_a_legend_with_a_label_set_of_its_own(tmp_path: Path) -> None:
    sky = '[[label]]\nid = 0\nname = "sky"\ncolor = [0, 0, 255]\n'
    legend = f'name = "mine"\n{sky}[[label]]\nid = 1\nname = "lawn"\n'
    folder(tmp_path, values(0, 1), legend)
    listing = listing_of(tmp_path)
    assert listing.labels is not None
    assert (listing.labels.name, listing.labels.by_id[1].name) == ("mine", "lawn")
    assert listing.labels.ignore == 2  # one more, for 255
    assert colours_of(listing.labels)[255] == 0
    assert np.array_equal(read_pairs(tmp_path)[0].labels, values(0, 1))


@pytest.mark.parametrize(
    ("legend", "words"),
    [
        ("nothing = 1", "neither"),
        ('set = "landscape18"', "no label set 'landscape18'"),
        ('set = "landscape17"\n[ids]\n1 = "lava"', "no label 'lava'"),
        ('set = "landscape17"\n[colours]\n"blue" = "sky"', "labels.toml"),
        ("set =", "labels.toml"),
    ],
)
def test_a_legend_that_cannot_be_used(tmp_path: Path, legend: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_pairs(folder(tmp_path, values(1), legend))


def test_a_large_set_is_read_when_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "SMALL", 0)
    folder(tmp_path, values(1, 8))
    save(tmp_path / "images" / "b.png")
    save(tmp_path / "labels" / "b.png", values(1, 255, 8, 99))
    whole = read_pairs(tmp_path)
    assert all(isinstance(pair, StoredPair) for pair in whole)
    assert np.array_equal(whole[0].image, PHOTO)
    fit = fitted(whole, load_label_set("landscape17"), 8)  # nothing has been read yet
    assert np.array_equal(fit[0].labels, values(1, 8))
    with pytest.raises(DataError, match="label map b holds id 99"):
        _ = fit[1].labels
    (tmp_path / "images" / "a.png").write_bytes(b"gone")
    with pytest.raises(DataError, match="pair a cannot be decoded"):
        _ = fit[0].image
    save(tmp_path / "images" / "a.png", PHOTO[:4])
    with pytest.raises(DataError, match="photo 12×4, map 12×8"):
        _ = fit[0].labels


def test_a_picture_of_a_large_set_is_decoded_once_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, values(1, 8))
    kept = random_batch(read_pairs(tmp_path), 2, 8, np.random.default_rng(0))
    monkeypatch.setattr(data, "SMALL", 0)
    decoded: list[str] = []
    photo = Listing.photo
    monkeypatch.setattr(Listing, "photo", lambda self, item: decoded.append(item.name) or photo(self, item))
    batch = random_batch(read_pairs(tmp_path), 2, 8, np.random.default_rng(0))
    assert decoded == ["a", "a"]
    for name in ("real", "whole", "labels", "given"):
        assert torch.equal(getattr(batch, name), getattr(kept, name))


def test_training_has_an_id_for_what_a_published_set_leaves_unlabelled(tmp_path: Path) -> None:
    ade20k(tmp_path)
    labels = label_set_named("ade150")
    pair = fitted(read_pairs(tmp_path, labels=labels), labels, 8)[0]
    assert pair.labels[::2, 0].tolist() == [150, 0, 2, 149]
