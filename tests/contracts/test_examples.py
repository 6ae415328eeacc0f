"""The Python examples of the documentation can be read, import what exists, and import what they take from Roost."""

from __future__ import annotations

import ast
import importlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.plain

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
READERS = frozenset({"billing", "tally"})
"""Packages of the reader."""
OURS = ("asks", "deliveries", "engine", "exceptions", "journal", "outgoing", "retry", "step", "testing", "workspaces")
"""Modules of `runtime` whose names readers write."""


def examples(page: Path) -> list[ast.Module]:
    """Return the Python examples of a page, read. Some stand inside a class or a function, one is a part of a dict."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    return [_read(textwrap.dedent(block)) for block in blocks]


def _read(block: str) -> ast.Module:
    try:
        return ast.parse(block)
    except SyntaxError:
        return ast.parse(f"{{{block}}}")


WITH_EXAMPLES = [page for page in PAGES if "```python\n" in page.read_text()]
each_page = pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield what an example imports: module and name, no name for a whole module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


@each_page
def test_what_an_example_imports_exists(page: Path) -> None:
    wanted = [one for tree in examples(page) for one in imported(tree) if one[0].partition(".")[0] not in READERS]
    assert [f"{module}.{name}" for module, name in wanted if not exists(module, name)] == []


def exists(module: str, name: str) -> bool:
    """Say whether a module can be imported and has the name."""
    try:
        return not name or hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


@each_page
def test_what_an_example_takes_from_roost_is_imported_on_its_page(page: Path) -> None:
    known = {name for module in OURS for name in offered(importlib.import_module(f"runtime.{module}"))}
    there: set[str] = set()
    lacking: list[str] = []
    for tree in examples(page):
        there |= defined(tree)
        lacking += sorted((used(tree) & known) - there)
    assert lacking == []


def offered(module: ModuleType) -> set[str]:
    """Return the classes and functions of Roost that a module has."""
    return {name for name, value in vars(module).items() if getattr(value, "__module__", "").startswith("runtime.")}


def used(tree: ast.Module) -> set[str]:
    """Return the names of what an example calls, raises, decorates with, or derives from."""
    found: list[ast.expr | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            found.append(node.func)
        elif isinstance(node, ast.ExceptHandler):
            found.append(node.type)
        elif isinstance(node, ast.ClassDef):
            found += [*node.bases, *node.decorator_list]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found += node.decorator_list
    return {node.id for node in found if isinstance(node, ast.Name)} | {
        node.value.id for node in found if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


def defined(tree: ast.Module) -> set[str]:
    """Return the names that an example makes, in whatever part of it."""
    found = {name or module for module, name in imported(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found
