"""An item that pauses after some steps: exactly then, whatever happens in between."""

from __future__ import annotations

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.models import Lease, WorkItem
from tests.contracts.builders import Hand, item, kinds, last_event, put

pytestmark = pytest.mark.django_db


def test_the_step_that_uses_up_the_quota_pauses_the_item_and_clears_the_mark(worker: Hand) -> None:
    pk = put(pause_at_step=2)
    claimed = worker.take()
    assert worker.commit(claimed) == State.RUNNING
    assert worker.commit(claimed, version=1, initial=None) == State.PAUSED
    found = item(pk)
    assert (found.reason, found.paused_from, found.pause_at_step) == (Reason.STEP_QUOTA, State.QUEUED, None)
    assert (found.version, found.steps_total) == (2, 2)
    assert found.away_since is not None
    assert not Lease.objects.exists()
    assert kinds(pk)[-2:] == [EventKind.STEP, EventKind.PAUSED]
    assert last_event(pk).reason == Reason.STEP_QUOTA
    assert worker.claim() == []


def test_a_step_that_asked_for_a_delay_keeps_it_through_the_pause(worker: Hand) -> None:
    pk = put(pause_at_step=1)
    before = item(pk).run_at
    assert worker.commit(worker.take(), State.QUEUED, delay=300.0, reason=Reason.DELAY) == State.PAUSED
    assert (item(pk).run_at - before).total_seconds() > 290


def test_failed_attempts_and_waiting_count_no_steps(worker: Hand) -> None:
    pk = put(pause_at_step=1)
    claimed = worker.take()
    options = {"advance": False, "delay": 0.0}
    assert worker.commit(claimed, State.QUEUED, attempt=1, reason=Reason.RETRY, **options) == State.QUEUED
    assert worker.commit(worker.take(), State.QUEUED, reason=Reason.DELAY, **options) == State.QUEUED
    assert item(pk).pause_at_step == 1
    assert worker.commit(worker.take()) == State.PAUSED


@pytest.mark.parametrize("state", [State.DONE, State.FAILED])
def test_an_item_that_ends_with_its_last_step_is_not_paused(worker: Hand, state: State) -> None:
    pk = put(pause_at_step=1)
    assert worker.commit(worker.take(), state) == state
    assert item(pk).state == state


def test_a_pause_that_an_operator_asked_for_is_the_operators(worker: Hand) -> None:
    pk = put(pause_at_step=1)
    claimed = worker.take()
    WorkItem.objects.update(pause_requested=True)
    assert worker.commit(claimed) == State.PAUSED
    assert (item(pk).reason, item(pk).pause_at_step) == (Reason.OPERATOR, None)


def test_the_steps_of_others_in_the_same_commit_go_on(worker: Hand) -> None:
    ids = [put(pause_at_step=quota) for quota in (1, None, 2)]
    outcomes = [worker.outcome(claimed) for claimed in worker.claim()]
    answer = worker.store.commit(outcomes)
    assert [answer[pk] for pk in ids] == [State.PAUSED, State.RUNNING, State.RUNNING]


def test_a_worker_that_dies_uses_up_no_quota(worker: Hand, other: Hand) -> None:
    pk = put(pause_at_step=2)
    claimed = worker.take()
    worker.commit(claimed)
    worker.die()
    again = other.take()
    assert other.commit(again, version=1, initial=None) == State.PAUSED
    assert worker.commit(claimed, version=1, initial=None) is None
    assert item(pk).steps_total == 2


def test_an_item_with_resources_lets_go_of_them_when_it_pauses(worker: Hand, other: Hand) -> None:
    first = put(pause_at_step=1, resources=["repo"])
    claimed = worker.take()
    second = put(resources=["repo"])
    assert other.claim() == []
    assert worker.commit(claimed) == State.PAUSED
    worker.acknowledge(claimed)
    assert (item(first).state, other.take().id) == (State.PAUSED, second)
