"""Check the invariants of stored items: what must be true of every row at every moment.

A healthy installation has no problems, whatever was killed and whenever. Each chunk of items is read in one
transaction that sees one moment, so that work going on meanwhile is no false alarm.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum

from runtime import artifacts
from runtime.choices import PARKED, TERMINAL, ClaimMode, ClaimScope, JournalState, State
from runtime.models import Artifact, Event, JournalEntry, Lease, PrunedHistory, ResourceClaim, Snapshot, WorkItem
from runtime.queries import verify_history, verify_offloaded, verify_waits
from runtime.queries.problem import Problem
from runtime.store import work_database

CHUNK = 500
_COLUMNS = (
    *("state", "reason", "version", "epoch", "event_seq", "started_at", "finished_at", "parent", "paused_from"),
    *("asked", "snapshots_dropped"),
)


def item(item_id: uuid.UUID, *, using: str | None = None) -> list[Problem]:
    """Return the problems of one item and of the resources it has claims on.

    Raises `StorageUnavailable` when the storage of its artifacts cannot be asked.
    """
    using = using or work_database()
    with one_moment(using):
        found = list(WorkItem.objects.using(using).filter(pk=item_id))
        keys = ResourceClaim.objects.using(using).filter(work_item_id=item_id).values_list("resource_id", flat=True)
        return [*_check(found, using), *_capacity(list(keys), using)]


def everything(*, using: str | None = None) -> Iterator[Problem]:
    """Yield the problems of all items, oldest first, in chunks: memory stays flat. Raises `StorageUnavailable`."""
    using = using or work_database()
    last: uuid.UUID | None = None
    while True:
        with one_moment(using):
            found = list(_after(last, using)[:CHUNK])
            problems = _check(found, using)
        yield from problems
        if len(found) < CHUNK:
            break
        last = found[-1].pk
    with one_moment(using):
        problems = list(_capacity(None, using))
    yield from problems


def _after(last: uuid.UUID | None, using: str) -> QuerySet[WorkItem]:
    found: QuerySet[WorkItem] = WorkItem.objects.using(using).only(*_COLUMNS).order_by("id")
    return found if last is None else found.filter(pk__gt=last)


@contextmanager
def one_moment(using: str) -> Iterator[None]:
    """Let every statement of the block see the database as it is at one moment; on SQLite a transaction does."""
    connection = connections[using]
    outermost = not connection.in_atomic_block
    with transaction.atomic(using=using):
        if outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _check(found: Sequence[WorkItem], using: str) -> list[Problem]:
    return [problem for rule in _RULES for problem in rule(found, using)]


def _events(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    told = _spans(Event.objects.using(using), "seq", found)
    gone = _pruned(found, using, "events_through")
    for one in found:
        count, first, last = told.get(one.pk, (0, 1, 0))
        begin = gone.get(one.pk, 0) + 1
        if not (first == begin and last == one.event_seq and count == last - begin + 1):
            text = f"{count} events, numbered {first} to {last}; "
            text += f"they must be {begin} to {one.event_seq} without a gap."
            yield Problem(item=one.pk, code="events", text=text)


def _snapshots(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    recent = Q(work_item__pruned__isnull=True) | Q(version__gt=F("work_item__pruned__snapshots_through"))
    kept = _spans(Snapshot.objects.using(using).filter(recent, version__gt=0), "version", found)
    gone = _pruned(found, using, "snapshots_through")
    for one in found:
        count, first, last = kept.get(one.pk, (0, 1, 0))
        begin, dropped = gone.get(one.pk, 0) + 1, one.snapshots_dropped
        missing = one.version - begin + 1 - count
        # What a policy has not kept is counted whole, that of a history which was removed since too.
        meant = missing == dropped or (begin > 1 and 0 <= missing <= dropped)
        if not (last == one.version and meant):
            but = f" but for {dropped} that its policy does not keep" if dropped else " without a gap"
            text = f"{count} snapshots, versions {first} to {last}; they must be {begin} to {one.version}{but}."
            yield Problem(item=one.pk, code="snapshots", text=text)


def _pruned(found: Sequence[WorkItem], using: str, column: str) -> dict[uuid.UUID, int]:
    """Return how far the histories of items have been removed, where they have."""
    rows = PrunedHistory.objects.using(using).filter(pk__in=[one.pk for one in found])
    return dict(rows.values_list("pk", column))


def _spans(rows: Any, column: str, found: Sequence[WorkItem]) -> dict[uuid.UUID, tuple[int, int, int]]:
    counted = (
        rows.filter(work_item__in=[one.pk for one in found])
        .order_by()
        .values("work_item_id")
        .annotate(count=Count("pk"), first=Min(column), last=Max(column))
    )
    return {row["work_item_id"]: (row["count"], row["first"], row["last"]) for row in counted}


def _leases(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    leases = {lease.pk: lease for lease in Lease.objects.using(using).filter(pk__in=[one.pk for one in found])}
    for one in found:
        lease = leases.get(one.pk)
        live = lease is not None and lease.revoked_at is None
        if one.state == State.RUNNING and not live:
            yield Problem(item=one.pk, code="no_lease", text="It is running, but no worker has a lease on it.")
        elif one.state != State.RUNNING and live:
            yield Problem(item=one.pk, code="stray_lease", text=f"It is {one.state}, but a worker has a lease on it.")
        elif live and lease is not None and lease.epoch != one.epoch:
            text = f"Its epoch is {one.epoch}, but its lease has epoch {lease.epoch}."
            yield Problem(item=one.pk, code="lease_epoch", text=text)


def _claims(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    items = {one.pk: one for one in found}
    revoked = set(
        Lease.objects.using(using).filter(pk__in=list(items), revoked_at__isnull=False).values_list("pk", flat=True)
    )
    claims = ResourceClaim.objects.using(using).filter(work_item__in=list(items)).select_related("resource")
    for claim in claims:
        one = items[claim.work_item_id]
        if claim.held and not _may_hold(one, claim) and one.pk not in revoked:
            text = f"It is {one.state}, but still holds resource {claim.resource.key}."
            yield Problem(item=one.pk, code="stray_claim", text=text)
        elif not claim.held and not (one.state == State.QUEUED and one.reason in PARKED):
            text = f"It is {one.state} ({one.reason}), but still waits for resource {claim.resource.key}."
            yield Problem(item=one.pk, code="stray_wish", text=text)


def _may_hold(one: WorkItem, claim: ResourceClaim) -> bool:
    if claim.scope == ClaimScope.ITEM:
        return one.state not in TERMINAL
    return one.state == State.RUNNING


def _ends(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    for one in found:
        ended = one.state in TERMINAL
        if ended and one.finished_at is None:
            yield Problem(item=one.pk, code="no_end", text=f"It is {one.state}, but has no time of its end.")
        elif not ended and one.finished_at is not None:
            yield Problem(item=one.pk, code="stray_end", text=f"It is {one.state}, but has a time of its end.")
        if one.state == State.PAUSED and not one.paused_from:
            yield Problem(item=one.pk, code="paused_from", text="It is paused, but not from any state.")


def _parents(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    named = {one.parent_id for one in found if one.parent_id is not None}
    there = set(WorkItem.objects.using(using).filter(pk__in=named).values_list("pk", flat=True))
    for one in found:
        if one.parent_id is not None and one.parent_id not in there:
            yield Problem(item=one.pk, code="parent", text=f"Its parent {one.parent_id} does not exist.")


def _artifacts(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    named = Artifact.objects.using(using).filter(work_item__in=[one.pk for one in found]).select_related("blob")
    for artifact in named:
        with artifacts.storage_errors(f"looking for {artifact.blob.path}"):
            there = artifacts.storage().exists(artifact.blob.path)
        if not there:
            text = f"The bytes of its artifact {artifact.name!r} ({artifact.sha256}) are not in the storage."
            yield Problem(item=artifact.work_item_id, code="artifact", text=text)


def _journal(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    items = {one.pk: one for one in found}
    calls = JournalEntry.objects.using(using).filter(work_item__in=list(items)).defer("result", "error")
    over = Q(state__in=[JournalState.SUCCEEDED, JournalState.FAILED], ended_at=None)
    stray = Q(base_version__gt=F("work_item__version")) | Q(epoch__gt=F("work_item__epoch"))
    for call in calls.filter(over | stray):
        one = items[call.work_item_id]
        where = f"from version {call.base_version} and epoch {call.epoch}"
        text = f"The recorded call {call.key!r} ({call.state}, {where}) does not fit the item (version {one.version}, "
        text += f"epoch {one.epoch}), or has no time of its end."
        yield Problem(item=one.pk, code="journal", text=text)


def _capacity(keys: list[int] | None, using: str) -> Iterator[Problem]:
    held = ResourceClaim.objects.using(using).filter(held=True)
    if keys is not None:
        held = held.filter(resource_id__in=keys)
    rows = (
        held.order_by()
        .values("resource_id", "resource__key", "resource__capacity", "mode")
        .annotate(holders=Count("pk"), taken=Sum("units"))
    )
    modes: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        modes.setdefault(row["resource_id"], []).append(row)
    for shared in modes.values():
        key, holders = shared[0]["resource__key"], sum(row["holders"] for row in shared)
        exclusive = any(row["mode"] == ClaimMode.EXCLUSIVE for row in shared)
        over = any(row["mode"] == ClaimMode.COUNTED and row["taken"] > row["resource__capacity"] for row in shared)
        if (exclusive and holders > 1) or over:
            text = f"Resource {key} is held by {holders} items at once, which its claims do not allow."
            yield Problem(item=None, code="resource", text=text)


_RULES: tuple[Callable[[Sequence[WorkItem], str], Iterator[Problem]], ...] = (
    _events,
    _snapshots,
    _leases,
    _claims,
    _ends,
    _parents,
    _artifacts,
    _journal,
    verify_waits.problems,
    verify_history.problems,
    verify_offloaded.problems,
)
