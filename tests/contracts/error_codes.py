"""Collect, from the sources, the codes that an error of a step may have: what dead letters are grouped by."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASES = frozenset({"StepError", "InvalidInput", "Forbidden"})
"""Errors whose code `runtime.errors.classify` takes over, with those derived from them."""
NEVER = frozenset({"InjectedFault"})
"""Raised in tests alone."""


@cache
def trees() -> tuple[ast.Module, ...]:
    """Return the sources of everything that steps run through."""
    files = [*ROOT.glob("runtime/**/*.py"), *ROOT.glob("engines/**/*.py"), ROOT / "console/bulk.py"]
    return tuple(ast.parse(file.read_text()) for file in sorted(files))


def nodes() -> Iterator[ast.AST]:
    """Go through all nodes of all sources."""
    for tree in trees():
        yield from ast.walk(tree)


@cache
def errors() -> frozenset[str]:
    """Return the names of the classes of errors whose code counts."""
    classes = [node for node in nodes() if isinstance(node, ast.ClassDef) and node.name not in NEVER]
    found = set(BASES)
    while more := {one.name for one in classes if found & set(map(_name, one.bases))} - found:
        found |= more
    return frozenset(found)


def codes() -> set[str]:
    """Return every code: of a class, given where an error is raised, of a tool's result, or known of a library."""
    found: set[str] = set()
    for node in nodes():
        if isinstance(node, ast.ClassDef) and node.name in errors():
            found |= _assigned(node.body)
        if isinstance(node, ast.Call):
            found |= _of_call(node)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found |= _given(node.exc)
        if isinstance(node, ast.FunctionDef):
            found |= _assigned(node.body)
    return found


def _assigned(body: list[ast.stmt]) -> set[str]:
    given = [one for one in body if isinstance(one, ast.Assign) and _name(one.targets[0]) == "code"]
    return {text for one in given for text in _texts(one.value)}


def _given(node: ast.Call) -> set[str]:
    return {text for keyword in node.keywords if keyword.arg == "code" for text in _texts(keyword.value)}


def _of_call(node: ast.Call) -> set[str]:
    name = _name(node.func)
    if name in errors() or name == "Fail":
        return _given(node)
    if name in ("failure", "_verdict") and len(node.args) > 1:
        return set(_texts(node.args[1]))
    return set()


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body), *_texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value else []


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
