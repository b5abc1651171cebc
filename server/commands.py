"""What the command line's commands do. server/cli.py imports this only when one of them runs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from engine import EngineError, Library
from models.checkpoint import CheckpointError, parameter_count, read_spec
from models.importing import check_output, import_model, write_model
from models.labels import BUILTIN_SETS, LabelError, LabelSet, load_label_set, read_label_set
from models.published import UPSAMPLINGS
from models.readings import ImportOptions
from models.spec import ModelSpec
from server import logs
from server.app import create_app
from server.cluster import environment
from server.codecs import decode_map, format_of_name
from server.errors import Problem
from server.limits import Limits
from server.loadtool.errors import LoadError
from server.protocol import PictureFormat
from server.rendering import Renderer
from server.requests import Order, check_format, order_of, picture_file
from server.resources import MissingPageError
from server.schemas import GenerateRequest
from server.services import open_library
from server.serving import make_server
from server.settings import Settings, SeveralWorkersError, refuse_several_workers
from server.sharing.database import UnusableDatabase
from server.styles import decode_style_map
from server.tracing import UntraceableError


def settings_of(given: dict[str, object]) -> Settings:
    """The environment's settings, with the options that were given on top. Raises ValidationError."""
    return Settings.model_validate({name: value for name, value in given.items() if value is not None})


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl+C."""
    refuse_several_workers()
    logs.configure(settings.log_format, settings.log_level)
    if settings.ray:
        _serve_cluster(settings)
        return
    server = make_server(create_app(settings, open_library(settings)), settings, on_started=_say_where)
    try:
        server.run()
    except KeyboardInterrupt:
        return  # the server has drained, and passes Ctrl+C on for those who want to know
    if not server.started:
        raise typer.Exit(1)


def _serve_cluster(settings: Settings) -> None:
    environment.prepare(settings)
    try:
        from server.cluster.launch import serve_cluster  # noqa: PLC0415 (an extra, and slow to import)
    except ModuleNotFoundError as error:
        raise Problem(
            501,
            "extra-missing",
            "Many machines need an extra",
            f"The library {error.name} is not installed.",
            "Install it: pip install 'scenebrush[ray]'",
        ) from None
    serve_cluster(settings, on_started=_say_where)


def _say_where(url: str) -> None:
    if sys.stderr.isatty():
        typer.secho(f"\n  Scenebrush is at {url}  (Ctrl+C stops it)\n", err=True, bold=True)


def render(
    settings: Settings, mask: Path, output: Path, given: dict[str, object], style_map: Path | None = None
) -> None:
    """Paint one label map into a photo."""
    fields = GenerateRequest.model_validate({key: value for key, value in given.items() if value is not None})
    picture_format = _format_of(output)
    check_format(fields, picture_format)
    data, where = mask.read_bytes(), style_map.read_bytes() if style_map is not None else None
    with _busy("Loading the model"):
        library = open_library(settings)
    spec, most = library.spec(fields.model), settings.max_map_pixels
    order = order_of(
        spec,
        fields,
        decode_map(data, spec.labels, most),
        Limits(settings.max_side, settings.max_pixels),
        style_map=None if where is None else decode_style_map(where, most),
    )
    with _busy("Painting"):
        rendered = Renderer(library).render(order.request)
    quality = fields.quality if fields.quality is not None else settings.jpeg_quality
    output.write_bytes(picture_file(order, rendered, picture_format, quality))
    typer.echo(
        f"{output}: {'×'.join(map(str, order.size))}{_painted_smaller(order)}, seed {order.request.seed}, "
        f"model {spec.id}, {rendered.seconds:.2f} s",
        err=True,
    )


def _painted_smaller(order: Order) -> str:
    painted = order.request.width, order.request.height
    return "" if painted == order.size else f" (enlarged from {painted[0]}×{painted[1]})"


def _format_of(output: Path) -> PictureFormat:
    picture_format = format_of_name(output.name)
    if picture_format is None:
        raise Problem(
            422,
            "invalid-value",
            "No such picture format",
            f"{output.name!r} does not end in .jpg, .png or .webp.",
            "Give the output one of these endings.",
        )
    return picture_format


@contextmanager
def _busy(what: str) -> Generator[None]:
    with Console(stderr=True).status(f"{what} …"):
        yield


def list_models(settings: Settings, *, as_json: bool) -> None:
    """Print the models at hand."""
    library = open_library(settings)
    if as_json:
        typer.echo(json.dumps([_summary(spec) for spec in library.specs()], indent=2, ensure_ascii=False))
    else:
        _print_models(library)


def inspect(file: Path, *, as_json: bool) -> None:
    """Print what a model file says about itself."""
    spec, parameters = read_spec(file), parameter_count(file)
    if as_json:
        described = {**_summary(spec), "parameters": parameters}
        typer.echo(json.dumps(described, indent=2, ensure_ascii=False))
    else:
        _print_spec(spec, parameters, file)


def import_checkpoint(
    file: Path,
    output: Path,
    given: dict[str, Any],
    *,
    encoder: Path | None,
    model_id: str | None,
    name: str | None,
    licence: str | None,
    force: bool,
) -> None:
    """Make a model of a public checkpoint."""
    check_output(output, replace=force)
    if given["upsampling"] not in (None, *UPSAMPLINGS):
        raise _unknown("--upsampling", given["upsampling"], UPSAMPLINGS)
    said: dict[str, Any] = given | {"labels": _labels_of(given["labels"])}
    with _busy(f"Reading {file.name}"):
        model = import_model(
            file,
            model_id or _id_of(output),
            ImportOptions(**said),
            encoder=encoder,
            name=name,
            licence=licence,
        )
        write_model(model, output, replace=force)
    spec, parameters = model.spec, parameter_count(output)
    style = f"style of {spec.style_dim} numbers, " if spec.style_dim else ""
    typer.echo(
        f"{output}: {spec.name}, {parameters:,} parameters, {len(spec.labels.labels)} labels, {style}"
        f"{spec.provenance['training pictures']} pixels, licence {spec.licence}\n"
        f"Paint with it: scenebrush serve --models-dir {output.parent} --model {spec.id}",
        err=True,
    )


def _labels_of(text: str | None) -> int | LabelSet | None:
    """--labels: a number, a built-in set's name, or a file."""
    if text is None:
        return None
    if text.isdecimal():
        return int(text)
    if text in BUILTIN_SETS:
        return load_label_set(text)
    if text.endswith((".json", ".toml")):
        return read_label_set(Path(text))
    raise _unknown("--labels", text, ("a number", *BUILTIN_SETS, "a .json file", "a .toml file"))


