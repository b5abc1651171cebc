"""One edit, from the files that were sent to the file that goes back. Nothing here waits or knows the web.

The route runs `prepare` and `finish` beside the event loop, and what lies between on the device.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engine import MAX_SEED, Library
from models.labels import LabelSet
from models.spec import ModelSpec
from server.codecs import decode_map, encode_map
from server.editing.compose import Mixing, put_in, restored
from server.editing.plan import Box, Canvas, Plan, Region, bounding_box, plan_crop
from server.embedded import Embedded, read_embedded
from server.errors import Problem
from server.limits import Limits
from server.maps import Map, Pixels, resize_nearest
from server.photos import Photo, Samples, decode_photo, decode_region
from server.provenance import PictureMetadata
from server.rendering import Patch, RenderRequest
from server.requests import style_code
from server.schemas_editing import EditRequest
from server.segmenting import in_labels
from server.styles import encodes_styles
from server.uploads import missing_file

STYLE_SIDE: Final = 512
"""Photos are brought to this longer side before their style is read; encoders reduce them further."""
_SAME_STYLE: Final = 1e-4
"""Codes that differ by no more than this in any number are one."""


@dataclass(frozen=True, slots=True)
class EditLimits:
    """Most pixels of a photo and of a label map that are read, and the largest picture that is painted."""

    photo_pixels: int
    map_pixels: int
    painted: Limits


@dataclass(frozen=True, slots=True)
class Restoring:
    """A region that is taken back from a source photo; the files have been read."""

    fields: EditRequest
    spec: ModelSpec
    photo: Photo
    region: Region
    source: Photo


@dataclass(frozen=True, slots=True)
class Painting:
    """A region that is painted anew; the files have been read.

    before, after: label maps of the whole picture, uint8 of any size, if they are known. label: what the
    region becomes, if it is one thing. style: the code that was asked for; own: the one that the picture says
    it has.
    """

    fields: EditRequest
    spec: ModelSpec
    photo: Photo
    region: Region
    plan: Plan
    seed: int
    before: Map | None
    after: Map | None
    label: int | None
    style: tuple[float, ...] | None
    own: tuple[float, ...] | None
    carries_map: bool

    @property
    def reads_style(self) -> bool:
        """Whether the model's encoder has to look at the picture."""
        return self.own is None and encodes_styles(self.spec)

    @property
    def reads_labels(self) -> bool:
        """Whether a segmenter has to look at the picture."""
        return self.before is None and self.after is None

    def crop(self, longest: int) -> Pixels:
        """The part that is painted, as a segmenter reads it."""
        box = self.plan.box
        return Photo(self.photo.samples[box.rows, box.columns]).rgb(longest)


Job = Restoring | Painting


def model_of(fields: EditRequest, photo: Photo, library: Library) -> ModelSpec:
    """The model that was named, else the one that painted the picture, else the default."""
    said = read_embedded(photo.text, 0) if fields.model is None else None
    if said is not None and any(spec.id == said.model for spec in library.specs()):
        return library.spec(said.model)
    return library.spec(fields.model)


def prepare(fields: EditRequest, files: Mapping[str, bytes], library: Library, limits: EditLimits) -> Job:
    """Read the files and decide what is to be done. Raises Problem or EngineError."""
    photo = decode_photo(files["image"], limits.photo_pixels, "image")
    spec = model_of(fields, photo, library)
    if fields.action == "restore":
        return _restore(fields, files, spec, photo, limits)
    return _painting(fields, files, spec, photo, limits)


def _restore(
    fields: EditRequest, files: Mapping[str, bytes], spec: ModelSpec, photo: Photo, limits: EditLimits
) -> Restoring:
    if "source" not in files:
        raise missing_file("source")
    source = decode_photo(files["source"], limits.photo_pixels, "source")
    if (source.width, source.height) != (photo.width, photo.height):
        raise Problem(
            422,
            "source-size",
            "The source photo has another size",
            f"It has {source.width}×{source.height} pixels, and the image {photo.width}×{photo.height}.",
            "Send the photo that the image was made from, in its own size.",
        )
    region = _region(files, photo, None, None, limits)
    return Restoring(fields, spec, photo, region, source)


