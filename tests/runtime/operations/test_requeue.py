"""Requeue makes an item due now, with the state it has."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict
from runtime.models import Lease
from runtime.operations.requeue import requeue
from tests.factories import ResourceClaimFactory, WorkItemFactory, now
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", [{"done": True}, {"cancelled": True, "version": 3}])
def test_an_ended_item_runs_again_from_its_last_snapshot(state: dict[str, Any]) -> None:
    item = WorkItemFactory(**state, attempt=2, deaths=1, timeout_at=now(-5), deadline_at=now(-5))
    requeue(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.version) == (State.QUEUED, Reason.REQUEUED, item.version)
    assert (stored.attempt, stored.deaths, stored.result, stored.finished_at) == (0, 0, None, None)
    assert (stored.timeout_at, stored.deadline_at) == (None, None)
    assert stored.run_at <= now()
    assert stored.snapshots.count() == item.version + 1
    assert last_event(item).kind == EventKind.REQUEUED


@pytest.mark.scenario("L4")
def test_a_running_item_is_taken_from_its_worker_at_no_cost() -> None:
    item = WorkItemFactory(running=True, version=2, attempt=1, deaths=1, pause_requested=True)
    requeue(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.epoch, stored.version) == (State.QUEUED, item.epoch + 1, 2)
    assert (stored.attempt, stored.deaths, stored.pause_requested) == (1, 1, False)
    assert Lease.objects.get(pk=item.pk).revoked_at is not None


@pytest.mark.scenario("L22")
def test_an_item_that_waits_for_its_next_attempt_is_retried_now() -> None:
    item = WorkItemFactory(reason=Reason.RETRY, attempt=2, run_at=now(300))
    requeue(item.pk)
    stored = fresh(item)
    assert (stored.reason, stored.attempt, stored.epoch) == (Reason.REQUEUED, 2, item.epoch)
    assert stored.run_at <= now()


def test_a_parked_item_asks_for_its_resource_again() -> None:
    claim = ResourceClaimFactory(held=False)
    requeue(claim.work_item_id)
    assert fresh(claim.work_item).reason == Reason.REQUEUED


def test_an_item_that_is_due_already_is_a_conflict() -> None:
    item = WorkItemFactory(run_at=now(-1))
    before = values(item)
    with pytest.raises(Conflict, match=r"is queued; it cannot be requeued\. It is due already"):
        requeue(item.pk)
    assert values(item) == before


@pytest.mark.parametrize(("state", "hint"), [("waiting", "Answer"), ("paused", "Resume it"), ("failed", "Redrive it")])
def test_a_state_with_a_verb_of_its_own_is_a_conflict_that_names_both(state: str, hint: str) -> None:
    item = WorkItemFactory(**{state: True})
    before = values(item)
    with pytest.raises(Conflict, match=f"is {state}; it cannot be requeued. {hint}"):
        requeue(item.pk)
    assert values(item) == before


@pytest.mark.scenario("L10")
def test_an_item_that_has_made_all_its_steps_is_not_sent_to_fail_again() -> None:
    item = WorkItemFactory(done=True, steps_total=5, max_steps=5)
    with pytest.raises(Conflict, match="has made 5 of 5 steps allowed"):
        requeue(item.pk)
