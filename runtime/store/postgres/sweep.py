"""Put right what nobody else will: items of lost workers, what is overdue, waiters that a wake-up missed.

Every part is its own short transaction over a bounded batch, so that any number of workers may sweep at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from functools import partial

from runtime.store.hearing import hear, unheard
from runtime.store.overdue_waits import notice, settle_all, unnoticed
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.look import FREE, GONE, LATE, LONG, OVER
from runtime.store.postgres.overdue import end_overdue
from runtime.store.postgres.passing import PATIENCE_MS, look_past, one_by_one, together_or_singly
from runtime.store.postgres.recover import recover
from runtime.store.postgres.session import forget_outgrown_plans, rows
from runtime.store.postgres.waiters import wake_missed
from runtime.store.transactions import impatiently
from runtime.store.values import SweepReport

# Once none of its leases is left for the next round.
OFFLINE = """
UPDATE roost_worker w SET state = 'offline', stopped_at = statement_timestamp(), row_version = w.row_version + 1
FROM (
    SELECT id FROM roost_worker
    WHERE id = ANY (%s::uuid[]) AND NOT (state = 'offline')
        AND NOT EXISTS (SELECT FROM roost_lease l WHERE l.worker_id = roost_worker.id)
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
) gone
WHERE w.id = gone.id
RETURNING w.id
"""


def sweep(using: str, dead: Iterable[uuid.UUID], batch: int, *, only_dead: bool = False) -> SweepReport:
    """Do one round and say what was done; `more` when a batch was full and another round will find work.

    What somebody else keeps locked is passed over and hides nothing; the next round finds it again.
    """
    workers = list(dead)
    forget_outgrown_plans(using)
    with impatiently(PATIENCE_MS):
        found, full = look_past(using, workers, batch, only_dead=only_dead)
        if not found and not workers:
            return SweepReport(woken=_notice(using))
        recovered = recover(using, found[GONE], workers)
        over = list(dict.fromkeys(one.item for one in found[OVER]))
        return SweepReport(
            recovered=len(recovered.states) - recovered.quarantined,
            quarantined=recovered.quarantined,
            overdue=end_overdue(using, found[LATE]),
            timed_out=end_overdue(using, found[LONG]),
            woken=recovered.woken + together_or_singly(found[FREE], partial(wake_missed, using)) + _notice(using),
            workers_lost=len(rows(using, OFFLINE, [plain(workers)])) if workers else 0,
            leases_dropped=recovered.dropped,
            expired=together_or_singly(over, partial(settle_all, using)),
            more=full,
        )


def _notice(using: str) -> int:
    """Let items go on that nobody told of an end of a child, or of a signal; return how many."""
    ends = [partial(notice, using, item) for item in unnoticed(using)]
    return one_by_one([*ends, *(partial(hear, using, *missed) for missed in unheard(using))])
