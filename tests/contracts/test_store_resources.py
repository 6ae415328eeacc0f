"""Resources: one winner, all or nothing, freed at the end, and whoever waits is woken at once."""

from __future__ import annotations

import datetime as dt

import pytest

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.models import Lease, Resource, ResourceClaim, WorkItem
from runtime.operations.cancel import cancel
from runtime.store.base import Store
from runtime.store.values import Held
from runtime.store.waking import WAITERS
from tests.contracts.builders import Hand, after, cancelled, claims, item, kinds, last_event, moved, put

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L29")]


def shared(key: str) -> dict[str, object]:
    return {"key": key, "mode": "shared"}


def counted(key: str, units: int) -> dict[str, object]:
    return {"key": key, "mode": "counted", "units": units}


def kept(key: str) -> dict[str, object]:
    return {"key": key, "scope": "item"}


def test_one_of_two_gets_an_exclusive_resource_and_the_other_is_parked(worker: Hand) -> None:
    first, second = put(resources=["r"]), put(resources=["r"])
    assert [one.id for one in worker.claim()] == [first]
    assert claims(first) == [("r", True)]
    assert ResourceClaim.objects.get(work_item=first).epoch == 1
    found = item(second)
    assert (found.state, found.reason, found.epoch) == (State.QUEUED, Reason.RESOURCE, 0)
    assert claims(second) == [("r", False)]
    assert kinds(second) == [EventKind.ENQUEUED, EventKind.PARKED]
    assert last_event(second).data == {"resources": ["r"]}


def test_a_parked_item_stands_in_nobodys_way(store: Store, worker: Hand) -> None:
    put(resources=["r"])
    for _ in range(5):
        put(resources=["r"], priority=9)
    free = put()
    assert len(worker.claim(limit=2)) == 2
    assert worker.claim() == []
    assert store.due(worker.request()) is None
    assert store.next_due_in(worker.request()) is None
    assert item(free).state == State.RUNNING


def test_parked_items_do_not_make_a_claim_come_back_empty(worker: Hand) -> None:
    put(resources=["r"], priority=10)
    worker.take(limit=1)
    for _ in range(30):
        put(resources=["r"], priority=5)
    free = put()
    assert [one.id for one in worker.claim(limit=4)] == [free]


@pytest.mark.parametrize("state", [State.QUEUED, State.WAITING, State.DONE, State.FAILED, State.PAUSED])
def test_a_step_that_ends_the_lease_frees_and_wakes_in_the_same_transaction(worker: Hand, state: str) -> None:
    first, second, third = put(resources=["r"]), put(resources=["r"]), put(resources=["r"])
    claimed = worker.take()
    delay = {"delay": 60.0} if state == State.QUEUED else {}
    assert worker.commit(claimed, state, reason=Reason.DELAY, **delay) == state
    assert claims(first) == []
    assert (item(second).reason, claims(second)) == (Reason.CONTINUE, [])
    assert kinds(second)[1:] == [EventKind.PARKED, EventKind.WOKEN]
    assert (item(third).reason, claims(third)) == (Reason.RESOURCE, [("r", False)])
    assert worker.take().id == second


def test_a_sticky_step_keeps_the_resource(worker: Hand) -> None:
    first, second = put(resources=["r"]), put(resources=["r"])
    claimed = worker.take()
    worker.commit(claimed)
    assert claims(first) == [("r", True)]
    assert item(second).reason == Reason.RESOURCE


def test_many_keys_are_taken_all_or_none(worker: Hand) -> None:
    holder = put(resources=["b"], priority=2)
    both = put(resources=["a", "b"], priority=1)
    alone = put(resources=["a"])
    batch = {one.id: one for one in worker.claim()}
    assert set(batch) == {holder, alone}
    assert claims(both) == [("a", False), ("b", False)]
    worker.commit(batch[holder], State.DONE)
    assert item(both).reason == Reason.RESOURCE
    worker.commit(batch[alone], State.DONE)
    assert item(both).reason == Reason.CONTINUE
    assert worker.take().id == both
    assert claims(both) == [("a", True), ("b", True)]


