"""Claiming: who gets which item, and what the item looks like then."""

from __future__ import annotations

import json

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.models import Lease, WorkItem
from runtime.store.base import Store
from tests.contracts.builders import Hand, after, item, kinds, last_event, moved, put

pytestmark = pytest.mark.django_db


def test_a_claimed_item_runs_under_a_new_epoch_with_a_lease(store: Store, worker: Hand) -> None:
    pk = put(payload={"a": 1}, config=json.dumps({"b": 2}), step_timeout=7.5, max_steps=9)
    claimed = worker.take()
    found, lease = item(pk), Lease.objects.get(pk=pk)
    assert (found.state, found.reason, found.epoch) == (State.RUNNING, "", 1)
    assert (lease.worker_id, lease.epoch, lease.revoked_at, lease.alone) == (worker.id, 1, None, False)
    assert (lease.expires_at - lease.acquired_at).total_seconds() == pytest.approx(15, abs=0.5)
    assert (claimed.id, claimed.epoch, claimed.version, claimed.data) == (pk, 1, 0, None)
    assert (claimed.step_timeout, claimed.max_steps, claimed.timeout_left) == (7.5, 9, None)
    assert (claimed.attempt, claimed.max_attempts, claimed.deaths, claimed.limited) == (0, 5, 0, False)
    assert claimed.created_at == found.created_at
    assert kinds(pk) == [EventKind.ENQUEUED, EventKind.CLAIMED]
    assert (last_event(pk).worker, last_event(pk).epoch) == (worker.id, 1)


@pytest.mark.scenario("L17")
def test_a_running_item_is_not_claimed_again(worker: Hand, other: Hand) -> None:
    put()
    assert len(worker.claim()) == 1
    assert other.claim() == []
    assert other.claim(alone=True) == []


@pytest.mark.scenario("L30")
def test_the_most_urgent_come_first_then_those_due_longest(worker: Hand) -> None:
    late, low, early = put(), put(priority=-5), put()
    WorkItem.objects.filter(pk=early).update(run_at=item(late).run_at.replace(year=2020))
    urgent = put(priority=100)
    assert [one.id for one in worker.claim()] == [urgent, early, late, low]


@pytest.mark.scenario("L30", "L22")
def test_an_item_is_not_claimed_before_it_is_due(worker: Hand, store: Store) -> None:
    pk = put(delay=60)
    assert worker.claim() == []
    assert store.due(worker.request()) is None
    assert store.next_due_in(worker.request()) == pytest.approx(60, abs=2)
    with after(61):
        assert store.due(worker.request()) == 0
        assert store.next_due_in(worker.request()) == 0
        assert worker.take().id == pk


def test_due_tells_the_highest_priority_of_what_this_worker_may_run(worker: Hand, store: Store) -> None:
    put(priority=3)
    put(priority=9, engine="other")
    put(priority=12, pool="gpu")
    put(priority=20, delay=50)
    assert store.due(worker.request()) == 12
    assert store.due(worker.request(engines=("counter",), pools=("default",))) == 3
    assert store.due(worker.request(engines=("none",))) is None
    assert store.next_due_in(worker.request(engines=("none",))) is None
    assert store.due(worker.request(engines=())) is None


def test_a_worker_gets_only_its_engines_and_pools(worker: Hand) -> None:
    counter, other, gpu = put(), put(engine="other"), put(pool="gpu")
    assert [one.id for one in worker.claim(engines=("other",))] == [other]
    assert [one.id for one in worker.claim(engines=("counter",), pools=("gpu", "tpu"))] == [gpu]
    assert worker.claim(engines=()) == []
    assert [one.id for one in worker.claim(pools=("default",))] == [counter]


def test_no_more_items_are_claimed_than_asked_for(worker: Hand) -> None:
    for _ in range(5):
        put()
    assert len(worker.claim(limit=0)) == 0
    assert len(worker.claim(limit=2)) == 2
    assert len(worker.claim(limit=9)) == 3


