"""The evaluation as a whole: models of known quality get the figures that they should, and the command writes
what it says."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from models.checkpoint import load, save, save_segmenter, segmenter_spec
from models.labels import load_label_set
from models.pix2pix import Pix2PixGenerator
from models.segmenter import UNet
from models.spec import ModelSpec
from server.cli import app
from tests.tiny import write_tiny_model
from training.data import DataError, Pair, Split, read_pairs
from training.evaluation import __main__ as module
from training.evaluation.command import Request, evaluate, measured, painted_maps
from training.evaluation.document import Document
from training.evaluation.features import Judge
from training.evaluation.gathering import CutPairs, EvaluationError, Gathered, Plan, gather
from training.evaluation.looking import Observer
from training.evaluation.measures import sections
from training.evaluation.painting import EngineSource, PlainSource, column_titles
from training.evaluation.statistics import Bootstrap
from training.evaluation.table import markdown

LABELS = load_label_set("landscape17")
BOOTSTRAP = Bootstrap(200)


def segmenter() -> UNet:
    torch.manual_seed(3)
    return UNet(17, (4, 8, 8)).eval()


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    path, network = tmp_path / "judge.safetensors", segmenter()
    words: dict[str, Any] = {"model_id": "judge", "name": "Judge", "licence": "CC0-1.0", "provenance": {}}
    save_segmenter(path, segmenter_spec(network, LABELS, native_size=256, **words), network)
    return path


@pytest.fixture
def baseline(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "baseline.safetensors"
    options = {"width": 4, "depth": 4}
    spec = ModelSpec("baseline", "Baseline", "pix2pix", LABELS, 64, 16, 0, "CC0-1.0", {}, options)
    save(path, spec, Pix2PixGenerator(17, **options), None)
    return path


@pytest.fixture(scope="module")
def small(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corners of four pictures of each split."""
    folder = tmp_path_factory.mktemp("small")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for split in get_args(Split):
        for pair in read_pairs(source, split, 4):
            Image.fromarray(pair.image[64:192, 64:192]).save(folder / "images" / f"{pair.name}.png")
            Image.fromarray(pair.labels[64:192, 64:192]).save(folder / "labels" / f"{pair.name}.png")
    return folder


# -- Models of known quality


class Answering:
    """Stands in for a model: answers maps with pictures that were laid down for them."""

    is_random = True

    def __init__(self, answer: Callable[[np.ndarray, int], np.ndarray], has_encoder: bool = True) -> None:
        self.answer, self.has_encoder = answer, has_encoder

    def style_of(self, photo: np.ndarray) -> tuple[float, ...] | None:
        return (0.0,) if self.has_encoder else None

    def paint(self, labels: np.ndarray, code: tuple[float, ...] | None, seed: int) -> np.ndarray:
        return self.answer(labels, seed)


@pytest.fixture(scope="module")
def pairs(source: Path) -> list[Pair]:
    """Eight pictures, 64 to 192 pixels wide."""
    found = read_pairs(source, "train", 8)
    return [
        Pair(pair.name, pair.image[:128, :width], pair.labels[:128, :width], {})
        for pair, width in zip(found, [64, 96, 128, 160, 192, 128, 128, 128], strict=True)
    ]


def gathered_of(
    pairs: list[Pair], training: list[Pair], inception: Any = None, **answers: Answering
) -> Gathered:
    plan = Plan(diversity_maps=2, diversity_seeds=3)
    observer = Observer(Judge(segmenter(), LABELS), inception)
    sources: Any = list(answers.items())
    return gather(
        sources, observer, CutPairs(pairs, 32), training, [pairs[0].labels], plan, lambda text: None
    )


def figures(gathered: Gathered) -> dict[str, Any]:
    measures = [m for section in sections(gathered, LABELS, BOOTSTRAP) for m in section.measures]
    return {measure.key: measure for measure in measures}


