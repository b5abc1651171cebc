"""Label sets: what is in them, what their hash says, and how one becomes another by meaning."""

from __future__ import annotations

import pytest

from models.labels import BUILTIN_SETS, Label, LabelError, LabelSet, convert, load_label_set, meanings


@pytest.mark.parametrize(
    ("name", "count"), [("landscape17", 17), ("coco182", 182), ("ade150", 150), ("cityscapes35", 35)]
)
def test_every_set_has_its_published_ids_and_unique_names(name: str, count: int) -> None:
    labels = load_label_set(name).labels
    assert [label.id for label in labels] == list(range(count))
    assert len({label.name for label in labels}) == count
    assert all(label.group for label in labels)


def test_published_ids_of_landscape_classes() -> None:
    coco = load_label_set("coco182").by_id
    expected = {
        94: "bridge",
        105: "clouds",
        134: "mountain",
        147: "river",
        154: "sea",
        158: "snow",
        168: "tree",
    }
    assert {number: coco[number].name for number in expected} == expected


def test_hash_reads_ids_and_names_but_not_colours() -> None:
    plain = LabelSet("a", (Label(0, "sky", (1, 2, 3), "sky"), Label(1, "sea", (4, 5, 6), "water")))
    recoloured = LabelSet("b", (Label(1, "sea", (9, 9, 9), "x"), Label(0, "sky", (8, 8, 8), "y")))
    renamed = LabelSet("a", (Label(0, "sky", (1, 2, 3), "sky"), Label(1, "ocean", (4, 5, 6), "water")))
    assert plain.hash == recoloured.hash != renamed.hash
    assert len({load_label_set(name).hash for name in BUILTIN_SETS}) == len(BUILTIN_SETS)


def test_palette_puts_each_colour_at_its_id() -> None:
    labels = load_label_set("landscape17")
    palette = labels.palette()
    assert len(palette) == 768
    for label in labels.labels:
        assert tuple(palette[3 * label.id : 3 * label.id + 3]) == label.color
    assert len({label.color for label in labels.labels}) == 17, "an RGB map must lead back to one label"


def test_json_round_trip() -> None:
    for name in BUILTIN_SETS:
        labels = load_label_set(name)
        assert LabelSet.from_json(labels.to_json()) == labels


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({}, "name"),
        ({"name": "x", "labels": []}, "no labels"),
        ({"name": "x", "labels": [{"id": 0, "name": "a"}, {"id": 0, "name": "b"}]}, "twice"),
        ({"name": "x", "labels": [{"id": 255, "name": "a"}]}, "outside"),
        ({"name": "x", "labels": [{"id": 0, "name": ""}]}, "0 characters"),
        ({"name": "x", "labels": [{"id": 0, "name": "a", "color": [0, 0, 300]}]}, "300"),
        ({"name": "x", "labels": [{"id": 0, "name": "a"}], "ignore": 3}, "ignores id 3"),
    ],
)
def test_a_broken_set_is_refused_with_its_fault(data: dict[str, object], word: str) -> None:
    with pytest.raises(LabelError, match=word):
        LabelSet.from_json(data)


def test_conversion_by_meaning() -> None:
    ours, coco, ade = (load_label_set(name) for name in ("landscape17", "coco182", "ade150"))
    to_coco = convert(ours, coco)
    names = {
        label.name: (coco.by_id[to_coco[label.id].target].name, to_coco[label.id].exact)
        for label in ours.labels
    }
    assert names["sky"] == ("sky-other", True)
    assert names["tree"] == ("tree", True)
    assert names["house"] == ("house", True)
    from_ade = convert(ade, ours)
    found = {
        label.name: (ours.by_id[from_ade[label.id].target].name, from_ade[label.id].exact)
        for label in ade.labels
    }
    assert found["lake"] == ("river", True)
    assert found["sea"] == ("sea", True)
    assert found["earth"] == ("dirt", True)
    assert found["palm"] == ("tree", False)
    assert found["skyscraper"] == ("house", False)
    assert found["refrigerator"] == ("unlabeled", False)


@pytest.mark.parametrize("source", BUILTIN_SETS)
@pytest.mark.parametrize("target", BUILTIN_SETS)
def test_conversion_is_total_and_the_identity_on_itself(source: str, target: str) -> None:
    one, other = load_label_set(source), load_label_set(target)
    table = convert(one, other)
    assert table.keys() == one.by_id.keys()
    assert all(match.target in other.by_id for match in table.values())
    if source == target:
        assert all(match.exact and match.target == number for number, match in table.items())


def test_meanings_lead_from_the_name_outwards() -> None:
    assert meanings("palm") == ("palm", "tree")
    assert meanings("swimming") == ("pool", "water", "sea", "river")
    assert meanings("teddy bear") == ("teddy bear",)
    assert meanings("rock")[:3] == ("rock", "stone", "dirt"), "nearest first"


def test_nothing_is_exactly_unlabeled_in_a_set_that_labels_everything() -> None:
    match = convert(load_label_set("landscape17"), load_label_set("ade150"))[0]
    assert not match.exact
