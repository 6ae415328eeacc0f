"""Remove finished items that nobody needs any more, in transactions of bounded size. Shared by both stores.

    take(using, wanted, ids)    # again with what it hands back

`runtime.store.going` finds what may go without locks; then it and all whose pointers to it are cleared are locked by
id in one statement that skips what others have, and looked at again in a later one. A child that is being enqueued
either shows up there or waits for the lock, and is then refused. So any number of pruners, workers and operators may
be at it. No transaction takes more than `heavy.ROWS` rows: fewer items go then, and one that is too heavy alone goes
in parts.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from runtime import faults
from runtime.choices import WorkerState
from runtime.models import (
    Artifact,
    JournalEntry,
    Lease,
    Offloaded,
    Resource,
    ResourceClaim,
    Signal,
    Snapshot,
    Wait,
    Worker,
    WorkItem,
)
from runtime.store import heavy
from runtime.store.going import Wanted, freed, still_due
from runtime.store.horizon import delete_events
from runtime.store.protected import is_protected
from runtime.store.transactions import transacted

OWN = (Snapshot, JournalEntry, Artifact, Offloaded)
"""What belongs to an item alone and refers to nothing else that goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What one transaction took: how many items, and rows by table.

    `kept` are items that may go and stay: others had them locked, an open wait names them, or rows of the product's own
    refer to them. `freed` are children that may go, now that their parent has gone. `left` is what was asked for and
    not begun with; where the first was too heavy for one transaction, `part` is that item, of which there is more.
    """

    items: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    kept: frozenset[uuid.UUID] = frozenset()
    freed: tuple[uuid.UUID, ...] = ()
    left: tuple[uuid.UUID, ...] = ()
    part: uuid.UUID | None = None


def take(using: str, wanted: Wanted, ids: Sequence[uuid.UUID]) -> Taken:
    """Remove the first of these items, as many as a transaction may, with all that belongs to them; see the module.

    Contents of artifacts go later, with `blobs.sweep`. Raises what a product's rows and receivers do against it.
    """
    first = heavy.within(using, list(ids))
    if ids and not first:
        with faults.around("prune"):
            return transacted(using, partial(_take_part, using, wanted, ids))
    with faults.around("prune"):
        done = transacted(using, partial(_take_whole, using, wanted, first))
    return Taken(items=done.items, rows=done.rows, kept=done.kept, freed=done.freed, left=tuple(ids[len(first) :]))


def remove_workers(using: str, cutoff: dt.datetime) -> int:
    """Remove workers that are offline and have not beaten since the cutoff, but for owners of leases. Returns how many.

    At most `heavy.ROWS` go in one transaction. Histories name workers by id: of these they name them no more by host
    and process.
    """
    owners = Lease.objects.using(using).filter(worker=OuterRef("pk"))
    rows = Worker.objects.using(using).filter(~Exists(owners), state=WorkerState.OFFLINE, heartbeat_at__lt=cutoff)
    removed = 0
    while some := list(rows.values_list("pk", flat=True)[: heavy.ROWS]):
        with faults.around("prune"):
            gone, _by_model = transacted(using, rows.filter(pk__in=some).delete)
        removed += gone
        if not gone:
            break
    return removed


def remove_resources(using: str) -> int:
    """Remove resources that nobody holds or wants and whose capacity nobody has set. Returns how many.

    At most `heavy.ROWS` go in one transaction. Whoever asks for one later makes it again: it is a name to lock.
    """
    removed = 0
    while some := list(_idle(using).order_by("pk").values_list("pk", flat=True)[: heavy.ROWS]):
        with faults.around("prune"):
            gone = transacted(using, partial(_remove_resources, using, some))
        removed += gone
        if not gone:
            break
    return removed


def _idle(using: str) -> QuerySet[Resource]:
    """Return the resources of which there is nothing to know. One is made without a capacity, and written once."""
    claims = ResourceClaim.objects.using(using).filter(resource=OuterRef("pk"))
    made = Resource()
    rows = Resource.objects.using(using).filter(capacity=made.capacity, row_version=made.row_version)
    idle: QuerySet[Resource] = rows.filter(~Exists(claims))
    return idle


def _remove_resources(using: str, some: Collection[int]) -> int:
    """Remove those of the resources that nobody has locked, keys included, and that are idle still."""
    rows = Resource.objects.using(using).select_for_update(skip_locked=True).filter(pk__in=some).order_by("pk")
    locked = list(rows.values_list("pk", flat=True))
    return int(_idle(using).filter(pk__in=locked).delete()[0])


def _take_part(using: str, wanted: Wanted, ids: Sequence[uuid.UUID]) -> Taken:
    """Take a part of the first item, unless it has to stay: then it loses nothing."""
    item, left = ids[0], tuple(ids[1:])
    # Who is about to hold or to bring back what points to it has that row locked, and not the item's.
    pointing = _first_pointing(using, item)
    locked = _lock(using, {item, *pointing})
    may_go = pointing <= locked and still_due(using, wanted, locked & {item}) and not is_protected(using, item)
    if not may_go:
        return Taken(kept=frozenset({item}), left=left)
    done = heavy.take_part(using, WorkItem.objects.using(using).get(pk=item))
    if not done.changed:
        return Taken(kept=frozenset({item}), left=left)
    return Taken(rows=done.rows, freed=freed(using, wanted, done.freed), left=left, part=item)


def _take_whole(using: str, wanted: Wanted, ids: Collection[uuid.UUID]) -> Taken:
    locked = _lock(using, {*ids, *_pointing(using, ids)})
    going = still_due(using, wanted, locked.intersection(ids))
    going -= _pointed_to_from_elsewhere(using, going, locked)
    children = WorkItem.objects.using(using).filter(parent__in=going).exclude(pk__in=going)
    alone = list(children.values_list("pk", flat=True))
    rows = _delete(using, going)
    return Taken(items=len(going), rows=rows, kept=frozenset(ids) - going, freed=freed(using, wanted, alone))


def _lock(using: str, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Lock those of these items that nobody else has, by id, keys included: no row may begin to refer to them."""
    rows = WorkItem.objects.using(using).select_for_update(skip_locked=True).filter(pk__in=ids).order_by("pk")
    return set(rows.values_list("pk", flat=True))


