"""Leases: renewed while a worker lives, given back, acknowledged, and read back after a lost answer."""

from __future__ import annotations

import json

import pytest

from runtime.choices import EventKind, Reason, State, WorkerState
from runtime.conformance.hand import held
from runtime.models import Lease, Worker, WorkItem
from runtime.models.workitem import new_id
from runtime.store.base import Store
from runtime.store.values import Held, Position
from tests.contracts.builders import Hand, after, cancelled, item, kinds, last_event, moved, put

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L29")
def test_renewing_prolongs_the_leases_and_the_workers_own_life(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    lease, row = Lease.objects.get(pk=pk), Worker.objects.get(pk=worker.id)
    with after(5):
        beat = worker.renew(claimed)
    assert (beat.lost, beat.strangers, beat.desired_state) == (frozenset(), frozenset(), WorkerState.ONLINE)
    assert (Lease.objects.get(pk=pk).expires_at - lease.expires_at).total_seconds() == pytest.approx(5, abs=1)
    assert (Worker.objects.get(pk=worker.id).heartbeat_at - row.heartbeat_at).total_seconds() == pytest.approx(5, abs=1)
    assert kinds(pk) == [EventKind.ENQUEUED, EventKind.CLAIMED]


@pytest.mark.scenario("L4", "L26")
def test_a_worker_learns_what_it_has_lost(worker: Hand, other: Hand) -> None:
    kept, gone, stolen = put(), put(), put()
    batch = {claimed.id: claimed for claimed in worker.claim()}
    cancelled(gone)
    moved(stolen, state=State.QUEUED, fence=True)
    taken = other.take()
    beat = worker.renew(*batch.values())
    assert beat.lost == {Held(gone, 1), Held(stolen, 1)}
    assert beat.strangers == frozenset()
    assert Lease.objects.get(pk=stolen).epoch == taken.epoch
    assert worker.renew(batch[kept]).lost == frozenset()


def test_a_revoked_lease_is_not_prolonged(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    cancelled(pk)
    before = Lease.objects.get(pk=pk).expires_at
    with after(5):
        worker.renew(claimed)
    assert Lease.objects.get(pk=pk).expires_at == before


@pytest.mark.scenario("L4", "L29")
def test_what_a_step_uses_whose_item_was_taken_away_stays_its_own_while_the_step_runs(
    worker: Hand, other: Hand, store: Store
) -> None:
    pk, waiter = put(priority=1, resources=["deploy"]), put(resources=["deploy"])
    claimed = worker.take()
    cancelled(pk)
    with after(10):
        assert store.renew(worker.id, [], still=held(claimed)).strangers == frozenset()
    with after(20):
        assert other.claim() == []
        assert store.sweep(batch=10).leases_dropped == 0
        worker.acknowledge(claimed)
        assert other.take().id == waiter


def test_a_lease_that_another_worker_or_epoch_has_is_not_prolonged_as_revoked(worker: Hand, other: Hand) -> None:
    pk = put(resources=["deploy"])
    claimed = worker.take()
    good = Lease.objects.get(pk=pk).expires_at
    with after(5):
        worker.store.renew(worker.id, [], still=held(claimed))
    assert Lease.objects.get(pk=pk).expires_at == good, "it is not revoked"
    cancelled(pk)
    with after(5):
        worker.store.renew(other.id, [], still=held(claimed))
        worker.store.renew(worker.id, [], still=[Held(pk, claimed.epoch + 1)])
    assert Lease.objects.get(pk=pk).expires_at == good


@pytest.mark.scenario("L40")
def test_a_worker_learns_of_leases_that_it_does_not_know_of(worker: Hand, other: Hand) -> None:
    known, unknown = put(), put()
    batch = {claimed.id: claimed for claimed in worker.claim()}
    put()
    other.claim()
    assert worker.renew(batch[known]).strangers == {Held(unknown, 1)}
    assert worker.store.release(worker.id, [Held(unknown, 1)], Reason.RELEASED) == 1
    assert worker.renew(batch[known]).strangers == frozenset()
    assert item(unknown).state == State.QUEUED


def test_a_worker_learns_what_is_wanted_of_it(store: Store, worker: Hand) -> None:
    Worker.objects.filter(pk=worker.id).update(desired_state=WorkerState.DRAINING)
    assert worker.renew().desired_state == WorkerState.DRAINING
    assert store.renew(new_id(), []).desired_state == WorkerState.OFFLINE


def test_a_worker_taken_for_dead_is_online_again_when_it_beats(worker: Hand) -> None:
    worker.die()
    assert Worker.objects.get(pk=worker.id).state == WorkerState.OFFLINE
    worker.renew()
    row = Worker.objects.get(pk=worker.id)
    assert (row.state, row.stopped_at) == (WorkerState.ONLINE, None)


def test_progress_is_kept_on_the_lease_until_there_is_news(worker: Hand) -> None:
    told, silent = put(), put()
    batch = worker.claim()
    worker.store.renew(worker.id, held(*batch), {told: json.dumps({"fraction": 0.5, "note": 'a "b", {c}'})})
    worker.renew(*batch)
    assert Lease.objects.get(pk=told).progress == {"fraction": 0.5, "note": 'a "b", {c}'}
    assert Lease.objects.get(pk=silent).progress is None


@pytest.mark.scenario("L35")
def test_a_released_item_is_due_at_once_and_costs_nothing(worker: Hand, other: Hand) -> None:
    pk = put()
    claimed = worker.take()
    assert worker.release(claimed) == 1
    found = item(pk)
    assert (found.state, found.reason) == (State.QUEUED, Reason.RELEASED)
    assert (found.attempt, found.deaths, found.epoch) == (0, 0, 2)
    assert not Lease.objects.filter(pk=pk).exists()
    assert kinds(pk)[2:] == [EventKind.RELEASED]
    assert (last_event(pk).reason, last_event(pk).worker) == ("released", worker.id)
    assert other.take().epoch == 3
    assert worker.commit(claimed) is None


def test_only_what_is_still_ours_is_released(worker: Hand, other: Hand) -> None:
    mine, taken = put(), put()
    batch = worker.claim()
    moved(taken, state=State.QUEUED, fence=True)
    other.take()
    assert worker.release(*batch) == 1
    assert (item(mine).state, item(taken).state) == (State.QUEUED, State.RUNNING)
    assert worker.release(*batch) == 0
    assert other.store.release(other.id, [Held(mine, 1)], "") == 0
    assert worker.release() == 0


def test_a_released_item_with_a_requested_pause_is_paused(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    WorkItem.objects.update(pause_requested=True)
    assert worker.release(claimed) == 1
    found = item(pk)
    assert (found.state, found.reason, found.paused_from) == (State.PAUSED, Reason.OPERATOR, State.QUEUED)
    assert (found.pause_requested, found.away_since is not None) == (False, True)
    assert kinds(pk)[2:] == [EventKind.RELEASED, EventKind.PAUSED]


def test_acknowledging_drops_the_revoked_lease_alone(worker: Hand) -> None:
    pk, kept = put(), put()
    claimed, good = worker.claim()
    cancelled(pk)
    assert Lease.objects.filter(pk=pk, revoked_at__isnull=False).exists()
    assert worker.acknowledge(claimed, good) == 1
    assert not Lease.objects.filter(pk=pk).exists()
    assert Lease.objects.filter(pk=kept).exists()
    assert worker.acknowledge(claimed) == 0
    assert item(pk).state == State.CANCELLED


@pytest.mark.scenario("L40")
def test_reading_back_tells_whether_a_lost_commit_was_written(store: Store, worker: Hand) -> None:
    written, lost, over, gone = put(), put(), put(), put()
    first, _, third, _ = worker.claim()
    worker.commit(first)
    worker.commit(third, State.DONE)
    cancelled(gone)
    assert store.read_back([written, lost, over, gone, new_id()]) == {
        written: Position(State.RUNNING, 1, 1, True),
        lost: Position(State.RUNNING, 1, 0, True),
        over: Position(State.DONE, 1, 1, False),
        gone: Position(State.CANCELLED, 2, 0, False),
    }
    assert store.read_back([]) == {}
