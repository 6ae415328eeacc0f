"""Put an item back in the queue, due now, with the state it has."""

from __future__ import annotations

import uuid
from typing import Any, Unpack

from runtime.choices import PARKED, TERMINAL, EventKind, Reason, State
from runtime.models import WorkItem
from runtime.operations.afresh import afresh, failed_calls
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Requeue(ItemOperation):
    """Make an item due now.

    done, cancelled    runs again from its last snapshot (a follow-up)
    running            is taken from its worker, at no cost of attempts, and runs the step again
    queued, not due    is retried now instead of later
    """

    verb = _("requeue")
    participle = _("requeued")
    permission = "requeue_workitem"

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for a waiting, paused or failed item, and for one that is due already."""
        changes = self._changes(item)
        failed = failed_calls(item, using=self.store.using) if item.state in TERMINAL else {}
        return Move(
            kind=EventKind.REQUEUED,
            state=State.QUEUED,
            reason=Reason.REQUEUED,
            fence=item.state == State.RUNNING,
            forget=tuple(failed),
            changes=changes,
        )

    def would_change(self, item: WorkItem) -> bool:
        """Say so without reading the calls that are forgotten."""
        self._changes(item)
        return True

    def _changes(self, item: WorkItem) -> dict[str, Any]:
        if item.state in _INSTEAD:
            raise self.conflict(item, _INSTEAD[item.state])
        if item.state == State.QUEUED and item.reason not in PARKED and item.run_at <= self.now():
            raise self.conflict(item, _("It is due already."))
        return {"pause_requested": False, **(afresh(item) if item.state in TERMINAL else {})}


_INSTEAD: dict[str, str] = {
    State.WAITING: _("Answer what it waits for, or cancel it."),
    State.PAUSED: _("Resume it."),
    State.FAILED: _("Redrive it."),
}


def requeue(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Make the item due now and return it; see `Requeue`. Raises `Conflict`, `NotFound`, `Forbidden`."""
    return Requeue(item, **options).execute()
