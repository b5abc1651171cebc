"""The list of guards is up to date; `make check-guards` takes minutes and tries it."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.guards.__main__ import without
from tests.guards.rules import RULES, Rule

ROOT = Path(__file__).parents[2]


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_stands_where_the_list_says_and_has_its_test(rule: Rule) -> None:
    text = (ROOT / rule.file).read_text(encoding="utf-8")
    ast.parse(without(rule, text))  # what is left must be a program, or its test would fail for no reason
    file, _, name = rule.test.partition("::")
    assert name in names_in(file)


def test_no_rule_is_listed_twice() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert len({(rule.file, rule.text, rule.instead) for rule in RULES}) == len(RULES)
