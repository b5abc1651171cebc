"""Where the page's files are: beside the server package, in a checkout and in an installed wheel alike."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


class MissingPageError(RuntimeError):
    """The page's files are not where they belong."""


@dataclass(frozen=True, slots=True)
class Page:
    """The folders of the page, and a hash over all that is in `static`, which its addresses carry."""

    static: Path
    templates: Path
    hash: str


def find_page(root: Path | None = None) -> Page:
    """The folders `static` and `templates` beside this package. Raises MissingPageError.

    Both names are common in site-packages, so each folder must hold a file that is certainly ours.
    """
    base = root if root is not None else Path(__file__).resolve().parent.parent
    static, templates = base / "static", base / "templates"
    for mark in (static / "js" / "main.js", templates / "index.html"):
        if not mark.is_file():
            raise MissingPageError(
                f"{mark} is missing, so the studio page cannot be served. Scenebrush's own folders static/ "
                "and templates/ stand beside its server/ package; install it again, or run it from a whole "
                "checkout."
            )
    return Page(static, templates, content_hash(static))


def content_hash(folder: Path) -> str:
    """Sixteen hex digits over the names and contents of all files below the folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
