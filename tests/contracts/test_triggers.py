"""Triggers fire in the transaction that ends an item, whoever ends it, once an end; where none is they cost nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

import runtime.store
from runtime import faults
from runtime.choices import EventKind, Reason, State
from runtime.faults import InjectedFault, Plan
from runtime.models import Event, Trigger, WorkItem
from runtime.operations import triggering
from runtime.operations.triggers import remove_trigger, set_trigger
from runtime.store import get_store
from runtime.store.base import Store
from tests.contracts.builders import Hand, Together, after, item, kinds, last_event, moved, new_item, put, undone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    here = "tests.runtime.operations.sample"
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "echo": f"{here}.Echo", "picky": f"{here}.Picky"}


@pytest.fixture
def hand(db: None) -> Hand:
    return Hand()


def follow(name: str = "follow", **values: Any) -> None:
    set_trigger(name, **{"engine": "counter", "target": "echo", **values})


def children(pk: Any) -> list[WorkItem]:
    return list(WorkItem.objects.filter(parent=pk).order_by("pk"))


@pytest.mark.scenario("L33", "B21")
def test_an_item_that_is_done_enqueues_a_linked_child_in_its_namespace(hand: Hand) -> None:
    follow(
        condition="result.count >= 3 and payload.count_to == 3 and state.count == 1",
        payload={"sum": "$result.count", "from": "$item.id", "why": "done", "state": "$state"},
        options={"priority": 7},
    )
    pk = put(namespace="tenant")
    assert hand.commit(hand.take(), State.DONE, result=json.dumps({"count": 5})) == State.DONE
    [child] = children(pk)
    assert child.payload == {"sum": 5, "from": str(pk), "why": "done", "state": {"count": 1}}
    assert (child.namespace, child.relation, child.priority, child.state) == ("tenant", "trigger", 7, State.QUEUED)
    assert child.events.get().actor == "trigger:follow"
    event = last_event(pk)
    assert (event.kind, event.reason) == (EventKind.CHILD, "follow")
    assert event.data == {"child": str(child.pk), "engine": "echo", "trigger": "follow"}
    assert kinds(pk)[-1] == EventKind.CHILD


@pytest.mark.scenario("L33")
@pytest.mark.parametrize("fires", ["counter", "spawned"])
def test_a_ring_that_nobody_saw_ends_by_itself_and_says_why(hand: Hand, settings: Any, fires: str) -> None:
    """The end of each counter, or of the child that it spawned, enqueues the next counter."""
    settings.ROOST_TRIGGER_CHAIN = 3
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "spawned": settings.ROOST_ENGINES["counter"]}
    follow(engine=fires, target="counter", condition="result == result", payload={"count_to": 1})
    put()
    for _ in range(20):
        for claimed in hand.claim():
            if claimed.engine == "counter":
                put(engine="spawned", parent_id=claimed.id, relation="child")
            hand.commit(claimed, State.DONE, result="1", has_parent=claimed.parent_id is not None)
    assert WorkItem.objects.filter(relation="trigger").count() == 3
    assert set(WorkItem.objects.values_list("state", flat=True)) == {State.DONE}
    [told] = Event.objects.filter(kind=EventKind.TRIGGER_FAILED)
    assert told.work_item.engine == fires
    assert "ROOST_TRIGGER_CHAIN" in told.data["error"]


@pytest.mark.scenario("L33")
def test_two_halves_of_a_ring_that_were_set_at_once_come_to_an_end(hand: Hand, settings: Any) -> None:
    settings.ROOST_TRIGGER_CHAIN = 4
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "other": settings.ROOST_ENGINES["counter"]}
    # Neither sees the other's row while it looks for rings.
    halves = [("counter", "other"), ("other", "counter")]
    Trigger.objects.bulk_create(
        [Trigger(name=one, engine=one, on="done", target=two, payload={"count_to": 1}) for one, two in halves]
    )
    triggering.forget()
    put()
    for _ in range(20):
        for claimed in hand.claim():
            hand.commit(claimed, State.DONE, result="1", has_parent=claimed.parent_id is not None)
    assert list(WorkItem.objects.order_by("pk").values_list("engine", flat=True)) == ["counter", "other"] * 2 + [
        "counter"
    ]
    assert Event.objects.filter(kind=EventKind.TRIGGER_FAILED).count() == 1


@pytest.mark.scenario("L33")
def test_without_a_map_the_child_gets_the_result_or_the_error(hand: Hand) -> None:
    follow("good")
    follow("bad", on="failed")
    done, failed = put(), put()
    for claimed in hand.claim():
        if claimed.id == done:
            hand.commit(claimed, State.DONE, result='{"ok": true}')
        else:
            hand.commit(claimed, State.FAILED, reason=Reason.PERMANENT_ERROR, advance=False, error='{"code": "no"}')
    assert [child.payload for child in children(done)] == [{"ok": True}]
    assert [child.payload for child in children(failed)] == [{"code": "no"}]


@pytest.mark.scenario("L33")
@pytest.mark.parametrize(
    "values",
    [
        {"condition": "result.count > 5"},
        {"on": "failed"},
        {"engine": "picky"},
        {"namespace": "other"},
        {"enabled": False},
    ],
)
def test_another_end_than_the_one_it_waits_for_fires_nothing(hand: Hand, values: dict[str, Any]) -> None:
    follow(**values)
    pk = put()
    assert hand.commit(hand.take(), State.DONE, result='{"count": 5}') == State.DONE
    assert children(pk) == []
    assert EventKind.CHILD not in kinds(pk)


@pytest.mark.parametrize("state", [State.RUNNING, State.QUEUED])
def test_an_outcome_that_ends_nothing_fires_nothing(hand: Hand, state: str) -> None:
    follow()
    pk = put()
    assert hand.commit(hand.take(), state) == state
    assert children(pk) == []


@pytest.mark.scenario("L33", "B4")
def test_an_outcome_that_is_fenced_off_fires_nothing(hand: Hand) -> None:
    follow()
    pk = put()
    claimed = hand.take()
    moved(pk, EventKind.CANCELLED, state=State.CANCELLED, reason="", fence=True)
    assert hand.commit(claimed, State.DONE, result="1") is None
    assert children(pk) == []


@pytest.mark.scenario("B21")
def test_end_and_child_are_one_transaction(hand: Hand) -> None:
    follow()
    pk = put()
    claimed = hand.take()
    undone(lambda: hand.commit(claimed, State.DONE, result="1"))
    assert (item(pk).state, children(pk)) == (State.RUNNING, [])
    with faults.planned(Plan(point="insert.after", action="raise")), pytest.raises(InjectedFault):
        _with_points().commit([hand.outcome(claimed, State.DONE, result="1")])
    assert (item(pk).state, children(pk)) == (State.RUNNING, [])
    assert hand.commit(claimed, State.DONE, result="1") == State.DONE
    assert len(children(pk)) == 1


def _with_points() -> Store:
    """Return the store anew: while a fault is planned it is one with points, for triggers as well."""
    runtime.store._make.cache_clear()
    return get_store()


@pytest.fixture(autouse=True)
def stores_without_points() -> Any:
    yield
    runtime.store._make.cache_clear()


@pytest.mark.scenario("L33")
def test_each_end_of_a_batch_fires_by_itself(hand: Hand) -> None:
    follow(condition="payload.count_to > 10")
    pks = [put(payload={"count_to": number}) for number in range(1, 21)]
    outcomes = [hand.outcome(claimed, State.DONE, result="1") for claimed in hand.claim()]
    assert set(hand.store.commit(outcomes).values()) == {State.DONE}
    assert [len(children(pk)) for pk in pks] == [0] * 10 + [1] * 10
    assert all(kinds(pk)[-1] in (EventKind.STEP, EventKind.CHILD) for pk in pks)


@pytest.mark.scenario("L33", "L29")
def test_an_item_with_resources_fires_too(hand: Hand) -> None:
    follow()
    pk, waiter = put(resources=["lock"]), put(resources=["lock"])
    claimed = {one.id: one for one in hand.claim()}[pk]
    hand.commit(claimed, State.DONE, result="1")
    assert len(children(pk)) == 1
    assert hand.take(engines=("counter",)).id == waiter


@pytest.mark.scenario("L33")
def test_an_operator_who_fails_an_item_fires_what_waits_for_failures() -> None:
    follow(on="failed", condition="item.reason == 'forced'")
    pk = put()
    found = moved(pk, EventKind.FAILED, state=State.FAILED, reason=Reason.FORCED)
    assert len(children(pk)) == 1
    stored = item(pk)
    assert (found.row_version, found.event_seq) == (stored.row_version, stored.event_seq)
    moved(pk, EventKind.REDRIVEN, state=State.QUEUED)
    moved(pk, EventKind.FAILED, state=State.FAILED, reason=Reason.FORCED)
    assert len(children(pk)) == 2
    kinds(pk)


@pytest.mark.scenario("L33", "L9")
def test_the_sweep_that_ends_what_is_overdue_fires(hand: Hand) -> None:
    follow(on="failed", payload={"code": "$error.code", "reason": "$item.reason", "state": "$item.state"})
    slow = put(item_timeout=60)
    hand.claim()
    late = put()
    WorkItem.objects.filter(pk=late).update(deadline_at=item(late).run_at)
    with after(61):
        hand.store.sweep(living_workers=[hand.id], batch=50)
    assert [child.payload for pk in (slow, late) for child in children(pk)] == [
        {"code": "timeout", "reason": "timeout", "state": "failed"},
        {"code": "deadline", "reason": "deadline", "state": "failed"},
    ]


@pytest.mark.scenario("L33", "L50")
@pytest.mark.parametrize("resources", [[], ["lock"]])
def test_an_item_that_is_quarantined_fires(resources: list[str], settings: Any) -> None:
    settings.ROOST_MAX_DEATHS = 1
    follow(on="failed", payload={"code": "$error.code"})
    pk = put(resources=resources)
    for alone in (False, False, True):
        hand = Hand()
        hand.take(alone=alone)
        hand.die()
    assert (item(pk).state, item(pk).reason) == (State.FAILED, Reason.POISON)
    assert [child.payload for child in children(pk)] == [{"code": "poison"}]
    kinds(pk)


@pytest.mark.scenario("L33")
def test_a_trigger_that_cannot_fire_is_told_and_undoes_nothing(hand: Hand) -> None:
    follow("bad", target="picky", payload={"no": "name"})
    follow("good")
    pk = put()
    assert hand.commit(hand.take(), State.DONE, result="1") == State.DONE
    assert [child.engine for child in children(pk)] == ["echo"]
    told = Event.objects.get(work_item=pk, kind=EventKind.TRIGGER_FAILED)
    assert told.reason == "bad"
    assert "Say whom to greet" in told.data["error"]
    kinds(pk)


@pytest.mark.scenario("L33")
def test_the_settings_have_triggers_too(hand: Hand, settings: Any) -> None:
    settings.ROOST_TRIGGERS = {"coded": {"engine": "counter", "target": "echo", "payload": "$result"}}
    pk = put()
    hand.commit(hand.take(), State.DONE, result="7")
    assert [child.payload for child in children(pk)] == [7]
    settings.ROOST_TRIGGERS = {}
    other = put()
    hand.commit(hand.take(engines=("counter",)), State.DONE, result="7")
    assert children(other) == []


def test_where_there_are_no_triggers_an_end_costs_no_query_more(hand: Hand) -> None:
    follow()
    remove_trigger("follow")

    def queries(state: str) -> int:
        put()
        claimed = hand.take()
        with CaptureQueriesContext(connection) as captured:
            hand.commit(claimed, state, result="1" if state == State.DONE else None)
        return len(captured)

    queries(State.DONE)
    assert queries(State.DONE) == queries(State.QUEUED)


@pytest.mark.scenario("L33")
def test_a_trigger_set_in_a_transaction_that_is_undone_never_fires_for_others(hand: Hand) -> None:
    pk = put()
    claimed = hand.take()
    with transaction.atomic():
        follow()
        transaction.set_rollback(True)
    hand.commit(claimed, State.DONE, result="1")
    assert children(pk) == []


@pytest.mark.scenario("L33", "L16")
def test_ends_in_many_threads_fire_once_each() -> None:
    follow()
    pks = [put() for _ in range(40)]
    hands = [Hand() for _ in range(4)]

    def work(hand: Hand) -> None:
        while batch := hand.claim(limit=4, engines=("counter",)):
            hand.store.commit([hand.outcome(one, State.DONE, result="1") for one in batch])

    Together([lambda hand=hand: work(hand) for hand in hands]).results()
    assert [len(children(pk)) for pk in pks] == [1] * 40
    assert get_store().insert([new_item()])


@pytest.mark.parametrize("wrong", [{"condition": ["x"]}, {"payload": {1: 2, "b": 3}}, {"on": "never"}])
def test_a_trigger_of_the_settings_that_makes_no_sense_fails_no_end(hand: Hand, settings: Any, wrong: Any) -> None:
    settings.ROOST_TRIGGERS = {"bad": {"engine": "counter", "target": "echo", **wrong}}
    pk = put()
    assert hand.commit(hand.take(), State.DONE) == State.DONE
    assert item(pk).state == State.DONE
