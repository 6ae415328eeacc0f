"""A POST with an Idempotency-Key is done once, for every route there is."""

from __future__ import annotations

from typing import Any

import pytest

from console.api.api import api as description
from console.api.routers import dead_letters
from runtime.models import Artifact, Event, Schedule, Signal, Webhook, Worker, WorkItem
from runtime.operations.drain_worker import drain_worker
from runtime.operations.schedule_moves import pause_schedule
from runtime.operations.webhooks import turn_webhook
from tests.console.api.conftest import Api, Caller, problem
from tests.console.api.test_reach import everything
from tests.console.api.world import THEIRS, WORKER, ask, closed, furnish, routes, told_of
from tests.factories import ArtifactFactory, WaitFactory, WorkItemFactory

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("S10")]
POSTS = {route.name: route for route in closed() if route.method == "POST"}
MADE = {name for name, route in POSTS.items() if "201" in told_of(route)["responses"]}
"""Routes that make something of which they tell, 201, and that it was made before, 200."""

STARTED = {name for name, route in POSTS.items() if "202" in told_of(route)["responses"]}
"""Routes that have an item do it: 202, with the same item when it is said again."""

OF_ROWS = {"enqueueWorkItem", "enqueueWorkItems", "forkWorkItem", "signalWorkItem", "sendSignal"}
"""Routes whose key is that of the row which they make."""

STATES: dict[str, dict[str, Any]] = {
    "requeueWorkItem": {"done": True},
    "redriveWorkItem": {"failed": True},
    "acknowledgeWorkItem": {"failed": True},
    "resumeWorkItem": {"paused": True},
    "followUpWorkItem": {"done": True},
    "releaseWorkItem": {"running": True},
    "unholdWorkItem": {"legal_hold": True},
    "forkWorkItem": {"done": True},
}
"""In which states items must be for a verb to be done."""


def ready(name: str) -> WorkItem:
    """Make their world, with an item that the verb can be done to."""
    waiting = furnish()
    if name == "respondToWorkItem":
        found: WorkItem = WaitFactory(kind="input", work_item__reason="input", work_item__namespace=THEIRS).work_item
        return found
    if name == "enableWebhook":
        turn_webhook("thing", enabled=False, namespace=THEIRS)
    if name == "resumeSchedule":
        pause_schedule("thing", namespace=THEIRS)
    if name == "resumeWorker":
        drain_worker(WORKER)
    made: WorkItem = WorkItemFactory(namespace=THEIRS, **STATES[name]) if name in STATES else waiting
    return made


def done() -> list[object]:
    """Return what a request that is done twice would change twice."""
    enabled = [list(model.objects.values_list("enabled")) for model in (Schedule, Webhook)]
    wanted = list(Worker.objects.values_list("desired_state"))
    return [*everything(), Artifact.objects.count(), Signal.objects.count(), *enabled, wanted]


@pytest.mark.parametrize("name", POSTS)
def test_the_same_request_with_the_same_key_is_done_once(name: str, caller: Caller) -> None:
    route, item, api = POSTS[name], ready(name), caller()
    before = done()
    first = ask(api, route, item, idempotency_key="again")
    assert first.status_code == (201 if name in MADE else 202 if name in STARTED else 200), first.content
    after = done()
    assert after != before or name == "rotateWebhook"
    again = ask(api, route, item, idempotency_key="again")
    if name == "rotateWebhook":
        told = problem(again, 409, "conflict")
        assert first.json()["secret"] not in str(told)
    else:
        assert again.status_code == (202 if name in STARTED else 200), again.content
        ids = [(one.json().get("id"), one.json().get("moved"), one.get("Location")) for one in (first, again)]
        assert ids[0] == ids[1]
    assert done() == after


@pytest.mark.parametrize("name", POSTS)
def test_a_key_that_is_none_is_refused_and_nothing_is_done(name: str, caller: Caller) -> None:
    item, api = ready(name), caller()
    before = done()
    told = problem(ask(api, POSTS[name], item, idempotency_key="a\tb"), 422, "invalid")
    assert told["errors"][0]["field"] == "header.Idempotency-Key"
    assert done() == before


def test_also_of_a_look_before_the_deed_and_beside_a_key_in_the_body(caller: Caller) -> None:
    item, api = ready("cancelWorkItems"), caller()
    bad = "x" * 201
    problem(api.post("/work-items/verbs/cancel?state=queued", {"dry_run": True}, idempotency_key=bad), 422, "invalid")
    body = {"name": "go", "delivery_id": "d"}
    told = problem(api.post(f"/work-items/{item.pk}/signals", body, idempotency_key=bad), 422, "invalid")
    assert told["errors"][0]["field"] == "header.Idempotency-Key"
    assert not Signal.objects.filter(delivery_id="d").exists()