def _painting(
    fields: EditRequest, files: Mapping[str, bytes], spec: ModelSpec, photo: Photo, limits: EditLimits
) -> Painting:
    """Where to paint, and from which seed and style: the picture's own, as far as it says them."""
    embedded = read_embedded(photo.text, limits.map_pixels)
    sent = _map(files, "map", spec.labels, limits)
    before = sent if sent is not None else _embedded_map(embedded, spec.labels)
    after, label = _wanted(fields, files, spec, limits)
    region = _region(files, photo, before, after, limits)
    ours = embedded if embedded is not None and embedded.model == spec.id and embedded.whole else None
    around = bounding_box(region) or Box(0, 0, photo.width, photo.height)
    return Painting(
        fields,
        spec,
        photo,
        region,
        plan_crop((photo.width, photo.height), around, _canvas(spec, limits), whole=ours is not None),
        _seed(fields, ours),
        before,
        after,
        label,
        style=None if fields.style is None else style_code(spec, fields.style),
        own=_own_style(spec, ours),
        carries_map=sent is None and before is not None,
    )


def _map(files: Mapping[str, bytes], name: str, labels: LabelSet, limits: EditLimits) -> Map | None:
    return decode_map(files[name], labels, limits.map_pixels) if name in files else None


def _embedded_map(embedded: Embedded | None, labels: LabelSet) -> Map | None:
    if embedded is None or embedded.map is None or embedded.labels is None:
        return None
    return in_labels(embedded.map, embedded.labels, labels).map


def _wanted(
    fields: EditRequest, files: Mapping[str, bytes], spec: ModelSpec, limits: EditLimits
) -> tuple[Map | None, int | None]:
    """The map as it shall be, or the label that the region gets; neither for resample."""
    after = _map(files, "new_map", spec.labels, limits)
    if fields.action == "resample":
        if after is not None:
            raise _one_of("new_map goes with the action relabel only", "Leave it out, or relabel.")
        return None, None
    if (after is None) == (fields.label is None):
        said = "neither was sent" if after is None else "both were sent"
        raise _one_of(f"relabel takes either label or new_map, and {said}", "Send one of them.")
    return after, None if fields.label is None else _label(fields.label, spec.labels)


def _one_of(why: str, next_step: str) -> Problem:
    return Problem(422, "invalid-value", "A value does not fit", f"{why}.", next_step)


def _label(label: int | str, labels: LabelSet) -> int:
    if isinstance(label, str) and not label.isdecimal():
        found = labels.by_name.get(label)
    else:
        found = labels.by_id.get(int(label))
    if found is None:
        raise Problem(
            422,
            "no-such-label",
            "Unknown label",
            f"The label set {labels.name!r} has no label {str(label)[:100]!r}.",
            "Use an id or a name that GET /models lists.",
        )
    return found.id


def _region(
    files: Mapping[str, bytes], photo: Photo, before: Map | None, after: Map | None, limits: EditLimits
) -> Region:
    size = photo.width, photo.height
    if "region" in files:
        mask = decode_region(files["region"], limits.photo_pixels)
    elif before is not None and after is not None:
        mask = resize_nearest(before, after.shape[1], after.shape[0]) != after
    else:
        raise missing_file("region")
    region = resize_nearest(mask.view(np.uint8), *size).view(np.bool_)
    if not region.any():
        raise Problem(
            422,
            "empty-region",
            "The region is empty",
            "No pixel of the picture lies in it, so nothing would change.",
            "Paint the mask white where the edit goes; black is outside.",
        )
    return region


def _canvas(spec: ModelSpec, limits: EditLimits) -> Canvas:
    most = limits.painted.max_side
    largest = spec.largest or (most, most)
    fitting = min(largest[0], most), min(largest[1], most)
    return Canvas(spec.native, spec.stride, fitting, limits.painted.max_pixels)


def _seed(fields: EditRequest, ours: Embedded | None) -> int:
    if fields.seed is not None:
        return fields.seed
    if fields.action == "relabel" and ours is not None and ours.seed is not None:
        return ours.seed
    return secrets.randbelow(MAX_SEED + 1)


def _own_style(spec: ModelSpec, ours: Embedded | None) -> tuple[float, ...] | None:
    if ours is None or ours.by_region or len(ours.style) != spec.style_dim:
        return None
    return ours.style


# -- What is painted


def requests(job: Painting, seen: Map | None, own: tuple[float, ...] | None) -> list[RenderRequest]:
    """The pictures to paint: the crop, and, where another style than the picture's own is wanted, the crop in
    its own style too, which tells how the model's colours differ from the picture's.

    Args:
        seen: the crop's labels in the model's set, any size, if a segmenter has read them.
        own: the picture's style code, if the model reads or knows one.
    """
    style = job.style if job.style is not None else own
    wanted = RenderRequest(
        spec=job.spec,
        model=job.spec.id,
        width=job.plan.width,
        height=job.plan.height,
        seed=job.seed,
        style=style,
        changes=(Patch(0, 0, _painted_map(job, seen)),),
    )
    if own is None or style is None or len(style) != len(own):
        return [wanted]
    differs = max((abs(a - b) for a, b in zip(style, own, strict=True)), default=0) > _SAME_STYLE
    return [wanted, replace(wanted, style=own)] if differs else [wanted]


