"""What webhook targets are told is enqueued in the transaction that it tells of, whoever moves the item."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

import runtime.store
from runtime import faults, offload
from runtime.choices import EventKind, Reason, State
from runtime.deliveries import ENGINE
from runtime.faults import InjectedFault, Plan
from runtime.models import Event, WebhookTarget, WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.operations.pause import pause
from runtime.operations.resume import resume
from runtime.operations.targets import remove_target, set_target
from runtime.operations.triggers import set_trigger
from runtime.store import get_store
from runtime.store.base import Store
from tests.contracts.asking import park, wait_for, waiting, with_children
from tests.contracts.builders import Hand, after, item, kinds, last_event, moved, put, undone

pytestmark = pytest.mark.django_db(transaction=True)

ALL = ["done", "failed", "cancelled", "waiting"]


@pytest.fixture
def hand(db: None) -> Hand:
    return Hand()


def _with_points() -> Store:
    """Return the store anew: while a fault is planned it is one with points, for deliveries as well."""
    runtime.store._make.cache_clear()
    return get_store()


@pytest.fixture(autouse=True)
def stores_without_points() -> Any:
    yield
    runtime.store._make.cache_clear()


def tell(name: str = "ops", **values: Any) -> None:
    set_target(name, **{"url": "https://ops.example/roost", "events": ALL, **values})


def deliveries() -> list[WorkItem]:
    return list(WorkItem.objects.filter(engine=ENGINE).order_by("pk"))


def bodies() -> list[dict[str, Any]]:
    return [json.loads(one.payload["body"]) for one in deliveries()]


def told() -> list[tuple[str, str]]:
    return [(body["event"], body["item"]["id"]) for body in bodies()]


def test_the_end_of_an_item_enqueues_a_delivery_in_its_namespace_and_no_child(hand: Hand) -> None:
    tell(options={"priority": 7})
    pk = put(namespace="tenant")
    assert hand.commit(hand.take(), State.DONE, result='{"count": 5}') == State.DONE
    [delivery] = deliveries()
    assert (delivery.namespace, delivery.priority, delivery.state, delivery.parent_id) == ("tenant", 7, "queued", None)
    assert delivery.events.get().actor == "target:ops"
    [body] = bodies()
    assert body["event"] == delivery.payload["event"] == "item.done"
    assert (body["result"], body["item"]["id"], body["item"]["version"]) == ({"count": 5}, str(pk), 1)
    assert body["item"]["finished_at"] is not None
    event = last_event(pk)
    assert (event.kind, event.reason) == (EventKind.NOTIFIED, "ops")
    assert event.data == {"target": "ops", "event": "item.done", "delivery": str(delivery.pk)}
    kinds(pk)


@pytest.mark.parametrize(
    "values",
    [
        {"condition": "result.count > 5"},
        {"events": ["failed", "waiting"]},
        {"engine": "watchlist"},
        {"namespace": "other"},
        {"enabled": False},
    ],
)
def test_what_a_target_did_not_ask_for_it_is_not_told(hand: Hand, values: dict[str, Any]) -> None:
    tell(**values)
    pk = put()
    assert hand.commit(hand.take(), State.DONE, result='{"count": 5}') == State.DONE
    assert deliveries() == []
    assert EventKind.NOTIFIED not in kinds(pk)


def test_an_error_is_told_without_its_traceback_and_without_what_looks_like_a_secret(hand: Hand) -> None:
    tell(contents=["result", "error", "payload"])
    put(payload={"count_to": 1, "api_key": "hidden"})
    error = {"type": "E", "message": "to https://ann:hidden@x", "code": "c", "traceback": "hidden"}
    hand.commit(hand.take(), State.FAILED, reason=Reason.PERMANENT_ERROR, advance=False, error=json.dumps(error))
    [body] = bodies()
    assert body["error"]["code"] == "c"
    assert body["payload"]["count_to"] == 1
    assert "result" not in body
    assert "hidden" not in json.dumps(body)


def test_contents_are_told_as_they_are_where_that_is_wished(hand: Hand) -> None:
    tell(contents=["payload"], redact=False)
    put(payload={"count_to": 1, "api_key": "shown"})
    hand.commit(hand.take(), State.DONE, result="1")
    [body] = bodies()
    assert (body["payload"]["api_key"], "result" in body) == ("shown", False)


@pytest.mark.parametrize("result", [json.dumps("x" * 300_000), "[" * 100 + "]" * 100])
def test_what_is_too_large_or_too_deep_for_a_notice_is_left_out_and_named(hand: Hand, result: str) -> None:
    tell(contents=["result", "payload"])
    put()
    hand.commit(hand.take(), State.DONE, result=result)
    [body] = bodies()
    assert (body["left_out"], "payload" in body, "result" in body) == (["result"], True, False)


@pytest.mark.parametrize("redact", [True, False])
def test_what_was_moved_to_the_artifact_storage_is_left_out_unread_and_referred_to(hand: Hand, redact: bool) -> None:
    tell(contents=["result", "payload"], redact=redact)
    put()
    moved_out = offload.Reference("0" * 64, 100_000)
    assert hand.commit(hand.take(), State.DONE, result=moved_out.text) == State.DONE
    [body] = bodies()
    assert (body["left_out"], "payload" in body, "offloaded" in json.dumps(body)) == (["result"], True, False)
    assert body["moved"] == {"result": {"bytes": 100_000} | ({} if redact else {"sha256": "0" * 64})}


def test_an_item_that_waits_is_told_with_what_it_waits_for(hand: Hand) -> None:
    tell(condition="item.reason == 'approval'")
    pk = put()
    ask = wait_for("pay", "approval", prompt="Pay?", expires_in=60.0, data='{"secret": 1}')
    assert park(hand, hand.take(), ask) == State.WAITING
    [body] = bodies()
    [wait] = body["waits"]
    assert (body["event"], wait["key"], wait["kind"], wait["prompt"]) == ("item.waiting", "pay", "approval", "Pay?")
    assert wait["expires_at"] is not None
    assert "data" not in wait
    kinds(pk)
    approve(pk, "pay", actor="ann")
    assert hand.commit(hand.take(engines=("counter",)), State.DONE, result="1", asked=True) == State.DONE
    assert told() == [("item.waiting", str(pk))]  # the condition does not hold of the end


def test_an_item_whose_answer_is_there_already_did_not_wait(hand: Hand) -> None:
    tell()
    pk = put()
    claimed = hand.take()
    moved(pk, EventKind.PAUSED, changes={"pause_requested": True})
    assert park(hand, claimed, wait_for("go")) == State.PAUSED
    assert deliveries() == []
    resume(pk)
    assert told() == [("item.waiting", str(pk))]
    kinds(pk)


def test_a_cancelled_family_is_told_one_by_one_and_deliveries_go_on(hand: Hand) -> None:
    tell(events=["cancelled"])
    pk, children = with_children(hand, 2)
    family = [pk, *(child.id for child in children)]
    cancel(pk)
    assert sorted(told()) == sorted(("item.cancelled", str(one)) for one in family)
    assert {one.state for one in deliveries()} == {State.QUEUED}
    for one in family:
        kinds(one)


def test_whoever_waits_for_all_children_waits_for_no_delivery(hand: Hand) -> None:
    tell(events=["done"])
    pk, [child] = with_children(hand, 1)
    hand.commit(child, State.DONE, result="1", has_parent=True)
    assert len(deliveries()) == 1
    assert item(pk).state == State.QUEUED


def test_what_becomes_of_a_delivery_is_told_to_nobody(hand: Hand) -> None:
    tell()
    put()
    hand.commit(hand.take(), State.DONE, result="1")
    [delivery] = deliveries()
    claimed = hand.take(engines=(ENGINE,))
    hand.commit(claimed, State.FAILED, reason=Reason.PERMANENT_ERROR, advance=False, error='{"code": "no"}')
    assert item(delivery.pk).state == State.FAILED
    assert len(deliveries()) == 1


def test_trigger_and_target_follow_the_same_end(hand: Hand) -> None:
    tell()
    set_trigger("next", engine="counter", target="watchlist", payload={"url": "https://x.example"})
    pk = put()
    hand.commit(hand.take(), State.DONE, result="1")
    assert kinds(pk)[-2:] == [EventKind.CHILD, EventKind.NOTIFIED]
    assert [one.engine for one in WorkItem.objects.exclude(pk=pk).order_by("engine")] == ["watchlist", ENGINE]


def test_end_and_delivery_are_one_transaction(hand: Hand) -> None:
    tell()
    pk = put()
    claimed = hand.take()
    undone(lambda: hand.commit(claimed, State.DONE, result="1"))
    assert (item(pk).state, deliveries()) == (State.RUNNING, [])
    with faults.planned(Plan(point="insert.after", action="raise")), pytest.raises(InjectedFault):
        _with_points().commit([hand.outcome(claimed, State.DONE, result="1")])
    assert (item(pk).state, deliveries()) == (State.RUNNING, [])
    assert hand.commit(claimed, State.DONE, result="1") == State.DONE
    assert len(deliveries()) == 1


@pytest.mark.scenario("B4")
def test_an_outcome_that_is_fenced_off_is_not_told(hand: Hand) -> None:
    tell(events=["done"])
    pk = put()
    claimed = hand.take()
    moved(pk, EventKind.CANCELLED, state=State.CANCELLED, reason="", fence=True)
    assert hand.commit(claimed, State.DONE, result="1") is None
    assert deliveries() == []


def test_the_sweep_tells_of_what_it_ends(hand: Hand) -> None:
    tell(condition="error.code == 'timeout'")
    pk = put(item_timeout=60)
    hand.claim()
    with after(61):
        hand.store.sweep(living_workers=[hand.id], batch=50)
    assert told() == [("item.failed", str(pk))]


def test_each_of_a_batch_is_told(hand: Hand) -> None:
    tell()
    pks = [put() for _ in range(20)]
    hand.store.commit([hand.outcome(claimed, State.DONE, result="1") for claimed in hand.claim()])
    assert sorted(told()) == sorted(("item.done", str(pk)) for pk in pks)


def test_a_delivery_that_cannot_be_enqueued_is_told_and_undoes_nothing(hand: Hand, settings: Any) -> None:
    tell()
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, ENGINE: "tests.contracts.test_targets.nothing"}
    pk = put()
    assert hand.commit(hand.take(), State.DONE, result="1") == State.DONE
    untold = Event.objects.get(work_item=pk, kind=EventKind.NOTIFY_FAILED)
    assert (untold.reason, untold.data["event"]) == ("ops", "item.done")
    assert "EngineLoadError" in untold.data["error"]
    assert deliveries() == []
    kinds(pk)


@pytest.mark.parametrize("parked", [False, True])
def test_where_there_are_no_targets_a_commit_costs_no_query_more(hand: Hand, parked: bool) -> None:
    tell()
    remove_target("ops")

    def queries() -> int:
        put()
        claimed = hand.take()
        with CaptureQueriesContext(connection) as captured:
            if parked:
                park(hand, claimed, wait_for(uuid.uuid4().hex))
            else:
                hand.commit(claimed, State.DONE, result="1")
        return len([query for query in captured if "roost_webhook_target" in query["sql"]])

    queries()
    assert queries() == 0


def test_a_target_set_in_a_transaction_that_is_undone_is_never_told(hand: Hand) -> None:
    put()
    claimed = hand.take()
    with transaction.atomic():
        tell()
        transaction.set_rollback(True)
    hand.commit(claimed, State.DONE, result="1")
    assert deliveries() == []


def test_an_item_paused_while_it_waits_is_told_again_when_it_waits_on(hand: Hand) -> None:
    pk = waiting(hand, wait_for("go"))
    tell()
    pause(pk)
    assert deliveries() == []
    resume(pk)
    assert told() == [("item.waiting", str(pk))]


def test_a_target_of_the_settings_is_told_by_its_name_and_before_a_row_of_the_same(hand: Hand, settings: Any) -> None:
    tell()
    tell("row")
    # Neither variable is set here: who moves an item need not know where its deliveries go.
    good = {"url": "env:OPS_HOOK_URL", "events": ["done"], "secret": "env:OPS_HOOK_SECRET"}
    settings.ROOST_WEBHOOK_TARGETS = {"ops": good, "odd": {"url": 7}, "off": {**good, "enabled": False}}
    pk = put()
    hand.commit(hand.take(), State.DONE, result="1")
    row = WebhookTarget.objects.get(name="row").pk
    assert {one.payload["target"] for one in deliveries()} == {"ops", row}
    assert kinds(pk).count(EventKind.NOTIFIED) == 2
    assert "OPS_HOOK_SECRET" not in repr([one.payload for one in deliveries()])
    settings.ROOST_WEBHOOK_TARGETS = {"ops": {**good, "events": ["failed"]}}
    put()
    hand.commit(hand.take(engines=("counter",)), State.DONE, result="1")
    assert sorted(str(one.payload["target"]) for one in deliveries()) == sorted(["ops", str(row), str(row)])
