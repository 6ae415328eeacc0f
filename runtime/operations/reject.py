"""Say no to what an item wants approved."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind, WaitKind
from runtime.models import Wait, WorkItem
from runtime.operations.answering import Answering
from runtime.operations.approve import check_first_vote
from runtime.operations.base import MoveOptions
from runtime.sentences import say as _
from runtime.store.values import WaitAnswer


class Reject(Answering):
    """Reject: one no is enough. The step decides what follows, unless the approval says that the item fails."""

    verb = _("reject")
    participle = _("rejected")
    permission = "approve_wait"
    kind = WaitKind.APPROVAL
    event = EventKind.REJECTED

    def answer(self, item: WorkItem, wait: Wait) -> WaitAnswer:
        """Raise `Conflict` for a second vote of the same person."""
        check_first_vote(item, wait, self.actor)
        return self.told(wait, False, final=True)


def reject(
    item: uuid.UUID | str | None = None,
    key: str | None = None,
    *,
    wait: uuid.UUID | str | None = None,
    **options: Unpack[MoveOptions],
) -> WorkItem:
    """Reject what the item waits for and return the item; `reason` is told to its step. See `Reject`.

    Raises `Conflict`, `NotFound`, `Forbidden`, and `InvalidInput` when several approvals are open and none is named.
    """
    return Reject(item, key, wait=wait, **options).execute()
