"""Take due items for a worker.

The plain path is two statements: one locks and marks, the next, with a snapshot of its own, reads what was marked.
Never both in one: under READ COMMITTED a row that was locked is as new as can be, while the rest of the statement
still sees the old, and the item would come with the state of a step before. A worker that dies between the two, or
never hears the answer, leaves leases that its heartbeat or the sweep gives back.

Items that need resources are looked for by the same statement; only when some are due is more done (`limited.py`). The
same statement learns whether limits or fairness keys have a say (`ruled.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from runtime.store.base import Claimed, ClaimRequest
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.due import KEYED, LIMITED, MINE, PLAIN, mine, ranks
from runtime.store.postgres.limited import limited_in_front, take_limited
from runtime.store.postgres.mark import MARK, Taken, marks
from runtime.store.postgres.ruled import Ruled
from runtime.store.postgres.session import GUARD, Rows, lock_timeout, rows
from runtime.store.turns import Turns

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


READ = """
SELECT w.id, w.namespace, w.engine, w.engine_version, w.payload::text, w.config::text, w.priority, w.fair_key,
    w.resources::text, w.limited, w.epoch, w.version, w.attempt, w.max_attempts, w.deaths, w.step_label,
    w.steps_total, w.max_steps, w.step_timeout, extract(epoch FROM w.timeout_at - statement_timestamp())::float8,
    w.parent_id, w.created_at, w.deadline_at, statement_timestamp(), s.data::text
FROM (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) LIMIT %s::int) AS c(id, epoch)
JOIN roost_workitem w ON w.id = c.id AND w.epoch = c.epoch
LEFT JOIN roost_snapshot s ON s.work_item_id = w.id AND s.version = w.version
ORDER BY w.priority DESC, w.run_at, w.id
"""


def claim(using: str, request: ClaimRequest, turns: Turns) -> list[Claimed]:
    """Take due items, most urgent first. Raises Django's database errors."""
    if request.limit < 1:
        return []
    if request.alone or turns.ruled:
        ruled = Ruled(using, request, turns)
        taken = ruled.take_suspect() if request.alone else ruled.take()
        if request.alone or turns.ruled:
            return ruled.told(_read(using, taken))
    found = _take_plain(using, request, request.limit)
    limited_due, limits, keyed = found[0][:3]
    if limits or keyed:
        ruled = Ruled(using, request, turns)
        return ruled.told(_read(using, ruled.take()))
    if limited_due:
        taken = take_limited(using, request, limited_in_front(using, request))
        room = request.limit - len(taken)
        return _read(using, taken + (_marked(_take_plain(using, request, room, beside_limited=True)) if room else []))
    return _read(using, _marked(found))


def _take_plain(using: str, request: ClaimRequest, limit: int, *, beside_limited: bool = False) -> Rows:
    """Mark up to `limit` items that need no resources; say whether items that do are due, and whether rules apply.

    When any of these is so, nothing is marked, unless `beside_limited`: others may have to go first.
    """
    wanted = mine(request)
    params = [*wanted, lock_timeout(using), *wanted, beside_limited, str(limit), *marks(request, alone=False)]
    return rows(using, claim_statement(limit), params)


def _marked(found: Rows) -> list[Taken]:
    return [(item, epoch) for *_, item, epoch in found if item is not None]


def _read(using: str, taken: Sequence[Taken]) -> list[Claimed]:
    """Read marked items and their state, both as they are at one instant; leave out those lost meanwhile."""
    if not taken:
        return []
    params = [plain([item for item, _ in taken]), plain([epoch for _, epoch in taken]), str(len(taken))]
    return [Claimed(*row) for row in rows(using, READ, params)]
