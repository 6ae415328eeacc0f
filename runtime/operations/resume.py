"""Let a paused item go on."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind, Reason, State, WaitState
from runtime.models import Event, Wait, WorkItem
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move


class Resume(ItemOperation):
    """Put a paused item back to where it was: in the queue with its due time, or waiting for what it waited for.

    What has come meanwhile counts: an item that has all it waited for goes to the queue.

    A running item whose pause is still to come runs on. A deadline missed meanwhile ends the item by the next sweep.
    With `steps` it pauses again after so many more steps; a pause after steps that is still to come stays otherwise.
    """

    verb = _("resume")
    participle = _("resumed")
    permission = "resume_workitem"

    def __init__(self, item: uuid.UUID | str, *, steps: int | None = None, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.steps = None if steps is None else fields.whole(steps, "steps", fields.BIGINT)

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` unless the item is paused or about to be."""
        self._require_paused(item)
        if self._withdraws(item):
            changes = {"pause_requested": False, **self._quota(item)}
            return Move(kind=EventKind.RESUMED, changes=changes, data={"withdrawn": True, **self._told()})
        back = item.paused_from or State.QUEUED
        return Move(
            kind=EventKind.RESUMED,
            state=back,
            reason=self._queued_for(item) if back == State.QUEUED else self._waited_for(item),
            delay=None,
            changes={"paused_from": "", **self._quota(item)},
            data=self._told() or None,
        )

    def would_change(self, item: WorkItem) -> bool:
        """Say so without reading what the item goes back to."""
        self._require_paused(item)
        return True

    def _require_paused(self, item: WorkItem) -> None:
        if item.state != State.PAUSED and not self._withdraws(item):
            raise self.conflict(item, _("Only paused items are resumed."))

    def _withdraws(self, item: WorkItem) -> bool:
        """Say whether there is no more to it than that a pause does not come."""
        return item.state == State.RUNNING and item.pause_requested

    def _quota(self, item: WorkItem) -> dict[str, int]:
        return {} if self.steps is None else {"pause_at_step": min(item.steps_total + self.steps, fields.BIGINT[1])}

    def _told(self) -> dict[str, int]:
        return {} if self.steps is None else {"steps": self.steps}

    def _queued_for(self, item: WorkItem) -> Reason:
        """Return why the item is queued, from what is known of it; a resource it was parked for is asked for anew."""
        if item.attempt:
            return Reason.RETRY
        if item.run_at > self.now():
            return Reason.DELAY
        return Reason.CONTINUE if item.version else Reason.NEW

    def _waited_for(self, item: WorkItem) -> str:
        """Return what the item waits for first."""
        waits = Wait.objects.using(self.store.using).filter(work_item_id=item.pk, base_version=item.version)
        kinds = waits.exclude(needed="").order_by("created_at", "pk").values_list("kind", "state")
        still = [kind for kind, state in kinds if state == WaitState.OPEN] or [kind for kind, _ in kinds]
        return still[0] if still else self._recorded(item)

    def _recorded(self, item: WorkItem) -> str:
        """Return what the item waited for as its pause recorded it."""
        pauses = Event.objects.using(self.store.using).filter(work_item_id=item.pk, kind=EventKind.PAUSED)
        told = pauses.order_by("-seq").values_list("data", flat=True).first()
        return str((told or {}).get("reason", Reason.SIGNAL))


def resume(item: uuid.UUID | str, *, steps: int | None = None, **options: Unpack[MoveOptions]) -> WorkItem:
    """Let the paused item go on and return it; see `Resume`. Raises `Conflict`, `NotFound`, `Forbidden`."""
    return Resume(item, steps=steps, **options).execute()
