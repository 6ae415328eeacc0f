"""A paused item stays where it is until it is resumed, and then goes on from there."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, InvalidInput
from runtime.models import Lease
from runtime.operations.pause import pause
from runtime.operations.resume import resume
from tests.factories import ResourceClaimFactory, WorkItemFactory, now
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", ["queued", "waiting"])
def test_an_item_that_nobody_runs_is_paused_at_once(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    pause(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.paused_from) == (State.PAUSED, Reason.OPERATOR, state)
    assert (stored.epoch, stored.pause_requested) == (item.epoch, False)
    assert stored.away_since is not None
    assert last_event(item).kind == EventKind.PAUSED


def test_a_running_item_is_paused_when_its_step_ends() -> None:
    item = WorkItemFactory(running=True)
    pause(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.epoch, stored.pause_requested) == (State.RUNNING, item.epoch, True)
    assert Lease.objects.get(pk=item.pk).revoked_at is None
    assert last_event(item).data == {"requested": True}
    with pytest.raises(Conflict, match=r"is running; it cannot be paused\. It will pause when its step ends"):
        pause(item.pk)


def test_a_running_item_is_paused_now_by_fencing_its_step() -> None:
    item = WorkItemFactory(running=True, pause_requested=True)
    pause(item.pk, now=True)
    stored = fresh(item)
    assert (stored.state, stored.paused_from, stored.epoch) == (State.PAUSED, State.QUEUED, item.epoch + 1)
    assert not stored.pause_requested
    assert Lease.objects.get(pk=item.pk).revoked_at is not None
    resume(item.pk)
    assert fresh(item).state == State.QUEUED


@pytest.mark.parametrize("state", ["paused", "done", "failed", "cancelled"])
def test_what_is_paused_or_has_ended_cannot_be_paused(state: str) -> None:
    item = WorkItemFactory(**{state: True})
    before = values(item)
    for at_once in (False, True):
        with pytest.raises(Conflict, match=f"is {state}; it cannot be paused"):
            pause(item.pk, now=at_once)
    assert values(item) == before


@pytest.mark.parametrize(
    ("reason", "attempt", "version", "back"),
    [
        (Reason.NEW, 0, 0, Reason.DELAY),
        (Reason.RETRY, 2, 1, Reason.RETRY),
        (Reason.DELAY, 0, 4, Reason.DELAY),
    ],
)
def test_a_queued_item_keeps_its_due_time_through_a_pause(reason: str, attempt: int, version: int, back: str) -> None:
    item = WorkItemFactory(reason=reason, attempt=attempt, version=version, run_at=now(300))
    pause(item.pk)
    resume(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.attempt) == (State.QUEUED, back, attempt)
    assert (stored.run_at, stored.paused_from, stored.away_since) == (item.run_at, "", None)
    assert last_event(item).kind == EventKind.RESUMED


@pytest.mark.parametrize(("version", "back"), [(0, Reason.NEW), (2, Reason.CONTINUE)])
def test_an_item_that_was_due_is_due_again(version: int, back: str) -> None:
    item = WorkItemFactory(run_at=now(-10), version=version)
    pause(item.pk)
    resume(item.pk)
    assert (fresh(item).reason, fresh(item).run_at) == (back, item.run_at)


def test_an_item_parked_for_a_resource_asks_for_it_anew() -> None:
    claim = ResourceClaimFactory(held=False)
    pause(claim.work_item_id)
    resume(claim.work_item_id)
    assert fresh(claim.work_item).reason == Reason.NEW


@pytest.mark.scenario("S5")
def test_a_waiting_item_goes_back_to_waiting_for_the_same_thing() -> None:
    item = WorkItemFactory(waiting=True, reason=Reason.APPROVAL)
    pause(item.pk)
    resume(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.paused_from) == (State.WAITING, Reason.APPROVAL, "")
    assert stored.away_since is not None


@pytest.mark.scenario("B20")
def test_time_spent_paused_does_not_count_into_the_timeout() -> None:
    item = WorkItemFactory(item_timeout=60, timeout_at=now(60))
    pause(item.pk)
    with clock.shifted(dt.timedelta(hours=1)):
        resume(item.pk)
    stored = fresh(item)
    assert stored.timeout_at is not None
    assert stored.timeout_at - item.timeout_at >= dt.timedelta(hours=1)
    assert stored.away_total >= 3600


def test_an_item_paused_for_its_budget_is_resumed_like_any_other() -> None:
    item = WorkItemFactory(paused=True, reason=Reason.BUDGET)
    resume(item.pk)
    assert fresh(item).state == State.QUEUED


def test_a_pause_that_is_still_to_come_can_be_taken_back() -> None:
    item = WorkItemFactory(running=True, pause_requested=True)
    resume(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.epoch, stored.pause_requested) == (State.RUNNING, item.epoch, False)
    assert last_event(item).data == {"withdrawn": True}


def test_a_resumed_item_may_be_told_to_pause_again_after_some_steps() -> None:
    item = WorkItemFactory(paused=True, reason=Reason.STEP_QUOTA, version=4, steps_total=6)
    resume(item.pk, steps=3)
    assert fresh(item).pause_at_step == 9
    assert last_event(item).data == {"steps": 3}


def test_a_pause_after_steps_that_is_still_to_come_survives_a_pause_by_an_operator() -> None:
    item = WorkItemFactory(version=1, pause_at_step=5)
    pause(item.pk)
    resume(item.pk)
    assert fresh(item).pause_at_step == 5


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("steps", [0, -1, True, 1.5, "3", 2**63])
def test_a_number_of_steps_that_is_none_is_refused(steps: Any) -> None:
    item = WorkItemFactory(paused=True)
    before = values(item)
    with pytest.raises(InvalidInput) as caught:
        resume(item.pk, steps=steps)
    assert caught.value.field == "steps"
    assert values(item) == before


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "done", "failed", "cancelled"])
def test_only_paused_items_are_resumed(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before = values(item)
    with pytest.raises(Conflict, match=f"is {state}; it cannot be resumed") as caught:
        resume(item.pk)
    assert caught.value.state == state
    assert values(item) == before
