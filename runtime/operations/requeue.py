"""Put an item back in the queue, due now, with the state it has."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import PARKED, EventKind, Reason, State
from runtime.models import WorkItem
from runtime.operations.afresh import afresh, failed_calls
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.store.values import Move


class Requeue(ItemOperation):
    """Make an item due now.

    done, cancelled    runs again from its last snapshot (a follow-up)
    running            is taken from its worker, at no cost of attempts, and runs the step again
    queued, not due    is retried now instead of later
    """

    verb = "requeue"
    participle = "requeued"
    permission = "requeue_workitem"

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for a waiting, paused or failed item, and for one that is due already."""
        if item.state in _INSTEAD:
            raise self.conflict(item, _INSTEAD[item.state])
        if item.state == State.QUEUED and item.reason not in PARKED and item.run_at <= self.now():
            raise self.conflict(item, "It is due already.")
        ended = item.state in {State.DONE, State.CANCELLED}
        failed = failed_calls(item, using=self.store.using) if ended else {}
        return Move(
            kind=EventKind.REQUEUED,
            state=State.QUEUED,
            reason=Reason.REQUEUED,
            fence=item.state == State.RUNNING,
            forget=tuple(failed),
            changes={"pause_requested": False, **(afresh(item) if ended else {})},
        )


_INSTEAD: dict[str, str] = {
    State.WAITING: "Answer what it waits for, or cancel it.",
    State.PAUSED: "Resume it.",
    State.FAILED: "Redrive it.",
}


def requeue(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Make the item due now and return it; see `Requeue`. Raises `Conflict`, `NotFound`, `Forbidden`."""
    return Requeue(item, **options).execute()
