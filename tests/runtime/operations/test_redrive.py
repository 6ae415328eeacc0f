"""Redrive brings a dead letter back with everything it had achieved."""

from __future__ import annotations

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, InvalidInput
from runtime.models import Snapshot
from runtime.operations.redrive import redrive
from tests.factories import WorkItemFactory, now
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L11", "B20")
def test_redrive_keeps_snapshots_and_totals_and_clears_attempts_errors_and_clocks() -> None:
    item = WorkItemFactory(
        failed=True,
        version=3,
        deaths=3,
        item_timeout=60,
        timeout_at=now(-10),
        deadline_at=now(-10),
        acknowledged_at=now(),
        acknowledged_by="ada",
        duration_total=12.5,
        cost_total=400,
    )
    snapshots = list(item.snapshots.order_by("version").values())
    redrive(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.version, stored.epoch) == (State.QUEUED, Reason.REDRIVEN, 3, item.epoch)
    assert list(item.snapshots.order_by("version").values()) == snapshots
    assert (stored.attempt, stored.deaths, stored.last_error, stored.fingerprint) == (0, 0, None, "")
    assert (stored.acknowledged_at, stored.acknowledged_by, stored.finished_at) == (None, "", None)
    assert (stored.timeout_at, stored.deadline_at, stored.item_timeout) == (None, None, 60)
    assert (stored.steps_total, stored.duration_total, stored.cost_total) == (3, 12.5, 400)
    assert stored.run_at <= now()
    event = last_event(item)
    assert (event.kind, event.data) == (EventKind.REDRIVEN, {"failed": Reason.ATTEMPTS_EXHAUSTED})


@pytest.mark.scenario("L11")
def test_a_deadline_that_is_still_to_come_is_kept() -> None:
    item = WorkItemFactory(failed=True, deadline_at=now(100))
    redrive(item.pk)
    assert fresh(item).deadline_at == item.deadline_at


@pytest.mark.scenario("L11")
def test_redrive_from_a_step_appends_that_state_and_keeps_what_came_after() -> None:
    item = WorkItemFactory(failed=True, version=3)
    redrive(item.pk, from_version=1)
    assert fresh(item).version == 4
    assert list(item.snapshots.order_by("version").values_list("version", flat=True)) == [0, 1, 2, 3, 4]
    restored = Snapshot.objects.get(work_item=item, version=4)
    assert (restored.data, restored.restored_from) == ({"count": 1}, 1)
    assert last_event(item).data == {"failed": Reason.ATTEMPTS_EXHAUSTED, "from_version": 1}


def test_a_step_without_a_snapshot_is_a_conflict() -> None:
    item = WorkItemFactory(failed=True, version=3)
    before = values(item)
    with pytest.raises(Conflict, match="is failed at version 3 and has no snapshot of version 9"):
        redrive(item.pk, from_version=9)
    assert values(item) == before


@pytest.mark.parametrize("wrong", [-1, "1", 1.0, True])
def test_a_version_that_is_no_whole_number_is_refused(wrong: object) -> None:
    item = WorkItemFactory(failed=True, version=3)
    with pytest.raises(InvalidInput, match="from_version"):
        redrive(item.pk, from_version=wrong)  # type: ignore[arg-type]


@pytest.mark.scenario("L10")
def test_an_item_that_used_up_its_steps_needs_a_higher_limit() -> None:
    item = WorkItemFactory(failed=True, reason=Reason.MAX_STEPS, steps_total=5, max_steps=5)
    with pytest.raises(Conflict, match=r"has made 5 of 5 steps allowed\. Redrive it with max_steps above 5"):
        redrive(item.pk)
    redrive(item.pk, max_steps=8)
    assert fresh(item).max_steps == 8


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused", "done", "cancelled"])
def test_only_failed_items_are_redriven(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before = values(item)
    with pytest.raises(Conflict, match=f"is {state}; it cannot be redriven") as caught:
        redrive(item.pk)
    assert caught.value.state == state
    assert values(item) == before
