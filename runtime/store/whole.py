"""Read items with all their columns, by a statement that is written out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from runtime.models import WorkItem
from runtime.store.columns import Columns
from runtime.store.transactions import transacted
from runtime.store.values import NewItem

ITEM = Columns(WorkItem)


def inserted(using: str, item: NewItem, insert: Callable[[Sequence[NewItem]], set[uuid.UUID]]) -> WorkItem | None:
    """Insert an item and read its row in one transaction, before anybody can have changed it; None if it is not new."""
    return transacted(using, lambda: ITEM.of_id(using, item.id) if insert([item]) else None)
