"""Keep a signal, and let who waits for it go on, in one transaction. Shared by both stores."""

from __future__ import annotations

import uuid
from typing import Any

from runtime import clock
from runtime.choices import TERMINAL, WaitKind, WaitState
from runtime.exceptions import Conflict, IdempotencyConflict, NotFound
from runtime.jsondata import same_json
from runtime.models import Signal, Wait, WorkItem
from runtime.store import waking
from runtime.store.mailboxes import Name
from runtime.store.settling import PARKED, settle
from runtime.store.transactions import transacted
from runtime.store.values import NewSignal

WAITERS = 20
"""Open waits for a name that are locked at once; one is enough, but others may take them meanwhile."""


def deliver(using: str, signal: NewSignal) -> tuple[uuid.UUID, list[WorkItem]]:
    """Keep the signal; return its id and the items that it moved. Raises `NotFound`, `Conflict`."""
    to_one = signal.target is not None
    return transacted(using, lambda: _to_item(using, signal) if to_one else _to_name(using, signal))


def _to_item(using: str, signal: NewSignal) -> tuple[uuid.UUID, list[WorkItem]]:
    """Keep a signal for one item, whose row is the one that the item's own commit locks too."""
    assert signal.target is not None  # noqa: S101 - narrows the type
    freeing = waking.prepare(using, {signal.target})
    item = freeing.items.get(signal.target)
    if item is None:
        raise NotFound(f"There is no work item {signal.target}.")
    kept, first = _keep(using, signal, item.namespace)
    if not first:
        return kept, []
    if item.state in TERMINAL:
        raise Conflict(f"Work item {item.pk} is {item.state}; it takes no signal any more.", state=item.state)
    return kept, settle(freeing, [item], clock.now(using))


def _to_name(using: str, signal: NewSignal) -> tuple[uuid.UUID, list[WorkItem]]:
    """Keep a signal for a name. Who seems to wait for it is locked with the mailbox, who came meanwhile after it."""
    name = Name(signal.namespace, signal.name)
    items = _waiting(using, name, set())
    freeing = waking.prepare(using, items, names=[name])
    kept, first = _keep(using, signal, signal.namespace)
    moved: list[WorkItem] = []
    seen: set[uuid.UUID] = set()
    while first and _is_free(using, kept):
        for pk in items:
            if pk in freeing.items and _is_free(using, kept):
                moved += settle(freeing, [freeing.items[pk]], clock.now(using), names=[name])
        seen.update(items)
        items = _waiting(using, name, seen)
        if not items:
            break
        freeing = waking.prepare(using, items)
    return kept, moved


def _waiting(using: str, name: Name, seen: set[uuid.UUID]) -> list[uuid.UUID]:
    """Return the items with the oldest open waits for the name."""
    waits = Wait.objects.using(using).filter(
        state=WaitState.OPEN,
        kind=WaitKind.SIGNAL,
        signal_name=name.name,
        work_item__namespace=name.namespace,
        work_item__state__in=PARKED,
    )
    found = waits.exclude(work_item__in=seen).order_by("pk").values_list("work_item_id", flat=True)
    return list(dict.fromkeys(found[:WAITERS]))


def _is_free(using: str, signal: uuid.UUID) -> bool:
    return Signal.objects.using(using).filter(pk=signal, taken_by__isnull=True).exists()


def _keep(using: str, signal: NewSignal, namespace: str) -> tuple[uuid.UUID, bool]:
    """Insert the signal, unless its delivery id is there; return the id of the one that is kept, and whether it is new.

    Two deliveries at the same instant meet at the unique key: the later one waits for the first to commit.
    """
    row = Signal(
        id=signal.id,
        namespace=namespace,
        target_id=signal.target,
        name=signal.name,
        payload=signal.payload,
        delivery_id=signal.delivery_id,
        actor=signal.actor,
        created_at=clock.now(using),
    )
    Signal.objects.using(using).bulk_create([row], ignore_conflicts=signal.delivery_id is not None)
    if signal.delivery_id is None:
        return signal.id, True
    kept = Signal.objects.using(using).get(namespace=namespace, delivery_id=signal.delivery_id)
    if kept.pk != signal.id and not _is_same(kept, signal):
        raise IdempotencyConflict(
            f"The delivery id {signal.delivery_id!r} is taken by another signal, {kept.name!r}. Send what was sent "
            f"first, or use a new id."
        )
    return kept.pk, kept.pk == signal.id


def _is_same(kept: Any, signal: NewSignal) -> bool:
    return (kept.name, kept.target_id) == (signal.name, signal.target) and same_json(kept.payload, signal.payload)
