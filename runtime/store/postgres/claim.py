"""Take due items for a worker.

The plain path is two statements: one locks and marks, the next, with a snapshot of its own, reads what was marked.
Never both in one: under READ COMMITTED a row that was locked is as new as can be, while the rest of the statement
still sees the old, and the item would come with the state of a step before. A worker that dies between the two, or
never hears the answer, leaves leases that its heartbeat or the sweep gives back.

Items that need resources are looked for by the same statement; only when some are due is more done (`limited.py`). The
same statement learns whether limits or fairness keys have a say (`roomy.py`, `ruled.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.store.postgres.arrays import plain
from runtime.store.postgres.limited import limited_in_front, take_limited
from runtime.store.postgres.mark import Taken
from runtime.store.postgres.roomy import take_roomy
from runtime.store.postgres.ruled import Ruled
from runtime.store.postgres.session import forget_outgrown_plans, rows
from runtime.store.postgres.unruled import marked, take_unruled
from runtime.store.turns import Turns
from runtime.store.values import Claimed, ClaimRequest
from runtime.store.waits import with_answers

READ = """
SELECT w.id, w.namespace, w.engine, w.engine_version, w.payload::text, w.config::text, w.priority, w.fair_key,
    w.pool, s.state_schema, w.resources::text, w.limited, w.epoch, w.version, w.attempt, w.max_attempts, w.deaths,
    w.step_label,
    w.steps_total, w.max_steps, w.step_timeout, extract(epoch FROM w.timeout_at - statement_timestamp())::float8,
    w.parent_id, w.created_at, w.deadline_at, statement_timestamp(), s.data::text,
    CASE WHEN w.asked THEN '' END
FROM (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) LIMIT %s::int) AS c(id, epoch)
JOIN roost_workitem w ON w.id = c.id AND w.epoch = c.epoch
LEFT JOIN roost_snapshot s ON s.work_item_id = w.id AND s.version = w.version
ORDER BY w.priority DESC, w.run_at, w.id
"""


def claim(using: str, request: ClaimRequest, turns: Turns) -> list[Claimed]:
    """Take due items, most urgent first. Raises Django's database errors."""
    if request.limit < 1:
        return []
    forget_outgrown_plans(using)
    if turns.ruled and not request.alone:
        roomy = take_roomy(using, request, turns)
        if roomy is not None:
            return _read(using, roomy)
    if request.alone or turns.ruled:
        ruled = Ruled(using, request, turns)
        taken = ruled.take_suspect() if request.alone else ruled.take()
        if request.alone or turns.ruled:
            return ruled.told(_read(using, taken))
    found = take_unruled(using, request, request.limit)
    limited_due, limits, keyed = found[0][:3]
    if limits or keyed:
        ruled = Ruled(using, request, turns)
        return ruled.told(_read(using, ruled.take()))
    if limited_due:
        taken = take_limited(using, request, limited_in_front(using, request))
        room = request.limit - len(taken)
        return _read(using, taken + (marked(take_unruled(using, request, room, whatever=True)) if room else []))
    return _read(using, marked(found))


def _read(using: str, taken: Sequence[Taken]) -> list[Claimed]:
    """Read marked items and their state, both as they are at one instant; leave out those lost meanwhile."""
    if not taken:
        return []
    params = [plain([item for item, _ in taken]), plain([epoch for _, epoch in taken]), str(len(taken))]
    return with_answers(using, [Claimed(*row) for row in rows(using, READ, params)])
