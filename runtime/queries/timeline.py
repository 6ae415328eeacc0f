"""Read what happened to an item: its events, and its state after each step."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from runtime.models import Event, Snapshot
from runtime.queries.page import Page, checked_limit, page_of
from runtime.queries.weight import fitting
from runtime.store import work_database


def events(item: uuid.UUID, *, after: int = 0, limit: int = 100, using: str | None = None) -> Page[Event]:
    """Return a page of the item's events, oldest first, those with seq greater than `after`."""
    found = _events(item, using).filter(seq__gt=after).order_by("seq")
    return page_of(found[: checked_limit(limit) + 1], limit)


def last_events(item: uuid.UUID, count: int = 10, *, using: str | None = None) -> list[Event]:
    """Return the item's last `count` events, oldest first."""
    return list(_events(item, using).order_by("-seq")[:count])[::-1]


def history(item: uuid.UUID, *, after: int = -1, limit: int = 50, using: str | None = None) -> Page[Snapshot]:
    """Return a page of the item's snapshots, oldest first, those with a version greater than `after`.

    A page of large states is shorter; see `runtime.queries.weight`.
    """
    found = _snapshots(item, using).filter(version__gt=after).order_by("version")
    limit = fitting(found, "data", most=checked_limit(limit))
    return page_of(found[: checked_limit(limit) + 1], limit)


def snapshot(item: uuid.UUID, version: int | None = None, *, using: str | None = None) -> Snapshot | None:
    """Return the item's snapshot of that version, by default the latest; None when there is none."""
    found = _snapshots(item, using)
    if version is not None:
        found = found.filter(version=version)
    return found.order_by("-version").first()


def _events(item: uuid.UUID, using: str | None) -> QuerySet[Event]:
    return Event.objects.using(using or work_database()).filter(work_item_id=item)


def _snapshots(item: uuid.UUID, using: str | None) -> QuerySet[Snapshot]:
    return Snapshot.objects.using(using or work_database()).filter(work_item_id=item)