def test_shared_claims_go_together_and_exclude_the_exclusive(worker: Hand) -> None:
    readers = [put(resources=[shared("r")], priority=5) for _ in range(3)]
    writer = put(resources=["r"])
    batch = worker.claim()
    assert [one.id for one in batch] == readers
    for claimed in batch[:2]:
        worker.commit(claimed, State.DONE)
    assert item(writer).reason == Reason.RESOURCE
    worker.commit(batch[2], State.DONE)
    again = worker.take()
    assert again.id == writer
    late = [put(resources=[shared("r")]) for _ in range(2)]
    assert worker.claim() == []
    worker.commit(again, State.DONE)
    assert {one.id for one in worker.claim()} == set(late)


def test_counted_claims_fill_the_capacity_and_no_more(worker: Hand) -> None:
    Resource.objects.create(namespace="default", key="gpu", capacity=4)
    two, three, one = (put(resources=[counted("gpu", units)]) for units in (2, 3, 1))
    batch = {claimed.id: claimed for claimed in worker.claim()}
    assert set(batch) == {two, one}
    assert item(three).reason == Reason.RESOURCE
    worker.commit(batch[one], State.DONE)
    assert item(three).reason == Reason.RESOURCE
    worker.commit(batch[two], State.DONE)
    assert worker.take().id == three


def test_a_claim_of_scope_item_is_kept_until_the_item_ends(worker: Hand) -> None:
    first, second = put(resources=[kept("browser"), "page"]), put(resources=["browser"])
    page = put(resources=["page"])
    worker.commit(worker.take(), State.QUEUED, delay=60.0, reason=Reason.DELAY)
    assert claims(first) == [("browser", True)]
    assert (item(second).reason, item(page).reason) == (Reason.RESOURCE, Reason.CONTINUE)
    worker.commit(worker.take(), State.DONE)
    with after(61):
        again = worker.take()
        assert (again.id, claims(first)) == (first, [("browser", True), ("page", True)])
        assert set(ResourceClaim.objects.filter(work_item=first).values_list("epoch", flat=True)) == {again.epoch}
        worker.commit(again, State.DONE)
        assert claims(first) == []
        assert worker.take().id == second


def test_a_dead_workers_claims_go_to_the_next(worker: Hand, other: Hand) -> None:
    first, second = put(resources=["r"]), put(resources=["r"])
    worker.take()
    report = worker.die()
    assert (report.recovered, report.woken, report.changed) == (1, 1, 2)
    assert claims(first) == []
    taken = other.take()
    assert {first, second} >= {taken.id}
    assert claims(taken.id) == [("r", True)]


def test_releasing_frees_and_wakes(worker: Hand) -> None:
    first, second = put(resources=["r"]), put(resources=["r"])
    assert worker.release(worker.take()) == 1
    assert (claims(first), item(second).reason) == ([], Reason.CONTINUE)


def test_a_cancelled_running_item_keeps_its_claims_until_its_worker_lets_go(worker: Hand, other: Hand) -> None:
    first, second = put(resources=["r", kept("s")]), put(resources=["r"])
    claimed = worker.take()
    cancelled(first)
    assert claims(first) == [("r", True), ("s", True)]
    assert other.claim() == []
    assert item(second).reason == Reason.RESOURCE
    assert worker.acknowledge(claimed) == 1
    assert claims(first) == []
    assert other.take().id == second


def test_a_cancelled_items_claims_are_free_when_its_lease_expires(store: Store, worker: Hand, other: Hand) -> None:
    first, second = put(resources=["r"]), put(resources=["r"])
    worker.take()
    cancelled(first)
    with after(16):
        report = store.sweep(batch=10)
        assert (report.leases_dropped, report.woken) == (1, 1)
        assert claims(first) == []
        assert other.take().id == second


