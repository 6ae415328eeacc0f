"""Say which ended items may go, without locks, in pieces of bounded size. Shared by both stores.

An item may go when it ended before the cutoff of its state, is not held, and its parent is gone: a parent that is
kept may be brought back and ask for all of its children. Only children that a trigger has made go before it, since no
engine reads them, but for those of a held parent. It stays while a worker has still to let go of it, while a child of
it is live, while a child or a fork that points to it is held, and while an open wait names it.

`look` goes through the index of what has ended, `LOOK` entries at a time, and tells how far it has come: what has to
stay costs one look in a round and stands in nobody's way.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.db.models import Exists, OuterRef, Q, QuerySet

from runtime.choices import LIVE
from runtime.models import Lease, PrunedHistory, ResourceClaim, WorkItem
from runtime.store.children import IMPORTED, TRIGGERED

LOOK = 500
"""Ended items that one query looks at."""

# What a wait names is in an index of its own, which waits leave when they are consumed.
NAMED_POSTGRES = """
SELECT DISTINCT named.id
FROM roost_wait w
JOIN roost_workitem i ON i.id = w.work_item_id,
LATERAL jsonb_array_elements_text(w.data -> 'children') AS named (id)
WHERE w.kind = 'children' AND w.state <> 'consumed' AND (w.data -> 'children') ?| %s
    AND (w.state = 'open' OR i.asked AND w.state IN ('withdrawn', 'expired', 'resolved')) AND named.id = ANY(%s)
"""
NAMED_SQLITE = """
SELECT DISTINCT named.value
FROM roost_wait w
JOIN roost_workitem i ON i.id = w.work_item_id, json_each(w.data, '$.children') AS named
WHERE w.kind = 'children' AND w.state <> 'consumed'
  AND (w.state = 'open' OR i.asked AND w.state IN ('withdrawn', 'expired', 'resolved'))
  AND named.value IN (SELECT value FROM json_each(%s))
"""
"""Which of these items are named by waits that are open, or will be again when a dead letter is brought back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which items are to go: those that ended before the cutoff of their state, narrowed by the rest where given."""

    cutoffs: Mapping[str, dt.datetime]
    namespace: str | None = None
    engine: str | None = None
    items: frozenset[uuid.UUID] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An entry in the order in which ended items are looked at; `again` says that not all before it is finished."""

    state: str
    finished_at: dt.datetime
    item: uuid.UUID
    again: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The items of one look that may go, in their order; `place` is the last entry that was read, None at the end."""

    found: tuple[Place, ...] = ()
    place: Place | None = None


def look(using: str, wanted: Wanted, after: Place | None) -> Look:
    """Return what may go of the next ended items behind a place, those that ended first in front."""
    for state in sorted(wanted.cutoffs):
        if after is not None and state < after.state:
            continue
        page = list(_page(using, wanted, state, after if after is not None and after.state == state else None))
        if not page:
            continue
        places = [Place(state=state, finished_at=at, item=pk) for at, pk in page]
        may = set(due(using, wanted, state).filter(pk__in=[pk for _at, pk in page]).values_list("pk", flat=True))
        return Look(found=tuple(place for place in places if place.item in may), place=places[-1])
    return Look()


def _page(using: str, wanted: Wanted, state: str, after: Place | None) -> Iterator[tuple[Any, uuid.UUID]]:
    """Yield the end and the id of the next items of a state; many may have ended at the same moment."""
    ended = _ended(using, wanted, state).filter(_ALONE).order_by("finished_at", "pk").values_list("finished_at", "pk")
    if after is None:
        yield from ended[:LOOK]
        return
    same = list(ended.filter(finished_at=after.finished_at, pk__gt=after.item)[:LOOK])
    yield from same
    yield from ended.filter(finished_at__gt=after.finished_at)[: LOOK - len(same)]


_ALONE = Q(parent__isnull=True) | Q(relation=TRIGGERED)


def _ended(using: str, wanted: Wanted, state: str) -> QuerySet[WorkItem]:
    rows: QuerySet[WorkItem] = WorkItem.objects.using(using).filter(
        state=state, finished_at__lt=wanted.cutoffs[state], legal_hold=False, finished_at__isnull=False
    )
    return rows if wanted.items is None else rows.filter(pk__in=wanted.items)


def due(using: str, wanted: Wanted, state: str, *, parents: Collection[uuid.UUID] | None = None) -> QuerySet[WorkItem]:
    """Return the items in that terminal state which may go now; filter them further: there may be many.

    With `parents`, those that may go when these have gone.
    """
    rows = _ended(using, wanted, state)
    if wanted.namespace is not None:
        rows = rows.filter(namespace=wanted.namespace)
    if wanted.engine is not None:
        rows = rows.filter(engine=wanted.engine)
    # A copy that came lately is kept as if it had ended then.
    rows = rows.exclude(relation=IMPORTED, updated_at__gte=wanted.cutoffs[state])
    if parents is None:
        rows = rows.filter(Q(parent__isnull=True) | Q(relation=TRIGGERED, parent__legal_hold=False))
    else:
        rows = rows.filter(parent__in=parents).exclude(relation=TRIGGERED)
    return _needed_by_nobody(rows, using)


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


def still_due(using: str, wanted: Wanted, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these items that may go, looked at again when nobody can change them."""
    return due_among(using, wanted, set(ids) - waited_for(using, ids))


