"""Work items over HTTP: enqueued once, found within reach, read as they are."""

from __future__ import annotations

import datetime as dt
import re
import threading
import uuid
from typing import Any
from unittest.mock import Mock

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.api import waiting
from runtime.models import Event, Lease, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.queries import items
from runtime.store.postgres import session
from tests.console.api.conftest import Api, Caller, problem
from tests.factories import (
    ArtifactFactory,
    EventFactory,
    JournalEntryFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
)
from tests.sent import sent_by_hand

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
ITEM = {"engine": "counter", "payload": {"count_to": 1}}


# Enqueue ------------------------------------------------------------------------------------------------------------


def test_an_item_is_made_and_is_where_it_is_said_to_be(api: Api) -> None:
    made = api.post("/work-items", {**ITEM, "priority": 5, "namespace": "a", "deadline": 3600, "resources": ["repo"]})
    assert made.status_code == 201
    row = WorkItem.objects.get()
    assert (row.priority, row.namespace, row.payload) == (5, "a", {"count_to": 1})
    assert row.deadline_at is not None
    assert made["Location"] == f"/roost/api/v1/work-items/{row.pk}"
    assert made["ETag"] == '"1"'
    assert made.json()["payload"] == {"count_to": 1}
    found = api.client.get(made["Location"], headers={"Authorization": f"Bearer {api.token}"})
    assert found.json() == made.json()


def test_the_same_key_makes_one_item_and_says_so(api: Api) -> None:
    first = api.post("/work-items", ITEM, idempotency_key="order-7")
    again = api.post("/work-items", ITEM, idempotency_key="order-7")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert first["Location"] == again["Location"]
    assert WorkItem.objects.get().idempotency_key == "order-7"
    told = problem(
        api.post("/work-items", {**ITEM, "payload": {"count_to": 2}}, idempotency_key="order-7"),
        409,
        "idempotency_conflict",
    )
    assert told["state"] == "queued"
    assert api.post("/work-items", {**ITEM, "idempotency_key": "order-7"}).status_code == 200
    differ = api.post("/work-items", {**ITEM, "idempotency_key": "other"}, idempotency_key="order-7")
    problem(differ, 422)
    for wrong in ("x" * 201, " ", "ü", "a\tb"):
        problem(api.post("/work-items", ITEM, idempotency_key=wrong), 422)


def test_many_are_made_at_once_or_none(api: Api, settings: Any) -> None:
    made = api.post("/work-items/bulk", {"items": [ITEM, ITEM]}, idempotency_key="night")
    again = api.post("/work-items/bulk", {"items": [ITEM, ITEM, ITEM]}, idempotency_key="night")
    assert [one["created"] for one in made.json()["items"]] == [True, True]
    assert [one["created"] for one in again.json()["items"]] == [False, False, True]
    assert WorkItem.objects.count() == 3
    told = problem(api.post("/work-items/bulk", {"items": [ITEM, {"engine": "unheard"}]}), 422)
    assert told["errors"][0]["field"] == "body.items[1].engine"
    settings.ROOST_API_MAX_BULK = 1
    problem(api.post("/work-items/bulk", {"items": [ITEM, ITEM]}), 422)
    assert WorkItem.objects.count() == 3


