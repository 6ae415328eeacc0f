"""Say what is due for a worker: the one predicate, for the claim and for those who look before they claim.

Due items stand in three lanes, each with a partial index: those that need nothing, those that need resources, and
suspects. The lanes' conditions stand in the text, as in the indexes `roost_item_due`, `roost_item_limited` and
`roost_item_suspect`: SQLite uses a partial index only for a condition that it can read.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from runtime import clock
from runtime.choices import SUSPECT_DEATHS
from runtime.store.portable.statements import places, rows, stored, told
from runtime.store.values import ClaimRequest

QUEUED = "state = 'queued' AND NOT (reason IN ('limit', 'resource'))"
# A flag stands twice: Django 5.2 writes `NOT limited` into the index, Django 6.1 `limited = 0`.
PLAIN = f"{QUEUED} AND deaths < {SUSPECT_DEATHS} AND NOT limited AND limited = 0"
LIMITED = f"{QUEUED} AND deaths < {SUSPECT_DEATHS} AND limited AND limited = 1"
SUSPECT = f"{QUEUED} AND deaths >= {SUSPECT_DEATHS}"

# The priorities that a lane's items have, each found by one look into the index: however many items are due later,
# none of them is looked at.
RANKS = """
RECURSIVE ranks(rank) AS (
    SELECT (SELECT priority FROM roost_workitem WHERE {lane} AND priority < %s ORDER BY priority DESC LIMIT 1)
    UNION ALL
    SELECT (SELECT priority FROM roost_workitem WHERE {lane} AND priority < rank ORDER BY priority DESC LIMIT 1)
    FROM ranks WHERE rank IS NOT NULL
)"""

HIGHEST = f"""
WITH {RANKS}
SELECT rank FROM ranks
WHERE EXISTS (SELECT 1 FROM roost_workitem WHERE {{lane}} AND priority = rank AND run_at <= %s {{mine}})
LIMIT 1
"""

FIRST = f"""
WITH {RANKS}
SELECT (SELECT run_at FROM roost_workitem WHERE {{lane}} AND priority = rank {{mine}} ORDER BY run_at LIMIT 1)
    AS "first [datetime]"
FROM ranks ORDER BY 1 NULLS LAST LIMIT 1
"""

ABOVE_ALL = 2**15


class Due(NamedTuple):
    """A due item, as much of it as the claim needs."""

    id: str
    namespace: str
    resources: str
    limited: bool
    epoch: int
    version: int
    event_seq: int
    attempt: int
    item_timeout: float | None
    run_at: dt.datetime
    fair_key: str
    engine: str
    pool: str


DUE_COLUMNS = ", ".join(Due._fields)


def lanes(request: ClaimRequest) -> tuple[str, ...]:
    """Return the lanes that a request looks at."""
    return (SUSPECT,) if request.alone else (PLAIN, LIMITED)


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
    return " ".join(conditions), params


def highest_priority(using: str, request: ClaimRequest, *, below: int = ABOVE_ALL) -> int | None:
    """Return the highest priority, lower than `below`, among due items; None when nothing is due."""
    mine, params = serves(request)
    now = stored(using, clock.now(using))
    found = [rows(using, HIGHEST.format(lane=lane, mine=mine), [below, now, *params]) for lane in lanes(request)]
    return max((int(first[0][0]) for first in found if first), default=None)


def seconds_until_due(using: str, request: ClaimRequest) -> float | None:
    """Return the seconds until the next item is due, 0 when one is, None when there is none."""
    mine, params = serves(request)
    found = [rows(using, FIRST.format(lane=lane, mine=mine), [ABOVE_ALL, *params]) for lane in lanes(request)]
    first = min((moment for ((at,),) in found if (moment := told(using, at)) is not None), default=None)
    return None if first is None else max(0.0, (first - clock.now(using)).total_seconds())