@pytest.mark.parametrize("name", ["cancelWorkItem", "pauseSchedule", "redriveDeadLetters", "uploadArtifact"])
def test_a_key_that_was_used_for_something_else_is_a_conflict(name: str, caller: Caller) -> None:
    item, api = furnish(), caller()
    assert api.post(f"/work-items/{item.pk}/hold", {"reason": "court"}, idempotency_key="k").status_code == 200
    before = done()
    problem(ask(api, POSTS[name], item, idempotency_key="k"), 409, "idempotency_conflict")
    assert done() == before
    # To another caller it is another key.
    assert ask(caller(), POSTS[name], item, idempotency_key="k").status_code == (201 if name in MADE else 200)


@pytest.mark.parametrize("name", sorted(OF_ROWS))
def test_the_key_of_a_row_is_one_in_its_namespace_whoever_sends_it(name: str, caller: Caller) -> None:
    item = ready(name)
    first = ask(caller(), POSTS[name], item, idempotency_key="k")
    before = done()
    again = ask(caller(), POSTS[name], item, idempotency_key="k")
    assert again.status_code == 200, again.content
    told = [one.json().get("id") or one.json()["items"][0]["id"] for one in (first, again)]
    assert (told[0], done()) == (told[1], before)


def test_of_an_item_found_by_its_key_only_engine_and_payload_are_compared(caller: Caller) -> None:
    body = {"engine": "counter", "payload": {"count_to": 1}}
    first = caller().post("/work-items", {**body, "priority": 1}, idempotency_key="k")
    again = caller().post("/work-items", {**body, "priority": 9}, idempotency_key="k")
    assert (again.status_code, again.json()) == (200, first.json())
    other = {**body, "payload": {"count_to": 2}}
    problem(caller().post("/work-items", other, idempotency_key="k"), 409, "idempotency_conflict")


def test_every_post_says_that_it_takes_a_key_and_whose_it_is() -> None:
    paths = description.get_openapi_schema()["paths"]
    for route in routes():
        told = paths[route.path][route.method.lower()].get("parameters", [])
        keys = [one["description"] for one in told if one["name"] == "Idempotency-Key"]
        assert len(keys) == (route.method == "POST"), route
        assert all(("one in its namespace" in key) == (route.name in OF_ROWS) for key in keys), route


def test_a_repetition_is_not_asked_for_the_state_that_the_first_one_changed(api: Api) -> None:
    item = WorkItemFactory()
    of, seen = f"/work-items/{item.pk}/cancel", {"if_match": '"1"'}
    first = api.post(of, {"reason": "enough"}, idempotency_key="k", **seen)
    again = api.post(of, {"reason": "enough"}, idempotency_key="k", **seen)
    assert (again.status_code, again.json(), again["ETag"]) == (200, first.json(), first["ETag"])
    problem(api.post(of, {"reason": "enough"}), 409, "conflict")
    assert Event.objects.filter(work_item=item, kind="cancelled").count() == 1


def test_a_request_that_was_refused_may_be_sent_again_with_its_key(api: Api) -> None:
    item = WorkItemFactory(paused=True)
    problem(api.post(f"/work-items/{item.pk}/redrive", idempotency_key="k"), 409, "conflict")
    WorkItem.objects.filter(pk=item.pk).update(state="failed", paused_from="", away_since=None)
    assert api.post(f"/work-items/{item.pk}/redrive", idempotency_key="k").status_code == 200


def test_dead_letters_of_a_request_that_was_cut_off_are_treated_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = [WorkItemFactory(failed=True) for _ in range(3)]
    body = {"ids": [str(one.pk) for one in letters]}
    real, calls = dead_letters.item_of, []

    def fail_at_the_third(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 3:
            raise ZeroDivisionError
        return real(*given)

    monkeypatch.setattr(dead_letters, "item_of", fail_at_the_third)
    problem(api.post("/dead-letters/redrive", body, idempotency_key="k"), 500)
    told = api.post("/dead-letters/redrive", body, idempotency_key="k").json()
    assert (told["moved"], told["refused"]) == (body["ids"], [])
    assert Event.objects.filter(kind="redriven").count() == 3
    assert api.post("/dead-letters/redrive", body, idempotency_key="k").json() == told


def test_a_file_uploaded_under_a_key_is_there_once_though_the_item_went_on(api: Api) -> None:
    item = WorkItemFactory()
    first = api.upload(item.pk, idempotency_key="k")
    WorkItem.objects.filter(pk=item.pk).update(version=3)
    again = api.upload(item.pk, idempotency_key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    problem(api.upload(item.pk, b"other", idempotency_key="k"), 409, "idempotency_conflict")
    assert Artifact.objects.count() == 1
    assert ArtifactFactory().pk != first.json()["id"]
