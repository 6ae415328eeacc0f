"""Signals and who takes them. Shared by both stores.

A signal for a name and an item that begins to wait for it both lock the name's Mailbox row first: whoever comes second
sees the other. A signal for an item needs no mailbox, since the item's row is the one that both sides lock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from django.db.models import Q, QuerySet

from runtime.models import Mailbox, Signal, Wait, WorkItem
from runtime.store.making import make

FREE = {"taken_by__isnull": True, "consumed_version__isnull": True}
"""Of signals that nobody has taken."""


class Name(NamedTuple):
    """A signal's name in a namespace."""

    namespace: str
    name: str


def lock(using: str, names: Collection[Name], *, skip_locked: bool = False) -> frozenset[Name]:
    """Lock the mailboxes of these names in id order, making those that are missing; return whose were locked.

    One that was removed while it was waited for is made again: whoever comes next locks that one. With `skip_locked`,
    those that others have locked, make or remove are left out of the answer instead of being waited for.
    """
    wanted = frozenset(names)
    while wanted:
        found = _find(using, wanted)
        missing = sorted(wanted - found.keys())
        if missing:
            boxes = [Mailbox(namespace=name.namespace, name=name.name) for name in missing]
            make(using, boxes, patient=not skip_locked)
            found = _find(using, wanted)
        rows = Mailbox.objects.using(using).select_for_update(no_key=True, skip_locked=skip_locked)
        there = rows.filter(pk__in=found.values()).order_by("pk").values_list("namespace", "name")
        locked = frozenset(Name(*row) for row in there)
        if skip_locked or locked == wanted:
            return locked
    return wanted


def _find(using: str, names: Collection[Name]) -> dict[Name, int]:
    wanted = Q()
    for name in names:
        wanted |= Q(namespace=name.namespace, name=name.name)
    rows = Mailbox.objects.using(using).filter(wanted).values_list("namespace", "name", "pk")
    return {Name(namespace, name): pk for namespace, name, pk in rows}


def free(using: str, namespace: Any, name: Any) -> QuerySet[Signal]:
    """Return the signals for a name that nobody has taken; both are texts or expressions."""
    rows: QuerySet[Signal] = Signal.objects.using(using)
    return rows.filter(namespace=namespace, name=name, target__isnull=True, **FREE)


def take(using: str, item: WorkItem, wait: Wait, *, locked: bool) -> Signal | None:
    """Give the wait the oldest signal it can have, the item's own or, when the mailbox is `locked`, one for the name.

    The item's row is locked.
    """
    mine = Q(target=item.pk)
    if locked:
        mine |= Q(target__isnull=True)
    found = Signal.objects.using(using).filter(
        mine,
        namespace=item.namespace,
        name=wait.signal_name,
        **FREE,
    )
    signal: Signal | None = found.order_by("pk").first()
    if signal is not None:
        signal.taken_by = wait
        signal.save(using=using, update_fields=["taken_by"])
    return signal
