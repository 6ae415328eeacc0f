"""Find the lanes in which items are due, and their heads, by a few descents of the index `roost_item_lane` each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain

from runtime.store.base import ClaimRequest
from runtime.store.postgres.arrays import texts
from runtime.store.postgres.due import LIMITED, MINE, OPEN, PLAIN, mine, ranks
from runtime.store.postgres.session import rows
from runtime.store.turns import MOST_LANES, Head, Lane

PRIORITIES = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, {ranks("limited", LIMITED)}
SELECT priority, bool_or(needing) FROM (
    SELECT priority, false FROM plain UNION ALL SELECT priority, true FROM limited
) AS both_kinds(priority, needing)
WHERE priority IS NOT NULL
GROUP BY priority
ORDER BY priority DESC
"""

_LANE = "fair_key, engine, namespace, pool"

# Lane by lane, each by one descent; whether anything is due in it, by another.
_LANES = f"""
WITH RECURSIVE lanes(fair_key, engine, namespace, pool) AS (
    (
        SELECT {_LANE} FROM roost_workitem
        WHERE {PLAIN} AND priority = %s::int AND fair_key {{after}} %s::text
        ORDER BY {_LANE} LIMIT 1
    )
    UNION ALL
    SELECT next.* FROM lanes l, LATERAL (
        SELECT {_LANE} FROM roost_workitem
        WHERE {PLAIN} AND priority = %s::int
            AND ({_LANE}) > (l.fair_key, l.engine, l.namespace, l.pool)
        ORDER BY {_LANE} LIMIT 1
    ) next
)
SELECT lanes.* FROM lanes, LATERAL (
    SELECT FROM roost_workitem
    WHERE {PLAIN} AND priority = %s::int AND fair_key = lanes.fair_key AND engine = lanes.engine
        AND namespace = lanes.namespace AND pool = lanes.pool AND run_at <= statement_timestamp()
    ORDER BY run_at, id LIMIT 1
) due
WHERE {MINE}
LIMIT {MOST_LANES}
"""
FROM_THE_FIRST = _LANES.format(after=">=")
AFTER = _LANES.format(after=">")

_HEADS = f"""
SELECT lane.place, w.id, w.run_at
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
    WITH ORDINALITY AS lane(fair_key, engine, namespace, pool, place), LATERAL (
    SELECT id, run_at FROM roost_workitem w
    WHERE {PLAIN} AND priority = %s::int AND w.fair_key = lane.fair_key AND w.engine = lane.engine
        AND w.namespace = lane.namespace AND w.pool = lane.pool AND run_at <= statement_timestamp()
    ORDER BY run_at, id
    LIMIT {{each}}
) w
"""

_NEEDING = f"""
SELECT id, fair_key, engine, namespace, pool, run_at, resources::text FROM roost_workitem w
WHERE {LIMITED} AND priority = %s::int AND run_at <= statement_timestamp() AND {MINE} AND {OPEN}
ORDER BY run_at, id
LIMIT {{each}}
"""


def lanes(using: str, request: ClaimRequest, priority: int, last: str | None) -> list[Lane]:
    """Return the lanes of that priority with due items for this worker: all, or those after the key `last` first."""
    level, wanted = str(priority), mine(request)
    found = rows(using, FROM_THE_FIRST, [level, "", level, level, *wanted])
    if len(found) == MOST_LANES and last is not None:
        beyond = rows(using, AFTER, [level, last, level, level, *wanted])
        found = list(dict.fromkeys(chain(beyond, found)))[:MOST_LANES]
    return [Lane._make(row) for row in found]


def heads(using: str, priority: int, of: Sequence[Lane], each: int) -> list[Head]:
    """Return up to so many due items of each lane, oldest first."""
    if not of:
        return []
    columns = [texts(column) for column in zip(*of, strict=True)]
    found = rows(using, _heads_statement(each), [*columns, str(priority)])
    return [Head(item, of[place - 1], run_at) for place, item, run_at in found]


def needing(using: str, request: ClaimRequest, priority: int, shut: Sequence[str], each: int) -> list[Head]:
    """Return due items that need resources and that no closed limit covers, oldest first."""
    found = rows(using, _needing_statement(each), [str(priority), *mine(request), *shut])
    return [Head(row[0], Lane._make(row[1:5]), row[5], row[6]) for row in found]


@cache
def _heads_statement(each: int) -> str:
    return _HEADS.format(each=each)


@cache
def _needing_statement(each: int) -> str:
    return _NEEDING.format(each=each)
