"""Verbs for all items that match: durable, in the caller's name, and never where the caller does not reach."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from console import bulk
from console.api.heavy import heavy
from console.api.problems import Refusal
from runtime import artifacts
from runtime.choices import EventKind, State
from runtime.exceptions import InvalidInput
from runtime.models import ApiToken, Artifact, Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.tokens import revoke_token
from runtime.testing import drain
from tests.console.api.conftest import ROOT, Api, Caller, problem
from tests.factories import WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
CANCEL = "/work-items/verbs/cancel"


def run() -> None:
    drain(engines=[bulk.ENGINE])


def work() -> WorkItem:
    found: WorkItem = WorkItem.objects.get(engine=bulk.ENGINE)
    return found


def results(item: WorkItem) -> dict[str, Any]:
    kept = Artifact.objects.filter(work_item=item).order_by("name")
    told = [one for row in kept for one in json.loads(artifacts.read_verified(row.blob.path, row.blob.sha256))]
    return {one["item"]: one for one in told}


def test_what_matches_is_done_by_an_item_whose_address_is_answered(caller: Caller) -> None:
    api = caller("operate", "read", "payload")
    items, other = WorkItemFactory.create_batch(3, engine="counter"), WorkItemFactory(engine="echo")
    answer = api.post(f"{CANCEL}?engine=counter&state=queued", {"reason": "a flood"})
    assert answer.status_code == 202, answer.content
    assert answer.json() == {"items": [str(work().pk)], "count": 3, "more": False}
    assert answer["Location"] == f"{ROOT}/work-items/{work().pk}"
    assert api.get(f"/work-items/{work().pk}").json()["state"] == "queued"
    run()
    assert api.get(f"/work-items/{work().pk}/result").json()["result"] == {"changed": 3, "skipped": 0}
    assert {item.state for item in WorkItem.objects.filter(pk__in=[one.pk for one in items])} == {State.CANCELLED}
    assert WorkItem.objects.get(pk=other.pk).state == State.QUEUED
    events = Event.objects.filter(kind=EventKind.CANCELLED)
    assert {(event.actor, event.reason, event.data["click"]) for event in events} == {
        ("token:caller-0", "a flood", str(work().pk))
    }
    assert not LogEntry.objects.exists(), "Django's log is of users"


def test_values_of_the_verb_are_used_and_checked(api: Api) -> None:
    item = WorkItemFactory(failed=True, reason="max_steps", max_steps=5, steps_total=5)
    problem(api.post("/work-items/verbs/redrive?state=failed", {"max_steps": 0}), 422, "invalid")
    problem(api.post("/work-items/verbs/redrive?state=failed", {"unknown": 1}), 422, "invalid")
    problem(api.post("/work-items/verbs/acknowledge?state=failed", {}), 422, "invalid")
    assert not WorkItem.objects.filter(engine=bulk.ENGINE).exists()
    assert api.post("/work-items/verbs/redrive?state=failed", {"max_steps": 9}).status_code == 202
    run()
    item.refresh_from_db()
    assert (item.state, item.max_steps) == (State.QUEUED, 9)


def test_a_dry_run_counts_and_starts_nothing(api: Api) -> None:
    WorkItemFactory.create_batch(2)
    done = WorkItemFactory(done=True)
    answer = api.post(f"{CANCEL}?engine=counter", {"dry_run": True})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["count"], told["eligible"], told["more"]) == (3, 2, False)
    [skipped] = told["skipped"]
    assert (skipped["count"], skipped["item"]) == (1, str(done.pk))
    assert skipped["why"].startswith("is done;")
    assert WorkItem.objects.count() == 3


def test_a_dry_run_counts_what_changes_only_if_more_is_said(api: Api) -> None:
    WorkItemFactory(failed=True, max_steps=5, steps_total=5)
    WorkItemFactory(failed=True)
    redrive = "/work-items/verbs/redrive?state=failed"
    told = api.post(redrive, {"dry_run": True}).json()
    assert (told["eligible"], told["needed"]) == (2, [{"count": 1, "field": "max_steps"}])
    assert api.post(redrive, {"dry_run": True, "max_steps": 9}).json()["needed"] == []


def test_where_nothing_matches_nothing_is_started(api: Api) -> None:
    answer = api.post(f"{CANCEL}?engine=nobody", {}, idempotency_key="once")
    assert (answer.status_code, answer.json()["count"]) == (200, 0)
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize("query", ["", "?engine=", "?state=&state="])
def test_nothing_is_not_all(query: str, api: Api) -> None:
    item = WorkItemFactory()
    problem(api.post(f"{CANCEL}{query}", {}), 422, "invalid")
    assert api.post(CANCEL, {"all": True}).status_code == 202
    run()
    assert WorkItem.objects.get(pk=item.pk).state == State.CANCELLED


def test_a_filter_that_is_unknown_is_refused(api: Api) -> None:
    WorkItemFactory()
    problem(api.post(f"{CANCEL}?engin=counter", {}), 422, "invalid")
    assert not WorkItem.objects.filter(engine=bulk.ENGINE).exists()


def test_the_same_request_is_started_once(api: Api) -> None:
    WorkItemFactory.create_batch(2)
    first = api.post(f"{CANCEL}?state=queued&engine=counter", {}, idempotency_key="again")
    run()
    second = api.post(f"{CANCEL}?state=queued&engine=counter", {}, idempotency_key="again")
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first["Location"] == second["Location"]
    assert WorkItem.objects.filter(engine=bulk.ENGINE).count() == 1
    told = problem(api.post(f"{CANCEL}?state=failed", {}, idempotency_key="again"), 409)
    assert "another request" in told["detail"]


def test_no_more_are_looked_through_at_once_than_may(api: Api) -> None:
    WorkItemFactory()
    asking: list[dict[str, Any]] = [{}, {"dry_run": True}]
    with ExitStack() as others:
        while True:
            try:
                others.enter_context(heavy())
            except Refusal:
                break
        for body in asking:
            problem(api.post(f"{CANCEL}?engine=counter", body, idempotency_key="later"), 503, "busy")
    assert not WorkItem.objects.filter(engine=bulk.ENGINE).exists()
    assert [api.post(f"{CANCEL}?engine={name}", {}).status_code for name in ("nobody", "counter")] == [200, 202]


def test_a_token_acts_in_its_namespace_and_reaches_the_item_that_does_it(caller: Caller) -> None:
    ours, theirs = WorkItemFactory(namespace="ours"), WorkItemFactory(namespace="theirs")
    api = caller(namespaces=("ours",))
    answer = api.post(f"{CANCEL}?state=queued", {})
    assert answer.json()["count"] == 1
    assert work().namespace == "ours"
    assert api.get(f"/work-items/{work().pk}").status_code == 200
    run()
    assert WorkItem.objects.get(pk=ours.pk).state == State.CANCELLED
    assert WorkItem.objects.get(pk=theirs.pk).state == State.QUEUED
    problem(api.post(f"{CANCEL}?namespace=theirs", {}), 403, "forbidden")


def test_in_several_namespaces_an_item_in_each_does_it(caller: Caller) -> None:
    items = {space: WorkItemFactory(namespace=space) for space in ("ours", "theirs", "others")}
    api = caller("operate", "read", namespaces=("ours", "theirs"))
    told = api.post(f"{CANCEL}?state=queued", {}).json()
    works = {one.namespace: one for one in WorkItem.objects.filter(engine=bulk.ENGINE)}
    assert {space: one.payload["items"] for space, one in works.items()} == {
        space: [str(items[space].pk)] for space in ("ours", "theirs")
    }
    assert (told["count"], set(told["items"])) == (2, {str(one.pk) for one in works.values()})
    run()
    cancelled = WorkItem.objects.filter(state=State.CANCELLED)
    assert {one.pk for one in cancelled} == {items[space].pk for space in ("ours", "theirs")}


def test_more_namespaces_than_are_done_at_once_start_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_STARTED", 2)
    for space in ("ours", "theirs", "others"):
        WorkItemFactory(namespace=space)
    refused = problem(api.post(CANCEL, {"all": True}), 422, "invalid")
    assert "lies in 3 namespaces" in refused["detail"]
    assert not WorkItem.objects.filter(engine=bulk.ENGINE).exists()


def test_a_namespace_that_a_token_lost_meanwhile_is_left_alone(caller: Caller) -> None:
    kept = WorkItemFactory(namespace="ours")
    caller(namespaces=("ours",)).post(f"{CANCEL}?state=queued", {})
    ApiToken.objects.update(namespaces=["elsewhere"])
    run()
    assert WorkItem.objects.get(pk=kept.pk).state == State.QUEUED
    assert results(work())[str(kept.pk)] == {
        "item": str(kept.pk),
        "changed": False,
        "skipped": f"There is no work item {kept.pk}.",
    }


@pytest.mark.parametrize("lost", ["revoked", "expired", "scope", "gone"])
def test_a_token_that_may_no_more_changes_nothing_from_then_on(
    lost: str, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 1)
    WorkItemFactory.create_batch(2)
    caller("operate").post(f"{CANCEL}?engine=counter", {})
    if lost == "revoked":
        revoke_token("caller-0")
    elif lost == "expired":
        ApiToken.objects.update(expires_at="2001-01-01T00:00:00Z")
    elif lost == "scope":
        ApiToken.objects.update(scopes=["read"])
    else:
        ApiToken.objects.all().delete()
    run()
    assert work().state == State.FAILED
    assert "may not do it any more" in work().last_error["message"]
    assert WorkItem.objects.filter(engine="counter", state=State.QUEUED).count() == 2


def test_nobody_makes_one_act_in_the_name_of_another_token(api: Api) -> None:
    WorkItemFactory()
    api.post(f"{CANCEL}?engine=counter", {})
    forged = {**work().payload, "by": "token:999"}
    answer = problem(api.post("/work-items", {"engine": bulk.ENGINE, "payload": forged}), 422, "invalid")
    assert "by nobody else" in answer["detail"]
    with pytest.raises(InvalidInput, match="by nobody else"):
        enqueue(bulk.ENGINE, work().payload)
    assert not bulk.is_sealed(forged)


def test_a_signed_in_user_is_in_the_log_too(staff: Any) -> None:
    user: User = staff("view_workitem", "cancel_workitem")
    browser = Client()
    browser.force_login(user)
    item = WorkItemFactory()
    answer = browser.post(f"{ROOT}{CANCEL}?engine=counter", {"reason": "x"}, content_type="application/json")
    assert answer.status_code == 202, answer.content
    run()
    assert WorkItem.objects.get(pk=item.pk).state == State.CANCELLED
    assert LogEntry.objects.get().user_id == user.pk


def test_a_token_that_is_revoked_while_it_is_at_work_does_the_rest_no_more(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 1)
    do, turns = bulk._do, []

    def revoking(*args: Any, **options: Any) -> Any:
        told = do(*args, **options)
        if not turns:
            revoke_token("caller-0")
        turns.append(told)
        return told

    monkeypatch.setattr(bulk, "_do", revoking)
    WorkItemFactory.create_batch(3)
    caller("operate").post(f"{CANCEL}?engine=counter", {})
    run()
    assert work().state == State.FAILED
    assert len(turns) == 2
    assert WorkItem.objects.filter(engine="counter", state=State.CANCELLED).count() == 1
    assert WorkItem.objects.filter(engine="counter", state=State.QUEUED).count() == 2
