"""Add to an item's history through the ORM: for the transactions that touch a few items, not a batch of steps."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db.models import F

from runtime.keeping import in_words
from runtime.models import Event, Snapshot, WorkItem

MOST_VERSIONS = 10_000


def next_event(item: WorkItem, kind: str, now: dt.datetime, **told: Any) -> Event:
    """Return the item's next event, unsaved, and count it in `item.event_seq`.

    The caller holds the item's row lock and writes both in the same transaction. `told` are columns of the event:
    reason, actor, worker, data, duration. Version, epoch and attempt are the item's at this moment.
    """
    item.event_seq += 1
    return Event(
        work_item_id=item.pk,
        seq=item.event_seq,
        kind=kind,
        version=item.version,
        epoch=item.epoch,
        attempt=item.attempt,
        created_at=now,
        **told,
    )


def kept_versions(using: str, item: uuid.UUID) -> str:
    """Return in words which versions of an item have a snapshot: "0, 20, 40-43"; the latest 10,000 at the most."""
    found = Snapshot.objects.using(using).filter(work_item=item).order_by("-version")
    return in_words(sorted(found.values_list("version", flat=True)[:MOST_VERSIONS]))


def write_events(using: str, events: Sequence[Event]) -> None:
    """Insert the events, in order."""
    Event.objects.using(using).bulk_create(events)


def lock_items(using: str, ids: Collection[uuid.UUID], *, skip_locked: bool = False) -> dict[uuid.UUID, WorkItem]:
    """Lock these items in id order, all in one statement, and return them by id.

    A row lock that leaves the key alone: it excludes every other writer, but not the foreign key of a new child. With
    `skip_locked`, rows that others have locked are left out of the answer instead of being waited for.
    """
    locked = WorkItem.objects.using(using).select_for_update(no_key=True, skip_locked=skip_locked)
    return {item.pk: item for item in locked.filter(pk__in=ids).order_by("pk")}


def lock_rows(using: str, ids: Collection[uuid.UUID]) -> None:
    """Lock these items in id order, all in one statement, without reading what is in them."""
    locked = WorkItem.objects.using(using).select_for_update(no_key=True).filter(pk__in=ids).order_by("pk")
    list(locked.values_list("pk", flat=True))


def touch(using: str, ids: Collection[uuid.UUID], now: dt.datetime, **changes: Any) -> None:
    """Write the same changes to several items whose rows are locked, and count the one event that each of them gets."""
    WorkItem.objects.using(using).filter(pk__in=ids).update(
        event_seq=F("event_seq") + 1, row_version=F("row_version") + 1, updated_at=now, **changes
    )