def test_the_truth_is_perfect_and_a_thief_is_caught(pairs: list[Pair]) -> None:
    photos = {pair.labels.tobytes(): pair.image for pair in pairs}
    known = [Pair("known", np.roll(pair.image, 40, axis=1), pair.labels, {}) for pair in pairs]
    stolen = {pair.labels.tobytes(): one.image for pair, one in zip(pairs, known, strict=True)}
    found = figures(
        gathered_of(
            pairs,
            known,
            truth=Answering(lambda labels, seed: photos[labels.tobytes()]),
            thief=Answering(lambda labels, seed: stolen[labels.tobytes()], has_encoder=False),
        )
    )
    truth = {key: measure.values["truth"].value for key, measure in found.items() if measure.values["truth"]}
    real = {key: m.references[0].figure.value for key, m in found.items() if m.references}
    same = [
        "miou", "accuracy", "strict_miou", "strict_accuracy", "miou_seeded", "trace_nyquist", "trace_grid",
        "trace_edges", "trace_weave", "repetition", "nearest_features", "nearest_pixels",
        "very_near_features", "very_near_pixels",
    ]  # fmt: skip
    for key in same:
        assert truth[key] == pytest.approx(real[key]), key
    assert truth["judge_mmd2"] == pytest.approx(0, abs=1e-9)
    assert truth["ssim"] == pytest.approx(1)
    assert truth["psnr"] == 100
    assert truth["feature_distance"] == truth["style_ciede2000"] == 0
    assert truth["repetition_beyond"] == 0
    assert truth["diversity_ciede2000"] == truth["diversity_features"] == 0, "every seed paints the truth"
    assert truth["diversity_agreement"] == 1

    thief = {key: measure.values["thief"].value for key, measure in found.items() if measure.values["thief"]}
    assert thief["nearest_features"] == thief["nearest_pixels"] == 0
    assert thief["very_near_features"] == thief["very_near_pixels"] == 1
    assert thief["ssim"] < 0.9
    assert found["judge_mmd2_seeded"].values["thief"] is None, "without an encoder all styles are from seeds"


def test_a_thief_who_mirrors_is_caught(pairs: list[Pair]) -> None:
    """Training mirrors pictures, so what is learned by heart may come out either way."""
    known = [Pair("known", np.roll(pair.image, 40, axis=1), pair.labels, {}) for pair in pairs]
    stolen = {pair.labels.tobytes(): one.image[:, ::-1] for pair, one in zip(pairs, known, strict=True)}
    thief = Answering(lambda labels, seed: np.ascontiguousarray(stolen[labels.tobytes()]), has_encoder=False)
    found = figures(gathered_of(pairs, known, thief=thief))
    assert found["nearest_pixels"].values["thief"].value < 1, "grey levels: thumbnails are rounded"
    assert found["very_near_pixels"].values["thief"].value == 1


def test_noise_and_one_grey_are_told_from_pictures(pairs: list[Pair]) -> None:
    def noise(labels: np.ndarray, seed: int) -> np.ndarray:
        values = np.random.default_rng(seed).integers(0, 256, (*labels.shape, 1))
        return values.astype(np.uint8).repeat(3, axis=2)

    def grey(labels: np.ndarray, seed: int) -> np.ndarray:
        return np.full((*labels.shape, 3), 60 + 20 * seed, np.uint8)

    found = figures(gathered_of(pairs, [], noise=Answering(noise), grey=Answering(grey)))
    assert "nearest_features" not in found, "there is nothing to be near to"
    distance = found["judge_mmd2"]
    assert distance.values["noise"].low > 0
    assert distance.values["grey"].low > 0
    assert found["trace_weave"].values["noise"].value == pytest.approx(1, abs=0.2)
    diverse = found["diversity_ciede2000"].values
    assert diverse["grey"].value > 5, "here seeds change the light"
    assert diverse["noise"].value < 1


