"""Cancel whoever lives on below a cancelled item. Shared by both stores; everything in the transaction of the move."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from django.db import connections
from django.db.models import F

from runtime.choices import LIVE, EventKind, State
from runtime.models import Lease, WorkItem
from runtime.store import triggered, waking
from runtime.store.children import DETACHED
from runtime.store.history import next_event, touch, write_events
from runtime.store.move import apply, changes_of, is_parked
from runtime.store.resources import Key
from runtime.store.values import Move
from runtime.store.waking import Freeing

_CHILDREN = f"SELECT id, state FROM roost_workitem WHERE parent_id = {{parent}} AND relation <> '{DETACHED}'"
_THEIRS = {
    # For each by its index, however many children PostgreSQL believes that an item has.
    "postgresql": f"CROSS JOIN LATERAL ({_CHILDREN.format(parent='below.id')} OFFSET 0) AS child",
    "sqlite": f"JOIN roost_workitem child ON child.parent_id = below.id AND child.relation <> '{DETACHED}'",
}
BELOW = {
    vendor: f"""
WITH RECURSIVE below(id, state) AS (
    {_CHILDREN.format(parent="%s")} UNION SELECT child.id, child.state FROM below {theirs}
)
SELECT id FROM below WHERE id <> %s AND state IN ('queued', 'running', 'waiting', 'paused')
"""
    for vendor, theirs in _THEIRS.items()
}
"""The live descendants of an item, those of ended ones too, but for those that live for themselves and theirs."""


def descendants(using: str, item: uuid.UUID) -> set[uuid.UUID]:
    """Return the live children of an item, and theirs, whoever between them has ended; `BELOW`."""
    connection, field = connections[using], WorkItem._meta.pk
    key = field.get_db_prep_value(item, connection)
    with connection.cursor() as cursor:
        cursor.execute(BELOW[connection.vendor], [key, key])
        return {field.to_python(found) for (found,) in cursor.fetchall()}


def keys_of(using: str, items: Collection[uuid.UUID]) -> list[Key]:
    """Return the keys of the resources that items may have claims on by the time that their rows are locked."""
    found = WorkItem.objects.using(using).filter(pk__in=items, limited=True).values_list("namespace", "resources")
    return [Key(namespace, entry["key"]) for namespace, resources in found for entry in resources]


def cancel_descendants(
    freeing: Freeing, item: WorkItem, below: Collection[uuid.UUID], now: dt.datetime, *, actor: str, reason: str
) -> list[WorkItem]:
    """Cancel the live descendants of a cancelled item, those `below` it, which are locked, and return them, by id.

    A descendant's commit may have spawned another until its row was locked, and a product may enqueue one at any
    moment: those are locked after the others, which only costs a repetition where it meets somebody the other way
    round. Who is not to be seen at the last look came after the cancellation, and so did a child that somebody gave
    meanwhile to one that had ended before.
    """
    using, family = freeing.using, set(below)
    while late := _born_to(using, {item.pk, *family}) - family:
        more = waking.prepare(using, late, keys=keys_of(using, late))
        freeing = Freeing(
            using, freeing.rows | more.rows, freeing.waiters + more.waiters, {**freeing.items, **more.items}
        )
        family |= late
    locked = (freeing.items.get(pk) for pk in sorted(family))
    found = [child for child in locked if child is not None and child.state in LIVE]
    told = {"actor": actor, "reason": reason, "data": {"ancestor": str(item.pk)}}
    together = [child for child in found if _is_plain(child)]
    alone = [child for child in found if not _is_plain(child)]
    _cancel_together(using, together, now, **told)
    for child in alone:
        apply(freeing, child, _move(child, told["data"]), now, actor=actor, reason=reason)
    return found


def _is_plain(child: WorkItem) -> bool:
    """Say whether nothing follows from the item's end but for its own rows."""
    return not (child.limited or child.asked or is_parked(child))


def _born_to(using: str, parents: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return the live children of locked items, and all below those that are new: others have been looked through."""
    rows = WorkItem.objects.using(using).filter(parent__in=parents, state__in=LIVE).exclude(relation=DETACHED)
    found = set(rows.values_list("pk", flat=True))
    return found.union(*(descendants(using, child) for child in found.difference(parents)))


def _move(child: WorkItem, data: Any) -> Move:
    return Move(
        kind=EventKind.CANCELLED,
        state=State.CANCELLED,
        reason="",
        fence=child.state == State.RUNNING,
        changes={"paused_from": "", "pause_requested": False},
        data=data,
    )


def _cancel_together(using: str, items: Sequence[WorkItem], now: dt.datetime, **told: Any) -> None:
    """Do what `apply` does with items that have no claims and ask for nothing, in a few statements for all of them."""
    alike: defaultdict[tuple[Any, ...], list[uuid.UUID]] = defaultdict(list)
    events = []
    for item in items:
        fenced = item.state == State.RUNNING
        changes = changes_of(item, _move(item, told["data"]), now)
        alike[fenced, *sorted(changes.items())].append(item.pk)
        for name, value in changes.items():
            setattr(item, name, value)
        item.epoch += fenced
        events.append(next_event(item, EventKind.CANCELLED, now, **told))
        item.row_version, item.updated_at = item.row_version + 1, now
    for (fenced, *changed), ids in alike.items():
        if fenced:
            Lease.objects.using(using).filter(pk__in=ids).update(revoked_at=now)
        touch(using, ids, now, **dict(changed), **({"epoch": F("epoch") + 1} if fenced else {}))
    write_events(using, events)
    triggered.follow(using, items)