def freed(using: str, wanted: Wanted, children: Collection[uuid.UUID]) -> tuple[uuid.UUID, ...]:
    """Return those of these children, whose parent has just gone, that may go for that reason."""
    may = due_among(using, wanted, children) if children else ()
    own = WorkItem.objects.using(using).filter(pk__in=may).exclude(relation=TRIGGERED)
    return tuple(own.order_by("finished_at", "pk").values_list("pk", flat=True))


def due_among(using: str, wanted: Wanted, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these items that may go, but for what somebody waits for by name."""
    found = (due(using, wanted, state).filter(pk__in=ids).values_list("pk", flat=True) for state in wanted.cutoffs)
    return {pk for rows in found for pk in rows}


def waited_for(using: str, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these items that somebody waits for by name."""
    if not ids:
        return set()
    names = [str(one) for one in ids]
    with connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute(NAMED_POSTGRES, [names, names])
        else:
            cursor.execute(NAMED_SQLITE, ["[" + ",".join(f'"{name}"' for name in names) + "]"])
        return {uuid.UUID(row[0]) for row in cursor.fetchall()}


def is_going(item: uuid.UUID, *, using: str) -> bool:
    """Say whether the item is being removed, in several transactions: parts of it may be missing."""
    return PrunedHistory.objects.using(using).filter(pk=item, going_since__isnull=False).exists()


def begun(using: str, *, limit: int) -> list[uuid.UUID]:
    """Return items whose removal has begun: nobody can use them, so they go however long items are kept by now."""
    rows = PrunedHistory.objects.using(using).filter(going_since__isnull=False).order_by("going_since")
    return list(rows.values_list("pk", flat=True)[:limit])


def would_go(using: str, wanted: Wanted, *, limit: int) -> list[uuid.UUID]:
    """Return up to `limit` items that removing would take, with those whose parents are among them. Changes nothing."""
    found: dict[uuid.UUID, None] = {}
    after: Place | None = None
    while len(found) < limit:
        page = look(using, wanted, after)
        ids = [place.item for place in page.found]
        named = waited_for(using, ids)
        found |= dict.fromkeys(pk for pk in ids if pk not in named)
        after = page.place
        if after is None:
            break
    generation: list[uuid.UUID] = list(found)
    while generation and len(found) < limit:
        generation = list(_children(using, wanted, generation, limit - len(found)))
        found |= dict.fromkeys(generation)
    return list(found)[:limit]


def _children(using: str, wanted: Wanted, parents: Collection[uuid.UUID], limit: int) -> Iterator[uuid.UUID]:
    """Yield the children that may go when these parents have gone."""
    for state in sorted(wanted.cutoffs):
        rows = due(using, wanted, state, parents=parents).order_by("finished_at")[:limit]
        ids = list(rows.values_list("pk", flat=True))
        named = waited_for(using, ids)
        yield from (pk for pk in ids if pk not in named)
