"""Take an item from its worker, or a resource from an item that is not running."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict
from runtime.models import ResourceClaim, WorkItem
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.operations.resources import MAX_KEY
from runtime.sentences import say as _
from runtime.store.values import Move


class Release(ItemOperation):
    """End the lease of a running item, which is due again at once; it costs neither an attempt nor a death.

    With `resource` (a key) it is the claim on that resource that ends, of an item which is not running: a claim kept
    until the item ends, or one that a worker has not let go of since the item was taken from it. Whoever waits for
    the resource is woken. Epochs do not move then.
    """

    verb = _("release")
    participle = _("released")
    permission = "release_workitem"

    def __init__(self, item: uuid.UUID | str, *, resource: str | None = None, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.resource = None if resource is None else fields.text(resource, "resource", limit=MAX_KEY)

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` when there is no lease, or no such claim, to release."""
        if self.resource is not None:
            return self._claim(item, self.resource)
        if item.state != State.RUNNING:
            raise self.conflict(item, _("No worker holds it."))
        paused = item.pause_requested
        return Move(
            kind=EventKind.RELEASED,
            state=State.PAUSED if paused else State.QUEUED,
            reason=Reason.OPERATOR if paused else Reason.RELEASED,
            fence=True,
            changes={"paused_from": State.QUEUED if paused else "", "pause_requested": False},
        )

    def _claim(self, item: WorkItem, key: str) -> Move:
        if item.state == State.RUNNING:
            raise Conflict(
                _(
                    "Work item %(item)s is running and may be using %(key)r. Release its lease, or cancel it.",
                    item=item.pk,
                    key=key,
                ),
                state=item.state,
            )
        held = ResourceClaim.objects.using(self.store.using).filter(
            work_item_id=item.pk, held=True, resource__namespace=item.namespace, resource__key=key
        )
        if not held.exists():
            raise Conflict(
                _(
                    "Work item %(item)s is %(state)s and holds no claim on %(key)r.",
                    item=item.pk,
                    state=item.state,
                    key=key,
                ),
                state=item.state,
            )
        return Move(kind=EventKind.RESOURCE_RELEASED, free=(key,), data={"resource": key})


def release(item: uuid.UUID | str, *, resource: str | None = None, **options: Unpack[MoveOptions]) -> WorkItem:
    """Release the item's lease, or its claim on `resource`, and return it; see `Release`.

    Raises `Conflict`, `NotFound`, `Forbidden`.
    """
    return Release(item, resource=resource, **options).execute()
