"""Let a held item go on, because code has come that goes on with it."""

from __future__ import annotations

from runtime.choices import EventKind, Reason, State
from runtime.models import Event, WorkItem
from runtime.operations.resume import Resume
from runtime.sentences import say as _
from runtime.store.values import Move


class TakeUp(Resume):
    """Put a held item back into the queue; one that an operator wanted paused when its step ended stays paused.

    Any worker may do it, at any moment: an item that is not held any more is left alone.
    """

    verb = _("take up")

    def decide(self, item: WorkItem) -> Move | None:  # type: ignore[override]
        """Return nothing to do unless the item is held."""
        if item.state != State.PAUSED or item.reason != Reason.HELD:
            return None
        if self._pause_was_wanted(item):
            return Move(
                kind=EventKind.PAUSED, reason=Reason.OPERATOR, data={"state": item.state, "reason": item.reason}
            )
        return super().decide(item)

    def _pause_was_wanted(self, item: WorkItem) -> bool:
        """Say whether a pause was asked for while the step ran that held the item, and not taken back."""
        told = Event.objects.using(self.store.using).filter(work_item_id=item.pk, epoch=item.epoch)
        asked = told.filter(kind__in=[EventKind.PAUSED, EventKind.RESUMED]).order_by("-seq")
        last = asked.values_list("data", flat=True).first()
        return isinstance(last, dict) and bool(last.get("requested"))
