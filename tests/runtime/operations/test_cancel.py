"""Whatever is live can be cancelled; what has ended cannot."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import EventKind, State
from runtime.exceptions import Conflict
from runtime.models import Lease, ResourceClaim
from runtime.operations.cancel import cancel
from tests.factories import ResourceClaimFactory, WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("L3")
@pytest.mark.parametrize("state", [{}, {"waiting": True}, {"paused": True}])
def test_an_item_that_nobody_runs_is_cancelled_at_once(state: dict[str, Any]) -> None:
    item = WorkItemFactory(**state)
    returned = cancel(item.pk, reason="not needed")
    stored = fresh(item)
    assert (returned.state, stored.state, stored.reason) == (State.CANCELLED, State.CANCELLED, "")
    assert (stored.epoch, stored.paused_from, stored.away_since) == (item.epoch, "", None)
    assert stored.finished_at is not None
    assert last_event(item).kind == EventKind.CANCELLED


@pytest.mark.scenario("L4")
def test_a_running_item_is_fenced_and_its_lease_revoked() -> None:
    item = WorkItemFactory(running=True)
    cancel(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.epoch) == (State.CANCELLED, item.epoch + 1)
    assert Lease.objects.get(pk=item.pk).revoked_at is not None


def test_a_parked_item_wants_its_resources_no_more() -> None:
    claim = ResourceClaimFactory(held=False)
    cancel(claim.work_item_id)
    assert not ResourceClaim.objects.exists()


@pytest.mark.scenario("L29")
def test_a_resource_kept_by_a_cancelled_item_goes_to_who_waits_for_it() -> None:
    holder = WorkItemFactory(waiting=True, resources=[{"key": "r", "mode": "exclusive", "units": 1, "scope": "item"}])
    held = ResourceClaimFactory(work_item=holder, scope="item", resource__key="r")
    wanted = ResourceClaimFactory(held=False, resource=held.resource)
    cancel(holder.pk)
    assert not ResourceClaim.objects.filter(pk=held.pk).exists()
    assert fresh(wanted.work_item).reason != "resource"


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_an_item_that_has_ended_is_a_conflict_that_names_its_state(state: str) -> None:
    item = WorkItemFactory(**{state: True})
    before = values(item)
    with pytest.raises(Conflict, match=f"Work item {item.pk} is {state}; it cannot be cancelled") as caught:
        cancel(item.pk)
    assert caught.value.state == state
    assert values(item) == before
