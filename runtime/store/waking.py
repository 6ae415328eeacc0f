"""Free claims on named resources and wake who waited for them, in the transaction that frees.

    freeing = prepare(using, items)        locks: Resource rows by id, then items and waiters by id in one go
    …                                      the items get their new state, their leases go
    finish(freeing, ended)                 claims go, waiters that fit become due

A waiter may need several resources that two transactions free at the same instant. Each locks the waiter's row before
it reads what is held, so the later of the two sees both freed, and wakes it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import OperationalError, connections

from runtime import clock
from runtime.choices import TERMINAL, ClaimScope, EventKind, Reason, State
from runtime.models import Lease, ResourceClaim, WorkItem
from runtime.store import mailboxes
from runtime.store.history import lock_items, next_event, touch, write_events
from runtime.store.mailboxes import Name
from runtime.store.resources import Ask, Holder, Key, find, fits, holders, lock_rows
from runtime.store.transactions import briefly, lock_not_available

WAITERS = 100
"""Waiters looked at by one release; were all of them blocked by other resources, the sweep finds those behind them."""
WAITERS_MS = 200
"""How long a release waits for waiters that somebody else has locked."""


@dataclass(frozen=True, slots=True)
class Freeing:
    """A transaction that will free claims, its locks taken: by `prepare`, for `finish`."""

    using: str
    rows: frozenset[int]
    waiters: tuple[uuid.UUID, ...]
    items: Mapping[uuid.UUID, WorkItem]
    names: frozenset[Name] = frozenset()


def prepare(
    using: str,
    items: Collection[uuid.UUID],
    *,
    keys: Iterable[Key] = (),
    names: Collection[Name] = (),
    skip_mailboxes: bool = False,
) -> Freeing:
    """Lock what freeing the claims of `items` needs: their Resource rows, then items and waiters by id in one go.

    Call it first in the transaction. `keys` are resources to lock besides those that the items have claims on now,
    for a caller who cannot know whether the items get claims until their rows are locked; `names` those of signals
    whose mailboxes are locked before the items; with `skip_mailboxes`, those that nobody else has locked. The `names`
    of the answer are those that were.
    The answer's `items` are the locked rows, waiters among them, as of after the lock; `finish` brings those that it
    wakes up to date.
    """
    found = {row.pk for row in find(using, sorted(set(keys))).values()}
    rows = frozenset(lock_rows(using, found | _claimed(using, items)))
    waiters = _waiters(using, rows)
    ours = mailboxes.lock(using, names, skip_locked=skip_mailboxes)
    locked = _lock(using, set(items), set(waiters))
    return Freeing(using, rows, tuple(waiter for waiter in waiters if waiter in locked), locked, ours)


def _claimed(using: str, items: Collection[uuid.UUID]) -> set[int]:
    claims = ResourceClaim.objects.using(using).filter(work_item__in=items)
    return set(claims.values_list("resource_id", flat=True))


def _lock(using: str, items: set[uuid.UUID], waiters: set[uuid.UUID]) -> dict[uuid.UUID, WorkItem]:
    """Lock the items, and those of the waiters that can be had.

    Another release has a waiter for a few milliseconds. Whoever keeps one for longer, as a cancel in a long transaction
    of a product's does, must not keep claims from being freed: that waiter is left to the sweep.
    """
    if waiters <= items or connections[using].vendor != "postgresql":
        return lock_items(using, items | waiters)
    try:
        with briefly(using, WAITERS_MS):
            return lock_items(using, items | waiters)
    except OperationalError as error:
        if not lock_not_available(error):
            raise
    return lock_items(using, items) | lock_items(using, waiters - items, skip_locked=True)


def _waiters(using: str, rows: Collection[int]) -> tuple[uuid.UUID, ...]:
    """Return who waits for these resources: the most urgent, then the longest waiting first."""
    if not rows:
        return ()
    found = (
        ResourceClaim.objects.using(using)
        .filter(resource__in=rows, held=False, work_item__state=State.QUEUED, work_item__reason=Reason.RESOURCE)
        .order_by("-work_item__priority", "created_at", "id")
        .values_list("work_item_id", flat=True)
    )
    return tuple(dict.fromkeys(found[:WAITERS]))


def finish(freeing: Freeing, ended: Collection[uuid.UUID]) -> int:
    """Free the claims of items whose owner is gone and wake the waiters that now fit; return how many were woken.

    Call it when the items have their new state. Claims of scope `step` go always, those of scope `item` when the
    item's state is terminal. An item that was parked behind its own old claims keeps them, as wanted.
    """
    using = freeing.using
    items = list(WorkItem.objects.using(using).filter(pk__in=ended).only("state", "reason"))
    parked = [item.pk for item in items if item.state == State.QUEUED and item.reason == Reason.RESOURCE]
    over = [item.pk for item in items if item.state in TERMINAL]
    claims = ResourceClaim.objects.using(using).filter(work_item__in=ended)
    claims.filter(work_item__in=parked, scope=ClaimScope.STEP).update(held=False, epoch=0, acquired_at=None)
    claims.exclude(work_item__in=parked).filter(scope=ClaimScope.STEP).delete()
    claims.filter(work_item__in=over).delete()
    return _wake(using, (*parked, *freeing.waiters), clock.now(using), freeing.items)


def drop_wanted(using: str, item: uuid.UUID) -> None:
    """Forget what a parked item wanted, because it is not parked any more."""
    ResourceClaim.objects.using(using).filter(work_item=item, held=False).delete()


def drop(using: str, item: uuid.UUID, keys: Collection[str]) -> None:
    """Take from an item its claims on these keys, held or wanted, whoever still works with them."""
    ResourceClaim.objects.using(using).filter(work_item=item, resource__key__in=keys).delete()


def wake(using: str, waiters: Sequence[uuid.UUID], now: dt.datetime) -> int:
    """Lock parked items and the resources that they want, and make due those that fit now; return how many.

    Call it first in the transaction.
    """
    lock_rows(using, _claimed(using, waiters))
    return _wake(using, waiters, now, lock_items(using, waiters))


def _wake(using: str, waiters: Sequence[uuid.UUID], now: dt.datetime, known: Mapping[uuid.UUID, WorkItem]) -> int:
    """Make those parked items due, in the given order, whose claims fit beside what is held and what those before take.

    The items' rows are locked, and those that are `known` are brought up to date: whoever locked them may have more to
    write about them. Nothing is granted: a woken item claims its resources when a worker claims it.
    """
    parked = WorkItem.objects.using(using).filter(pk__in=waiters, state=State.QUEUED, reason=Reason.RESOURCE)
    items = {item.pk: item for item in parked}
    asks: defaultdict[uuid.UUID, dict[int, Ask]] = defaultdict(dict)
    for claim in ResourceClaim.objects.using(using).filter(work_item__in=items, held=False):
        asks[claim.work_item_id][claim.resource_id] = Ask(claim.mode, claim.units, claim.scope)
    held, capacities = holders(using, {row for wanted in asks.values() for row in wanted})
    fenced = set(Lease.objects.using(using).filter(pk__in=items).values_list("pk", flat=True))
    woken: list[uuid.UUID] = []
    for pk in dict.fromkeys(waiters):
        if pk not in items or pk in fenced or not fits(pk, asks[pk], held, capacities):
            continue
        woken.append(pk)
        for row, ask in asks[pk].items():
            held[row].append(Holder(pk, ask.mode, ask.units))
    if not woken:
        return 0
    ResourceClaim.objects.using(using).filter(work_item__in=woken, held=False).delete()
    events = [next_event(items[pk], EventKind.WOKEN, now, reason=Reason.RESOURCE) for pk in woken]
    touch(using, woken, now, reason=Reason.CONTINUE, run_at=now)
    write_events(using, events)
    for pk in known.keys() & woken:
        known[pk].event_seq, known[pk].row_version = items[pk].event_seq, items[pk].row_version + 1
        known[pk].reason, known[pk].run_at, known[pk].updated_at = Reason.CONTINUE, now, now
    return len(woken)
