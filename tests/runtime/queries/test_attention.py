"""What somebody should look at is found, and nothing else."""

from __future__ import annotations

import datetime as dt

import pytest

from runtime.models import Lease
from runtime.queries import attention, workers
from runtime.queries.attention import Contested, Group
from runtime.queries.overview import standings
from runtime.queries.windows import Figure
from tests.factories import LeaseFactory, ResourceClaimFactory, WaitFactory, WorkerFactory, WorkItemFactory, now

pytestmark = pytest.mark.django_db


def test_every_state_is_counted_with_the_age_of_its_oldest() -> None:
    first = WorkItemFactory(created_at=now(-3600))
    WorkItemFactory.create_batch(2)
    WorkItemFactory(failed=True)
    found = {standing.state: standing for standing in standings()}
    assert len(found) == 7
    assert found["queued"].count == Figure(value=3)
    assert found["queued"].oldest == pytest.approx(3600, abs=60)
    assert (found["failed"].count, found["done"].count) == (Figure(value=1), Figure(value=0))
    assert found["queued"].first == first.pk
    assert (found["done"].oldest, found["done"].first) == (None, None)


def test_dead_letters_are_grouped_until_they_are_acknowledged() -> None:
    WorkItemFactory.create_batch(2, failed=True)
    WorkItemFactory(failed=True, fingerprint="other", engine="rare")
    WorkItemFactory(failed=True, fingerprint="seen", acknowledged_at=now())
    rows = attention.dead_groups().rows
    assert [(row.engine, row.fingerprint, row.count) for row in rows] == [
        ("counter", "0123456789abcdef", 2),
        ("rare", "other", 1),
    ]


def test_engines_whose_items_are_tried_again_are_failing() -> None:
    WorkItemFactory.create_batch(2, attempt=1, reason="retry")
    WorkItemFactory(attempt=1, engine="rare", reason="retry")
    WorkItemFactory(failed=True, engine="dead")
    assert attention.failing() == [Group(engine="counter", count=2), Group(engine="rare", count=1)]


def test_queued_engines_and_pools_without_a_live_worker_are_stranded() -> None:
    WorkerFactory(engines=["counter"], pools=["default"])
    WorkerFactory(engines=["rare"], heartbeat_at=now(-600))
    WorkItemFactory(engine="counter")
    WorkItemFactory(engine="counter", pool="gpu")
    WorkItemFactory.create_batch(2, engine="rare")
    WorkItemFactory(engine="rarer", done=True)
    assert attention.stranded(workers.views()) == [
        Group(engine="rare", pool="default", count=2),
        Group(engine="counter", pool="gpu", count=1),
    ]


def test_held_items_are_grouped_by_the_version_they_need() -> None:
    WorkItemFactory.create_batch(2, paused=True, reason="held", engine_version="1")
    WorkItemFactory(paused=True, reason="held", engine_version="2")
    WorkItemFactory(paused=True)
    assert attention.held() == [
        Group(engine="counter", version="1", count=2),
        Group(engine="counter", version="2", count=1),
    ]


def test_resources_are_contested_when_items_wait_for_them() -> None:
    claim = ResourceClaimFactory(held=False, resource__key="repo")
    ResourceClaimFactory(held=False, resource=claim.resource)
    ResourceClaimFactory()
    assert attention.contested() == [Contested(resource=claim.resource_id, namespace="default", key="repo", waiters=2)]


def test_leases_that_are_over_are_counted_until_they_are_revoked() -> None:
    LeaseFactory(expired=True), LeaseFactory()
    assert attention.expired_leases() == Figure(value=1)
    Lease.objects.update(revoked_at=now())
    assert attention.expired_leases() == Figure(value=0)


def test_open_asks_are_counted_and_those_that_end_soon() -> None:
    hour = dt.timedelta(hours=1).total_seconds()
    WaitFactory(expires_at=now(hour / 2))
    WaitFactory(expires_at=now(2 * hour))
    WaitFactory(kind="input", expires_at=now(2 * hour))
    WaitFactory(kind="timer", expires_at=now(60))
    WaitFactory(state="resolved", expires_at=now(60))
    asks = attention.open_asks()
    assert (asks.approvals.value, asks.inputs.value, asks.soon.value) == (2, 1, 1)
