"""The shapes of /edit, /segment and /styles, as /docs shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from engine import MAX_SEED
from server.editing.blend import Blend
from server.protocol import PictureFormat
from server.schemas import Format, Style

MAX_FEATHER = 4096
Action = Literal["relabel", "resample", "restore"]
ModelId = Annotated[str, Field(max_length=200)] | SkipJsonSchema[None]
SegmenterId = Annotated[str, Field(max_length=200)] | SkipJsonSchema[None]
Side = Annotated[int, Field(ge=1, le=65535)] | SkipJsonSchema[None]

IMAGE = "The picture to edit: PNG (8 or 16 bits a channel, palette, alpha), JPEG or WebP."
REGION = (
    "Where to edit: a mask of any size, stretched over the picture; above 0 is inside. PNG or WebP: white on "
    "black, a palette or greyscale of numbers, or transparency. Unset: where map and new_map differ."
)
MAP = (
    "The label map of the picture as it is, in the model's labels, of any size. Unset: the map that the "
    "picture carries, if it is a PNG that was made with embed_map; else what a segmenter sees."
)
NEW_MAP = "relabel: the label map as it shall be, instead of one label."
SOURCE = "restore: the photo from which the region is taken back, of the picture's size."
PHOTO = "The photo: PNG, JPEG or WebP."


class EditRequest(BaseModel):
    """What to do in the region, beside the files."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    action: Action = Field(
        description="relabel: other things stand there. resample: the same things once more, from another "
        "seed or in another style. restore: what the source photo shows there.",
        examples=["relabel"],
    )
    label: (
        Annotated[int, Field(ge=0, le=254)] | Annotated[str, Field(max_length=100)] | SkipJsonSchema[None]
    ) = Field(
        None, description="relabel: the region's label, by id or name of the model's set.", examples=["sea"]
    )
    model: ModelId = Field(
        None,
        description="Model id. Unset: the model that painted the picture, if it is a PNG that says so; else "
        "the default one.",
        examples=["landscape"],
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | SkipJsonSchema[None] = Field(
        None,
        description="Seed of the noise. Unset: random, and returned; for relabel in a picture that says its "
        "own, that.",
        examples=[7],
    )
    style: Style = Field(
        None,
        description="The id of one of the model's styles, or a style code. Unset: the picture's own, by the "
        "model's encoder, so that the light fits.",
        examples=["golden-hour"],
    )
    segmenter: SegmenterId = Field(
        None,
        description="Which segmenter reads the picture where no map is sent. Unset: the first of /models.",
    )
    feather: Annotated[float, Field(ge=0, le=MAX_FEATHER, allow_inf_nan=False)] | SkipJsonSchema[None] = (
        Field(
            None,
            description="Pixels of the picture over which the edit fades in, inside the region; 0 for a hard "
            "edge. Unset: what suits its size.",
            examples=[12],
        )
    )
    blend: Blend = Field(
        "pyramid",
        description="How painting and picture are joined. pyramid: coarse colours over a wider feather than "
        "fine detail. feather: plainly. poisson: the painting takes the colours around it, which suits the "
        "same things once more and no others.",
    )
    format: Format | SkipJsonSchema[None] = Field(
        None,
        description="png, webp (lossless) or jpeg. Unset: png, with 16 bits where the picture has them, "
        "unless Accept takes none. Only jpeg changes pixels outside the region, and the answer says so.",
        examples=["png"],
    )
    quality: Annotated[int, Field(ge=1, le=100)] | SkipJsonSchema[None] = Field(
        None, description="Quality of JPEG. Unset: the server's own, 92 unless it was changed."
    )
    embed_map: bool = Field(
        False,
        description="PNG only: the file holds the label map as it is now. Set by itself for a picture that "
        "came with its map.",
    )

    @model_validator(mode="after")
    def _fitting(self) -> EditRequest:
        if self.label is not None and self.action != "relabel":
            raise ValueError("label goes with the action relabel only")
        return self


class Box(BaseModel):
    """A rectangle of the picture, in its pixels."""

    x: int
    y: int
    width: int
    height: int


class Painted(BaseModel):
    """What was painted anew: this part of the picture, at that size."""

    box: Box
    width: int
    height: int


class Edited(BaseModel):
    """The answer to /edit on `Accept: application/json`."""

    model_config = ConfigDict(protected_namespaces=())

    image: str = Field(description="The picture file in base64.")
    format: PictureFormat
    media_type: str
    width: int
    height: int
    exact: bool = Field(description="Whether every pixel outside the region equals the picture sent.")
    action: Action
    model: str
    seed: int | None = Field(description="What the region was painted with; null for restore.")
    style: list[float] = Field(description="The style code that it was painted in; empty for restore.")
    blend: Blend
    feather: float = Field(description="Pixels of the picture over which the edit fades in.")
    region_pixels: int = Field(description="Pixels that could change.")
    painted: Painted | None = Field(description="Null for restore.")
    segmenter: str | None = Field(description="Who read the picture's labels; null if a map was at hand.")


class SegmentRequest(BaseModel):
    """How to read the photo. All fields are optional."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: ModelId = Field(
        None,
        description="The model whose labels the map is to have. Unset: the default one.",
        examples=["landscape"],
    )
    segmenter: SegmenterId = Field(
        None,
        description="Segmenter id, as GET /models lists them. Unset: the first one.",
        examples=["ade20k"],
    )
    max_side: Side = Field(
        None,
        description="Longest side of the map. Unset: the photo's own, as far as the limit on maps goes.",
        examples=[512],
    )


class LabelShare(BaseModel):
    """A label of the map; share: of its pixels, 0 to 1."""

    id: int
    name: str
    share: float


class LabelRef(BaseModel):
    """A label of a set."""

    id: int
    name: str


class Converted(BaseModel):
    """A label that the segmenter saw, and the model's label that it became."""

    seen: LabelRef
    became: LabelRef
    exact: bool = Field(description="Whether both mean the same; else a related or broader label was found.")
    share: float


class Segmented(BaseModel):
    """The answer to /segment on `Accept: application/json`."""

    model_config = ConfigDict(protected_namespaces=())

    map: str = Field(description="The label map in base64: a palette PNG in the model's labels.")
    width: int
    height: int
    photo_width: int
    photo_height: int
    model: str
    label_set: str = Field(description="Hash of the label set that the map is in.")
    segmenter: str
    shares: list[LabelShare] = Field(description="The labels of the map, the largest first.")
    converted: list[Converted] = Field(description="What the segmenter saw, the largest first.")


class StylesRequest(BaseModel):
    """Whose style codes are wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: ModelId = Field(
        None,
        description="The model whose encoder reads the photo. Unset: the default one.",
        examples=["landscape"],
    )


class StyleOf(BaseModel):
    """The answer to /styles."""

    model_config = ConfigDict(protected_namespaces=())

    model: str
    style: list[float] = Field(description="The style code: what /generate and /edit take as style.")
