"""End items whose deadline has passed or that ran longer than their timeout."""

from __future__ import annotations

import uuid
from typing import NamedTuple

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import NotFound
from runtime.models import WorkItem
from runtime.store.base import Move
from runtime.store.move import move
from runtime.store.postgres.session import rows

PAST_DEADLINE = """
SELECT id FROM roost_workitem
WHERE deadline_at IS NOT NULL AND state IN ('queued', 'waiting', 'paused') AND deadline_at <= statement_timestamp()
ORDER BY deadline_at
LIMIT %s::int
"""

TIMED_OUT = """
SELECT id FROM roost_workitem
WHERE state IN ('queued', 'running') AND timeout_at IS NOT NULL AND timeout_at <= statement_timestamp()
ORDER BY timeout_at
LIMIT %s::int
"""


class Overdue(NamedTuple):
    """How many items were ended, by reason, and whether there may be more."""

    past_deadline: int
    timed_out: int
    full: bool


def end_overdue(using: str, batch: int) -> Overdue:
    """Fail overdue items, each in a transaction of its own that looks again once the item is locked."""
    late = [row[0] for row in rows(using, PAST_DEADLINE, [str(batch)])]
    past = sum(_end(using, item) for item in late)
    long = [row[0] for row in rows(using, TIMED_OUT, [str(batch)])]
    out = sum(_end(using, item) for item in long)
    return Overdue(past, out, batch in (len(late), len(long)))


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


_WITHOUT_OWNER = frozenset({State.QUEUED, State.WAITING, State.PAUSED})


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
