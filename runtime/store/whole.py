"""Read items with all their columns, by a statement that is written out."""

from __future__ import annotations

from runtime.models import WorkItem
from runtime.store.columns import Columns

ITEM = Columns(WorkItem)
