"""Take due items that need no resources, where neither limits nor fairness keys have a say: one statement.

It also says whether one of them has, and whether items that need resources are due.
"""

from __future__ import annotations

from functools import cache

from runtime.store.postgres.due import KEYED, LIMITED, MINE, PLAIN, mine, ranks
from runtime.store.postgres.mark import MARK, Taken, marks
from runtime.store.postgres.session import GUARD, Rows, lock_timeout, rows
from runtime.store.values import ClaimRequest

_CLAIM = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, {ranks("limited", LIMITED)}, beside AS MATERIALIZED (
    SELECT EXISTS (
        SELECT FROM limited r, LATERAL (
            SELECT FROM roost_workitem
            WHERE {LIMITED} AND priority = r.priority AND run_at <= statement_timestamp() AND {MINE}
            ORDER BY run_at, id LIMIT 1
        ) found
    ) AS limited_due, EXISTS (SELECT FROM roost_limit WHERE enabled) AS limits, {KEYED} AS keyed
), chosen AS MATERIALIZED (
    SELECT found.id FROM {GUARD}, plain r, LATERAL (
        SELECT id FROM roost_workitem
        WHERE {PLAIN} AND priority = r.priority AND run_at <= statement_timestamp() AND {MINE}
        ORDER BY run_at, id
        LIMIT {{about}}
        FOR NO KEY UPDATE SKIP LOCKED
    ) found
    WHERE %s::bool OR NOT (SELECT limited_due OR limits OR keyed FROM beside)
    LIMIT %s::int
), {MARK}
SELECT beside.limited_due, beside.limits, beside.keyed, marked.id, marked.epoch FROM beside LEFT JOIN marked ON true
"""


@cache
def claim_statement(limit: int) -> str:
    """Return the statement that claims up to `limit` items, the same one for all limits of about that size.

    The number stands in the text for the planner's sake: not knowing how few rows are wanted, it would sort them all.
    """
    return _CLAIM.format(about=1 << (limit - 1).bit_length())


def take_unruled(using: str, request: ClaimRequest, limit: int, *, whatever: bool = False) -> Rows:
    """Mark up to `limit` items that need no resources; say whether items that do are due, and whether rules apply.

    When any of these is so, nothing is marked, unless `whatever` is so: others may have to go first.
    """
    wanted = mine(request)
    params = [*wanted, lock_timeout(using), *wanted, whatever, str(limit), *marks(request, alone=False)]
    return rows(using, claim_statement(limit), params)


def marked(found: Rows) -> list[Taken]:
    """Return the items that `take_unruled` marked."""
    return [(item, epoch) for *_, item, epoch in found if item is not None]
