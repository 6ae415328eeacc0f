"""What the client asks is what the API describes: a route that changes breaks a test."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from runtime import client
from runtime.client import AsyncClient, Client, calls, shapes, verbs
from runtime.client.call import KEY, Call, following, read_as
from runtime.client.shapes import Page
from tests.console.api.openapi import FILE
from tests.runtime.client.examples import EXAMPLES, ITEM

pytestmark = [pytest.mark.plain, pytest.mark.scenario("S10")]

ROOT = Path(__file__).resolve().parents[3]
DESCRIPTION = json.loads(FILE.read_text())
SCHEMAS = DESCRIPTION["components"]["schemas"]
SHAPES = {
    "Item": shapes.Item,
    "Progress": shapes.Progress,
    "ItemHead": shapes.ItemHead,
    "LetterOut": shapes.DeadLetter,
    "LetterError": shapes.LetterError,
    "EnqueuedItems": shapes.EnqueuedItems,
    "Enqueued": shapes.Enqueued,
    "Outcome": shapes.Outcome,
    "SignalSent": shapes.SignalSent,
    "EventOut": shapes.Event,
    "WaitOut": shapes.Wait,
    "SignalOut": shapes.Signal,
    "Treated": shapes.Treated,
    "Refused": shapes.RefusedItem,
}
PAGES = {
    "ItemPage": ("items", "ItemHead"),
    "LetterPage": ("items", "LetterOut"),
    "EventPage": ("events", "EventOut"),
    "WaitPage": ("waits", "WaitOut"),
    "SignalPage": ("signals", "SignalOut"),
}
ELSEWHERE = {"Accept"}
VALUES: dict[str, Any] = {
    "uuid.UUID": str(ITEM),
    "list[Any]": [],
    "str": "x",
    "int": 1,
    "float": 1.0,
    "bool": False,
    "dt.datetime": "2026-01-01T00:00:00Z",
}
"""What a field of a type may be told as; any other may be null."""


def made(module: ModuleType) -> Iterator[str]:
    """Name the calls that a module makes."""
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield name


def operation_of(call: Call[Any]) -> dict[str, Any]:
    """Return the description of the operation that a call is for."""
    found: dict[str, Any] = DESCRIPTION["paths"][call.path][call.method.lower()]
    return found


def parameters(call: Call[Any], kind: str) -> set[str]:
    return {one["name"] for one in operation_of(call).get("parameters", []) if one["in"] == kind}


@pytest.mark.parametrize("call", EXAMPLES, ids=lambda call: str(call.name))
def test_a_call_asks_what_the_description_knows(call: Call[Any]) -> None:
    assert operation_of(call)["operationId"] == call.name
    assert set(call.places) == parameters(call, "path")
    assert {name for name, _ in call.query} <= parameters(call, "query")
    assert set(call.headers) - ELSEWHERE <= parameters(call, "header")
    assert "{" not in call.address


@pytest.mark.parametrize("call", [call for call in EXAMPLES if call.body is not None], ids=lambda call: str(call.name))
def test_a_body_is_what_the_description_takes(call: Call[Any]) -> None:
    schema = operation_of(call)["requestBody"]["content"]["application/json"]["schema"]
    body = json.loads(json.dumps(call.body))
    Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(body)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_the_fields_of_the_description(name: str) -> None:
    assert {field.name for field in dataclasses.fields(SHAPES[name])} == set(SCHEMAS[name]["properties"])


@pytest.mark.parametrize("call", EXAMPLES, ids=lambda call: str(call.name))
def test_an_answer_has_a_shape_that_is_read(call: Call[Any]) -> None:
    responses = operation_of(call)["responses"]
    told = [one["content"]["application/json"]["schema"]["$ref"] for one in responses.values() if _is_json(one)]
    for name in {reference.rsplit("/", 1)[1] for reference in told}:
        assert name in SHAPES or name in PAGES
        if name in PAGES:
            rows, row = PAGES[name]
            assert SCHEMAS[name]["properties"][rows]["items"]["$ref"].endswith(f"/{row}")
            assert call.read({rows: [], "next": None}) == Page(rows=(), next=None)


@pytest.mark.parametrize(("name", "later"), [("Item", "progress"), ("LetterOut", "error worker worker_name")])
def test_a_server_that_does_not_know_a_later_field_is_understood(name: str, later: str) -> None:
    shape, fields = SHAPES[name], later.split()
    told = {one.name: VALUES.get(str(one.type)) for one in dataclasses.fields(shape) if one.name not in fields}
    found = read_as(shape, told)
    assert {getattr(found, field) for field in fields} <= {None, ""}


def _is_json(response: dict[str, Any]) -> bool:
    return "application/json" in response.get("content", {})


def test_every_call_has_an_example_and_is_a_method_of_both_clients() -> None:
    names = [*made(calls), *made(verbs)]
    assert len(names) > 15
    ours = {call.name for call in EXAMPLES}
    for module in (calls, verbs):
        source = Path(str(module.__file__)).read_text()
        named = {operation["operationId"] for path in DESCRIPTION["paths"].values() for operation in path.values()}
        assert {name for name in named if f'"{name}"' in source} <= ours
    for one in (Client, AsyncClient):
        assert [name for name in [*names, "wait"] if not callable(getattr(one, name, None))] == []


def test_a_method_has_the_words_and_the_parameters_of_its_call() -> None:
    for one in (Client, AsyncClient):
        assert one.cancel.__doc__ == verbs.cancel.__doc__
        assert list(inspect.signature(one.cancel).parameters) == ["self", "item", "options"]


def test_whatever_changes_something_carries_a_key_that_the_api_takes() -> None:
    for call in EXAMPLES:
        assert call.repeatable
        assert (KEY in call.headers) == (KEY in parameters(call, "header")) == (call.method != "GET")
    assert verbs.cancel(ITEM).headers[KEY] != verbs.cancel(ITEM).headers[KEY]


def test_a_key_is_made_where_none_is_given_and_one_that_no_header_carries_is_refused() -> None:
    first, second = calls.enqueue("counter").headers[KEY], calls.enqueue("counter").headers[KEY]
    assert first != second
    for key in ("", " x", "ü", "a\nb", "x" * 201):
        with pytest.raises(ValueError, match="printable ASCII"):
            calls.enqueue("counter", idempotency_key=key)


def test_a_place_in_a_path_stays_one_place() -> None:
    assert calls.get("../tokens?x=1").address == "/work-items/..%2Ftokens%3Fx%3D1"


def test_a_signal_goes_to_one_place() -> None:
    with pytest.raises(ValueError, match="not to both"):
        verbs.signal("paid", item=ITEM, namespace="shop")


def test_the_next_page_is_asked_for_in_place_of_the_last() -> None:
    first = calls.items(state="done", page_size=5)
    second = following(first, Page(rows=(), next="abc"))
    assert second is not None
    assert second.query == (*first.query, ("cursor", "abc"))
    third = following(second, Page(rows=(), next="def"))
    assert third is not None
    assert third.query == (*first.query, ("cursor", "def"))
    assert following(third, Page(rows=(), next=None)) is None


def test_the_client_needs_no_django() -> None:
    code = "import sys, runtime.client; sys.exit(any(name.split('.')[0] == 'django' for name in sys.modules))"
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_all_that_is_public_is_named() -> None:
    assert sorted(client.__all__) == client.__all__
    assert all(hasattr(client, name) for name in client.__all__)