def _painted_map(job: Painting, seen: Map | None) -> Map:
    """The crop's labels as they shall be, at the size at which it is painted."""
    plan, size = job.plan, (job.photo.width, job.photo.height)
    known = job.before if job.before is not None else job.after
    if seen is not None:
        labels = resize_nearest(seen, plan.width, plan.height).copy()
    elif known is not None:
        labels = _sampled(known, size, plan)
    else:
        raise ValueError("nobody has read the picture's labels")
    inside = _sampled(job.region.view(np.uint8), size, plan) > 0
    if job.label is not None:
        labels[inside] = job.label
    elif job.after is not None:
        labels[inside] = _sampled(job.after, size, plan)[inside]
    return np.ascontiguousarray(labels)


def _sampled(plane: Map, size: tuple[int, int], plan: Plan) -> Map:
    """A plane that covers the whole picture, at the centres of the painting's pixels."""
    rows = _places(plan.box.y, plan.box.height, plan.height, size[1], plane.shape[0])
    columns = _places(plan.box.x, plan.box.width, plan.width, size[0], plane.shape[1])
    return plane[rows[:, None], columns[None, :]]


def _places(
    start: int, length: int, painted: int, whole: int, cells: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    centres = start * 2 * painted + (2 * np.arange(painted, dtype=np.int64) + 1) * length
    return np.minimum(centres * cells // (2 * painted * whole), cells - 1)


# -- What comes of it


@dataclass(frozen=True, slots=True)
class Finished:
    """The edited photo, and what its file says of itself."""

    photo: Photo
    feather: float
    metadata: PictureMetadata


def restore(job: Restoring) -> Finished:
    """Put the source back."""
    source = _as(job.source.samples, job.photo.samples)
    samples, feather = restored(job.photo.samples, source, job.region, job.fields.feather)
    metadata = PictureMetadata("edited", job.spec.id, job.spec.licence)
    return Finished(Photo(samples, job.photo.profile), feather, metadata)


def finish(job: Painting, painted: Sequence[Pixels], style: tuple[float, ...], *, embed: bool) -> Finished:
    """Put the painting in. `painted` are the pictures of `requests`, `style` the code of the first; `embed`
    says whether the file is one that can hold the map."""
    mixing = Mixing(job.fields.blend, job.fields.feather)
    samples, feather = put_in(
        job.photo.samples, painted[0], job.region, job.plan, mixing, reference=painted[-1]
    )
    metadata = PictureMetadata(
        "edited",
        job.spec.id,
        job.spec.licence,
        seed=job.seed,
        style=style,
        style_id=job.fields.style if isinstance(job.fields.style, str) else None,
        labels=job.spec.labels,
        map=_map_now(job) if embed and (job.fields.embed_map or job.carries_map) else None,
    )
    return Finished(Photo(samples, job.photo.profile), feather, metadata)


def _map_now(job: Painting) -> bytes | None:
    """The whole picture's map after the edit; None where nobody knows it all."""
    if job.before is None:
        return None
    labels = job.before if job.after is None else resize_nearest(job.before, *job.after.shape[::-1])
    inside = resize_nearest(job.region.view(np.uint8), *labels.shape[::-1]) > 0
    labels = labels.copy()
    if job.label is not None:
        labels[inside] = job.label
    elif job.after is not None:
        labels[inside] = job.after[inside]
    return encode_map(labels, job.spec.labels)


def _as(samples: Samples, like: Samples) -> Samples:
    """Another photo's colours in the kind of this one: its depth, and colours or grey."""
    colours = samples[..., :3] if samples.shape[2] >= 3 else samples[..., :1]
    if samples.dtype != like.dtype:
        wide = colours.astype(np.uint32)
        colours = (wide * 257 if like.dtype == np.uint16 else (wide + 128) // 257).astype(like.dtype)
    if like.shape[2] >= 3:
        return np.broadcast_to(colours, (*colours.shape[:2], 3))
    if colours.shape[2] == 1:
        return colours
    luma = colours.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(luma)[..., None].astype(like.dtype)
