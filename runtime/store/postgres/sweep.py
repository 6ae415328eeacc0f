"""Put right what nobody else will: items of lost workers, what is overdue, waiters that a wake-up missed.

Every part is its own short transaction over a bounded batch, so that any number of workers may sweep at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from runtime.conf import settings as roost
from runtime.store.base import SweepReport
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.overdue import end_overdue
from runtime.store.postgres.recover import quarantined, recover
from runtime.store.postgres.session import rows
from runtime.store.postgres.waiters import wake_missed

SILENT_LEASES = 2.0
"""A worker that has been silent for so many leases is offline."""

ABSENT = """
UPDATE roost_worker w SET state = 'offline', stopped_at = statement_timestamp(), row_version = w.row_version + 1
FROM (
    SELECT id FROM roost_worker
    WHERE NOT (state = 'offline')
        AND (id = ANY (%s::uuid[]) OR heartbeat_at < statement_timestamp() - %s::float8 * interval '1 second')
    ORDER BY id
    LIMIT %s::int
    FOR NO KEY UPDATE SKIP LOCKED
) gone
WHERE w.id = gone.id
RETURNING w.id
"""


def sweep(using: str, dead: Iterable[uuid.UUID], batch: int) -> SweepReport:
    """Do one round and say what was done; `more` when a batch was full and another round will find work."""
    workers = list(dead)
    recovered = recover(using, workers, batch)
    overdue = end_overdue(using, batch)
    poisoned = quarantined(recovered)
    silent = str(roost.LEASE_SECONDS * SILENT_LEASES)
    return SweepReport(
        recovered=len(recovered.states) - poisoned,
        quarantined=poisoned,
        timed_out=overdue.timed_out,
        overdue=overdue.past_deadline,
        woken=recovered.woken + wake_missed(using, batch),
        workers_lost=len(rows(using, ABSENT, [plain(workers), silent, str(batch)])),
        leases_dropped=recovered.dropped,
        more=recovered.full or overdue.full,
    )
