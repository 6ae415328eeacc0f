"""Give items back whose step never began, or was stopped to be run again."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.models import Lease
from runtime.store import waking
from runtime.store.portable.giving_back import give_back
from runtime.store.transactions import transacted
from runtime.store.values import Held, Move


def release(using: str, worker: uuid.UUID, held: Sequence[Held], reason: str) -> int:
    """Put items back that this worker still owns; return how many. Costs neither an attempt nor a death."""
    if not held:
        return 0
    return transacted(using, lambda: _release(using, worker, frozenset(held), reason))


def _release(using: str, worker: uuid.UUID, held: frozenset[Held], reason: str) -> int:
    items = {one.item for one in held}
    freeing = waking.prepare(using, items)
    leases = Lease.objects.using(using).filter(worker=worker, work_item__in=items, revoked_at=None)
    ours = [lease.pk for lease in leases if Held(lease.pk, lease.epoch) in held]
    now = clock.now(using)
    move = Move(kind=EventKind.RELEASED, state=State.QUEUED, reason=Reason.RELEASED)
    for pk in ours:
        give_back(freeing, freeing.items[pk], move, now, worker=worker, reason=reason)
    waking.finish(freeing, ours)
    return len(ours)
