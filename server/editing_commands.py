"""What `scenebrush edit`, `segment` and `segmenter fetch` do, without a server."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from engine import Library
from server import edits
from server.codecs import encode_map, format_of_name
from server.edits import STYLE_SIDE, EditLimits, Finished, Job, Restoring
from server.errors import Problem
from server.limits import Limits
from server.maps import Map, resize_nearest
from server.photos import check_format, decode_photo, encode_photo
from server.protocol import PictureFormat
from server.rendering import Renderer
from server.schemas_editing import EditRequest, SegmentRequest
from server.segmenting import (
    READING_SIDE,
    REPOSITORY,
    Segmenters,
    default_folder,
    in_labels,
    map_size,
    shares,
)
from server.segmenting import fetch as fetch_segmenter
from server.services import open_library
from server.settings import Settings


def edit(settings: Settings, output: Path, files: Mapping[str, Path], given: dict[str, object]) -> None:
    """Edit a region of a picture, and nothing else."""
    picture_format = _format_of(output)
    fields = EditRequest.model_validate({key: value for key, value in given.items() if value is not None})
    data = {name: path.read_bytes() for name, path in files.items()}
    limits = EditLimits(
        settings.max_photo_pixels, settings.max_map_pixels, Limits(settings.max_side, settings.max_pixels)
    )
    with _busy("Loading the model"):
        library = open_library(settings)
    job = edits.prepare(fields, data, library, limits)
    check_format(job.photo, picture_format)
    with _busy("Editing"):
        finished = _carried_out(job, library, _segmenters(settings, library), embed=picture_format == "png")
    quality = fields.quality if fields.quality is not None else settings.jpeg_quality
    output.write_bytes(encode_photo(finished.photo, picture_format, quality, finished.metadata))
    typer.echo(f"{output}: {_said(job, picture_format)}", err=True)


def _said(job: Job, picture_format: PictureFormat) -> str:
    exact = "JPEG changes all of it a little" if picture_format == "jpeg" else "equal outside the region"
    seed = "" if isinstance(job, Restoring) else f", seed {job.seed}, model {job.spec.id}"
    return f"{job.photo.width}×{job.photo.height}, {exact}{seed}"


def _carried_out(job: Job, library: Library, segmenters: Segmenters, *, embed: bool) -> Finished:
    if isinstance(job, Restoring):
        return edits.restore(job)
    seen: Map | None = None
    if job.reads_labels:
        reader = segmenters.find(job.fields.segmenter)
        labels = segmenters.read(job.crop(READING_SIDE), reader)
        seen = in_labels(labels, reader.labels, job.spec.labels).map
    own = library.style_of(job.photo.rgb(STYLE_SIDE), job.spec) if job.reads_style else job.own
    renderer = Renderer(library)
    painted = [renderer.render(request) for request in edits.requests(job, seen, own)]
    return edits.finish(job, [one.picture for one in painted], painted[0].style, embed=embed)


def segment(settings: Settings, photo: Path, output: Path, given: dict[str, object]) -> None:
    """Read a photo's label map."""
    if output.suffix.lower() != ".png":
        raise _ending(output, ".png: label maps are palette PNGs")
    fields = SegmentRequest.model_validate({key: value for key, value in given.items() if value is not None})
    picture = decode_photo(photo.read_bytes(), settings.max_photo_pixels)
    with _busy("Loading the segmenter"):
        library = open_library(settings)
    spec, segmenters = library.spec(fields.model), _segmenters(settings, library)
    reader = segmenters.find(fields.segmenter)
    with _busy("Reading"):
        seen = in_labels(segmenters.read(picture.rgb(READING_SIDE), reader), reader.labels, spec.labels)
    size = map_size((picture.width, picture.height), fields.max_side, settings.max_map_pixels)
    labels = resize_nearest(seen.map, *size)
    output.write_bytes(encode_map(labels, spec.labels))
    found = ", ".join(f"{label.name} {share:.0%}" for label, share in shares(labels, spec.labels))
    typer.echo(f"{output}: {size[0]}×{size[1]}, {found}", err=True)


def fetch(settings: Settings, *, force: bool) -> None:
    """Download the pretrained segmenter."""
    folder = settings.pretrained_segmenter or default_folder()
    with _busy(f"Fetching {REPOSITORY}"):
        fetch_segmenter(folder, force=force)
    typer.echo(f"{folder}: {REPOSITORY}. Servers started from now on offer it as 'ade20k'.", err=True)


def _segmenters(settings: Settings, library: Library) -> Segmenters:
    return Segmenters(library, settings.pretrained_segmenter or default_folder())


def _format_of(output: Path) -> PictureFormat:
    picture_format = format_of_name(output.name)
    if picture_format is None:
        raise _ending(output, ".png, .webp or .jpg")
    return picture_format


def _ending(output: Path, wanted: str) -> Problem:
    return Problem(
        422,
        "invalid-value",
        "No such picture format",
        f"{output.name!r} has another ending than {wanted}.",
        "Give the output that ending.",
    )


@contextmanager
def _busy(what: str) -> Generator[None]:
    with Console(stderr=True).status(f"{what} …"):
        yield
