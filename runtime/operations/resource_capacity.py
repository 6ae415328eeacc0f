"""Say how many units of a resource there are: configuration, not work, which an operator edits while workers run."""

from __future__ import annotations

from typing import Any

from runtime import faults
from runtime.exceptions import StaleVersion
from runtime.models import Resource
from runtime.operations import fields
from runtime.operations.base import check_permission, require_reach
from runtime.operations.resources import MAX_KEY
from runtime.sentences import say as _
from runtime.store import resources, work_database
from runtime.store.resources import Key
from runtime.store.transactions import transacted

CAPACITY = (0, fields.INT[1])


class SetCapacity:
    """Set how many units of a resource may be held at once; one that nobody has claimed yet is made.

    What is held stays held, also if it is more than that now. Waiters that fit are woken by the sweep of any worker,
    within a second. `by` is a Django user whose permission is checked, or None for trusted code. With `row_version` it
    is changed only if nobody edited it since that version was read.
    """

    def __init__(
        self,
        key: str,
        capacity: int,
        *,
        namespace: str = "default",
        by: Any = None,
        row_version: int | None = None,
        using: str | None = None,
    ) -> None:
        self.key = Key(fields.name(namespace, "namespace"), fields.text(key, "key", limit=MAX_KEY))
        self.capacity = fields.whole(capacity, "capacity", CAPACITY)
        self.by = by
        self.row_version = row_version
        self.using = using or work_database()

    def check(self) -> None:
        """Raise `Forbidden` unless it would be done now. Changes nothing."""
        check_permission(self.by, "change_resource", "set the capacity of resources")
        require_reach(self.by, self.key.namespace)

    def execute(self) -> Resource:
        """Do it and return the resource. One transaction; joins the caller's. Raises `Forbidden`, `StaleVersion`."""
        self.check()

        def once() -> Resource:
            row = resources.lock(self.using, [self.key])[self.key]
            if self.row_version not in (None, row.row_version):
                raise StaleVersion(_("The resource %(key)r changed since it was read. Look at it again.", key=row.key))
            return row if row.capacity == self.capacity else row.compare_and_set(capacity=self.capacity)

        with faults.around("rule"):
            return transacted(self.using, once)


def set_capacity(
    key: str, capacity: int, *, namespace: str = "default", by: Any = None, using: str | None = None
) -> Resource:
    """Set the capacity of a resource and return it. Raises `InvalidInput`, `Forbidden`."""
    return SetCapacity(key, capacity, namespace=namespace, by=by, using=using).execute()
