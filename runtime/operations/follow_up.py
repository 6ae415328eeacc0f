"""Reopen an item that has ended, with new input and the state it had."""

from __future__ import annotations

import uuid
from typing import Any, Unpack

from runtime import faults, jsondata
from runtime.choices import TERMINAL, EventKind, Reason, State, WaitKind, WaitState
from runtime.conf import settings as roost
from runtime.models import Wait, WorkItem
from runtime.operations import fields
from runtime.operations.afresh import afresh, failed_calls
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.transactions import transacted
from runtime.store.values import Move

KEY = "follow_up"
"""Key of the answer in which the next step finds the input."""


class FollowUp(ItemOperation):
    """Put a done, failed or cancelled item back into the queue, with `input` (JSON) for its next step.

    The input is an answer to a question that nobody had to ask: `ctx.answers["follow_up"]`. Every attempt of the next
    step gets it, and the step that commits consumes it, once. Snapshots, steps and totals stay; attempts, deaths, the
    error and the result go, and recorded calls that failed for good are made again, with other arguments if the input
    says so. A second follow-up before any step has committed replaces the first one's input.
    """

    verb = _("follow up")
    participle = _("followed up")
    permission = "follow_up_workitem"

    def __init__(
        self,
        item: uuid.UUID | str,
        input: Any = None,  # noqa: A002 - what it is
        *,
        max_steps: int | None = None,
        **options: Unpack[MoveOptions],
    ) -> None:
        super().__init__(item, **options)
        self.input = jsondata.loads(jsondata.dumps(input, what="input", max_bytes=roost.MAX_PAYLOAD_BYTES))
        self.max_steps = None if max_steps is None else fields.whole(max_steps, "max_steps", fields.BIGINT)

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` unless the item has ended and may make another step."""
        changes = self._afresh(item)
        told = {"ended": item.state, "key": KEY}
        failed = failed_calls(item, using=self.store.using)
        return Move(
            kind=EventKind.FOLLOWED_UP,
            state=State.QUEUED,
            reason=Reason.FOLLOW_UP,
            forget=tuple(failed),
            clear_errors=True,
            changes={**changes, "asked": True},
            data=told if self.max_steps is None else {**told, "max_steps": self.max_steps},
        )

    def would_change(self, item: WorkItem) -> bool:
        """Say so without reading the calls that are forgotten."""
        self._afresh(item)
        return True

    def _afresh(self, item: WorkItem) -> dict[str, Any]:
        if item.state not in TERMINAL:
            raise self.conflict(item, _("Only items that have ended are followed up."))
        return afresh(item, max_steps=self.max_steps)

    def execute(self) -> WorkItem:
        """Do it and return the item. One transaction; joins the caller's."""
        self.check_permission()

        def once() -> WorkItem:
            item = super(FollowUp, self).execute()
            self._keep_input(item)
            return item

        with faults.around("follow_up"):
            return transacted(self.store.using, once)

    def _keep_input(self, item: WorkItem) -> None:
        """Write the input; the item's row is locked by its move."""
        now = self.now()
        vote = {"by": self.actor, "value": self.input, "reason": self.reason, "at": now.isoformat()}
        Wait.objects.using(self.store.using).update_or_create(
            work_item_id=item.pk,
            base_version=item.version,
            key=KEY,
            defaults={
                "kind": WaitKind.INPUT,
                "state": WaitState.RESOLVED,
                "needed": "",
                "answers": [vote],
                "resolution": self.input,
                "resolved_by": self.actor,
                "created_at": now,
                "resolved_at": now,
            },
        )


def follow_up(
    item: uuid.UUID | str,
    input: Any = None,  # noqa: A002 - what it is
    *,
    max_steps: int | None = None,
    **options: Unpack[MoveOptions],
) -> WorkItem:
    """Reopen the item with new input and return it; see `FollowUp`.

    Raises `Conflict`, `NotFound`, `Forbidden`, `InvalidInput`.
    """
    return FollowUp(item, input, max_steps=max_steps, **options).execute()