def test_a_token_enqueues_where_it_reaches(caller: Caller) -> None:
    ours = caller("enqueue", "read", namespaces=("ours",))
    assert ours.post("/work-items", ITEM).json()["namespace"] == "ours"
    problem(ours.post("/work-items", {**ITEM, "namespace": "theirs"}), 403)
    problem(ours.post("/work-items/bulk", {"items": [ITEM, {**ITEM, "namespace": "theirs"}]}), 403)
    parent = enqueue("counter", {"count_to": 1}, namespace="theirs").pk
    told = problem(ours.post("/work-items", {**ITEM, "parent": str(parent)}), 404)
    unknown = problem(ours.post("/work-items", {**ITEM, "parent": str(uuid.UUID(int=1))}), 404)
    assert told["detail"].replace(str(parent), "") == unknown["detail"].replace(str(uuid.UUID(int=1)), "")
    child = {**ITEM, "parent": str(WorkItem.objects.get(namespace="ours").pk), "relation": "part"}
    assert ours.post("/work-items", child).json()["parent_id"] == child["parent"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite's store opens a transaction")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("key", ["", "order-7"])
def test_an_enqueue_is_its_insert_and_one_query_without_a_transaction(
    key: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.post("/work-items", ITEM)
    monkeypatch.setattr(session, "PLANS_LAST", 10**9)
    sent = sent_by_hand(monkeypatch)
    with CaptureQueriesContext(connection) as queries:
        assert api.post("/work-items", ITEM, **({"idempotency_key": key} if key else {})).status_code == 201
    # A hint to the workers is sent at most every few milliseconds.
    assert [one["sql"] for one in queries.captured_queries if "pg_notify" not in one["sql"]] == []
    asked = [re.findall(r'set_config|FROM "roost_\w+"|INSERT INTO roost_\w+', one)[-1] for one in sent]
    assert asked == ["set_config", 'FROM "roost_api_token"', "INSERT INTO roost_event"], sent


def test_a_token_that_reads_no_payload_gets_none(caller: Caller) -> None:
    made = caller("enqueue").post("/work-items", ITEM).json()
    assert (made["payload"], made["readable"]) == (None, False)


# Find ---------------------------------------------------------------------------------------------------------------


def test_a_list_is_paged_without_a_gap_while_items_come(api: Api) -> None:
    made = [str(WorkItemFactory().pk) for _ in range(5)]
    found: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/work-items?limit=2&cursor={cursor}").json()
        found += [one["id"] for one in page["items"]]
        WorkItemFactory()
        cursor = page["next"]
        if cursor is None:
            break
    assert found == made[::-1]


def test_a_list_is_narrowed(api: Api) -> None:
    failed = WorkItemFactory(failed=True, engine="refund")
    other = WorkItemFactory(namespace="other", idempotency_key="k")
    WorkItemFactory(idempotency_key="k")

    def ids(query: str) -> set[str]:
        return {one["id"] for one in api.get(f"/work-items?{query}").json()["items"]}

    assert ids("state=failed") == ids("engine=refund") == ids("reason=attempts_exhausted") == {str(failed.pk)}
    assert ids(f"fingerprint={failed.fingerprint}") == {str(failed.pk)}
    assert ids("namespace=other") == ids("namespace=other&key=k") == {str(other.pk)}
    assert len(ids("state=failed&state=queued")) == 3
    assert ids("state=paused") == set()


def test_a_page_costs_a_few_queries_however_long(api: Api) -> None:
    WorkItemFactory.create_batch(20)
    api.get("/work-items")
    with CaptureQueriesContext(connection) as queries:
        assert len(api.get("/work-items").json()["items"]) == 20
    asked = [one["sql"] for one in queries.captured_queries if "SAVEPOINT" not in one["sql"]]
    assert len(asked) == 2, asked  # the token, the rows


# Read ---------------------------------------------------------------------------------------------------------------


def test_an_item_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    item = WorkItemFactory()
    first = api.get(f"/work-items/{item.pk}")
    same = api.get(f"/work-items/{item.pk}", if_none_match=first["ETag"])
    assert (same.status_code, same.content, same["ETag"]) == (304, b"", first["ETag"])
    cancel(item.pk)
    assert api.get(f"/work-items/{item.pk}", if_none_match=first["ETag"]).status_code == 200


def test_how_far_a_step_is_is_told_while_it_runs_also_to_who_has_the_item(api: Api, caller: Caller) -> None:
    item = WorkItemFactory(running=True, lease_row__progress={"fraction": 0.42, "note": "reading", "step": 1})
    of = f"/work-items/{item.pk}"
    first = api.get(of)
    assert first.json()["progress"] == {"fraction": 0.42, "note": "reading"}
    Lease.objects.update(progress={"fraction": 0.5, "note": "", "step": 1})
    again = api.get(of, if_none_match=first["ETag"])
    assert (again.status_code, again.json()["progress"]) == (200, {"fraction": 0.5, "note": ""})
    assert caller("read").get(of).json()["progress"] is None
    Lease.objects.update(progress=None)
    assert api.get(of).json()["progress"] is None
    assert api.get(of, if_none_match=first["ETag"]).status_code == 304


def test_the_result_of_an_item_is_told_when_it_has_one(api: Api) -> None:
    live = api.get(f"/work-items/{WorkItemFactory().pk}/result")
    assert (live.status_code, live.json()["ended"], live["Retry-After"]) == (202, False, "1")
    done = api.get(f"/work-items/{WorkItemFactory(done=True).pk}/result")
    assert (done.status_code, done.json()["result"]) == (200, {"ok": True})
    failed = api.get(f"/work-items/{WorkItemFactory(failed=True).pk}/result?wait=5")
    assert (failed.status_code, failed.json()["error"]["message"]) == (200, "It failed.")


def test_who_waits_for_a_result_reads_now_and_then(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    item, naps = WorkItemFactory(), []

    def nap(_waiter: waiting.Waiter, seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            cancel(item.pk)

    read = Mock(wraps=items.outcome)
    monkeypatch.setattr(items, "outcome", read)
    monkeypatch.setattr(waiting, "rest", nap)
    answer = api.get(f"/work-items/{item.pk}/result?wait=30")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert len(naps) == 3
    # What whoever read for all has seen of the end is told, and not read again.
    assert read.call_count == 1
    assert naps == sorted(naps)


def test_who_waits_is_answered_in_time_and_only_so_many_may(api: Api, settings: Any) -> None:
    item = WorkItemFactory()
    assert api.get(f"/work-items/{item.pk}/result?wait=0.1").status_code == 202
    settings.ROOST_API_WAIT_SECONDS = 0.1
    assert api.get(f"/work-items/{item.pk}/result?wait=3000").status_code == 202
    settings.ROOST_API_WAIT_SECONDS = 60.0
    settings.ROOST_API_WAITERS = 0
    assert api.get(f"/work-items/{item.pk}/result?wait=60").status_code == 202
    assert waiting._waiting == 0


@pytest.mark.django_db(transaction=True)
def test_nobody_holds_a_transaction_while_waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    item, seen = WorkItemFactory(), []
    monkeypatch.setattr(waiting, "rest", lambda _waiter, _seconds: seen.append(connection.in_atomic_block))
    monkeypatch.setattr(waiting.time, "monotonic", iter(range(5, 100, 1)).__next__)
    assert api.get(f"/work-items/{item.pk}/result?wait=5").status_code == 202
    assert set(seen) == {False}
    assert threading.active_count() >= 1


def test_a_value_is_read_whole(api: Api) -> None:
    item = WorkItemFactory(done=True)
    assert api.get(f"/work-items/{item.pk}/value/payload").json()["value"] == {"count_to": 3}
    assert api.get(f"/work-items/{item.pk}/value/result").json()["value"] == {"ok": True}
    state = api.get(f"/work-items/{item.pk}/value/state?version=0").json()
    assert state == {"place": "state", "version": 0, "value": {"count": 0}}
    problem(api.get(f"/work-items/{item.pk}/value/state?version=9"), 404)
    problem(api.get(f"/work-items/{item.pk}/value/nonsense"), 422)


# History ------------------------------------------------------------------------------------------------------------


def test_what_happened_is_read_from_a_cursor_on(api: Api) -> None:
    item = WorkItemFactory()
    first = api.get(f"/work-items/{item.pk}/events").json()
    assert [event["kind"] for event in first["events"]] == ["enqueued"]
    assert not first["more"]
    again = api.get(f"/work-items/{item.pk}/events?cursor={first['next']}").json()
    assert (again["events"], again["next"]) == ([], first["next"])
    cancel(item.pk, actor="ann")
    later = api.get(f"/work-items/{item.pk}/events?cursor={first['next']}").json()["events"]
    assert [(event["kind"], event["actor"]) for event in later] == [("cancelled", "ann")]


def test_everything_that_belongs_to_an_item_is_read(api: Api) -> None:
    item = WorkItemFactory(done=True)
    call = JournalEntryFactory(work_item=item)
    file = ArtifactFactory(work_item=item)
    child = WorkItemFactory(parent=item)
    of = f"/work-items/{item.pk}"
    assert [one["data"] for one in api.get(f"{of}/snapshots").json()["snapshots"]] == [{"count": 0}, {"count": 1}]
    assert [one["key"] for one in api.get(f"{of}/journal").json()["calls"]] == [call.key]
    assert [one["sha256"] for one in api.get(f"{of}/artifacts").json()["artifacts"]] == [file.sha256]
    assert [one["id"] for one in api.get(f"{of}/children").json()["items"]] == [str(child.pk)]
    assert api.get(f"{of}/attempts").status_code == 200
    assert api.get(f"{of}/why").json()["state"] == "done"
    assert api.get(f"{of}/explain").json()["text"][0].startswith("Enqueued")
    assert "problems" in api.get(f"{of}/verify").json()


def test_a_run_is_told_step_by_step_too(api: Api) -> None:
    worker = WorkerFactory()
    item = WorkItemFactory()
    Event.objects.filter(work_item=item, kind="enqueued").update(actor="ann", reason="Bearer sesame12")
    EventFactory(work_item=item, kind="claimed", worker=worker.pk)
    failed = {"message": "Bearer sesame12 is refused", "password": "sesame"}
    EventFactory(work_item=item, kind="retry", worker=worker.pk, reason="retry", data=failed, duration=0.1)
    EventFactory(work_item=item, kind="step", version=1, worker=worker.pk, reason="counted", duration=0.5)
    call = JournalEntryFactory(work_item=item, base_version=0)
    wait = WaitFactory(work_item=item, base_version=0, prompt="With Bearer sesame12?")
    file = ArtifactFactory(work_item=item, version=1)
    told = api.get(f"/work-items/{item.pk}/explain")
    assert "sesame" not in told.content.decode()
    story = told.json()
    assert (story["enqueued_by"], story["enqueued_because"], story["next"]) == ("ann", "Bearer [redacted]", None)
    [step] = [one for one in story["steps"] if one["step"] == 1]
    assert (step["label"], step["attempts"], step["failures"], step["workers"]) == ("counted", 2, 1, [str(worker)])
    assert [(one["kind"], one["data"]["password"]) for one in step["happenings"]] == [("retry", "[redacted]")]
    assert [one["key"] for one in step["calls"]] == [call.key]
    assert [(one["id"], one["prompt"]) for one in step["asks"]] == [(str(wait.pk), "With Bearer [redacted]?")]
    assert [one["name"] for one in step["files"]] == [file.name]


def test_what_an_item_waits_for_is_read(api: Api, caller: Caller) -> None:
    wait = WaitFactory()
    [found] = api.get(f"/work-items/{wait.work_item_id}/waits").json()["waits"]
    assert (found["key"], found["kind"], found["votes"]) == (wait.key, wait.kind, 0)
    [hidden] = caller("read").get(f"/work-items/{wait.work_item_id}/waits").json()["waits"]
    assert hidden["answer_schema"] is hidden["data"] is None


def test_without_the_permission_nothing_is_told_of_what_is_in_it(caller: Caller) -> None:
    item = WorkItemFactory(done=True, payload={"secret": "hunter2"}, result="hunter2", config="hunter2")
    JournalEntryFactory(work_item=item, result="hunter2")
    reader = caller("read")
    for path in ("", "/events", "/snapshots", "/journal", "/attempts", "/artifacts", "/why"):
        answer = reader.get(f"/work-items/{item.pk}{path}")
        assert answer.status_code == 200
        assert b"hunter2" not in answer.content
    for path in ("/result", "/value/payload", "/explain"):
        problem(reader.get(f"/work-items/{item.pk}{path}"), 403)


@pytest.mark.parametrize("state", [{"failed": True}, {"state": "queued", "reason": "retry", "attempt": 1}])
def test_why_tells_no_error_to_who_may_not_read_it(state: dict[str, Any], caller: Caller) -> None:
    later = {} if "failed" in state else {"run_at": dt.datetime(2099, 1, 1, tzinfo=dt.UTC)}
    error = {"type": "E", "message": "hunter2", "traceback": "hunter2"}
    item = WorkItemFactory(**state, **later, last_error=error)
    of = f"/work-items/{item.pk}/why"
    assert "hunter2" not in caller("read").get(of).content.decode()
    assert "hunter2" in caller("read", "payload").get(of).content.decode()
