"""Change the priority of an item that has not ended."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import TERMINAL, EventKind
from runtime.models import WorkItem
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Prioritise(ItemOperation):
    """Give a live item another priority. A running step goes on undisturbed: the epoch does not move."""

    verb = _("prioritise")
    participle = _("prioritised")
    permission = "prioritise_workitem"

    def __init__(self, item: uuid.UUID | str, priority: int, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.priority = fields.whole(priority, "priority", fields.SMALLINT)

    def decide(self, item: WorkItem) -> Move | None:
        """Return None when the priority is that already. Raises `Conflict` for an item that has ended."""
        if item.state in TERMINAL:
            raise self.conflict(item, _("It has ended."))
        if item.priority == self.priority:
            return None
        return Move(
            kind=EventKind.PRIORITY,
            changes={"priority": self.priority},
            data={"from": item.priority, "to": self.priority},
        )


def prioritise(item: uuid.UUID | str, priority: int, **options: Unpack[MoveOptions]) -> WorkItem:
    """Set the item's priority (higher is sooner) and return it. Raises `Conflict`, `InvalidInput`, `NotFound`."""
    return Prioritise(item, priority, **options).execute()
