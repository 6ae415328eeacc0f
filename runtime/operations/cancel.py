"""Cancel an item that has not ended."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import TERMINAL, EventKind, State
from runtime.models import WorkItem
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Cancel(ItemOperation):
    """End a live item as cancelled, its live children and theirs with it, in one transaction.

    Running steps are told, and what they still write is refused. Children whose relation is "detached" live on.
    """

    verb = _("cancel")
    participle = _("cancelled")
    permission = "cancel_workitem"
    with_family = True

    def decide(self, item: WorkItem) -> Move:
        """Cancel whatever is live. Raises `Conflict` for an item that has ended."""
        if item.state in TERMINAL:
            raise self.conflict(item, _("It has ended already."))
        return Move(
            kind=EventKind.CANCELLED,
            state=State.CANCELLED,
            reason="",
            fence=item.state == State.RUNNING,
            changes={"paused_from": "", "pause_requested": False},
        )


def cancel(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Cancel the item and its children, and return it. Raises `Conflict` when it has ended, `NotFound`, `Forbidden`."""
    return Cancel(item, **options).execute()
