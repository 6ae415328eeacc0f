"""Bring an item back from the dead letters."""

from __future__ import annotations

import uuid
from typing import Any, Unpack

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict
from runtime.models import Snapshot, WorkItem
from runtime.operations import fields
from runtime.operations.afresh import afresh, failed_calls
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.history import kept_versions
from runtime.store.values import Move

MOST_TOLD = 20


class Redrive(ItemOperation):
    """Run a failed item again from its last snapshot, or from the snapshot of step `from_version`.

    Keeps every snapshot; clears attempts, deaths, the error, the acknowledgement, the timeout's clock and a deadline
    that has passed. Recorded calls that failed for good are made again by the step that runs next, those that succeeded
    are not: going on from `from_version` makes a new version, whose step calls anew. `max_steps` replaces the limit of
    an item that used up its steps.
    """

    verb = _("redrive")
    participle = _("redriven")
    permission = "redrive_workitem"

    def __init__(
        self,
        item: uuid.UUID | str,
        *,
        from_version: int | None = None,
        max_steps: int | None = None,
        **options: Unpack[MoveOptions],
    ) -> None:
        super().__init__(item, **options)
        self.from_version = (
            None if from_version is None else fields.whole(from_version, "from_version", (0, fields.BIGINT[1]))
        )
        self.max_steps = None if max_steps is None else fields.whole(max_steps, "max_steps", fields.BIGINT)

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` unless the item has failed, has that snapshot and may make another step."""
        changes = self._afresh(item)
        failed = failed_calls(item, using=self.store.using)
        return Move(
            kind=EventKind.REDRIVEN,
            state=State.QUEUED,
            reason=Reason.REDRIVEN,
            restore=self._restored(item),
            forget=tuple(failed),
            clear_errors=True,
            changes=changes,
            data=self._told(item, list(failed.values())),
        )

    def would_change(self, item: WorkItem) -> bool:
        """Say so without reading the calls that are forgotten."""
        self._afresh(item)
        self._restored(item)
        return True

    def _afresh(self, item: WorkItem) -> dict[str, Any]:
        if item.state != State.FAILED:
            raise self.conflict(item, _("Only failed items are redriven."))
        return afresh(item, max_steps=self.max_steps)

    def _restored(self, item: WorkItem) -> int | None:
        if self.from_version is None:
            return None
        kept = Snapshot.objects.using(self.store.using).filter(work_item_id=item.pk, version=self.from_version)
        if not kept.exists():
            raise Conflict(
                _(
                    "Work item %(item)s is %(state)s at version %(version)s and has no snapshot of version "
                    "%(from_version)s. It has: %(kept)s.",
                    item=item.pk,
                    state=item.state,
                    version=item.version,
                    from_version=self.from_version,
                    kept=kept_versions(self.store.using, item.pk),
                ),
                state=item.state,
            )
        return self.from_version

    def _told(self, item: WorkItem, forgotten: list[str]) -> dict[str, Any]:
        told: dict[str, Any] = {"failed": item.reason}
        if forgotten:
            told["calls_forgotten"] = forgotten[:MOST_TOLD]
        if self.from_version is not None:
            told["from_version"] = self.from_version
        if self.max_steps is not None:
            told["max_steps"] = self.max_steps
        return told


def redrive(
    item: uuid.UUID | str,
    *,
    from_version: int | None = None,
    max_steps: int | None = None,
    **options: Unpack[MoveOptions],
) -> WorkItem:
    """Redrive the failed item and return it; see `Redrive`. Raises `Conflict`, `NotFound`, `Forbidden`."""
    return Redrive(item, from_version=from_version, max_steps=max_steps, **options).execute()
