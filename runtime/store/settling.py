"""Let items that wait go on, or fail, once what they wait for has come or can come no more. Shared by both stores.

    locked = lock(using, items)           mailboxes by id, then items and their parents by id in one go
    …                                     something happens: a wait is opened or answered, a child ends
    settle(locked, items, now)            signals, ended children and times are matched; items are woken or failed

While an item is paused, queued or running, its answers are recorded and it stays where it is.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from django.db import OperationalError, transaction

from runtime import clock, faults
from runtime.choices import LIVE, TERMINAL, EventKind, Reason, State, WaitKind, WaitState
from runtime.models import Event, Wait, WorkItem
from runtime.store import children, mailboxes, waits, waking
from runtime.store.history import lock_items, next_event, write_events
from runtime.store.mailboxes import Name
from runtime.store.move import apply
from runtime.store.transactions import impatiently, lock_not_available, transacted
from runtime.store.values import Move
from runtime.store.waking import Freeing

logger = logging.getLogger("roost.store")

PARENTS_MS = 200
"""How long whoever tells parents after a commit waits for those that somebody else has locked."""

PARKED: frozenset[str] = frozenset({State.WAITING, State.PAUSED})
"""States in which signals are taken: an item that runs might end without ever looking at one."""


def parents_of(using: str, items: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return the parents of these items; a parent is for ever."""
    rows = WorkItem.objects.using(using).filter(pk__in=items, parent__isnull=False)
    return set(rows.values_list("parent_id", flat=True))


def settle(
    freeing: Freeing,
    items: Iterable[WorkItem],
    now: dt.datetime,
    *,
    ended: Sequence[WorkItem] = (),
    names: Collection[Name] = (),
) -> list[WorkItem]:
    """Match what these items wait for with what there is; return those that were moved, their rows brought up to date.

    The items are as they are now and locked by `freeing`, as are the mailboxes of `names`. `ended` are children that
    ended in this transaction: their parents' histories tell of those that were waited for.
    """
    using = freeing.using
    asking = {item.pk: item for item in items if item.asked and item.state in LIVE}
    found = waits.current(using, list(asking)) if asking else {}
    moved: list[WorkItem] = []
    for pk, of_item in found.items():
        item = asking[pk]
        _match(using, item, of_item, now, ended, names)
        if item.state == State.WAITING and (move := _move(of_item)) is not None:
            apply(freeing, item, move, now)
            moved.append(item)
            if item.state in TERMINAL:
                _withdraw_bad(using, of_item)
    tell_parents_later(using, [item.pk for item in moved if item.state in TERMINAL and item.parent_id is not None])
    return moved


def _match(
    using: str,
    item: WorkItem,
    of_item: Sequence[Wait],
    now: dt.datetime,
    ended: Sequence[WorkItem],
    names: Collection[Name],
) -> None:
    """Answer the item's open waits that can be answered, and write that with its events."""
    events: list[Event] = []
    changed: list[Wait] = []
    for wait in of_item:
        if wait.state != WaitState.OPEN:
            continue
        if wait.kind == WaitKind.CHILDREN:
            events += _ended_children(using, item, wait, ended, now)
        told = _look(using, item, wait, now, names)
        if told is not None:
            kind, data = told
            events.append(next_event(item, kind, now, reason=wait.kind, data={"key": wait.key, **data}))
            changed.append(wait)
    waits.save(using, changed)
    if events:
        item.row_version += 1
        counted = {"event_seq": item.event_seq, "row_version": item.row_version, "updated_at": now}
        WorkItem.objects.using(using).filter(pk=item.pk).update(**counted)
        write_events(using, events)


def _look(
    using: str, item: WorkItem, wait: Wait, now: dt.datetime, names: Collection[Name]
) -> tuple[str, dict[str, Any]] | None:
    """Answer the wait if that can be done now; return the kind and the data of the event that tells of it."""
    if item.state in PARKED and wait.kind == WaitKind.SIGNAL:
        locked = Name(item.namespace, wait.signal_name) in names
        signal = mailboxes.take(using, item, wait, locked=locked)
        if signal is not None:
            waits.resolve(wait, signal.payload, now, by=signal.actor)
            return EventKind.SIGNALLED, {"signal": str(signal.pk), "name": signal.name, "by": signal.actor}
    if item.state in PARKED and wait.kind == WaitKind.CHILDREN:
        answer = children.answer(using, item, wait)
        if answer is not None:
            waits.resolve(wait, answer, now)
            return EventKind.ANSWERED, {"children": len(answer)}
    if wait.expires_at is not None and wait.expires_at <= now:
        waits.resolve(wait, wait.default if wait.has_default else None, now, state=WaitState.EXPIRED)
        return EventKind.EXPIRED, {"default": wait.has_default}
    return None


