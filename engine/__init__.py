"""A checkpoint made fast. Imports models; knows no web.

from engine import Library
painter = Library.builtin().painter(None, 256, 256)
painter.set_map(labels); painter.set_style(7)
picture = painter.render()
"""

from engine.device import Compute
from engine.errors import EngineError, ModelChanged, OutOfMemory, UnknownModel
from engine.library import Library
from engine.painter import MAX_SEED, Painter
from engine.regions import MAX_REGIONS, paints_styles_by_region
from engine.reloading import paint_alike
from models.spec import MAX_STYLE

__all__ = [
    "MAX_REGIONS",
    "MAX_SEED",
    "MAX_STYLE",
    "Compute",
    "EngineError",
    "Library",
    "ModelChanged",
    "OutOfMemory",
    "Painter",
    "UnknownModel",
    "paint_alike",
    "paints_styles_by_region",
]
