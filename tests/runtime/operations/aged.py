"""Make items that ended long ago, and items whose history goes back far."""

from __future__ import annotations

import random
import uuid
from typing import Any

from runtime.models import Event, Snapshot, WorkItem
from tests.factories import EventFactory, WorkItemFactory, now

DAY = 86_400.0


def ended(days: float, *, state: str = "done", **values: Any) -> WorkItem:
    """Return an item that ended so many days ago."""
    moment = now(-days * DAY)
    times = {"created_at": moment, "started_at": moment, "finished_at": moment}
    return WorkItemFactory(**{state: True}, **times, **values)


def old_id(days: float) -> uuid.UUID:
    """Return an id as it was made so many days ago."""
    milliseconds = int(now(-days * DAY).timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | random.getrandbits(62))


def lived(steps: int, *, old: int, days: float = 100, **values: Any) -> WorkItem:
    """Return an item of so many steps with an event each, of which the first `old` steps were made days ago."""
    item = WorkItemFactory(id=old_id(days), version=steps, created_at=now(-days * DAY), **values)
    Event.objects.filter(work_item=item).update(created_at=now(-days * DAY), version=0)
    for version in range(1, steps + 1):
        at = now(-days * DAY) if version <= old else now()
        EventFactory(work_item=item, kind="step", version=version, created_at=at)
    Snapshot.objects.filter(work_item=item, version__lte=old).update(created_at=now(-days * DAY))
    item.refresh_from_db()
    return item
