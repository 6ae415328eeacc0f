"""Make one operator's move on one item, with all that follows from it, in one transaction. Shared by both stores."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection
from dataclasses import replace

from runtime import clock
from runtime.choices import LIVE, TERMINAL, EventKind, State, WaitKind
from runtime.exceptions import NotFound
from runtime.models import Wait, WorkItem
from runtime.store import waits, waking
from runtime.store.children import DETACHED
from runtime.store.mailboxes import Name
from runtime.store.move import apply
from runtime.store.resources import Key
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
        freeing = _lock(using, item, names, with_family=family is not None)
        found = freeing.items.get(item)
        if found is None:
            raise NotFound(f"There is no work item {item}.")
        wanted = decide(found)
        if wanted is None:
            return found, False
        now = clock.now(using)
        wanted = _asking_again(using, found, wanted, now)
        if wanted.answer is not None:
            waits.record(using, wanted.answer, now)
        apply(freeing, found, wanted, now, actor=actor, reason=reason)
        if family is not None:
            family[:] = _cancel_descendants(freeing, found, now, actor=actor, reason=reason)
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


def _lock(using: str, item: uuid.UUID, names: Collection[Name], *, with_family: bool) -> Freeing:
    """Lock the item, its parent and, where asked for, its live descendants, all by id in one go.

    A descendant's commit may have spawned another until its row was locked: those are locked after the others, which
    only costs a repetition where it meets somebody the other way round.
    """
    family = _descendants(using, item) if with_family else set()
    wanted = {item, *parents_of(using, [item]), *family}
    freeing = waking.prepare(using, wanted, keys=_keys(using, wanted), names=names)
    while with_family and (late := _descendants(using, item) - freeing.items.keys()):
        more = waking.prepare(using, late, keys=_keys(using, late))
        freeing = Freeing(
            using, freeing.rows | more.rows, freeing.waiters + more.waiters, {**freeing.items, **more.items}
        )
    return freeing


def _descendants(using: str, item: uuid.UUID) -> set[uuid.UUID]:
    """Return the live children of an item, and theirs, but for those that live for themselves."""
    found: set[uuid.UUID] = set()
    generation = {item}
    while generation:
        rows = WorkItem.objects.using(using).filter(parent__in=generation, state__in=LIVE).exclude(relation=DETACHED)
        generation = set(rows.values_list("pk", flat=True)) - found - {item}
        found |= generation
    return found


def _cancel_descendants(
    freeing: Freeing, item: WorkItem, now: dt.datetime, *, actor: str, reason: str
) -> list[WorkItem]:
    if item.state != State.CANCELLED:
        return []
    found = [freeing.items[pk] for pk in sorted(_descendants(freeing.using, item.pk))]
    for child in found:
        move = Move(
            kind=EventKind.CANCELLED,
            state=State.CANCELLED,
            reason="",
            fence=child.state == State.RUNNING,
            changes={"paused_from": "", "pause_requested": False},
            data={"ancestor": str(item.pk)},
        )
        apply(freeing, child, move, now, actor=actor, reason=reason)
    return found


def _keys(using: str, items: Collection[uuid.UUID]) -> list[Key]:
    """Return the keys of the resources that items may have claims on by the time that their rows are locked."""
    found = WorkItem.objects.using(using).filter(pk__in=items, limited=True).values_list("namespace", "resources")
    return [Key(namespace, entry["key"]) for namespace, resources in found for entry in resources]
