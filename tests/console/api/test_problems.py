"""Whatever is refused is told as a problem, and nothing from inside."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.http import HttpRequest
from ninja.errors import ValidationError

from console.api.errors import on_validation_error
from console.api.routers import configuration
from runtime.models import WorkItem
from runtime.queries import items
from tests.console.api.conftest import ROOT, Api, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
ITEM = {"engine": "counter", "payload": {"count_to": 1}}


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/nowhere", "/work-items/", "/work-items/not-an-id", "/work-items/1/cancel"),
        *("/a%0Ab", "/work-items/a%0D%0Ab/attempts"),
    ],
)
def test_an_address_that_is_none_is_a_problem(path: str, api: Api) -> None:
    problem(api.get(path), 404, "not_found")


def test_an_item_that_is_not_there_is_a_problem(api: Api) -> None:
    problem(api.get(f"/work-items/{uuid.uuid4()}"), 404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "OPTIONS", "TRACE"])
def test_a_method_that_is_none_is_a_problem(method: str, api: Api) -> None:
    answer = api.call(method, "/work-items")
    problem(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize("path", ["/work-items", f"/work-items/{uuid.UUID(int=1)}/artifacts", "/openapi.json"])
def test_a_method_that_is_none_is_refused_before_its_body(path: str, api: Api) -> None:
    for kind in ("text/plain", "multipart/form-data; boundary=x"):
        problem(api.call("PUT", path, b"x", content_type=kind), 405, "method_not_allowed")
    assert "GET" in api.call("PUT", path)["Allow"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"engine": "counter", "payload": NaN}',
        b'{"engine": "counter", "payload": "\\u0000"}',
        b'{"engine": "counter", "payload": "\\ud800"}',
        b"[" * 100_000,
        b'{"engine": "counter", "payload": ' + b"[" * 500 + b"]" * 500 + b"}",
        b"1" * 5000,
    ],
    ids=["cut", "no text", "nan", "nul", "surrogate", "deepest", "deep", "number"],
)
def test_what_is_no_plain_json_is_a_problem(body: bytes, api: Api) -> None:
    problem(api.post("/work-items", body), 400, "bad_json")
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_another_kind_of_body_is_a_problem(kind: str, api: Api) -> None:
    problem(api.call("POST", "/work-items", b"a=b", content_type=kind), 415, "unsupported_media_type")


def test_a_body_that_is_too_large_is_not_read(api: Api, settings: Any) -> None:
    settings.ROOST_API_MAX_BODY_BYTES = 1000
    problem(api.post("/work-items", {**ITEM, "relation": "x" * 1000}), 413, "too_large")
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10  # is about forms
    assert api.post("/work-items", ITEM).status_code == 201


def test_a_payload_that_is_too_large_is_a_problem(api: Api, settings: Any) -> None:
    settings.ROOST_MAX_PAYLOAD_BYTES = 1000
    problem(api.post("/work-items", {"engine": "counter", "payload": "x" * 1001}), 413, "too_large")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("body", None),
        ("body", []),
        ("body.engine", {"payload": 1}),
        ("body.engine", {"engine": 1}),
        ("body.engine", {"engine": "unheard"}),
        ("body.payload.count_to", {"engine": "counter", "payload": {}}),
        ("body.priority", {**ITEM, "priority": "5"}),
        ("body.priority", {**ITEM, "priority": True}),
        ("body.priority", {**ITEM, "priority": 10**6}),
        ("body.run_at", {**ITEM, "run_at": 5}),
        ("body.deadline", {**ITEM, "deadline": 1e300}),
        ("body.delay", {**ITEM, "delay": -1}),
        ("body.run_at", {**ITEM, "run_at": "2030-01-01T00:00:00"}),
        ("body.colour", {**ITEM, "colour": "red"}),
        ("body.resources[0]", {**ITEM, "resources": [{}]}),
    ],
)
def test_what_is_wrong_with_a_body_is_told_at_its_field(field: str, body: Any, api: Api) -> None:
    told = problem(api.post("/work-items", body), 422)
    assert any(error["field"].startswith(field) for error in told["errors"]), told
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize(
    ("field", "query"),
    [
        ("query.limit", "limit=0"),
        ("query.limit", "limit=201"),
        ("query.limit", "limit=x"),
        ("query.stat", "stat=failed"),
        ("cursor", "cursor=nonsense"),
        ("cursor", "cursor=é"),
        ("state", "state=lost"),
        ("query.parent", "parent=1"),
    ],
)
def test_what_is_wrong_with_a_query_is_told(field: str, query: str, api: Api) -> None:
    told = problem(api.get(f"/work-items?{query}"), 422)
    assert any(field in error["field"] for error in told["errors"]), told


def test_what_fails_inside_is_not_told(api: Api, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(items, "page", fail)
    answer = api.get("/work-items")
    problem(answer, 500, "internal")
    assert "hunter2" not in answer.content.decode()
    assert "hunter2" in caplog.text


def test_a_database_that_is_gone_is_a_problem_to_come_again_with(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise OperationalError("the server at 10.0.0.1 is gone")

    monkeypatch.setattr(items, "page", fail)
    answer = api.get("/work-items")
    assert "10.0.0.1" not in problem(answer, 503, "unavailable")["detail"]
    assert answer["Retry-After"]


def test_no_answer_is_kept_or_taken_for_something_else(api: Api) -> None:
    for answer in (api.get("/work-items"), api.get("/nowhere"), api.post("/work-items", ITEM)):
        assert answer["Cache-Control"] == "no-store"
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_description_is_for_everybody_and_names_where_it_is_served(db: None) -> None:
    answer = Api().get("/openapi.json")
    assert answer.status_code == 200
    assert json.loads(answer.content)["servers"] == [{"url": ROOT}]


@pytest.mark.parametrize(
    "path",
    [
        *("/work-items?engine=%00", "/work-items?key=a%00", "/resources?key=%00", "/dead-letters?fingerprint=%00"),
        *("/schedules/default/a%00b", "/resources?cursor=LS01", "/resources?cursor=OTk5OTk5OTk5OTk5OTk5OTk5OQ"),
    ],
)
def test_what_no_address_holds_is_a_problem(path: str, api: Api) -> None:
    problem(api.get(path), 422)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/work-items?state=zzz", "query.state"),
        ("/work-items?cursor=zzzz", "query.cursor"),
        ("/approvals?kind=zzz", "query.kind"),
        (f"/work-items/{uuid.UUID(int=1)}/value/zzz", "path.place"),
    ],
)
def test_what_is_wrong_in_an_address_is_told_as_a_part_of_it(path: str, field: str, api: Api) -> None:
    WorkItemFactory(pk=uuid.UUID(int=1))
    assert problem(api.get(path), 422, "invalid")["errors"][0]["field"] == field


def test_a_body_that_is_packed_is_refused_for_that(api: Api) -> None:
    answer = api.call("POST", "/work-items", gzip.compress(b"{}"), content_encoding="gzip")
    problem(answer, 415, "unsupported_media_type")
    assert answer["Accept-Encoding"] == "identity"
    assert api.post("/work-items", ITEM, content_encoding="identity").status_code == 201


def test_a_number_that_is_too_long_is_told_in_words_of_ours(api: Api) -> None:
    told = problem(api.post("/work-items", b'{"payload": ' + b"1" * 5000 + b"}"), 400, "bad_json")
    assert "digits" in told["detail"]
    assert "sys." not in told["detail"]


def test_a_line_break_in_an_address_begins_no_line_of_the_log(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(configuration, "find_schedule", fail)
    problem(api.get("/schedules/default/a%0AERROR forged"), 500, "internal")
    [told] = [record.getMessage() for record in caplog.records if record.name == "roost.api"]
    assert r"a\nERROR forged" in told
    assert "\n" not in told


def test_tables_that_are_not_there_are_told_apart_from_a_database_that_is_not(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*args: Any, **options: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM roost_not_yet")

    monkeypatch.setattr(items, "page", read)
    told = problem(api.get("/work-items"), 503, "unavailable")
    assert "migrate" in told["detail"]
    assert "roost_not_yet" not in told["detail"]


@pytest.mark.parametrize(
    "body",
    [{"items": [1] * 5_000}, {"engine": "counter", **{f"more-{number}": 1 for number in range(5_000)}}],
)
def test_a_body_with_very_much_wrong_in_it_is_not_answered_with_much_more(body: dict[str, Any], api: Api) -> None:
    answer = api.post("/work-items/bulk" if "items" in body else "/work-items", body)
    told = problem(answer, 422, "invalid")
    assert told["errors"] == [{"field": "body", "message": "5000 things in it are wrong; up to 100 are told."}]
    few = problem(api.post("/work-items/bulk", {"items": [1] * 100}), 422, "invalid")
    assert len(few["errors"]) == 100


def test_an_api_of_a_products_own_answers_with_no_more_either() -> None:
    errors: list[dict[str, Any]] = [{"loc": ("body", number), "msg": "wrong"} for number in range(5_000)]
    told = json.loads(on_validation_error(HttpRequest(), ValidationError(errors)).content)
    assert len(told["errors"]) == 100
