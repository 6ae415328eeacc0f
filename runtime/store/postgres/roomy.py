"""Take due items under caps that this claim cannot reach: lock and count all of them, then claim as if there were none.

Whichever items a claim finds, it goes over no cap if every cap has room for as many as it asks for, beside those that
other claimers may be starting unseen. How many those can be is bounded by the locks that a claim takes first:

    shared   the caps' rows FOR SHARE and one of SLOTS advisory locks: besides ours, SLOTS - 1 claims of at most
             MOST_SHARED items each can be under way
    alone    the caps' rows FOR NO KEY UPDATE, waited for a few milliseconds: nobody else can be

What runs is counted by a later statement, so all that is not counted is still under way, and holds a lock. Where a cap
may bind, a rate counts steps, resources are asked for, fairness keys take turns or a suspect has its turn, `ruled.py`
decides item by item.
"""

from __future__ import annotations

from typing import Any

from django.db import OperationalError, connections

from runtime.store.postgres.due import KEYED, LIMITED, PLAIN, SUSPECT_HAS_TURN, covers, ranks
from runtime.store.postgres.mark import Taken
from runtime.store.postgres.session import Rows, rows_of_each
from runtime.store.postgres.unruled import marked, take_unruled
from runtime.store.transactions import TIMEOUTS, begin, is_retryable, lock_not_available, timeouts
from runtime.store.turns import Turns
from runtime.store.values import ClaimRequest

MOST_LIMITS = 20
"""With more limits enabled, locking each of them would cost more than looking at lanes."""
PATIENCE_MS = 20
"""Another claimer has the limits' rows for a few milliseconds; who has them longer is not waited for."""
SLOTS = 4
MOST_SHARED = 64
SLOT_CLASS = 0x526F6F73
"""First half of the slots' advisory lock keys ("Roos"); workers' liveness locks have one key of 64 bits."""

# Values come from the rows as they are once they are locked.
_LOCK = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, others AS MATERIALIZED (
    SELECT {KEYED} OR EXISTS (SELECT FROM roost_workitem WHERE {LIMITED})
        OR {SUSPECT_HAS_TURN} AS decide
)
SELECT m.id, m.concurrency, others.decide OR m.rate IS NOT NULL FROM roost_limit m, others
WHERE m.enabled
ORDER BY m.id
LIMIT {MOST_LIMITS + 1}
FOR {{strength}} OF m
"""
LOCK_SHARED = _LOCK.format(strength="SHARE")
LOCK_ALONE = _LOCK.format(strength="NO KEY UPDATE")

SLOT = f"""
SELECT slot FROM generate_series(1, {SLOTS}) slot WHERE pg_try_advisory_xact_lock({SLOT_CLASS}, slot) LIMIT 1
"""

# As in `bounds.RUNNING`, an array keeps the planner from expecting many leases.
RUNNING = f"""
SELECT m.id, count(*)
FROM roost_workitem w, roost_limit m
WHERE w.id = ANY (ARRAY(SELECT work_item_id FROM roost_lease)) AND m.enabled AND m.concurrency IS NOT NULL
    AND {covers("m", "w")}
GROUP BY m.id
"""


def take_roomy(using: str, request: ClaimRequest, turns: Turns) -> list[Taken] | None:
    """Mark up to `limit` due items; None, and nothing marked, where somebody else has to decide. One transaction."""
    if connections[using].in_atomic_block:
        return None
    for shared in (True, False):
        if turns.roomy(shared=shared):
            taken = _take(using, request, shared=shared)
            if taken is not None:
                return taken
            turns.tight(shared=shared)
    return None


def _take(using: str, request: ClaimRequest, *, shared: bool) -> list[Taken] | None:
    wanted = min(request.limit, MOST_SHARED) if shared else request.limit
    lock: list[tuple[str, list[Any]]] = [(SLOT, []), (LOCK_SHARED, [])] if shared else [(LOCK_ALONE, [])]
    try:
        with begin(using, bounded=False):
            bounds = (TIMEOUTS, timeouts(lock_ms=PATIENCE_MS))
            _, *slot, locked, running = rows_of_each(using, [bounds, *lock, (RUNNING, [])])
            if slot == [[]] or not _is_roomy(locked, dict(running), SLOTS * MOST_SHARED if shared else wanted):
                return None
            return marked(take_unruled(using, request, wanted, whatever=True))
    except OperationalError as error:
        if is_retryable(error) or lock_not_available(error):
            return None
        raise


def _is_roomy(locked: Rows, running: dict[int, int], more: int) -> bool:
    """Say whether so many more items may run under each limit, and limits are all there is to look at."""
    if not 0 < len(locked) <= MOST_LIMITS:
        return False
    return all(not decide and running.get(pk, 0) + more <= most for pk, most, decide in locked)