def test_fid_has_a_row_where_there_is_a_network(pairs: list[Pair]) -> None:
    def mean_colours(picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        colours = torch.from_numpy(picture.mean((0, 1), dtype=np.float32))
        return colours, colours / 50

    photos = {pair.labels.tobytes(): pair.image for pair in pairs}
    found = figures(
        gathered_of(
            pairs,
            pairs,
            mean_colours,
            truth=Answering(lambda labels, seed: photos[labels.tobytes()], has_encoder=False),
            negative=Answering(lambda labels, seed: 255 - photos[labels.tobytes()], has_encoder=False),
        )
    )
    assert found["fid"].values["truth"].value == pytest.approx(0, abs=0.5)
    means = np.stack([pair.image.mean((0, 1)) for pair in pairs])
    apart = ((255 - 2 * means.mean(0)) ** 2).sum()
    assert found["fid"].values["negative"].value == pytest.approx(apart, rel=1e-3), "spreads are the same"
    assert found["fid"].references[0].figure.value == pytest.approx(0, abs=0.5)
    assert {"kid", "inception_score"} <= set(found)
    assert "fid_seeded" not in found, "neither has an encoder"


def test_fid_of_styles_from_seeds_has_a_row_of_its_own(pairs: list[Pair]) -> None:
    """A photo's own style helps a model; what it paints without one is not hidden."""

    def mean_colours(picture: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        colours = torch.from_numpy(picture.mean((0, 1), dtype=np.float32))
        return colours, colours / 50

    class Styled(Answering):
        def paint(self, labels: np.ndarray, code: tuple[float, ...] | None, seed: int) -> np.ndarray:
            picture = photos[labels.tobytes()]
            return picture if code is not None else 255 - picture

    photos = {pair.labels.tobytes(): pair.image for pair in pairs}
    plain = Answering(lambda labels, seed: photos[labels.tobytes()], has_encoder=False)
    styled = Styled(lambda labels, seed: photos[labels.tobytes()])
    gathered = gathered_of(pairs, [], mean_colours, styled=styled, plain=plain)
    assert any("hold one without it against" in part.note for part in sections(gathered, LABELS, BOOTSTRAP))
    found = figures(gathered)
    assert found["fid"].values["styled"].value == pytest.approx(0, abs=0.5)
    assert found["fid_seeded"].values["styled"].value > 100
    assert found["fid_seeded"].values["plain"] is None
    assert found["fid_seeded"].title == "FID, styles from seeds"


def test_pictures_are_cut_and_small_ones_named(pairs: list[Pair]) -> None:
    cut = CutPairs(pairs, 40)
    assert [pair.labels.shape for pair in cut[1:4]] == [(120, 80), (120, 120), (120, 160)]
    assert np.array_equal(cut[1].image, pairs[1].image[4:124, 8:88])
    with pytest.raises(EvaluationError, match=f"picture {pairs[0].name} is 64×128, and 128×128 is the least"):
        CutPairs(pairs, 128)[0]
    with pytest.raises(EvaluationError, match="3 pictures: an evaluation takes 4"):
        gathered_of(pairs[:3], [])


# -- Painting


def test_engine_and_plain_networks_agree(tmp_path: Path, baseline: Path) -> None:
    labels = np.full((50, 70), 1, np.uint8)
    labels[20:] = 8
    for path in (write_tiny_model(tmp_path), baseline):
        engine, plain = EngineSource(path, LABELS, "cpu", "fp32"), PlainSource(path, LABELS)
        photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        code = engine.style_of(photo)
        assert code == plain.style_of(photo)
        for one in {code, None}:
            difference = engine.paint(labels, one, 7).astype(int) - plain.paint(labels, one, 7)
            assert np.abs(difference).max() <= 1
        assert engine.has_encoder is engine.is_random is (path != baseline)


def test_maps_of_another_set_are_converted_by_meaning(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path)
    coco = load_label_set("coco182")
    theirs, ours = PlainSource(path, coco), PlainSource(path, LABELS)
    assert theirs.converted
    assert not ours.converted
    labels = np.full((32, 32), coco.by_name["sky-other"].id, np.uint8)
    labels[16:] = coco.by_name["grass"].id
    same = np.where(labels == labels[0, 0], LABELS.by_name["sky"].id, LABELS.by_name["grass"].id)
    assert np.array_equal(theirs.paint(labels, None, 1), ours.paint(same.astype(np.uint8), None, 1))
    (painted,) = painted_maps(1, 64, coco)
    assert painted.shape == (64, 64)
    assert set(np.unique(painted)) <= set(coco.by_id)


def test_columns_have_titles_of_their_own(tmp_path: Path) -> None:
    named = [(Path(f"{stem}.safetensors"), SimpleNamespace(name=name)) for stem, name in
             [("a", "Land"), ("b", "Land"), ("c", "Sea"), ("a", "Land")]]  # fmt: skip
    made: Any = named
    assert column_titles(made) == ["Land (a) 1", "Land (b)", "Sea", "Land (a) 4"]
    made = [(Path("mine.safetensors"), SimpleNamespace(name="real"))]
    assert column_titles(made) == ["real (mine)"], "the real pictures' own column"


# -- The command


class Page(HTMLParser):
    """What a page consists of, and whatever it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.images: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            if tag == "img" and name == "src":
                self.images.append(value or "")
            elif name in {"src", "href", "srcset", "action", "data", "style", "onclick", "onload"}:
                self.references.append(f"{tag} {name}")


def test_the_command_writes_table_metrics_and_report(
    tmp_path: Path, small: Path, judge: Path, baseline: Path
) -> None:
    model, out = write_tiny_model(tmp_path), tmp_path / "out"
    arguments = [
        "evaluate",
        model,
        baseline,
        small,
        "--judge",
        judge,
        "--out",
        out,
        "--maps",
        1,
        "--seeds",
        2,
    ]
    arguments += ["--resamples", 200, "--painted", 1, "--shown", 2, "--device", "cpu", "--precision", "fp32"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "Tiny" in result.stdout
    assert "Baseline" in result.stdout
    assert "mIoU" in result.stdout
    assert "FID, KID and IS of Inception features: not computed" in result.stdout

    document = Document.model_validate_json((out / "metrics.json").read_text(encoding="utf-8"))
    assert [entry.column for entry in document.models] == ["Tiny", "Baseline"]
    assert document.settings.sizes == {"128×128": 4}
    assert document.settings.split == "validation"
    assert document.settings.training_pictures == 4
    assert document.settings.painted_maps == 1
    keys = [measure.key for section in document.sections for measure in section.measures]
    assert len(set(keys)) == len(keys)
    assert {"miou", "judge_mmd2", "ssim", "trace_grid", "repetition", "diversity_ciede2000"} <= set(keys)
    assert {"nearest_features", "painted_miou"} <= set(keys)
    assert not {"fid", "kid", "inception_score"} & set(keys), "no figure without the real network"
    for section in document.sections:
        for measure in section.measures:
            assert set(measure.values) == {"Tiny", "Baseline"}
            for figure in measure.values.values():
                if figure is not None and figure.low is not None and figure.high is not None:
                    assert figure.low <= figure.high
    assert document.measure("diversity_agreement").values["Baseline"].value == 1, "it has one picture a map"
    table = (out / "table.md").read_text(encoding="utf-8")
    assert table == markdown(document)
    assert "\nIoU by class:\n\n| class | real | Tiny | Baseline |\n" in table
    _check_report((out / "report.html").read_text(encoding="utf-8"))


def _check_report(text: str) -> None:
    page = Page()
    page.feed(text)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert not page.references
    assert "url(" not in text
    assert "http:" not in text
    assert "https:" not in text
    # Two rows of map, photo, two pictures of the first model and one of the second; one painted map and two
    # pictures; the nearest of the real pictures and of two models', by two measures, four pairs each.
    assert len(page.images) == 2 * 5 + 3 + 3 * 2 * 4 * 2
    for uri in page.images:
        kind, _, data = uri.partition(";base64,")
        assert kind in {"data:image/jpeg", "data:image/png"}
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            picture.load()
            assert max(picture.size) <= 256


def test_an_evaluation_is_repeatable_and_the_test_split_says_what_it_is_for(
    tmp_path: Path, small: Path, judge: Path
) -> None:
    request = Request(
        [write_tiny_model(tmp_path)], judge, small, split="test", training=False, maps=1, seeds=2,
        resamples=200, device="cpu", precision="fp32",
    )  # fmt: skip
    first, second = (measured(request, lambda text: None)[0] for _ in range(2))
    assert first == second
    assert any("choices are made on validation" in note for note in first.notes)
    assert any("left out on request" in note for note in first.notes)


def test_names_are_printed_as_they_are(tmp_path: Path, small: Path, judge: Path) -> None:
    """Rich reads "[/b]" as markup that was never opened, and "[v2]" as a style."""
    path = write_tiny_model(tmp_path)
    loaded = load(path)
    name = "Land [v2] [/b]"
    save(path, replace(loaded.spec, name=name), loaded.generator, loaded.encoder)
    said = io.StringIO()
    request = Request(
        [path], judge, small, training=False, maps=1, seeds=2, resamples=200, device="cpu", precision="fp32"
    )
    evaluate(request, tmp_path / "out [1] [/b]", Console(file=said, width=300))
    assert name in said.getvalue()


def test_broken_training_pictures_are_not_passed_over(tmp_path: Path, small: Path, judge: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(small, folder)
    name = read_pairs(small, "train", 1)[0].name
    Image.new("L", (3, 3)).save(folder / "labels" / f"{name}.png")
    request = Request(
        [write_tiny_model(tmp_path)], judge, folder, maps=1, seeds=2, resamples=200, device="cpu"
    )
    with pytest.raises(DataError, match=name):
        measured(request, lambda text: None)


def test_a_folder_that_cannot_be_written_is_said_first(tmp_path: Path, small: Path, judge: Path) -> None:
    out = tmp_path / "out"
    out.write_text("a file")
    nothing = tmp_path / "nothing"  # looked at later
    with pytest.raises(FileExistsError):
        evaluate(Request([write_tiny_model(tmp_path)], judge, nothing), out, Console())


def test_the_module_prints_markdown_and_errors_for_people(
    tmp_path: Path,
    small: Path,
    judge: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = write_tiny_model(tmp_path)
    command = ["evaluation", str(model), str(small), "--judge", str(judge), "--no-training", "--maps", "1"]
    command += ["--seeds", "2", "--resamples", "200", "--out", str(tmp_path / "out"), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", [*command, "--markdown"])
    assert module.main() == 0
    printed = capsys.readouterr().out
    assert "| measure | held against | Tiny |\n| --- | --- | ---: |\n" in printed
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["format"] == "scenebrush.evaluation.v1"

    monkeypatch.setattr(sys, "argv", [*command, "--inception", str(tmp_path / "nothing.pth")])
    assert module.main() == 1
    assert "no file at" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resamples": 10}, "take 200 or more"),
        ({"limit": -1}, "--limit -1: an evaluation takes 4"),
        ({"seeds": 1}, "1 map and 2 seeds"),
        ({"painted": 1000}, "there are 32 crude maps"),
        ({"judge": "model"}, "both a model and the judge"),
        ({"models": ["judge"]}, "both a model and the judge"),
    ],
)
def test_what_cannot_be_evaluated_is_said(
    tmp_path: Path, small: Path, judge: Path, change: dict[str, Any], words: str
) -> None:
    model = write_tiny_model(tmp_path)
    files = {"model": model, "judge": judge}
    given: dict[str, Any] = {"models": [model], "judge": judge, "data": small}
    if change.get("judge"):
        change = {"judge": files[change["judge"]]}
    if change.get("models"):
        change = {"models": [files[name] for name in change["models"]]}
    with pytest.raises(EvaluationError, match=words):
        evaluate(Request(**given | change), tmp_path / "out", Console())
    assert not (tmp_path / "out").exists()


def test_the_module_and_the_command_have_the_same_options() -> None:
    command = typer.main.get_command(app).commands["evaluate"]  # type: ignore[attr-defined]
    ours = {parameter.name: parameter for parameter in command.params if parameter.name != "help"}
    theirs = {action.dest: action for action in module.parser()._actions if action.dest != "help"}
    assert ours.keys() == theirs.keys()
    for name, action in theirs.items():
        if not action.required:
            assert ours[name].default == action.default, name
