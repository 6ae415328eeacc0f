"""Note that a person has seen a dead letter."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind, State
from runtime.models import WorkItem
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.store.values import Move


class Acknowledge(ItemOperation):
    """Mark a failed item as seen, with a reason. It stays failed, and can be redriven later."""

    verb = "acknowledge"
    participle = "acknowledged"
    permission = "acknowledge_workitem"
    reason_required = True

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` unless the item has failed and nobody has acknowledged it."""
        if item.state != State.FAILED:
            raise self.conflict(item, "Only failed items are acknowledged.")
        if item.acknowledged_at is not None:
            by = item.acknowledged_by or "the product"
            raise self.conflict(item, f"It was acknowledged by {by} at {item.acknowledged_at.isoformat()}.")
        return Move(kind=EventKind.ACKNOWLEDGED, changes={"acknowledged_at": self.now(), "acknowledged_by": self.actor})


def acknowledge(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Mark the failed item as seen and return it. Raises `Conflict`, `InvalidInput` (no reason), `NotFound`."""
    return Acknowledge(item, **options).execute()