def test_a_requeued_running_item_waits_for_its_own_old_step(worker: Hand, other: Hand) -> None:
    pk = put(resources=["r", kept("s")])
    claimed = worker.take()
    moved(pk, state=State.QUEUED, reason=Reason.REQUEUED, fence=True)
    assert other.claim() == []
    assert item(pk).reason == Reason.RESOURCE
    assert claims(pk) == [("r", True), ("s", True)]
    assert Lease.objects.get(pk=pk).worker_id == worker.id
    assert worker.acknowledge(claimed) == 1
    again = other.take()
    assert (again.id, claims(pk)) == (pk, [("r", True), ("s", True)])
    assert other.commit(again, State.DONE) == State.DONE
    assert claims(pk) == []


def test_a_requeued_item_that_only_has_kept_claims_is_woken_too(worker: Hand, other: Hand) -> None:
    pk = put(resources=[kept("s")])
    claimed = worker.take()
    moved(pk, state=State.QUEUED, reason=Reason.REQUEUED, fence=True)
    assert other.claim() == []
    assert worker.acknowledge(claimed) == 1
    assert other.take().id == pk


def test_a_cancelled_queued_item_frees_what_it_kept(worker: Hand, other: Hand) -> None:
    first, second = put(resources=[kept("s")]), put(resources=["s"])
    worker.commit(worker.take(), State.QUEUED, delay=60.0, reason=Reason.DELAY)
    assert other.claim() == []
    cancelled(first)
    assert claims(first) == []
    assert other.take().id == second


def test_an_operator_frees_one_claim_by_its_key(worker: Hand, other: Hand) -> None:
    first, second = put(resources=[kept("s"), kept("t")]), put(resources=["s"])
    worker.commit(worker.take(), State.QUEUED, delay=60.0, reason=Reason.DELAY)
    assert other.claim() == []
    moved(first, EventKind.RESOURCE_RELEASED, free=("s",))
    assert claims(first) == [("t", True)]
    assert other.take().id == second


def test_the_most_urgent_waiter_is_woken_first_then_the_longest_waiting(worker: Hand) -> None:
    put(resources=["r"], priority=99)
    claimed = worker.take()
    early, late, urgent = put(resources=["r"]), put(resources=["r"]), put(resources=["r"], priority=7)
    assert worker.claim() == []
    worker.commit(claimed, State.DONE)
    order = []
    for _ in range(3):
        claimed = worker.take()
        order.append(claimed.id)
        worker.commit(claimed, State.DONE)
    assert order == [urgent, early, late]


@pytest.mark.scenario("B8")
def test_the_sweep_wakes_whom_a_release_forgot(store: Store, worker: Hand) -> None:
    first, second, third = put(resources=["r"]), put(resources=["r"]), put(resources=["r"])
    worker.take()
    assert store.sweep(batch=10).woken == 0
    WorkItem.objects.filter(pk=first).update(state=State.DONE)
    Lease.objects.all().delete()
    ResourceClaim.objects.filter(work_item=first).delete()
    assert store.sweep(batch=10).woken == 1
    assert {item(second).reason, item(third).reason} == {Reason.CONTINUE, Reason.RESOURCE}


@pytest.mark.scenario("B8")
def test_blocked_waiters_never_hide_one_that_could_run(store: Store, worker: Hand) -> None:
    put(resources=["blocked"])
    worker.take()
    for _ in range(6):
        put(resources=["blocked"], priority=5)
    put(resources=["free"])
    free = put(resources=["free"])
    holder = worker.take()
    ResourceClaim.objects.filter(work_item=holder.id).delete()
    assert store.sweep(batch=2).woken == 1
    assert item(free).reason == Reason.CONTINUE


