"""Put an item on legal hold, and lift it."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind
from runtime.models import WorkItem
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Hold(ItemOperation):
    """Keep an item, its history and its workspace from being removed, in whatever state it is. It runs on as before.

    Once it has ended it is not brought back, which would replace its result and its recorded calls: it may be forked.
    """

    verb = _("hold")
    participle = _("put on legal hold")
    permission = "hold_workitem"
    reason_required = True

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for an item that is on legal hold."""
        if item.legal_hold:
            raise self.conflict(item, _("It is on legal hold already."))
        return Move(kind=EventKind.LEGAL_HOLD, changes={"legal_hold": True})


class Unhold(ItemOperation):
    """Lift an item's legal hold: it is removed when its time is over, at once if that has passed."""

    verb = _("unhold")
    participle = _("taken off legal hold")
    permission = "hold_workitem"
    reason_required = True

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for an item that is not on legal hold."""
        if not item.legal_hold:
            raise self.conflict(item, _("It is not on legal hold."))
        return Move(kind=EventKind.LEGAL_HOLD_LIFTED, changes={"legal_hold": False})


def hold(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Put the item on legal hold and return it. Raises `Conflict`, `InvalidInput` (no reason), `NotFound`."""
    return Hold(item, **options).execute()


def unhold(item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Lift the item's legal hold and return it. Raises `Conflict`, `InvalidInput` (no reason), `NotFound`."""
    return Unhold(item, **options).execute()
