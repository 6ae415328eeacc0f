"""Settle waits that nobody else will: those whose time is over, and of children that ended unnoticed.

Shared by both stores. Each part is a short transaction over a bounded number of items that looks again once it has
their locks, so that any number of sweepers may do it at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db.models import Exists, OuterRef

from runtime import clock
from runtime.choices import LIVE, State, WaitKind, WaitState
from runtime.models import Wait, WorkItem
from runtime.store.children import Terms
from runtime.store.rounds import Round
from runtime.store.settling import settle_now

AT_ONCE = 50
"""Items settled in one transaction."""

PARENTS = 50
"""Waits for children that one sweep looks at: a lost word about an end is made up for by going round."""

_round = Round(PARENTS)


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
    """Settle the items that `unnoticed` names; return how many went on."""
    return sum(notice(using, item) for item in unnoticed(using))


def notice(using: str, item: uuid.UUID) -> int:
    """Settle an item that waits for children, in a transaction of its own; return 1 if it went on."""
    return len(settle_now(using, [item]))


def unnoticed(using: str) -> list[uuid.UUID]:
    """Go on through the waits for children and return items that none of their children may have been able to tell.

    An end that a parent should hear of is told in the child's transaction or right after it; a process that dies in
    between leaves it to this.
    """
    waits = Wait.objects.using(using).filter(state=WaitState.OPEN, kind=WaitKind.CHILDREN)
    found = _round.more(using, waits.values_list("pk", "work_item_id"))
    return _with_an_end(using, sorted({item for _, item in found}))


def _with_an_end(using: str, items: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Return those of the items that wait and whose children have not all to come to an end yet, or cannot be told."""
    if not items:
        return []
    ended = WorkItem.objects.using(using).filter(parent=OuterRef("pk")).exclude(state__in=LIVE)
    waiting = WorkItem.objects.using(using).filter(pk__in=items, state=State.WAITING).order_by("pk")
    parked = waiting.values_list("pk", Exists(ended))
    return [pk for pk, has_an_end in parked if has_an_end or _names_children(using, pk)]


def _names_children(using: str, item: uuid.UUID) -> bool:
    waits = Wait.objects.using(using).filter(work_item=item, state=WaitState.OPEN, kind=WaitKind.CHILDREN)
    return any(Terms.of(wait).children for wait in waits)
