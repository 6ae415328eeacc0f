"""Say yes to what an item wants approved."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind, WaitKind
from runtime.exceptions import Conflict
from runtime.models import Wait, WorkItem
from runtime.operations.answering import Answering
from runtime.operations.base import MoveOptions
from runtime.sentences import say as _
from runtime.store.values import WaitAnswer


class Approve(Answering):
    """Approve, as one of as many different people as the approval needs; with the last one the item goes on."""

    verb = _("approve")
    participle = _("approved")
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
            _(
                "Work item %(item)s is %(state)s; %(actor)s has approved %(key)r already. It needs %(quorum)s "
                "different people.",
                item=item.pk,
                state=item.state,
                actor=actor or "an unnamed actor",
                key=wait.key,
                quorum=wait.quorum,
            ),
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
