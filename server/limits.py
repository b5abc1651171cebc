"""How large a picture may be."""

from __future__ import annotations

from dataclasses import dataclass

from server.errors import Problem


@dataclass(frozen=True, slots=True)
class Limits:
    """Largest canvas."""

    max_side: int
    max_pixels: int

    def check(self, width: int, height: int) -> None:
        """Raise Problem if a picture of that size is too large for the server."""
        if max(width, height) > self.max_side or width * height > self.max_pixels:
            raise Problem(
                422,
                "picture-too-large",
                "The picture is too large",
                f"{width}×{height} pixels were asked for; this server paints at most {self.max_side} on a "
                f"side and {self.max_pixels} in all.",
                "Ask for a smaller width and height.",
            )
