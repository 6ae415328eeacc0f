"""Make an item a dead letter, to see in development what a failure leads to."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import TERMINAL, EventKind, Reason, State
from runtime.models import WorkItem
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move

MAX_CODE = 64


class ForceFailure(ItemOperation):
    """Fail a live item as its last error would: with the reason as the error's message, and `code` as its code.

    What follows is what follows any dead letter: triggers and webhook targets, its parent, a redrive. A running step is
    fenced off. It ends an item, so that it takes the permission to cancel.
    """

    verb = _("fail")
    participle = _("failed")
    permission = "cancel_workitem"
    reason_required = True

    def __init__(self, item: uuid.UUID | str, *, code: str = "", **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.code = fields.text(code, "code", limit=MAX_CODE) if code else Reason.FORCED.value

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for an item that has ended."""
        if item.state in TERMINAL:
            raise self.conflict(item, _("It has ended already."))
        error = {"type": "Forced", "code": self.code, "message": self.reason, "version": item.version}
        return Move(
            kind=EventKind.FAILED,
            state=State.FAILED,
            reason=Reason.FORCED,
            fence=item.state == State.RUNNING,
            changes={"last_error": error, "fingerprint": self.code},
            data=error,
        )


def force_failure(item: uuid.UUID | str, *, code: str = "", **options: Unpack[MoveOptions]) -> WorkItem:
    """Make the item a dead letter and return it; see `ForceFailure`. For development and tests.

    Raises `Conflict` when it has ended, `InvalidInput` (no reason), `NotFound`, `Forbidden`.
    """
    return ForceFailure(item, code=code, **options).execute()
