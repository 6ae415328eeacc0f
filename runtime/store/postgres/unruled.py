"""Take due items that need no resources, where neither limits nor fairness keys have a say: one statement.

It also says whether one of them has, and whether items that need resources are due.
"""

from __future__ import annotations

import time
from functools import cache

from runtime.store.front import Front
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.due import KEYED, LEVELS, LIMITED, MINE, PLAIN, levels, mine, ranks
from runtime.store.postgres.mark import MARK, Taken, marks
from runtime.store.postgres.session import GUARD, Rows, lock_timeout, rows, rows_in_order
from runtime.store.values import ClaimRequest

_BESIDE = f"""
beside AS MATERIALIZED (
    SELECT EXISTS (
        SELECT FROM limited r, LATERAL (
            SELECT FROM roost_workitem
            WHERE {LIMITED} AND priority = r.priority AND run_at <= statement_timestamp() AND {MINE}
            ORDER BY run_at, id LIMIT 1
        ) found
    ) AS limited_due, EXISTS (SELECT FROM roost_limit WHERE enabled) AS limits, {KEYED} AS keyed
)"""

_CLAIM = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, {ranks("limited", LIMITED)}, {_BESIDE}, chosen AS MATERIALIZED (
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

_CLAIM_BEHIND = f"""
WITH RECURSIVE {LEVELS}, {ranks("limited", LIMITED)}, {_BESIDE}, chosen AS MATERIALIZED (
    SELECT found.* FROM {GUARD}, plain r, LATERAL (
        SELECT priority, run_at, id FROM roost_workitem
        WHERE {PLAIN} AND priority = r.priority AND (run_at, id) > (r.run_at, r.id)
            AND run_at <= statement_timestamp() AND {MINE}
        ORDER BY run_at, id
        LIMIT {{about}}
        FOR NO KEY UPDATE SKIP LOCKED
    ) found
    WHERE %s::bool OR NOT (SELECT limited_due OR limits OR keyed FROM beside)
    LIMIT %s::int
), {MARK}
SELECT beside.limited_due, beside.limits, beside.keyed, marked.id, marked.epoch, chosen.priority, chosen.run_at
FROM beside LEFT JOIN (marked JOIN chosen USING (id)) ON true
"""


PLACES = """
SELECT priority, run_at, w.id FROM (SELECT * FROM unnest(%s::uuid[]) LIMIT %s::int) AS t(id)
JOIN roost_workitem w ON w.id = t.id
"""


@cache
def claim_statement(limit: int, *, behind: bool = False) -> str:
    """Return the statement that claims up to `limit` items, the same one for all limits of about that size.

    The number stands in the text for the planner's sake: not knowing how few rows are wanted, it would sort them all.
    """
    return (_CLAIM_BEHIND if behind else _CLAIM).format(about=1 << (limit - 1).bit_length())


def take_unruled(using: str, request: ClaimRequest, limit: int, *, whatever: bool = False) -> Rows:
    """Mark up to `limit` items that need no resources; say whether items that do are due, and whether rules apply.

    When any of these is so, nothing is marked, unless `whatever` is so: others may have to go first. Where the
    request's `front` says so, it begins behind what was claimed before, and looks at everything if nothing is there.
    """
    front = request.front
    if front is not None and not front.is_whole(time.monotonic()):
        found = _take_behind(using, request, limit, front, whatever=whatever)
        if marked(found) or (is_for_others(found) and not whatever):
            return found
    begun = time.monotonic()
    found = rows(using, claim_statement(limit), claim_params(using, request, limit, whatever=whatever))
    # A look that left everything to others has not seen what stands before the beginnings.
    if front is not None and (whatever or not is_for_others(found)):
        front.looked(now := time.monotonic(), now - begun)
        _look_back(using, front, marked(found))
    return found


def _look_back(using: str, front: Front, taken: list[Taken]) -> None:
    """Let the next claims go on from what was found before the beginnings, if anything was."""
    if front.begins and taken:
        front.overlooked(rows(using, PLACES, [plain([item for item, _ in taken]), str(len(taken))]))


def _take_behind(using: str, request: ClaimRequest, limit: int, front: Front, *, whatever: bool) -> Rows:
    params = [*levels(front), *claim_params(using, request, limit, whatever=whatever)]
    found = rows_in_order(using, claim_statement(limit, behind=True), params)
    front.took((priority, run_at, item) for *_, item, _, priority, run_at in found if item is not None)
    return found


def claim_params(using: str, request: ClaimRequest, limit: int, *, whatever: bool) -> list[object]:
    """Return the parameters of the statement that looks at everything."""
    wanted = mine(request)
    return [*wanted, lock_timeout(using), *wanted, whatever, str(limit), *marks(request, alone=False)]


def marked(found: Rows) -> list[Taken]:
    """Return the items that `take_unruled` marked."""
    return [(item, epoch) for _, _, _, item, epoch, *_ in found if item is not None]


def is_for_others(found: Rows) -> bool:
    """Say whether items that need resources are due, or rules apply."""
    return any(found[0][:3])
