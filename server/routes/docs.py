"""The interactive API description. Swagger UI's files come from an installed package, not another host."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from jinja2 import Environment
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from server.services import ServicesOf

router = APIRouter(include_in_schema=False)

# Swagger UI writes style attributes and shows icons as data: addresses; scripts come from our own files only.
DOCS_POLICY: Final = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Scenebrush API</title>
<link rel="icon" href="{{ base }}/docs/files/favicon-32x32.png">
<link rel="stylesheet" href="{{ base }}/docs/files/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{{ base }}/docs/files/swagger-ui-bundle.js"></script>
<script src="{{ base }}/docs/start.js"></script>
</body>
</html>
"""


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs(services: ServicesOf) -> HTMLResponse:
    """Swagger UI on this server's OpenAPI description."""
    html = Environment(autoescape=True).from_string(_PAGE).render(base=services.settings.root_path)
    return HTMLResponse(html, headers={"Content-Security-Policy": DOCS_POLICY, "Cache-Control": "no-cache"})


@router.get("/docs/start.js")
async def start(services: ServicesOf) -> Response:
    """Starts Swagger UI: a file of its own, as the page's policy forbids inline scripts."""
    options = {
        "url": f"{services.settings.root_path}/openapi.json",
        "dom_id": "#swagger-ui",
        "deepLinking": True,
        "validatorUrl": None,  # it would ask another host
    }
    script = f"SwaggerUIBundle({json.dumps(options)});\n"
    return Response(script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


def mount_files(app: FastAPI) -> None:
    """Serve Swagger UI 5, which reads OpenAPI 3.1, from the package fastapi-swagger."""
    with resources.as_file(resources.files("fastapi_swagger") / "resources") as folder:
        app.mount("/docs/files", StaticFiles(directory=Path(folder)), name="swagger")
