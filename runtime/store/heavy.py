"""Take an item away that has too many rows for one transaction, in several. Shared by both stores.

    1  `PrunedHistory` says that the item is being removed, and it loses its first rows, in one transaction
    …  it loses further rows
    n  what is left is few enough for the item to go like any other: see `runtime.store.retention`

From the first one on nobody brings it back, forks, exports or holds it: `operations.base` looks. So whatever a crash
leaves is an item that has ended and waits to be removed: its events have no gap, its latest snapshot is there, and its
children are on their own.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Min, QuerySet

from runtime import clock
from runtime.models import (
    Artifact,
    Event,
    JournalEntry,
    Offloaded,
    PrunedHistory,
    Signal,
    Snapshot,
    Wait,
    WorkItem,
)
from runtime.store.horizon import delete_events
from runtime.store.old_history import forget_snapshots, note

ROWS = 5_000
"""Rows that one transaction removes or changes at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one transaction took of an item: rows removed by table, and the children that are on their own now."""

    rows: Mapping[str, int] = field(default_factory=dict)
    freed: tuple[uuid.UUID, ...] = ()
    changed: int = 0


def within(using: str, ids: list[uuid.UUID]) -> list[uuid.UUID]:
    """Return as many of these items, from the first on, as one transaction may remove; none if the first is too heavy.

    Counts no further than to the bound.
    """
    while ids and _too_many(using, ids):
        ids = ids[: len(ids) // 2]
    return ids


def _too_many(using: str, ids: Collection[uuid.UUID]) -> bool:
    left = ROWS
    for rows in _of_items(using, ids):
        left -= rows.order_by().values("pk")[: left + 1].count()
        if left < 0:
            return True
    return False


def _of_items(using: str, ids: Collection[uuid.UUID]) -> Iterator[QuerySet[Any]]:
    items = WorkItem.objects.using(using)
    yield items.filter(parent__in=ids)
    yield items.filter(forked_from__in=ids)
    yield Signal.objects.using(using).filter(target__in=ids)
    yield Signal.objects.using(using).filter(taken_by__work_item__in=ids)
    for model in (Event, Snapshot, JournalEntry, Artifact, Offloaded, Wait):
        yield model._default_manager.using(using).filter(work_item__in=ids)


def take_part(using: str, item: WorkItem) -> Part:
    """Remove up to `ROWS` rows of an item whose row is locked, and that may go. The caller's is the transaction."""
    PrunedHistory.objects.using(using).get_or_create(pk=item.pk, defaults={"pruned_at": clock.now(using)})
    begun = PrunedHistory.objects.using(using).filter(pk=item.pk, going_since=None)
    begun.update(going_since=clock.now(using))
    freed = _let_go(using, "parent", item.pk, ROWS)
    left = ROWS - len(freed) - len(_let_go(using, "forked_from", item.pk, ROWS - len(freed)))
    rows: Counter[str] = Counter()
    for remove in _REMOVERS:
        if left <= 0:
            break
        removed = remove(using, item, left)
        rows.update(removed)
        left -= sum(removed.values())
    return Part(rows=+rows, freed=tuple(freed), changed=ROWS - left)


def _let_go(using: str, pointer: str, item: uuid.UUID, room: int) -> list[uuid.UUID]:
    """Clear the pointers of up to `room` items to this one, and return these; those that others have locked wait."""
    rows = WorkItem.objects.using(using).filter(**{pointer: item})
    locked = rows.select_for_update(skip_locked=True, no_key=True).order_by("pk")[:room]
    found = list(locked.values_list("pk", flat=True))
    changes: dict[str, Any] = {pointer: None, "row_version": F("row_version") + 1}
    WorkItem.objects.using(using).filter(pk__in=found).update(**changes)
    return found


def _signals(using: str, item: WorkItem, room: int) -> Counter[str]:
    """Before the waits: a signal whose wait goes would be free for another item to take."""
    signals = Signal.objects.using(using)
    removed = _first(signals.filter(target=item), signals, room)
    return removed + _first(signals.filter(taken_by__work_item=item), signals, room - removed.total())


def _rows_of(model: Any) -> Callable[[str, WorkItem, int], Counter[str]]:
    def remove(using: str, item: WorkItem, room: int) -> Counter[str]:
        rows = model._default_manager.using(using)
        return _first(rows.filter(work_item=item), rows, room)

    return remove


def _first(found: QuerySet[Any], rows: Any, room: int) -> Counter[str]:
    keys = list(found.order_by("pk").values_list("pk", flat=True)[:room])
    return Counter(rows.filter(pk__in=keys).delete()[1] if keys else {})


def _snapshots(using: str, item: WorkItem, room: int) -> Counter[str]:
    """All but the latest, each with what its state was moved to."""
    rows = Snapshot.objects.using(using).filter(work_item=item, version__lt=item.version).order_by("version")
    old = list(rows.values_list("version", flat=True)[: (room + 1) // 2])
    if not old:
        return Counter()
    note(item, 0, 0, old, using)
    return Counter({"roost.Snapshot": forget_snapshots(item, old, using)})


def _events(using: str, item: WorkItem, room: int) -> Counter[str]:
    """All but the newest, from the first on."""
    rows = Event.objects.using(using).filter(work_item=item, seq__lt=item.event_seq)
    first = rows.aggregate(first=Min("seq"))["first"]
    if first is None:
        return Counter()
    last = rows.filter(seq__lt=first + room).order_by("-seq").values_list("seq", "version").first()
    through, version = last or (first, 0)
    note(item, through, version, (), using)
    return Counter({"roost.Event": delete_events(using, [item.pk], through=through)})


_REMOVERS: tuple[Callable[[str, WorkItem, int], Counter[str]], ...] = (
    _signals,
    _rows_of(Wait),
    _rows_of(JournalEntry),
    _rows_of(Artifact),
    _snapshots,
    _events,
)
