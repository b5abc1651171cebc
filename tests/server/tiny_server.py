"""What the tests of /edit, /segment and /styles share: an app on tiny models, and the questions put to it."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import httpx

from engine import Library
from tests.server.photographs import write_tiny_segmenter
from tests.tiny import write_tiny_model, write_tiny_pix2pix


@functools.cache
def tiny_library() -> Library:
    """A model with an encoder (`tiny`), one without (`plain`), and a segmenter (`reader`)."""
    folder = Path(tempfile.mkdtemp(prefix="scenebrush-tiny-"))
    write_tiny_model(folder)
    write_tiny_pix2pix(folder)
    write_tiny_segmenter(folder)
    return Library([folder], default="tiny", device="cpu", precision="fp32", threads=1)


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == f"urn:scenebrush:problem:{code}", body
    assert all(body[field] for field in ("title", "detail", "next", "request_id"))
    return body
