"""The page: HTML that is not cached, and its files under an address with their hash, cached for ever."""

from __future__ import annotations

import os
import posixpath
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from server.resources import Page
from server.services import Services, ServicesOf

router = APIRouter()

PAGE_POLICY: Final = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)

ENTRY: Final = "js/boot.js"
# Static imports, and the ones that are awaited: the page needs them all before it is ready.
IMPORT = re.compile(r'(?:\bfrom |\bimport\(|^import )"(\.\.?/[^"]+\.js)"', re.MULTILINE)


@lru_cache(maxsize=4)
def modules_of(static: Path) -> tuple[str, ...]:
    """Every module that the page loads, by its path below `static`, in the order of a walk from the first.

    The browser would find them only one layer of imports after the other; named in the page, they are all
    fetched at once.
    """
    found: dict[str, None] = {}
    waiting = [ENTRY]
    while waiting:
        module = waiting.pop(0)
        if module in found or not (static / module).is_file():
            continue
        found[module] = None
        text = (static / module).read_text(encoding="utf-8")
        # Comments name types by import("…") too: fetched early, those modules do no harm.
        waiting += [
            posixpath.normpath(posixpath.join(posixpath.dirname(module), target))
            for target in IMPORT.findall(text)
        ]
    return tuple(found)


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def studio(request: Request, services: ServicesOf) -> HTMLResponse:
    """The studio."""
    return render_page(request, services)


def render_page(
    request: Request, services: Services, status: int = 200, share: str | None = None
) -> HTMLResponse:
    """The studio's HTML; with a `share` it opens that shared painting first."""
    base = services.settings.root_path
    # Read anew each time: it is small, and a change shows at the next reload.
    templates = Environment(
        loader=FileSystemLoader(services.page.templates), autoescape=True, undefined=StrictUndefined
    )
    html = templates.get_template("index.html").render(
        base=base,
        assets=f"{base}/assets/{services.page.hash}",
        modules=modules_of(services.page.static),
        version=request.app.version,
        share=share,
    )
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
    return HTMLResponse(html, status, headers)


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
