"""Rows made for tests keep the invariants that Roost's own rows keep."""

from __future__ import annotations

import pytest

from runtime.choices import State
from runtime.models import Event, Lease, ResourceClaim, WorkItem
from tests.factories import ArtifactFactory, LeaseFactory, ResourceClaimFactory, WorkItemFactory

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", State.values)
def test_an_item_of_any_state_has_gap_free_events_and_a_lease_only_while_it_runs(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != State.QUEUED else {}))
    stored = WorkItem.objects.get(pk=item.pk)
    assert stored.state == state
    numbers = list(Event.objects.filter(work_item=stored).order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, stored.event_seq + 1))
    assert Lease.objects.filter(work_item=stored).exists() == (state == State.RUNNING)
    assert (stored.finished_at is not None) == (not stored.is_live)


def test_an_item_at_a_version_has_every_snapshot_up_to_it() -> None:
    item = WorkItemFactory(running=True, version=3)
    assert list(item.snapshots.order_by("version").values_list("version", flat=True)) == [0, 1, 2, 3]
    assert item.steps_total == 3


def test_a_lease_carries_its_items_epoch_and_may_be_over() -> None:
    lease = LeaseFactory(expired=True)
    assert lease.epoch == lease.work_item.epoch == 1
    assert lease.expires_at < lease.acquired_at
    assert Lease.objects.count() == 1


def test_a_claim_is_held_by_a_running_item_or_wanted_by_a_parked_one() -> None:
    held, wanted = ResourceClaimFactory(), ResourceClaimFactory(held=False)
    assert (held.work_item.state, held.epoch) == (State.RUNNING, 1)
    assert (wanted.work_item.reason, wanted.acquired_at) == ("resource", None)
    assert ResourceClaim.objects.filter(held=True).count() == 1


def test_two_artifacts_of_one_content_share_its_bytes() -> None:
    first, second = ArtifactFactory(content=b"same"), ArtifactFactory(content=b"same")
    assert first.sha256 == second.sha256
    assert first.blob == second.blob
    assert first.size == 4
