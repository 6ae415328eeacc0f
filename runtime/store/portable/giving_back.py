"""Take the item of a lease from its owner, the lease with it."""

from __future__ import annotations

import datetime as dt
import uuid

from runtime.choices import EventKind, Reason, State
from runtime.models import Lease, WorkItem
from runtime.store.move import apply
from runtime.store.values import Move
from runtime.store.waking import Freeing


def give_back(
    freeing: Freeing, item: WorkItem, move: Move, now: dt.datetime, *, worker: uuid.UUID, reason: str = ""
) -> None:
    """Move a running item that `freeing` has locked and delete its lease; an asked-for pause takes effect.

    Nobody works on it any more, so its claims can go: the caller ends with `waking.finish`.
    """
    pause = item.pause_requested and move.state == State.QUEUED
    apply(freeing, item, move, now, reason=reason, worker=worker)
    if pause:
        stop = Move(kind=EventKind.PAUSED, state=State.PAUSED, reason=Reason.OPERATOR)
        apply(freeing, item, stop, now, worker=worker)
    Lease.objects.using(freeing.using).filter(pk=item.pk).delete()
