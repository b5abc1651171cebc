"""Which models there are, what they paint and under which licence."""

from __future__ import annotations

from fastapi import APIRouter

from engine import paints_styles_by_region
from models.labels import LabelSet, meanings
from models.spec import ModelSpec
from server.schemas import (
    LabelInfo,
    LabelSetInfo,
    ModelInfo,
    ModelList,
    SegmenterInfo,
    StyleInfo,
    problem_responses,
)
from server.services import Services, ServicesOf, reads_instances
from server.styles import encodes_styles

router = APIRouter(tags=["models"])


@router.get("/models", summary="All models")
async def list_models(services: ServicesOf) -> ModelList:
    """Their label sets, licences and limits."""
    return ModelList(
        models=[_info(spec, services) for spec in services.library.specs()],
        segmenters=[
            SegmenterInfo(
                id=one.id,
                name=one.name,
                label_set=one.labels.hash,
                licence=one.licence,
                default=number == 0,
            )
            for number, one in enumerate(services.segmenters.known())
        ],
        sharing=services.sharing is not None,
        problems=services.library.file_problems,
    )


@router.get("/models/{model_id}", summary="One model", responses=problem_responses(404, 422))
async def show_model(model_id: str, services: ServicesOf) -> ModelInfo:
    """Its label set, licence and limits."""
    return _info(services.library.spec(model_id), services)


def _info(spec: ModelSpec, services: Services) -> ModelInfo:
    return ModelInfo(
        id=spec.id,
        name=spec.name,
        default=spec.id == services.library.default_id,
        architecture=spec.architecture,
        licence=spec.licence,
        provenance=dict(spec.provenance),
        parameters=services.library.parameters(spec.id),
        stride=spec.stride,
        native_width=spec.native[0],
        native_height=spec.native[1],
        largest_width=spec.largest[0] if spec.largest else None,
        largest_height=spec.largest[1] if spec.largest else None,
        style_dim=spec.style_dim,
        styles=[StyleInfo(id=style.id, title=style.title, code=style.code) for style in spec.styles],
        styles_by_region=paints_styles_by_region(spec),
        encodes_styles=encodes_styles(spec),
        instance_edges=reads_instances(spec),
        max_side=services.settings.max_side,
        max_pixels=services.settings.max_pixels,
        label_set=_label_set(spec.labels),
    )


def _label_set(labels: LabelSet) -> LabelSetInfo:
    return LabelSetInfo(
        hash=labels.hash,
        name=labels.name,
        ignore=labels.ignore,
        labels=[
            LabelInfo(
                id=label.id,
                name=label.name,
                color=label.color,
                group=label.group,
                concepts=meanings(label.name),
            )
            for label in labels.labels
        ],
    )
