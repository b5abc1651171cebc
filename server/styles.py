"""What a model can do with styles, and styles by region: which style each pixel takes, as a number; 0 is the
picture's own.

A plane of style numbers is uint8 (height, width), as a label map is.
"""

from __future__ import annotations

import numpy as np

from models.spec import ModelSpec
from server.codecs import decode_numbers
from server.errors import Problem
from server.maps import Map


def decode_style_map(data: bytes, max_pixels: int) -> Map:
    """A style map's file as numbers. Raises Problem."""
    try:
        return decode_numbers(data, max_pixels)
    except Problem as problem:
        raise Problem(
            problem.status,
            problem.code,
            "The style map cannot be read",
            f"The file style_map: {problem.detail}",
            "Save it as an 8-bit palette or greyscale PNG: 0 for the picture's own style, k for the k-th of "
            "styles.",
        ) from None


def encodes_styles(spec: ModelSpec) -> bool:
    """Whether the model has an encoder that reads the style of a photo."""
    widths = (spec.options.get(name) for name in ("encoder_widths", "encoder_width"))
    return spec.style_dim > 0 and any(width is not None for width in widths)


def check_numbers(numbers: Map, regions: int) -> None:
    """Raise Problem if a style number is greater than that of the last region."""
    beyond = np.unique(numbers[numbers > regions]).tolist()
    if beyond:
        known = f"there are the numbers 0 to {regions}" if regions else "there are no styles, and only 0"
        raise Problem(
            422,
            "unknown-style-number",
            f"Unknown style number{'' if len(beyond) == 1 else 's'}",
            f"Pixels have {', '.join(map(str, beyond[:5]))}{' …' if len(beyond) > 5 else ''}; {known}.",
            "Send the styles first, and use their numbers: 1 is the first, and 0 the picture's own style.",
        )


def none_beyond(numbers: Map, regions: int) -> Map:
    """The numbers, with 0 for those that have no region."""
    return np.where(numbers > regions, np.uint8(0), numbers)


def no_styles_by_region(spec: ModelSpec) -> Problem:
    """What to say when a model that paints in one style at a time is asked for several."""
    return Problem(
        422,
        "no-styles-by-region",
        "The model paints in one style at a time",
        f"Model {spec.id!r} cannot give regions styles of their own.",
        "Send no styles for regions, or choose a model whose styles_by_region in /models is true.",
    )
