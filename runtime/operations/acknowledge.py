"""Note that a person has seen a dead letter."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Unpack

from runtime.choices import EventKind, State
from runtime.models import WorkItem
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Acknowledge(ItemOperation):
    """Mark a failed item as seen, with a reason. It stays failed, and can be redriven later."""

    verb = _("acknowledge")
    participle = _("acknowledged")
    permission = "acknowledge_workitem"
    reason_required = True

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` unless the item has failed and nobody has acknowledged it."""
        if item.state != State.FAILED:
            raise self.conflict(item, _("Only failed items are acknowledged."))
        if item.acknowledged_at is not None:
            by = item.acknowledged_by or "the product"
            at = item.acknowledged_at.astimezone(dt.UTC)
            raise self.conflict(
                item, _("It was acknowledged by %(by)s at %(at)s.", by=by, at=f"{at:%Y-%m-%d %H:%M:%SZ}")
            )
        return Move(kind=EventKind.ACKNOWLEDGED, changes={"acknowledged_at": self.now(), "acknowledged_by": self.actor})


def acknowledge(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Mark the failed item as seen and return it. Raises `Conflict`, `InvalidInput` (no reason), `NotFound`."""
    return Acknowledge(item, **options).execute()
