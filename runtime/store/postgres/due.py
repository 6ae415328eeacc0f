"""Look for due work, priority by priority.

Within one priority a due index is a range from the oldest, so that work which is due later costs nothing, however
much there is of it; without the priority, every item that waits for its time would be read at each look.
"""

from __future__ import annotations

import time

from runtime.store.front import Front
from runtime.store.limits import SCOPE, TURN_AFTER, TURN_EVERY, TURN_UNTIL
from runtime.store.postgres.arrays import plain, texts
from runtime.store.postgres.session import rows, rows_in_order
from runtime.store.values import ClaimRequest

_CLAIMABLE = "state = 'queued' AND NOT (reason IN ('limit', 'resource'))"
PLAIN = f"{_CLAIMABLE} AND NOT limited AND deaths < 2"
"""The condition of the index `roost_item_due`."""
LIMITED = f"{_CLAIMABLE} AND limited AND deaths < 2"
"""The condition of the index `roost_item_limited`."""
SUSPECT = f"{_CLAIMABLE} AND deaths >= 2"
"""The condition of the index `roost_item_suspect`."""

HAS_TURN = f"""NOT limited AND mod(extract(epoch FROM statement_timestamp() - run_at), {TURN_EVERY}) >= {TURN_AFTER}
AND mod(extract(epoch FROM statement_timestamp() - run_at), {TURN_EVERY}) < {TURN_UNTIL}
AND run_at <= statement_timestamp()"""
"""That places are kept for a suspect, as `limits.has_turn` says; one that needs resources may wait for these."""
SUSPECT_HAS_TURN = f"""EXISTS (
    SELECT FROM (
        SELECT id FROM roost_workitem WHERE {SUSPECT} AND {HAS_TURN} ORDER BY priority DESC, run_at, id LIMIT 1
    ) suspect
)"""
"""That any has: in the order of `roost_item_suspect`, which holds suspects alone, and no other index is in."""

MINE = "(%s::text[] IS NULL OR engine = ANY (%s::text[])) AND (%s::text[] IS NULL OR pool = ANY (%s::text[]))"
"""The engines and pools asked for. Parameters: `mine(request)`."""


def covers(limit: str, of: str) -> str:
    """Return the condition that a limit covers an item or a lane, both named by their aliases."""
    return " AND ".join(f"{limit}.{name} IN ('', {of}.{name})" for name in SCOPE)


OPEN = f"""NOT EXISTS (
    SELECT FROM unnest({", ".join(["%s::text[]"] * len(SCOPE))}) AS closed({", ".join(SCOPE)})
    WHERE {covers("closed", "w")}
)"""
"""That no closed limit covers the item `w`; for lanes with few items, since it reads past those that stay behind.
Parameters: `bounds.shut(gate)`."""


def ranks(name: str, kind: str) -> str:
    """Return a recursive CTE of the priorities of such items, highest first, each found by one descent of the index."""
    return f"""
{name}(priority) AS (
    (SELECT priority FROM roost_workitem WHERE {kind} ORDER BY priority DESC LIMIT 1)
    UNION ALL
    SELECT (
        SELECT priority FROM roost_workitem WHERE {kind} AND priority < {name}.priority ORDER BY priority DESC LIMIT 1
    ) FROM {name} WHERE {name}.priority IS NOT NULL
)"""


# The priorities whose beginnings are known, and those between them in which there is something.
LEVELS = f"""
known(priority, run_at, id) AS MATERIALIZED (
    SELECT * FROM unnest(%s::int[], %s::timestamptz[], %s::uuid[]) LIMIT %s::int
), gaps(above, below) AS (
    SELECT above, coalesce(lead(above) OVER (ORDER BY above DESC), -32769)
    FROM (SELECT priority AS above FROM known UNION ALL SELECT 32768) bounds
), between(priority, below) AS (
    SELECT first.priority::int, gaps.below FROM gaps, LATERAL (
        SELECT priority FROM roost_workitem WHERE {PLAIN} AND priority < gaps.above AND priority > gaps.below
        ORDER BY priority DESC LIMIT 1
    ) first
    UNION ALL
    SELECT next.priority::int, between.below FROM between, LATERAL (
        SELECT priority FROM roost_workitem WHERE {PLAIN} AND priority < between.priority AND priority > between.below
        ORDER BY priority DESC LIMIT 1
    ) next
), plain AS MATERIALIZED (
    SELECT priority, run_at, id FROM known
    UNION ALL
    SELECT priority, '-infinity', '00000000-0000-0000-0000-000000000000' FROM between
    ORDER BY priority DESC
)"""
"""Common table expressions of a statement that begins behind what was claimed before, `plain` the one to go on from.
Parameters: `levels(front)`."""


