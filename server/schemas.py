"""The shapes of REST's requests and answers, as /docs shows them."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from engine import MAX_SEED, MAX_STYLE
from models.spec import MAX_STYLE_DIM
from server.errors import PROBLEM_TYPE
from server.protocol import MAX_REGIONS, PictureFormat

StyleValue = Annotated[float, Field(ge=-MAX_STYLE, le=MAX_STYLE, allow_inf_nan=False)]
# fail_fast: thousands of wrong numbers are one error, not thousands.
StyleCode = Annotated[list[StyleValue], Field(max_length=MAX_STYLE_DIM, fail_fast=True)]
StyleName = Annotated[str, Field(max_length=64)]


def _kind_of_style(value: object) -> Literal["none", "name", "code"]:
    return "none" if value is None else "name" if isinstance(value, str) else "code"


# Told apart by hand, so that an error speaks of what was sent and not of everything that could have been.
Style = Annotated[
    Annotated[StyleCode, Tag("code")]
    | Annotated[StyleName, Tag("name")]
    | Annotated[SkipJsonSchema[None], Tag("none")],
    Discriminator(_kind_of_style),
]

NamedOrCode = Annotated[
    Annotated[StyleCode, Tag("code")] | Annotated[StyleName, Tag("name")], Discriminator(_kind_of_style)
]

STYLE_MAP = (
    "Which style each pixel takes, for models that paint styles by region (styles_by_region in /models): an "
    "8-bit palette or greyscale PNG of any size, 0 for the picture's own style, k for the k-th of styles."
)
INSTANCES = (
    "The instance map, for models that read one (instance_edges in /models): a greyscale PNG of 16 or 8 bits "
    "and of the mask's size, whose values tell one thing from another. Unset: each class is one thing."
)


def _lower(value: object) -> object:
    return "jpeg" if value == "jpg" else value


Format = Annotated[PictureFormat, BeforeValidator(_lower)]


class GenerateRequest(BaseModel):
    """What to paint, beside the mask. All fields are optional."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # SkipJsonSchema: a form cannot send null, and "not sent" is all that it means.
    model: Annotated[str, Field(max_length=200)] | SkipJsonSchema[None] = Field(
        None,
        description="Model id, as GET /models lists them. Unset: the default model.",
        examples=["landscape"],
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | SkipJsonSchema[None] = Field(
        None,
        description="Seed of the noise and, without a style, of the light. Unset: random, and returned.",
        examples=[7],
    )
    style: Style = Field(
        None,
        description="The id of one of the model's styles, or a style code: as many numbers as the model's "
        f"style_dim, each within ±{MAX_STYLE:g}. Unset: drawn from the seed.",
        examples=["golden-hour"],
    )
    width: Annotated[int, Field(ge=1, le=65535)] | SkipJsonSchema[None] = Field(
        None,
        description="Width of the picture; the mask is resized to it. Unset: the mask's own shape decides.",
        examples=[512],
    )
    height: Annotated[int, Field(ge=1, le=65535)] | SkipJsonSchema[None] = Field(
        None, description="Height, likewise.", examples=[512]
    )
    format: Format | SkipJsonSchema[None] = Field(
        None, description="jpeg, png or webp. Unset: by the Accept header, else jpeg.", examples=["png"]
    )
    styles: Annotated[list[NamedOrCode], Field(max_length=MAX_REGIONS)] = Field(
        [],
        description="The styles of regions, by name or code; style_map says where each of them is. In a "
        "form, a JSON array.",
        examples=[["golden-hour", "noon"]],
    )
    quality: Annotated[int, Field(ge=1, le=100)] | SkipJsonSchema[None] = Field(
        None,
        description="Quality of JPEG and WebP, 1 to 100. Unset: the server's own, 92 unless it was changed.",
        examples=[92],
    )
    lossless: bool = Field(
        False, description="WebP whose pixels are the painted ones, as a PNG's always are.", examples=[True]
    )
    embed_map: bool = Field(
        False,
        description="PNG only: the file holds its label map, so that the studio can open it and paint on.",
        examples=[True],
    )


class Generated(BaseModel):
    """The answer to /generate on `Accept: application/json`."""

    image: str = Field(description="The picture file in base64.")
    format: PictureFormat
    media_type: str
    width: int
    height: int
    painted_width: int = Field(
        description="Width at which the model painted it: less where it paints none as large."
    )
    painted_height: int = Field(description="Height, likewise.")
    seed: int
    model: str
    style: list[float] = Field(description="The style code that it was painted with.")
    styles: list[list[float]] = Field(description="The style codes of its regions.")


class LabelInfo(BaseModel):
    """One class of a label set."""

    id: int
    name: str
    color: tuple[int, int, int] = Field(description="RGB, 0 to 255.")
    group: str
    concepts: tuple[str, ...] = Field(
        description="What it means, then broader or related meanings, nearest first. Labels of two sets that "
        "share their first concept mean the same."
    )


class LabelSetInfo(BaseModel):
    """The classes that a model paints."""

    hash: str = Field(description="Names the set: equal for equal ids and names.")
    name: str
    ignore: int | None = Field(description="The id that means 'not labelled', if there is one.")
    labels: list[LabelInfo]


class StyleInfo(BaseModel):
    """A style code that has a name."""

    id: str = Field(description="What /generate takes as style.")
    title: str
    code: tuple[float, ...] = Field(description="As many numbers as the model's style_dim.")


class ModelInfo(BaseModel):
    """One model."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    name: str
    default: bool
    architecture: str
    licence: str
    provenance: dict[str, Any]
    parameters: int = Field(description="Numbers that the model learned.")
    stride: int = Field(description="Sides are a multiple of this inside the network; others are padded.")
    native_width: int = Field(description="Width of the pictures it was trained on: the size to begin with.")
    native_height: int = Field(description="Their height.")
    largest_width: int | None = Field(
        description="Widest picture it paints; larger ones are enlarged. Null: it paints any size."
    )
    largest_height: int | None = Field(description="Highest picture it paints, likewise.")
    style_dim: int = Field(description="Numbers in a style code; 0 if the model takes none.")
    styles: list[StyleInfo] = Field(description="Its styles that have a name, in the order to offer them.")
    styles_by_region: bool = Field(description="Whether regions of one picture can have styles of their own.")
    encodes_styles: bool = Field(description="Whether it reads the style of a photo.")
    instance_edges: bool = Field(description="Whether it reads an instance map: the edges between things.")
    max_side: int
    max_pixels: int
    label_set: LabelSetInfo


class SegmenterInfo(BaseModel):
    """Something that reads photos."""

    id: str = Field(description="What /segment and /edit take as segmenter.")
    name: str
    label_set: str = Field(description="Hash of its own label set; its maps come in the asked model's.")
    licence: str
    default: bool


class ModelList(BaseModel):
    """All models."""

    models: list[ModelInfo]
    segmenters: list[SegmenterInfo] = Field(description="What reads photos, the default one first.")
    sharing: bool = Field(description="Whether paintings can be shared by a link: POST /shares.")
    problems: list[str] = Field(description="Why model files in the server's folders were passed over.")


class ShareMade(BaseModel):
    """A painting that is shared from now on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "3fJ9xQ0bTzqW7n2LkRmV5A",
                    "url": "/s/3fJ9xQ0bTzqW7n2LkRmV5A",
                    "delete_token": "kX2…",
                    "expires": "2027-01-31T12:00:00Z",
                }
            ]
        }
    )

    id: str = Field(description="128 random bits in base64url: whoever has it may open the painting.")
    url: str = Field(description="The page that opens it, on this server.")
    delete_token: str = Field(description="What deletes it. The server keeps its hash alone.")
    expires: datetime | None = Field(description="When it is deleted; null: never.")


class Health(BaseModel):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The server paints."""

    status: Literal["ready"] = "ready"
    model: str
    device: str
    precision: str


class ProblemInfo(BaseModel):
    """An RFC 9457 problem document. What went wrong, why, and what next."""

    type: str = Field(description="A URN that ends in a stable code.")
    title: str
    status: int
    detail: str
    next: str = Field(description="What to do about it.")
    request_id: str | None = None


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's words for the problem answers of a route."""
    content = {PROBLEM_TYPE: {"schema": ProblemInfo.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}
