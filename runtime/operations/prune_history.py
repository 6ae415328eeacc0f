"""Remove old events and snapshots of items that stay."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from runtime import clock
from runtime.conf import settings as roost
from runtime.operations.base import check_permission
from runtime.operations.prune_round import stands_alone
from runtime.store import old_history, work_database

logger = logging.getLogger("roost.retention")

LOOK = 500
"""Items looked at in one query."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPruned:
    """How many rows were removed, of how many items.

    `more` says that the time was up before all items were looked at, and `after` where to go on then.
    """

    items: int = 0
    events: int = 0
    snapshots: int = 0
    more: bool = False
    after: uuid.UUID | None = None


def prune_history(
    *, after: uuid.UUID | None = None, seconds: float | None = None, by: Any = None, using: str | None = None
) -> HistoryPruned:
    """Remove what is older than `ROOST_RETENTION_HISTORY_DAYS` from histories; see `runtime.store.old_history`.

    Begins behind the item `after`, and no other transaction after `seconds`. Short transactions, each of one item; an
    item that is locked, on legal hold or cannot be removed from is passed over. Nothing is removed where the setting
    is None. Raises `Forbidden`.
    """
    check_permission(by, "prune_workitem", "prune work items", everywhere=True)
    using = using or work_database()
    if roost.RETENTION_HISTORY_DAYS is None:
        return HistoryPruned()
    cutoff = clock.now(using) - dt.timedelta(days=roost.RETENTION_HISTORY_DAYS)
    until = math.inf if seconds is None else time.monotonic() + seconds
    done = HistoryPruned(more=True, after=after)
    while done.more and time.monotonic() < until:
        found, last = old_history.look(using, cutoff, after=done.after, limit=LOOK)
        done = _trim_each(using, found, cutoff, until, done)
        if done.more and time.monotonic() < until:
            done = replace(done, after=last, more=last is not None)
    return done


def _trim_each(
    using: str, items: Iterable[uuid.UUID], cutoff: dt.datetime, until: float, done: HistoryPruned
) -> HistoryPruned:
    """Trim these items until the time is up; one that is not finished then is the next to go on with."""
    for item in items:
        if time.monotonic() >= until:
            break
        events, snapshots, more = _trim_all(using, item, cutoff, until)
        done = HistoryPruned(
            items=done.items + bool(events or snapshots),
            events=done.events + events,
            snapshots=done.snapshots + snapshots,
            more=True,
            after=done.after if more else item,
        )
        if more:
            break
    return done


def _trim_all(using: str, item: uuid.UUID, cutoff: dt.datetime, until: float) -> tuple[int, int, bool]:
    events = snapshots = 0
    more = True
    while more and time.monotonic() < until:
        try:
            done = old_history.trim(using, item, cutoff)
        except Exception as error:
            if not stands_alone(error):
                raise
            logger.warning("the history of %s could not be removed, and is passed over: %s", item, error)
            return events, snapshots, False
        events, snapshots, more = events + done.events, snapshots + done.snapshots, done.more
    return events, snapshots, more
