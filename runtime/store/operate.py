"""Make one operator's move on one item, with all that follows from it, in one transaction. Shared by both stores."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace

from runtime import clock
from runtime.choices import TERMINAL, State, WaitKind
from runtime.exceptions import NotFound
from runtime.models import Wait, WorkItem
from runtime.sentences import say as _
from runtime.store import waits, waking
from runtime.store.family import cancel_descendants, descendants, keys_of
from runtime.store.mailboxes import Name
from runtime.store.move import apply
from runtime.store.settling import parents_of, settle
from runtime.store.transactions import transacted
from runtime.store.values import Move
from runtime.store.waking import Freeing

Decide = Callable[[WorkItem], Move | None]


def move(
    using: str, item: uuid.UUID, decide: Decide, *, actor: str, reason: str, family: list[WorkItem] | None = None
) -> tuple[WorkItem, bool]:
    """Lock the item, let `decide` say what happens, and write it; return the item and whether anything changed.

    One transaction, retried whole when the database undoes it, so `decide` may be called twice; it sees the locked row.
    An item that waits, or has been given an answer, is settled; its parent is told of its end; with `family` its
    descendants are cancelled with it. Raises `NotFound`, `Conflict`, and what `decide` raises; nothing is written then.
    """

    def once() -> tuple[WorkItem, bool]:
        names = _signal_names(using, item)
        below = descendants(using, item) if family is not None else set()
        freeing = _lock(using, item, below, names)
        found = freeing.items.get(item)
        if found is None:
            raise NotFound(_("There is no work item %(item)s.", item=item))
        wanted = decide(found)
        if wanted is None:
            return found, False
        now = clock.now(using)
        wanted = _asking_again(using, found, wanted, now)
        if wanted.answer is not None:
            waits.record(using, wanted.answer, now)
        apply(freeing, found, wanted, now, actor=actor, reason=reason)
        if family is not None and found.state == State.CANCELLED:
            family[:] = cancel_descendants(freeing, found, below, now, actor=actor, reason=reason)
        _follow(freeing, found, now, names, before=wanted)
        return found, True

    return transacted(using, once)


def _asking_again(using: str, item: WorkItem, wanted: Move, now: dt.datetime) -> Move:
    """Let an item that ended while it waited, brought back, wait again: no step could go on without the answers."""
    back = item.asked and item.state in TERMINAL and wanted.state == State.QUEUED and wanted.restore is None
    kind = waits.reopen(using, item.pk, now) if back else ""
    if not kind:
        return wanted
    return replace(wanted, state=State.WAITING, reason=kind, data={**(wanted.data or {}), "waits_for": kind})


def _signal_names(using: str, item: uuid.UUID) -> set[Name]:
    """Return the names of the signals that the item has asked for: it may wait for them again."""
    waits_for = Wait.objects.using(using).filter(work_item=item, kind=WaitKind.SIGNAL, work_item__asked=True)
    return {Name(*found) for found in waits_for.values_list("work_item__namespace", "signal_name")}


def _follow(freeing: Freeing, item: WorkItem, now: dt.datetime, names: Collection[Name], *, before: Move) -> None:
    """Settle the item, or tell its parent that it has ended."""
    if item.state in TERMINAL and before.state is not None:
        parent = freeing.items.get(item.parent_id) if item.parent_id else None
        if parent is not None:
            settle(freeing, [parent], now, ended=[item])
    elif item.state == State.WAITING or before.answer is not None:
        settle(freeing, [item], now, names=names)


def _lock(using: str, item: uuid.UUID, below: Collection[uuid.UUID], names: Collection[Name]) -> Freeing:
    """Lock the item, its parent and those below it, all by id in one go."""
    wanted = {item, *parents_of(using, [item]), *below}
    return waking.prepare(using, wanted, keys=keys_of(using, wanted), names=names)
