"""Enqueue, in the transaction that ends items, what triggers make of their ends. Shared by both stores.

The store knows nothing of engines and their payloads: `operations.triggering` reads the triggers and builds the
items, and is connected when Django starts. Whoever ends items calls `follow` with those that are done or failed,
while their rows are locked and after they are written. Where there are no triggers, `active` is all that it costs.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime import clock
from runtime.choices import EventKind, State
from runtime.models import WorkItem
from runtime.store.history import next_event, write_events
from runtime.store.values import NewItem

ENDED: frozenset[str] = frozenset({State.DONE, State.FAILED})
"""The states of an end that a trigger may wait for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggered:
    """What a trigger makes of the end of an item: another item, or an error that says why it cannot."""

    item: uuid.UUID
    trigger: str
    child: NewItem | None = None
    error: str = ""


class Triggers(Protocol):
    """Where the triggers are known."""

    def active(self, using: str) -> bool:
        """Say whether there are any. Cheap; may be a second old."""

    def fire(self, using: str, items: Sequence[WorkItem]) -> list[Triggered]:
        """Return what they make of these ends. Never raises for what is wrong with one of them."""


_triggers: Triggers | None = None


def connect(triggers: Triggers) -> None:
    """Let these triggers follow the ends of items."""
    global _triggers
    _triggers = triggers


def active(using: str) -> bool:
    """Say whether any triggers follow ends."""
    return _triggers is not None and _triggers.active(using)


def follow_ids(using: str, ended: Collection[uuid.UUID]) -> None:
    """Do what `follow` does for items that are known by id; those in other states are left alone."""
    if ended and active(using):
        rows = WorkItem.objects.using(using).filter(pk__in=ended, state__in=ENDED)
        follow(using, list(rows.order_by("pk")))


def follow(using: str, ended: Sequence[WorkItem]) -> None:
    """Enqueue what triggers make of these ends, each with an event of the item that ended."""
    if _triggers is None or not ended or not _triggers.active(using):
        return
    found = _triggers.fire(using, ended)
    if not found:
        return
    from runtime.store import get_store

    get_store(using).insert([one.child for one in found if one.child is not None])
    items = {item.pk: item for item in ended}
    now = clock.now(using)
    write_events(using, [_event(items[one.item], one, now) for one in found])
    for pk in dict.fromkeys(one.item for one in found):
        item = items[pk]
        item.row_version += 1
        counted = {"event_seq": item.event_seq, "row_version": item.row_version}
        WorkItem.objects.using(using).filter(pk=pk).update(**counted)


def _event(item: WorkItem, one: Triggered, now: Any) -> Any:
    if one.child is None:
        data = {"trigger": one.trigger, "error": one.error}
        return next_event(item, EventKind.TRIGGER_FAILED, now, reason=one.trigger, data=data)
    data = {"child": str(one.child.id), "engine": one.child.engine, "trigger": one.trigger}
    return next_event(item, EventKind.CHILD, now, reason=one.trigger, data=data)