@pytest.mark.scenario("L5", "L20")
def test_the_state_returned_is_that_of_the_claimed_version(worker: Hand, other: Hand) -> None:
    pk = put()
    first = worker.take()
    worker.commit(first, data='{"count": 1}')
    worker.commit(first, State.QUEUED, version=1, data='{"count": 2}', label="second", reason=Reason.CONTINUE)
    again = other.take()
    assert (again.id, again.epoch, again.version, again.steps_total) == (pk, 2, 2, 2)
    assert again.step_label == "second"
    assert json.loads(again.data or "") == {"count": 2}


def test_a_first_step_that_only_waits_keeps_the_initial_state(worker: Hand) -> None:
    put()
    first = worker.take()
    worker.commit(first, State.QUEUED, advance=False, initial='{"begun": true}', reason=Reason.DELAY)
    again = worker.take()
    assert again.version == 0
    assert json.loads(again.data or "") == {"begun": True}


def test_a_state_of_null_is_a_state(worker: Hand) -> None:
    put()
    first = worker.take()
    worker.commit(first, State.QUEUED, data="null", initial="null", reason=Reason.CONTINUE)
    assert worker.take().data == "null"


def test_the_items_timeout_starts_with_its_first_claim(worker: Hand) -> None:
    pk = put(item_timeout=100.0)
    assert item(pk).timeout_at is None
    first = worker.take()
    assert first.timeout_left == pytest.approx(100, abs=2)
    started, ends = item(pk).started_at, item(pk).timeout_at
    worker.commit(first, State.QUEUED, reason=Reason.CONTINUE)
    with after(40):
        assert worker.take().timeout_left == pytest.approx(60, abs=2)
    assert (item(pk).started_at, item(pk).timeout_at) == (started, ends)


@pytest.mark.scenario("L50")
def test_a_suspect_is_claimed_alone_and_by_nobody_who_is_busy(store: Store, worker: Hand) -> None:
    innocent, suspect = put(priority=1), put()
    WorkItem.objects.filter(pk=suspect).update(deaths=2)
    assert store.due(worker.request(engines=None)) == 1
    assert [one.id for one in worker.claim()] == [innocent]
    assert worker.claim() == []
    assert store.next_due_in(worker.request()) is None
    assert store.due(worker.request(alone=True)) == 0
    put()
    alone = worker.take(alone=True)
    assert (alone.id, alone.deaths) == (suspect, 2)
    assert Lease.objects.get(pk=suspect).alone
    assert worker.claim(alone=True) == []


def test_who_asks_for_a_suspect_gets_nothing_else(worker: Hand) -> None:
    put()
    request = worker.request(alone=True)
    assert worker.store.due(request) is None
    assert worker.store.next_due_in(request) is None
    assert worker.claim(alone=True) == []
    assert not Lease.objects.exists()


def test_a_revoked_lease_of_an_item_without_resources_is_replaced(worker: Hand, other: Hand) -> None:
    pk = put()
    old = worker.take()
    moved(pk, state=State.QUEUED, fence=True)
    new = other.take()
    lease = Lease.objects.get(pk=pk)
    assert (lease.worker_id, lease.epoch, lease.revoked_at) == (other.id, new.epoch, None)
    assert new.epoch > old.epoch
    assert worker.acknowledge(old) == 0
    assert worker.commit(old) is None
    assert other.commit(new) == State.RUNNING


@pytest.mark.scenario("B8")
def test_items_due_later_never_hide_those_due_now(store: Store, worker: Hand) -> None:
    for _ in range(60):
        put(delay=500, priority=7)
    pk = put()
    assert store.due(worker.request()) == 0
    assert [one.id for one in worker.claim(limit=5)] == [pk]


@pytest.mark.scenario("L27")
def test_the_same_names_in_two_namespaces_are_two_things(worker: Hand) -> None:
    one = put(namespace="one", resources=["r"], idempotency_key="k")
    two = put(namespace="two", resources=["r"], idempotency_key="k")
    assert {claimed.id: claimed.namespace for claimed in worker.claim()} == {one: "one", two: "two"}
