"""Remove old events and snapshots of items that stay."""

from __future__ import annotations

import datetime as dt
import math
import time
import uuid
from dataclasses import dataclass
from typing import Any

from runtime import clock
from runtime.conf import settings as roost
from runtime.operations.base import check_permission
from runtime.store import old_history, work_database

LOOK = 500
"""Items looked at in one query."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPruned:
    """How many rows were removed, of how many items; `after` is where to go on, None when all items were looked at."""

    items: int = 0
    events: int = 0
    snapshots: int = 0
    after: uuid.UUID | None = None


def prune_history(
    *, after: uuid.UUID | None = None, seconds: float | None = None, by: Any = None, using: str | None = None
) -> HistoryPruned:
    """Remove what is older than `ROOST_RETENTION_HISTORY_DAYS` from histories; see `runtime.store.old_history`.

    Begins behind the item `after`, and begins nothing new after `seconds`. Short transactions, each of one item; an
    item that is locked or on legal hold is passed over. Nothing is removed where the setting is None. Raises
    `Forbidden`.
    """
    check_permission(by, "prune_workitem", "prune work items")
    using = using or work_database()
    if roost.RETENTION_HISTORY_DAYS is None:
        return HistoryPruned()
    cutoff = clock.now(using) - dt.timedelta(days=roost.RETENTION_HISTORY_DAYS)
    until = math.inf if seconds is None else time.monotonic() + seconds
    items = events = snapshots = 0
    while time.monotonic() < until:
        found, last = old_history.look(using, cutoff, after=after, limit=LOOK)
        for item in found:
            if time.monotonic() >= until:
                break
            gone = _trim_all(using, item, cutoff)
            items += bool(gone[0] or gone[1])
            events, snapshots, after = events + gone[0], snapshots + gone[1], item
        else:
            after = last
            if last is None:
                break
    return HistoryPruned(items=items, events=events, snapshots=snapshots, after=after)


def _trim_all(using: str, item: uuid.UUID, cutoff: dt.datetime) -> tuple[int, int]:
    events = snapshots = 0
    more = True
    while more:
        done = old_history.trim(using, item, cutoff)
        events, snapshots, more = events + done.events, snapshots + done.snapshots, done.more
    return events, snapshots
