"""Hold what no single test of a page or an operation would notice: doors that nobody meant to open."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver

from tests.contracts.test_house import ROOT, sources

# Read by one process of what its own parent wrote into a pipe: nothing that was stored.
UNPICKLING = {"runtime/worker/tickets.py"}
RUNNING = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "yaml", "code", "runpy"}
CALLS = {"eval", "exec", "compile", "__import__"}
# Found by what settings and entry points name, never by a row.
IMPORTING = {"runtime/registry.py", "runtime/queries/redaction.py", "runtime/reach.py", "runtime/scanning.py"}


@cache
def tree(path: Any) -> ast.Module:
    """Read a file."""
    return ast.parse(path.read_text())


def imported(path: Any) -> Iterator[str]:
    """Name the modules that a file imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def called(path: Any) -> Iterator[str]:
    """Name the functions that a file calls by their bare names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def files(wanted: Any) -> set[str]:
    """Name the files of Roost in which something is found."""
    return {str(path.relative_to(ROOT)) for path in sources("runtime", "engines", "console") if wanted(path)}


@pytest.mark.plain
def test_nothing_that_was_stored_is_unpickled_or_run() -> None:
    assert files(lambda path: RUNNING & set(imported(path))) == UNPICKLING
    assert files(lambda path: CALLS & set(called(path))) == set()


@pytest.mark.plain
def test_no_class_is_imported_because_a_row_names_it() -> None:
    assert files(lambda path: "import_string" in set(called(path))) == IMPORTING


FAULTS = {
    "S101": "assert x",
    "S102": "exec(x)",
    "S103": "import os\nos.chmod(x, 0o777)",
    "S104": 'HOST = "0.0.0.0"',
    "S105": 'password = "swordfish"',
    "S108": 'FILE = "/tmp/x"',
    "S110": "try:\n    x()\nexcept Exception:\n    pass",
    "S202": "import tarfile\ntarfile.open(x).extractall()",
    "S301": "import pickle\npickle.loads(x)",
    "S306": "import tempfile\ntempfile.mktemp()",
    "S307": "eval(x)",
    "S308": "from django.utils.safestring import mark_safe\nmark_safe(x)",
    "S310": "import urllib.request\nurllib.request.urlopen(x)",
    "S311": "import random\nrandom.random()",
    "S314": "import xml.etree.ElementTree as tree\ntree.parse(x)",
    "S323": "import ssl\nssl._create_unverified_context()",
    "S324": "import hashlib\nhashlib.md5(x)",
    "S501": "import httpx\nhttpx.get(x, verify=False)",
    "S506": "import yaml\nyaml.load(x)",
    "S602": "import subprocess\nsubprocess.run(x, shell=True)",
    "S605": "import os\nos.system(x)",
    "S610": "from app.models import User\nUser.objects.extra(where=[x])",
    "S611": "from django.db.models.expressions import RawSQL\nRawSQL(x)",
    "S701": "import jinja2\njinja2.Environment(autoescape=False)",
}
"""Rule of bandit, by the name that ruff has for it → lines that break it."""
WAIVED = {"S603", "S608"}
"""What is not looked for, as pyproject.toml explains: programs are started by lists; SQL binds its parameters."""


@pytest.mark.plain
@pytest.mark.parametrize("package", ["runtime", "engines", "console", "roost_project"])
def test_the_linter_finds_what_bandit_would(package: str) -> None:
    source = "x = input\n" + "\n".join(FAULTS.values()) + "\n"
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "json", "--no-cache"]
    command += ["--stdin-filename", f"{package}/planted.py", "-"]
    done = subprocess.run(command, cwd=ROOT, input=source, capture_output=True, text=True, check=False)
    assert FAULTS.keys() <= {one["code"] for one in json.loads(done.stdout)}


@pytest.mark.plain
def test_no_rule_of_bandits_is_turned_off_but_those_that_are_explained() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert {rule for rule in lint["ignore"] if re.match(r"S\d", rule)} == WAIVED
    eased = {files for files, rules in lint["per-file-ignores"].items() if any(re.match(r"S\d", one) for one in rules)}
    assert all(files.startswith("tests/") for files in eased)


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
