"""Make items that ended long ago."""

from __future__ import annotations

from typing import Any

from runtime.models import WorkItem
from tests.factories import WorkItemFactory, now

DAY = 86_400.0


def ended(days: float, *, state: str = "done", **values: Any) -> WorkItem:
    """Return an item that ended so many days ago."""
    moment = now(-days * DAY)
    times = {"created_at": moment, "started_at": moment, "finished_at": moment}
    return WorkItemFactory(**{state: True}, **times, **values)
