"""Bring together named signals and waits that have passed each other. Shared by both stores; only PostgreSQL needs it.

A signal in a transaction of a product that takes minutes keeps its mailbox locked. The commit of an item that asks for
the name does not wait for that: it opens the wait without a look into the mailbox. Whoever of the two commits later
looks again. Should its process die before, or a third one have the mailbox then, a sweep finds them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Collection, Iterable
from functools import partial

from django.db import OperationalError, transaction
from django.db.models import OuterRef, QuerySet, Subquery

from runtime.choices import WaitKind, WaitState
from runtime.models import Wait
from runtime.store import mailboxes
from runtime.store.mailboxes import Name
from runtime.store.rounds import Round
from runtime.store.settling import PARKED, settle_now
from runtime.store.transactions import impatiently, lock_not_available

logger = logging.getLogger("roost.store")

WAITERS = 20
"""Open waits for a name that are looked at once; one is enough, but others may take them meanwhile."""
WAITS = 1000
"""Waits for signals that one sweep looks at."""
PATIENCE_MS = 200
"""How long whoever looks again waits for items that somebody else has locked."""

_round = Round(WAITS)


def waiting(using: str, name: Name, *, but: Collection[uuid.UUID] = ()) -> list[uuid.UUID]:
    """Return the items with the oldest open waits for the name."""
    named = _open(using).filter(signal_name=name.name, work_item__namespace=name.namespace)
    waits = named.filter(work_item__state__in=PARKED).exclude(work_item__in=but)
    found = waits.order_by("pk").values_list("work_item_id", flat=True)
    return list(dict.fromkeys(found[:WAITERS]))


def signal_later(using: str, name: Name) -> None:
    """Have whoever waits for the name looked for after the commit, which keeps a signal that nobody seemed to want."""
    transaction.on_commit(lambda: _meet(using, waiting(using, name), [name]), using=using, robust=True)


def wait_later(using: str, items: Collection[uuid.UUID], names: Collection[Name]) -> None:
    """Have these mailboxes looked into after the commit, which opens waits of the items without having locked them."""
    if names:
        transaction.on_commit(partial(_meet, using, items, names), using=using, robust=True)


def _meet(using: str, items: Collection[uuid.UUID], names: Iterable[Name]) -> None:
    wanted = [name for name in names if mailboxes.free(using, *name).exists()] if items else []
    if not wanted:
        return
    try:
        with impatiently(PATIENCE_MS):
            settle_now(using, items, names=wanted)
    except OperationalError as error:
        if not lock_not_available(error):
            raise
        logger.info("somebody keeps items that wait for a signal locked; the sweep tells them")


def unheard(using: str) -> list[tuple[uuid.UUID, Name]]:
    """Go on through the waits for signals; return items, and the name, for which there is one that nobody has taken."""
    free = mailboxes.free(using, OuterRef("work_item__namespace"), OuterRef("signal_name"))
    # Of one that exists, PostgreSQL would rather read all signals once.
    rows = _open(using).annotate(signal=Subquery(free.order_by().values("pk")[:1]))
    columns = ("pk", "work_item_id", "work_item__state", "work_item__namespace", "signal_name", "signal")
    found = _round.more(using, rows.values_list(*columns))
    return [(item, Name(*name)) for _, item, state, *name, signal in found if signal and state in PARKED]


def hear(using: str, item: uuid.UUID, name: Name) -> int:
    """Let an item have a signal of that name, unless somebody has the mailbox; return 1 if it went on."""
    return len(settle_now(using, [item], names=[name]))


def _open(using: str) -> QuerySet[Wait]:
    rows: QuerySet[Wait] = Wait.objects.using(using)
    return rows.filter(state=WaitState.OPEN, kind=WaitKind.SIGNAL)
