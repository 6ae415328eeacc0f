"""Remove finished items that nobody needs any more, whole, a batch in a transaction. Shared by both stores.

    remove(using, wanted, limit=100)    # again while it removes something

An item may go when it ended before the cutoff of its state, is not held, and its parent is gone: a parent that is
kept may be brought back and ask for all of its children. Only children that a trigger has made go before it, since no
engine reads them. It stays while a worker has still to let go of it, while a child of it is live, while a child or a
fork that points to it is held, and while an open wait names it.

What may go is looked for without locks; then it and all whose pointers to it are cleared are locked by id in one
statement that skips what others have, and looked at again in a later one. A child that is being enqueued either shows
up there or waits for the lock, and is then refused. So any number of pruners, workers and operators may be at it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connections
from django.db.models import Exists, F, OuterRef, ProtectedError, Q, QuerySet, RestrictedError
from django.db.models.functions import Coalesce

from runtime import clock, faults
from runtime.choices import LIVE, WorkerState
from runtime.models import (
    Artifact,
    JournalEntry,
    Lease,
    Offloaded,
    ResourceClaim,
    Signal,
    Snapshot,
    Wait,
    Worker,
    WorkItem,
)
from runtime.store import old_history
from runtime.store.children import IMPORTED, TRIGGERED
from runtime.store.horizon import delete_events
from runtime.store.old_history import Trimmed
from runtime.store.transactions import begin, transacted

NAMED_POSTGRES = """
SELECT DISTINCT named.id
FROM roost_wait w
JOIN roost_workitem i ON i.id = w.work_item_id,
LATERAL jsonb_array_elements_text(w.data -> 'children') AS named (id)
WHERE w.kind = 'children'
    AND (w.state = 'open' OR i.asked AND w.state IN ('withdrawn', 'expired', 'resolved')) AND named.id = ANY(%s)
"""
NAMED_SQLITE = """
SELECT DISTINCT named.value
FROM roost_wait w
JOIN roost_workitem i ON i.id = w.work_item_id, json_each(w.data, '$.children') AS named
WHERE w.kind = 'children' AND (w.state = 'open' OR i.asked AND w.state IN ('withdrawn', 'expired', 'resolved'))
  AND named.value IN (SELECT value FROM json_each(%s))
