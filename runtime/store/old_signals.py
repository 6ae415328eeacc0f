"""Remove signals that nobody came for, and the mailboxes of names that nobody uses any more. Shared by both stores.

A signal for an item goes with the item, one that was taken with the wait that took it. What is left is a signal for a
name that nobody waits for: it may come before the wait, but not for ever before. Its mailbox is locked meanwhile, as it
is by whoever sends a signal or begins to wait. A mailbox is only a row to lock: who finds his gone makes another.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from runtime import faults
from runtime.choices import WaitKind, WaitState
from runtime.models import Mailbox, Signal, Wait
from runtime.store.transactions import transacted

ROWS = 1_000
"""Signals that one transaction removes at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Emptied:
    """How many signals were removed from a mailbox, and whether it went too; `more` says that there is more to do."""

    signals: int = 0
    mailboxes: int = 0
    more: bool = False


def look(using: str, cutoff: dt.datetime | None, *, after: int, limit: int) -> tuple[list[int], int | None]:
    """Return, of the next `limit` mailboxes after one, those that have something to remove, and the last that was read.

    Nothing of what signals say is too old where the cutoff is None. The last is None at the end.
    """
    rows = Mailbox.objects.using(using)
    page = list(rows.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:limit])
    free = _free(using, OuterRef("namespace"), OuterRef("name"))
    wanted = Q(~Exists(free), ~Exists(_waits(using, OuterRef("namespace"), OuterRef("name"))))
    if cutoff is not None:
        wanted |= Q(Exists(free.filter(created_at__lt=cutoff)))
    found = rows.filter(wanted, pk__in=page)
    return list(found.order_by("pk").values_list("pk", flat=True)), page[-1] if len(page) == limit else None


def empty(using: str, mailbox: int, cutoff: dt.datetime | None) -> Emptied:
    """Remove a bounded part of what is too old in a mailbox, and it itself if nobody needs it, in one transaction."""
    with faults.around("prune"):
        return transacted(using, partial(_empty, using, mailbox, cutoff))


def _empty(using: str, pk: int, cutoff: dt.datetime | None) -> Emptied:
    rows = Mailbox.objects.using(using).select_for_update(skip_locked=True)
    mailbox = rows.filter(pk=pk).first()
    if mailbox is None:
        return Emptied()
    free = _free(using, mailbox.namespace, mailbox.name)
    old = [] if cutoff is None else list(free.filter(created_at__lt=cutoff).values_list("pk", flat=True)[:ROWS])
    if old:
        Signal.objects.using(using).filter(pk__in=old).delete()
    needed = free.exists() or _waits(using, mailbox.namespace, mailbox.name).exists()
    if not needed:
        mailbox.delete()
    return Emptied(signals=len(old), mailboxes=int(not needed), more=len(old) == ROWS)


def _free(using: str, namespace: Any, name: Any) -> QuerySet[Signal]:
    """Return the signals for a name that are nobody's."""
    rows: QuerySet[Signal] = Signal.objects.using(using)
    return rows.filter(namespace=namespace, name=name, target__isnull=True, taken_by__isnull=True)


def _waits(using: str, namespace: Any, name: Any) -> QuerySet[Wait]:
    """Return the open waits for a name."""
    rows: QuerySet[Wait] = Wait.objects.using(using)
    return rows.filter(state=WaitState.OPEN, kind=WaitKind.SIGNAL, signal_name=name, work_item__namespace=namespace)
