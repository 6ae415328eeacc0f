"""End items whose deadline has passed or that ran longer than their timeout."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import NotFound
from runtime.models import WorkItem
from runtime.store.operate import move
from runtime.store.postgres.look import Found
from runtime.store.postgres.passing import one_by_one
from runtime.store.values import Move

_WITHOUT_OWNER = frozenset({State.QUEUED, State.WAITING, State.PAUSED})


def end_overdue(using: str, found: Sequence[Found]) -> int:
    """Fail those of the items that are overdue; return how many. Each in a transaction that looks again, locked."""
    return one_by_one(partial(_end, using, one.item) for one in found)


def _end(using: str, item: uuid.UUID) -> bool:
    try:
        return move(using, item, lambda found: _verdict(using, found), actor="", reason="")[1]
    except NotFound:
        return False


def _verdict(using: str, item: WorkItem) -> Move | None:
    now = clock.now(using)
    if item.deadline_at is not None and item.deadline_at <= now and item.state in _WITHOUT_OWNER:
        return _failure(item, Reason.DEADLINE, f"Its deadline, {item.deadline_at.isoformat()}, has passed.")
    if item.timeout_at is not None and item.timeout_at <= now and item.state in (State.QUEUED, State.RUNNING):
        return _failure(item, Reason.TIMEOUT, f"It ran longer than its timeout of {item.item_timeout:g} s.")
    return None


def _failure(item: WorkItem, reason: Reason, message: str) -> Move:
    error = {"type": reason.name.title(), "code": reason.value, "message": message}
    return Move(
        kind=EventKind.FAILED,
        state=State.FAILED,
        reason=reason,
        fence=item.state == State.RUNNING,
        changes={"last_error": error, "fingerprint": reason.value},
        data=error,
    )