"""
"""Which of these items are named by waits that are open, or will be again when a dead letter is brought back."""

HEAVY = 5_000
"""Events and snapshots of an item above which they are removed before it, a part at a time."""

OWN = ((Snapshot, "work_item"), (JournalEntry, "work_item"), (Artifact, "work_item"), (Offloaded, "work_item"))
"""What belongs to an item alone and refers to nothing else that goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which items are to go: those that ended before the cutoff of their state, narrowed by the rest where given."""

    cutoffs: Mapping[str, dt.datetime]
    namespace: str | None = None
    engine: str | None = None
    items: frozenset[uuid.UUID] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """What one batch removed: how many items, and rows by table.
    `kept` are items that may go and stay: others had them locked, an open wait names them, or rows of the product's own
    refer to them. `heavy` ones have too many rows for one transaction: `lighten` them first.
    """

    items: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    kept: frozenset[uuid.UUID] = frozenset()
    heavy: frozenset[uuid.UUID] = frozenset()


def due(using: str, wanted: Wanted, state: str, *, parents: Collection[uuid.UUID] | None = None) -> QuerySet[WorkItem]:
    """Return the items in that terminal state which may go now, those that ended first in front.

    With `parents`, those that may go when these have gone.
    """
    rows = WorkItem.objects.using(using).filter(
        state=state, finished_at__lt=wanted.cutoffs[state], legal_hold=False, finished_at__isnull=False
    )
    if wanted.items is not None:
        rows = rows.filter(pk__in=wanted.items)
    if wanted.namespace is not None:
        rows = rows.filter(namespace=wanted.namespace)
    if wanted.engine is not None:
        rows = rows.filter(engine=wanted.engine)
    # A copy that came lately is kept as if it had ended then.
    rows = rows.exclude(relation=IMPORTED, updated_at__gte=wanted.cutoffs[state])
    alone = Q(parent__isnull=True) | Q(relation=TRIGGERED)
    rows = rows.filter(alone if parents is None else Q(parent__in=parents) & ~Q(relation=TRIGGERED))
    return _needed_by_nobody(rows, using).order_by("finished_at")


def _needed_by_nobody(rows: QuerySet[WorkItem], using: str) -> QuerySet[WorkItem]:
    """Leave out what a worker has still to let go of, and what live or held items point to."""
    others = WorkItem.objects.using(using)
    alive = Q(state__in=sorted(LIVE)) | Q(legal_hold=True)
    children = others.filter(alive, parent=OuterRef("pk"))
    return rows.filter(
        ~Exists(children),
        ~Exists(others.filter(alive, forked_from=OuterRef("pk"))),
        ~Exists(Lease.objects.using(using).filter(work_item=OuterRef("pk"))),
        ~Exists(ResourceClaim.objects.using(using).filter(work_item=OuterRef("pk"))),
    )


def would_go(using: str, wanted: Wanted, *, limit: int) -> list[WorkItem]:
    """Return up to `limit` items that removing would take, with those whose parents are among them. Changes nothing."""
    found: dict[uuid.UUID, WorkItem] = {}
    parents: Collection[uuid.UUID] | None = None
    while len(found) < limit:
        rows = list(_first(using, wanted, limit - len(found), skip=found.keys(), parents=parents))
        named = waited_for(using, [row.pk for row in rows])
        fresh = {row.pk: row for row in rows if row.pk not in named}
        found |= fresh
        parents = list(fresh)
        if not parents:
            break
    return list(found.values())


def _first(
    using: str,
    wanted: Wanted,
    limit: int,
    *,
    skip: Collection[uuid.UUID],
    parents: Collection[uuid.UUID] | None = None,
) -> Iterator[WorkItem]:
    left = limit
    for state in sorted(wanted.cutoffs):
        rows = due(using, wanted, state, parents=parents).exclude(pk__in=list(skip))
        for row in rows.only("id", "namespace", "engine", "state", "finished_at")[:left]:
            left -= 1
            yield row


def waited_for(using: str, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these items that somebody waits for by name."""
    if not ids:
        return set()
    names = [str(one) for one in ids]
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute(NAMED_POSTGRES, [names])
        else:
            cursor.execute(NAMED_SQLITE, ["[" + ",".join(f'"{name}"' for name in names) + "]"])
        return {uuid.UUID(row[0]) for row in cursor.fetchall()}


def remove(
    using: str,
    wanted: Wanted,
    *,
    limit: int,
    skip: Collection[uuid.UUID] = (),
    light: Collection[uuid.UUID] = (),
) -> Removed:
    """Remove up to `limit` items with all that belongs to them, in one transaction; see the module.

    Each goes whole or not at all. `skip` are items to leave alone, such as those that an earlier batch `kept`; `light`
    are items that were lightened. Items that others have locked are passed over. Contents of artifacts go later, with
    `blobs.sweep_orphans`.
    """
    if wanted.items is not None and not wanted.items:
        return Removed()
    with faults.around("prune"):
        return transacted(using, partial(_remove, using, wanted, limit, skip, light))


def remove_workers(using: str, cutoff: dt.datetime) -> int:
    """Remove workers that are offline and have not beaten since the cutoff, but for owners of leases. Returns how many.

    Histories name workers by id: of these they name them no more by host and process.
    """
    owners = Lease.objects.using(using).filter(worker=OuterRef("pk"))
    rows = Worker.objects.using(using).filter(~Exists(owners), state=WorkerState.OFFLINE, heartbeat_at__lt=cutoff)
    with faults.around("prune"):
        removed, _by_model = transacted(using, rows.delete)
    return removed


def _remove(
    using: str, wanted: Wanted, limit: int, skip: Collection[uuid.UUID], light: Collection[uuid.UUID]
) -> Removed:
    chosen = [item.pk for item in _first(using, wanted, limit, skip=skip)]
    if not chosen:
        return Removed()
    heavy = _heavy(using, chosen) - set(light)
    chosen = [pk for pk in chosen if pk not in heavy]
    locked = _lock(using, {*chosen, *_pointing(using, chosen)})
    going = _still_due(using, wanted, locked.intersection(chosen), locked)
    rows, kept = _delete(using, going)
    passed_over = frozenset(chosen) - frozenset(going)
    return Removed(items=len(going) - len(kept), rows=rows, kept=passed_over | kept, heavy=heavy)


