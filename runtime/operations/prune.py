"""Remove ended items that have been kept long enough."""

from __future__ import annotations

import datetime as dt
import logging
import math
import time
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime import clock, reach
from runtime.choices import TERMINAL, State
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.operations.base import actor_name, check_permission, clean_reason, parse_id
from runtime.operations.prune_round import PruneRound
from runtime.store import going, retention, work_database
from runtime.store.going import Place, Wanted

logger = logging.getLogger("roost.retention")

BATCH = 100
LONGEST_DAYS = 36_500.0
SHOWN = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """What was removed, or would be: how many items, and rows by table (unknown in a dry run).

    `shown` are the first of the items of a dry run. `more` says that the limit, or the time, left some, and `place` how
    far it came. `kept` counts items that may go and were passed over: somebody was at them, waits for them by name, a
    row of the product's protects them, or an error said no.
    """

    items: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    kept: int = 0
    more: bool = False
    shown: tuple[uuid.UUID, ...] = ()
    place: Place | None = None


def prune(
    *,
    items: Collection[uuid.UUID | str] | None = None,
    namespace: str | None = None,
    engine: str | None = None,
    older_than: float | None = None,
    limit: int | None = None,
    seconds: float | None = None,
    after: Place | None = None,
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
    none begun after `seconds`: what a failure in between has removed stays removed. Each item goes whole, in one
    transaction or, with very many rows, in several, from the first of which on nobody can bring it back. `after` is
    the `place` that an earlier call came to: it goes on from there to the end. Raises `InvalidInput`, `Forbidden`.
    """
    everywhere = not namespace or not reach.reaches(by, namespace)
    check_permission(by, "prune_workitem", "prune work items", everywhere=everywhere)
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
    done = _remove(using, wanted, limit, seconds, after)
    if done.items:
        logger.info("%s pruned %d items", who or "the product", done.items, extra={"actor": who, "reason": why})
    return done


def finish(*, seconds: float | None = None, using: str | None = None) -> Pruned:
    """Remove the rest of items that were removed in part, whoever began it and however long items are kept now.

    What needs them since (a live child or fork, a row of the product's) keeps them as they are.
    """
    using = using or work_database()
    found = frozenset(going.begun(using, limit=roost.MAX_BULK))
    if not found:
        return Pruned()
    now = clock.now(using)
    return _remove(using, Wanted(cutoffs={str(state): now for state in TERMINAL}, items=found), None, seconds, None)


def prune_workers(*, using: str | None = None) -> int:
    """Remove the rows of workers that went offline `ROOST_RETENTION_DAYS` ago; return how many.

    At most 5,000 go in one transaction. A worker stays while an item still names it as its owner, and always where
    items are kept for ever.
    """
    using = using or work_database()
    days = roost.RETENTION_DAYS
    return 0 if days is None else retention.remove_workers(using, clock.now(using) - dt.timedelta(days=days))


def prune_resources(*, using: str | None = None) -> int:
    """Remove the rows of resources that nobody holds or wants, but for those with a capacity; return how many.

    At most 5,000 go in one transaction. What an item asks for later is made again.
    """
    return retention.remove_resources(using or work_database())


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
    found = going.would_go(using, wanted, limit=most + 1)
    return Pruned(items=min(len(found), most), more=len(found) > most, shown=tuple(found[: min(most, SHOWN)]))


def _remove(using: str, wanted: Wanted, limit: int | None, seconds: float | None, after: Place | None) -> Pruned:
    done = PruneRound(using, wanted, after)
    until = math.inf if seconds is None else time.monotonic() + seconds
    more = True
    while more and (limit is None or done.items < limit) and time.monotonic() < until:
        more = done.go_on(BATCH if limit is None else min(BATCH, limit - done.items))
    place = done.place() if more else None
    return Pruned(items=done.items, rows=done.rows, kept=len(done.kept), more=more or done.again, place=place)
