"""The `evaluate` command: models, a judge and pairs in; a table, metrics.json and a report out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from rich.console import Console

from engine.device import choose
from models.checkpoint import LoadedSegmenter, load_segmenter
from models.labels import LabelSet, convert, load_label_set
from training.data import Pair, Split, fitted, read_pairs
from training.evaluation.document import Document, JudgeEntry, ModelEntry, Settings
from training.evaluation.features import Judge
from training.evaluation.gathering import CutPairs, EvaluationError, Gathered, Plan, gather, stride_of
from training.evaluation.inception import Inception
from training.evaluation.looking import Observer
from training.evaluation.measures import sections
from training.evaluation.painting import Source, column_titles, open_source
from training.evaluation.report import album, render
from training.evaluation.statistics import Bootstrap
from training.evaluation.table import markdown, print_table
from training.layouts import listing_of
from training.scenes import SCENES, hand_painted

PAINTED_SET = "landscape17"  # of the crude maps
METRICS, REPORT, TABLE = "metrics.json", "report.html", "table.md"


@dataclass(frozen=True)
class Request:
    """Everything that an evaluation depends on.

    models, judge: checkpoints. data, layout: a source of pairs, see `training.data`. split: whose pictures.
    limit: only the first so many. training: also compare with the training pictures of `data`. painted: how
    many crude maps. maps, seeds: of the diversity. shown: pictures in the report. inception: path of the
    published weights, "download", or None for no FID. plain: paint with plain networks, not the engine.
    """

    models: Sequence[Path]
    judge: Path
    data: Path
    split: Split = "validation"
    limit: int | None = None
    layout: str = "auto"
    training: bool = True
    painted: int = 0
    maps: int = 10
    seeds: int = 10
    resamples: int = 1_000
    shown: int = 24
    inception: str | None = None
    device: str = "auto"
    precision: str = "auto"
    plain: bool = False
    threads: int | None = None


def split_named(name: str) -> Split:
    """A split by its name; raises EvaluationError."""
    for split in get_args(Split):
        if split == name:
            return split
    raise EvaluationError(f"--split {name}: there are {', '.join(get_args(Split))}")


def evaluate(request: Request, out: Path, console: Console, markdown_only: bool = False) -> Document:
    """Evaluate, write `out/metrics.json`, `out/report.html` and `out/table.md`, and print the table.

    Args:
        console: where the table goes; progress goes to stderr.
        markdown_only: print the table in Markdown, to be pasted.

    Raises:
        DataError, EvaluationError, InceptionError, CheckpointError, EngineError: with a message for a person.
    """
    if request.threads:
        torch.set_num_threads(request.threads)
    check(request)
    out.mkdir(parents=True, exist_ok=True)  # what cannot be written is said before hours of painting
    progress = Console(stderr=True)
    document, gathered, labels = measured(
        request, lambda text: progress.print(text, markup=False, highlight=False)
    )
    (out / METRICS).write_text(document.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / REPORT).write_text(render(document, album(gathered, labels, request.shown)), encoding="utf-8")
    (out / TABLE).write_text(markdown(document), encoding="utf-8")
    if markdown_only:
        console.print(markdown(document), markup=False, highlight=False, soft_wrap=True, end="")
    else:
        print_table(document, console)
    progress.print(f"written to {out}: {METRICS}, {REPORT}, {TABLE}", markup=False, highlight=False)
    return document


def measured(request: Request, say: Callable[[str], None]) -> tuple[Document, Gathered, LabelSet]:
    """The evaluation itself; nothing is written."""
    check(request)
    loaded = load_segmenter(request.judge)
    labels, device = loaded.spec.labels, choose(request.device, request.precision).device
    inception = Inception(request.inception, device) if request.inception else None
    judge = Judge(loaded.network, labels, device)
    found = [
        open_source(path, labels, request.device, request.precision, request.plain) for path in request.models
    ]
    titles = column_titles([(source.path, source.spec) for source in found])
    sources = list(zip(titles, found, strict=True))
    read = read_pairs(request.data, request.split, request.limit, request.layout, labels)
    pairs = CutPairs(fitted(read, labels, 1), stride_of(found, judge.stride))
    bootstrap = Bootstrap(request.resamples)
    gathered = gather(
        sources,
        Observer(judge, inception),
        pairs,
        _training_pairs(request, labels, judge.stride),
        painted_maps(request.painted, min(pairs[0].labels.shape), labels) if request.painted else [],
        Plan(request.maps, request.seeds),
        say,
    )
    say("figures")
    document = Document(
        data=request.data.resolve().name,
        settings=_settings(request, gathered, labels),
        judge=_judge_entry(request.judge, loaded),
        models=[_model_entry(title, source) for title, source in sources],
        sections=sections(gathered, labels, bootstrap),
        classes_left_out=gathered.real.reading(labels, bootstrap).left_out,
        notes=_notes(request, gathered, sources),
    )
    return document, gathered, labels


def check(request: Request) -> None:
    """Raises EvaluationError for what cannot be evaluated."""
    if request.limit is not None and request.limit < 4:
        raise EvaluationError(f"--limit {request.limit}: an evaluation takes 4 pictures or more")
    if request.resamples < Bootstrap.LEAST:
        raise EvaluationError(f"--resamples {request.resamples}: take {Bootstrap.LEAST} or more")
    if not 0 <= request.painted <= len(SCENES):
        raise EvaluationError(f"--painted {request.painted}: there are {len(SCENES)} crude maps")
    if request.seeds < 2 or request.maps < 1:
        raise EvaluationError(
            f"--maps {request.maps} --seeds {request.seeds}: diversity takes 1 map and 2 seeds at least"
        )
    judge = _digest(request.judge) if request.judge.is_file() else ""
    if any(path.is_file() and _digest(path) == judge for path in request.models):
        raise EvaluationError(f"{request.judge} is both a model and the judge")


def _training_pairs(request: Request, labels: LabelSet, stride: int) -> Sequence[Pair]:
    if not request.training or request.split == "train":
        return []
    if not any(item.split == "train" for item in listing_of(request.data, request.layout, labels).items):
        return []
    read = read_pairs(request.data, "train", None, request.layout, labels)
    return CutPairs(fitted(read, labels, 1), stride)


def painted_maps(count: int, side: int, labels: LabelSet) -> list[np.ndarray]:
    """The first crude maps of `training.scenes`, uint8 (side, side), in a label set: converted by meaning."""
    ids = np.arange(256, dtype=np.uint8)
    for number, match in convert(load_label_set(PAINTED_SET), labels).items():
        ids[number] = match.target
    return [ids[hand_painted(number, side)] for number in range(count)]


def _settings(request: Request, gathered: Gathered, labels: LabelSet) -> Settings:
    sizes = Counter(gathered.real.sizes)
    compute = choose(request.device, request.precision)
    engine = f"engine, {compute.precision} on {compute.name}"
    return Settings(
        split=request.split,
        pictures=len(gathered.pairs),
        sizes=dict(sizes.most_common()),
        label_set=labels.name,
        training_pictures=len(gathered.known),
        painted_maps=len(gathered.painted),
        diversity_maps=min(request.maps, len(gathered.pairs)),
        diversity_seeds=request.seeds,
        resamples=request.resamples,
        painter="plain networks, fp32" if request.plain else engine,
        torch=torch.__version__,
        scenebrush=_version(),
    )


def _version() -> str:
    try:
        return version("scenebrush")
    except PackageNotFoundError:
        return "dev"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _model_entry(title: str, source: Source) -> ModelEntry:
    if source.has_encoder:
        style = "each photo's own style, and styles from seeds"
    else:
        style = "styles from seeds" if source.is_random else "one picture a map, no style"
    spec = source.spec
    return ModelEntry(
        column=title,
        id=spec.id,
        name=spec.name,
        architecture=spec.architecture,
        file=source.path.name,
        sha256=_digest(source.path),
        style=style,
    )


def _judge_entry(path: Path, loaded: LoadedSegmenter) -> JudgeEntry:
    spec = loaded.spec
    return JudgeEntry(
        id=spec.id, name=spec.name, architecture=spec.architecture, file=path.name, sha256=_digest(path)
    )


def _notes(request: Request, gathered: Gathered, sources: Sequence[tuple[str, Source]]) -> list[str]:
    notes: list[str] = []
    if request.split == "test":
        notes.append("Test pictures are for the final figures: choices are made on validation pictures.")
    if request.split == "train":
        notes.append("These are training pictures: figures say nothing of new ones.")
    if request.inception is None:
        notes.append(
            "FID, KID and IS of Inception features: not computed, for want of the published weights "
            "(--inception). The judge distance is another measure and not comparable with them."
        )
    if not gathered.known.pooled and request.split != "train":
        notes.append("Not compared with training pictures: " + _why_no_training(request))
    notes += [
        f"{title} has the label set {source.spec.labels.name!r}: maps were converted by meaning."
        for title, source in sources
        if source.converted
    ]
    return notes


def _why_no_training(request: Request) -> str:
    return "the source holds none." if request.training else "left out on request."