def _heavy(using: str, ids: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Return those of these items that have more events and snapshots than one transaction should remove."""
    gone = Coalesce(F("pruned__events_through"), 0) + Coalesce(F("pruned__snapshots_through"), 0)
    rows = WorkItem.objects.using(using).filter(pk__in=ids).annotate(left=F("event_seq") + F("version") - gone)
    return frozenset(rows.filter(left__gt=HEAVY).values_list("pk", flat=True))


def lighten(using: str, wanted: Wanted, item: uuid.UUID) -> Trimmed:
    """Remove a bounded part of the history of an item that may go, in one transaction; see `old_history.trim`.

    Should it be brought back before it has gone, it goes on from its latest snapshot like any other.
    """
    with faults.around("prune"):
        return transacted(using, partial(_lighten, using, wanted, item))


def _lighten(using: str, wanted: Wanted, item: uuid.UUID) -> Trimmed:
    if not _still_due(using, wanted, {item} & _lock(using, {item}), {item}, alone=False):
        return Trimmed()
    return old_history.cut(using, WorkItem.objects.using(using).get(pk=item), clock.now(using))


def _lock(using: str, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Lock those of these items that nobody else has, by id, keys included: no row may begin to refer to them."""
    rows = WorkItem.objects.using(using).select_for_update(skip_locked=True).filter(pk__in=ids).order_by("pk")
    return set(rows.values_list("pk", flat=True))


def _pointing(using: str, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    rows = WorkItem.objects.using(using).filter(Q(parent__in=ids) | Q(forked_from__in=ids))
    return set(rows.values_list("pk", flat=True))


def _still_due(
    using: str, wanted: Wanted, ids: set[uuid.UUID], locked: set[uuid.UUID], *, alone: bool = True
) -> list[uuid.UUID]:
    """Look again, now that nobody can change them: those that may go, and (`alone`) whose pointers can be cleared."""
    left = ids - waited_for(using, ids)
    if alone:
        rows = WorkItem.objects.using(using).exclude(pk__in=locked)
        others = rows.filter(Q(parent__in=ids) | Q(forked_from__in=ids)).values_list("parent_id", "forked_from_id")
        left -= {pk for pair in others for pk in pair}
    found = (due(using, wanted, state).filter(pk__in=left).values_list("pk", flat=True) for state in wanted.cutoffs)
    return [pk for rows in found for pk in rows]


def _delete(using: str, ids: list[uuid.UUID]) -> tuple[Mapping[str, int], frozenset[uuid.UUID]]:
    """Delete these items; one by one where a row of the product's protects some of them, which are returned."""
    try:
        with begin(using):
            return _delete_all(using, ids), frozenset()
    except (ProtectedError, RestrictedError):
        if len(ids) == 1:
            return {}, frozenset(ids)
    rows: Counter[str] = Counter()
    kept: frozenset[uuid.UUID] = frozenset()
    for one in ids:
        more, protected = _delete(using, [one])
        rows.update(more)
        kept |= protected
    return rows, kept


def _delete_all(using: str, ids: list[uuid.UUID]) -> Mapping[str, int]:
    if not ids:
        return {}
    rows: Counter[str] = Counter()
    items = WorkItem.objects.using(using)
    # A pointer cleared is a write to its row, by which a form that shows it is out of date.
    items.filter(parent__in=ids).exclude(pk__in=ids).update(parent=None, row_version=F("row_version") + 1)
    items.filter(forked_from__in=ids).exclude(pk__in=ids).update(forked_from=None, row_version=F("row_version") + 1)
    # Before the waits: a signal whose wait goes would be free for another item to take.
    rows.update(_deleted(Signal.objects.using(using).filter(Q(target__in=ids) | Q(taken_by__work_item__in=ids))))
    rows.update(_deleted(Wait.objects.using(using).filter(work_item__in=ids)))
    for model, column in OWN:
        rows.update(_deleted(model.objects.using(using).filter(**{f"{column}__in": ids})))
    rows.update({"roost.Event": delete_events(using, ids)})
    rows.update(_deleted(items.filter(pk__in=ids).only("id")))
    return +rows


def _deleted(rows: QuerySet[Any]) -> dict[str, int]:
    _total, by_model = rows.delete()
    return {name: count for name, count in by_model.items() if count}