def _unknown(option: str, value: str, choices: Sequence[str]) -> Problem:
    return Problem(
        422, "invalid-value", f"{option} {value}", "There is no such choice.", f"Use {', '.join(choices)}."
    )


def _id_of(output: Path) -> str:
    """A model id from a file's name: "My COCO.safetensors" → my-coco."""
    return re.sub(r"[^a-z0-9._-]+", "-", output.stem.lower()).strip("-._")[:64] or "imported"


def _summary(spec: ModelSpec) -> dict[str, Any]:
    """A model's description as plain data, without the architecture's inner options."""
    described = json.loads(spec.to_json())
    described["labels"]["hash"] = spec.labels.hash
    return {key: value for key, value in described.items() if key not in ("format", "options")}


def _print_models(library: Library) -> None:
    table = Table(box=None, header_style="bold")
    for column in ("id", "name", "labels", "size", "parameters", "licence"):
        table.add_column(column, justify="right" if column in ("size", "parameters") else "left")
    for spec in library.specs():
        mark = " (default)" if spec.id == library.default_id else ""
        labels = f"{len(spec.labels.labels)} ({spec.labels.name})"
        table.add_row(
            f"{spec.id}{mark}",
            spec.name,
            labels,
            "×".join(map(str, spec.native)),
            f"{library.parameters(spec.id):,}",
            spec.licence,
        )
    Console().print(table)
    for problem in library.problems:
        typer.secho(f"passed over: {problem}", fg="yellow", err=True)


def _print_spec(spec: ModelSpec, parameters: int, file: Path) -> None:
    facts = Table(box=None, show_header=False)
    facts.add_column(style="bold")
    facts.add_column()
    for name, value in (
        ("file", f"{file} ({file.stat().st_size / 2**20:.1f} MiB)"),
        ("id", spec.id),
        ("name", spec.name),
        ("architecture", spec.architecture),
        ("parameters", f"{parameters:,}"),
        ("trained at", _sizes(spec)),
        ("style code", f"{spec.style_dim} numbers" if spec.style_dim else "none"),
        ("named styles", ", ".join(style.id for style in spec.styles) or "none"),
        ("licence", spec.licence),
        ("label set", f"{spec.labels.name}, {len(spec.labels.labels)} labels, {spec.labels.hash}"),
    ):
        facts.add_row(name, value)
    labels = Table(box=None, header_style="bold")
    for column in ("id", "label", "group", "colour"):
        labels.add_column(column, justify="right" if column == "id" else "left")
    for label in spec.labels.labels:
        red, green, blue = label.color
        swatch = f"[on rgb({red},{green},{blue})]    [/] #{red:02x}{green:02x}{blue:02x}"
        labels.add_row(str(label.id), label.name, label.group, swatch)
    console = Console()
    console.print(facts)
    console.print(labels)
    console.print(json.dumps(dict(spec.provenance), indent=2, ensure_ascii=False, default=str), markup=False)


def _sizes(spec: ModelSpec) -> str:
    width, height = spec.native
    most = "; no larger" if spec.largest else ""
    return f"{width}×{height} pixels{most}; sides in steps of {spec.stride}"


def in_words(error: Exception) -> tuple[str, str, str] | None:
    """(what, why, next) of an error that whoever runs the command can mend, else None."""
    match error:
        case Problem():
            return error.title, error.detail, error.next_step
        case EngineError() | CheckpointError() | LoadError():
            return error.what, error.why, error.next
        case ValidationError():
            return "A value does not fit", _said(error), "--help lists options, docs/settings.md settings."
        case (
            MissingPageError()
            | SeveralWorkersError()
            | UnusableDatabase()
            | UntraceableError()
            | LabelError()
        ):
            return str(error), "", ""
        case OSError():
            return error.strerror or "Reading or writing failed", str(error.filename or error), ""
        case _:
            return None


def _said(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or 'value'}: {one['msg']}"
        for one in error.errors(include_url=False)
    )
