"""Say yes to what an item wants approved."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind, WaitKind
from runtime.exceptions import Conflict
from runtime.models import Wait, WorkItem
from runtime.operations.answering import Answering
from runtime.operations.base import MoveOptions
from runtime.store.values import WaitAnswer


class Approve(Answering):
    """Approve, as one of as many different people as the approval needs; with the last one the item goes on."""

    verb = "approve"
    participle = "approved"
    permission = "approve_wait"
    kind = WaitKind.APPROVAL
    event = EventKind.APPROVED

    def answer(self, item: WorkItem, wait: Wait) -> WaitAnswer:
        """Raise `Conflict` for a second vote of the same person."""
        check_first_vote(item, wait, self.actor)
        return self.told(wait, True, final=len(wait.answers) + 1 >= wait.quorum)


def check_first_vote(item: WorkItem, wait: Wait, actor: str) -> None:
    """Raise `Conflict` when this person has voted on the approval already."""
    if any(vote["by"] == actor for vote in wait.answers):
        raise Conflict(
            f"Work item {item.pk} is {item.state}; {actor or 'an unnamed actor'} has approved {wait.key!r} already. "
            f"It needs {wait.quorum} different people.",
            state=item.state,
        )


def approve(
    item: uuid.UUID | str | None = None,
    key: str | None = None,
    *,
    wait: uuid.UUID | str | None = None,
    **options: Unpack[MoveOptions],
) -> WorkItem:
    """Approve what the item waits for and return the item; see `Approve`.

    Raises `Conflict`, `NotFound`, `Forbidden`, and `InvalidInput` when several approvals are open and none is named.
    """
    return Approve(item, key, wait=wait, **options).execute()