KEYED = f"""EXISTS (
    SELECT FROM plain r, LATERAL (
        SELECT FROM roost_workitem WHERE {PLAIN} AND priority = r.priority AND fair_key > '' ORDER BY fair_key LIMIT 1
    ) found
)"""
"""That some items have a fairness key, beside the CTE `ranks("plain", PLAIN)`."""


RANKS = f"{ranks('plain', PLAIN)}, {ranks('limited', LIMITED)}, {ranks('suspect', SUSPECT)}"


# The order is there for the planner: without it, it would rather read the table until it meets a row that is due.
def _first_due(name: str, kind: str) -> str:
    return f"""(
    SELECT r.priority FROM {name} r, LATERAL (
        SELECT FROM roost_workitem
        WHERE {kind} AND priority = r.priority AND run_at <= statement_timestamp() AND {MINE}
        ORDER BY run_at, id LIMIT 1
    ) found
    LIMIT 1
)"""


def _next_due(name: str, kind: str) -> str:
    return f"""(
    SELECT min(found.run_at) FROM {name} r, LATERAL (
        SELECT run_at FROM roost_workitem WHERE {kind} AND priority = r.priority AND {MINE} ORDER BY run_at, id LIMIT 1
    ) found
)"""


DUE = f"""
WITH RECURSIVE {RANKS}
SELECT CASE WHEN %s::bool THEN {_first_due("suspect", SUSPECT)}
ELSE greatest({_first_due("plain", PLAIN)}, {_first_due("limited", LIMITED)}) END
"""

_BEHIND = "(run_at, id) > (r.run_at, r.id)"

DUE_BEHIND = f"""
WITH RECURSIVE {LEVELS}, {ranks("limited", LIMITED)}
SELECT greatest({_first_due("plain", f"{PLAIN} AND {_BEHIND}")}, {_first_due("limited", LIMITED)})
"""

NEXT = f"""
WITH RECURSIVE {RANKS}
SELECT extract(epoch FROM CASE WHEN %s::bool THEN {_next_due("suspect", SUSPECT)}
ELSE least({_next_due("plain", PLAIN)}, {_next_due("limited", LIMITED)}) END - statement_timestamp())::float8
"""


def mine(request: ClaimRequest) -> list[str | None]:
    """Return the parameters of MINE."""
    engines = None if request.engines is None else texts(request.engines)
    pools = texts(request.pools) if request.pools else None
    return [engines, engines, pools, pools]


def levels(front: Front) -> list[str]:
    """Return the parameters of LEVELS."""
    known = sorted(front.begins.items(), reverse=True)
    return [
        plain([priority for priority, _ in known]),
        texts([run_at.isoformat() for _, (run_at, _) in known]),
        plain([item for _, (_, item) in known]),
        str(len(known)),
    ]


def due(using: str, request: ClaimRequest) -> int | None:
    """Return the highest priority among items due for this worker now, None when there are none.

    Where the request's `front` says so, only those behind what was claimed before count.
    """
    wanted, front = mine(request), request.front
    if request.alone or front is None or front.is_whole(time.monotonic()):
        found = rows(using, DUE, [request.alone, *wanted, *wanted, *wanted])
    else:
        found = rows_in_order(using, DUE_BEHIND, [*levels(front), *wanted, *wanted])
    priority: int | None = found[0][0]
    return priority


def next_due_in(using: str, request: ClaimRequest) -> float | None:
    """Return the seconds until the next item for this worker is due, None when there is none."""
    wanted = mine(request)
    seconds: float | None = rows(using, NEXT, [request.alone, *wanted, *wanted, *wanted])[0][0]
    return None if seconds is None else max(0.0, seconds)
