"""The page: HTML that is not cached, and its files under an address with their hash, cached for ever."""

from __future__ import annotations

import mimetypes
import os
import posixpath
import re
import stat
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from starlette.exceptions import HTTPException
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


def page_template(templates: Path) -> Template:
    """The page's template, compiled anew only when its file has changed: that holds the event loop up."""
    return _templates_in(templates).get_template("index.html")


@lru_cache(maxsize=4)
def _templates_in(folder: Path) -> Environment:
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def studio(request: Request, services: ServicesOf) -> HTMLResponse:
    """The studio."""
    return render_page(request, services)


def render_page(
    request: Request, services: Services, status: int = 200, share: str | None = None
) -> HTMLResponse:
    """The studio's HTML; with a `share` it opens that shared painting first."""
    base = services.settings.root_path
    html = page_template(services.page.templates).render(
        base=base,
        assets=f"{base}/assets/{services.page.hash}",
        modules=modules_of(services.page.static),
        version=request.app.version,
        share=share,
    )
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGE_POLICY}
    return HTMLResponse(html, status, headers)


class ImmutableFiles(StaticFiles):
    """Files whose address changes with their content.

    They are kept in memory once they were read: the page asks for more than a hundred at once, and opening a
    file on another thread would take longer than sending it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._kept: dict[str, tuple[int, bytes]] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        full_path, stat_result = self.lookup_path(path)
        if stat_result is None or not stat.S_ISREG(stat_result.st_mode):
            raise HTTPException(404)
        media_type = mimetypes.guess_type(full_path)[0] or "application/octet-stream"
        response = Response(self._content(full_path, stat_result), media_type=media_type)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response

    def _content(self, path: str, stat_result: os.stat_result) -> bytes:
        """What is in a file; read again when it has changed, as it does under somebody who works on it."""
        changed, content = self._kept.get(path, (None, b""))
        if changed != stat_result.st_mtime_ns:
            content = Path(path).read_bytes()
            self._kept[path] = (stat_result.st_mtime_ns, content)
        return content


def mount_assets(app: FastAPI, page: Page) -> None:
    """Serve the page's files under their hash; older hashes are 404."""
    modules_of(page.static)  # looked through now, while nobody waits for the page
    app.mount(f"/assets/{page.hash}", ImmutableFiles(directory=page.static), name="assets")
