"""Hold what no single test of a page or an operation would notice: doors that nobody meant to open."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver

from runtime import tokens
from tests.contracts.test_house import ROOT, lines_matching, sources, tracked

# Read by one process of what its own parent wrote into a pipe: nothing that was stored.
UNPICKLING = {"runtime/worker/tickets.py"}
RUNNING = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "code", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__"}
KEYS = re.compile(
    r"\bAKIA[0-9A-Z]{16}\b|\bgh[opsu]_[A-Za-z0-9]{36}\b|\bxox[abprs]-[A-Za-z0-9-]{20,}|\bsk-[A-Za-z0-9_-]{32,}"
    r"|\broost_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----$|\beyJ[\w-]{20,}\.eyJ[\w-]{20,}"
)
"""What services' keys, tokens of Roost, private keys and signed tokens look like."""
# Found by what settings and entry points name, never by a row.
IMPORTING = {"runtime/registry.py", "runtime/queries/redaction.py", "runtime/scanning.py"}


def imported(path: Any) -> Iterator[str]:
    """Name the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def called(path: Any) -> Iterator[str]:
    """Name the functions that a file calls by their bare names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def files(wanted: Any) -> set[str]:
    """Name the files of Roost in which something is found."""
    return {str(path.relative_to(ROOT)) for path in sources("runtime", "engines", "console") if wanted(path)}


def test_nothing_that_was_stored_is_unpickled_or_run() -> None:
    assert files(lambda path: RUNNING & set(imported(path))) == UNPICKLING
    assert files(lambda path: CALLS & set(called(path))) == set()


def test_no_class_is_imported_because_a_row_names_it() -> None:
    assert files(lambda path: "import_string" in set(called(path))) == IMPORTING


def test_no_key_and_no_token_was_committed() -> None:
    assert KEYS.search(f"ROOST_TOKEN={tokens.make().text}")
    assert lines_matching(KEYS, tracked()) == []


def patterns(urls: Any = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Go through every address of the product."""
    for one in get_resolver().url_patterns if urls is None else urls:
        path = before + str(one.pattern)
        if isinstance(one, URLPattern):
            yield path, one
        else:
            yield from patterns(one.url_patterns, path)


def test_posts_without_a_csrf_token_are_for_programs_alone() -> None:
    """The API asks for the token where somebody comes with a session; webhooks know their callers by signatures."""
    exempt = {path for path, one in patterns() if getattr(one.callback, "csrf_exempt", False)}
    assert exempt
    assert {path for path in exempt if not path.startswith(("roost/api/v1/", "roost/hooks/"))} == set()


def test_who_is_not_logged_in_finds_what_knows_its_callers_otherwise() -> None:
    """Under a middleware that wants everybody logged in, these addresses alone are left out of it."""
    known = ("roost/api/v1/", "roost/hooks/", "roost/health/", "roost/metrics", "admin/login/")
    open_ = {path for path, one in patterns() if not getattr(one.callback, "login_required", True)}
    assert {path for path in open_ if path.startswith("roost/") and not path.startswith(known)} == set()
    assert any(path.startswith("roost/hooks/") for path in open_)