@pytest.mark.scenario("B8")
def test_any_number_of_blocked_waiters_for_one_resource_hide_none_that_could_run(store: Store, worker: Hand) -> None:
    put(resources=["busy"], priority=9)
    worker.take()
    put(resources=["r"], priority=9)
    holder = worker.take()
    for _ in range(WAITERS + 1):
        put(resources=["busy", "r"], priority=5)
    free = put(resources=["r"])
    assert worker.claim(WAITERS + 2) == []
    worker.commit(holder, State.DONE)
    store.sweep(batch=10)
    assert item(free).reason == Reason.CONTINUE
    assert worker.take().id == free


@pytest.mark.scenario("L33", "B8")
def test_a_child_that_its_parents_end_wakes_is_cancelled_with_it(store: Store, worker: Hand) -> None:
    parent = put(resources=[kept("r")])
    worker.commit(worker.take(), State.WAITING, reason=Reason.CHILDREN)
    child = put(resources=["r"], parent_id=parent, relation="child")
    assert (worker.claim(), item(child).reason) == ([], Reason.RESOURCE)
    cancel(parent)
    assert [item(pk).state for pk in (parent, child)] == [State.CANCELLED] * 2
    assert kinds(child)[1:] == [EventKind.PARKED, EventKind.WOKEN, EventKind.CANCELLED]
    assert (claims(parent), claims(child)) == ([], [])


@pytest.mark.scenario("B8")
def test_a_sweep_ends_an_item_and_who_waits_for_its_resource_in_one_go(store: Store, worker: Hand) -> None:
    late = clock.now("default") + dt.timedelta(seconds=5)
    holder = put(resources=[kept("r")], deadline_at=late)
    worker.commit(worker.take(), State.WAITING, reason=Reason.SIGNAL)
    waiter = put(resources=["r"], deadline_at=late + dt.timedelta(seconds=1))
    assert worker.claim() == []
    with after(60):
        assert store.sweep(batch=10).overdue == 2
    assert [kinds(pk)[-1] for pk in (holder, waiter)] == [EventKind.FAILED] * 2


@pytest.mark.scenario("L9", "B16")
def test_a_step_that_lingers_keeps_its_resources_until_its_worker_is_gone(worker: Hand, other: Hand) -> None:
    lingering, ended = put(resources=["r"]), put(resources=["s"])
    waiters = [put(resources=["r"]), put(resources=["s"])]
    claimed = {one.id: one for one in worker.claim()}
    failed = worker.outcome(claimed[lingering], State.QUEUED, reason=Reason.RETRY, advance=False, lingers=True)
    done = worker.outcome(claimed[ended], State.DONE)
    assert worker.store.commit([failed, done]) == {lingering: State.QUEUED, ended: State.DONE}
    assert [claims(pk) for pk in (lingering, ended)] == [[("r", True)], []]
    assert Lease.objects.get().revoked_at is not None
    assert [one.id for one in other.claim()] == [waiters[1]]
    assert worker.die().leases_dropped == 1
    assert {one.id for one in other.claim()} & {lingering, waiters[0]}


def test_resources_of_two_namespaces_are_two(worker: Hand) -> None:
    one, two = put(resources=["r"], namespace="one"), put(resources=["r"], namespace="two")
    assert {claimed.id for claimed in worker.claim()} == {one, two}
    assert Resource.objects.filter(key="r").count() == 2


def test_a_fenced_outcome_frees_nothing(worker: Hand, other: Hand) -> None:
    first = put(resources=["r"])
    claimed = worker.take()
    cancelled(first)
    assert worker.commit(claimed, State.DONE) is None
    assert claims(first) == [("r", True)]
    assert other.store.acknowledge(other.id, [Held(first, claimed.epoch)]) == 0
    assert claims(first) == [("r", True)]


@pytest.mark.scenario("L50")
def test_a_suspect_with_resources_is_claimed_alone_too(worker: Hand) -> None:
    pk = put(resources=["r"])
    WorkItem.objects.update(deaths=2)
    assert worker.claim() == []
    assert worker.take(alone=True).id == pk
    assert claims(pk) == [("r", True)]
    assert Lease.objects.get(pk=pk).alone
