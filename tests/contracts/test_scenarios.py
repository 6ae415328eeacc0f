"""Each scenario that Roost must survive, and each fault, has a test that carries its name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.plain

TESTS = Path(__file__).resolve().parents[1]
EXPLANATION = TESTS.parent / "docs/explanation"
HOW_MANY = {"L": 51, "S": 15, "B": 23, "F": 12}
NAMES = [f"{letter}{number}" for letter, most in HOW_MANY.items() for number in range(1, most + 1)]


@cache
def carriers() -> dict[str, list[str]]:
    """Return which tests carry a scenario's name, read from their sources: marks of tests, modules and parameters."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted(TESTS.rglob("test_*.py")):
        for line, name in _marks(ast.parse(file.read_text())):
            found[name].append(f"{file.relative_to(TESTS)}:{line}")
    return found


def _marks(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "scenario":
            yield from ((node.lineno, ast.literal_eval(one)) for one in node.args)


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_has_a_test(name: str) -> None:
    assert carriers().get(name)


def test_no_test_carries_the_name_of_a_scenario_that_is_none() -> None:
    assert {name: where for name, where in carriers().items() if name not in NAMES} == {}


def test_every_fault_is_documented_and_no_other() -> None:
    assert listed("faults.md") == [name for name in NAMES if name[0] == "F"]


def test_every_scenario_is_documented_and_no_other() -> None:
    assert listed("scenarios.md") == [name for name in NAMES if name[0] != "F"]


def listed(page: str) -> list[str]:
    """Return the names that a page has a row for."""
    return re.findall(r"^\| ([LSBF]\d+) \|", (EXPLANATION / page).read_text(), re.MULTILINE)
