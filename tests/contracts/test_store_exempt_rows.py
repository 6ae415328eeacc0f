"""Rows that a sweep cannot touch now stand in front of those that it must. SQLite has no row locks."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from runtime import clock
from runtime.choices import State
from runtime.models import Lease, Resource, WorkItem
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.values import SweepReport
from tests.contracts.asking import wait_for, waiting
from tests.contracts.builders import Hand, Together, after, cancelled, item, put, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("F12")]
IN_FRONT, BATCH = 5, 2
BEATS = 6.0
"""Seconds by which a sweep may be held up: the heartbeat waits for it, and a lease lives for fifteen."""


def overdue(worker: Hand) -> list[uuid.UUID]:
    soon = clock.now("default") + dt.timedelta(seconds=5)
    return [put(deadline_at=soon + dt.timedelta(seconds=number)) for number in range(IN_FRONT + 1)]


def too_long(worker: Hand) -> list[uuid.UUID]:
    pks = [put(item_timeout=5.0 + number) for number in range(IN_FRONT + 1)]
    for claimed in worker.claim():
        worker.commit(claimed, State.QUEUED, reason="continue")
    return pks


def impatient(worker: Hand) -> list[uuid.UUID]:
    return [waiting(worker, wait_for("yes", "approval", expires_in=5.0 + number)) for number in range(IN_FRONT + 1)]


def lost(worker: Hand, **values: Any) -> list[uuid.UUID]:
    pks = [put(**values) for _ in range(IN_FRONT + 1)]
    claimed = {one.id: one for one in worker.claim()}
    for number, pk in enumerate(pks):
        ends = clock.now("default") + dt.timedelta(seconds=5 + number)
        Lease.objects.filter(pk=claimed[pk].id).update(expires_at=ends)
    return pks


def lost_with_resources(worker: Hand) -> list[uuid.UUID]:
    return lost(worker, resources=[{"key": "shared by all", "mode": "shared"}])


def revoked(worker: Hand) -> list[uuid.UUID]:
    pks = lost(worker)
    for pk in pks:
        cancelled(pk)
    return pks


LEFT: dict[Callable[[Hand], list[uuid.UUID]], Callable[[SweepReport], int]] = {
    overdue: lambda report: report.overdue,
    too_long: lambda report: report.timed_out,
    impatient: lambda report: report.expired,
    lost: lambda report: report.recovered,
    lost_with_resources: lambda report: report.recovered,
    revoked: lambda report: report.leases_dropped,
}


@pytest.mark.parametrize("make", LEFT, ids=lambda make: make.__name__)
def test_items_that_somebody_keeps_locked_hide_none_behind_them(
    make: Callable[[Hand], list[uuid.UUID]], store: Store, worker: Hand
) -> None:
    pks = make(worker)
    row_versions = dict(WorkItem.objects.values_list("pk", "row_version"))
    with after(60):
        with transaction.atomic():
            list(WorkItem.objects.select_for_update().filter(pk__in=pks[:IN_FRONT]))
            [took, report] = Together([swept]).results()[0]
        assert took < BEATS
        assert (LEFT[make](report), report.more) == (1, False)
        left = dict(WorkItem.objects.filter(pk__in=pks[:IN_FRONT]).values_list("pk", "row_version"))
        assert left == {pk: row_versions[pk] for pk in pks[:IN_FRONT]}
        reports = [store.sweep(batch=BATCH) for _ in range(IN_FRONT)]
    assert sum(LEFT[make](one) for one in reports) == IN_FRONT


def test_a_resource_that_somebody_keeps_locked_holds_up_nothing_but_its_items(store: Store, worker: Hand) -> None:
    bound, free, late = put(resources=["r"]), put(resources=["other"]), overdue(worker)
    worker.claim(2)
    with after(60), transaction.atomic():
        Resource.objects.select_for_update().get(key="r")
        [took, report] = Together([swept]).results()[0]
        assert took < BEATS
        assert (report.recovered, report.overdue) == (1, BATCH)
    assert (item(bound).state, item(free).state, item(late[0]).state) == (State.RUNNING, State.QUEUED, State.FAILED)
    with after(60):
        assert store.sweep(batch=BATCH).recovered == 1


def test_a_sweep_waits_for_no_lock_longer_than_a_beat(worker: Hand) -> None:
    """Leases are not looked at beforehand: a heartbeat that hangs has them locked, and their items not."""
    pks = lost(worker)
    with after(60), transaction.atomic():
        list(Lease.objects.select_for_update().filter(pk__in=pks[:1]))
        waiting_sweep = Together([swept])
        until(lambda: not waiting_sweep.running(), "the sweep's end")
        [took, report] = waiting_sweep.results()[0]
    assert took < BEATS
    assert report.recovered == BATCH - 1


def swept() -> tuple[float, SweepReport]:
    """Sweep, and say how long it took."""
    began = time.monotonic()
    report = get_store().sweep(batch=BATCH)
    return time.monotonic() - began, report


def test_a_sweep_says_that_there_is_more_behind_what_is_locked(worker: Hand) -> None:
    pks = overdue(worker)
    with after(60), transaction.atomic():
        list(WorkItem.objects.select_for_update().filter(pk__in=pks[:2]))
        [_, report] = Together([swept]).results()[0]
        assert (report.overdue, report.more) == (BATCH, True)
