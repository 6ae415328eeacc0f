"""Settle waits that nobody else will: those whose time is over, and of children that ended unnoticed.

Shared by both stores. Each part is a short transaction over a bounded number of items that looks again once it has
their locks, so that any number of sweepers may do it at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime import clock
from runtime.choices import LIVE, State, WaitKind, WaitState
from runtime.models import Wait, WorkItem
from runtime.store.children import Terms
from runtime.store.settling import settle_now

AT_ONCE = 50
"""Items settled in one transaction."""

PARENTS = 50
"""Waits for children that one sweep looks at: a lost word about an end is made up for by going round."""

_seen: dict[str, uuid.UUID] = {}
"""The last wait for children that was looked at here, by database."""


def expire(using: str, batch: int) -> int:
    """Let waits whose time is over take their default or fail their item; return how many items were looked at."""
    due = Wait.objects.using(using).filter(state=WaitState.OPEN, expires_at__lte=clock.now(using))
    found = due.order_by("expires_at").values_list("work_item_id", flat=True)[:batch]
    return settle_all(using, list(dict.fromkeys(found)))


def next_timer_in(using: str) -> float | None:
    """Return the seconds until the next timer rings, None when nobody waits for one."""
    timers = Wait.objects.using(using).filter(state=WaitState.OPEN, kind=WaitKind.TIMER, work_item__state=State.WAITING)
    first = timers.order_by("expires_at").values_list("expires_at", flat=True).first()
    return None if first is None else (first - clock.now(using)).total_seconds()


def settle_all(using: str, items: Sequence[uuid.UUID]) -> int:
    """Settle these items, some in each transaction; return how many there were."""
    for start in range(0, len(items), AT_ONCE):
        settle_now(using, sorted(items[start : start + AT_ONCE]))
    return len(items)


def notice_children(using: str) -> int:
    """Go on through the waits for children and settle items that none of their children was able to tell.

    Returns how many went on. An end that a parent should hear of is told in the child's transaction or right after
    it; a process that dies in between leaves it to this.
    """
    waits = Wait.objects.using(using).filter(state=WaitState.OPEN, kind=WaitKind.CHILDREN)
    rows = waits.order_by("pk").values_list("pk", "work_item_id")
    last = _seen.get(using)
    found = list((rows if last is None else rows.filter(pk__gt=last))[:PARENTS])
    if len(found) < PARENTS:
        _seen.pop(using, None)
    else:
        _seen[using] = found[-1][0]
    missed = _with_an_end(using, sorted({item for _, item in found}))
    return sum(len(settle_now(using, [item])) for item in missed)


def _with_an_end(using: str, items: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Return those of the items that wait and whose children have not all to come to an end yet, or cannot be told."""
    if not items:
        return []
    ended = WorkItem.objects.using(using).filter(parent__in=items).exclude(state__in=LIVE)
    some = set(ended.values_list("parent_id", flat=True).distinct())
    waiting = WorkItem.objects.using(using).filter(pk__in=items, state=State.WAITING).order_by("pk")
    parked = waiting.values_list("pk", flat=True)
    return [pk for pk in parked if pk in some or _names_children(using, pk)]


def _names_children(using: str, item: uuid.UUID) -> bool:
    waits = Wait.objects.using(using).filter(work_item=item, state=WaitState.OPEN, kind=WaitKind.CHILDREN)
    return any(Terms.of(wait).children for wait in waits)
