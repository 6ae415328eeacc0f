"""Moves: what an operator decides happens to the locked row, whole, with its clocks, lease and history."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, NotFound
from runtime.models import Lease, Snapshot, WorkItem
from runtime.models.workitem import new_id
from runtime.store.base import Store
from runtime.store.values import Move
from tests.contracts.builders import (
    Hand,
    after,
    cancelled,
    claims,
    item,
    kinds,
    last_event,
    moved,
    put,
    traces,
    versions,
)

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L3")
def test_a_queued_item_is_cancelled(worker: Hand) -> None:
    pk = put()
    found = cancelled(pk)
    assert (found.state, found.reason) == (State.CANCELLED, "")
    assert found == item(pk)
    assert item(pk).finished_at is not None
    assert (item(pk).row_version, item(pk).epoch) == (2, 0)
    assert worker.claim() == []
    told = last_event(pk)
    assert (told.kind, told.actor, told.reason) == (EventKind.CANCELLED, "ann", "because")


@pytest.mark.scenario("L4")
def test_cancelling_a_running_item_fences_its_worker(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    assert cancelled(pk).epoch == claimed.epoch + 1
    lease = Lease.objects.get(pk=pk)
    assert (lease.epoch, lease.revoked_at is not None) == (claimed.epoch, True)
    assert worker.commit(claimed, State.DONE) is None
    assert kinds(pk)[2:] == [EventKind.CANCELLED]


def test_a_running_item_that_goes_elsewhere_is_fenced_without_being_asked(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    moved(pk, EventKind.FAILED, state=State.FAILED, reason=Reason.FORCED)
    assert item(pk).epoch == claimed.epoch + 1
    assert worker.renew(claimed).lost


def test_a_fence_that_leads_nowhere_is_an_error(store: Store, worker: Hand) -> None:
    pk = put()
    worker.take()
    before = traces(pk)
    with pytest.raises(ValueError, match="which state"):
        moved(pk, fence=True)
    assert traces(pk) == before


def test_what_decide_raises_leaves_nothing(store: Store) -> None:
    pk = put()
    before = traces(pk)

    def refuse(found: WorkItem) -> Move:
        raise Conflict("no", state=found.state)

    with pytest.raises(Conflict) as caught:
        store.move(pk, refuse, actor="", reason="")
    assert caught.value.state == State.QUEUED
    assert traces(pk) == before


def test_nothing_to_do_changes_nothing(store: Store) -> None:
    pk = put()
    before = traces(pk)
    found, changed = store.move(pk, lambda _: None, actor="", reason="")
    assert (found.pk, changed) == (pk, False)
    assert traces(pk) == before


def test_an_unknown_item_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        store.move(new_id(), lambda _: None, actor="", reason="")


@pytest.mark.parametrize(
    ("before", "after_"),
    [(State.DONE, State.PAUSED), (State.CANCELLED, State.RUNNING), (State.QUEUED, State.DONE)],
)
def test_a_state_that_may_not_follow_is_a_conflict(before: str, after_: str) -> None:
    pk = put()
    WorkItem.objects.update(state=before)
    was = traces(pk)
    with pytest.raises(Conflict, match=f"is {before}"):
        moved(pk, state=after_)
    assert traces(pk) == was


def test_decide_sees_the_item_as_it_is(store: Store, worker: Hand) -> None:
    pk = put(priority=4)
    worker.commit(worker.take())
    seen: list[tuple[str, int, int]] = []

    def look(found: WorkItem) -> None:
        seen.append((found.state, found.version, found.priority))

    store.move(pk, look, actor="", reason="")
    assert seen == [(State.RUNNING, 1, 4)]


def test_a_change_that_is_no_move_keeps_epoch_lease_and_state(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    moved(pk, EventKind.PRIORITY, changes={"priority": 7}, data={"from": 0})
    found = item(pk)
    assert (found.priority, found.state, found.epoch, found.reason) == (7, State.RUNNING, claimed.epoch, "")
    assert last_event(pk).data == {"from": 0}
    assert worker.commit(claimed) == State.RUNNING
    assert kinds(pk)[2:] == [EventKind.PRIORITY, EventKind.STEP]


@pytest.mark.scenario("L11")
def test_a_redriven_item_keeps_its_snapshots_and_loses_its_errors_and_clocks(worker: Hand) -> None:
    pk = put(item_timeout=100.0, deadline_at=clock.now("default") + dt.timedelta(seconds=50))
    claimed = worker.take()
    worker.commit(claimed)
    error = json.dumps({"message": "no"})
    worker.commit(
        claimed,
        State.FAILED,
        version=1,
        advance=False,
        error=error,
        fingerprint="f",
        attempt=5,
        reason=Reason.ATTEMPTS_EXHAUSTED,
    )
    WorkItem.objects.update(acknowledged_at=item(pk).finished_at, acknowledged_by="bob", deaths=2)
    with after(60):
        moved(pk, EventKind.REDRIVEN, state=State.QUEUED, reason=Reason.REDRIVEN, clear_errors=True)
        found = item(pk)
        assert (found.state, found.reason, found.version) == (State.QUEUED, Reason.REDRIVEN, 1)
        assert (found.attempt, found.deaths, found.last_error, found.fingerprint) == (0, 0, None, "")
        assert (found.acknowledged_at, found.acknowledged_by) == (None, "")
        assert (found.finished_at, found.timeout_at, found.deadline_at) == (None, None, None)
        assert found.started_at is not None
        assert versions(pk) == [0, 1]
        again = worker.take()
        assert again.timeout_left == pytest.approx(100, abs=2)
    assert json.loads(again.data or "") == {"count": 1}


@pytest.mark.scenario("L11")
def test_a_restored_version_is_appended_as_it_was(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    worker.commit(claimed, data='{"a": [1, 2.0]}', label="one")
    worker.commit(claimed, version=1, label="two")
    moved(pk, EventKind.REQUEUED, state=State.QUEUED, fence=True, restore=1)
    found = item(pk)
    assert (found.version, found.step_label, found.steps_total) == (3, "one", 2)
    snapshot = Snapshot.objects.get(work_item=pk, version=3)
    assert (snapshot.data, snapshot.label) == ({"a": [1, 2.0]}, "one")
    assert (snapshot.restored_from, snapshot.epoch) == (1, 2)
    assert last_event(pk).version == 3
    again = worker.take()
    assert (again.version, json.loads(again.data or "")) == (3, {"a": [1, 2.0]})
    assert worker.commit(again) == State.RUNNING


def test_a_version_that_is_not_there_cannot_be_restored(worker: Hand) -> None:
    pk = put()
    before = traces(pk)
    with pytest.raises(NotFound, match="no snapshot of version 4"):
        moved(pk, state=State.QUEUED, restore=4)
    assert traces(pk) == before


def test_a_delay_and_a_kept_due_time() -> None:
    pk = put(delay=500.0)
    due = item(pk).run_at
    moved(pk, state=State.QUEUED, delay=None)
    assert item(pk).run_at == due
    moved(pk, state=State.QUEUED, delay=20.0)
    assert item(pk).run_at < due
    moved(pk, state=State.QUEUED)
    assert item(pk).run_at <= clock.now("default")


def test_a_pause_and_its_end_measure_the_time_away() -> None:
    pk = put()
    moved(pk, EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR)
    assert (item(pk).paused_from, item(pk).away_since is not None) == (State.QUEUED, True)
    with after(100):
        moved(pk, EventKind.RESUMED, state=State.QUEUED, reason=Reason.NEW)
    found = item(pk)
    assert (found.paused_from, found.away_since) == ("", None)
    assert found.away_total == pytest.approx(100, abs=1)


def test_a_pause_while_waiting_leads_back_to_waiting(worker: Hand) -> None:
    pk = put()
    worker.commit(worker.take(), State.WAITING, reason=Reason.APPROVAL)
    since = item(pk).away_since
    moved(pk, EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR)
    assert (item(pk).paused_from, item(pk).away_since) == (State.WAITING, since)
    moved(pk, EventKind.RESUMED, state=State.WAITING, reason=Reason.APPROVAL)
    assert (item(pk).state, item(pk).away_since) == (State.WAITING, since)
    assert item(pk).away_total == 0


def test_a_forced_pause_takes_a_running_item_away(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    moved(pk, EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR, fence=True)
    assert (item(pk).paused_from, item(pk).epoch) == (State.QUEUED, 2)
    assert worker.commit(claimed) is None
    assert worker.claim() == []


@pytest.mark.scenario("S15")
def test_a_finished_item_comes_back_without_its_end(worker: Hand) -> None:
    pk = put()
    worker.commit(worker.take(), State.DONE, result='{"x": 1}')
    moved(pk, state=State.QUEUED, reason=Reason.REQUEUED)
    found = item(pk)
    assert (found.state, found.result, found.finished_at) == (State.QUEUED, None, None)
    assert worker.take().version == 1


def test_a_parked_item_that_is_moved_wants_nothing_any_more(worker: Hand, other: Hand) -> None:
    put(resources=["r"])
    parked = put(resources=["r"])
    assert len(worker.claim()) == 1
    assert claims(parked) == [("r", False)]
    moved(parked, EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR)
    assert claims(parked) == []


def test_a_parked_item_that_is_only_changed_goes_on_waiting(worker: Hand) -> None:
    put(resources=["r"])
    parked = put(resources=["r"])
    worker.claim()
    moved(parked, EventKind.PRIORITY, changes={"priority": 1})
    assert (claims(parked), item(parked).reason) == ([("r", False)], Reason.RESOURCE)
