"""Snapshots that a policy does not keep go with the commit that replaces them, and with no other."""

from __future__ import annotations

import json

import pytest

from runtime.choices import State
from runtime.exceptions import Conflict, NotFound
from runtime.models import Snapshot
from runtime.operations.fork import fork
from runtime.operations.hold import hold
from runtime.operations.redrive import redrive
from runtime.queries import diff, verify
from runtime.store.values import Claimed
from tests.contracts.builders import Hand, item, put, versions

pytestmark = pytest.mark.django_db


def walk(worker: Hand, claimed: Claimed, steps: int, every: int) -> None:
    """Commit so many steps one after the other, keeping every so manieth snapshot."""
    for version in range(claimed.version, claimed.version + steps):
        drops = every == 0 or version % every != 0
        first = json.dumps({"count": 0}) if version == 0 and not drops else None
        outcome = worker.outcome(claimed, State.RUNNING, version=version, initial=first, drops=drops)
        assert worker.store.commit([outcome]) == {claimed.id: State.RUNNING}


@pytest.mark.parametrize(("every", "left"), [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 2, 4, 5]), (3, [0, 3, 5]), (0, [5])])
def test_what_a_policy_does_not_keep_goes_with_the_next_step(worker: Hand, every: int, left: list[int]) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 5, every)
    assert versions(claimed.id) == left
    assert item(claimed.id).snapshots_dropped == 5 - len([version for version in left if version])
    assert verify.item(claimed.id) == []


def test_the_latest_state_is_what_the_next_claim_reads(worker: Hand, other: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 4, 0)
    worker.release(claimed)
    again = other.take()
    assert (again.version, json.loads(again.data or "")) == (4, {"count": 4})


def test_a_fenced_commit_removes_nothing(worker: Hand, other: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 2, 0)
    worker.release(claimed)
    other.take()
    late = worker.outcome(claimed, State.RUNNING, version=2, drops=True)
    assert worker.store.commit([late]) == {}
    assert versions(claimed.id) == [2]


def test_an_outcome_that_makes_no_version_removes_nothing(worker: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 2, 0)
    outcome = worker.outcome(claimed, State.QUEUED, version=2, advance=False, drops=True)
    assert worker.store.commit([outcome]) == {claimed.id: State.QUEUED}
    assert versions(claimed.id) == [2]


def test_an_item_on_legal_hold_keeps_every_snapshot_from_then_on(worker: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 2, 0)
    hold(claimed.id, reason="a dispute")
    for version in (2, 3):
        outcome = worker.outcome(claimed, State.RUNNING, version=version, initial=None, drops=True)
        assert worker.store.commit([outcome])
    assert versions(claimed.id) == [2, 3, 4]
    assert verify.item(claimed.id) == []


def test_items_with_and_without_a_policy_share_a_batch(worker: Hand) -> None:
    kept, dropped = put(), put()
    claimed = {one.id: one for one in worker.claim()}
    for version in range(3):
        outcomes = [
            worker.outcome(claimed[pk], State.RUNNING, version=version, initial=None, drops=pk == dropped)
            for pk in (kept, dropped)
        ]
        assert len(worker.store.commit(outcomes)) == 2
    assert (versions(kept), versions(dropped)) == ([1, 2, 3], [3])


def test_a_missing_latest_snapshot_is_a_problem_whatever_the_policy(worker: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 5, 2)
    Snapshot.objects.filter(work_item=claimed.id, version=5).delete()
    assert [problem.code for problem in verify.item(claimed.id)] == ["snapshots"]


def test_a_gap_that_no_policy_made_is_a_problem(worker: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 6, 2)
    Snapshot.objects.filter(work_item=claimed.id, version=4).delete()
    (problem,) = verify.item(claimed.id)
    assert "3 that its policy does not keep" in problem.text


def test_going_back_to_what_is_gone_says_what_there_is(worker: Hand) -> None:
    put()
    claimed = worker.take()
    walk(worker, claimed, 5, 2)
    worker.commit(claimed, State.FAILED, version=5, advance=False, reason="permanent_error")
    has = r"has no snapshot of version 3\. It has: 0, 2, 4-5\."
    with pytest.raises(Conflict, match=has):
        fork(claimed.id, version=3)
    with pytest.raises(Conflict, match=has):
        redrive(claimed.id, from_version=3)
    with pytest.raises(NotFound, match=has):
        diff.snapshots(claimed.id, 3, 4)
    assert redrive(claimed.id, from_version=4).version == 6
    assert versions(claimed.id) == [0, 2, 4, 5, 6]
    assert verify.item(claimed.id) == []
    assert fork(claimed.id, version=2).version == 0
