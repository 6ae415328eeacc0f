"""Delete events, and note how recent they were, so that no reader of all events takes the gap for silence."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import connections
from django.db.models import Max

from runtime.models import Event, EventHorizon

# One pass over the items' own rows: asked for the highest alone, the planner might walk down the index of all.
DELETE = """
WITH gone AS (
    DELETE FROM roost_event WHERE work_item_id = ANY(%s) AND (%s::bigint IS NULL OR seq <= %s) RETURNING id, tx
)
SELECT count(*), max(id), max(tx::text::numeric)::text FROM gone
"""
MOVE_ON = """
INSERT INTO roost_eventhorizon (id, event, tx) VALUES (1, %s, %s::text::xid8)
ON CONFLICT (id) DO UPDATE SET
    event = greatest(roost_eventhorizon.event, excluded.event), tx = greatest(roost_eventhorizon.tx, excluded.tx)
"""
READ = "SELECT event, tx::text::numeric FROM roost_eventhorizon WHERE id = 1"


def delete_events(using: str, items: Collection[uuid.UUID], *, through: int | None = None) -> int:
    """Delete the events of items whose rows are locked, those up to number `through` if given; return how many.

    Moves the horizon on, whose row is locked until the transaction ends: call it late.
    """
    if connections[using].vendor != "postgresql":
        return _delete_portable(using, items, through)
    with connections[using].cursor() as cursor:
        cursor.execute(DELETE, [list(items), through, through])
        count, event, tx = cursor.fetchone()
        if count:
            cursor.execute(MOVE_ON, [event, tx])
    return int(count)


def _delete_portable(using: str, items: Collection[uuid.UUID], through: int | None) -> int:
    rows = Event.objects.using(using).filter(work_item__in=items)
    rows = rows if through is None else rows.filter(seq__lte=through)
    last = rows.aggregate(last=Max("pk"))["last"]
    if last is None:
        return 0
    horizons = EventHorizon.objects.using(using)
    horizon, made = horizons.get_or_create(pk=EventHorizon.ONLY, defaults={"event": last, "tx": 0})
    if not made and horizon.event < last:
        horizons.filter(pk=horizon.pk).update(event=last)
    return rows.delete()[0]


def read(using: str) -> tuple[int, int]:
    """Return the highest row and the highest transaction of events that were ever removed, 0 where none were.

    Read it after the events that a reader is told: what is removed in between then shows.
    """
    if connections[using].vendor != "postgresql":
        horizon = EventHorizon.objects.using(using).filter(pk=EventHorizon.ONLY).first()
        return (0, 0) if horizon is None else (horizon.event, horizon.tx)
    with connections[using].cursor() as cursor:
        cursor.execute(READ)
        row = cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
