"""Take due items for a worker.

The plain path is two statements: one locks and marks, the next, with a snapshot of its own, reads what was marked.
Never both in one: under READ COMMITTED a row that was locked is as new as can be, while the rest of the statement
still sees the old, and the item would come with the state of a step before. A worker that dies between the two, or
never hears the answer, leaves leases that its heartbeat or the sweep gives back.

Items that need resources are looked for by the same statement; only when some are due is more done (`limited.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from runtime.store.base import Claimed, ClaimRequest
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.due import LIMITED, MINE, PLAIN, SUSPECT, mine, ranks
from runtime.store.postgres.limited import limited_in_front, take_limited
from runtime.store.postgres.mark import MARK, Taken, marks
from runtime.store.postgres.session import GUARD, lock_timeout, rows

_CLAIM = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, {ranks("limited", LIMITED)}, beside AS MATERIALIZED (
    SELECT EXISTS (
        SELECT FROM limited r, LATERAL (
            SELECT FROM roost_workitem
            WHERE {LIMITED} AND priority = r.priority AND run_at <= statement_timestamp() AND {MINE}
            ORDER BY run_at, id LIMIT 1
        ) found
    ) AS limited_due
), chosen AS MATERIALIZED (
    SELECT found.id FROM {GUARD}, plain r, LATERAL (
        SELECT id FROM roost_workitem
        WHERE {PLAIN} AND priority = r.priority AND run_at <= statement_timestamp() AND {MINE}
        ORDER BY run_at, id
        LIMIT {{about}}
        FOR NO KEY UPDATE SKIP LOCKED
    ) found
    WHERE %s::bool OR NOT (SELECT limited_due FROM beside)
    LIMIT %s::int
), {MARK}
SELECT beside.limited_due, marked.id, marked.epoch FROM beside LEFT JOIN marked ON true
"""


@cache
def claim_statement(limit: int) -> str:
    """Return the statement that claims up to `limit` items, the same one for all limits of about that size.

    The number stands in the text for the planner's sake: not knowing how few rows are wanted, it would sort them all.
    """
    return _CLAIM.format(about=1 << (limit - 1).bit_length())


SUSPECTED = f"""
WITH chosen AS MATERIALIZED (
    SELECT found.id FROM {GUARD}, LATERAL (
        SELECT id FROM roost_workitem
        WHERE {SUSPECT} AND NOT limited AND run_at <= statement_timestamp() AND {MINE}
        ORDER BY priority DESC, run_at, id
        LIMIT 1
        FOR NO KEY UPDATE SKIP LOCKED
    ) found
), {MARK}
SELECT id, epoch FROM marked
"""

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


def claim(using: str, request: ClaimRequest) -> list[Claimed]:
    """Take due items, most urgent first. Raises Django's database errors."""
    if request.limit < 1:
        return []
    return _read(using, _take_suspect(using, request) if request.alone else _take(using, request))


def _take(using: str, request: ClaimRequest) -> list[Taken]:
    taken, limited_due = _take_plain(using, request, request.limit)
    if not limited_due:
        return taken
    taken = take_limited(using, request, limited_in_front(using, request))
    room = request.limit - len(taken)
    return taken + (_take_plain(using, request, room, beside_limited=True)[0] if room else [])


def _take_plain(
    using: str, request: ClaimRequest, limit: int, *, beside_limited: bool = False
) -> tuple[list[Taken], bool]:
    """Mark up to `limit` items that need no resources; say whether items that do are due too.

    Unless `beside_limited`, nothing is marked when there are such items: their rank has to be looked at first.
    """
    wanted = mine(request)
    params = [*wanted, lock_timeout(using), *wanted, beside_limited, str(limit), *marks(request, alone=False)]
    found = rows(using, claim_statement(limit), params)
    return [(item, epoch) for _, item, epoch in found if item is not None], found[0][0]


def _take_suspect(using: str, request: ClaimRequest) -> list[Taken]:
    """Mark one item that may have killed its workers, for a worker that runs nothing else."""
    params = [lock_timeout(using), *mine(request), *marks(request, alone=True)]
    return rows(using, SUSPECTED, params) or take_limited(using, request, 1, alone=True)


def _read(using: str, taken: Sequence[Taken]) -> list[Claimed]:
    """Read marked items and their state, both as they are at one instant; leave out those lost meanwhile."""
    if not taken:
        return []
    params = [plain([item for item, _ in taken]), plain([epoch for _, epoch in taken]), str(len(taken))]
    return [Claimed._make(row) for row in rows(using, READ, params)]
