"""A run is carried over HTTP from one place to another: whole or not at all, within reach, and without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import IntegrityError

from runtime.models import DoneRequest, Event, JournalEntry, Snapshot, Wait, WorkItem
from runtime.operations.import_run import ImportRun
from runtime.operations.resume import resume
from runtime.queries import verify
from runtime.queries.export import export
from runtime.testing import drain
from tests.console.api.conftest import Api, Caller, problem
from tests.console.test_redaction import HOLDS, SECRET
from tests.factories import ArtifactFactory, EventFactory, JournalEntryFactory, WaitFactory, WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def written() -> list[int]:
    """Count what an import writes."""
    return [model._default_manager.count() for model in (WorkItem, Snapshot, Event, JournalEntry, Wait, DoneRequest)]


@pytest.fixture
def item() -> WorkItem:
    """Make a run that ended, with something of everything."""
    made: WorkItem = WorkItemFactory(done=True, version=2, payload=HOLDS, idempotency_key="order-7")
    EventFactory(work_item=made, data=HOLDS)
    JournalEntryFactory(work_item=made, result=HOLDS)
    WaitFactory(work_item=made, base_version=1, state="consumed", data=HOLDS)
    ArtifactFactory(work_item=made, name="a.txt")
    return made


@pytest.fixture
def document(item: WorkItem) -> dict[str, Any]:
    """Give the run's document, as the command writes it."""
    return export(item.pk)


# Export -------------------------------------------------------------------------------------------------------------


def test_a_run_that_is_exported_and_imported_is_the_same_run(api: Api, item: WorkItem, settings: Any) -> None:
    settings.ROOST_API_REDACT = False
    found = api.get(f"/work-items/{item.pk}/export")
    assert found["Content-Type"] == "application/json"
    assert found["Content-Disposition"] == f'attachment; filename="run-{item.pk}.json"'
    assert found["X-Content-Type-Options"] == "nosniff"
    made = api.call("POST", "/work-items/import", found.content)
    assert made.status_code == 201, made.content
    copy = WorkItem.objects.get(pk=made.json()["id"])
    assert made["Location"].endswith(f"/work-items/{copy.pk}")
    assert (copy.state, copy.payload, copy.result, copy.version) == ("done", HOLDS, item.result, 2)
    assert (copy.idempotency_key, copy.relation) == (None, "import")
    assert list(copy.snapshots.values_list("version", "data")) == list(item.snapshots.values_list("version", "data"))
    assert verify.item(copy.pk) == []
    last = copy.events.order_by("seq").last()
    assert (last.kind, last.actor, last.data["artifacts_left_out"]) == ("imported", "token:caller-0", 1)


def test_what_is_masked_elsewhere_is_masked_in_an_export(api: Api, item: WorkItem, settings: Any) -> None:
    found = api.get(f"/work-items/{item.pk}/export")
    assert found.json()["redacted"] is True
    assert SECRET not in found.content.decode()
    assert "herring" in found.content.decode()
    settings.ROOST_REDACT = "tests.console.test_redaction.shout"
    told = api.get(f"/work-items/{item.pk}/export").json()
    assert "herring" not in json.dumps(told)
    assert told["item"]["engine"] == "counter"
    settings.ROOST_REDACT = "tests.console.test_redaction.no_json"
    assert "herring" not in api.get(f"/work-items/{item.pk}/export").content.decode()


def test_a_caller_may_wish_for_masks_where_there_are_none(api: Api, item: WorkItem, settings: Any) -> None:
    settings.ROOST_API_REDACT = False
    assert SECRET in api.get(f"/work-items/{item.pk}/export").content.decode()
    assert SECRET not in api.get(f"/work-items/{item.pk}/export?redact=true").content.decode()


def test_a_run_that_could_not_be_imported_here_is_not_exported(api: Api, item: WorkItem, settings: Any) -> None:
    settings.ROOST_API_MAX_BODY_BYTES = 2_000
    told = problem(api.get(f"/work-items/{item.pk}/export"), 413, "too_large")
    assert "2000" in told["detail"]


# Trace --------------------------------------------------------------------------------------------------------------


