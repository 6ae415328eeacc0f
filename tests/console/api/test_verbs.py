"""Verbs over HTTP: done to the item as it was seen, or refused with its state."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from runtime.choices import WaitKind
from runtime.models import Event, Signal, Wait, WorkItem
from tests.console.api.conftest import Api, Caller, problem
from tests.factories import (
    EventFactory,
    JournalEntryFactory,
    SignalFactory,
    WaitFactory,
    WorkerFactory,
    WorkItemFactory,
)
from tests.runtime.operations.looking import Caller as InThread

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]


def ready(**traits: Any) -> WorkItem:
    item: WorkItem = WorkItemFactory(**traits)
    return item


@pytest.mark.parametrize(
    ("verb", "body", "traits", "state"),
    [
        ("cancel", {"reason": "enough"}, {}, "cancelled"),
        ("requeue", {}, {"done": True}, "queued"),
        ("redrive", {"max_steps": 9}, {"failed": True}, "queued"),
        ("pause", {"now": True}, {"running": True}, "paused"),
        ("resume", {"steps": 3}, {"paused": True}, "queued"),
        ("follow-up", {"input": {"more": 1}}, {"done": True}, "queued"),
        ("prioritise", {"priority": 7}, {}, "queued"),
        ("release", {}, {"running": True}, "queued"),
        ("acknowledge", {"reason": "known"}, {"failed": True}, "failed"),
        ("hold", {"reason": "court"}, {}, "queued"),
    ],
)
def test_a_verb_moves_the_item_and_names_the_token(
    verb: str, body: dict[str, Any], traits: dict[str, Any], state: str, api: Api
) -> None:
    item = ready(**traits)
    answer = api.post(f"/work-items/{item.pk}/{verb}", body, if_match=f'"{item.row_version}"')
    assert answer.status_code == 200, answer.content
    assert answer.json()["state"] == state
    assert answer["ETag"] == f'"{WorkItem.objects.get(pk=item.pk).row_version}"'
    last = Event.objects.filter(work_item=item).order_by("-seq")[0]
    assert (last.actor, last.reason) == ("token:caller-0", body.get("reason", last.reason))


@pytest.mark.parametrize("verb", ["cancel", "requeue", "redrive", "pause", "resume", "follow-up", "release"])
def test_a_verb_needs_no_body(verb: str, api: Api) -> None:
    assert api.post(f"/work-items/{ready(paused=True).pk}/{verb}").status_code in (200, 409)


def test_an_item_that_was_written_since_it_was_seen_is_left_alone(api: Api) -> None:
    item = ready()
    told = problem(api.post(f"/work-items/{item.pk}/cancel", if_match='"99"'), 412, "stale_version")
    assert told["state"] == "queued"
    for wrong in ("nonsense", "7", ""):
        problem(api.post(f"/work-items/{item.pk}/cancel", if_match=wrong), 400, "bad_if_match")
    assert api.post(f"/work-items/{item.pk}/cancel", if_match="*").status_code == 200


def test_a_state_that_does_not_fit_is_told(api: Api) -> None:
    item = ready(done=True)
    told = problem(api.post(f"/work-items/{item.pk}/cancel"), 409, "conflict")
    assert told["state"] == "done"


def test_a_missing_reason_and_a_bad_value_are_told_at_their_field(api: Api) -> None:
    item = ready(failed=True)
    for body in ({}, {"reason": ""}, {"reason": " "}, {"reason": "x" * 501}):
        told = problem(api.post(f"/work-items/{item.pk}/acknowledge", body), 422)
    assert told["errors"][0]["field"] == "body.reason"
    problem(api.post(f"/work-items/{item.pk}/redrive", {"from_version": -1}), 422)
    problem(api.post(f"/work-items/{item.pk}/prioritise"), 422)
    assert WorkItem.objects.get().state == "failed"


def test_a_fork_is_a_new_item_and_the_same_key_makes_one(api: Api) -> None:
    item = ready(done=True)
    made = api.post(f"/work-items/{item.pk}/fork", {"version": 0, "state": {"count": 9}}, idempotency_key="again")
    assert made.status_code == 201, made.content
    assert made.json()["forked_from_id"] == str(item.pk)
    assert made["Location"].endswith(made.json()["id"])
    same = api.post(f"/work-items/{item.pk}/fork", {"version": 0, "state": {"count": 9}}, idempotency_key="again")
    assert (same.status_code, same.json()["id"]) == (200, made.json()["id"])
    problem(api.post(f"/work-items/{item.pk}/fork", {"version": 99}), 409)


def test_a_fork_sent_again_with_its_key_and_the_etag_it_was_seen_with_is_the_first_one(api: Api) -> None:
    item = ready(done=True)
    of, seen = f"/work-items/{item.pk}/fork", {"if_match": '"1"', "idempotency_key": "again"}
    first, again = api.post(of, **seen), api.post(of, **seen)
    assert (first.status_code, again.status_code) == (201, 200), again.content
    assert (again.json(), again["Location"], again["ETag"]) == (first.json(), first["Location"], first["ETag"])
    problem(api.post(of, if_match='"1"'), 412)


@pytest.mark.django_db(transaction=True)
def test_of_two_forks_that_race_with_one_key_one_is_told_201_and_the_other_200(api: Api) -> None:
    item, start = ready(done=True), threading.Barrier(2)

    def call() -> Any:
        start.wait()
        return Api(api.token).post(f"/work-items/{item.pk}/fork", {"state": 1}, idempotency_key="k", if_match='"1"')

    told = [caller.result() for caller in [InThread(call) for _ in range(2)]]
    assert sorted(one.status_code for one in told) == [200, 201], [one.content for one in told]
    assert len({one.json()["id"] for one in told}) == 1


def test_people_answer(api: Api, caller: Caller) -> None:
    wait = WaitFactory(kind=WaitKind.APPROVAL, work_item__reason="approval")
    of = f"/work-items/{wait.work_item_id}"
    problem(api.post(f"{of}/respond", {"value": 1}), 409)
    problem(caller("read").post(f"{of}/approve"), 403)
    answer = api.post(f"{of}/approve", {"key": wait.key, "reason": "fine"})
    assert answer.status_code == 200, answer.content
    assert answer.json()["state"] == "queued"
    assert Wait.objects.get().resolved_by == "token:caller-0"
    problem(api.post(f"{of}/reject"), 409)


def test_an_input_takes_what_its_schema_allows(api: Api) -> None:
    wait = WaitFactory(kind=WaitKind.INPUT, work_item__reason="input", schema={"type": "integer"})
    of = f"/work-items/{wait.work_item_id}"
    problem(api.post(f"{of}/respond", {"value": "x"}), 422)
    assert api.post(f"{of}/respond", {"value": 5}).status_code == 200
    assert Wait.objects.get().resolution == 5


def test_a_signal_is_kept_once(api: Api, caller: Caller) -> None:
    item = ready()
    sent = [
        api.post(f"/work-items/{item.pk}/signals", {"name": "paid", "payload": 1}, idempotency_key="d").json()["id"]
        for _ in range(2)
    ]
    assert len(set(sent)) == 1
    named = api.post("/signals", {"name": "opened", "namespace": "other"})
    assert named.status_code == 201
    assert Signal.objects.count() == 2
    problem(caller("signal", namespaces=("ours",)).post("/signals", {"name": "x", "namespace": "other"}), 403)
    assert caller("signal", namespaces=("ours",)).post("/signals", {"name": "x"}).status_code == 201
    assert Signal.objects.filter(namespace="ours").exists()


def test_signals_are_listed_until_they_are_taken(api: Api, caller: Caller) -> None:
    item = ready()
    named = SignalFactory(name="paid", namespace="shop", payload={"order": 7, "token": "sesame"}, delivery_id="d-1")
    own = SignalFactory(target=item, namespace=item.namespace)
    taken = SignalFactory(taken_by=WaitFactory(kind="signal"))
    page = api.get("/signals?limit=1").json()
    assert ([one["id"] for one in page["signals"]], page["signals"][0]["item"]) == ([str(own.pk)], str(item.pk))
    following = api.get(f"/signals?cursor={page['next']}").json()
    assert following["next"] is None
    [told] = following["signals"]
    assert (told["id"], told["item"], told["delivery_id"]) == (str(named.pk), None, "d-1")
    assert told["payload"] == {"order": 7, "token": "[redacted]"}
    for query, found in (("name=paid", named), ("namespace=shop", named), (f"item={item.pk}", own)):
        assert [one["id"] for one in api.get(f"/signals?{query}").json()["signals"]] == [str(found.pk)]
    everything = api.get("/signals?taken=true").json()["signals"]
    assert {one["id"]: one["taken_by"] for one in everything}[str(taken.pk)] == str(taken.taken_by_id)
    [told] = caller("view_signal", namespaces=("shop",)).get("/signals?taken=true").json()["signals"]
    assert (told["id"], told["payload"]) == (str(named.pk), None)
    problem(caller("view_signal", namespaces=("shop",)).get("/signals?namespace=default"), 403, "forbidden")
    problem(api.get("/signals?cursor=x"), 422, "invalid")


def test_a_signal_sent_again_says_so_also_when_its_item_has_ended(api: Api) -> None:
    item = ready()
    of, body = f"/work-items/{item.pk}/signals", {"name": "paid", "payload": 1}
    first = api.post(of, body, idempotency_key="d")
    WorkItem.objects.filter(pk=item.pk).update(state="cancelled")
    again = api.post(of, body, idempotency_key="d")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    problem(api.post(of, body, idempotency_key="e"), 409, "conflict")


def test_dead_letters_tell_what_they_failed_of_and_where(
    api: Api, caller: Caller, django_assert_max_num_queries: Any
) -> None:
    error = {"type": "Refused", "code": "http_403", "category": "permission", "message": "Bearer sesame12 is refused"}
    worker = WorkerFactory()
    one, two = ready(failed=True, last_error=error), ready(failed=True, last_error=None)
    EventFactory(work_item=one, worker=uuid.uuid4(), kind="retry")
    EventFactory(work_item=one, worker=worker.pk, kind="failed")
    EventFactory(work_item=one, kind="acknowledged")
    api.get("/dead-letters")  # notes that the token was used
    with django_assert_max_num_queries(4):
        second, first = api.get("/dead-letters").json()["items"]
    assert first["error"] == {**error, "message": "Bearer [redacted] is refused"}
    assert (first["id"], first["worker"], first["worker_name"]) == (str(one.pk), str(worker.pk), str(worker))
    empty = {"type": "", "code": "", "category": "", "message": ""}
    assert (second["id"], second["error"], second["worker"]) == (str(two.pk), empty, None)
    answer = caller("view_workitem").get("/dead-letters")
    assert [(item["error"], item["worker"], item["worker_name"]) for item in answer.json()["items"]] == [
        (None, None, "")
    ] * 2


def test_dead_letters_are_found_grouped_and_treated(api: Api) -> None:
    one, two = ready(failed=True), ready(failed=True)
    ready()
    assert {item["id"] for item in api.get("/dead-letters").json()["items"]} == {str(one.pk), str(two.pk)}
    [group] = api.get("/dead-letters/groups").json()["groups"]
    assert (group["count"], group["message"]) == (2, "It failed.")
    problem(api.post("/dead-letters/redrive", {}), 422)
    problem(api.post("/dead-letters/redrive", {"ids": [str(one.pk)], "engine": "counter"}), 422)
    problem(api.post("/dead-letters/acknowledge", {"engine": "counter"}), 422)
    told = api.post("/dead-letters/acknowledge", {"ids": [str(one.pk), str(ready().pk)], "reason": "known"}).json()
    assert told["moved"] == [str(one.pk)]
    assert [refused["code"] for refused in told["refused"]] == ["conflict"]
    told = api.post("/dead-letters/redrive", {"fingerprint": group["fingerprint"]}).json()
    assert (told["moved"], told["more"]) == ([str(two.pk)], False)
    assert api.get("/dead-letters?acknowledged=true").json()["items"][0]["id"] == str(one.pk)


def test_the_inbox_lists_what_people_are_asked(api: Api, caller: Caller) -> None:
    wait = WaitFactory(kind=WaitKind.APPROVAL, work_item__namespace="ours", work_item__reason="approval")
    WaitFactory(kind=WaitKind.SIGNAL)
    [found] = api.get("/approvals").json()["waits"]
    assert (found["id"], found["namespace"]) == (str(wait.pk), "ours")
    assert api.get("/approvals?kind=input").json()["waits"] == []
    assert caller(namespaces=("other",)).get("/approvals").json()["waits"] == []
    problem(api.get("/approvals?kind=signal"), 422)


def test_a_recorded_call_that_failed_is_forgotten_and_one_that_succeeded_is_kept(api: Api) -> None:
    item = ready(failed=True)
    for key, state in (("charge", "failed"), ("mail", "succeeded")):
        JournalEntryFactory(work_item=item, key=key, state=state)
    of = f"/work-items/{item.pk}/journal/reset"
    assert api.post(of, {"key": "charge", "reason": "account opened"}).json()["state"] == "failed"
    assert list(item.journal.values_list("key", flat=True)) == ["mail"]
    assert Event.objects.get(kind="journal_reset").data["key"] == "charge"
    problem(api.post(of, {"key": "mail"}), 409, "conflict")
    problem(api.post(of, {"key": "charge"}), 404, "not_found")
    problem(api.post(of, {}), 422)
