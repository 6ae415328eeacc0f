"""Content that is swept between its writing and the commit that refers to it is never referred to."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest

from runtime import clock
from runtime.choices import State
from runtime.models import Event, Lease, Offloaded
from runtime.operations.enqueue import enqueue
from runtime.queries import verify
from runtime.store import get_store, offloading
from runtime.testing import drain
from runtime.worker.committer import Committer
from tests.contracts.builders import Hand, item, put, versions
from tests.orphans import sweep_orphans
from tests.runtime.worker.growing import ENGINES, LONG

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folder")]
DAY = dt.timedelta(days=1, seconds=1)


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engines, and move what is longer than 65,536 characters."""
    settings.ROOST_ENGINES = ENGINES
    settings.ROOST_OFFLOAD_BYTES = 65_536


def sweep() -> int:
    """Sweep, a day later."""
    with clock.shifted(DAY):
        return sweep_orphans("default", limit=10)


def test_a_commit_that_comes_after_the_sweep_fails_its_item_alone_and_once() -> None:
    late, other = put(), put()
    hand = Hand()
    claimed = {one.id: one for one in hand.claim()}
    large = hand.outcome(claimed[late], data=json.dumps({"text": LONG}))
    moved = offloading.move_outcome("default", large)
    assert sweep() == 1
    states = Committer(get_store(), lambda: False).commit([moved, hand.outcome(claimed[other])])
    assert states == {late: State.FAILED, other: State.RUNNING}
    assert (item(late).reason, versions(late), versions(other)) == ("permanent_error", [], [0, 1])
    assert not Lease.objects.filter(pk=late).exists()
    assert not Offloaded.objects.exists()
    assert verify.item(late) == []


def test_a_commit_that_came_first_keeps_its_content() -> None:
    late = put()
    hand = Hand()
    outcome = hand.outcome(hand.take(), data=json.dumps({"text": LONG}))
    assert get_store().commit([offloading.move_outcome("default", outcome)]) == {late: State.RUNNING}
    assert sweep() == 0
    assert verify.item(late) == []


def test_a_fenced_commit_leaves_its_content_to_the_sweep() -> None:
    put()
    hand = Hand()
    claimed = hand.take()
    moved = offloading.move_outcome("default", hand.outcome(claimed, data=json.dumps({"text": LONG})))
    hand.release(claimed)
    Hand().take()
    assert get_store().commit([moved]) == {}
    assert not Offloaded.objects.exists()
    assert sweep() == 1


def test_an_atomic_step_that_was_refused_for_it_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    moving = offloading.move_outcome

    def too_late(using: str, outcome: Any) -> Any:
        moved = moving(using, outcome)
        monkeypatch.undo()
        return replace(moved, moved=tuple(one._replace(sha256="0" * 64) for one in moved.moved))

    made = enqueue("atomic", {"text": LONG})
    monkeypatch.setattr(offloading, "move_outcome", too_late)
    drain(skip_delays=True)
    made.refresh_from_db()
    assert made.state == State.DONE
    assert Event.objects.filter(work_item=made, kind="retry").count() == 1
    assert verify.item(made.pk) == []
