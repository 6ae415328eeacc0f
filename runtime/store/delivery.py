"""Keep a signal, and let who waits for it go on, in one transaction. Shared by both stores."""

from __future__ import annotations

import uuid
from typing import Any

from runtime import clock
from runtime.choices import TERMINAL
from runtime.exceptions import Conflict, IdempotencyConflict, NotFound
from runtime.jsondata import same_json
from runtime.models import Signal, WorkItem
from runtime.sentences import say as _
from runtime.store import hearing, waking
from runtime.store.mailboxes import Name
from runtime.store.settling import settle
from runtime.store.transactions import transacted
from runtime.store.values import NewSignal


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
        raise NotFound(_("There is no work item %(target)s.", target=signal.target))
    kept, first = _keep(using, signal, item.namespace)
    if not first:
        return kept, []
    if item.state in TERMINAL:
        raise Conflict(
            _("Work item %(item)s is %(state)s; it takes no signal any more.", item=item.pk, state=item.state),
            state=item.state,
        )
    return kept, settle(freeing, [item], clock.now(using))


def _to_name(using: str, signal: NewSignal) -> tuple[uuid.UUID, list[WorkItem]]:
    """Keep a signal for a name. Who seems to wait for it is locked with the mailbox, who came meanwhile after it.

    Where nobody waits, it is looked for again after the commit: a wait may have been opened beside the locked mailbox.
    """
    name = Name(signal.namespace, signal.name)
    items = hearing.waiting(using, name)
    freeing = waking.prepare(using, items, names=[name])
    kept, first = _keep(using, signal, signal.namespace)
    moved: list[WorkItem] = []
    seen: set[uuid.UUID] = set()
    while first and _is_free(using, kept):
        for pk in items:
            if pk in freeing.items and _is_free(using, kept):
                moved += settle(freeing, [freeing.items[pk]], clock.now(using), names=[name])
        seen.update(items)
        items = hearing.waiting(using, name, but=seen)
        if not items:
            hearing.signal_later(using, name)
            break
        freeing = waking.prepare(using, items)
    return kept, moved


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
            _(
                "The delivery id %(delivery_id)r is taken by another signal, %(name)r. Send what was sent first, or "
                "use a new id.",
                delivery_id=signal.delivery_id,
                name=kept.name,
            )
        )
    return kept.pk, kept.pk == signal.id


def _is_same(kept: Any, signal: NewSignal) -> bool:
    return (kept.name, kept.target_id) == (signal.name, signal.target) and same_json(kept.payload, signal.payload)
