"""Signals and who takes them. Shared by both stores.

A signal for a name and an item that begins to wait for it both lock the name's Mailbox row first: whoever comes second
sees the other. A signal for an item needs no mailbox, since the item's row is the one that both sides lock.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from django.db.models import Q

from runtime.models import Mailbox, Signal, Wait, WorkItem


class Name(NamedTuple):
    """A signal's name in a namespace."""

    namespace: str
    name: str


def lock(using: str, names: Collection[Name]) -> None:
    """Lock the mailboxes of these names in id order, making those that are missing.

    One that was removed while it was waited for is made again: whoever comes next locks that one.
    """
    locked = 0
    while locked < len(set(names)):
        ids = _ids(using, names)
        if len(ids) < len(set(names)):
            rows = [Mailbox(namespace=name.namespace, name=name.name) for name in sorted(set(names))]
            Mailbox.objects.using(using).bulk_create(rows, ignore_conflicts=True)
            ids = _ids(using, names)
        locked = len(Mailbox.objects.using(using).select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))


def _ids(using: str, names: Collection[Name]) -> list[int]:
    wanted = Q()
    for name in set(names):
        wanted |= Q(namespace=name.namespace, name=name.name)
    return list(Mailbox.objects.using(using).filter(wanted).values_list("pk", flat=True))


def take(using: str, item: WorkItem, wait: Wait, *, locked: bool) -> Signal | None:
    """Give the wait the oldest signal it can have, the item's own or, when the mailbox is `locked`, one for the name.

    The item's row is locked.
    """
    mine = Q(target=item.pk)
    if locked:
        mine |= Q(target__isnull=True)
    free = Signal.objects.using(using).filter(
        mine,
        namespace=item.namespace,
        name=wait.signal_name,
        taken_by__isnull=True,
        consumed_version__isnull=True,
    )
    signal: Signal | None = free.order_by("pk").first()
    if signal is not None:
        signal.taken_by = wait
        signal.save(using=using, update_fields=["taken_by"])
    return signal
