"""Remove ended items that have been kept long enough."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime import clock
from runtime.choices import State
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.operations.base import actor_name, check_permission, clean_reason, parse_id
from runtime.store import retention, work_database
from runtime.store.retention import Wanted

logger = logging.getLogger("roost.retention")

BATCH = 100
LONGEST_DAYS = 36_500.0
SHOWN = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """What was removed, or would be: how many items, and rows by table (unknown in a dry run).

    `shown` are the first of the items of a dry run. `more` says that the limit left some; `kept` counts items that
    may go and were passed over: somebody was at them, waits for them by name, or a row of the product's protects them.
    """

    items: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    kept: int = 0
    more: bool = False
    shown: tuple[uuid.UUID, ...] = ()


def prune(
    *,
    items: Collection[uuid.UUID | str] | None = None,
    namespace: str | None = None,
    engine: str | None = None,
    older_than: float | None = None,
    limit: int | None = None,
    seconds: float | None = None,
    dry_run: bool = False,
    by: Any = None,
    actor: str = "",
    reason: str = "",
    using: str | None = None,
) -> Pruned:
    """Remove items that have ended and whose time to be kept is over, with all that belongs to them.

    Each filter narrows; None is no filter. An empty list of items removes nothing, an empty name is refused: neither
    ever means everything. `older_than` (days since the end) stands in for `ROOST_RETENTION_DAYS`; dead letters are
    kept for `ROOST_RETENTION_FAILED_DAYS` at least. Batches of a transaction each, at most `limit` items in all and
    none begun after `seconds`: what a failure in between has removed stays removed, and each item goes whole.
    Raises `InvalidInput`, `Forbidden`.
    """
    check_permission(by, "prune_workitem", "prune work items")
    using = using or work_database()
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidInput(f"The limit is {limit!r}; it must be a number of items, 1 or more.", field="limit")
    wanted = Wanted(
        cutoffs=cutoffs(clock.now(using), older_than),
        namespace=_name(namespace, "namespace"),
        engine=_name(engine, "engine"),
        items=_ids(items),
    )
    who, why = actor_name(by, actor), clean_reason(reason)
    if wanted.items is not None and not wanted.items:
        return Pruned()
    if dry_run:
        return _look(using, wanted, limit)
    done = _remove(using, wanted, limit, seconds)
    if done.items:
        logger.info("%s pruned %d items", who or "the product", done.items, extra={"actor": who, "reason": why})
    return done


def prune_workers(*, using: str | None = None) -> int:
    """Remove the rows of workers that went offline `ROOST_RETENTION_DAYS` ago; return how many. One transaction.

    A worker stays while an item still names it as its owner, and always where items are kept for ever.
    """
    using = using or work_database()
    days = roost.RETENTION_DAYS
    return 0 if days is None else retention.remove_workers(using, clock.now(using) - dt.timedelta(days=days))


def cutoffs(now: dt.datetime, older_than: float | None = None) -> dict[str, dt.datetime]:
    """Return until when items of each terminal state must have ended to go; states that are kept for ever are missing.

    Raises `InvalidInput` for an age that is no number of days.
    """
    if older_than is not None:
        _check_days(older_than)
    days = roost.RETENTION_DAYS if older_than is None else older_than
    failed = roost.RETENTION_FAILED_DAYS
    if failed is not None and older_than is not None:
        failed = max(failed, older_than)
    periods = {State.DONE: days, State.CANCELLED: days, State.FAILED: failed}
    return {state.value: now - dt.timedelta(days=period) for state, period in periods.items() if period is not None}


def _check_days(days: Any) -> None:
    number = isinstance(days, int | float) and not isinstance(days, bool)
    if not number or not math.isfinite(days) or not 0 <= days <= LONGEST_DAYS:
        raise InvalidInput(
            f"The age is {days!r}; it must be a number of days from 0 to {LONGEST_DAYS:g}.", field="older_than"
        )


def _name(name: Any, which: str) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput(f"The {which} is {name!r}; name one, or leave the filter out.", field=which)
    return name


def _ids(items: Any) -> frozenset[uuid.UUID] | None:
    if items is None:
        return None
    if isinstance(items, str | bytes) or not isinstance(items, Collection):
        raise InvalidInput(f"The items are {items!r}; give a list of ids.", field="items")
    if len(items) > roost.MAX_BULK:
        raise InvalidInput(f"{len(items)} items are named; at most {roost.MAX_BULK} may be.", field="items")
    return frozenset(parse_id(item) for item in items)


def _look(using: str, wanted: Wanted, limit: int | None) -> Pruned:
    most = limit or roost.MAX_BULK
    found = retention.would_go(using, wanted, limit=most + 1)
    shown = tuple(item.pk for item in found[: min(most, SHOWN)])
    return Pruned(items=min(len(found), most), more=len(found) > most, shown=shown)


def _remove(using: str, wanted: Wanted, limit: int | None, seconds: float | None) -> Pruned:
    rows: Counter[str] = Counter()
    kept: set[uuid.UUID] = set()
    light: set[uuid.UUID] = set()
    items = 0
    until = math.inf if seconds is None else time.monotonic() + seconds
    while (limit is None or items < limit) and time.monotonic() < until:
        size = BATCH if limit is None else min(BATCH, limit - items)
        batch = retention.remove(using, wanted, limit=size, skip=kept, light=light)
        for item in batch.heavy:
            rows.update(_lighten(using, wanted, item, until))
            light.add(item)
        items += batch.items
        rows.update(batch.rows)
        kept |= batch.kept
        if not (batch.items or batch.kept or batch.heavy):
            return Pruned(items=items, rows=rows, kept=len(kept))
    return Pruned(items=items, rows=rows, kept=len(kept), more=True)


def _lighten(using: str, wanted: Wanted, item: uuid.UUID, until: float) -> Counter[str]:
    rows: Counter[str] = Counter()
    more = True
    while more and time.monotonic() < until:
        cut = retention.lighten(using, wanted, item)
        rows.update({"roost.Event": cut.events, "roost.Snapshot": cut.snapshots})
        more = cut.more
    return rows
