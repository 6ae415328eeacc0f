"""The description is what was agreed on, and names every route."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from ninja import NinjaAPI

from console.api.api import api, install
from console.api.routes import ACCESS
from runtime import tokens
from tests.console.api.openapi import FILE, text

pytestmark = [pytest.mark.once, pytest.mark.scenario("S10")]


@cache
def description() -> Any:
    """Return the API's description, made now."""
    return api.get_openapi_schema()


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through the operations."""
    for path, methods in description()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_nothing_that_programs_rely_on_has_changed() -> None:
    kept = json.loads(FILE.read_text())
    assert json.loads(text()) == kept, "look at the difference; `python -m tests.console.api.openapi` keeps it"


def test_every_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z]+[A-Za-z]+", name) for name in names)


def test_every_refusal_is_described_as_a_problem() -> None:
    for path, method, operation in operations():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (path, method, status)


def test_every_answer_with_a_body_says_of_which_kind_it_is() -> None:
    told = {
        operation["operationId"]: list(response.get("content", {}))
        for _, _, operation in operations()
        for status, response in operation["responses"].items()
        if int(status) in (200, 201, 202, 206) and list(response.get("content", {})) != ["application/json"]
    }
    assert told == {
        "traceRun": ["text/html"],
        "getMetrics": ["text/plain"],
        "streamEvents": ["text/event-stream"],
        "downloadArtifact": ["*/*"],
        "downloadByLink": ["*/*"],
    }


def test_a_product_mounts_the_routes_in_an_api_of_its_own() -> None:
    theirs = install(NinjaAPI(urls_namespace="theirs"), "/durable")
    assert "/durable/work-items" in theirs.get_openapi_schema(path_prefix="")["paths"]
    assert description()["paths"].keys() >= {"/work-items"}


def test_every_route_is_documented_with_its_permission() -> None:
    told = (FILE.parents[3] / "docs" / "reference" / "api.md").read_text()
    for path, method, operation in operations():
        name = operation["operationId"]
        permission = f"`{ACCESS[name].permission}`" if name in ACCESS else "-"
        assert f"| `{method.upper()} {path}` | `{name}` | {permission}" in told


def test_every_scope_is_documented_with_what_it_allows() -> None:
    told = (FILE.parents[3] / "docs" / "reference" / "api.md").read_text()
    for scope, permissions in tokens.SCOPES.items():
        assert f"| `{scope}` | {', '.join(f'`{name}`' for name in permissions)} |" in told


def test_every_operation_says_what_it_does() -> None:
    assert [name for name, method, told in operations() if told["summary"].istitle()] == []
