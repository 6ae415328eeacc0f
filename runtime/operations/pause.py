"""Pause an item: at once, or when its running step has ended."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import TERMINAL, EventKind, Reason, State
from runtime.models import WorkItem
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Pause(ItemOperation):
    """Keep an item from going on until it is resumed.

    A queued or waiting item is paused at once. A running one is paused when its step has been committed; with `now`
    it is taken from its worker, and the step runs again after `resume`. One that is held stays paused when code comes
    that would take it up.
    """

    verb = _("pause")
    participle = _("paused")
    permission = "pause_workitem"

    def __init__(self, item: uuid.UUID | str, *, now: bool = False, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.at_once = now

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` for an item that has ended, is paused, or is about to be."""
        if item.state in TERMINAL:
            raise self.conflict(item, _("It has ended."))
        if item.state == State.PAUSED and item.reason == Reason.HELD:
            return Move(
                kind=EventKind.PAUSED, reason=Reason.OPERATOR, data={"state": item.state, "reason": item.reason}
            )
        if item.state == State.PAUSED:
            raise self.conflict(item, _("It is paused already."))
        if item.state == State.RUNNING and not self.at_once:
            return self._when_step_ends(item)
        running = item.state == State.RUNNING
        return Move(
            kind=EventKind.PAUSED,
            state=State.PAUSED,
            reason=Reason.OPERATOR,
            fence=running,
            changes={"paused_from": State.QUEUED if running else item.state, "pause_requested": False},
            data={"state": item.state, "reason": item.reason},
        )

    def _when_step_ends(self, item: WorkItem) -> Move:
        if item.pause_requested:
            raise self.conflict(item, _("It will pause when its step ends; pause it with now to stop the step."))
        return Move(kind=EventKind.PAUSED, changes={"pause_requested": True}, data={"requested": True})


def pause(item: uuid.UUID | str, *, now: bool = False, **options: Unpack[MoveOptions]) -> WorkItem:
    """Pause the item and return it; see `Pause`. Raises `Conflict`, `NotFound`, `Forbidden`."""
    return Pause(item, now=now, **options).execute()
