"""The sweep: nothing stays with the dead, nothing overdue goes on, and it is done once."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connections
from django.test import override_settings

from runtime import clock
from runtime.choices import EventKind, Reason, State, WorkerState
from runtime.models import Lease, Worker, WorkItem
from runtime.store.base import Store
from runtime.store.values import SweepReport
from tests.contracts.builders import Hand, after, cancelled, item, kinds, last_event, moved, put

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L5", "L28", "B17")
def test_a_dead_workers_items_go_to_the_next_at_once(worker: Hand, other: Hand) -> None:
    pk = put()
    claimed = worker.take()
    worker.commit(claimed)
    report = worker.die()
    assert (report.recovered, report.workers_lost, report.quarantined) == (1, 1, 0)
    found = item(pk)
    assert (found.state, found.reason, found.deaths, found.attempt) == (State.QUEUED, Reason.RECOVERED, 1, 0)
    assert not Lease.objects.exists()
    row = Worker.objects.get(pk=worker.id)
    assert (row.state, row.stopped_at is not None) == (WorkerState.OFFLINE, True)
    assert last_event(pk).kind == EventKind.RECOVERED
    assert last_event(pk).worker == worker.id
    again = other.take()
    assert (again.epoch, again.version, again.deaths) == (3, 1, 1)
    assert worker.commit(claimed, version=1) is None


@pytest.mark.scenario("L42")
def test_after_an_outage_only_what_the_dead_hold_is_taken_back(store: Store, worker: Hand, other: Hand) -> None:
    of_the_dead = put()
    worker.take()
    of_the_living = put()
    other.take()
    late = put(delay=60, deadline_at=clock.now(store.using) + dt.timedelta(seconds=5))
    with after(16):
        report = store.sweep(dead_workers=[worker.id], only_dead=True, batch=10)
        assert report == SweepReport(recovered=1, workers_lost=1)
        assert item(of_the_dead).reason == Reason.RECOVERED
        assert Lease.objects.get().pk == of_the_living
        assert item(late).state == State.QUEUED
        assert store.sweep(dead_workers=[worker.id], only_dead=True, batch=10) == SweepReport()
        assert store.sweep(batch=10).recovered == 1
        assert item(late).state == State.FAILED


@pytest.mark.scenario("L42")
def test_after_an_outage_only_the_deads_revoked_leases_are_dropped(store: Store, worker: Hand, other: Hand) -> None:
    for hand in (worker, other):
        put()
        cancelled(hand.take().id)
    with after(16):
        assert store.sweep(dead_workers=[worker.id], only_dead=True, batch=10).leases_dropped == 1
        assert Lease.objects.get().worker_id == other.id


@pytest.mark.scenario("L28")
def test_an_item_is_recovered_once(worker: Hand) -> None:
    pk = put()
    worker.take()
    assert worker.die().recovered == 1
    assert worker.die() == SweepReport()
    assert (item(pk).deaths, kinds(pk)[2:]) == (1, [EventKind.RECOVERED])


@pytest.mark.scenario("B17", "L41")
@pytest.mark.parametrize("row", ["silent", "offline", "missing"])
def test_an_expired_lease_of_a_worker_that_nobody_sees_is_taken_back(store: Store, worker: Hand, row: str) -> None:
    pk = put()
    worker.take()
    if row == "offline":
        Worker.objects.filter(pk=worker.id).update(state=WorkerState.OFFLINE)
    elif row == "missing":
        Worker.objects.filter(pk=worker.id).delete()
    assert store.sweep(batch=10) == SweepReport()
    with after(16):
        assert store.sweep(batch=10).recovered == 1
    assert (item(pk).reason, item(pk).deaths) == (Reason.RECOVERED, 1)


@pytest.mark.scenario("L26")
def test_a_living_worker_past_its_lease_keeps_its_items_on_sqlite_alone(store: Store, worker: Hand) -> None:
    put()
    claimed = worker.take()
    keeps = connections[store.using].vendor == "sqlite"
    with after(16):
        report = store.sweep(living_workers=[worker.id], batch=10)
        assert report.recovered == (0 if keeps else 1)
        assert bool(worker.renew(claimed).lost) != keeps
    assert (worker.commit(claimed) is not None) == keeps


def test_a_lease_that_is_renewed_is_left_alone(store: Store, worker: Hand) -> None:
    put()
    claimed = worker.take()
    with after(10):
        worker.renew(claimed)
    with after(20):
        assert store.sweep(batch=10) == SweepReport()


def test_a_recovered_item_with_a_requested_pause_is_paused(worker: Hand) -> None:
    pk = put()
    worker.take()
    WorkItem.objects.update(pause_requested=True)
    assert worker.die().recovered == 1
    assert (item(pk).state, item(pk).paused_from, item(pk).deaths) == (State.PAUSED, State.QUEUED, 1)
    assert kinds(pk)[2:] == [EventKind.RECOVERED, EventKind.PAUSED]


@pytest.mark.scenario("L50", "L21")
def test_a_poison_item_is_quarantined_and_its_neighbours_are_not() -> None:
    pk = put()
    neighbours = [put() for _ in range(4)]
    for version in range(2):
        crowd = Hand()
        batch = crowd.claim()
        assert len(batch) == 5
        for claimed in batch:
            if claimed.id != pk:
                assert claimed.version == version
                crowd.commit(claimed)
        assert crowd.die().recovered == 5
    assert len(Hand().claim()) == 4
    for quarantined in (0, 0, 1):
        alone = Hand()
        assert alone.take(alone=True).id == pk
        assert alone.die().quarantined == quarantined
    found = item(pk)
    assert (found.state, found.reason, found.deaths) == (State.FAILED, Reason.POISON, 5)
    assert found.last_error["code"] == "poison"
    assert (last_event(pk).kind, last_event(pk).reason) == (EventKind.FAILED, Reason.POISON)
    assert {(item(one).state, item(one).deaths) for one in neighbours} == {(State.RUNNING, 1)}


@pytest.mark.scenario("L50")
def test_deaths_in_company_never_convict(store: Store, worker: Hand) -> None:
    pk = put()
    WorkItem.objects.update(deaths=1)
    worker.take()
    WorkItem.objects.update(deaths=50)
    assert worker.die().quarantined == 0
    assert (item(pk).state, item(pk).deaths) == (State.QUEUED, 51)
    assert Hand().claim() == []


@override_settings(ROOST_MAX_DEATHS=5)
def test_the_setting_says_how_many_deaths_are_too_many() -> None:
    pk = put()
    WorkItem.objects.update(deaths=2)
    for deaths in (3, 4, 5, 6, 7):
        alone = Hand()
        alone.take(alone=True)
        alone.die()
        assert (item(pk).state == State.FAILED) == (deaths == 7)


@pytest.mark.scenario("L30")
@pytest.mark.parametrize("state", [State.QUEUED, State.PAUSED, State.WAITING])
def test_an_item_past_its_deadline_fails(store: Store, worker: Hand, state: str) -> None:
    pk = put(deadline_at=clock.now(store.using) + dt.timedelta(seconds=60))
    if state == State.WAITING:
        worker.commit(worker.take(), State.WAITING, reason=Reason.SIGNAL)
    elif state == State.PAUSED:
        moved(pk, EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR)
    assert store.sweep(batch=10).overdue == 0
    with after(61):
        assert store.sweep(batch=10).overdue == 1
        assert store.sweep(batch=10) == SweepReport()
    found = item(pk)
    assert (found.state, found.reason) == (State.FAILED, Reason.DEADLINE)
    assert found.last_error["code"] == "deadline"
    assert (found.finished_at is not None, found.away_since) == (True, None)
    assert (last_event(pk).kind, last_event(pk).reason) == (EventKind.FAILED, Reason.DEADLINE)


def test_a_deadline_does_not_stop_a_running_step(store: Store, worker: Hand) -> None:
    pk = put(deadline_at=clock.now(store.using) + dt.timedelta(seconds=5))
    worker.take()
    with after(6):
        assert store.sweep(batch=10).overdue == 0
    assert item(pk).state == State.RUNNING


@pytest.mark.scenario("L9")
def test_an_item_that_outruns_its_timeout_fails_and_its_worker_is_fenced(store: Store, worker: Hand) -> None:
    running, queued = put(item_timeout=100.0), put(item_timeout=100.0)
    first, second = worker.claim()
    worker.commit(second, State.QUEUED, delay=500.0, reason=Reason.DELAY)
    with after(101):
        worker.renew(first)
        assert store.sweep(batch=10).timed_out == 2
        assert worker.renew(first).lost
    assert worker.commit(first) is None
    for pk in (running, queued):
        found = item(pk)
        assert (found.state, found.reason, found.last_error["code"]) == (State.FAILED, Reason.TIMEOUT, "timeout")
        assert found.finished_at is not None
    assert Lease.objects.get().revoked_at is not None
    assert worker.acknowledge(first) == 1


@pytest.mark.scenario("L9", "B20")
def test_time_away_does_not_count_into_the_timeout(store: Store, worker: Hand) -> None:
    pk = put(item_timeout=100.0)
    worker.commit(worker.take(), State.QUEUED, reason=Reason.CONTINUE)
    moved(pk, EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR)
    with after(500):
        assert store.sweep(batch=10) == SweepReport()
        moved(pk, EventKind.RESUMED, state=State.QUEUED, reason=Reason.CONTINUE)
        assert store.sweep(batch=10) == SweepReport()
        assert worker.take().timeout_left == pytest.approx(100, abs=5)
    assert item(pk).away_total == pytest.approx(500, abs=2)
    assert item(pk).away_since is None


def test_a_revoked_lease_that_nobody_acknowledges_is_dropped_when_it_expires(store: Store, worker: Hand) -> None:
    pk = put()
    worker.take()
    cancelled(pk)
    assert store.sweep(batch=10).leases_dropped == 0
    with after(16):
        assert store.sweep(batch=10).leases_dropped == 1
    assert not Lease.objects.exists()
    assert item(pk).state == State.CANCELLED


def test_a_dead_workers_revoked_lease_is_dropped_at_once(worker: Hand) -> None:
    pk = put()
    worker.take()
    cancelled(pk)
    assert worker.die().leases_dropped == 1
    assert (item(pk).state, item(pk).deaths) == (State.CANCELLED, 0)


def test_a_small_batch_does_a_part_and_says_that_there_is_more(store: Store, worker: Hand) -> None:
    for _ in range(5):
        put()
    worker.claim()
    reports = [store.sweep(dead_workers=[worker.id], batch=2) for _ in range(3)]
    assert [report.recovered for report in reports] == [2, 2, 1]
    assert [report.more for report in reports] == [True, True, False]
    assert Worker.objects.get(pk=worker.id).state == WorkerState.OFFLINE


def test_items_that_are_not_overdue_never_hide_those_that_are(store: Store) -> None:
    far, near = clock.now(store.using) + dt.timedelta(days=9), clock.now(store.using) + dt.timedelta(seconds=5)
    for _ in range(5):
        put(deadline_at=far)
    pk = put(deadline_at=near)
    with after(6):
        assert store.sweep(batch=1).overdue == 1
    assert item(pk).state == State.FAILED


def test_sweeping_a_quiet_house_changes_nothing(store: Store, worker: Hand) -> None:
    put()
    worker.take()
    put()
    before = list(WorkItem.objects.order_by("pk").values())
    assert store.sweep(batch=10) == SweepReport()
    assert list(WorkItem.objects.order_by("pk").values()) == before
