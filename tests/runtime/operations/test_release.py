"""Release takes an item from its worker, or a resource from an item, at no cost to either."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, InvalidInput
from runtime.models import Lease, ResourceClaim, WorkItem
from runtime.operations.release import release
from tests.factories import ResourceClaimFactory, WorkItemFactory, now
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db


def test_a_released_item_is_due_at_once_and_pays_neither_attempt_nor_death() -> None:
    item = WorkItemFactory(running=True, version=2, attempt=1, deaths=1)
    release(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.epoch) == (State.QUEUED, Reason.RELEASED, item.epoch + 1)
    assert (stored.version, stored.attempt, stored.deaths) == (2, 1, 1)
    assert stored.run_at <= now()
    assert Lease.objects.get(pk=item.pk).revoked_at is not None
    assert last_event(item).kind == EventKind.RELEASED


def test_a_pause_that_was_asked_for_is_not_forgotten() -> None:
    item = WorkItemFactory(running=True, pause_requested=True)
    release(item.pk)
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.paused_from) == (State.PAUSED, Reason.OPERATOR, State.QUEUED)


@pytest.mark.parametrize("state", ["queued", "waiting", "paused", "done", "failed", "cancelled"])
def test_only_running_items_have_a_lease_to_release(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before = values(item)
    with pytest.raises(Conflict, match=f"is {state}; it cannot be released. No worker holds it") as caught:
        release(item.pk)
    assert caught.value.state == state
    assert values(item) == before


def kept(key: str) -> WorkItem:
    """Make a waiting item that keeps a resource until its end."""
    claim = {"key": key, "mode": "exclusive", "units": 1, "scope": "item"}
    item = WorkItemFactory(waiting=True, resources=[claim])
    ResourceClaimFactory(work_item=item, scope="item", resource__key=key)
    return item


@pytest.mark.scenario("L29")
def test_a_released_claim_goes_to_who_waits_for_it() -> None:
    item = kept("repo:x")
    held = ResourceClaim.objects.get(work_item=item)
    waiter = ResourceClaimFactory(held=False, resource=held.resource).work_item
    release(item.pk, resource="repo:x", reason="stuck")
    assert not ResourceClaim.objects.filter(pk=held.pk).exists()
    assert fresh(waiter).reason == Reason.CONTINUE
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.epoch) == (State.WAITING, item.reason, item.epoch)
    event = last_event(item)
    assert (event.kind, event.data, event.reason) == (EventKind.RESOURCE_RELEASED, {"resource": "repo:x"}, "stuck")


def test_other_claims_of_the_item_stay() -> None:
    item = kept("repo:x")
    other = ResourceClaimFactory(work_item=item, scope="item", resource__key="repo:y")
    release(item.pk, resource="repo:x")
    assert list(ResourceClaim.objects.filter(work_item=item)) == [other]


def test_a_claim_that_a_fenced_worker_has_not_let_go_of_can_be_released() -> None:
    claim = ResourceClaimFactory(resource__key="r")
    item = claim.work_item
    WorkItem.objects.filter(pk=item.pk).update(state=State.QUEUED, reason=Reason.REQUEUED, epoch=item.epoch + 1)
    Lease.objects.filter(pk=item.pk).update(revoked_at=now())
    release(item.pk, resource="r")
    assert not ResourceClaim.objects.exists()


def test_a_claim_of_a_running_item_is_not_taken_from_under_its_step() -> None:
    claim = ResourceClaimFactory(resource__key="r")
    with pytest.raises(Conflict, match="is running and may be using 'r'"):
        release(claim.work_item_id, resource="r")
    assert ResourceClaim.objects.filter(pk=claim.pk, held=True).exists()


@pytest.mark.parametrize("key", ["other", "repo:X"])
def test_a_claim_that_the_item_does_not_hold_is_a_conflict(key: str) -> None:
    item = kept("repo:x")
    with pytest.raises(Conflict, match="is waiting and holds no claim on"):
        release(item.pk, resource=key)
    assert ResourceClaim.objects.filter(work_item=item).count() == 1


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("key", ["", "\x00", "r" * 201, 5])
def test_what_is_no_key_is_refused(key: Any) -> None:
    item = kept("repo:x")
    with pytest.raises(InvalidInput, match="resource"):
        release(item.pk, resource=key)
    assert ResourceClaim.objects.filter(work_item=item).count() == 1