def _first_pointing(using: str, item: uuid.UUID) -> set[uuid.UUID]:
    """Return as many of the items that point to it as one transaction lets go of."""
    rows = WorkItem.objects.using(using).filter(Q(parent=item) | Q(forked_from=item)).order_by("pk")
    return set(rows.values_list("pk", flat=True)[: heavy.ROWS])


def _pointing(using: str, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    rows = WorkItem.objects.using(using).filter(Q(parent__in=ids) | Q(forked_from__in=ids))
    return set(rows.values_list("pk", flat=True))


def _pointed_to_from_elsewhere(using: str, ids: Collection[uuid.UUID], locked: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these items whose pointers cannot be cleared: others have the rows that have them."""
    rows = WorkItem.objects.using(using).exclude(pk__in=locked).filter(Q(parent__in=ids) | Q(forked_from__in=ids))
    return {pk for pair in rows.values_list("parent_id", "forked_from_id") for pk in pair if pk in ids}


def _delete(using: str, ids: Collection[uuid.UUID]) -> Mapping[str, int]:
    if not ids:
        return {}
    rows: Counter[str] = Counter()
    items = WorkItem.objects.using(using)
    # A pointer cleared is a write to its row, by which a form that shows it is out of date.
    items.filter(parent__in=ids).exclude(pk__in=ids).update(parent=None, row_version=F("row_version") + 1)
    items.filter(forked_from__in=ids).exclude(pk__in=ids).update(forked_from=None, row_version=F("row_version") + 1)
    # Before the waits: a signal whose wait goes would be free for another item to take.
    rows.update(_deleted(Signal.objects.using(using).filter(target__in=ids)))
    rows.update(_deleted(Signal.objects.using(using).filter(taken_by__work_item__in=ids)))
    for model in (Wait, *OWN):
        rows.update(_deleted(model._default_manager.using(using).filter(work_item__in=ids)))
    rows.update({"roost.Event": delete_events(using, ids)})
    rows.update(_deleted(items.filter(pk__in=ids).only("id")))
    return +rows


def _deleted(rows: QuerySet[Any]) -> dict[str, int]:
    _total, by_model = rows.delete()
    return {name: count for name, count in by_model.items() if count}
