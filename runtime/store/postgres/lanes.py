"""Find the lanes in which items are due, and their heads, by a few descents of the index `roost_item_lane` each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import islice

from runtime.store.postgres.due import KEYED, LIMITED, MINE, OPEN, PLAIN, SUSPECT_HAS_TURN, mine, ranks
from runtime.store.postgres.session import Rows, rows, rows_in_order
from runtime.store.turns import MOST_LANES, Head, Lane
from runtime.store.values import ClaimRequest

PRIORITIES = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, {ranks("limited", LIMITED)}, rules AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM roost_limit WHERE enabled) AS limits, {KEYED} AS keyed,
        {SUSPECT_HAS_TURN} AS suspects
)
SELECT priority, bool_or(needing), (SELECT limits FROM rules), (SELECT keyed FROM rules), (SELECT suspects FROM rules)
FROM (
    SELECT priority, false FROM plain UNION ALL SELECT priority, true FROM limited
) AS both_kinds(priority, needing)
WHERE priority IS NOT NULL
GROUP BY priority
ORDER BY priority DESC
"""

_LANE = "fair_key, engine, namespace, pool"

# Lane by lane, each by one descent, and by another the first items in it that are due: a range of the same index, which
# no other has in this order.
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
SELECT lanes.*, head.id, head.run_at FROM (SELECT * FROM lanes WHERE {MINE} LIMIT {MOST_LANES}) lanes
LEFT JOIN LATERAL (
    SELECT id, run_at FROM roost_workitem
    WHERE {PLAIN} AND priority = %s::int
        AND ({_LANE}, run_at) >= (lanes.fair_key, lanes.engine, lanes.namespace, lanes.pool, '-infinity')
        AND ({_LANE}, run_at) <= (lanes.fair_key, lanes.engine, lanes.namespace, lanes.pool, statement_timestamp())
    ORDER BY {_LANE}, run_at, id
    LIMIT {{each}}
) head ON true
"""

_NEEDING = f"""
SELECT id, fair_key, engine, namespace, pool, run_at, resources::text FROM roost_workitem w
WHERE {LIMITED} AND priority = %s::int AND run_at <= statement_timestamp() AND {MINE} AND {OPEN}
ORDER BY run_at, id
LIMIT {{each}}
"""


Heads = dict[Lane, list[Head]]
"""The heads of each lane that were looked at; none where nothing is due yet."""


def look(using: str, request: ClaimRequest, priority: int, last: str | None, each: int) -> Heads:
    """Return the lanes of that priority for this worker, in order, with up to so many due items of each.

    With more than MOST_LANES of them, those after the key `last` come first.
    """
    level, wanted = str(priority), mine(request)
    found = _gathered(rows_in_order(using, _lanes_statement(">=", each), [level, "", level, *wanted, level]))
    if len(found) == MOST_LANES and last is not None:
        beyond = _gathered(rows_in_order(using, _lanes_statement(">", each), [level, last, level, *wanted, level]))
        found = dict(islice((beyond | found).items(), MOST_LANES))
    return found


def _gathered(found: Rows) -> Heads:
    heads: Heads = {}
    for *names, item, run_at in found:
        lane = Lane._make(names)
        of_lane = heads.setdefault(lane, [])
        if item is not None:
            of_lane.append(Head(item, lane, run_at))
    return heads


def needing(using: str, request: ClaimRequest, priority: int, shut: Sequence[str], each: int) -> list[Head]:
    """Return due items that need resources and that no closed limit covers, oldest first."""
    found = rows(using, _needing_statement(each), [str(priority), *mine(request), *shut])
    return [Head(row[0], Lane._make(row[1:5]), row[5], row[6]) for row in found]


@cache
def _lanes_statement(after: str, each: int) -> str:
    return _LANES.format(after=after, each=each)


@cache
def _needing_statement(each: int) -> str:
    return _NEEDING.format(each=each)
