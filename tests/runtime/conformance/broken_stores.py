"""Stores that break one promise each: Roost's own, with one method done wrong."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from django.db import transaction
from django.db.models import F

from runtime.choices import State
from runtime.conformance.levels import basic, concurrency, crash, fencing, plans, retention
from runtime.journal.entries import Found, Write
from runtime.models import Event, Lease, WorkItem
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.values import Claimed, ClaimRequest, Held, NewItem, Outcome, SweepReport

Base: Any = object


def broken(mixin: type) -> Store:
    """Return Roost's store of this database with the methods of `mixin` before its own."""
    store = get_store()
    made: Callable[[str], Store] = type(mixin.__name__, (mixin, type(store)), {})
    return made(store.using)


class Forgetful(Base):
    """Does not look whether a key is taken."""

    def insert(self, items: Sequence[NewItem]) -> set[uuid.UUID]:
        return super().insert([replace(one, idempotency_key=None) for one in items])  # type: ignore[no-any-return]


class Impatient(Base):
    """Hands items out before they are due."""

    def insert(self, items: Sequence[NewItem]) -> set[uuid.UUID]:
        return super().insert([replace(one, delay=0.0) for one in items])  # type: ignore[no-any-return]


class Generous(Base):
    """Reads what is due, and takes it without looking again."""

    def claim(self, request: ClaimRequest) -> list[Claimed]:
        claimed = super().claim(request)
        ids = [one.id for one in claimed]
        Lease.objects.filter(pk__in=ids).delete()
        WorkItem.objects.filter(pk__in=ids).update(state=State.QUEUED)
        return claimed  # type: ignore[no-any-return]


class Trusting(Base):
    """Believes every outcome to be the owner's."""

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        there = {one.pk: one for one in WorkItem.objects.filter(pk__in=[one.item for one in outcomes])}
        return super().commit(  # type: ignore[no-any-return]
            [
                replace(one, epoch=there[one.item].epoch, version=there[one.item].version, initial=None)
                for one in outcomes
            ]
        )


class Talkative(Base):
    """Refuses what is not the owner's, and tells of it in the item's history."""

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        written: dict[uuid.UUID, str] = super().commit(outcomes)
        for one in outcomes:
            if one.item not in written:
                WorkItem.objects.filter(pk=one.item).update(row_version=F("row_version") + 1)
        return written


class Unfenced(Base):
    """Records calls for whoever asks."""

    def journal(self, writes: Sequence[Write]) -> list[Found]:
        there = WorkItem.objects.in_bulk([one.place.item for one in writes])
        for one in writes:
            WorkItem.objects.filter(pk=one.place.item).update(state=State.RUNNING, epoch=one.place.epoch)
        found = super().journal(writes)
        for item in there.values():
            item.save(update_fields=["state", "epoch"])
        return found  # type: ignore[no-any-return]


class Slow(Base):
    """Takes back what the dead have held, for later."""

    def sweep(self, **options: Any) -> SweepReport:
        with transaction.atomic():
            before = set(WorkItem.objects.filter(state=State.QUEUED).values_list("pk", flat=True))
            report: SweepReport = super().sweep(**options)
            taken = WorkItem.objects.filter(state=State.QUEUED).exclude(pk__in=before)
            taken.update(state=State.PAUSED, paused_from=State.QUEUED)
        return report


class Piecemeal(Base):
    """Commits each outcome by itself, and complains in the end."""

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        written: dict[uuid.UUID, str] = {}
        errors = []
        for one in outcomes:
            try:
                written |= super().commit([one])
            except ValueError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return written


class Quiet(Base):
    """Does not tell a worker of leases that it does not know of."""

    def renew(self, worker: uuid.UUID, held: Sequence[Held], progress: Any = None, **more: Any) -> Any:
        return replace(super().renew(worker, held, progress, **more), strangers=frozenset())


class Hoarding(Base):
    """Keeps every snapshot, whatever the policy."""

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        return super().commit([replace(one, drops=False) for one in outcomes])  # type: ignore[no-any-return]


class Tidy(Base):
    """Removes the history of what it has committed."""

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        written: dict[uuid.UUID, str] = super().commit(outcomes)
        for pk in written:
            Event.objects.filter(work_item=pk, seq=2).delete()
        return written


class Thorough(Base):
    """Looks at everything before it takes something."""

    def claim(self, request: ClaimRequest) -> list[Claimed]:
        with contextlib.suppress(StopIteration):
            next(one for one in WorkItem.objects.filter(step_label__contains="x").order_by() if one.pk is None)
        return super().claim(request)  # type: ignore[no-any-return]


BROKEN = [
    (Forgetful, "basic", basic.a_taken_key_is_left_out),
    (Impatient, "basic", basic.nothing_runs_before_it_is_due),
    (Generous, "basic", basic.a_claim_makes_one_owner),
    (Tidy, "basic", basic.a_step_makes_a_version),
    (Generous, "concurrency", concurrency.no_item_is_claimed_twice),
    (Forgetful, "concurrency", concurrency.one_key_makes_one_item),
    (Trusting, "concurrency", concurrency.one_version_is_made_once),
    (Trusting, "fencing", fencing.a_zombie_writes_nothing),
    (Trusting, "fencing", fencing.an_outcome_of_another_epoch_leaves_no_trace),
    (Talkative, "fencing", fencing.an_outcome_of_another_epoch_leaves_no_trace),
    (Unfenced, "fencing", fencing.a_recorded_call_needs_the_lease),
    (Slow, "crash", crash.a_dead_workers_items_are_due_at_once),
    (Piecemeal, "crash", crash.a_bad_outcome_writes_none_of_its_batch),
    (Quiet, "crash", crash.a_lost_claim_is_found),
    (Hoarding, "retention", retention.a_snapshot_goes_with_the_step_that_replaces_it),
    (Thorough, "plan shape", plans.a_claim_and_a_commit_read_what_they_take),
]
"""The level and the promise by which each has to be caught."""
