"""Which metrics a PromQL expression asks for, and by which labels: as much of it as our files use."""

import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_METRIC = re.compile(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)(?![\w:])(?!\s*\()\s*(\{[^}]*\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


@dataclass(frozen=True)
class Asked:
    metrics: dict[str, set[str]]
    """Labels that are matched, by metric."""
    grouped: set[str]
    """Labels that it is summed or joined by."""


def asked(expression: str) -> Asked:
    text = _RANGE.sub("", _STRING.sub('""', expression))
    grouped = {label.strip() for found in _GROUPING.findall(text) for label in found.split(",")} - {""}
    metrics: dict[str, set[str]] = {}
    for name, matchers in _METRIC.findall(_GROUPING.sub("", text)):
        if name.lower() not in _WORDS:
            metrics.setdefault(name, set()).update(_MATCHER.findall(matchers))
    return Asked(metrics, grouped)