def _ended_children(using: str, item: WorkItem, wait: Wait, ended: Sequence[WorkItem], now: dt.datetime) -> list[Event]:
    if not ended or item.state not in PARKED:
        return []
    awaited = set(
        children.of_wait(using, item, wait).filter(pk__in=[one.pk for one in ended]).values_list("pk", flat=True)
    )
    return [
        next_event(item, EventKind.CHILD_ENDED, now, reason=child.state, data={"key": wait.key, "child": str(child.pk)})
        for child in ended
        if child.pk in awaited
    ]


def _move(of_item: Sequence[Wait]) -> Move | None:
    """Return what becomes of an item that waits, None while it waits on."""
    verdict = waits.judge(of_item)
    if verdict.goes_on:
        return Move(kind=EventKind.WOKEN, state=State.QUEUED, reason=Reason.ANSWERED)
    return None if verdict.bad is None else _failure(verdict.bad)


def _failure(wait: Wait) -> Move:
    """Return the move of an item to the dead letters because of one of its waits."""
    reason, message = _BAD[wait.kind](wait) if wait.state == WaitState.RESOLVED else (Reason.WAIT_EXPIRED, _LATE)
    told = {"kind": wait.kind, "key": wait.key}
    error = {"type": reason.name.title().replace("_", ""), "code": reason.value, "message": message % told}
    changes = {"last_error": error, "fingerprint": reason.value}
    return Move(kind=EventKind.FAILED, state=State.FAILED, reason=reason, changes=changes, data=error)


def _withdraw_bad(using: str, of_item: Iterable[Wait]) -> None:
    """Take back what failed the item: redriven, it asks anew."""
    bad = [wait for wait in of_item if wait.needed and wait.state == WaitState.RESOLVED and waits.fails(wait)]
    for wait in bad:
        wait.state = WaitState.WITHDRAWN
    waits.save(using, bad)


_LATE = "Nobody answered the %(kind)s %(key)s in time."


def _rejected(wait: Wait) -> tuple[Reason, str]:
    because = str(wait.answers[-1]["reason"]).replace("%", "%%") if wait.answers else ""
    by = wait.resolved_by.replace("%", "%%")
    return Reason.REJECTED, f"%(key)s was rejected{f' by {by}' if by else ''}{f': {because}' if because else '.'}"


def _child_failed(wait: Wait) -> tuple[Reason, str]:
    bad = [f"{child['id']} ({child['state']})" for child in children.ended_badly(wait)]
    return Reason.CHILD_FAILED, f"Of the children %(key)s, {len(bad)} did not end well: {', '.join(bad[:5])}."


_BAD: dict[str, Callable[[Wait], tuple[Reason, str]]] = {WaitKind.APPROVAL: _rejected, WaitKind.CHILDREN: _child_failed}


# In transactions of their own -----------------------------------------------------------------------------------------


def settle_now(
    using: str, items: Collection[uuid.UUID], *, ended: Collection[uuid.UUID] = (), names: Collection[Name] = ()
) -> list[WorkItem]:
    """Lock these items and settle them, in one transaction; return those that were moved.

    Signals are looked for in the mailboxes of `names` that nobody has locked, and among the items' own.
    """

    def once() -> list[WorkItem]:
        wanted = {*items, *parents_of(using, items)}
        freeing = waking.prepare(using, wanted, names=names, skip_mailboxes=True)
        over = WorkItem.objects.using(using).filter(pk__in=ended, state__in=TERMINAL)
        found = [freeing.items[pk] for pk in items if pk in freeing.items]
        return settle(freeing, found, clock.now(using), ended=list(over) if ended else (), names=freeing.names)

    if not items:
        return []
    with faults.around("settle"):
        return transacted(using, once)


def settle_parents(using: str, ended: Collection[uuid.UUID]) -> list[WorkItem]:
    """Let the parents of items that have ended know, in a transaction of its own."""
    return settle_now(using, parents_of(using, ended), ended=ended)


def tell_parents_later(using: str, ended: Sequence[uuid.UUID]) -> None:
    """Let parents know after the commit: their rows may not be locked now. If that is lost, the sweep does it."""
    if ended:
        transaction.on_commit(partial(_tell_parents, using, ended), using=using, robust=True)


def _tell_parents(using: str, ended: Sequence[uuid.UUID]) -> None:
    """Tell all parents together, or those that nobody has locked; the sweep tells the others."""
    parents = parents_of(using, ended)
    with impatiently(PARENTS_MS):
        try:
            settle_now(using, parents, ended=ended)
        except OperationalError as error:
            if not lock_not_available(error):
                raise
            logger.info("somebody keeps parents of %d items that ended locked; the sweep tells them", len(ended))
            free = transacted(using, lambda: lock_items(using, parents, skip_locked=True))
            settle_now(using, list(free), ended=ended)
