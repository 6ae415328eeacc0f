"""The description is what was agreed on, and names every route."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from ninja import NinjaAPI

from console.api.api import api, install
from console.api.routes import ACCESS
from tests.console.api.openapi import FILE, text

pytestmark = pytest.mark.scenario("S10")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Go through the operations."""
    for path, methods in api.get_openapi_schema()["paths"].items():
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


def test_a_product_mounts_the_routes_in_an_api_of_its_own() -> None:
    theirs = install(NinjaAPI(urls_namespace="theirs"), "/durable")
    assert "/durable/work-items" in theirs.get_openapi_schema(path_prefix="")["paths"]
    assert api.get_openapi_schema()["paths"].keys() >= {"/work-items"}


def test_every_route_is_documented_with_its_permission() -> None:
    told = (FILE.parents[3] / "docs" / "reference" / "api.md").read_text()
    for path, method, operation in operations():
        name = operation["operationId"]
        permission = f"`{ACCESS[name].permission}`" if name in ACCESS else "-"
        assert f"| `{method.upper()} {path}` | `{name}` | {permission}" in told