def test_a_trace_is_a_file_in_which_nothing_runs_and_nothing_is_told_that_is_masked(api: Api, settings: Any) -> None:
    settings.ROOST_API_REDACT = False
    item = WorkItemFactory(done=True, version=2, payload={**HOLDS, "x": "<script>alert(1)</script>"})
    found = api.get(f"/work-items/{item.pk}/trace")
    assert (found.status_code, found["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert found["Content-Disposition"] == f'attachment; filename="run-{item.pk}.html"'
    assert found["X-Content-Type-Options"] == "nosniff"
    assert found["Cache-Control"] == "no-store"
    assert found["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    text = found.content.decode()
    assert "herring" in text
    assert SECRET not in text
    assert "<script" not in text


# Import -------------------------------------------------------------------------------------------------------------


def test_a_run_that_had_not_ended_waits_for_somebody_who_resumes_it(api: Api) -> None:
    document = export(WorkItemFactory(version=1, payload={"count_to": 3}).pk)
    made = api.post("/work-items/import", document).json()
    assert (made["state"], made["reason"]) == ("paused", "operator")
    resume(made["id"])
    drain()
    assert WorkItem.objects.get(pk=made["id"]).state == "done"


def test_the_same_request_makes_one_copy(api: Api, document: dict[str, Any]) -> None:
    first = api.post("/work-items/import", document, idempotency_key="move-1")
    again = api.post("/work-items/import", document, idempotency_key="move-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert WorkItem.objects.filter(relation="import").count() == 1
    problem(api.post("/work-items/import", {**document, "events": []}, idempotency_key="move-1"), 409)
    assert api.post("/work-items/import", document).status_code == 201
    assert WorkItem.objects.filter(relation="import").count() == 2


@pytest.mark.parametrize(
    ("damage", "field"),
    [
        ({"format": "zip"}, "body.format"),
        ({"format_version": 2}, "body.format_version"),
        ({"item": {}}, "body.item."),
        ({"snapshots": []}, "body.snapshots"),
        ({"events": [{"seq": 1}]}, "body.events"),
        ({"snapshots": 7}, "body.snapshots"),
        ({"format": None}, "body.format"),
    ],
)
def test_a_damaged_document_is_refused_whole_and_says_where(
    damage: dict[str, Any], field: str, api: Api, document: dict[str, Any]
) -> None:
    before = written()
    told = problem(api.post("/work-items/import", {**document, **damage}, idempotency_key="k"), 422)
    assert told["errors"][0]["field"].startswith(field)
    assert written() == before


@pytest.mark.parametrize("part", ["journal", "waits"])
def test_a_document_that_has_a_row_twice_leaves_nothing(part: str, api: Api, document: dict[str, Any]) -> None:
    before = written()
    twice = {**document, part: document[part] * 2}
    told = problem(api.post("/work-items/import", twice, idempotency_key="k"), 422, "invalid")
    assert told["errors"][0]["field"] == f"body.{part}[1].key"
    assert written() == before
    assert api.post("/work-items/import", document, idempotency_key="k").status_code == 201


@pytest.mark.parametrize("part", ["journal", "waits"])
def test_a_row_in_no_state_is_refused_by_its_place(part: str, api: Api, document: dict[str, Any]) -> None:
    document[part][0]["state"] = ""
    told = problem(api.post("/work-items/import", document), 422, "invalid")
    assert told["errors"][0]["field"] == f"body.{part}[0].state"


def test_what_the_database_says_of_a_document_is_not_told(
    api: Api, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise IntegrityError('violates unique constraint "roost_herring"')

    monkeypatch.setattr(ImportRun, "_write", refuse)
    told = problem(api.post("/work-items/import", document), 422, "invalid")
    assert told["errors"][0]["field"] == "body.document"
    assert "herring" not in json.dumps(told)


def test_a_copy_goes_where_its_caller_reaches(caller: Caller, document: dict[str, Any]) -> None:
    api = caller(namespaces=("ours", "also"))
    before = written()
    problem(api.post("/work-items/import", document), 403, "forbidden")
    problem(api.post("/work-items/import?namespace=theirs", document), 403, "forbidden")
    assert written() == before
    made = api.post("/work-items/import?namespace=ours&reason=moved", document)
    assert (made.status_code, made.json()["namespace"]) == (201, "ours")
    told = Event.objects.get(work_item=made.json()["id"], kind="imported")
    assert (told.data["namespace"], told.reason) == ("default", "moved")


def test_bytes_of_files_are_uploaded_and_not_imported(api: Api, item: WorkItem) -> None:
    document = export(item.pk, with_artifacts=True)
    before = written()
    assert "upload" in problem(api.post("/work-items/import", document), 422, "invalid")["detail"]
    assert written() == before


def test_an_export_of_everything_takes_no_right_to_import(caller: Caller, document: dict[str, Any]) -> None:
    told = problem(caller("read", "payload", "enqueue", "operate").post("/work-items/import", document), 403)
    assert "import_workitem" in told["detail"]
    assert caller("import").post("/work-items/import", document).json()["payload"] is None
