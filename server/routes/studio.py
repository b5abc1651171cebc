"""The page: HTML that is not cached, and its files under an address with their hash, cached for ever."""

from __future__ import annotations

import os
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.resources import Page
from server.services import ServicesOf

router = APIRouter()

PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def studio(request: Request, services: ServicesOf) -> HTMLResponse:
    """The studio."""
    base = services.settings.root_path
    # Read anew each time: it is small, and a change shows at the next reload.
    templates = Environment(
        loader=FileSystemLoader(services.page.templates), autoescape=True, undefined=StrictUndefined
    )
    html = templates.get_template("index.html").render(
        base=base, assets=f"{base}/assets/{services.page.hash}", version=request.app.version
    )
    return HTMLResponse(html, headers={"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY})


class ImmutableFiles(StaticFiles):
    """Files whose address changes with their content."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def mount_assets(app: FastAPI, page: Page) -> None:
    """Serve the page's files under their hash; older hashes are 404."""
    app.mount(f"/assets/{page.hash}", ImmutableFiles(directory=page.static), name="assets")
