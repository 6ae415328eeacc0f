"""Give items back that were never, or no longer, run: due at once, costing neither attempt nor death."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.store import waking
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.session import rows
from runtime.store.transactions import transacted
from runtime.store.values import Held

# The items' rows are locked: `waking.prepare` came before.
RELEASE = """
WITH h AS MATERIALIZED (
    SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS h(item, epoch) LIMIT %s::int
), ended AS (
    DELETE FROM roost_lease l USING h
    WHERE l.work_item_id = h.item AND l.epoch = h.epoch AND l.worker_id = %s::uuid AND l.revoked_at IS NULL
    RETURNING l.work_item_id, l.worker_id
), written AS (
    UPDATE roost_workitem w SET
        state = CASE WHEN w.pause_requested THEN 'paused' ELSE 'queued' END,
        reason = CASE WHEN w.pause_requested THEN 'operator' ELSE 'released' END,
        paused_from = CASE WHEN w.pause_requested THEN 'queued' ELSE '' END,
        away_since = CASE WHEN w.pause_requested THEN statement_timestamp() END,
        pause_requested = false,
        run_at = statement_timestamp(),
        epoch = w.epoch + 1,
        event_seq = w.event_seq + 1 + w.pause_requested::int,
        row_version = w.row_version + 1,
        updated_at = statement_timestamp()
    FROM ended
    WHERE w.id = ended.work_item_id AND w.state = 'running'
    RETURNING w.id, w.state, w.version, w.epoch, w.attempt, w.event_seq, ended.worker_id
), told AS (
    INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, created_at)
    SELECT id, event_seq - (state = 'paused')::int, 'released', version, epoch, attempt, worker_id, '', %s::text,
        statement_timestamp()
    FROM written
    UNION ALL
    SELECT id, event_seq, 'paused', version, epoch, attempt, worker_id, '', 'operator', statement_timestamp()
    FROM written WHERE state = 'paused'
)
SELECT id FROM written
"""


def release(using: str, worker: uuid.UUID, held: Sequence[Held], reason: str) -> int:
    """Give these items back; return how many were still ours. `reason` is told by their events."""
    if not held:
        return 0

    def once() -> int:
        freeing = waking.prepare(using, [item for item, _ in held])
        items, epochs = plain([item for item, _ in held]), plain([epoch for _, epoch in held])
        freed = [row[0] for row in rows(using, RELEASE, [items, epochs, str(len(held)), worker, reason])]
        waking.finish(freeing, freed)
        return len(freed)

    return transacted(using, once)
