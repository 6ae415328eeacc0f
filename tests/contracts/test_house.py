"""Hold the house rules that no linter knows: sizes, clocks, names and what must never be committed."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps

pytestmark = pytest.mark.plain

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("runtime", "engines", "console", "roost_project")
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60

# Spelled so that this file does not find itself.
REGISTRY = re.compile("pypi" + r"\.org|python" + r"hosted|registry\.npm" + r"js|deb\." + "debian|extra-index" + "-url")
MACHINE_PATH = re.compile(r"""(?<![\w.~*)}$-])/(?:""" + "root|home/[a-z]+|Users/[a-z]+|" + r"""work)/(?=[\w.])""")
UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + r"ME)\b")
TRANSACTION_CLOCK = re.compile(r"(?<![\w.])(?:now\(\)|current_timestamp|transaction_timestamp\(\))", re.IGNORECASE)


def tracked() -> list[Path]:
    """List what git holds, and what it would take in; everything where there is no git."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def sources(*folders: str) -> list[Path]:
    """List the Python files under these folders, migrations apart."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return sorted(path for path in found if "migrations" not in path.parts)


def lines_matching(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """List every line of these files that matches, as `file:line: text`."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="ignore").splitlines(), 1)
        if pattern.search(line)
    ]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Go through the functions of a file, nested ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def strings(path: Path) -> Iterator[str]:
    """Go through a file's string literals, parts of f-strings too; docstrings are prose and left out."""
    tree = ast.parse(path.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def test_no_file_outgrows_one_idea() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in sources(*PACKAGES, "tests", "deploy")}
    assert {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MOST_LINES_OF_A_FILE} == {}


def test_no_function_outgrows_a_screen() -> None:
    too_long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sources(*PACKAGES, "tests", "deploy")
        for node in functions(path)
        if node.end_lineno is not None and node.end_lineno - node.lineno + 1 > MOST_LINES_OF_A_FUNCTION
    ]
    assert too_long == []


def test_sql_never_asks_the_clock_of_the_transaction() -> None:
    """In a step of ten minutes now() is ten minutes old: due times and leases would land in the past."""
    asking = [
        str(path.relative_to(ROOT))
        for path in sources("runtime", "engines", "console")
        for text in strings(path)
        if TRANSACTION_CLOCK.search(text)
    ]
    assert asking == []


def test_orm_queries_never_ask_the_clock_of_the_transaction() -> None:
    orm_now = re.compile(r"django\.db\.models\.functions import .*\bNow\b|functions\.Now\(")
    assert lines_matching(orm_now, sources("runtime", "engines", "console")) == []


@pytest.mark.parametrize(
    "pattern", [REGISTRY, MACHINE_PATH, UNFINISHED], ids=["registry", "machine path", "unfinished"]
)
def test_nothing_committed_belongs_to_one_machine_or_is_left_for_later(pattern: re.Pattern[str]) -> None:
    assert lines_matching(pattern, tracked()) == []


def test_nothing_in_the_database_is_named_after_a_folder() -> None:
    ours = [
        model
        for label in ("roost", "roost_engines", "roost_console")
        for model in apps.get_app_config(label).get_models()
    ]
    assert [model._meta.db_table for model in ours if not model._meta.db_table.startswith("roost")] == []
    names = [name.name for model in ours for name in (*model._meta.indexes, *model._meta.constraints)]
    assert [name for name in names if not name.startswith("roost")] == []


def test_what_make_clean_removes_is_what_git_ignores() -> None:
    told = (ROOT / "Makefile").read_text().partition("\nclean:")[2].partition("\n\n")[0]
    [words, *_caches] = re.findall(r"rm -rf (.*)", told)
    removed = [f"{word.replace('*', 'x')}/" for word in words.split() if "$" not in word]
    assert {"artifacts/", "workspaces/"} <= set(removed)
    removed += [".venv", ".venv-django6"]  # they may be links
    command = ["git", "-c", "safe.directory=*", "check-ignore", "--no-index", *removed]
    told = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True).stdout
    assert [one for one in removed if one not in told.split()] == []
