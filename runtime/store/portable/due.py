"""Say what is due for a worker: the one predicate, for the claim and for those who look before they claim.

State and reason stand in the text, as in the partial index `roost_item_due`: SQLite uses a partial index only for a
condition that it can read.
"""

from __future__ import annotations

from typing import Any

from runtime import clock
from runtime.choices import SUSPECT_DEATHS
from runtime.store.base import ClaimRequest
from runtime.store.portable.statements import places, rows, stored, told

QUEUED = "state = 'queued' AND NOT (reason IN ('limit', 'resource'))"

# The priorities that queued items have, each found by one look into the index: however many items are due later,
# none of them is looked at.
RANKS = f"""
RECURSIVE ranks(rank) AS (
    SELECT (SELECT priority FROM roost_workitem WHERE {QUEUED} AND priority < %s ORDER BY priority DESC LIMIT 1)
    UNION ALL
    SELECT (SELECT priority FROM roost_workitem WHERE {QUEUED} AND priority < rank ORDER BY priority DESC LIMIT 1)
    FROM ranks WHERE rank IS NOT NULL
)"""

HIGHEST = f"""
WITH {RANKS}
SELECT rank FROM ranks
WHERE EXISTS (SELECT 1 FROM roost_workitem WHERE {QUEUED} AND priority = rank AND run_at <= %s {{mine}})
LIMIT 1
"""

FIRST = f"""
WITH {RANKS}
SELECT (SELECT run_at FROM roost_workitem WHERE {QUEUED} AND priority = rank {{mine}} ORDER BY run_at LIMIT 1)
    AS "first [datetime]"
FROM ranks ORDER BY 1 NULLS LAST LIMIT 1
"""

ABOVE_ALL = 2**15


def serves(request: ClaimRequest) -> tuple[str, list[Any]]:
    """Return the condition, with its parameters, that an item is one for this worker."""
    conditions: list[str] = []
    params: list[Any] = []
    if request.engines is not None:
        conditions.append(f"AND engine IN ({places(request.engines)})")
        params += request.engines
    if request.pools:
        conditions.append(f"AND pool IN ({places(request.pools)})")
        params += request.pools
    conditions.append(f"AND deaths {'>=' if request.alone else '<'} {SUSPECT_DEATHS}")
    return " ".join(conditions), params


def highest_priority(using: str, request: ClaimRequest, *, below: int = ABOVE_ALL) -> int | None:
    """Return the highest priority, lower than `below`, among due items; None when nothing is due."""
    mine, params = serves(request)
    found = rows(using, HIGHEST.format(mine=mine), [below, stored(using, clock.now(using)), *params])
    return int(found[0][0]) if found else None


def seconds_until_due(using: str, request: ClaimRequest) -> float | None:
    """Return the seconds until the next item is due, 0 when one is, None when there is none."""
    mine, params = serves(request)
    found = rows(using, FIRST.format(mine=mine), [ABOVE_ALL, *params])
    first = told(using, found[0][0]) if found else None
    return None if first is None else max(0.0, (first - clock.now(using)).total_seconds())
